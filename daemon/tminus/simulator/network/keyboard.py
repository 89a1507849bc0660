"""The keys of a terminal, read one by one from what the client sends."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

CTRL_C, CTRL_D, CTRL_X = b"\x03", b"\x04", b"\x18"
F1, F4, UP, DOWN = b"\x1bOP", b"\x1bOS", b"\x1b[A", b"\x1b[B"
MAX_AHEAD = 1 << 20  # bytes typed ahead that are kept; a client that sends more has to wait

_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[ -~]|[^\[O])", re.DOTALL)
_ESCAPE_S = 0.05  # an Escape that nothing follows for so long is a key of its own
_SAME = {b"\x1b[11~": F1, b"\x1b[14~": F4, b"\x1bOA": UP, b"\x1bOB": DOWN}


class Gone(Exception):
    """The client will send nothing any more."""


class Keyboard:
    """``read`` gives more bytes, none at the end of the input. ``interrupted`` is called for Ctrl-C while it is set."""

    def __init__(self, read: Callable[[], Awaitable[bytes]]) -> None:
        self._read = read
        self._ahead = bytearray()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._ended = False
        self.interrupted: Callable[[], None] | None = None

    async def pump(self) -> None:
        """Take what the client sends until it sends no more; runs beside whatever waits for keys."""
        try:
            while data := await self._read():
                if self.interrupted is not None and CTRL_C in data:
                    self._ahead.clear()
                    self._ahead += data.rpartition(CTRL_C)[2]
                    self.interrupted()
                else:
                    self._ahead += data
                self._news.set()
                self._room.clear()
                if len(self._ahead) > MAX_AHEAD:
                    await self._room.wait()
        finally:
            self._ended = True
            self._news.set()

    async def key(self) -> bytes:
        """One byte, or one escape sequence; empty when nothing will come any more. It waits as long as it takes."""
        while not self._ahead:
            if self._ended:
                return b""
            await self._more()
        if self._ahead[:1] == b"\x1b":
            return await self._escape()
        return self._take(1)

    async def answer(self) -> bytes:
        """A key that somebody has to press; Gone if nobody will."""
        key = await self.key()
        if not key:
            raise Gone
        return key

    async def line(self) -> bytes | None:
        """Up to the end of a line, without it; None when nothing will come any more."""
        while (end := self._ahead.find(b"\n")) < 0:
            if self._ended:
                return self._take(len(self._ahead)) if self._ahead else None
            if len(self._ahead) > MAX_AHEAD:
                return self._take(len(self._ahead))
            await self._more()
        return self._take(end + 1).rstrip(b"\r\n")

    async def report(self, wait_s: float) -> int | None:
        """The column that a terminal reports; None if it does not for so long. What is typed meanwhile is kept."""
        pattern = re.compile(rb"\x1b\[\d{1,6};(\d{1,6})R")
        try:
            async with asyncio.timeout(wait_s):
                while (found := pattern.search(self._ahead)) is None:
                    if self._ended:
                        return None
                    await self._more()
        except TimeoutError:
            return None
        column = int(found[1])
        del self._ahead[found.start() : found.end()]
        return column

    async def _more(self) -> None:
        self._news.clear()
        self._room.set()
        await self._news.wait()

    async def _escape(self) -> bytes:
        while (found := _SEQUENCE.match(self._ahead)) is None and not self._ended:
            try:
                async with asyncio.timeout(_ESCAPE_S):
                    await self._more()
            except TimeoutError:
                break
        sequence = self._take(found.end() if found else 1)
        return _SAME.get(sequence, sequence)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._ahead[:count])
        del self._ahead[:count]
        if len(self._ahead) <= MAX_AHEAD:
            self._room.set()
        return taken
