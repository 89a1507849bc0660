"""The writer: what is gathered, what is durable, what one refused row does to the others, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import pytest_asyncio

from tests.store.stage import Stage, held_by_another, start_request, until_waiting
from tests.support import until
from tminus.domain.endings import Reason, Step, completed, not_started
from tminus.errors import Refused, StoreError, StoreUnavailable
from tminus.store.export_texts import Backup
from tminus.store.pool import statement
from tminus.store.starts import Start
from tminus.store.writer import EndRequest, Learned, Release, SerialRequest

pytestmark = pytest.mark.asyncio(loop_scope="module")

SITES = [f"s{number:02}" for number in range(20)]
DONE = completed("Done.")


def backup(text: str = "/interface bridge\n", phase: str = "before") -> Backup:
    return Backup(
        phase=phase, sha256=hashlib.sha256(text.encode()).digest(), text=text, header="# today", raw_bytes=len(text)
    )


start = start_request


class Scene:
    """A launch over SITES, claimed by one instance, and its writer."""

    def __init__(self, stage: Stage, instance: UUID, script: UUID, runs: list[int]) -> None:
        self.stage, self.instance, self.script, self.runs = stage, instance, script, runs
        self.failed = 0
        self.writer = stage.writer(instance, failed=self.note_failure)
        self.task: asyncio.Task[None] | None = None

    def note_failure(self) -> None:
        self.failed += 1

    def go(self) -> None:
        self.task = asyncio.create_task(self.writer.run())

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task

    async def transactions(self) -> int:
        """How many transactions changed site runs: each left its number in the rows."""
        return await self.stage.db.value("select count(distinct xmin::text) from tminus.site_runs where attempts > 0")

    async def states(self) -> list[str]:
        return [
            row["state"] for row in await self.stage.db.fetch("select state from tminus.site_runs order by position")
        ]


@pytest_asyncio.fixture(loop_scope="module")
async def scene(stage: Stage) -> AsyncIterator[Scene]:
    instance = await stage.instance()
    script = await stage.launch(instance, *SITES)
    claims = await stage.claim(instance)
    scene = Scene(stage, instance, script, [claims[site].id for site in SITES])
    yield scene
    await scene.stop()


async def test_starts_that_are_asked_for_together_share_one_commit(scene: Scene) -> None:
    waiting = [asyncio.create_task(scene.writer.start(start(run, stored=backup()))) for run in scene.runs]
    await asyncio.sleep(0)
    scene.go()
    assert await asyncio.gather(*waiting) == [Start.GO] * len(SITES)
    assert await scene.transactions() == 1
    assert await scene.stage.db.value("select count(*) from tminus.backups where phase = 'before'") == len(SITES)
    assert await scene.stage.db.value("select count(*) from tminus.backup_texts") == 1, "the same text is stored once"
    rows = await scene.stage.db.fetch("select step, nonce, executing_at is not null as started from tminus.site_runs")
    assert {tuple(row) for row in rows} == {("executing", "0123456789abcdef", True)}


async def test_an_ending_whose_first_answer_was_lost_is_known_though_that_one_is_committed_only_now(
    scene: Scene,
) -> None:
    """The server was still at work on it when the connection was lost, and it was said again on another."""
    run = scene.runs[0]
    scene.go()
    assert await scene.writer.start(start(run)) is Start.GO
    values = [["completed"], [None], ["applied"], [DONE.message], [None], ["[]"], [None], [None]]
    async with scene.stage.store.transaction("end it for the first time") as first:
        assert await first.fetch(statement("end_site_runs"), scene.instance, [run], *values)
        again = asyncio.create_task(scene.writer.end(EndRequest(run=run, ending=DONE)))
        await until_waiting(scene.stage.db, "Write endings; returns the ids")
    assert await again is True
    assert len(await scene.stage.events("site_completed")) == 1


async def test_writes_of_all_kinds_share_two_transactions(scene: Scene) -> None:
    runs = scene.runs
    scene.go()
    assert await asyncio.gather(*(scene.writer.start(start(run)) for run in runs[:5])) == [Start.GO] * 5
    before = await scene.stage.db.value("select pg_current_xact_id()::text::bigint")
    scene.writer.note_step(runs[15], Step.BACKING_UP)
    scene.writer.note_learned(Learned(site=SITES[15], identity="r", version="7.20"))
    answers = await asyncio.gather(
        *(scene.writer.end(EndRequest(run=run, ending=DONE, output="o", diff="d")) for run in runs[:5]),
        *(
            scene.writer.release(Release(run=run, wait=30.0, retry_reason="offline", message="No."))
            for run in runs[5:8]
        ),
        *(scene.writer.start(start(run)) for run in runs[8:10]),
    )
    assert answers == [True] * 8 + [Start.GO] * 2
    after = await scene.stage.db.value("select pg_current_xact_id()::text::bigint")
    assert after - before <= 4, "two of them were the questions"
    assert await scene.states() == ["completed"] * 5 + ["pending"] * 3 + ["running"] * 12
    row = (await scene.stage.db.fetch("select * from tminus.site_runs where id = $1", runs[0]))[0]
    assert (row["output"], row["diff"], row["message"], row["step"]) == ("o", "d", "Done.", None)
    assert await scene.stage.db.value("select step from tminus.site_runs where id = $1", runs[15]) == "backing_up"
    assert await scene.stage.db.value("select version from tminus.sites where id = $1", SITES[15]) == "7.20"


async def test_what_nobody_waits_for_is_written_all_the_same_and_together(scene: Scene) -> None:
    scene.go()
    for run in scene.runs:
        for step in (Step.CONNECTING, Step.BACKING_UP, Step.CHECKING):
            scene.writer.note_step(run, step)

    async def written() -> bool:
        return await scene.stage.db.value("select bool_and(step = 'checking') from tminus.site_runs")

    await until(written, within=5)
    assert await scene.transactions() == 1


async def test_executing_is_never_written_as_a_mere_step(scene: Scene) -> None:
    scene.go()
    scene.writer.note_step(scene.runs[0], Step.EXECUTING)
    assert await scene.writer.end(EndRequest(run=scene.runs[1], ending=not_started(Reason.OFFLINE, "No answer.")))
    assert await scene.stage.db.value("select step from tminus.site_runs where id = $1", scene.runs[0]) == "connecting"


class TestRefusals:
    async def test_one_refused_row_does_not_spoil_the_others(self, scene: Scene) -> None:
        """A NUL that slipped into the output of one."""
        runs = scene.runs
        waiting = [asyncio.create_task(scene.writer.start(start(run))) for run in runs[:4]]
        bad = asyncio.create_task(
            scene.writer.end(EndRequest(run=runs[4], ending=not_started(Reason.OFFLINE, "No."), output="\0"))
        )
        good = asyncio.create_task(scene.writer.end(EndRequest(run=runs[5], ending=not_started(Reason.OFFLINE, "No."))))
        scene.writer.note_step(runs[6], Step.CHECKING)
        await asyncio.sleep(0)
        scene.go()
        assert await asyncio.gather(*waiting) == [Start.GO] * 4
        assert await good is True
        with pytest.raises(Refused, match="0x00"):
            await bad
        assert (await scene.states())[:7] == ["running"] * 5 + ["failed", "running"]
        await until(
            lambda: scene.stage.db.value("select step = 'checking' from tminus.site_runs where id = $1", runs[6]),
            within=5,
        )

    async def test_no_backup_no_start(self, scene: Scene) -> None:
        """They are one transaction: an export that cannot be stored leaves the run unstarted."""
        scene.go()
        with pytest.raises(Refused):
            await scene.writer.start(start(scene.runs[0], stored=backup("export\0")))
        assert (
            await scene.stage.db.value("select executing_at from tminus.site_runs where id = $1", scene.runs[0]) is None
        )
        assert await scene.stage.db.value("select count(*) from tminus.backups") == 0

    async def test_what_is_not_ours_is_answered_so(self, scene: Scene) -> None:
        stage, runs = scene.stage, scene.runs
        other = await stage.instance(name="two")
        thief = stage.writer(other)
        task = asyncio.create_task(thief.run())
        try:
            assert await thief.start(start(runs[0])) is Start.NOT_OURS
            assert await thief.end(EndRequest(run=runs[0], ending=not_started(Reason.OFFLINE, "No."))) is False
            assert await thief.release(Release(run=runs[0])) is False
            assert await thief.start(start(-1)) is Start.NOT_OURS
        finally:
            task.cancel()
        assert await scene.states() == ["running"] * len(SITES)

    async def test_a_started_run_is_not_given_back_nor_started_again(self, scene: Scene) -> None:
        scene.go()
        assert await scene.writer.start(start(scene.runs[0])) is Start.GO
        assert await scene.writer.release(Release(run=scene.runs[0])) is False
        assert await scene.writer.start(start(scene.runs[0], "ffffffffffffffff")) is Start.NOT_OURS

    async def test_a_start_of_a_cancelled_launch_is_answered_so(self, scene: Scene) -> None:
        scene.go()
        await scene.stage.db.fetch("select tminus.cancel($1)", scene.script, role="alice")
        assert await scene.writer.start(start(scene.runs[0])) is Start.CANCELLED

    async def test_a_file_that_was_left_is_owed_whoever_owns_the_run_by_now(self, scene: Scene) -> None:
        stage = scene.stage
        other = await stage.instance(name="two")
        late = stage.writer(other)
        task = asyncio.create_task(late.run())
        scene.go()
        ending, files = not_started(Reason.OFFLINE, "No."), [f"tminus-{number:016x}.rsc" for number in range(4)]
        try:
            assert await scene.writer.end(EndRequest(run=scene.runs[0], ending=ending, left_file=files[0]))
            assert await scene.writer.release(Release(run=scene.runs[1], left_file=files[1]))
            assert not await late.end(EndRequest(run=scene.runs[2], ending=ending, left_file=files[2]))
            assert not await late.release(Release(run=scene.runs[3], left_file=files[3]))
        finally:
            task.cancel()
        rows = await stage.db.fetch("select site_id, file_name from tminus.cleanup_debts order by file_name")
        assert [tuple(row) for row in rows] == list(zip(SITES[:4], files, strict=True))


class TestSerialNumbers:
    async def test_a_router_is_known_by_one_site(self, scene: Scene) -> None:
        scene.go()
        a, b = SITES[:2]
        assert await scene.writer.serial_owner(SerialRequest(site=a, serial="HC1")) is None
        assert await scene.writer.serial_owner(SerialRequest(site=a, serial="HC1")) is None
        assert await scene.writer.serial_owner(SerialRequest(site=b, serial="HC1")) == a
        assert await scene.stage.db.fetch(
            "select id, serial from tminus.sites where id in ($1, $2) order by id", a, b
        ) == [(a, "HC1"), (b, None)]

    async def test_many_are_asked_for_together(self, scene: Scene) -> None:
        requests = [SerialRequest(site=site, serial=f"HC{site}") for site in SITES]
        asked = [asyncio.create_task(scene.writer.serial_owner(request)) for request in requests]
        await asyncio.sleep(0)
        scene.go()
        assert await asyncio.gather(*asked) == [None] * len(SITES)
        assert await scene.stage.db.value("select count(distinct xmin::text) from tminus.sites") == 1

    async def test_of_those_that_reach_one_router_at_once_all_but_one_are_told(self, scene: Scene) -> None:
        """Of one instance or of two: the index refuses all but one, and who was refused asks again."""
        other = scene.stage.writer(await scene.stage.instance(name="two"))
        task = asyncio.create_task(other.run())
        scene.go()
        try:
            owners = await asyncio.gather(
                *(
                    (scene.writer, other)[number % 2].serial_owner(SerialRequest(site=site, serial="HC1"))
                    for number, site in enumerate(SITES)
                )
            )
        finally:
            task.cancel()
        assert [owner is None for owner in owners].count(True) == 1
        assert len({owner for owner in owners if owner is not None}) == 1


class TestCallersThatGiveUp:
    async def test_a_start_whose_caller_gave_up_before_it_was_written_is_not_committed(self, scene: Scene) -> None:
        waiting = [asyncio.create_task(scene.writer.start(start(run))) for run in scene.runs[:3]]
        await asyncio.sleep(0)
        waiting[1].cancel()
        await asyncio.sleep(0)
        scene.go()
        assert await waiting[0] is Start.GO
        assert await waiting[2] is Start.GO
        rows = await scene.stage.db.fetch(
            "select executing_at is not null as started from tminus.site_runs order by position limit 3"
        )
        assert [row["started"] for row in rows] == [True, False, True]

    async def test_an_ending_is_written_though_its_caller_gave_up(self, scene: Scene) -> None:
        waiting = asyncio.create_task(
            scene.writer.end(EndRequest(run=scene.runs[0], ending=not_started(Reason.OFFLINE, "No.")))
        )
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        scene.go()

        async def ended() -> bool:
            return (await scene.states())[0] == "failed"

        await until(ended, within=5)

    async def test_a_caller_that_gives_up_during_the_write_hurts_nobody(self, scene: Scene) -> None:
        async with held_by_another(
            scene.stage.db, "select 1 from tminus.site_runs where id = $1 for update", scene.runs[0]
        ):
            waiting = [asyncio.create_task(scene.writer.start(start(run))) for run in scene.runs[:2]]
            scene.go()
            await until_waiting(scene.stage.db, "THE POINT OF NO RETURN")
            waiting[0].cancel()
        assert await waiting[1] is Start.GO
        assert await scene.writer.end(EndRequest(run=scene.runs[1], ending=DONE))


class TestTheServerGoesAway:
    async def test_who_waits_is_told_and_afterwards_it_goes_on(self, scene: Scene) -> None:
        async with held_by_another(
            scene.stage.db, "select 1 from tminus.site_runs where id = $1 for update", scene.runs[0]
        ):
            waiting = [asyncio.create_task(scene.writer.start(start(run))) for run in scene.runs[:3]]
            scene.go()
            await until_waiting(scene.stage.db, "THE POINT OF NO RETURN")
            scene.writer.note_step(scene.runs[5], Step.CHECKING)
            await terminate(scene)
            for answer in await asyncio.gather(*waiting, return_exceptions=True):
                assert isinstance(answer, StoreUnavailable)
        assert scene.failed == 1
        assert await scene.stage.db.value("select count(*) from tminus.site_runs where executing_at is not null") == 0
        assert await scene.writer.start(start(scene.runs[3])) is Start.GO

    async def test_what_was_learned_is_not_lost(self, scene: Scene) -> None:
        """The first host key above all: forgotten, the next key would be taken for the first."""
        async with held_by_another(
            scene.stage.db, "select 1 from tminus.site_runs where id = $1 for update", scene.runs[0]
        ):
            doomed = asyncio.create_task(scene.writer.start(start(scene.runs[0])))
            scene.writer.note_learned(Learned(site=SITES[0], host_key="ssh-ed25519 AAAAfirst"))
            scene.writer.note_step(scene.runs[4], Step.CHECKING)
            await asyncio.sleep(0)
            scene.go()
            await until_waiting(scene.stage.db, "THE POINT OF NO RETURN")
            scene.writer.note_learned(Learned(site=SITES[0], host_key="ssh-ed25519 AAAAsecond", model="m"))
            await terminate(scene)
            with pytest.raises(StoreUnavailable):
                await doomed

        async def learned() -> bool:
            return await scene.stage.db.value(
                "select seen_host_key is not null from tminus.sites where id = $1", SITES[0]
            )

        await until(learned, within=5)
        row = (await scene.stage.db.fetch("select seen_host_key, model from tminus.sites where id = $1", SITES[0]))[0]
        assert tuple(row) == ("ssh-ed25519 AAAAfirst", "m")
        assert (
            await scene.stage.db.value("select step from tminus.site_runs where id = $1", scene.runs[4]) == "checking"
        )


class TestTheEnd:
    async def test_who_waits_when_the_writer_ends_gets_an_answer(self, scene: Scene) -> None:
        """Else a task that gives its run back while the daemon ends would wait for ever, and so would the daemon."""
        async with held_by_another(
            scene.stage.db, "select 1 from tminus.site_runs where id = $1 for update", scene.runs[0]
        ):
            writing = asyncio.create_task(scene.writer.start(start(scene.runs[0])))
            scene.go()
            await until_waiting(scene.stage.db, "THE POINT OF NO RETURN")
            queued = asyncio.create_task(scene.writer.release(Release(run=scene.runs[1])))
            await asyncio.sleep(0)
            await scene.stop()
            async with asyncio.timeout(2):
                answers = await asyncio.gather(writing, queued, return_exceptions=True)
            assert all(isinstance(answer, StoreUnavailable) for answer in answers)

    async def test_after_it_nothing_is_taken_on(self, scene: Scene) -> None:
        scene.go()
        await asyncio.sleep(0)
        await scene.stop()
        async with asyncio.timeout(2):
            with pytest.raises(StoreError):
                await scene.writer.release(Release(run=scene.runs[0]))


async def terminate(scene: Scene) -> None:
    """End the daemon's sessions, as a restart of the server does."""
    await scene.stage.db.fetch(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'tminus_serve'"
        " and application_name = 'tests'"
    )
