"""What a terminal shows, byte by byte: prompts, echoes, repaints. It follows public captures of 6.49 and 7.23."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tminus.simulator.terminal import BOTTOM, ERASE, LoginName, Terminal
from tminus.simulator.versions import Version

if TYPE_CHECKING:
    from tminus.simulator.router import LogLine


class Screen:
    """``size`` is what the client said of its terminal; None if it asked for none, then nothing is painted."""

    def __init__(
        self,
        login: LoginName,
        switches: Terminal,
        version: Version,
        *,
        size: tuple[int, int] | None,
        send: Callable[[bytes], None],
    ) -> None:
        self.plain = size is None
        self.hidden = False  # the terminal answered no probe, and sees no output
        self.width = login.width or 80
        self.height = login.height or 24
        self._login = login
        self._switches = switches
        self._version = version
        self._send = send
        self.resize(*(size or (0, 0)))

    def resize(self, width: int, height: int) -> None:
        """The client's window changed; a size in the login name stays, and 0 says nothing."""
        self.width = self._login.width or width or self.width
        self.height = self._login.height or height or self.height

    def raw(self, text: str) -> None:
        self._send(text.encode("utf-8", "surrogateescape"))

    def write(self, text: str) -> None:
        """Text with LF line ends."""
        self.raw(text.replace("\r\n", "\n").replace("\n", "\r\n"))

    @property
    def erase(self) -> str:
        return "" if self._login.dumb else ERASE

    @property
    def bottom(self) -> str:
        """Late versions go to the bottom of the screen in any case, old ones where they probed for it."""
        skipped = self._login.dumb or (self._version.legacy and not self._login.probes)
        return "" if skipped else BOTTOM

    def coloured(self, typed: bytes) -> str:
        text = typed.decode("utf-8", "surrogateescape")
        return f"\x1b[36m{text}\x1b[m" if text and self._login.colours and not self._login.dumb else text

    def _blanks(self, shown: int) -> str:
        return " " * max(self.width - 1 - shown, 0) if self._switches.terminal_pads else ""

    def prompt(self, text: str) -> None:
        self.raw(f"\r\r\r\r{self.bottom}{text}")
        if self._switches.terminal_prompts_twice:
            self.raw(f"{self._blanks(len(text))}\r{text}")

    def question(self, text: str) -> None:
        """One of the login's fields, which is painted twice."""
        self.raw(f"\r\r\r{self.bottom}{text}\r{text}{self.erase}")

    def repaint(self, prompt: str, typed: bytes, key: bytes) -> None:
        """After a key: the key, and the line again over itself.

        A line that is longer than the terminal is wide is not painted again. Routers were seen to scroll it sideways.
        """
        echo = key.decode("utf-8", "surrogateescape")
        if (key and not self._switches.terminal_repaints_keys) or len(typed) > self.width:
            self.raw(echo)
            return
        text = f"{prompt}{self.coloured(typed)}"
        self.raw(f"{echo}\r\r{text}{self._blanks(len(prompt) + len(typed))}{self.erase}\r{text}")

    def entered(self, prompt: str, typed: bytes) -> None:
        """After Enter: the line once more, and a new one."""
        self.raw(f"\r{prompt}{self.coloured(typed)}{self.erase}\r\n\r")

    def alarm(self, line: LogLine) -> None:
        """A critical line of the log, which comes without being asked for."""
        self.write(f"\r{line.moment:%H:%M:%S} echo: {line.topics} {line.message}{self.erase}\n")
