"""The intent log: what is on the disk when `write` returns, what a crash leaves, and what a full disk does."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tminus.domain.endings import LaunchKind
from tminus.domain.occurrence import Occurrence
from tminus.errors import ConfigError
from tminus.store import intent_log
from tminus.store.intent_files import Intent
from tminus.store.intent_log import IntentLog, latest_intent

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ONE, TWO = uuid.UUID(int=1), uuid.UUID(int=2)


def intent(number: int, *, at: datetime = NOON, site: str = "s") -> Intent:
    return Intent(
        key=Occurrence(digest="d", name=f"n{number}").key(site),
        at=at, run=number, nonce=f"{number:016x}", launch=uuid.UUID(int=number), site=site, occurrence=f"n{number}", digest="d",
    )  # fmt: skip


def files(folder: Path) -> list[Path]:
    return sorted((folder / "intents").glob("*.jsonl"))


async def test_what_was_written_is_known_to_this_life_and_the_next(tmp_path: Path) -> None:
    log = IntentLog(tmp_path, ONE)
    assert latest_intent(tmp_path) is None
    await log.write([intent(1), intent(2, site="Zürich \u201c1\u201d")])
    await log.write([intent(3)])
    for life in (log, IntentLog(tmp_path, TWO)):
        assert [x.run for x in life.newest_first()] == [3, 2, 1]
        assert life.is_spent(intent(1).key)
        assert not life.is_spent(intent(4).key)
        assert await life.find(intent(2, site="Zürich \u201c1\u201d").key) == intent(2, site="Zürich \u201c1\u201d")
    assert latest_intent(tmp_path) == intent(3)
    assert log.begun == {1, 2, 3}
    (file,) = files(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert set(lines[0]) == {"key", "at", "run", "nonce", "launch", "site", "occurrence", "digest"}


async def test_two_lives_write_to_files_of_their_own_and_the_order_is_theirs(tmp_path: Path) -> None:
    first, second = IntentLog(tmp_path, ONE), IntentLog(tmp_path, TWO)
    await first.write([intent(1)])
    await second.write([intent(2)])
    await first.write([intent(3)])
    assert len(files(tmp_path)) == 2
    assert [x.run for x in IntentLog(tmp_path, ONE).newest_first()] == [2, 3, 1]


async def test_a_last_line_that_is_not_whole_is_passed_over_wherever_it_ends(tmp_path: Path) -> None:
    await IntentLog(tmp_path, ONE).write([intent(1), intent(2)])
    (file,) = files(tmp_path)
    for _ in intent(2).line():
        os.truncate(file, file.stat().st_size - 1)
        later = IntentLog(tmp_path, TWO)
        assert [x.run for x in later.newest_first()] == [1]
        assert not later.is_spent(intent(2).key)
    await later.write([intent(3)])
    assert [x.run for x in IntentLog(tmp_path, ONE).newest_first()] == [3, 1]


def test_a_log_keeps_its_identity_and_a_copy_on_another_host_has_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = IntentLog(tmp_path, ONE).identity
    assert IntentLog(tmp_path, TWO).identity == here
    monkeypatch.setattr(intent_log.socket, "gethostname", lambda: "elsewhere")
    assert IntentLog(tmp_path, TWO).identity != here
    (tmp_path / "intents/identity").write_text("")
    assert IntentLog(tmp_path, TWO).identity != IntentLog(tmp_path, TWO).identity


async def test_zeros_at_the_end_are_passed_over(tmp_path: Path) -> None:
    await IntentLog(tmp_path, ONE).write([intent(1)])
    with files(tmp_path)[0].open("ab") as file:
        file.write(bytes(300) + b"\n")
    assert [x.run for x in IntentLog(tmp_path, TWO).newest_first()] == [1]


@pytest.mark.parametrize("damage", [b"x", b"\0" * 40, b'{"key": "zz'])
async def test_damage_in_the_middle_is_told_and_not_guessed(tmp_path: Path, damage: bytes) -> None:
    await IntentLog(tmp_path, ONE).write([intent(1), intent(2), intent(3)])
    (file,) = files(tmp_path)
    lines = file.read_bytes().split(b"\n")
    lines[1] = damage + lines[1][len(damage) :]
    file.write_bytes(b"\n".join(lines))
    with pytest.raises(ConfigError, match="is damaged"):
        IntentLog(tmp_path, TWO)
    with pytest.raises(ConfigError, match="is damaged"):
        latest_intent(tmp_path)


async def test_a_folder_that_is_of_no_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be used"):
        IntentLog(tmp_path / "file" / "state", ONE)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], check=False, capture_output=True
    ).returncode:
        pytest.skip("no right to mount a small file system here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_a_full_disk_is_noticed_before_anything_is_committed_and_is_over_when_there_is_room(
    small_disk: Path,
) -> None:
    log = IntentLog(small_disk, ONE)
    await log.write([intent(1)])
    log.look_for_trouble()
    assert log.trouble is None
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    log.look_for_trouble()
    assert log.trouble is not None
    assert "cannot be written (No space left on device)" in log.trouble
    with pytest.raises(OSError, match="No space"):
        await log.write([intent(number) for number in range(2, 100)])
    await log.probe()
    assert log.trouble is not None
    filler.unlink()
    await log.probe()
    assert log.trouble is None
    await log.write([intent(200)])
    assert [x.run for x in log.newest_first()][:1] == [200]
    assert [x.run for x in IntentLog(small_disk, TWO).newest_first()][-1] == 1
    assert not log.is_spent(intent(50).key), "what was not written is not spent"
    assert not IntentLog(small_disk, TWO).is_spent(intent(2).key), "nor is what was written in part"


async def test_a_folder_that_is_deleted_under_it_is_made_again(tmp_path: Path) -> None:
    log = IntentLog(tmp_path, ONE)
    await log.write([intent(1)])
    shutil.rmtree(tmp_path / "intents")
    log.look_for_trouble()
    assert log.trouble is not None
    await log.probe()
    assert log.trouble is None
    await log.write([intent(2)])
    assert [x.run for x in log.newest_first()] == [2]


async def test_files_go_when_their_last_intent_is_old_by_both_clocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intent_log, "_FILE_BYTES", 1)  # a file for each write
    log = IntentLog(tmp_path, ONE)
    now = datetime.now(UTC)
    for number, days in ((1, 500), (2, 450), (3, 100), (4, 0)):
        await log.write([intent(number, at=now - timedelta(days=days))])
    old = [file.name for file in files(tmp_path)]
    assert len(old) == 4
    IntentLog(tmp_path, TWO, keep_days=400)
    assert [file.name for file in files(tmp_path)] == old, "written today, whatever the database called the time"
    for file, days in zip(files(tmp_path), (500, 450, 100, 0), strict=True):
        then = (now - timedelta(days=days)).timestamp()
        os.utime(file, (then, then))
    IntentLog(tmp_path, TWO, keep_days=0)
    assert [file.name for file in files(tmp_path)] == old, "0 is for ever"
    kept = IntentLog(tmp_path, TWO, keep_days=400)
    assert [file.name for file in files(tmp_path)] == old[2:]
    assert (kept.is_spent(intent(2).key), kept.is_spent(intent(3).key)) == (False, True)
    await kept.write([intent(5)])
    assert files(tmp_path)[-1].name.startswith("000005-")


class TestOccurrence:
    LAUNCH = uuid.UUID(int=7)

    def name(self, *, kind: LaunchKind = LaunchKind.SCHEDULED, launch: uuid.UUID = LAUNCH, recurring: bool = False,
             due_at: datetime = NOON, digest: str | None = "d", moved: bool = False) -> Occurrence:  # fmt: skip
        return Occurrence.of(digest=digest, kind=kind, launch=launch, due_at=due_at, recurring=recurring, moved=moved)

    def test_a_launch_that_was_deleted_and_inserted_again_is_the_same(self) -> None:
        assert self.name() == self.name(launch=uuid.UUID(int=8))
        assert self.name() == self.name(launch=uuid.UUID(int=8), due_at=NOON + timedelta(hours=1))
        assert self.name(recurring=True) == self.name(recurring=True, launch=uuid.UUID(int=8))

    def test_what_may_run_again_is_another(self) -> None:
        later = NOON + timedelta(days=1)
        assert self.name(recurring=True) != self.name(recurring=True, due_at=later)
        assert self.name() != self.name(digest="edited")
        assert len({self.name(kind=kind) for kind in LaunchKind}) == len(LaunchKind)
        assert self.name(kind=LaunchKind.RETRY) != self.name(kind=LaunchKind.RETRY, launch=uuid.UUID(int=8))

    def test_what_is_run_now_is_one_launch_more_of_a_rule_and_the_only_one_of_a_time(self) -> None:
        now = self.name(recurring=True, moved=True)
        assert now == self.name(recurring=True, moved=True, due_at=NOON + timedelta(hours=1))
        assert now != self.name(recurring=True, moved=True, launch=uuid.UUID(int=8))
        assert now != self.name(recurring=True)
        assert self.name(moved=True) == self.name()

    def test_a_key_is_of_one_site_and_does_not_depend_on_how_a_moment_is_written(self) -> None:
        other_zone = NOON.astimezone(__import__("zoneinfo").ZoneInfo("Asia/Tokyo"))
        assert self.name(recurring=True, due_at=other_zone) == self.name(recurring=True)
        assert self.name().key("a") != self.name().key("b")
        assert Occurrence(digest="ab", name="c").key("s") != Occurrence(digest="a", name="bc").key("s")
