"""An export that is much shorter than the last one of its router counts only together with a second one, as a file."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.test_export import V7
from tminus.routeros.export import Export, read_export_file
from tminus.services import exports
from tminus.services.exports import Taken, take_plausible_export


def export_of(more: str) -> Export:
    content = (V7 + more).encode()
    read = read_export_file(content, len(content))
    assert isinstance(read, Export)
    return read


SHORT = export_of("")
LONG = export_of("/ip dns static\n" + "add address=192.0.2.1 name=a.example\n" * 200)


async def take(monkeypatch: pytest.MonkeyPatch, as_file: Taken, last: int | None) -> tuple[Taken, int]:
    written = 0

    async def over_session(*_: Any, **__: Any) -> Taken:
        return Taken(export=SHORT)

    async def in_file(*_: Any) -> Taken:
        return as_file

    def writing() -> None:
        nonlocal written
        written += 1

    monkeypatch.setattr(exports, "take_export", over_session)
    monkeypatch.setattr(exports, "_as_file", in_file)
    nothing: Any = None
    return await take_plausible_export(nothing, nothing, nothing, nothing, last=last, writing=writing), written


@pytest.mark.parametrize("last", [None, SHORT.raw_bytes, 2 * SHORT.raw_bytes])
async def test_one_of_a_plausible_length_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, last: int | None) -> None:
    assert await take(monkeypatch, Taken(why="never asked"), last) == (Taken(export=SHORT), 0)


async def test_where_the_file_has_more_the_session_lost_it(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, written = await take(monkeypatch, Taken(export=LONG, left=True), LONG.raw_bytes)
    assert (taken.export, taken.left, taken.doubt, written) == (LONG, True, "", 1)


async def test_where_the_file_is_the_same_it_is_taken_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, _ = await take(monkeypatch, Taken(export=SHORT), LONG.raw_bytes)
    assert taken.export == SHORT
    assert "is the same" in taken.doubt


async def test_without_a_file_it_is_no_backup(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, written = await take(monkeypatch, Taken(why="as a file: no SFTP", left=True), LONG.raw_bytes)
    assert (taken.export, taken.why, taken.left, written) == (None, "as a file: no SFTP", True, 1)
