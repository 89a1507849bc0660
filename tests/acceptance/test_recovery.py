"""A daemon that dies, drains or loses its routers: nothing runs twice, and every site ends."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta
from pathlib import Path

from tests.support import Db, run_daemon, until
from tminus.simulator import Fault, FleetSpec, Kind, SiteSpec, simulate

SLOW_SCRIPT = '/ip dns static add name=before.example address=192.0.2.1\n:delay 3s\n:put "after"\n'


async def _executing(database: Db, script: object, count: int) -> None:
    async def look() -> bool:
        runs = await database.site_runs(script)
        return sum(run["executing_at"] is not None for run in runs.values()) >= count

    await until(look)


async def test_a_killed_daemons_started_runs_are_resolved_and_never_started_again(database: Db, tmp_path: Path) -> None:
    async with simulate(FleetSpec(sites=4)) as fleet, run_daemon(database, tmp_path / "a", fleet) as first:
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(SLOW_SCRIPT, max_concurrency=2)
        await _executing(database, script, 2)
        for site in ("sim-0000", "sim-0001"):
            await fleet.journal.wait(site, Kind.IMPORT_STARTED)
        await first.kill()
        async with run_daemon(database, tmp_path / "b", fleet) as second:
            runs = await database.finished(script, within=60)
            assert {run["state"] for run in runs.values()} == {"completed", "unknown"}
            for site, run in runs.items():
                assert len(fleet.journal.starts(site)) <= 1
                assert not fleet.files(site)
                if run["state"] == "unknown":
                    assert run["reason"] == "daemon_lost"
                    assert fleet.journal.events(site, Kind.IMPORT_INTERRUPTED)
                else:
                    assert [e.facts["outcome"] for e in fleet.journal.events(site, Kind.IMPORT_FINISHED)] == ["ok"]
            states = [
                row["state"] for row in await database.fetch("select state from tminus.instances order by started_at")
            ]
            assert states == ["dead", "alive"]
            assert await second.stop() == 0


async def test_a_drain_finishes_what_runs_and_claims_nothing_new(database: Db, tmp_path: Path) -> None:
    async with (
        simulate(FleetSpec(sites=4)) as fleet,
        run_daemon(database, tmp_path / "a", fleet, executed=True) as daemon,
    ):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(SLOW_SCRIPT, max_concurrency=2)
        await _executing(database, script, 2)
        assert await daemon.stop() == 0
        runs = await database.site_runs(script)
        assert sorted(run["state"] for run in runs.values()) == ["completed", "completed", "pending", "pending"]
        assert await database.value("select state from tminus.instances") == "stopped"
        async with run_daemon(database, tmp_path / "b", fleet):
            runs = await database.finished(script)
            assert {run["state"] for run in runs.values()} == {"completed"}
            assert all(len(fleet.journal.starts(site)) == 1 for site in runs)


async def test_who_was_declared_dead_waits_for_what_runs_until_a_second_signal(database: Db, tmp_path: Path) -> None:
    spec = FleetSpec(site_specs=(SiteSpec(id="r1", version="7.20.8"),))
    async with simulate(spec) as fleet, run_daemon(database, tmp_path, fleet, executed=True) as daemon:
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(":delay 60s")
        await _executing(database, script, 1)
        await database.run(
            "set session_replication_role = replica; update tminus.instances set state = 'dead', ended_at = now()"
        )

        async def knows_it() -> bool:
            return any(line["event"] == "declared_dead" for line in daemon.log())

        await until(knows_it)
        for number in (signal.SIGTERM, signal.SIGINT):  # two of a kind could become one on their way
            daemon.process.send_signal(number)
        async with asyncio.timeout(15):
            assert await daemon.process.wait() == 6


async def test_a_drain_that_takes_too_long_gives_back_what_was_not_started(database: Db, tmp_path: Path) -> None:
    sites = (SiteSpec(id="stuck", version="7.20.8", faults=frozenset({Fault.BLACKHOLE})),)
    async with (
        simulate(FleetSpec(site_specs=sites)) as fleet,
        run_daemon(database, tmp_path, fleet, drain_timeout=0.5, connect_timeout=30.0) as daemon,
    ):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(":put 1")

        async def running() -> bool:
            return (await database.site_runs(script)).get("stuck", {}).get("state") == "running"

        await until(running)
        assert await daemon.stop() == 0
        run = (await database.site_runs(script))["stuck"]
        assert (run["state"], run["instance_id"], run["executing_at"]) == ("pending", None, None)


async def test_an_offline_site_is_tried_again_and_runs_when_it_is_back(database: Db, tmp_path: Path) -> None:
    sites = (SiteSpec(id="sim-0000", version="7.20.8", faults=frozenset({Fault.OFFLINE})),)
    async with simulate(FleetSpec(site_specs=sites)) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(":put 1")

        async def put_off() -> bool:
            run = (await database.site_runs(script)).get("sim-0000")
            return run is not None and run["state"] == "pending" and run["retry_reason"] == "offline"

        await until(put_off)
        await fleet.set_faults("sim-0000", ())
        await database.run("update tminus.site_runs set not_before = null where state = 'pending'")
        runs = await database.finished(script)
        assert runs["sim-0000"]["state"] == "completed"
        assert runs["sim-0000"]["attempts"] == 2


async def test_an_offline_site_fails_when_its_time_is_over(database: Db, tmp_path: Path) -> None:
    sites = (SiteSpec(id="sim-0000", version="7.20.8", faults=frozenset({Fault.OFFLINE})),)
    async with simulate(FleetSpec(site_specs=sites)) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(":put 1", start_within=timedelta(seconds=3))
        run = (await database.finished(script))["sim-0000"]
        assert (run["state"], run["reason"], run["effect"]) == ("failed", "offline", "none")


async def test_the_database_restarting_under_a_launch_loses_no_outcome(database: Db, tmp_path: Path) -> None:
    async with simulate(FleetSpec(sites=3)) as fleet, run_daemon(database, tmp_path, fleet) as daemon:
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(SLOW_SCRIPT)
        await _executing(database, script, 3)
        await database.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'tminus_serve' and pid <> pg_backend_pid()"
        )
        runs = await database.finished(script)
        assert {run["state"] for run in runs.values()} == {"completed"}
        assert all(len(fleet.journal.starts(site)) == 1 for site in runs)
        assert await daemon.stop() == 0


async def test_a_site_changed_after_authorization_fails_alone_and_nothing_is_sent_to_it(
    database: Db, tmp_path: Path
) -> None:
    async with simulate(FleetSpec(sites=2)) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(":put 1", due_in=1.0)
        await database.run("update tminus.sites set username = 'other' where id = 'sim-0001'")
        runs = await database.finished(script)
        assert runs["sim-0000"]["state"] == "completed"
        assert (runs["sim-0001"]["state"], runs["sim-0001"]["reason"]) == ("failed", "site_changed")
        assert not fleet.journal.events("sim-0001")


async def test_health_and_readiness_are_served(database: Db, tmp_path: Path) -> None:
    async with simulate(FleetSpec(sites=1)) as fleet, run_daemon(database, tmp_path, fleet) as daemon:
        assert (await daemon.get("/healthz"))[0] == 200
        assert (await daemon.get("/readyz"))[0] == 200
        assert (await daemon.metrics())["tminus_heartbeat_trusted"] == 1


async def test_a_service_that_is_refused_does_not_cut_a_running_script(database: Db, tmp_path: Path) -> None:
    async with simulate(FleetSpec(sites=2)) as fleet, run_daemon(database, tmp_path, fleet) as daemon:
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(SLOW_SCRIPT)
        await _executing(database, script, 2)
        await database.run("revoke execute on function tminus.reap(uuid) from tminus_daemon")
        runs = await database.finished(script)
        assert {run["state"] for run in runs.values()} == {"completed"}
        assert (await daemon.get("/healthz"))[0] == 200
        assert "store_refused" in {event["event"] for event in daemon.log()}
        assert await daemon.stop() == 0


async def test_an_instance_that_is_declared_dead_lets_its_scripts_end_and_keeps_the_evidence(
    database: Db, tmp_path: Path
) -> None:
    async with simulate(FleetSpec(sites=2)) as fleet, run_daemon(database, tmp_path, fleet) as daemon:
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(SLOW_SCRIPT)
        await _executing(database, script, 2)
        await database.run("update tminus.instances set state = 'dead', ended_at = now()")
        assert await daemon.process.wait() == 6
        for site in ("sim-0000", "sim-0001"):
            assert [e.facts["outcome"] for e in fleet.journal.events(site, Kind.IMPORT_FINISHED)] == ["ok"]
            assert len(fleet.journal.starts(site)) == 1
        async with run_daemon(database, tmp_path / "next", fleet):
            runs = await database.finished(script)
            # Resolved by the log: the scripts ran to their end.
            assert {run["state"] for run in runs.values()} == {"completed"}


async def test_the_export_that_a_dead_daemon_had_written_is_not_left_on_the_router(
    database: Db, tmp_path: Path
) -> None:
    """What was sent was cut, so the router was asked for a file; whoever takes over was never told of that."""
    faults = frozenset({Fault.TRUNCATES_EXPORT, Fault.SLOW})
    sites = (SiteSpec(id="r1", version="7.20.8", faults=faults),)
    async with simulate(FleetSpec(site_specs=sites)) as fleet:
        async with run_daemon(database, tmp_path / "a", fleet) as first:
            await database.run(fleet.inventory_sql(None))
            script = await database.submit(":put 1", make_backup=False)
            await asyncio.wait_for(fleet.journal.wait("r1", Kind.IMPORT_FINISHED), 30)

            async def is_written() -> bool:
                return any(name.endswith("-export.rsc") for name in fleet.files("r1"))

            await until(is_written, within=30)
            await first.kill()
        async with run_daemon(database, tmp_path / "b", fleet):
            run = (await database.finished(script, within=60))["r1"]
            assert (run["state"], run["effect"]) == ("completed", "applied"), run["message"]
            assert not fleet.files("r1")
            assert await database.value("select count(*) from tminus.cleanup_debts") == 0
