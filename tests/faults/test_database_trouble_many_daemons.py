"""Many daemons on one database: work is shared, one may die at any moment, and a script that kills them is set aside."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.test_cli import Cli
from tests.faults.witness import bear_witness, ended, holds, tidy
from tests.support import Daemon, Db, run_daemon, until
from tminus.simulator import Fault, FleetSpec, SiteSpec, simulate

SCRIPT = ":delay 300ms\n:put 1"


@pytest.mark.fault("F4", "one of three daemons killed")
async def test_one_launch_is_shared_by_three_and_one_of_them_dies(database: Db, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abc"]
    async with (
        simulate(FleetSpec(sites=90)) as fleet,
        run_daemon(database, folders[0], fleet, max_sessions=100) as one,
        run_daemon(database, folders[1], fleet, max_sessions=100) as two,
        run_daemon(database, folders[2], fleet, max_sessions=100) as three,
    ):
        await database.run(fleet.inventory_sql(None))
        held = [await holds(daemon) for daemon in (one, two)]
        shared = await database.submit(SCRIPT)
        runs = await database.finished(shared, within=60)
        assert {run["state"] for run in runs.values()} == {"completed"}
        share = Counter(run["instance_id"] for run in runs.values())
        assert len(share) == 3
        assert min(share.values()) >= 9, share  # a tenth
        second = await database.submit(SCRIPT + "0")

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
        for daemon, before in zip((one, two), held, strict=True):
            await tidy(daemon, fleet, before)
            assert await daemon.stop() == 0


@pytest.mark.fault("F27", "poison")
async def test_a_script_whose_daemon_dies_three_times_is_set_aside_and_others_run(database: Db, tmp_path: Path) -> None:
    """Before its point of no return: its router is slow, so that the daemon has it in hand for seconds."""
    cli = Cli(database)
    sites = (
        SiteSpec(id="slow", version="7.20.8", faults=frozenset({Fault.SLOW})),
        SiteSpec(id="quick", version="7.20.8"),
    )
    async with simulate(FleetSpec(site_specs=sites)) as fleet:
        await database.run(fleet.inventory_sql(None))
        poison = await database.submit(":put poison", ["slow"], make_backup=False)
        for life in range(3):
            async with run_daemon(database, tmp_path / str(life), fleet) as daemon:
                await until(partial(in_hand, database, poison, daemon), every=0.01)
                await daemon.kill()
            if life == 2:
                told = (await cli.ok("status")).out
                assert f"Alone: {poison}" in told, told
        innocent = await database.submit(":put 1", ["quick"])
        async with run_daemon(database, tmp_path / "after", fleet) as daemon:

            async def set_aside() -> bool:
                return await database.value("select exists (select from tminus.set_aside where script_id = $1)", poison)

            await until(set_aside)
            runs = await database.finished(innocent, within=60)
            assert runs["quick"]["state"] == "completed"
            assert (await daemon.metrics())["tminus_scripts_set_aside"] == 1
            assert (await database.site_runs(poison))["slow"]["state"] == "pending"
            status = (await cli.ok("status")).out
            assert f"Set aside: {poison}" in status
            assert (
                "(set aside: the daemon died three times while it ran this" in (await cli.ok("status", str(poison))).out
            )
            (row,) = (await cli.ok("status", "--json")).json()["set_aside"]
            assert row["script_id"] == str(poison)
            (await cli("readmit", str(poison), "--note", " ", login="bob")).refused("the note is empty")
            said = (await cli.ok("readmit", str(poison), "--note", "The host has memory now.", login="bob")).out
            assert f"{poison} is readmitted" in said
            assert "Set aside" not in (await cli.ok("status")).out
            runs = await database.finished(poison, within=60)
            assert runs["slow"]["state"] == "completed"
            assert (await daemon.metrics())["tminus_scripts_set_aside"] == 0
            await bear_witness(database, fleet, *(tmp_path / name for name in ("0", "1", "2", "after")))
            await tidy(daemon, fleet)


async def in_hand(database: Db, script: object, daemon: Daemon) -> bool:
    return await database.value(
        "select exists (select from tminus.site_runs r join tminus.launches l on l.id = r.launch_id"
        " join tminus.instances i on i.id = r.instance_id"
        " where l.script_id = $1 and r.finished_at is null and i.state = 'alive' and i.pid = $2)",
        script,
        daemon.process.pid,
    )
