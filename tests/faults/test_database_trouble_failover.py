"""A server that takes over and lacks the last commits: nothing runs twice, and what ran is found out."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.server import Server, own_server
from tests.faults.test_database_trouble import QUICK, SLOW, executing
from tests.faults.witness import SET_BACK, bear_witness, ended, holds, intents, not_ready, ready, tidy
from tests.support import Db, run_daemon, until
from tminus.simulator import FleetSpec, Kind, simulate

# What the new server knows of a daemon is as old as the snapshot: on a busy machine that may be many seconds.
_PATIENT = {"heartbeat_ttl": 20.0}
RESUME = "select tminus.resume('failed over; looked at all of it')"


@pytest.fixture
async def trouble() -> AsyncIterator[tuple[Server, Db]]:
    async with own_server() as both:
        yield both


async def lost(db: Db) -> int:
    return await db.value("select count(*) from tminus.lost_starts")


@pytest.mark.fault("F9", "failover forgets starts")
async def test_scripts_that_ran_through_a_failover_end_in_the_database_that_had_forgotten_their_start(
    trouble: tuple[Server, Db], tmp_path: Path
) -> None:
    """Lost: the starts, the claims and the launch's progress. Two daemons; each looks at the new server."""
    server, db = trouble
    async with (
        simulate(FleetSpec(sites=6)) as fleet,
        run_daemon(db, tmp_path / "a", fleet, max_sessions=2, **_PATIENT) as one,
        run_daemon(db, tmp_path / "b", fleet, max_sessions=2, **_PATIENT) as two,
    ):
        await db.run(fleet.inventory_sql(None))
        held = [await holds(daemon) for daemon in (one, two)]
        script = await db.submit(SLOW.replace("3s", "6s"), due_in=3.0)
        other = await db.submit(QUICK, due_in=8.0)

        async def launched() -> bool:
            return await db.value("select exists (select from tminus.launches)")

        await until(launched)
        await server.snapshot()
        await executing(db, script, 4)
        started = {site for site, run in (await db.site_runs(script)).items() if run["executing_at"]}
        for site in started:
            await fleet.journal.wait(site, Kind.IMPORT_STARTED)
        await server.fail_over()
        for daemon in (one, two):
            await not_ready(daemon, "paused: the script of launch")
        assert await lost(db) >= 1
        # What runs goes on, and its ending is written; nothing else starts, though it is due.
        await until(
            lambda: db.value("select count(*) >= $1 from tminus.site_runs where state = 'completed'", len(started))
        )
        assert await db.value(
            "select min(launch_at) < tminus.clock() from tminus.scheduled_scripts where id = $1", other
        )
        assert {site.id for site in fleet.sites if fleet.journal.starts(site.id)} == started
        await db.value(RESUME, role="bob")
        runs = await db.finished(script, within=60)
        assert {run["state"] for run in runs.values()} == {"completed"}
        assert {run["state"] for run in (await db.finished(other, within=60)).values()} == {"completed"}
        await ended(db)
        await bear_witness(db, fleet, tmp_path / "a", tmp_path / "b")
        for daemon, before in zip((one, two), held, strict=True):
            await ready(daemon)
            await tidy(daemon, fleet, before, told=SET_BACK)


@pytest.mark.fault("F9", "failover forgets a launch")
async def test_a_launch_that_the_new_server_never_had_is_made_again_and_starts_nothing(
    trouble: tuple[Server, Db], tmp_path: Path
) -> None:
    """Restored to before the launch, and resumed by a person who did not look: its routers are asked, and nothing runs."""
    server, db = trouble
    async with simulate(FleetSpec(sites=3)) as fleet:
        async with run_daemon(db, tmp_path, fleet) as daemon:
            await db.run(fleet.inventory_sql(None))
            script = await db.submit(QUICK, due_in=5.0)
            await server.snapshot()
            runs = await db.finished(script)
            assert {run["state"] for run in runs.values()} == {"completed"}
            assert len(intents(tmp_path)) == 3
            assert await daemon.stop() == 0
        await server.fail_over()
        assert await db.value("select count(*) from tminus.launches") == 0
        async with run_daemon(db, tmp_path, fleet) as daemon:
            await not_ready(daemon, "(and 2 more)")
            assert await lost(db) == 3
            await db.value(RESUME, role="bob")
            runs = await db.finished(script, within=60)
            assert {run["state"] for run in runs.values()} == {"completed"}, (
                "by what that start left in the routers' logs"
            )
            assert {run["nonce"] for run in runs.values()} == {intent["nonce"] for intent in intents(tmp_path)}
            refused = [event for event in daemon.log() if event["event"] == "start_refused"]
            assert {event["level"] for event in refused} == {"error"}
            assert {event["site_id"] for event in refused} == set(runs)
            await ended(db)
            await bear_witness(db, fleet, tmp_path)
            assert all(len(fleet.journal.starts(site)) == 1 for site in runs)

            async def cleaned_up() -> bool:
                return not any(fleet.files(site) for site in runs)

            await db.run("select tminus.hasten_cleanup()")
            await until(cleaned_up)
            await tidy(daemon, fleet, told=SET_BACK)


@pytest.mark.fault("F9", "failover loses nothing")
async def test_a_failover_that_lost_nothing_is_not_noticed(trouble: tuple[Server, Db], tmp_path: Path) -> None:
    server, db = trouble
    async with simulate(FleetSpec(sites=2)) as fleet, run_daemon(db, tmp_path, fleet, **_PATIENT) as daemon:
        await db.run(fleet.inventory_sql(None))
        held = await holds(daemon)
        await db.finished(await db.submit(QUICK))
        # A seal that is made after the snapshot would be lost, and be missed.
        await until(lambda: db.value("select not exists (select from tminus.unsealed_events)"))
        await server.snapshot()
        await server.fail_over()
        script = await db.submit(":put 2")
        assert {run["state"] for run in (await db.finished(script)).values()} == {"completed"}
        assert await lost(db) == 0
        await bear_witness(db, fleet, tmp_path)
        await tidy(daemon, fleet, held)


@pytest.mark.fault("F9", "failover past a frozen daemon")
async def test_until_the_slower_daemon_has_looked_the_quicker_one_starts_nothing(
    trouble: tuple[Server, Db], tmp_path: Path
) -> None:
    """The slower one is frozen over the failover, and the start is known to it alone."""
    server, db = trouble
    slow_settings = {"heartbeat_ttl": 30.0, "heartbeat_interval": 1.0, "runner_tags": ["slow"]}
    async with (
        simulate(FleetSpec(sites=2)) as fleet,
        run_daemon(db, tmp_path / "slow", fleet, **slow_settings) as slow,
        run_daemon(db, tmp_path / "quick", fleet, max_sessions=5, **_PATIENT) as quick,
    ):
        await db.run(fleet.inventory_sql(None))
        await db.run("update tminus.sites set runner = 'slow'")
        script = await db.submit(SLOW.replace("3s", "6s"), due_in=2.5)
        await server.snapshot()
        await executing(db, script, 2)
        for site in fleet.sites:
            await fleet.journal.wait(site.id, Kind.IMPORT_STARTED)
        slow.process.send_signal(signal.SIGSTOP)
        await server.fail_over()
        await db.run("update tminus.sites set runner = null")
        # The quick one is there, and held back by the other.

        async def quick_has_looked() -> bool:
            return await db.value(
                "select exists (select from tminus.instances where settled_on = tminus.incarnation())"
                " and tminus.is_unsettled()"
            )

        await until(quick_has_looked)
        if await db.value("select tminus.is_paused()"):  # it misses what was sealed before; that is no matter here
            await db.value(RESUME, role="bob")
        assert await db.value("select min(launch_at) < tminus.clock() from tminus.scheduled_scripts")
        rounds = (await quick.metrics())['tminus_service_ticks_total{service="launcher"}']

        async def went_round() -> bool:
            return (await quick.metrics())['tminus_service_ticks_total{service="launcher"}'] >= rounds + 5

        await until(went_round)
        assert await db.value("select count(*) from tminus.launches") == 0
        slow.process.send_signal(signal.SIGCONT)

        async def slow_has_looked() -> bool:
            return await lost(db) == 2

        await until(slow_has_looked)
        await not_ready(quick, "paused")
        await db.value("select tminus.cancel($1)", script, role="alice")
        await db.value(RESUME, role="bob")
        await ready(quick)
        assert all(len(fleet.journal.starts(site.id)) == 1 for site in fleet.sites)
        assert await db.value("select count(*) from tminus.launches") == 0
        await bear_witness(db, fleet, tmp_path / "slow", tmp_path / "quick")
        for daemon in (slow, quick):
            await tidy(daemon, fleet, told=SET_BACK)
