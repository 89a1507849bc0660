"""What follows from time alone: missed wishes, occurrences of cron rows, site runs whose time is over, finished launches."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.store.stage import Stage, add_sites, authorize, insert, until_waiting
from tminus.store import instances, launches

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOUR = timedelta(hours=1)
LONG = 1e7  # seconds: an instance that outlives the jumps of the clock


async def clean(stage: Stage) -> launches.Housekeeping:
    return await launches.housekeeping(stage.store)


class TestOneShots:
    async def test_it_is_due_from_its_time_until_start_within_is_over(self, stage: Stage) -> None:
        await add_sites(stage.db, "a")
        instance = await stage.instance(ttl=LONG)
        at = await stage.db.value("select date_trunc('hour', tminus.clock()) + interval '3 hours'")
        script = await insert(stage.db, launch_at=at, start_within=HOUR)
        await authorize(stage.db, script)
        for offset, due in (("-2 seconds", False), ("59 minutes 50 seconds", True), ("1 hour 1 second", False)):
            await stage.db.fetch(
                "update public.moved_clock set by = $1 - statement_timestamp() + $2::text::interval", at, offset
            )
            async with launches.due_scripts(stage.store, limit=5) as transaction:
                assert [found.id for found in transaction.due] == ([script] if due else []), offset
        assert await stage.launch_due(instance) == []

    async def test_one_that_no_daemon_started_in_time_is_missed(self, stage: Stage) -> None:
        await add_sites(stage.db, "a", "b")
        script = await stage.db.submit(":put 1", start_within=timedelta(minutes=5))
        await stage.db.move_clock(timedelta(minutes=6))
        assert (await clean(stage)).late == 1
        row = await stage.row(script)
        assert (row["status"], row["cancelled_by"], row["started_at"]) == ("cancelled", "tminus", None)
        assert row["status_reason"].startswith("Missed: no daemon could start it within 00:05:00 of 20")
        assert row["finished_at"] is not None
        runs = await stage.db.site_runs(script)
        assert {(run["state"], run["reason"], run["effect"]) for run in runs.values()} == {
            ("skipped", "missed", "none")
        }
        [launch] = await stage.db.fetch("select * from tminus.launches")
        assert (launch["state"], launch["reason"]) == ("missed", "missed")
        assert len(await stage.events("launch_missed")) == 1
        assert (await clean(stage)).late == 0

    async def test_one_that_was_never_authorized_is_missed_and_may_be_edited_until_then(self, stage: Stage) -> None:
        await add_sites(stage.db, "a")
        missed = await insert(stage.db, start_within=HOUR)
        moved = await insert(stage.db, start_within=HOUR)
        await stage.db.move_clock(timedelta(minutes=90))
        assert (await clean(stage)).late == 0
        await stage.db.fetch(
            "update tminus.scheduled_scripts set launch_at = tminus.clock() + interval '1 day' where id = $1",
            moved,
            role="alice",
        )
        await stage.db.move_clock(timedelta(minutes=31))
        assert (await clean(stage)).late == 1
        row = await stage.row(missed)
        assert (row["status"], row["cancelled_by"]) == ("cancelled", "tminus")
        assert row["status_reason"].startswith("Missed: not authorized before 20")
        assert (await stage.row(moved))["status"] == "unauthorized"

    @pytest.mark.parametrize("what", ["edited", "launched"])
    async def test_one_that_is_edited_or_launched_just_then_is_not_taken_for_missed(
        self, own_stage: Stage, what: str
    ) -> None:
        """The sweep has found it, and waits; what it then locks is another row than it saw."""
        await add_sites(own_stage.db, "a")
        instance = await own_stage.instance(ttl=LONG)
        script = await (own_stage.db.submit(":put 1") if what == "launched" else insert(own_stage.db))
        await own_stage.db.move_clock(timedelta(minutes=90 if what == "edited" else 30))
        # In the sweeper's session the clock is as far ahead as test.ahead says, and waits for the lock 7.
        await own_stage.db.run(
            """
            create function public.ahead() returns interval language plpgsql as $$
            begin
                if current_setting('test.ahead', true) <> '' then
                    perform pg_advisory_lock(7);
                    perform pg_advisory_unlock(7);
                    return current_setting('test.ahead')::interval;
                end if;
                return interval '0';
            end $$;
            create or replace function tminus.clock() returns timestamptz language sql stable
            as 'select pg_catalog.statement_timestamp() + (select by from public.moved_clock) + public.ahead()';
            grant execute on function tminus.settle_late(integer) to rita;
            """
        )
        async with own_stage.db.anew() as holder, own_stage.db.anew("rita") as sweeper:
            # Planned once and for all, so that it waits not while it is planned but after it took its snapshot.
            await sweeper.execute("set plan_cache_mode = force_generic_plan")
            assert await sweeper.fetchval("select tminus.settle_late(10)") == 0
            await holder.fetch("select pg_advisory_lock(7)")
            await sweeper.execute("set test.ahead = '1 day'")
            sweep = asyncio.create_task(sweeper.fetchval("select tminus.settle_late(10)"))
            await until_waiting(own_stage.db, "settle_late")
            if what == "edited":
                await own_stage.db.fetch(
                    "update tminus.scheduled_scripts set launch_at = tminus.clock() + interval '3 days'", role="alice"
                )
            else:
                assert None not in await own_stage.launch_due(instance)
            await holder.fetch("select pg_advisory_unlock(7)")
            assert await asyncio.wait_for(sweep, 10) == 0
        row = await own_stage.row(script)
        assert (row["status"], row["cancelled_at"]) == ("launched" if what == "launched" else "unauthorized", None)

    async def test_a_launch_is_made_once_by_any_number_of_launchers(self, stage: Stage) -> None:
        await add_sites(stage.db, "a", "b")
        instance = await stage.instance()
        for _ in range(4):
            await stage.db.submit(":put 1")
        await stage.db.move_clock(timedelta(seconds=1))
        made = [
            launch for some in await asyncio.gather(*(stage.launch_due(instance) for _ in range(4))) for launch in some
        ]
        assert len(made) == 4
        assert None not in made
        assert await stage.db.value("select count(*) from tminus.site_runs") == 8

    async def test_one_that_somebody_holds_waits_and_does_not_keep_the_launcher_awake(self, stage: Stage) -> None:
        await add_sites(stage.db, "a")
        instance = await stage.instance()
        script = await stage.db.submit(":put 1")
        await stage.db.move_clock(timedelta(seconds=1))
        async with stage.db.anew("alice") as person, person.transaction():
            await person.execute(f"select 1 from tminus.scheduled_scripts where id = '{script}' for update")
            assert await asyncio.wait_for(stage.launch_due(instance), 5) == []
            assert await launches.seconds_to_next_due(stage.store) is None
            assert await asyncio.wait_for(clean(stage), 5) == launches.Housekeeping(
                expired=0, late=0, given_up=0, finished=0
            )
        assert len(await stage.launch_due(instance)) == 1

    async def test_the_time_to_the_next_launch(self, stage: Stage) -> None:
        await add_sites(stage.db, "a")
        assert await launches.seconds_to_next_due(stage.store) is None
        await insert(stage.db)
        assert await launches.seconds_to_next_due(stage.store) is None, "it is not authorized"
        await stage.db.submit(":put 1", due_in=600.0)
        await stage.db.submit(":put 1", due_in=300.0)
        wait = await launches.seconds_to_next_due(stage.store)
        assert wait is not None
        assert 250 < wait < 301


class TestCron:
    @staticmethod
    async def minutely(stage: Stage, **columns: object) -> tuple[UUID, UUID]:
        await add_sites(stage.db, "a")
        instance = await stage.instance(ttl=LONG)
        # Half a minute past, so that a minute more is one occurrence more.
        await stage.db.run(
            "update public.moved_clock set by = date_trunc('minute', now()) - now() + interval '30 seconds'"
        )
        script = await insert(stage.db, cron="* * * * *", start_within=timedelta(seconds=40), **columns)
        await authorize(stage.db, script)
        await stage.plan()
        return script, instance

    async def finish(self, stage: Stage, instance: UUID) -> None:
        await stage.run_through(instance, *(claim.id for claim in (await stage.claim(instance)).values()))
        await clean(stage)

    async def test_each_occurrence_is_a_launch_and_between_them_it_is_scheduled(self, stage: Stage) -> None:
        script, instance = await self.minutely(stage)
        dues = []
        for _ in range(3):
            row = await stage.row(script)
            assert (row["status"], row["launch_at"] is None) == ("scheduled", False)
            dues.append(row["launch_at"])
            await stage.db.move_clock(timedelta(minutes=1))
            assert len(await stage.launch_due(instance)) == 1
            assert (await stage.row(script))["finished_at"] is None
            await self.finish(stage, instance)
            row = await stage.row(script)
            assert row["started_at"] >= dues[-1]
            assert row["finished_at"] >= row["started_at"]
        assert [due - dues[0] for due in dues] == [timedelta(minutes=minute) for minute in range(3)]
        assert [
            row["due_at"] for row in await stage.db.fetch("select due_at from tminus.launches order by due_at")
        ] == dues

    async def test_a_missed_occurrence_is_skipped_and_the_next_one_planned_without_making_up(
        self, stage: Stage
    ) -> None:
        script, instance = await self.minutely(stage)
        missed = (await stage.row(script))["launch_at"]
        await stage.db.move_clock(timedelta(minutes=1000))
        assert await stage.launch_due(instance) == []
        assert (await clean(stage)).late == 1
        row = await stage.row(script)
        assert (row["status"], row["launch_at"], row["started_at"]) == ("scheduled", None, None)
        await stage.plan()
        assert (await stage.row(script))["launch_at"] == missed + timedelta(minutes=1000)
        [launch] = await stage.db.fetch("select * from tminus.launches")
        assert (launch["state"], launch["reason"], launch["due_at"]) == ("missed", "missed", missed)
        shown = await stage.db.script(script)
        assert (shown["progress"]["failed"], shown["launch_state"], shown["started_at"]) == (["a"], "missed", None)

    async def test_an_occurrence_that_overlaps_is_missed_and_what_runs_is_shown(self, stage: Stage) -> None:
        script, instance = await self.minutely(stage)
        await stage.db.move_clock(timedelta(minutes=1))
        [launch] = await stage.launch_due(instance)
        started = (await stage.row(script))["started_at"]
        await stage.db.move_clock(timedelta(minutes=1))
        assert await stage.launch_due(instance) == [None]
        rows = await stage.db.fetch("select id, state, reason from tminus.launches order by due_at")
        assert [(row["state"], row["reason"]) for row in rows] == [("running", None), ("missed", "overlap")]
        shown = await stage.db.script(script)
        assert (shown["launch_id"], shown["progress"]["pending"]) == (str(launch), ["a"])
        assert (await stage.row(script))["started_at"] == started
        await self.finish(stage, instance)
        await stage.db.move_clock(timedelta(minutes=1))
        assert len(await stage.launch_due(instance)) == 1, "the next one is launched again"

    async def test_unauthorized_it_loses_its_occurrences_without_a_launch(self, stage: Stage) -> None:
        await add_sites(stage.db, "a")
        script = await insert(stage.db, cron="* * * * *", start_within=timedelta(seconds=40))
        await stage.plan()
        await stage.db.move_clock(timedelta(minutes=10))
        await clean(stage)
        row = await stage.row(script)
        assert (row["status"], row["launch_at"]) == ("unauthorized", None)
        assert await stage.db.value("select count(*) from tminus.launches") == 0

    async def test_an_occurrence_is_never_launched_twice_though_the_clock_is_set_back(self, stage: Stage) -> None:
        script, instance = await self.minutely(stage)
        await stage.db.move_clock(timedelta(minutes=1))
        assert len(await stage.launch_due(instance)) == 1
        await self.finish(stage, instance)
        await stage.db.move_clock(timedelta(minutes=-1))
        await stage.db.fetch(
            "update tminus.scheduled_scripts set timezone = 'Etc/UTC' where id = $1", script, role="alice"
        )
        await authorize(stage.db, script)
        await stage.plan()
        await stage.db.move_clock(timedelta(minutes=1))
        assert await stage.launch_due(instance) == [None]
        assert await stage.db.value("select count(*) from tminus.launches") == 1
        row = await stage.row(script)
        assert row["status"] == "scheduled"
        assert row["launch_at"] > await stage.db.value("select due_at from tminus.launches")

    async def test_a_rule_without_a_date_ends_with_its_reason(self, stage: Stage) -> None:
        await add_sites(stage.db, "a")
        script = await insert(stage.db, cron="0 0 29 2 *")
        # The database takes no such rule.
        await stage.db.run(
            "set session_replication_role = replica; update tminus.scheduled_scripts set cron = '0 0 30 2 *'"
        )
        await stage.plan()
        row = await stage.row(script)
        assert (row["status"], row["status_reason"], row["cancelled_by"]) == ("cancelled", "no date", "tminus")
        assert row["finished_at"] is not None

    async def test_planning_by_two_counts_once_and_plans_nothing_that_is_cancelled(self, stage: Stage) -> None:
        await add_sites(stage.db, "a")
        script = await insert(stage.db, cron="@daily")
        first, second = [await stage.db.value(f"select tminus.clock() + interval '{n} hours'") for n in (1, 2)]
        await launches.plan(stage.store, script, first)
        await launches.plan(stage.store, script, second)
        assert (await stage.row(script))["launch_at"] == first
        await stage.db.fetch("select tminus.cancel($1)", script, role="alice")
        assert await launches.unplanned_scripts(stage.store, limit=5) == []


class TestSitesThatWait:
    async def seen(self, stage: Stage, script: UUID) -> dict[str, tuple[Any, ...]]:
        return {site: (run["state"], run["reason"]) for site, run in (await stage.db.site_runs(script)).items()}

    async def test_offline_until_its_time_was_over(self, stage: Stage) -> None:
        instance = await stage.instance(ttl=LONG)
        script = await stage.launch(instance, "a", start_within=timedelta(minutes=10))
        run = (await stage.claim(instance))["a"].id
        await stage.store.fetch("release_site_runs", instance, [run], [60.0], ["offline"], ["No answer from 10.0.0.1."])
        await stage.db.move_clock(timedelta(minutes=9))
        assert (await clean(stage)).given_up == 0
        await stage.db.move_clock(timedelta(minutes=2))
        assert (await clean(stage)).given_up == 1
        assert await self.seen(stage, script) == {"a": ("failed", "offline")}
        assert (await stage.db.site_runs(script))["a"]["message"] == "No answer from 10.0.0.1."
        assert (await stage.row(script))["finished_at"] is not None

    async def test_offline_and_then_given_back_by_a_daemon_that_drains(self, stage: Stage) -> None:
        instance = await stage.instance(ttl=LONG)
        script = await stage.launch(instance, "a", start_within=timedelta(minutes=10))
        run = (await stage.claim(instance))["a"].id
        await stage.store.fetch("release_site_runs", instance, [run], [0.0], ["offline"], ["No answer from 10.0.0.1."])
        assert (await stage.claim(instance))["a"].attempts == 2
        await stage.store.fetch("release_site_runs", instance, [run], [0.0], [None], [None])
        await stage.db.move_clock(timedelta(minutes=11))
        assert (await clean(stage)).given_up == 1
        assert await self.seen(stage, script) == {"a": ("failed", "offline")}
        assert (await stage.db.site_runs(script))["a"]["message"] == "No answer from 10.0.0.1."

    async def test_offline_first_and_reached_later(self, stage: Stage) -> None:
        instance = await stage.instance(ttl=LONG)
        script = await stage.launch(instance, "a", start_within=timedelta(minutes=10))
        run = (await stage.claim(instance))["a"].id
        await stage.store.fetch("release_site_runs", instance, [run], [0.0], ["offline"], ["No answer from 10.0.0.1."])
        await stage.claim(instance)
        await stage.store.fetch("note_steps", instance, [run], ["backing_up"])
        await stage.store.fetch("release_site_runs", instance, [run], [0.0], [None], [None])
        await stage.db.move_clock(timedelta(minutes=11))
        assert (await clean(stage)).given_up == 1
        assert await self.seen(stage, script) == {"a": ("skipped", "missed")}

    async def test_no_daemon_served_it(self, stage: Stage) -> None:
        instance = await stage.instance(ttl=LONG)
        script = await stage.launch(instance, "a", "b", start_within=timedelta(minutes=10))
        await stage.db.move_clock(timedelta(minutes=11))
        assert await clean(stage) == launches.Housekeeping(expired=0, late=0, given_up=2, finished=1)
        assert await self.seen(stage, script) == {"a": ("skipped", "missed"), "b": ("skipped", "missed")}

    async def test_the_router_was_busy(self, stage: Stage) -> None:
        instance = await stage.instance(ttl=LONG)
        await stage.launch(instance, "a", start_within=timedelta(hours=5))
        busy = (await stage.claim(instance))["a"].id
        await stage.execute(instance, busy)
        script = await stage.launch(instance, "a", start_within=timedelta(minutes=10))
        await stage.db.move_clock(timedelta(minutes=11))
        assert (await clean(stage)).given_up == 1
        assert await self.seen(stage, script) == {"a": ("skipped", "busy")}

    async def test_a_launch_that_makes_progress_keeps_its_sites_waiting(self, stage: Stage) -> None:
        instance = await stage.instance(ttl=LONG)
        script = await stage.launch(instance, "a", "b", "c", start_within=timedelta(minutes=10), max_concurrency=1)
        for site in "abc":
            run = (await stage.claim(instance))[site].id
            await stage.db.move_clock(timedelta(minutes=9))
            assert (await clean(stage)).given_up == 0
            await stage.execute(instance, run)
            await stage.db.move_clock(timedelta(minutes=9))
            assert (await clean(stage)).given_up == 0, "one of them runs"
            await stage.end(instance, run)
            await stage.store.fetch("move_on_launches", [run])
        assert await self.seen(stage, script) == dict.fromkeys("abc", ("completed", None))

    async def test_what_a_dead_daemon_left_before_its_start_ends_too(self, stage: Stage) -> None:
        instance = await stage.instance(ttl=60)
        script = await stage.launch(instance, "a", start_within=timedelta(minutes=10))
        await stage.claim(instance)
        await stage.db.move_clock(timedelta(minutes=11))
        assert (await instances.reap(stage.store)).released == 1
        assert await clean(stage) == launches.Housekeeping(expired=0, late=0, given_up=1, finished=1)
        assert await self.seen(stage, script) == {"a": ("skipped", "missed")}

    async def test_what_runs_is_never_settled_by_time(self, stage: Stage) -> None:
        instance = await stage.instance(ttl=LONG)
        script = await stage.launch(instance, "a")
        run = (await stage.claim(instance))["a"].id
        await stage.execute(instance, run)
        await stage.db.move_clock(timedelta(days=30))
        assert await clean(stage) == launches.Housekeeping(expired=0, late=0, given_up=0, finished=0)
        assert await self.seen(stage, script) == {"a": ("running", None)}


async def test_a_launch_ends_with_its_last_site_and_says_how(stage: Stage) -> None:
    instance = await stage.instance()
    script = await stage.launch(instance, "a", "b")
    claims = await stage.claim(instance)
    await stage.run_through(instance, claims["a"].id)
    assert (await clean(stage)).finished == 0
    await stage.end(instance, claims["b"].id, state="failed")
    assert (await clean(stage)).finished == 1
    assert (await clean(stage)).finished == 0
    [launch] = await stage.db.fetch("select * from tminus.launches")
    assert launch["state"] == "finished"
    assert (await stage.row(script))["finished_at"] == launch["finished_at"]
    [event] = await stage.events("launch_finished")
    assert event["detail"] == '{"failed": 1, "completed": 1}'
