"""A route that is taken away swallows packets, also of connections that are open, and comes back."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.namespace import enter, find_route, lose_route

_ADDRESS = "127.44.0.3"


async def lose_and_find() -> None:
    """What the child process does, in a network of its own."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            heard.put_nowait(data)
        writer.close()

    async with await asyncio.start_server(listen, _ADDRESS, 0) as server:
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection(_ADDRESS, port)
        writer.write(b"before")
        assert await asyncio.wait_for(heard.get(), 10) == b"before"
        await lose_route(_ADDRESS)
        writer.write(b"during")
        try:
            raise AssertionError(f"heard {await asyncio.wait_for(heard.get(), 1)!r}")
        except TimeoutError:
            pass
        await find_route(_ADDRESS)
        assert await asyncio.wait_for(heard.get(), 30) == b"during"
        writer.close()


def test_what_is_sent_while_a_route_is_lost_arrives_when_it_is_back_and_not_before() -> None:
    if os.geteuid() != 0:
        pytest.skip("NOT RUN: only root has a network of its own")
    child = (sys.executable, "-m", "tests.faults.test_namespace")
    ran = subprocess.run(child, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=90, check=False)
    if ran.returncode == 77:
        pytest.skip(f"NOT RUN: no network of our own could be had: {ran.stdout}")
    assert ran.returncode == 0, ran.stderr


if __name__ == "__main__":
    if why_not := enter():
        sys.stdout.write(why_not)
        sys.exit(77)
    asyncio.run(lose_and_find())
