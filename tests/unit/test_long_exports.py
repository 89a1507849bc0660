"""An export that takes long to read holds up nobody but its own site."""

from __future__ import annotations

import asyncio

import pytest

from tminus.routeros.export import Export, read_export
from tminus.services.exports import _unhurried

HEADER = b"# 2026-11-05 12:16:16 by RouterOS 7.20.8\n"
MARKER = "TMINUS-END-0123456789abcdef"


async def turns_of_the_loop_while_reading(line: bytes, size: int) -> int:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    counting = asyncio.create_task(count())
    content = HEADER + line * (size // len(line)) + MARKER.encode() + b"\n"
    assert isinstance(await _unhurried(read_export, content, MARKER), Export)
    counting.cancel()
    return turns


@pytest.mark.parametrize("line", [b"#\n", b"\xff\n", b"\x1b]\n"])
async def test_the_loop_turns_while_a_hostile_export_is_read(line: bytes) -> None:
    assert await turns_of_the_loop_while_reading(line, 4_000_000) > 10


async def test_an_ordinary_export_is_read_at_once() -> None:
    assert await turns_of_the_loop_while_reading(b"add name=x\n", 100_000) <= 1
