"""A network that fails on demand does fail: a fault test through a proxy that lets everything pass would prove nothing."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tests.faults.proxy import Proxy, proxied
from tests.support import until


@asynccontextmanager
async def _echo() -> AsyncIterator[tuple[Proxy, asyncio.StreamReader, asyncio.StreamWriter]]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionResetError):
            while data := await reader.read(100):
                writer.write(data)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, proxied(("127.0.0.1", server.sockets[0].getsockname()[1])) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"hello")
        assert await asyncio.wait_for(reader.readexactly(5), 5) == b"hello"
        try:
            yield proxy, reader, writer
        finally:
            writer.close()
            await proxy.close()
            await until(_nobody(server), within=5)


def _nobody(server: asyncio.Server) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return not server._active_count  # type: ignore[attr-defined]

    return look


async def _silent(reader: asyncio.StreamReader) -> bool:
    try:
        await asyncio.wait_for(reader.read(100), 0.3)
    except TimeoutError:
        return True
    return False


async def test_frozen_it_passes_nothing_and_tells_nobody_and_thawed_it_goes_on() -> None:
    async with _echo() as (proxy, reader, writer):
        proxy.freeze()
        writer.write(b"late!")
        assert await _silent(reader)
        proxy.thaw()
        assert await asyncio.wait_for(reader.readexactly(5), 5) == b"late!"


async def test_swallowed_answers_never_come() -> None:
    async with _echo() as (proxy, reader, writer):
        proxy.down.swallows = True
        writer.write(b"asked")
        assert await _silent(reader)

        async def arrived() -> bool:
            return proxy.up.passed == 10

        await until(arrived, within=5)


async def test_dropped_the_client_sees_an_end() -> None:
    async with _echo() as (proxy, reader, _):
        proxy.drop()
        assert await asyncio.wait_for(reader.read(100), 5) == b""


async def test_reset_the_client_sees_a_reset() -> None:
    async with _echo() as (proxy, reader, _):
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(100), 5)


async def test_half_closed_the_client_sees_an_end_and_is_still_heard() -> None:
    async with _echo() as (proxy, reader, writer):
        proxy.half_close()
        assert await asyncio.wait_for(reader.read(100), 5) == b""
        writer.write(b"still")

        async def heard() -> bool:
            return proxy.up.passed == 10

        await until(heard, within=5)


async def test_a_client_that_resets_is_reset_to_the_server_as_well() -> None:
    async with _echo() as (proxy, _, writer):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

        async def gone() -> bool:
            return proxy.open == 0

        await until(gone, within=5)


async def test_throttled_it_takes_its_time() -> None:
    async with _echo() as (proxy, reader, writer):
        proxy.down.bytes_per_second = 1000
        loop = asyncio.get_running_loop()
        begun = loop.time()
        writer.write(b"x" * 300)
        await asyncio.wait_for(reader.readexactly(300), 5)
        assert loop.time() - begun > 0.2


async def test_delayed_each_piece_comes_later() -> None:
    async with _echo() as (proxy, reader, writer):
        proxy.down.delay = 0.3
        loop = asyncio.get_running_loop()
        begun = loop.time()
        writer.write(b"slow!")
        await asyncio.wait_for(reader.readexactly(5), 5)
        assert loop.time() - begun > 0.25


async def test_refused_nobody_gets_in_until_it_listens_again() -> None:
    async with _echo() as (proxy, _, _):
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        await proxy.listen()
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.close()


async def test_a_trigger_fires_once_after_so_many_bytes() -> None:
    async with _echo() as (proxy, reader, writer):
        fired: list[int] = []
        proxy.when_down(3, lambda: fired.append(proxy.down.passed))
        writer.write(b"abcd")
        await asyncio.wait_for(reader.readexactly(4), 5)
        writer.write(b"efgh")
        await asyncio.wait_for(reader.readexactly(4), 5)
        assert fired == [9]
