"""Routers that lack, hide or add something that a plain run does not need: it is run all the same, and proved."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import Db, run_daemon, until
from tminus.simulator import Behaviour, Fault, FleetSpec, SiteSpec, simulate

NOTE = '/system note set note="Authorized access only!"\n'
GOOD = '/ip firewall address-list add list=tested address=198.51.100.1\n:put "done here"\n'
LESSER = {
    "no-jobs": (Behaviour(shows_jobs=False), "its jobs, so"),
    "no-log": (Behaviour(shows_log=False), "router's log"),
    "no-dry-run": (Behaviour(knows_dry_run=False), "dry run"),
    "no-onerror": (Behaviour(knows_onerror=False), ":onerror"),
    "none-to-parse": (Behaviour(knows_onerror=False, knows_dry_run=False), ":onerror"),
    "blank": (Behaviour(blank_after_put=True), None),
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
            if expected in ("dry run", ":onerror") and "6.49" in site:
                expected = "its jobs, so" if site.startswith("none-of-them") else None
            assert (expected or "") in told, f"{site}: {told}"
            assert bool(told) == (expected is not None), f"{site}: {told}"
            assert not [name for name in fleet.files(site) if name.startswith("tminus-")]


async def test_what_was_left_is_removed_from_a_router_that_hides_its_jobs(database: Db, tmp_path: Path) -> None:
    site = SiteSpec(id="r1", version="7.20.8", behaviour=Behaviour(shows_jobs=False))
    async with simulate(FleetSpec(site_specs=(site,))) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        first = (await database.finished(await database.submit(GOOD)))["r1"]
        left = f"tminus-{first['nonce']}.rsc"
        fleet.router("r1").files.put(left, b":put 1\n")
        assert (await database.finished(await database.submit(NOTE)))["r1"]["state"] == "completed"
        assert not fleet.files("r1")


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
        # What it says to everybody is no output of a script of which nothing was run.
        refused = await database.submit(":put [/no/such/menu]\n", ["old", "whole"], make_backup=False)
        for site, run in (await database.finished(refused, within=40)).items():
            ending = (run["state"], run["effect"], run["reason"])
            assert ending == ("failed", "none", "script_rejected"), f"{site}: {run['message']}"
            assert len(fleet.journal.starts(site)) == 2


@pytest.mark.timeout(120)
async def test_what_does_not_take_onerror_is_given_what_earlier_versions_get(database: Db, tmp_path: Path) -> None:
    half, again = (GOOD.replace("100.1", f"100.{number}") for number in (2, 3))
    half += "/interface bridge add name=bridge\n"
    sites = (
        SiteSpec(id="old", version="7.12.2"),
        SiteSpec(id="new", version="7.20.8", behaviour=Behaviour(knows_onerror=False)),
        SiteSpec(id="between", version="7.13.5", behaviour=Behaviour(knows_onerror=False)),
        SiteSpec(id="blank", version="7.20.8", behaviour=Behaviour(blank_after_put=True)),
        SiteSpec(
            id="lost",
            version="7.20.8",
            behaviour=Behaviour(blank_after_put=True),
            faults=frozenset({Fault.DROPS_AFTER_SCRIPT}),
        ),
    )
    async with simulate(FleetSpec(site_specs=sites)) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        for site, run in (await database.finished(await database.submit(GOOD), within=40)).items():
            assert run["state"] == "completed", f"{site}: {run['reason']} {run['message']}"
            assert (":onerror" in " ".join(run["warnings"])) == (site in ("new", "between"))
        failing = ["old", "new", "between", "blank"]
        for site, run in (await database.finished(await database.submit(half, failing), within=40)).items():
            assert (run["state"], run["reason"], run["effect"]) == ("failed", "script_error", "partial"), site
            assert "already have interface" in run["message"], f"{site}: {run['message']}"
            assert "+add address=198.51.100.2" in run["diff"], site
        for site, run in (
            await database.finished(await database.submit(again, ["new", "blank"], detached=True), within=40)
        ).items():
            expected = ("failed", "guard_failed") if site == "new" else ("completed", None)
            assert (run["state"], run["reason"]) == expected, f"{site}: {run['message']}"
            assert len(fleet.journal.starts(site)) == (2 if site == "new" else 3)
            assert not [name for name in fleet.files(site) if name.startswith("tminus-")]


@pytest.mark.timeout(120)
async def test_a_proved_end_does_not_wait_for_a_channel_that_stays_open(database: Db, tmp_path: Path) -> None:
    half = GOOD.replace("100.1", "100.2") + "/interface bridge add name=bridge\n"
    opens = Behaviour(import_keeps_open=True)
    sites = (
        SiteSpec(id="new", version="7.20.8", behaviour=opens),
        SiteSpec(id="old", version="6.49.10", behaviour=opens),
    )
    async with simulate(FleetSpec(site_specs=sites)) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        for site, run in (await database.finished(await database.submit(GOOD), within=30)).items():
            assert run["state"] == "completed", f"{site}: {run['reason']} {run['message']}"
            assert "+add address=198.51.100.1" in run["diff"], site
            assert "kept the session open" in " ".join(run["warnings"]), site
        for site, run in (await database.finished(await database.submit(half, ["new"]), within=30)).items():
            assert (run["state"], run["reason"]) == ("failed", "script_error"), f"{site}: {run['message']}"
            assert len(fleet.journal.starts(site)) == 2
            assert not [name for name in fleet.files(site) if name.startswith("tminus-")]


@pytest.mark.timeout(120)
async def test_a_router_that_runs_what_stands_before_an_error_is_not_said_to_have_run_nothing(
    database: Db, tmp_path: Path
) -> None:
    """Its message is that of one that read the whole file first; only the export shows what it did."""
    spoilt = "/ip firewall address-list add list=tested address=198.51.100.1\n/ip nonsense add x=1\n"
    sites = [
        SiteSpec(
            id=f"{version}-{applies}", version=version, behaviour=Behaviour(applies_before_error=applies == "applies")
        )
        for version in ("6.49.10", "7.14.3")
        for applies in ("applies", "parses")
    ]
    async with simulate(FleetSpec(site_specs=tuple(sites))) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        for site, run in (await database.finished(await database.submit(spoilt), within=40)).items():
            assert "bad command name nonsense (line 2 column 5)" in run["message"], run["message"]
            if site.endswith("applies"):
                assert (run["state"], run["effect"], run["reason"]) == ("failed", "partial", "script_error")
                assert "the export afterwards differs" in run["message"]
                assert "+add address=198.51.100.1" in run["diff"]
            else:
                assert (run["state"], run["effect"], run["reason"]) == ("failed", "none", "script_rejected")
                assert not fleet.journal.starts(site)
                assert not run["diff"]


@pytest.mark.timeout(120)
async def test_what_is_listed_late_is_looked_for_again_where_its_upload_failed(database: Db, tmp_path: Path) -> None:
    """No room for the script: its file is there, empty, and is not listed yet when it is looked for."""
    site = SiteSpec(
        id="r1", version="7.20.8", faults=frozenset({Fault.FULL_STORAGE}), behaviour=Behaviour(file_delay_s=0.5)
    )
    async with simulate(FleetSpec(site_specs=(site,))) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        run = (await database.finished(await database.submit(GOOD), within=60))["r1"]
        assert (run["state"], run["reason"]) == ("failed", "upload_failed")

        async def listed() -> bool:
            return any(file.name.startswith("tminus-") for file in fleet.router("r1").files.visible())

        await until(listed)
        assert await database.value("select tminus.hasten_cleanup()", role="alice") == 1

        async def removed() -> bool:
            return await database.value("select count(*) from tminus.cleanup_debts where settled_at is null") == 0

        await until(removed)
        assert not [name for name in fleet.files("r1") if name.startswith("tminus-")]
