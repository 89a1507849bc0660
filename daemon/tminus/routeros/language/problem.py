"""What is wrong with a script, in RouterOS's own words."""

from __future__ import annotations

from tminus.errors import TminusError

SYNTAX = "syntax error"
NO_COMMAND = "expected command name"
NO_END = "expected end of command"
NO_BRACE = "missing closing brace"


class ScriptSyntaxError(TminusError):
    """RouterOS would not read this script, so none of it would run. The text is what the router prints."""

    def __init__(self, message: str, line: int, column: int, *, by_name: bool = False) -> None:
        super().__init__(f"{message} (line {line} column {column})")
        self.message = message
        self.line = line  # from 1
        self.column = column  # as RouterOS counts, see ast.Position
        # True: a device with another version or with more packages may know the name that we stumbled over.
        self.by_name = by_name
