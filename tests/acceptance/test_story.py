"""The story of a launch, read from the log alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.support import Daemon, Db, run_daemon, until
from tminus.simulator import Fault, FleetSpec, Kind, SiteSpec, simulate

SCRIPT = '/ip dns static add name=told.example address=192.0.2.1\n:put "done"\n'
FAULTS = {
    "good": None,
    "login": Fault.REFUSES_LOGIN,
    "key": Fault.CHANGED_HOST_KEY,
    "offline": Fault.OFFLINE,
    "dropped": Fault.DROPS_AFTER_SCRIPT,
}
ENDS = {
    "good": ("completed", None),
    "login": ("failed", "auth_failed"),
    "key": ("failed", "host_key_changed"),
    "offline": ("failed", "offline"),
    "dropped": ("completed", None),
}
Event = dict[str, Any]


async def logged(daemon: Daemon, which: Callable[[Event], bool]) -> list[Event]:
    """The log up to the last event of this kind, once it has one: what the daemon says next may be there already."""

    async def there() -> list[Event]:
        events = daemon.log()
        return events[: max((at for at, event in enumerate(events, 1) if which(event)), default=0)]

    return await until(there)


async def test_a_launch_with_mixed_faults_is_told_from_its_first_line_to_its_last(database: Db, tmp_path: Path) -> None:
    sites = tuple(
        SiteSpec(id=site, version="7.20.8", faults=frozenset({fault} if fault else ()))
        for site, fault in FAULTS.items()
    )
    async with simulate(FleetSpec(site_specs=sites)) as fleet, run_daemon(database, tmp_path, fleet) as daemon:
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(
            SCRIPT, start_within=timedelta(seconds=5), abort_if_offline=False, description="Names for the lab"
        )
        runs = await database.finished(script)
        await logged(daemon, lambda event: event["event"] == "launch_ended")

        async def all_are_told() -> bool:
            return sum(event["event"] == "site_ended" for event in daemon.log()) == len(FAULTS)

        # The end of a launch is told by whoever sees it first: the last site's may be told right behind it.
        await until(all_are_told)
        launch = str(runs["good"]["launch_id"])
        events = daemon.log()
        story = [event for event in events if event.get("launch_id") == launch]
        end = [event["event"] for event in story].index("launch_ended")
        assert {event["event"] for event in story[end + 1 :]} <= {"site_ended"}
        story.append(story.pop(end))
        metrics = await daemon.metrics()

    # One line at T-0: what, where, who wanted it and who allowed it.
    first, last = story[0], story[-1]
    assert first["event"] == "launched"
    assert (first["level"], first["script_id"], first["sites"]) == ("info", str(script), 5)
    assert (first["created_by"], first["authorized_by"], first["description"]) == ("alice", "bob", "Names for the lab")
    # One at the end, with what became of it.
    assert last["event"] == "launch_ended"
    assert (last["script_id"], last["state"], last["sites"]) == (str(script), "finished", 5)
    assert {state: last[state] for state in ("completed", "failed", "skipped", "unknown")} == {
        "completed": 2,
        "failed": 3,
        "skipped": 0,
        "unknown": 0,
    }
    assert last["reasons"] == {"auth_failed": 1, "host_key_changed": 1, "offline": 1}
    assert last["level"] == "warning"
    assert f"tminus status {script}" in last["todo"]
    assert (last["created_by"], last["authorized_by"]) == ("alice", "bob")
    assert [event["event"] for event in story].count("launched") == 1
    assert [event["event"] for event in story].count("launch_ended") == 1

    # In between, each site from its start to its ending, in order.
    for site, (state, reason) in ENDS.items():
        told = [event for event in story if event.get("site_id") == site]
        assert told[0]["event"] == "site_started", site
        assert told[-1]["event"] == "site_ended", site
        assert (told[-1]["state"], told[-1]["reason"]) == (state, reason)
        assert told[-1]["message"].endswith("."), site
        assert [event["event"] for event in told].count("site_ended") == 1
        assert ("script_started" in {event["event"] for event in told}) == (state == "completed"), site
        assert len({event["site_run"] for event in told}) == 1
    assert {"site_started", "site_put_off"} <= {event["event"] for event in story if event.get("site_id") == "offline"}
    assert "site_unresolved" in {event["event"] for event in story if event.get("site_id") == "dropped"}
    # Nothing of it is told without its launch, and what is louder than INFO says what it means.
    assert all("launch_id" in event for event in events if event["event"].startswith(("site_", "script_", "launch")))
    for event in events:
        if event["level"] != "info":
            assert event.get("todo") or event.get("message"), event
    assert "192.0.2.1" not in daemon.log_file.read_text(), "the script itself is nobody's in the log"
    assert metrics['tminus_launches_ended_total{state="finished"}'] == 1


async def test_sites_that_no_daemon_ran_are_told_and_counted_when_their_launch_ends(
    database: Db, tmp_path: Path
) -> None:
    async with simulate(FleetSpec(sites=3)) as fleet:
        await database.run(fleet.inventory_sql(None))
        # Due while no daemon ran.
        missed = await database.submit(":put 1", start_within=timedelta(seconds=60))
        await database.move_clock(timedelta(minutes=5))
        async with run_daemon(database, tmp_path, fleet) as daemon:
            events = await logged(daemon, lambda event: event["event"] == "launch_ended")
            assert (events[-1]["script_id"], events[-1]["state"], events[-1]["skipped"]) == (str(missed), "missed", 3)
            assert events[-1]["level"] == "warning"
            assert "new launch_at" in events[-1]["todo"]

            script = await database.submit(f"{SCRIPT}:delay 1s\n", max_concurrency=1)
            await fleet.journal.wait("sim-0000", Kind.IMPORT_STARTED)
            await database.value("select tminus.cancel($1)", script, role="alice")
            runs = await database.finished(script)
            events = await logged(
                daemon, lambda event: event.get("script_id") == str(script) and event["event"] == "launch_ended"
            )
            untold = [event for event in events if event["event"] == "sites_not_run"][-1]
            assert (untold["state"], untold["reason"], untold["count"]) == ("skipped", "cancelled", 2)
            assert untold["site_ids"] == ["sim-0001", "sim-0002"]
            assert untold["launch_id"] == str(runs["sim-0000"]["launch_id"])
            assert (events[-1]["state"], events[-1]["reason"]) == ("cancelled", "cancelled by alice")
            assert events[-1]["level"] == "info", "it was wished so"

            counted: Counter[str] = Counter()
            for name, value in (await daemon.metrics()).items():
                if name.startswith("tminus_site_runs_total{"):
                    counted[name.split('state="')[1].split('"')[0]] += int(value)
            assert {run["state"] for run in runs.values()} == {"completed", "skipped"}
            assert +counted == {"completed": 1, "skipped": 3 + 2}
