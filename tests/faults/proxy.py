"""A TCP proxy with which a network fails on demand: freeze, swallow, drop, reset, half-close, throttle, delay, refuse.

It needs no privilege, unlike netem and packet filters, and can do the same to one daemon's database while another keeps it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

_CHUNK = 65536
_TICK = 0.02  # seconds between the pieces of a throttled stream

Target = tuple[str, int] | Path
"""Host and port, or the path of a unix socket."""


@dataclass(slots=True, eq=False)
class Direction:
    """What happens to the bytes that go one way."""

    flows: asyncio.Event
    swallows: bool = False  # read, and never handed on
    bytes_per_second: float | None = None
    delay: float = 0.0  # seconds, for each piece that is read
    passed: int = 0
    trigger_at: int | None = None
    trigger: Callable[[], None] = field(default=lambda: None)


@dataclass(slots=True, eq=False)
class _Pair:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    half_closed: bool = False  # towards the client


class Proxy:
    """`up` is towards the target. Whatever is set holds for connections that are open, and for later ones."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._pairs: set[_Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.up = Direction(asyncio.Event())
        self.down = Direction(asyncio.Event())
        self.host = "127.0.0.1"
        self.port = 0
        self.accepted = 0
        """Connections until now, also those that have come no farther than here."""
        self.thaw()

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._accepted, self.host, self.port, reuse_address=True)
        self.port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """New connections are refused until `listen`."""
        if self._server is not None:
            self._server.close()
            self._server = None

    # -- what can go wrong ---------------------------------------------------------------------------------------------

    def freeze(self) -> None:
        """Nothing passes any more, and nobody is told: a cable that was pulled."""
        self.up.flows.clear()
        self.down.flows.clear()

    def thaw(self) -> None:
        for way in (self.up, self.down):
            way.flows.set()
            way.swallows = False

    def drop(self) -> None:
        """Both sides see the other close in an orderly way."""
        for pair in list(self._pairs):
            pair.client.close()
            pair.server.close()

    def reset(self) -> None:
        """Both sides see a reset."""
        for pair in list(self._pairs):
            for side in (pair.client, pair.server):
                end = side.get_extra_info("socket")
                if end is not None and end.family != socket.AF_UNIX:
                    with contextlib.suppress(OSError):  # closed already
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                side.transport.abort()

    def half_close(self) -> None:
        """The client sees the end of the stream; what it sends still arrives."""
        for pair in list(self._pairs):
            if not pair.half_closed:
                pair.half_closed = True
                pair.client.write_eof()

    def when_down(self, count: int, act: Callable[[], None]) -> None:
        """Call `act` once, when `count` bytes more have come from the target."""
        self.down.trigger_at, self.down.trigger = self.down.passed + count, act

    # -- what goes right -----------------------------------------------------------------------------------------------

    @property
    def open(self) -> int:
        return len(self._pairs)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.create_task(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self.up.flows.wait()
            if isinstance(self._target, Path):
                far_reader, far = await asyncio.open_unix_connection(str(self._target))
            else:
                far_reader, far = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        pair = _Pair(writer, far)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._pump(reader, pair, self.up), self._pump(far_reader, pair, self.down))
        finally:
            self._pairs.discard(pair)
            writer.close()
            far.close()

    async def _pump(self, reader: asyncio.StreamReader, pair: _Pair, way: Direction) -> None:
        """Carry one direction. An end is handed on as an end, and a reset as one."""
        writer = pair.server if way is self.up else pair.client
        try:
            while data := await reader.read(_CHUNK):
                if way.delay:
                    await asyncio.sleep(way.delay)
                for piece in _pieces(data, way.bytes_per_second):
                    await way.flows.wait()
                    if way.bytes_per_second:
                        await asyncio.sleep(_TICK)
                    if way.swallows or (way is self.down and pair.half_closed):
                        continue
                    writer.write(piece)
                    await writer.drain()
                    way.passed += len(piece)
                    if way.trigger_at is not None and way.passed >= way.trigger_at:
                        way.trigger_at = None
                        way.trigger()
            await way.flows.wait()
            if not (way is self.down and pair.half_closed) and not writer.is_closing():
                writer.write_eof()
        except OSError:
            await way.flows.wait()
            pair.client.transport.abort()
            pair.server.transport.abort()

    async def close(self) -> None:
        self.refuse()
        for pair in list(self._pairs):
            pair.client.transport.abort()
            pair.server.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # the transports close in the next round of the loop


def _pieces(data: bytes, bytes_per_second: float | None) -> list[bytes]:
    size = len(data) if not bytes_per_second else max(int(bytes_per_second * _TICK), 1)
    return [data[at : at + size] for at in range(0, len(data), size)]


@asynccontextmanager
async def proxied(target: Target) -> AsyncIterator[Proxy]:
    proxy = Proxy(target)
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.close()
