"""Many daemons on one database: work is shared, one may die at any moment, and a script that kills them is set aside."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from tests.faults.witness import bear_witness, ended, tidy
from tests.support import Db, run_daemon, until
from tminus.simulator import FleetSpec, simulate

SCRIPT = ":delay 300ms\n:put 1"
BASE = "127.77.0.1"


async def test_one_launch_is_shared_by_three_and_one_of_them_dies(database: Db, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abc"]
    async with (
        simulate(FleetSpec(sites=90, base=BASE)) as fleet,
        run_daemon(database, folders[0], fleet, max_sessions=100) as one,
        run_daemon(database, folders[1], fleet, max_sessions=100) as two,
        run_daemon(database, folders[2], fleet, max_sessions=100) as three,
    ):
        await database.run(fleet.inventory_sql(None))
        shared = await database.submit(SCRIPT)
        runs = await database.finished(shared, within=60)
        assert {run["state"] for run in runs.values()} == {"completed"}
        share = Counter(run["instance_id"] for run in runs.values())
        assert len(share) == 3
        assert min(share.values()) >= 9, share  # a tenth
        second = await database.submit(SCRIPT)

        async def three_is_busy() -> bool:
            return await database.value(
                "select count(*) > 2 from tminus.site_runs r join tminus.instances i on i.id = r.instance_id"
                " where i.pid = $1 and r.state = 'running'",
                three.process.pid,
            )

        await until(three_is_busy, every=0.005)
        await three.kill()
        runs = await database.finished(second, within=60)
        assert len(runs) == 90
        assert {run["state"] for run in runs.values()} <= {"completed", "unknown"}
        await ended(database)
        await bear_witness(database, fleet, *folders)
        for daemon in (one, two):
            tidy(daemon)
            assert await daemon.stop() == 0


async def test_a_script_whose_daemon_dies_three_times_is_set_aside_and_others_run(database: Db, tmp_path: Path) -> None:
    poison_script = ":delay 5s\n:put poison"
    async with simulate(FleetSpec(sites=3, base=BASE)) as fleet:
        await database.run(fleet.inventory_sql(None))
        poison = await database.submit(poison_script, ["sim-0000"], make_backup=False)
        innocent = await database.submit(":delay 5s\n:put 1", ["sim-0001"])
        for life in range(3):
            async with run_daemon(database, tmp_path / str(life), fleet) as daemon:
                # It takes hold of the poison, and dies of it.
                async def in_hand(daemon: object = daemon) -> bool:
                    return await database.value(
                        "select exists (select from tminus.site_runs r join tminus.launches l on l.id = r.launch_id"
                        " join tminus.instances i on i.id = r.instance_id"
                        " where l.script_id = $1 and r.finished_at is null and i.state = 'alive' and i.pid = $2)",
                        poison,
                        daemon.process.pid,  # type: ignore[attr-defined]
                    )

                await until(in_hand, every=0.01)
                await daemon.kill()
        async with run_daemon(database, tmp_path / "after", fleet) as daemon:

            async def set_aside() -> bool:
                return await database.value("select exists (select from tminus.set_aside where script_id = $1)", poison)

            await until(set_aside)
            runs = await database.finished(innocent, within=60)
            assert await database.value("select count(*) from tminus.set_aside") == 1
            assert runs["sim-0001"]["state"] in ("completed", "unknown")
            assert (await daemon.metrics())["tminus_scripts_set_aside"] == 1
            run = (await database.site_runs(poison))["sim-0000"]
            assert (run["state"], run["reason"]) in {("unknown", "daemon_lost"), ("pending", None)}
            assert all(len(fleet.journal.starts(site.id)) <= 1 for site in fleet.sites)
            await asyncio.sleep(0)
            tidy(daemon)
