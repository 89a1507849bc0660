"""One launch over 200 sites with every fault that the simulator has: database, journal and metrics have to agree."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from tests.support import Db, run_daemon
from tminus.simulator import Fault, FleetSpec, Kind, simulate

SCRIPT = "\n".join(
    [f'/ip firewall address-list add list=blacklist address=198.51.100.{n} comment="launch"' for n in range(1, 21)]
    + [':put "all twenty"', ""]
)

# What each fault may end as: (state, effect, reason). More than one where a race decides.
EXPECTED: dict[Fault | None, set[tuple[str, str, str | None]]] = {
    None: {("completed", "applied", None)},
    Fault.OFFLINE: {("failed", "none", "offline")},
    Fault.BLACKHOLE: {("failed", "none", "offline")},
    Fault.REFUSES_LOGIN: {("failed", "none", "auth_failed")},
    Fault.CHANGED_HOST_KEY: {("failed", "none", "host_key_changed")},
    Fault.SLOW: {("completed", "applied", None)},
    Fault.DROPS_MID_SCRIPT: {("unknown", "unknown", "connection_lost")},
    Fault.DROPS_AFTER_SCRIPT: {("completed", "applied", None)},
    Fault.TRUNCATES_EXPORT: {("completed", "applied", None)},  # fetched as a file
    Fault.REBOOTS: {("unknown", "unknown", "connection_lost")},
    Fault.NO_SFTP: {("failed", "none", "upload_failed")},
    Fault.UPLOAD_LATE: {("completed", "applied", None)},
    Fault.EXPORT_ERROR: {("failed", "none", "backup_incomplete")},
    Fault.INTERRUPTS_EXPORT: {("failed", "none", "backup_incomplete")},
    Fault.FULL_STORAGE: {("failed", "none", "upload_failed")},
    Fault.SILENT_MID_SCRIPT: {("completed", "applied", None)},
    Fault.HOSTILE_OUTPUT: {("completed", "applied", None)},
    Fault.RUNS_DRY_RUN: {
        ("completed", "applied", None),
        ("failed", "applied", "check_failed"),
    },  # the latter since 7.16
}


@pytest.mark.timeout(180)
async def test_database_journal_and_metrics_agree_after_every_fault(database: Db, tmp_path: Path) -> None:
    faults = dict.fromkeys(Fault, 4)
    spec = FleetSpec(sites=200, faults=faults, versions=("7.20.8", "7.12.2", "6.49.10"), base="127.45.0.1", seed=7)
    async with (
        simulate(spec) as fleet,
        run_daemon(database, tmp_path, fleet, max_sessions=100, connect_timeout=10.0) as daemon,
    ):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(SCRIPT, abort_if_offline=True)
        runs = await database.finished(script, within=120)
        assert len(runs) == 200

        sent = hashlib.sha256(SCRIPT.encode()).hexdigest()
        for site, run in runs.items():
            ending = (run["state"], run["effect"], run["reason"])
            fault = next(iter(fleet.router(site).faults), None)
            assert ending in EXPECTED[fault], f"{site} with {fault}: {ending} {run['message']}"

            starts = fleet.journal.starts(site)
            assert len(starts) <= 1, f"{site} was started {len(starts)} times"
            assert all(start.facts["sha256"] == sent for start in starts)
            finished = [e.facts["outcome"] for e in fleet.journal.events(site, Kind.IMPORT_FINISHED)]
            match run["state"]:
                case "completed":
                    assert finished == ["ok"], f"{site} is called completed, the journal says {finished}"
                    assert fleet.export(site).count("comment=launch") == 20
                case "failed" if run["effect"] == "none":
                    assert not starts, f"{site} is called untouched, but a script was started"
            # No backup, no run.
            if starts:
                assert (
                    await database.value(
                        "select count(*) from tminus.backups where site_run_id = $1 and phase = 'before'", run["id"]
                    )
                    == 1
                )
            assert not [name for name in fleet.files(site) if name.startswith("tminus-")], f"a file was left on {site}"
            assert "\x1b" not in (run["output"] or "") + run["message"]

        for site in (s.id for s in fleet.sites if Fault.REFUSES_LOGIN in fleet.router(s.id).faults):
            assert len(fleet.journal.events(site, Kind.LOGIN_REFUSED)) == 1, "a refused login was tried again"
        for site in (s.id for s in fleet.sites if Fault.CHANGED_HOST_KEY in fleet.router(s.id).faults):
            kinds = {event.kind for event in fleet.journal.events(site)}
            assert kinds <= {Kind.CONNECTION_LOST}, f"a router with another key saw {kinds}"

        metrics = await daemon.metrics()
        told: Counter[str] = Counter()
        for name, value in metrics.items():
            if name.startswith("tminus_site_runs_total{"):
                state = name.split('state="')[1].split('"')[0]
                told[state] += int(value)
        assert told == Counter(run["state"] for run in runs.values())
        assert metrics["tminus_launches_total"] == 1
        assert metrics["tminus_sessions"] == 0

        progress = (await database.script(script))["progress"]
        assert sorted(progress["completed"]) == sorted(s for s, r in runs.items() if r["state"] == "completed")
        assert len(progress["completed"]) + len(progress["failed"]) == 200
        assert progress["pending"] == []
        assert await daemon.stop() == 0
        assert not [event for event in daemon.log() if event["level"] in ("error", "critical")]
