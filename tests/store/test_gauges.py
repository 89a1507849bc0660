"""The numbers that only the database knows: right when it answers, and gone when it does not. And who is told of an end."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from tests.store.stage import Stage, add_sites, authorize, insert
from tests.support import Db
from tminus.domain.endings import Effect, LaunchState, Reason, State
from tminus.ops.store_numbers import StoreNumbers
from tminus.store import launches
from tminus.store.gauges import read_gauges, read_sizes
from tminus.store.launches import EndedLaunch, EndingCount
from tminus.store.pool import open_database

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = 1e7  # seconds: an instance that outlives the jumps of the clock
HOUR = timedelta(hours=1)


class TestGauges:
    async def test_an_empty_database_has_nothing_to_tell(self, stage: Stage) -> None:
        gauges = await read_gauges(stage.store)
        assert gauges.next_launch_at is None
        # The queue of notifications is that of all databases of the server.
        assert {name for name in gauges.__slots__ if getattr(gauges, name)} - {"notification_queue"} == set()

    async def test_who_listens_within_a_transaction_fills_the_queue_of_notifications(self, stage: Stage) -> None:
        async with stage.db.anew() as listener, stage.db.anew() as speaker:
            await listener.execute("listen test_queue")
            await listener.execute("begin; select 1")
            for _ in range(200):
                await speaker.execute("select pg_notify('test_queue', repeat('x', 7000))")
            # Of 8 GiB it is 1.4 MB.
            assert 0.0001 < (await read_gauges(stage.store)).notification_queue < 1
            await listener.execute("rollback")

    async def test_what_waits_and_what_runs_too_long(self, stage: Stage) -> None:
        instance = await stage.instance(ttl=LONG)
        await stage.launch(instance, "a", "b", "c", site_timeout=timedelta(minutes=10))
        run = (await stage.claim(instance, capacity=1))["a"].id
        await stage.execute(instance, run)
        await stage.db.move_clock(timedelta(minutes=9))
        gauges = await read_gauges(stage.store)
        assert (gauges.running_launches, gauges.pending_sites, gauges.longest_overrun_seconds) == (1, 2, 0)
        await stage.db.move_clock(timedelta(minutes=6))
        assert (await read_gauges(stage.store)).longest_overrun_seconds == pytest.approx(300, abs=20)
        await stage.end(instance, run)
        assert (await read_gauges(stage.store)).longest_overrun_seconds == 0

    async def test_what_a_person_has_to_find_out_is_counted(self, stage: Stage) -> None:
        instance = await stage.instance(ttl=LONG)
        await stage.launch(instance, "a")
        run = (await stage.claim(instance))["a"].id
        await stage.execute(instance, run)
        await stage.store.fetch(
            "end_site_runs",
            instance,
            [run],
            ["unknown"],
            ["timed_out"],
            ["unknown"],
            ["No."],
            [None],
            ["[]"],
            [None],
            [None],
        )
        assert (await read_gauges(stage.store)).unknown_sites == 1

    async def test_the_next_launch_is_told_until_it_is_made_also_when_it_is_late(self, stage: Stage) -> None:
        instance = await stage.instance(ttl=LONG)
        await add_sites(stage.db, "a")
        for hours in (5, 2):
            at = await stage.db.value("select tminus.clock() + $1::interval", timedelta(hours=hours))
            await authorize(stage.db, await insert(stage.db, launch_at=at))
        assert (await read_gauges(stage.store)).next_launch_at == pytest.approx(at.timestamp())
        await stage.db.move_clock(timedelta(hours=2, minutes=5))
        assert (await read_gauges(stage.store)).next_launch_at == pytest.approx(at.timestamp())
        await stage.launch_due(instance)
        later = (await read_gauges(stage.store)).next_launch_at
        assert later == pytest.approx(at.timestamp() + 3 * 3600, abs=20)

    async def test_not_authorized_an_hour_before_its_launch(self, stage: Stage) -> None:
        await add_sites(stage.db, "a")
        script = await insert(stage.db, launch_at=await stage.db.value("select tminus.clock() + interval '90 minutes'"))
        assert (await read_gauges(stage.store)).unauthorized_scripts == 0
        await stage.db.move_clock(timedelta(minutes=31))
        assert (await read_gauges(stage.store)).unauthorized_scripts == 1
        await authorize(stage.db, script)
        assert (await read_gauges(stage.store)).unauthorized_scripts == 0

    async def test_missed_launches_are_counted_for_a_day(self, stage: Stage) -> None:
        await add_sites(stage.db, "a")
        await stage.db.submit(":put 1", start_within=HOUR)
        await stage.db.move_clock(timedelta(hours=2))
        await launches.housekeeping(stage.store)
        assert (await read_gauges(stage.store)).missed_launches == 1
        await stage.db.move_clock(timedelta(hours=25))
        assert (await read_gauges(stage.store)).missed_launches == 0

    async def test_files_that_lie_on_routers_and_since_when(self, stage: Stage) -> None:
        instance = await stage.instance(ttl=LONG)
        await stage.launch(instance, "a")
        run = (await stage.claim(instance))["a"].id
        await stage.store.fetch("owe_cleanup", [run], ["tminus-0123456789abcdef.rsc"])
        await stage.db.move_clock(timedelta(days=4))
        gauges = await read_gauges(stage.store)
        assert (gauges.cleanup_debts, gauges.oldest_debt_seconds) == (1, pytest.approx(4 * 86400, abs=20))

    async def test_sizes_follow_what_is_kept(self, stage: Stage) -> None:
        before = await read_sizes(stage.store)
        await stage.db.run(
            "insert into tminus.events (kind, principal, detail)"
            " select 'made_up', 'me', jsonb_build_object('n', repeat(md5(n::text), 20)) from generate_series(1, 2000) n"
        )
        after = await read_sizes(stage.store)
        grown = after.event_bytes - before.event_bytes
        assert grown > 500_000
        assert after.database_bytes - before.database_bytes >= grown
        assert after.backup_bytes == before.backup_bytes

    async def test_exports_with_secrets_count_among_the_backups(self, stage: Stage) -> None:
        before = await read_sizes(stage.store)
        await stage.db.run(
            "insert into tminus.sensitive_texts (sha256, text)"
            " select sha256(n::text::bytea), md5(n::text) || md5((n + 1)::text) from generate_series(1, 5000) n"
        )
        after = await read_sizes(stage.store)
        assert after.backup_bytes - before.backup_bytes > 5000 * 64


class _Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


class TestFreshness:
    async def test_numbers_vanish_while_the_database_is_away_and_return_with_it(
        self, stage: Stage, postgres: str
    ) -> None:
        clock, failures = _Clock(), []
        name = await stage.db.value("select current_database()")
        async with open_database(stage.db.dsn_as("tminus_serve"), size=1, application="away") as db:
            numbers = StoreNumbers(db, failed=lambda: failures.append(1), now=clock)
            registry = CollectorRegistry()
            registry.register(numbers)
            assert _shown(registry) == {}, "it was not asked yet"
            await numbers.refresh()
            shown = _shown(registry)
            assert shown["tminus_store_up"] == 1
            assert shown["tminus_next_launch_timestamp_seconds"] == math.inf
            assert {"tminus_cleanup_debts", "tminus_database_bytes"} <= shown.keys()

            async with Db(postgres).connect() as owner:
                await owner.execute(f"alter database {name} allow_connections false")
                try:
                    await owner.execute(
                        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'away'"
                    )
                    clock.time += 10
                    await numbers.refresh()
                    shown = _shown(registry)
                    assert (shown["tminus_store_up"], shown["tminus_store_read_age_seconds"]) == (0, 10)
                    assert "tminus_cleanup_debts" in shown, "ten seconds are a hiccup"
                    clock.time += 25
                    await numbers.refresh()
                    assert _shown(registry).keys() - {"tminus_database_bytes", "tminus_kept_bytes"} == {
                        "tminus_store_up",
                        "tminus_store_read_age_seconds",
                    }
                    clock.time += 900
                    assert _shown(registry).keys() == {"tminus_store_up", "tminus_store_read_age_seconds"}
                    assert len(failures) == 2
                finally:
                    await owner.execute(f"alter database {name} allow_connections true")
            await numbers.refresh()
            shown = _shown(registry)
            assert (shown["tminus_store_up"], shown["tminus_store_read_age_seconds"]) == (1, 0)
            assert {"tminus_cleanup_debts", "tminus_database_bytes"} <= shown.keys()


def _shown(registry: CollectorRegistry) -> dict[str, float]:
    def samples() -> Iterator[tuple[str, float]]:
        for metric in registry.collect():
            for sample in metric.samples:
                yield sample.name, sample.value

    return dict(samples())


class TestEnds:
    async def ended(self, stage: Stage) -> list[EndedLaunch]:
        return await launches.take_ended(stage.store, limit=20)

    async def test_a_launch_is_told_once_with_the_endings_that_no_daemon_told(self, stage: Stage) -> None:
        instance: UUID = await stage.instance(ttl=LONG)
        script = await stage.launch(instance, "a", "b", "c", max_concurrency=1)
        await stage.run_through(instance, (await stage.claim(instance))["a"].id)
        assert await self.ended(stage) == [], "it is not over"
        await stage.db.value("select tminus.cancel($1)", script, role="alice")
        [launch] = await self.ended(stage)
        assert (launch.script_id, launch.state, launch.reason) == (script, LaunchState.CANCELLED, "cancelled by alice")
        assert (launch.created_by, launch.authorized_by, launch.sites) == ("alice", "bob", 3)
        assert launch.endings == (
            EndingCount(
                state=State.SKIPPED,
                reason=Reason.CANCELLED,
                effect=Effect.NONE,
                count=2,
                told=False,
                sites=("b", "c"),
            ),
            EndingCount(state=State.COMPLETED, reason=None, effect=Effect.APPLIED, count=1, told=True, sites=()),
        )
        assert await self.ended(stage) == []

    async def test_a_launch_that_was_missed_is_told(self, stage: Stage) -> None:
        await add_sites(stage.db, "a", "b")
        script = await stage.db.submit(":put 1", start_within=HOUR)
        await stage.db.move_clock(timedelta(hours=2))
        await launches.housekeeping(stage.store)
        [launch] = await self.ended(stage)
        assert (launch.script_id, launch.state, launch.took) == (script, LaunchState.MISSED, timedelta(0))
        [ending] = launch.endings
        assert (ending.reason, ending.count, ending.told) == (Reason.MISSED, 2, False)

    async def test_two_daemons_never_tell_the_same_one(self, stage: Stage) -> None:
        instance = await stage.instance(ttl=LONG)
        await stage.launch(instance, "a")
        await stage.run_through(instance, (await stage.claim(instance))["a"].id)
        await launches.housekeeping(stage.store)
        async with stage.db.anew("tminus_serve") as other:
            transaction = other.transaction()
            await transaction.start()
            assert len(await other.fetch("select * from tminus.tell_launches(20)")) == 1
            assert await self.ended(stage) == [], "the other one tells it"
            await transaction.rollback()
        assert len(await self.ended(stage)) == 1
