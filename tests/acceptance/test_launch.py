"""A launch, end to end: from an INSERT to proved progress on every site."""

from __future__ import annotations

from pathlib import Path

from tests.support import Db, run_daemon
from tminus.simulator import FleetSpec, simulate

SCRIPT = (
    '/ip firewall filter add chain=input action=drop src-address=192.0.2.1 comment="from tminus"\n:put "done here"\n'
)


async def test_a_script_runs_on_every_site_and_is_proved(database: Db, tmp_path: Path) -> None:
    async with simulate(FleetSpec(sites=3)) as fleet, run_daemon(database, tmp_path, fleet) as daemon:
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(SCRIPT)
        runs = await database.finished(script)
        assert {run["state"] for run in runs.values()} == {"completed"}
        for site, run in runs.items():
            assert "done here" in run["output"]
            assert '+add action=drop chain=input comment="from tminus" src-address=192.0.2.1' in run["diff"]
            assert 'comment="from tminus"' in fleet.export(site)
            assert fleet.files(site) == {}
        shown = await database.script(script)
        assert shown["status"] == "launched"
        assert shown["progress"] == {"completed": sorted(runs), "failed": [], "pending": []}
        assert await daemon.stop() == 0
