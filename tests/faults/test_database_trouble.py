"""Trouble with the database under a running launch: nothing is started meanwhile, and no outcome is lost."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.faults.invariants import TOLD
from tests.faults.server import Server, own_server
from tests.faults.witness import bear_witness, ended, holds, not_ready, ready, tidy
from tests.support import FAST, SLOWNESS, Db, run_daemon, until
from tminus.simulator import FleetSpec, simulate

SLOW = '/ip dns static add name=before.example address=192.0.2.1\n:delay 3s\n:put "after"\n'
QUICK = ":put 1"


@pytest.fixture
async def trouble() -> AsyncIterator[tuple[Server, Db]]:
    async with own_server() as both:
        yield both


async def executing(db: Db, script: object, count: int) -> None:
    async def look() -> bool:
        return sum(run["executing_at"] is not None for run in (await db.site_runs(script)).values()) >= count

    await until(look)


@pytest.mark.fault("F5", "server crashes and restarts")
async def test_a_server_that_crashes_and_comes_back_disturbs_no_site(
    trouble: tuple[Server, Db], tmp_path: Path
) -> None:
    server, db = trouble
    async with simulate(FleetSpec(sites=6)) as fleet, run_daemon(db, tmp_path, fleet) as daemon:
        await db.run(fleet.inventory_sql(None))
        held = await holds(daemon)
        script = await db.submit(SLOW, max_concurrency=3)
        await executing(db, script, 3)
        await server.restart()
        runs = await db.finished(script)
        assert {run["state"] for run in runs.values()} == {"completed"}
        await ended(db)
        await bear_witness(db, fleet, tmp_path)
        await ready(daemon)
        await tidy(daemon, fleet, held)
        assert await daemon.stop() == 0


@pytest.mark.fault("F5", "server away for long")
async def test_while_a_server_is_away_nothing_starts_and_what_ends_is_written_when_it_is_back(
    trouble: tuple[Server, Db], tmp_path: Path
) -> None:
    server, db = trouble
    async with simulate(FleetSpec(sites=4)) as fleet, run_daemon(db, tmp_path, fleet) as daemon:
        await db.run(fleet.inventory_sql(None))
        held = await holds(daemon)
        script = await db.submit(SLOW, max_concurrency=2)
        await executing(db, script, 2)
        # Committed: those that may be started, and are a moment later.
        started = {site for site, run in (await db.site_runs(script)).items() if run["executing_at"]}
        await server.crash()
        await not_ready(daemon, "cannot prove to the database that this instance lives")
        assert (await daemon.get("/healthz"))[0] == 200
        # Longer than the scripts take.
        gone = time.monotonic()

        async def scripts_have_ended() -> bool:
            return time.monotonic() > gone + 3 and (await daemon.metrics())["tminus_heartbeat_trusted"] == 0

        await until(scripts_have_ended)
        assert {site.id for site in fleet.sites if fleet.journal.starts(site.id)} <= started
        await server.start()
        runs = await db.finished(script, within=60)
        assert {run["state"] for run in runs.values()} == {"completed"}
        await ended(db)
        await bear_witness(db, fleet, tmp_path)
        await ready(daemon)
        await tidy(daemon, fleet, held)


@pytest.mark.fault("F7", "server frozen for all")
async def test_a_server_that_freezes_longer_than_the_trust_lasts(trouble: tuple[Server, Db], tmp_path: Path) -> None:
    """Alone with it: the heartbeats that waited are answered when it wakes, and all goes on."""
    server, db = trouble
    async with simulate(FleetSpec(sites=4)) as fleet, run_daemon(db, tmp_path, fleet) as daemon:
        await db.run(fleet.inventory_sql(None))
        held = await holds(daemon)
        script = await db.submit(SLOW, max_concurrency=2)
        await executing(db, script, 2)
        server.freeze()
        await not_ready(daemon, "cannot prove to the database that this instance lives")
        before = [len(fleet.journal.starts(site.id)) for site in fleet.sites]
        assert (await daemon.get("/healthz"))[0] == 200
        server.thaw()
        await db.finished(script, within=60)
        assert sum(before) <= 2
        await ended(db)
        await bear_witness(db, fleet, tmp_path)
        await ready(daemon)
        runs = await db.site_runs(script)
        assert {run["state"] for run in runs.values()} == {"completed"}
        await tidy(daemon, fleet, held)


@pytest.mark.fault("F7", "server frozen for two")
async def test_no_daemon_is_declared_dead_for_a_server_that_froze_longer_than_a_heartbeat_lasts(
    trouble: tuple[Server, Db], tmp_path: Path
) -> None:
    """When it wakes, all heartbeats are old, and who gets through first may not judge the other by that."""
    server, db = trouble
    async with (
        simulate(FleetSpec(sites=4)) as fleet,
        run_daemon(db, tmp_path / "a", fleet, max_sessions=1) as one,
        run_daemon(db, tmp_path / "b", fleet, max_sessions=1) as two,
    ):
        await db.run(fleet.inventory_sql(None))
        script = await db.submit(SLOW)
        await executing(db, script, 2)
        server.freeze()
        thaws_at = time.monotonic() + 2 * FAST["heartbeat_ttl"]
        for daemon in (one, two):
            await not_ready(daemon, "cannot prove to the database that this instance lives")

        async def is_long_enough() -> bool:
            return time.monotonic() > thaws_at

        await until(is_long_enough)
        server.thaw()
        for daemon in (one, two):
            await ready(daemon)
        runs = await db.finished(script, within=60)
        assert {run["state"] for run in runs.values()} == {"completed"}, [run["message"] for run in runs.values()]
        assert (
            await db.value("select count(*) from tminus.events where kind in ('instance_dead', 'late_evidence')") == 0
        )
        assert [daemon.process.returncode for daemon in (one, two)] == [None, None]
        assert await db.fetch("select distinct state from tminus.instances") == [("alive",)]


@pytest.mark.fault("F11", "server takes no writes")
async def test_a_server_that_takes_no_writes_starts_nothing_and_recovers_alone(
    trouble: tuple[Server, Db], tmp_path: Path
) -> None:
    """A standby after a failover that nobody promoted."""
    _, db = trouble
    async with simulate(FleetSpec(sites=3)) as fleet, run_daemon(db, tmp_path, fleet) as daemon:
        await db.run(fleet.inventory_sql(None))
        held = await holds(daemon)
        script = await db.submit(QUICK, due_in=5.0)  # what is claimed when the writes end is not started: store_lost
        await db.run(
            "alter database trouble set default_transaction_read_only = on;"
            " select pg_terminate_backend(pid) from pg_stat_activity where usename = 'tminus_serve'"
        )
        await not_ready(daemon, "cannot prove to the database that this instance lives")

        async def is_due() -> bool:
            return await db.value(
                "select tminus.clock() > launch_at + interval '1 second' from tminus.scheduled_scripts"
            )

        await until(is_due)
        assert not [start for site in fleet.sites for start in fleet.journal.starts(site.id)]
        async with db.connect() as owner:
            await owner.execute("set default_transaction_read_only = off")
            await owner.execute("alter database trouble reset default_transaction_read_only")
            await owner.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'tminus_serve'")
        runs = await db.finished(script, within=40)
        assert {run["state"] for run in runs.values()} == {"completed"}, [run["message"] for run in runs.values()]
        await bear_witness(db, fleet, tmp_path)
        await ready(daemon)
        await tidy(daemon, fleet, held)


@pytest.mark.fault("F8", "listener killed")
async def test_a_lost_listener_costs_a_poll_and_comes_back(trouble: tuple[Server, Db], tmp_path: Path) -> None:
    _, db = trouble
    listener = "select pid from pg_stat_activity where application_name = 'tminus listen'"
    async with (
        simulate(FleetSpec(sites=1)) as fleet,
        run_daemon(db, tmp_path, fleet, poll_interval=2.0) as daemon,
    ):
        await db.run(fleet.inventory_sql(None))
        held = await holds(daemon)
        pid = await until(lambda: db.value(listener))
        await db.value("select pg_terminate_backend($1)", pid)
        script = await db.submit(QUICK)
        row = (await db.finished(script))["sim-0000"]
        lag = await db.value("select started_at - due_at from tminus.launches")
        assert lag.total_seconds() <= 2.0 + 1.0 * SLOWNESS
        assert row["state"] == "completed"

        async def another() -> bool:
            return await db.value(listener) not in (None, pid)

        await until(another, within=10)
        await bear_witness(db, fleet, tmp_path)
        await tidy(daemon, fleet, held)


@pytest.mark.fault("F10", "foreign locks")
async def test_a_foreign_transaction_that_locks_the_tables_holds_up_and_breaks_nothing(
    trouble: tuple[Server, Db], tmp_path: Path
) -> None:
    _, db = trouble
    async with simulate(FleetSpec(sites=3)) as fleet, run_daemon(db, tmp_path, fleet) as daemon:
        await db.run(fleet.inventory_sql(None))
        held = await holds(daemon)
        script = await db.submit(SLOW, max_concurrency=1)
        await executing(db, script, 1)
        async with db.connect() as foreign, db.connect() as onlooker:
            transaction = foreign.transaction()
            await transaction.start()
            await foreign.execute(
                "lock table tminus.site_runs, tminus.launches, tminus.sites in share row exclusive mode"
            )
            # Longer than a heartbeat's ttl, and than the script takes.
            for _ in range(round(12 * SLOWNESS)):
                assert (await daemon.get("/healthz"))[0] == 200
                # Nobody of ours holds a transaction open that does not wait for this one.
                idle = await onlooker.fetchval(
                    "select count(*) from pg_stat_activity where usename = 'tminus_serve' and state like 'idle in%'"
                    " and xact_start < clock_timestamp() - interval '1 second'"
                )
                assert idle == 0
                await asyncio.wait([asyncio.create_task(daemon.process.wait())], timeout=0.5)
                assert daemon.process.returncode is None
            assert (await daemon.metrics())["tminus_heartbeat_trusted"] == 1
            await transaction.rollback()
        runs = await db.finished(script, within=60)
        assert {run["state"] for run in runs.values()} == {"completed"}
        await ended(db)
        await bear_witness(db, fleet, tmp_path)
        await tidy(daemon, fleet, held)


# -- full disks --------------------------------------------------------------------------------------------------------


def _small_disk(size: str) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="tminus-small-", dir="/tmp"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0777", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        folder.rmdir()
        pytest.skip("NOT TESTED HERE: no right to mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
    folder.rmdir()


@pytest.fixture
def small_disk() -> Iterator[Path]:
    yield from _small_disk("60m")


@pytest.fixture
def tiny_disk() -> Iterator[Path]:
    yield from _small_disk("1m")


def fill(folder: Path) -> Path:
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return filler


@pytest.mark.fault("F11", "full disk of the database")
async def test_a_full_disk_of_the_database_loses_nothing(
    trouble: tuple[Server, Db], small_disk: Path, tmp_path: Path
) -> None:
    server, db = trouble
    space = small_disk / "space"
    space.mkdir()
    owner = (server.folder / "state/postgres").stat()
    subprocess.run(["chown", f"{owner.st_uid}:{owner.st_gid}", str(space)], check=True)
    async with db.connect() as connection:
        await connection.execute(f"create tablespace small location '{space}'")
    maintenance = await asyncpg.connect(server.dsn)
    try:
        await maintenance.execute("alter database trouble set tablespace small")
    finally:
        await maintenance.close()
    spec = FleetSpec(sites=20, export_kb=300)
    async with simulate(spec) as fleet, run_daemon(db, tmp_path, fleet) as daemon:
        await db.run(fleet.inventory_sql(None))
        held = await holds(daemon)
        script = await db.submit(QUICK, due_in=1.0)
        filler = fill(small_disk)

        async def refused_to_write() -> bool:
            return "could not" in daemon.log_file.read_text() and "No space left" in daemon.log_file.read_text()

        await until(refused_to_write, within=40)
        assert (await daemon.get("/healthz"))[0] == 200
        filler.unlink()
        runs = await db.finished(script, within=90)
        # What met the full disk at its very start was not started, and says so; the others ran.
        assert {(run["state"], run["reason"]) for run in runs.values()} <= {
            ("completed", None),
            ("failed", "store_lost"),
        }
        await ended(db)
        await bear_witness(db, fleet, tmp_path)
        await ready(daemon)
        await tidy(daemon, fleet, held)


@pytest.mark.fault("F12", "full disk of the host")
async def test_a_full_disk_of_the_host_starts_nothing_and_says_so(
    trouble: tuple[Server, Db], tiny_disk: Path, tmp_path: Path
) -> None:
    _, db = trouble
    state = tiny_disk / "state"
    async with (
        simulate(FleetSpec(sites=3)) as fleet,
        run_daemon(db, tmp_path, fleet, state_dir=str(state)) as daemon,
    ):
        await db.run(fleet.inventory_sql(None))
        held = await holds(daemon)
        filler = fill(tiny_disk)
        await not_ready(daemon, "cannot be written (No space left on device)")
        script = await db.submit(QUICK)

        async def is_due() -> bool:
            return await db.value(
                "select tminus.clock() > launch_at + interval '2 seconds' from tminus.scheduled_scripts"
            )

        await until(is_due)
        assert not [start for site in fleet.sites for start in fleet.journal.starts(site.id)]
        assert await db.value("select count(*) from tminus.site_runs where executing_at is not null") == 0
        assert "intent_log_unwritable" in {event["event"] for event in daemon.log()}
        filler.unlink()
        runs = await db.finished(script)
        assert {run["state"] for run in runs.values()} == {"completed"}
        await bear_witness(db, fleet, tiny_disk)
        await ready(daemon)
        await tidy(daemon, fleet, held, told=TOLD | {"intent_log_unwritable"})
