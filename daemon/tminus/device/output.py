"""What a command sent back, held within a fixed amount of memory. Pure: no I/O, no asyncssh."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Ended", "ExecResult", "LineWatch", "Output"]


class Ended(StrEnum):
    """How it came that we stopped listening to a command."""

    CLOSED = "closed"
    """The router closed the channel. Proves nothing about success: RouterOS says exit status 0 after failures too."""
    LOST = "lost"
    """The connection ended, or the router has been silent for too long, while the command may be running."""
    TIMED_OUT = "timed_out"
    """The deadline passed; the command may be running."""
    TOLD = "told"
    """A line that was waited for arrived, and the router kept the channel open. What the line proves is for the caller."""
    OVERFLOW = "overflow"
    """It sent more than the cap, and the connection was aborted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecResult:
    """What is known about a command."""

    output: bytes
    """stdout and stderr as they arrived, raw. Hostile: neither clean nor UTF-8. Never much longer than the cap."""
    exit_status: int | None
    """0 to 255, or None if none was sent (the connection ended, or a signal did)."""
    truncated: bool
    """Something was left out of `output`, which says where and how much."""
    ended: Ended


class Output:
    """Bytes from a router: the first half of `cap` as they came, and the latest half.

    A command's proof stands at the end of its output and the cause of trouble often at the beginning, so the middle is
    what goes. At most 1.5 x `cap` bytes are held at any time.
    """

    def __init__(self, cap: int) -> None:
        if cap < 2:
            raise ValueError("an output cap is at least 2 bytes")
        self._cap = cap
        self._half = cap // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0

    def add(self, data: bytes) -> None:
        """Take in what arrived next."""
        self._total += len(data)
        room = self._cap - self._half - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        if len(self._tail) > 2 * self._half:
            del self._tail[: -self._half]

    @property
    def truncated(self) -> bool:
        """Return whether more than the cap arrived."""
        return self._total > self._cap

    def __bytes__(self) -> bytes:
        if not self.truncated:
            return bytes(self._head + self._tail)
        gap = b"\n[... %d bytes left out ...]\n" % (self._total - self._cap)
        return bytes(self._head) + gap + bytes(self._tail[-self._half :])


class LineWatch:
    """Notices the first whole line that begins with one of `beginnings`, in bytes that come in pieces.

    Each byte is looked at about once, and no more than such a beginning is held.
    """

    def __init__(self, beginnings: tuple[bytes, ...]) -> None:
        self._marks = tuple(b"\n" + beginning for beginning in beginnings)
        self._held = b"\n"  # output begins a line
        self._begun = False
        self.seen = False

    def add(self, data: bytes) -> bool:
        """Take in what arrived next; return whether the line is whole."""
        if self.seen or not self._marks:
            return self.seen
        if not self._begun:
            data = self._held + data
            places = [place for mark in self._marks if (place := data.find(mark)) >= 0]
            if not places:
                self._held = data[-max(map(len, self._marks)) :]
                return False
            self._begun, self._held, data = True, b"", data[min(places) + 1 :]
        self.seen = b"\n" in data
        return self.seen
