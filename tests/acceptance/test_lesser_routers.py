"""Routers that lack, hide or add something that a plain run does not need: it is run all the same, and proved."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import Db, run_daemon
from tminus.simulator import Behaviour, Fault, FleetSpec, SiteSpec, simulate

NOTE = '/system note set note="Authorized access only!"\n'
GOOD = '/ip firewall address-list add list=tested address=198.51.100.1\n:put "done here"\n'
LESSER = {
    "no-jobs": (Behaviour(shows_jobs=False), "jobs and files"),
    "no-log": (Behaviour(shows_log=False), "router's log"),
    "no-dry-run": (Behaviour(knows_dry_run=False), "dry run"),
    "none-of-them": (Behaviour(shows_jobs=False, shows_log=False, knows_dry_run=False, sends_status=False), "dry run"),
    "greets": (Behaviour(note_on_exec=True), None),
}


@pytest.mark.timeout(120)
async def test_what_a_plain_run_does_not_need_may_be_missing(database: Db, tmp_path: Path) -> None:
    sites = [
        SiteSpec(id=f"{name}-{version}", version=version, behaviour=behaviour)
        for name, (behaviour, _) in LESSER.items()
        for version in ("6.49.10", "7.20.8")
    ]
    async with simulate(FleetSpec(site_specs=tuple(sites))) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        for script in (NOTE, GOOD):
            runs = await database.finished(await database.submit(script), within=40)
            for site, run in runs.items():
                assert run["state"] == "completed", f"{site}: {run['reason']} {run['message']}"
        for site, run in runs.items():
            assert len(fleet.journal.starts(site)) == 2
            assert "+add address=198.51.100.1" in run["diff"], site
            told = " ".join(run["warnings"])
            expected = LESSER[site.rpartition("-")[0]][1]
            if expected == "dry run" and "6.49" in site:
                expected = None if site.startswith("no-dry-run") else "jobs and files"
            assert (expected or "") in told, f"{site}: {told}"
            assert bool(told) == (expected is not None), f"{site}: {told}"
            assert not [name for name in fleet.files(site) if name.startswith("tminus-")]


@pytest.mark.timeout(120)
async def test_without_a_log_a_lost_session_proves_nothing(database: Db, tmp_path: Path) -> None:
    sites = tuple(
        SiteSpec(
            id=str(fault.value),
            version="7.20.8",
            faults=frozenset({fault}),
            behaviour=Behaviour(shows_log=False, shows_jobs=False, reboot_down_s=0.5),
        )
        for fault in (Fault.DROPS_MID_SCRIPT, Fault.DROPS_AFTER_SCRIPT, Fault.REBOOTS)
    )
    async with simulate(FleetSpec(site_specs=sites)) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        runs = await database.finished(await database.submit(GOOD), within=60)
        for site, run in runs.items():
            assert (run["state"], run["effect"]) == ("unknown", "unknown"), f"{site}: {run['message']}"
            assert len(fleet.journal.starts(site)) == 1


@pytest.mark.timeout(120)
async def test_without_a_list_of_jobs_the_log_still_resolves_a_lost_session(database: Db, tmp_path: Path) -> None:
    site = SiteSpec(
        id="r1",
        version="7.20.8",
        faults=frozenset({Fault.DROPS_AFTER_SCRIPT}),
        behaviour=Behaviour(shows_jobs=False),
    )
    async with simulate(FleetSpec(site_specs=(site,))) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        run = (await database.finished(await database.submit(GOOD), within=60))["r1"]
        assert run["state"] == "completed", run["message"]
        assert "Proved by the router's log, not by the session." in run["warnings"]
        assert not [name for name in fleet.files("r1") if name.startswith("tminus-")]


@pytest.mark.timeout(120)
async def test_a_router_that_greets_is_known_by_its_serial_number(database: Db, tmp_path: Path) -> None:
    greets = Behaviour(note_on_exec=True)
    sites = (
        SiteSpec(id="whole", version="7.20.8", behaviour=greets),
        SiteSpec(id="old", version="6.49.10", behaviour=greets),
        SiteSpec(id="lost", version="7.20.8", behaviour=greets, faults=frozenset({Fault.DROPS_AFTER_SCRIPT})),
    )
    async with simulate(FleetSpec(site_specs=sites)) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        await database.finished(await database.submit(NOTE), within=40)
        serials = await database.fetch("select id, serial from tminus.sites")
        assert {row["id"]: row["serial"] for row in serials} == {
            site.id: fleet.router(site.id).hardware.serial for site in sites
        }
        for site, run in (await database.finished(await database.submit(GOOD, make_backup=False), within=40)).items():
            assert run["state"] == "completed", f"{site}: {run['reason']} {run['message']}"
            assert len(fleet.journal.starts(site)) == 2
            assert not [name for name in fleet.files(site) if name.startswith("tminus-")]
