"""What is old is forgotten in small windows, and nothing that anybody still needs."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta
from typing import Any, cast

import pytest

from tests.store.stage import Stage, held_by_another, until_waiting
from tests.support import Db
from tminus.domain.likeness import find_likeness
from tminus.services.heartbeat import Trust
from tminus.services.observer import Observer
from tminus.services.retention import Keep, Retention
from tminus.store import retention
from tminus.store.export_texts import Backup, store_texts
from tminus.store.pool import Database, Transaction

pytestmark = pytest.mark.asyncio(loop_scope="module")

YEAR = timedelta(days=365)


async def a_run(stage: Stage, *, site: str = "a", state: str = "completed", age: timedelta = YEAR) -> int:
    """A site run of a finished launch, with output, difference and a backup from before, all of `age`."""
    instance = await stage.instance()
    await stage.launch(instance, site)
    run = (await stage.claim(instance))[site].id
    assert await stage.execute(instance, run) == [run]
    assert await stage.end(instance, run, state=state) == [run]
    await stage.store.fetch("housekeeping")
    await store(stage.store, run, f"# {run}\n")
    await grow_old(stage.db, run, age)
    return run


async def store(db: Database, run: int, text: str, phase: str = "before", *, other: str | None = None) -> None:
    async with db.transaction("store a backup") as connection:
        await write(connection, run, text, phase, other=other)


async def write(
    connection: Transaction, run: int, text: str, phase: str = "before", *, other: str | None = None
) -> None:
    columns = await store_texts(connection, [(run, backup_of(text, phase, other=other))])
    await connection.execute("select tminus.store_backups($1, $2, $3, $4, $5, $6)", *columns)


def backup_of(text: str, phase: str, *, other: str | None = None) -> Backup:
    like = None if other is None else find_likeness(text, other, sha256(other))
    return Backup(phase=phase, sha256=sha256(text), text=text, header="# header", raw_bytes=len(text), like=like)


def sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


async def grow_old(db: Db, run: int, age: timedelta) -> None:
    async with db.connect() as connection:
        await connection.execute("set session_replication_role = replica")
        await connection.execute(
            "update tminus.site_runs set output = 'said', diff = 'differs', evidence = 'seen',"
            " finished_at = finished_at - $2::interval where id = $1",
            run, age,
        )  # fmt: skip
        await connection.execute(
            "update tminus.backups set taken_at = taken_at - $2::interval where site_run_id = $1", run, age
        )
        await connection.execute(
            "update tminus.events e set at = at - $2::interval from tminus.site_runs r, tminus.launches l"
            " where r.id = $1 and l.id = r.launch_id and (e.launch_id = l.id or e.script_id = l.script_id)",
            run, age,
        )  # fmt: skip
        await connection.execute("set session_replication_role = default")


async def tidy(stage: Stage, **keep: Any) -> None:
    """One whole round, in windows of two rows."""
    trust = Trust(ttl=600, margin=1)
    trust.extend(trust.now())
    days = timedelta(days=100)
    rules = Keep(**{"backups_per_site": 1, "backups": days, "outputs": days, "events": days, **keep})
    await Retention(stage.store, trust, rules, observer=cast("Observer", None), window=2, between_windows=0).round()


async def outputs(stage: Stage) -> list[int]:
    rows = await stage.db.fetch("select id from tminus.site_runs where output is not null order by id")
    return [row["id"] for row in rows]


async def backups(stage: Stage) -> list[int]:
    rows = await stage.db.fetch("select site_run_id from tminus.backups order by id")
    return [row["site_run_id"] for row in rows]


async def test_old_outputs_are_forgotten_and_what_the_run_came_to_stays(stage: Stage) -> None:
    old = [await a_run(stage) for _ in range(3)]
    young = await a_run(stage, age=timedelta(days=99))
    await tidy(stage)
    assert await outputs(stage) == [young]
    for run in old:
        row = (await stage.db.fetch("select * from tminus.site_runs where id = $1", run))[0]
        assert (row["output"], row["diff"], row["evidence"]) == (None, None, None)
        assert (row["state"], row["effect"], row["message"]) == ("completed", "applied", "Said so.")


async def test_of_each_site_the_newest_backups_are_kept_however_old(stage: Stage) -> None:
    a = [await a_run(stage) for _ in range(4)]
    b = await a_run(stage, site="b")
    young = await a_run(stage, age=timedelta(days=1))
    await tidy(stage, backups_per_site=2)
    assert await backups(stage) == [a[3], b, young]
    texts = await stage.db.fetch("select text from tminus.backup_texts")
    assert {row["text"] for row in texts} == {f"# {run}\n" for run in (a[3], b, young)}


async def test_a_text_that_a_newer_backup_shares_stays(stage: Stage) -> None:
    old, new = await a_run(stage), await a_run(stage, age=timedelta())
    await store(stage.store, new, f"# {old}\n", "after")
    await tidy(stage)
    assert await backups(stage) == [new, new]
    assert await stage.db.value("select count(*) from tminus.backup_texts") == 2


async def test_old_events_of_what_is_over_are_forgotten(stage: Stage) -> None:
    await a_run(stage)
    young = await a_run(stage, age=timedelta(days=1))
    kept = await stage.db.fetch(
        "select e.id from tminus.events e left join tminus.site_runs r on r.launch_id = e.launch_id"
        " where e.at > tminus.clock() - interval '100 days' order by e.id"
    )
    assert await stage.db.value("select count(*) from tminus.events") > len(kept)
    await tidy(stage)
    assert [row["id"] for row in await stage.db.fetch("select id from tminus.events order by id")] == [
        row["id"] for row in kept
    ]
    assert await outputs(stage) == [young]


async def test_the_authorization_of_what_will_be_launched_again_is_kept(stage: Stage) -> None:
    await a_run(stage)
    script = await stage.db.submit(":put 1", ["a"], due_in=1e6)
    async with stage.db.anew() as connection:
        await connection.execute("set session_replication_role = replica")
        await connection.execute("update tminus.events set at = at - interval '1 year'")
    await tidy(stage)
    rows = await stage.db.fetch("select script_id, kind from tminus.events where script_id is not null order by id")
    assert [(row["script_id"], row["kind"]) for row in rows] == [(script, "submitted"), (script, "authorized")]


@pytest.mark.parametrize("why", ["unknown", "running", "debt"])
async def test_what_somebody_still_needs_is_kept(stage: Stage, why: str) -> None:
    run = await a_run(stage, state="unknown" if why == "unknown" else "completed")
    await a_run(stage)  # so that the first one is not the site's newest
    async with stage.db.anew() as connection:
        if why == "running":
            await connection.execute("set session_replication_role = replica")
            await connection.execute(
                "update tminus.launches set finished_at = null, state = 'running'"
                f" where id = (select launch_id from tminus.site_runs where id = {run})"
            )
    if why == "debt":
        await stage.store.fetch("owe_cleanup", [run], ["tminus-0123456789abcdef.rsc"])
    events = await of_its_launch(stage, run)
    await tidy(stage)
    assert run in await outputs(stage)
    assert run in await backups(stage)
    assert await of_its_launch(stage, run) == events > 0
    # Until it is seen to.
    if why == "unknown":
        await stage.db.value("select tminus.resolve($1, 'completed', 'Saw it.')", run, role="bob")
        await tidy(stage)
        assert run in await outputs(stage), "what the verdict was based on is as old as the verdict"
        async with stage.db.anew() as connection:
            await connection.execute("set session_replication_role = replica")
            await connection.execute("update tminus.site_runs set resolved_at = resolved_at - interval '1 year'")
    elif why == "debt":
        debt = await stage.db.value("select id from tminus.cleanup_debts")
        await stage.db.value("select tminus.forgive_cleanup($1, 'Scrapped.')", debt, role="bob")
    else:
        await stage.store.fetch("housekeeping")
    await tidy(stage)
    assert run not in await outputs(stage)
    assert run not in await backups(stage)


async def of_its_launch(stage: Stage, run: int) -> int:
    count: int = await stage.db.value(
        "select count(*) from tminus.events e join tminus.site_runs r on r.launch_id = e.launch_id where r.id = $1", run
    )
    return count


async def test_zero_days_is_for_ever(stage: Stage) -> None:
    runs = [await a_run(stage) for _ in range(2)]
    events = await stage.db.value("select count(*) from tminus.events")
    await tidy(stage, backups=timedelta(), outputs=timedelta(), events=timedelta())
    assert await outputs(stage) == await backups(stage) == runs
    assert await stage.db.value("select count(*) from tminus.events") == events


async def test_a_window_looks_at_no_more_than_it_is_told_to(stage: Stage) -> None:
    runs = [await a_run(stage) for _ in range(5)]
    first = await retention.forget_outputs(stage.store, 0, keep=timedelta(days=1), window=2)
    assert (first.count, first.next_after) == (2, runs[1])
    assert await outputs(stage) == runs[2:]
    rest = await retention.forget_outputs(stage.store, runs[1], keep=timedelta(days=1), window=10)
    assert (rest.count, rest.next_after) == (3, None)


async def test_what_somebody_holds_is_left_for_the_next_round(stage: Stage) -> None:
    runs = [await a_run(stage) for _ in range(3)]
    async with (
        asyncio.timeout(5),
        held_by_another(stage.db, "select 1 from tminus.site_runs where id = $1 for update", runs[0]),
        held_by_another(stage.db, "select 1 from tminus.backups where site_run_id = $1 for update", runs[0]),
    ):
        await tidy(stage)
    assert await outputs(stage) == [runs[0]]
    assert await backups(stage) == [runs[0], runs[2]]
    await tidy(stage)
    assert await outputs(stage) == []
    assert await backups(stage) == [runs[2]]


class TestATextThatIsFoundAgain:
    """A writer that finds its text in the database, while retention finds that nobody refers to it."""

    TEXT = "# the same again\n"

    async def an_orphan(self, stage: Stage) -> int:
        run = await a_run(stage)
        await stage.db.fetch("insert into tminus.backup_texts values ($1, $2)", sha256(self.TEXT), self.TEXT)
        return run

    async def text_of(self, stage: Stage, run: int) -> str:
        return str(
            await stage.db.value("select tminus.backup_text(id) from tminus.backups where site_run_id = $1", run)
        )

    async def test_the_writer_comes_first(self, stage: Stage) -> None:
        run = await self.an_orphan(stage)
        async with stage.store.transaction("write") as writer, asyncio.timeout(5):
            await write(writer, run, self.TEXT)
            found = await retention.forget_texts(stage.store, b"", window=100)
        # Also the text that this backup replaced is not forgotten yet: it is the next round's.
        assert found.count == 0
        assert await self.text_of(stage, run) == self.TEXT

    async def test_retention_comes_first(self, stage: Stage) -> None:
        run = await self.an_orphan(stage)
        async with stage.db.anew("tminus_serve") as forgetful, asyncio.timeout(5):
            transaction = forgetful.transaction()
            await transaction.start()
            assert await forgetful.fetchval("select forgotten from tminus.forget_texts('', 100)") == 1
            writing = asyncio.create_task(store(stage.store, run, self.TEXT))
            await until_waiting(stage.db, "tminus.backup_texts")
            await transaction.commit()
            await writing
        assert await self.text_of(stage, run) == self.TEXT

    async def test_both_at_the_same_time_again_and_again(self, stage: Stage) -> None:
        runs = [await a_run(stage) for _ in range(3)]

        async def write(run: int) -> None:
            for round_ in range(40):
                text = f"# {round_ % 3}\n"
                await store(stage.store, run, text)

        writers = [asyncio.create_task(write(run)) for run in runs]
        while not all(writer.done() for writer in writers):
            await retention.forget_texts(stage.store, b"", window=100)
        await asyncio.gather(*writers)
        dangling = "select count(*) from tminus.backups b where not exists (select from tminus.backup_texts t where t.sha256 = b.sha256)"
        assert await stage.db.value(dangling) == 0


class TestATextThatIsStoredAsADifference:
    BEFORE = "".join(f"/ip address add address=10.0.0.{n}/24\n" for n in range(20))
    AFTER = BEFORE + "/ip dns set servers=192.0.2.53\n"

    async def test_what_it_differs_from_is_kept_with_it(self, stage: Stage) -> None:
        run = await a_run(stage)
        await store(stage.store, run, self.BEFORE, "before")
        await store(stage.store, run, self.AFTER, "after", other=self.BEFORE)
        async with stage.db.connect() as connection:
            await connection.execute("delete from tminus.backups where phase = 'before'")
        await tidy(stage)
        texts = await stage.db.fetch("select text, base is null as is_whole from tminus.backup_texts order by depth")
        assert [tuple(row) for row in texts] == [(self.BEFORE, True), ("/ip dns set servers=192.0.2.53\n", False)]
        assert await stage.db.value("select tminus.backup_text(id) from tminus.backups") == self.AFTER

    async def test_both_are_forgotten_once_nobody_refers_to_either(self, stage: Stage) -> None:
        run, young = await a_run(stage), await a_run(stage, age=timedelta())
        await store(stage.store, run, self.BEFORE, "before")
        await store(stage.store, run, self.AFTER, "after", other=self.BEFORE)
        await grow_old(stage.db, run, YEAR)
        for _ in range(2):
            await tidy(stage)
        assert await backups(stage) == [young]
        assert await stage.db.value("select array_agg(text) from tminus.backup_texts") == [f"# {young}\n"]

    async def test_it_is_stored_whole_where_the_other_is_gone(self, stage: Stage) -> None:
        run = await a_run(stage)
        await store(stage.store, run, self.AFTER, "after", other=self.BEFORE)
        row = (await stage.db.fetch("select * from tminus.backup_texts where sha256 = $1", sha256(self.AFTER)))[0]
        assert (row["text"], row["base"]) == (self.AFTER, None)

    async def test_of_many_at_once_each_differs_from_its_own(self, stage: Stage) -> None:
        run = await a_run(stage)
        before = [f"# site {number}\n{self.BEFORE}" for number in range(5)]
        after = [f"{text}/ip dns set servers=192.0.2.{number}\n" for number, text in enumerate(before)]
        for text in before[1:]:
            await store(stage.store, run, text)
        async with stage.store.transaction("store backups") as connection:
            pairs = zip(after, before, strict=True)
            await store_texts(connection, [(run, backup_of(text, "after", other=other)) for text, other in pairs])
        for number, text in enumerate(after):
            row = (await stage.db.fetch("select * from tminus.backup_texts where sha256 = $1", sha256(text)))[0]
            # The first was never stored as it was before.
            assert row["base"] == (sha256(before[number]) if number else None)
            assert await stage.db.value("select tminus.export_text($1)", sha256(text)) == text

    async def test_no_more_than_eight_are_read_for_one(self, stage: Stage) -> None:
        run, text = await a_run(stage), self.BEFORE
        await store(stage.store, run, text)
        for number in range(12):
            other, text = text, f"# {number} with an ü\n{text}"
            await store(stage.store, run, text, "after", other=other)
            assert await stage.db.value("select tminus.export_text($1)", sha256(text)) == text
        depths = await stage.db.value(
            "select array_agg(depth order by depth) from tminus.backup_texts where base is not null"
        )
        assert depths == [1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8]


async def test_a_text_never_changes(stage: Stage) -> None:
    await a_run(stage)
    for role in (None, "tminus_serve"):
        async with stage.db.anew(role) as connection:
            with pytest.raises(Exception, match="append-only: update is refused"):
                await connection.execute("update tminus.backup_texts set sha256 = ''")
