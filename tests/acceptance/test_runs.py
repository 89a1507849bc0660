"""Run now and test runs, from the command line to simulated routers."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.test_cli import Cli
from tests.support import Db, run_daemon
from tminus.simulator import FleetSpec, SiteSpec, simulate


async def test_what_was_authorized_for_later_is_run_now(database: Db, tmp_path: Path) -> None:
    cli = Cli(database)
    spec = FleetSpec(site_specs=(SiteSpec(id="r1", version="7.20.8"), SiteSpec(id="r2", version="7.20.8")))
    async with simulate(spec) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(":put now", due_in=86400)
        (await cli("run-now", str(script), login="alice")).refused("alice is not an approver")
        answer = await cli.ok("run-now", str(script), "--reason", "storm", login="bob")
        assert answer.out == f"runs now: {script}; see tminus watch {script}\n"
        runs = await database.finished(script)
        assert {site: run["state"] for site, run in runs.items()} == {"r1": "completed", "r2": "completed"}
        assert [len(fleet.journal.starts(site)) for site in ("r1", "r2")] == [1, 1]
        (await cli("run-now", str(script), login="bob")).refused("is launched")
