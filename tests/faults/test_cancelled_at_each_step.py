"""A launch is cancelled while its daemon is held at each step of a site run: what is committed before is all that is done."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support import Daemon, Db, start_daemon, until
from tminus.kill_points import Point
from tminus.simulator import Fleet, FleetSpec, Kind, simulate

SCRIPT = '/system note set note="from tminus"\n'
BEFORE = (
    Point.CLAIMED,
    Point.CONNECTED,
    Point.EXPORTING,
    Point.BACKED_UP,
    Point.UPLOADED,
    Point.READY,
)
AFTER = (Point.START_WRITTEN, Point.SENT, Point.ANSWERED)
NEVER = {Kind.UPLOAD, Kind.IMPORT_STARTED, Kind.CHANGED}
SITE = "sim-0000"


class Held:
    """A daemon, and a file for each kill point at which it waits."""

    def __init__(self, db: Db, fleet: Fleet, plans: Path, daemon: Daemon) -> None:
        self.db = db
        self.fleet = fleet
        self._plans = plans
        self._pid = daemon.process.pid

    async def cancel_at(self, point: Point) -> tuple[object, int]:
        """Launch, have the daemon wait at `point`, cancel, let it go on. Returns the script, and what was journalled till then."""
        script = await self.launch_until(point)
        await self.db.value("select tminus.cancel($1)", script, role="alice")
        so_far = len(self.fleet.journal.events(SITE))
        self.go_on(point)
        return script, so_far

    async def launch_until(self, point: Point, **columns: object) -> object:
        """Launch, and have the daemon wait at `point`, with all that it does. Returns the script."""
        (self._plans / point).write_text("hold")
        script: object = await self.db.submit(SCRIPT, **columns)

        async def there() -> bool:
            return (self._plans / f"{point}.{self._pid}").exists()

        await until(there, every=0.01)
        (self._plans / f"{point}.{self._pid}").unlink()
        return script

    def go_on(self, point: Point) -> None:
        (self._plans / f"{point}.go").touch()


async def held(database: Db, fleet: Fleet, folder: Path) -> tuple[Held, Daemon]:
    plans = folder / "plans"
    plans.mkdir()
    await database.run(fleet.inventory_sql(None))
    daemon = await start_daemon(
        database,
        folder,
        fleet,
        program=("tests.faults.armed", str(plans)),
        heartbeat_ttl=20.0,
        poll_interval=10.0,
    )
    return Held(database, fleet, plans, daemon), daemon


@pytest.mark.fault("F25", "a person cancels at each step")
@pytest.mark.timeout(120)
async def test_a_cancel_at_each_step_is_the_last_that_a_router_hears_of_it(database: Db, tmp_path: Path) -> None:
    async with simulate(FleetSpec(sites=1)) as fleet:
        here, daemon = await held(database, fleet, tmp_path)
        try:
            await daemon.ready()
            for point in BEFORE:
                script, so_far = await here.cancel_at(point)
                went_on = time.time()
                run = (await database.finished(script, within=20))[SITE]
                assert (run["state"], run["reason"], run["effect"]) == ("skipped", "cancelled", "none"), point
                assert run["executing_at"] is None, point
                cancelled_at = await database.value(
                    "select cancelled_at from tminus.scheduled_scripts where id = $1", script
                )
                assert run["finished_at"] - cancelled_at < timedelta(seconds=2), f"{point}: ended by a look, not a hint"
                later = fleet.journal.events(SITE)[so_far:]
                # A question that was about to be asked may still be; after a second nothing is, but to take the file away.
                late = [event for event in later if event.kind is Kind.EXEC and event.wall > went_on + 1]
                assert all("/file remove" in str(event.facts["command"]) for event in late), (point, late)
                assert not {event.kind for event in later} & NEVER, point
                if point is Point.CLAIMED:
                    assert later == [], "between claim and connect: not one command, and not even a connection"
                # Each file of ours that lies there is a debt.
                lying = {file.name for file in fleet.router(SITE).files.all() if file.name.startswith("tminus-")}
                owed = await database.fetch("select file_name from tminus.cleanup_debts where settled_at is null")
                assert lying <= {row["file_name"] for row in owed}, point
            assert fleet.journal.starts(SITE) == []
            assert "from tminus" not in str(fleet.journal.events(SITE, Kind.CHANGED))

            for count, point in enumerate(AFTER, start=1):
                script, _ = await here.cancel_at(point)
                run = (await database.finished(script, within=20))[SITE]
                # What was committed before the cancel goes to its end, once; the rest of the launch would be skipped.
                assert (run["state"], run["effect"]) == ("completed", "applied"), point
                assert len(fleet.journal.starts(SITE)) == count, point
                assert (await database.script(script))["status"] == "cancelled", point
        finally:
            await daemon.kill()
