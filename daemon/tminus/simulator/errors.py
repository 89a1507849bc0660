"""How a simulated command fails. A parse error is the language's ``ScriptSyntaxError``; these come at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .values import Value


class RunError(Exception):
    """A run-time error of the console. What ran before it stays.

    ``message`` is RouterOS's text; ``path`` (``/ip/address/add``, ``:error``) and ``line`` are filled in by the command
    that failed, ``argument`` names the argument at fault where RouterOS does. An empty path stays unsaid.
    """

    def __init__(self, message: str, *, argument: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.argument = argument
        self.path: str | None = None
        self.line = 0

    def locate(self, path: str, line: int) -> None:
        """Say where it happened; the innermost command wins."""
        if self.path is None:
            self.path, self.line = path, line

    def text(self, *, with_path: bool) -> str:
        if not with_path or not self.path:
            return self.message
        argument = f" ({self.argument})" if self.argument else ""
        return f"{self.message} ({self.path}{argument}; line {self.line})"


class Returned(Exception):
    """``:return``: ends the function, or the script."""

    def __init__(self, value: Value) -> None:
        super().__init__()
        self.value = value


class LoopControl(Exception):
    """``:break`` and ``:continue``: ends the innermost loop, or this turn of it."""

    def __init__(self, *, ends: bool) -> None:
        super().__init__()
        self.ends = ends


class Quit(Exception):
    """``/quit``: ends the session."""


class Dropped(Exception):
    """A fault cut the connection in the middle of a command, which stops with it."""


class Rebooted(Exception):
    """The router went down under the command."""
