"""A person at a terminal: types, and waits for what the screen should show."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncssh

from tests.device.simulator.client import connected
from tminus.simulator import Fleet


class Screen:
    def __init__(self, process: asyncssh.SSHClientProcess[bytes]) -> None:
        self.process = process
        self._all = bytearray()
        self._unread = bytearray()

    @property
    def all(self) -> bytes:
        """All that came."""
        return bytes(self._all)

    def type(self, keys: bytes) -> None:
        self.process.stdin.write(keys)

    async def until(self, text: bytes, *, within: float = 10) -> bytes:
        """Wait for a text, and return what came up to its end."""
        looked_until = 0  # what is searched already is not searched again: it may be megabytes
        try:
            async with asyncio.timeout(within):
                while (at := self._unread.find(text, looked_until)) < 0:
                    looked_until = max(len(self._unread) - len(text) + 1, 0)
                    data = await self.process.stdout.read(65536)
                    assert data, f"the session ended; {text!r} is not in {self._unread!r}"
                    self._all += data
                    self._unread += data
        except TimeoutError:
            raise AssertionError(
                f"{text!r} is not in the {len(self._unread)} bytes: …{self._unread[-2000:]!r}"
            ) from None
        head = bytes(self._unread[:at])
        del self._unread[: at + len(text)]
        return head + text

    async def run(self, line: bytes, prompt: bytes = b"] > ") -> bytes:
        """Type a line, and return what it printed, with LF line ends: all between its last echo and the next prompt."""
        self.type(line + b"\r")
        await self.until(line + b"\x1b[K\r\n\r")
        shown = await self.until(b"\r\r\r\r")
        await self.until(prompt)
        return shown.removesuffix(b"\r\r\r\r").replace(b"\r\n", b"\n")

    async def ended(self) -> int | None:
        """Wait for the end of the session; its exit status, None where there is none."""
        async with asyncio.timeout(10):
            with contextlib.suppress(asyncssh.ConnectionLost):
                while data := await self.process.stdout.read(4096):
                    self._all += data
            return (await self.process.wait()).exit_status


@asynccontextmanager
async def terminal(
    fleet: Fleet, suffix: str = "+ct", size: tuple[int, int] = (120, 50), **options: object
) -> AsyncIterator[Screen]:
    """A session with a terminal. ``suffix`` goes behind the user's name."""
    async with connected(fleet, username=fleet.spec.username + suffix, **options) as connection:
        process = await connection.create_process(term_type="xterm", term_size=size)
        yield Screen(process)
