"""An export that takes long to read holds up nobody but its own site."""

from __future__ import annotations

import asyncio

import pytest

from tminus.routeros.export import Export, read_export, read_export_file
from tminus.services.aftermath import difference
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
    assert await turns_of_the_loop_while_reading(line, 4_000_000) > 3  # at once it would be one at most, see below


async def test_an_ordinary_export_is_read_at_once() -> None:
    assert await turns_of_the_loop_while_reading(b"add name=x\n", 100_000) <= 1


def export_of(*lines: str) -> Export:
    content = HEADER + "".join(f"{line}\n" for line in lines).encode()
    read = read_export_file(content, len(content))
    assert isinstance(read, Export)
    return read


async def is_found_at_once(before: Export, after: Export) -> bool:
    """Whether the loop had no turn until the difference was there."""
    finding = asyncio.create_task(difference(before, after))
    await asyncio.sleep(0)
    at_once = finding.done()
    assert await finding
    return at_once


async def test_the_loop_turns_while_exports_that_have_little_in_common_are_compared() -> None:
    few = [f"add x={'ab'[n % 2]}{n % 7}" for n in range(5_000)]
    assert not await is_found_at_once(export_of(*few), export_of(*(line + "z" for line in few)))
    moved = [f"/menu{n // 100}" if n % 100 == 0 else f"add x={n}" for n in range(5_000)]
    assert not await is_found_at_once(export_of(*moved), export_of(*moved[2_000:], *moved[:2_000], "add y=1"))


async def test_what_a_script_changes_in_a_long_export_is_found_at_once() -> None:
    long = [f"add name=x{n} comment=something" for n in range(20_000)]
    assert await is_found_at_once(export_of(*long), export_of(*long[:9_000], "add name=y", *long[9_100:]))
