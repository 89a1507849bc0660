"""A person's verdict on an unknown run, and what is owed on routers."""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import UUID

import pytest

from tests.store.stage import Stage, add_sites, authorize, held_by_another, insert, refused
from tminus.domain.endings import VERDICTS
from tminus.store import site_runs
from tminus.store.gauges import read_gauges

pytestmark = pytest.mark.asyncio(loop_scope="module")

RESOLVE = "select tminus.resolve($1, $2, $3)"
FORGIVE = "select tminus.forgive_cleanup($1, $2)"


async def an_unknown_run(stage: Stage) -> tuple[UUID, int]:
    """A launch on a (unknown) and b (completed), as (scheduled script, site run on a)."""
    instance = await stage.instance()
    script = await stage.launch(instance, "a", "b")
    claims = await stage.claim(instance)
    await stage.leave_unknown(instance, claims["a"].id)
    await stage.run_through(instance, claims["b"].id)
    await stage.store.fetch("housekeeping")
    return script, claims["a"].id


class TestResolve:
    @pytest.mark.parametrize("verdict", VERDICTS)
    async def test_the_verdict_counts_and_the_ending_stays(self, stage: Stage, verdict: str) -> None:
        script, run = await an_unknown_run(stage)
        before = (await stage.db.fetch("select * from tminus.site_runs where id = $1", run))[0]
        assert (await read_gauges(stage.store)).unknown_sites == 1
        shown = json.loads(await stage.db.value(RESOLVE, run, verdict, "  Looked at it.\n", role="bob"))
        state, effect = VERDICTS[verdict]
        after = (await stage.db.fetch("select * from tminus.site_runs where id = $1", run))[0]
        assert {name for name in after.keys() if after[name] != before[name]} == {  # noqa: SIM118 - a record
            "resolved_state", "resolved_effect", "resolved_at", "resolved_by", "resolution", "outcome",
        }  # fmt: skip
        assert (after["state"], after["outcome"]) == ("unknown", state)
        assert (after["resolved_state"], after["resolved_effect"]) == (state, effect)
        assert (after["resolved_by"], after["resolution"]) == ("bob", "Looked at it.")
        assert (await read_gauges(stage.store)).unknown_sites == 0
        progress = {"completed": ["a", "b"], "failed": [], "pending": []}
        if state != "completed":
            progress = {"completed": ["b"], "failed": ["a"], "pending": []}
        assert shown["progress"] == progress == (await stage.db.script(script))["progress"]
        launch = (await stage.store.fetch("recent_launches", 1))[0]
        assert (launch["completed"], launch["failed"], launch["unknown"]) == (
            len(progress["completed"]),
            len(progress["failed"]),
            0,
        )

    async def test_what_is_unresolved_is_shown_before_what_came_after_it(self, stage: Stage) -> None:
        instance = await stage.instance()
        await add_sites(stage.db, "a")
        script = await insert(stage.db, cron="* * * * *")
        await authorize(stage.db, script)
        await stage.plan()
        await stage.db.move_clock(timedelta(minutes=1))
        await stage.launch_due(instance)
        run = (await stage.claim(instance))["a"].id
        await stage.leave_unknown(instance, run)
        await stage.store.fetch("housekeeping")
        launch = await stage.db.value("select tminus.rehearse($1)", script, role="alice")
        [latest] = await stage.store.fetch("show_site_run", script, "a", False)
        [unresolved] = await stage.store.fetch("show_site_run", script, "a", True)
        assert (latest["launch_id"], latest["kind"]) == (launch, "rehearsal")
        assert (unresolved["id"], unresolved["state"]) == (run, "unknown")
        await stage.db.value(RESOLVE, run, "completed", "Saw it.", role="bob")
        [resolved] = await stage.store.fetch("show_site_run", script, "a", True)
        assert resolved["id"] == latest["id"]

    async def test_who_when_why_and_what_was_before_is_in_the_trail(self, stage: Stage) -> None:
        script, run = await an_unknown_run(stage)
        await stage.db.value("select tminus.resolve($1, 'completed', 'Saw it.', 'carol')", run, role="api")
        (event,) = await stage.events("resolved")
        assert (event["principal"], event["session"], event["script_id"]) == ("carol", "api", script)
        assert event["site_id"] == "a"
        detail = json.loads(event["detail"])
        assert (detail["site_run"], detail["verdict"], detail["effect"], detail["note"]) == (
            run,
            "completed",
            "applied",
            "Saw it.",
        )
        assert detail["was"]["state"] == "unknown"
        assert detail["was"]["reason"] == "daemon_lost"
        assert detail["was"]["message"] == "Said so."

    async def test_nothing_is_run_again(self, stage: Stage) -> None:
        _, run = await an_unknown_run(stage)
        await stage.db.value(RESOLVE, run, "failed/none", "It did nothing.", role="alice")
        instance = await stage.instance()
        await stage.store.fetch("housekeeping")
        assert await stage.claim(instance) == {}
        assert await stage.execute(instance, run) == []

    async def test_a_verdict_is_not_taken_back(self, stage: Stage) -> None:
        _, run = await an_unknown_run(stage)
        await stage.db.value(RESOLVE, run, "completed", "Saw it.", role="bob")
        text = await refused(stage.db, "alice", RESOLVE, run, "failed/none", "No.")
        assert f"site run {run} on a was resolved as completed/applied already, by bob at 20" in text
        for setting in (
            "resolved_state = 'failed', resolved_effect = 'none'",
            "resolution = 'x'",
            "resolved_at = null",
        ):
            text = await refused(stage.db, None, f"update tminus.site_runs set {setting} where id = {run}")
            assert "an ending never changes" in text

    async def test_what_is_not_unknown(self, stage: Stage) -> None:
        instance = await stage.instance()
        await stage.launch(instance, "a")
        run = (await stage.claim(instance))["a"].id
        assert f"site run {run} on a is running and not unknown" in await refused(
            stage.db, "bob", RESOLVE, run, "completed", "Saw it."
        )
        await stage.run_through(instance, run)
        assert "is completed and not unknown" in await refused(stage.db, "bob", RESOLVE, run, "completed", "Saw it.")
        assert "there is no site run 4711" in await refused(stage.db, "bob", RESOLVE, 4711, "completed", "Saw it.")

    @pytest.mark.parametrize("verdict", ["unknown", "failed", "skipped", "", "failed/applied", "completed ", None])
    async def test_what_is_no_verdict(self, stage: Stage, verdict: str | None) -> None:
        _, run = await an_unknown_run(stage)
        text = await refused(stage.db, "bob", RESOLVE, run, verdict, "Saw it.")
        assert "is no verdict (Say completed" in text

    @pytest.mark.parametrize("note", [None, "", " \n\t"])
    async def test_a_verdict_without_a_note(self, stage: Stage, note: str | None) -> None:
        _, run = await an_unknown_run(stage)
        assert "the note is empty: say how you know" in await refused(stage.db, "bob", RESOLVE, run, "completed", note)

    async def test_who_may(self, stage: Stage) -> None:
        _, run = await an_unknown_run(stage)
        assert "belongs to alice, so arthur may not resolve" in await refused(
            stage.db, "arthur", RESOLVE, run, "completed", "Saw it."
        )
        assert "alice may not act for bob" in await refused(
            stage.db, "alice", "select tminus.resolve($1, 'completed', 'Saw it.', 'bob')", run
        )
        for role in ("rita", "tminus_serve"):
            text = await refused(stage.db, role, RESOLVE, run, "completed", "Saw it.", clear=False)
            assert "permission denied" in text

    async def test_a_person_who_does_not_commit_holds_up_no_daemon(self, stage: Stage) -> None:
        instance = await stage.instance()
        await stage.launch(instance, "a", "b")
        claims = await stage.claim(instance)
        await stage.leave_unknown(instance, claims["a"].id)
        async with held_by_another(stage.db, RESOLVE, claims["a"].id, "completed", "Saw it.", role="bob"):
            await stage.store.fetch("owe_cleanup", [claims["a"].id], ["tminus-0123456789abcdef.rsc"])
            await stage.run_through(instance, claims["b"].id)
            await stage.store.fetch("housekeeping")
        assert await stage.db.value("select count(*) from tminus.launches where state = 'finished'") == 1


class TestStopJob:
    """A script that never ends keeps its router busy: a person may have its job stopped, by their verdict alone."""

    STOP = "select tminus.resolve($1, $2, 'It waits for ever.', stop_job => true)"

    async def test_the_job_is_to_be_stopped_at_once_and_the_verdict_says_so(self, stage: Stage) -> None:
        script, run = await an_unknown_run(stage)
        await stage.db.value(self.STOP, run, "failed/partial", role="bob")
        row = (await stage.db.fetch("select * from tminus.site_runs where id = $1", run))[0]
        assert (row["outcome"], row["resolved_by"]) == ("failed", "bob")
        assert row["resolution"] == "It waits for ever. (Its job on the router is to be stopped.)"
        instance = await stage.instance()
        [debt] = await site_runs.take_debts(stage.store, instance, limit=5)
        assert (debt.stop_job, debt.site.id, debt.file_name) == (True, "a", f"tminus-{row['nonce']}.rsc")
        [asked] = await stage.events("job_stop_asked")
        assert (asked["principal"], asked["script_id"], asked["site_id"]) == ("bob", script, "a")
        assert json.loads(asked["detail"]) == {"site_run": run, "note": "It waits for ever."}
        assert json.loads((await stage.events("resolved"))[0]["detail"])["stop_job"] is True

    async def test_the_debt_is_paid_once_the_job_is_stopped_and_not_before(self, stage: Stage) -> None:
        _, run = await an_unknown_run(stage)
        await stage.db.value(self.STOP, run, "failed/none", role="bob")
        instance = await stage.instance()
        [debt] = await site_runs.take_debts(stage.store, instance, limit=5)
        await site_runs.settle_debt(stage.store, debt.id)
        await site_runs.settle_debts_of(stage.store, "a", debt.file_name)
        assert [row["stop_job_by"] for row in await stage.store.fetch("open_debts", run, 10)] == ["bob"]
        assert await stage.store.fetch("stopped_jobs", 10) == []
        for jobs in (1, 0):  # said twice, it counts once
            await site_runs.note_job_stopped(stage.store, debt.id, instance, jobs)
        await stage.db.move_clock(timedelta(minutes=10))
        assert [debt.stop_job for debt in await site_runs.take_debts(stage.store, instance, limit=5)] == [False]
        await site_runs.settle_debt(stage.store, debt.id)
        assert await stage.store.fetch("open_debts", run, 10) == []
        [stopped] = await stage.store.fetch("stopped_jobs", 10)
        assert (stopped["site_id"], stopped["stop_job_by"], stopped["jobs_stopped"]) == ("a", "bob", 1)
        [event] = await stage.events("job_stopped")
        assert (event["principal"], event["site_id"]) == (str(instance), "a")
        assert json.loads(event["detail"]) == {"site_run": run, "asked_by": "bob", "jobs": 1}

    async def test_a_run_that_was_resolved_before_may_have_its_job_stopped_by_the_same_verdict(
        self, stage: Stage
    ) -> None:
        _, run = await an_unknown_run(stage)
        await stage.store.fetch("owe_cleanup", [run], [await self.file_of(stage, run)])
        await stage.db.value(RESOLVE, run, "failed/partial", "Saw it.", role="alice")
        debt = await stage.db.value("select id from tminus.cleanup_debts")
        await site_runs.settle_debt(stage.store, debt)
        text = await refused(stage.db, "bob", self.STOP, run, "failed/none")
        assert "was resolved as failed/partial already, by alice" in text
        await stage.db.value(self.STOP, run, "failed/partial", role="bob")
        row = (await stage.db.fetch("select * from tminus.site_runs where id = $1", run))[0]
        assert (row["resolved_by"], row["resolution"]) == ("alice", "Saw it.")
        assert [owed.stop_job for owed in await site_runs.take_debts(stage.store, await stage.instance(), limit=5)] == [
            True
        ]

    async def test_an_author_may_not_and_nobody_without_a_verdict(self, stage: Stage) -> None:
        _, run = await an_unknown_run(stage)
        assert "only an approver or a gateway has a job stopped, and alice is neither" in await refused(
            stage.db, "alice", self.STOP, run, "failed/partial"
        )
        assert "belongs to alice, so arthur may not" in await refused(stage.db, "arthur", self.STOP, run, "failed/none")
        assert "nothing is no verdict" in await refused(stage.db, "bob", self.STOP, run, None)
        assert "a script that ran to its end has no job to stop" in await refused(
            stage.db, "bob", self.STOP, run, "completed"
        )
        assert await stage.db.value("select count(*) from tminus.cleanup_debts") == 0
        assert await stage.db.value("select count(*) from tminus.site_runs where resolved_at is not null") == 0
        for setting in ("stop_job_by = 'bob'", "job_stopped_at = now(), jobs_stopped = 0"):
            text = await refused(stage.db, "tminus_serve", f"update tminus.cleanup_debts set {setting}", clear=False)
            assert "permission denied" in text

    async def test_a_run_that_is_not_unknown_has_no_job_stopped(self, stage: Stage) -> None:
        instance = await stage.instance()
        await stage.launch(instance, "a")
        run = (await stage.claim(instance))["a"].id
        await stage.execute(instance, run)
        assert "is running and not unknown" in await refused(stage.db, "bob", self.STOP, run, "failed/partial")
        assert await stage.db.value("select count(*) from tminus.cleanup_debts") == 0

    @staticmethod
    async def file_of(stage: Stage, run: int) -> str:
        return f"tminus-{await stage.db.value('select nonce from tminus.site_runs where id = $1', run)}.rsc"


async def a_debt(stage: Stage, *, site: str = "a") -> int:
    instance = await stage.instance()
    await stage.launch(instance, site)
    run = (await stage.claim(instance))[site].id
    await stage.run_through(instance, run)
    await stage.store.fetch("owe_cleanup", [run], [f"tminus-{run:016x}.rsc"])
    debt: int = await stage.db.value("select id from tminus.cleanup_debts where site_run_id = $1", run)
    return debt


async def tried(stage: Stage) -> set[int]:
    """The debts that a daemon would see to now."""
    return {debt.id for debt in await site_runs.take_debts(stage.store, await stage.instance(), limit=5)}


class TestCleanup:
    async def test_a_debt_is_tried_at_once_when_a_person_asks(self, stage: Stage) -> None:
        one, two = await a_debt(stage), await a_debt(stage, site="b")
        assert await tried(stage) == set()
        assert await stage.db.value("select tminus.hasten_cleanup(array['b'])", role="alice") == 1
        assert await tried(stage) == {two}
        assert await stage.db.value("select tminus.hasten_cleanup()", role="alice") == 2
        assert await tried(stage) == {one, two}
        assert [event["principal"] for event in await stage.events("cleanup_hastened")] == ["alice", "alice"]

    async def test_a_site_that_owes_nothing(self, stage: Stage) -> None:
        await a_debt(stage)
        text = await refused(stage.db, "alice", "select tminus.hasten_cleanup(array['a', 'c'])")
        assert "nothing is owed on site 'c'" in text

    async def test_why_it_was_not_removed_is_shown(self, stage: Stage) -> None:
        debt = await a_debt(stage)
        await stage.store.fetch("note_debt_error", debt, "no answer")
        (row,) = await stage.store.fetch("open_debts", None, 10)
        assert (row["id"], row["site_id"], row["last_error"], row["attempts"]) == (debt, "a", "no answer", 0)

    async def test_a_forgiven_debt_is_not_tried_any_more(self, stage: Stage) -> None:
        debt = await a_debt(stage)
        await stage.db.value(FORGIVE, debt, "The router was scrapped.", role="bob")
        assert await stage.store.fetch("open_debts", None, 10) == []
        await stage.db.run("update tminus.cleanup_debts set next_try_at = tminus.clock()")
        assert await tried(stage) == set()
        (event,) = await stage.events("cleanup_forgiven")
        assert (event["principal"], event["site_id"]) == ("bob", "a")
        assert json.loads(event["detail"])["note"] == "The router was scrapped."
        text = await refused(stage.db, "bob", FORGIVE, debt, "Again.")
        assert f"cleanup debt {debt} on a is settled already, forgiven by bob" in text

    async def test_who_may_forgive(self, stage: Stage) -> None:
        debt = await a_debt(stage)
        text = await refused(stage.db, "arthur", FORGIVE, debt, "x")
        assert "belongs to alice, so arthur may not forgive what it left on a" in text
        assert "the note is empty" in await refused(stage.db, "alice", FORGIVE, debt, " ")
        assert "there is no cleanup debt 4711" in await refused(stage.db, "alice", FORGIVE, 4711, "x")
        await stage.db.value(FORGIVE, debt, "It is mine.", role="alice")
