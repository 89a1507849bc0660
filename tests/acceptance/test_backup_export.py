"""Backups become files in a git repository: each once, in order, whatever else happens to the repository."""

from __future__ import annotations

import hashlib
import subprocess
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.acceptance.test_cli import Cli
from tests.support import Db, skip_without
from tminus.cli.backup_export import Exported, file_name

pytestmark = skip_without("git", unless="REQUIRE_GIT")

ODD = "../../etc/Passwd \N{SNOWMAN}"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Shelf:
    """A database whose backups are put there by hand, hours old, a minute after the other."""

    db: Db
    folder: Path
    minutes: int = 0
    runs: dict[tuple[UUID, str], int] = field(default_factory=dict)

    @property
    def cli(self) -> Cli:
        return Cli(self.db)

    async def launch(self, description: str = "Nightly") -> UUID:
        launch = uuid.uuid4()
        async with self.db.connect() as connection:
            await connection.execute("set session_replication_role = replica")
            await connection.execute(
                "insert into tminus.launches (id, script_id, state, due_at, start_until, description, script, sites, make_backup,"
                " abort_if_offline, start_within, site_timeout, created_by, finished_at)"
                " values ($1, $1, 'finished', $3, $3, $2, 'x', '{}', true, false, '1 hour', '1 hour', 'alice', $3)",
                launch, description, NOON,
            )  # fmt: skip
        return launch

    async def put(
        self, launch: UUID, phase: str, *texts: tuple[str, str], number: int | None = None, age: timedelta | None = None
    ) -> None:
        """Store (site, text) after (site, text); `number` instead of the next one, `age` instead of some hours."""
        async with self.db.connect() as connection:
            await connection.execute("set session_replication_role = replica")
            for site, text in texts:
                sha256 = hashlib.sha256(text.encode()).digest()
                at = NOON + timedelta(minutes=self.minutes)
                self.minutes += 1
                await connection.execute(
                    "insert into tminus.sites (id, name, address) values ($1, 'n', md5($1)) on conflict do nothing",
                    site,
                )
                await connection.execute(
                    "insert into tminus.backup_texts values ($1, $2) on conflict do nothing", sha256, text
                )
                run = self.runs.setdefault((launch, site), len(self.runs) + 1)
                await connection.execute(
                    "insert into tminus.backups (id, site_id, launch_id, site_run_id, phase, taken_at, sha256, header, raw_bytes)"
                    " overriding system value values (coalesce($7::bigint, nextval('tminus.backups_id_seq')), $1, $2, $3, $4,"
                    " coalesce(tminus.clock() - $8::interval, $5), $6, '# header', 1)",
                    site, launch, run, phase, at, sha256, number, age,
                )  # fmt: skip

    async def next_number(self) -> int:
        number: int = await self.db.value("select nextval('tminus.backups_id_seq')")
        return number

    async def export(self) -> str:
        answer = await self.cli.ok("backup", "export", "--git", str(self.folder), login="rita")
        return answer.out + answer.err

    def git(self, *arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(self.folder), "-c", "user.name=n", "-c", "user.email=e", *arguments],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip

    def subjects(self) -> list[str]:
        return self.git("log", "--reverse", "--format=%s").splitlines()

    def file(self, site: str, at: str = "") -> str:
        if at:
            return self.git("show", f"{at}:sites/{file_name(site)}")
        return (self.folder / "sites" / file_name(site)).read_text()


@pytest.fixture
def shelf(database: Db, tmp_path: Path) -> Shelf:
    return Shelf(database, tmp_path / "repository")


async def test_a_file_a_site_and_a_commit_a_launch_and_phase(shelf: Shelf) -> None:
    launch = await shelf.launch("Block\na blacklist")
    await shelf.put(launch, "before", ("a", "1\n"), (ODD, "1\n"), ("A", "2\n"))
    await shelf.put(launch, "after", ("a", "1\nmore\n"), (ODD, "1\n"))
    assert await shelf.export() == f"exported 5 backups in 2 commits to {shelf.folder}\n"
    assert shelf.subjects() == [
        "before: Block a blacklist (3 sites, 3 changed)",
        "after: Block a blacklist (2 sites, 1 changed)",
    ]
    assert (shelf.file("a"), shelf.file(ODD), shelf.file("A")) == ("1\nmore\n", "1\n", "2\n")
    assert shelf.file("a", at="HEAD~1") == "1\n"
    assert sorted(path.name for path in (shelf.folder / "sites").iterdir()) == sorted(map(file_name, ("a", "A", ODD)))
    assert shelf.git("status", "--porcelain") == ""
    # The dates are those of the backups: of the third, and of the fifth.
    assert shelf.git("log", "--reverse", "--format=%at").split() == [
        str(int((NOON + timedelta(minutes=minutes)).timestamp())) for minutes in (2, 4)
    ]
    message = shelf.git("log", "-1", "--format=%B")
    assert (
        f"launch {launch}, scheduled, due 2026-03-01 12:00:00 UTC\n\nchanged:\n  a\n\nunchanged:\n  {ODD}\n" in message
    )
    assert shelf.git("fsck", "--strict", "--no-dangling") == ""
    assert shelf.folder.stat().st_mode & 0o077 == 0


async def test_again_it_writes_what_is_new_and_nothing_else(shelf: Shelf) -> None:
    launch = await shelf.launch()
    await shelf.put(launch, "before", ("a", "1\n"))
    await shelf.export()
    head = shelf.git("rev-parse", "HEAD")
    assert "has all backups already" in await shelf.export()
    assert shelf.git("rev-parse", "HEAD") == head
    await shelf.put(launch, "after", ("a", "2\n"))
    # Its own work on top, as people do.
    (shelf.folder / "README").write_text("Ours.\n")
    shelf.git("add", "README")
    shelf.git("commit", "-qm", "Say what this is")
    await shelf.export()
    assert shelf.subjects() == [
        "before: Nightly (1 site, 1 changed)",
        "Say what this is",
        "after: Nightly (1 site, 1 changed)",
    ]
    assert (shelf.file("a"), (shelf.folder / "README").read_text()) == ("2\n", "Ours.\n")


async def test_launches_that_ran_side_by_side_leave_every_site_its_own_order(shelf: Shelf) -> None:
    one, two = await shelf.launch("One"), await shelf.launch("Two")
    await shelf.put(one, "before", ("a", "a1\n"))
    await shelf.put(two, "before", ("b", "b1\n"))
    await shelf.put(two, "after", ("b", "b2\n"))
    await shelf.put(one, "after", ("a", "a2\n"))
    await shelf.put(one, "before", ("b", "b3\n"))
    await shelf.put(two, "before", ("a", "a3\n"))
    await shelf.export()
    for site in ("a", "b"):
        commits = shelf.git("log", "--reverse", "--format=%h", "--", f"sites/{site}.rsc").split()
        assert [shelf.file(site, at=commit) for commit in commits] == [f"{site}{n}\n" for n in (1, 2, 3)]


async def test_a_number_that_is_committed_late_is_not_missed(shelf: Shelf) -> None:
    launch = await shelf.launch()
    now = timedelta()
    await shelf.put(launch, "before", ("a", "a\n"))
    late = await shelf.next_number()  # given to a transaction that is still open
    await shelf.put(launch, "before", ("b", "b\n"), age=now)
    await shelf.export()
    assert "Tminus-Exported: 1\nTminus-Also: 3\n" in shelf.git("log", "-1", "--format=%B")
    assert "has all backups already" in await shelf.export()
    await shelf.put(launch, "before", ("c", "c\n"), number=late, age=now)
    assert "exported 1 backup in" in await shelf.export()
    assert "Tminus-Exported: 1\nTminus-Also: 2-3\n" in shelf.git("log", "-1", "--format=%B")
    await shelf.db.move_clock(timedelta(hours=1))
    await shelf.put(launch, "after", ("a", "a\n"))
    await shelf.export()
    assert [shelf.file(site) for site in "abc"] == ["a\n", "b\n", "c\n"]
    assert len(shelf.subjects()) == 3
    assert "Tminus-Also" not in shelf.git("log", "-1", "--format=%B")


async def test_an_export_that_was_cut_goes_on(shelf: Shelf) -> None:
    launch = await shelf.launch()
    await shelf.put(launch, "before", ("a", "1\n"))
    await shelf.export()
    await shelf.put(launch, "after", ("a", "2\n"))
    await shelf.export()
    # As if it had been cut between the last checkpoint and the move of the branch.
    shelf.git("reset", "-q", "--hard", "HEAD~1")
    assert shelf.file("a") == "1\n"
    assert "has all backups already" in await shelf.export()
    assert shelf.file("a") == "2\n"
    assert len(shelf.subjects()) == 2


async def test_a_bare_repository_gets_the_commits(shelf: Shelf) -> None:
    subprocess.run(["git", "init", "-q", "--bare", str(shelf.folder)], check=True)
    launch = await shelf.launch()
    await shelf.put(launch, "before", ("a", "1\n"))
    await shelf.export()
    assert shelf.file("a", at="HEAD") == "1\n"
    assert "has all backups already" in await shelf.export()


async def test_more_than_a_page(shelf: Shelf) -> None:
    launch = await shelf.launch()
    async with shelf.db.connect() as connection:
        await connection.execute("set session_replication_role = replica")
        await connection.execute(
            f"""
            insert into tminus.backup_texts select sha256(('t' || n % 7)::bytea), 't' || n % 7 from generate_series(1, 7) n;
            insert into tminus.backups (site_id, launch_id, site_run_id, phase, taken_at, sha256, header, raw_bytes)
            select 's' || n % 1200, '{launch}', n, 'before', now() - interval '1 day', sha256(('t' || n % 7)::bytea), '', 1
            from generate_series(1, 2400) n;
            """
        )
    assert "exported 2400 backups in 3 commits" in await shelf.export()
    assert len(list((shelf.folder / "sites").iterdir())) == 1200
    assert shelf.file("s1199") == f"t{2399 % 7}"


class TestRefusals:
    async def refused(self, shelf: Shelf, *words: str) -> None:
        (await shelf.cli("backup", "export", "--git", str(shelf.folder), login="rita")).refused(*words)

    async def test_a_folder_with_something_else_in_it(self, shelf: Shelf) -> None:
        shelf.folder.mkdir()
        (shelf.folder / "letter").write_text("x")
        await self.refused(shelf, "is neither empty nor a git repository")
        assert [path.name for path in shelf.folder.iterdir()] == ["letter"]
        shelf.folder /= "letter"
        await self.refused(shelf, "is not a folder")

    async def test_a_folder_within_another_repository(self, shelf: Shelf) -> None:
        subprocess.run(["git", "init", "-q", str(shelf.folder)], check=True)
        shelf.folder /= "inner"
        (shelf.folder / ".git").mkdir(parents=True)
        await self.refused(shelf, "no git repository of its own")

    async def test_changes_that_are_not_committed(self, shelf: Shelf) -> None:
        launch = await shelf.launch()
        await shelf.put(launch, "before", ("a", "1\n"))
        await shelf.export()
        await shelf.put(launch, "after", ("a", "2\n"))
        (shelf.folder / "notes").write_text("not ours to mind")
        (shelf.folder / "sites/a.rsc").write_text("edited")
        await self.refused(shelf, "has changes in sites/ that are not committed (M sites/a.rsc)")
        assert shelf.file("a") == "edited"
        shelf.git("checkout", "-q", "sites")
        await shelf.export()
        assert shelf.file("a") == "2\n"

    async def test_the_repository_of_another_database(self, shelf: Shelf) -> None:
        launch = await shelf.launch()
        await shelf.put(launch, "before", ("a", "1\n"), ("b", "1\n"))
        await shelf.export()
        await shelf.db.run("set session_replication_role = replica; delete from tminus.backups where id > 1")
        await self.refused(shelf, "has backups up to 2 and the database only 1", "another folder")

    async def test_no_branch(self, shelf: Shelf) -> None:
        await shelf.put(await shelf.launch(), "before", ("a", "1\n"))
        await shelf.export()
        shelf.git("checkout", "-q", "--detach")
        await self.refused(shelf, "is on no branch")

    async def test_no_git(self, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        await self.refused(shelf, "git is not installed")

    async def test_no_folder_can_be_made(self, shelf: Shelf, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        shelf.folder = tmp_path / "file" / "below"
        await self.refused(shelf, "cannot be made")


@pytest.mark.parametrize("site", ["a", "site_41", "0.9-x", "_", "a" * 100])
def test_a_plain_id_is_its_files_name(site: str) -> None:
    assert file_name(site) == f"{site}.rsc"


@given(st.sets(st.text(min_size=1, max_size=200), min_size=2, max_size=5))
def test_no_id_escapes_and_no_two_meet(sites: set[str]) -> None:
    names = [file_name(site) for site in sites]
    assert len({name.casefold() for name in names}) == len(sites)
    for name in names:
        assert name.isascii()
        assert len(name) <= 110
        assert set(name) & set("/\\:\"' \n") == set()
        assert not name.startswith((".", "-"))


def test_ids_that_differ_in_case_alone_stay_apart() -> None:
    assert len({file_name(site).lower() for site in ("abc", "Abc", "ABC", "abc ", ".abc", "-abc", "~abc")}) == 7


@given(st.integers(0, 2**63 - 1), st.sets(st.integers(1, 300)))
def test_what_is_exported_is_read_as_it_was_written(until: int, above: set[int]) -> None:
    exported = Exported(until=until, also=frozenset(above))
    assert Exported.read(f"before: x\n\nTminus-Exported: 5\n\n{exported.trailers()}") == exported
    assert Exported.read("Tminus-Exported: 5\n\nsaid a person") is None
