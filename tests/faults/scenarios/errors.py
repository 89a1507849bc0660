"""An error of our own that nobody expected (F27)."""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Collection, Iterator
from functools import partial

from tests.faults.invariants import TOLD, Excuses
from tests.faults.rig import BOUND, Rig, Slot
from tests.faults.scenarios.scenario import RUN_POINTS, Measured, Scenario, settle
from tminus.kill_points import Point

_TOLD = TOLD | {"site_run_broke", "site_run_left_open", "orphan_broke", "service_broke", "write_broke"}
_ITS_OWN = "the daemon met an error of its own"


def scenarios() -> Iterator[Scenario]:
    for point in (Point.LAUNCHING, *RUN_POINTS, Point.HOUSEKEPT):
        yield Scenario(fault="F27", name=f"error at {point}", act=partial(_error_at, point), told=_TOLD)


async def _error_at(point: Point, rig: Rig, rng: random.Random) -> Measured:
    """Something that nobody expected is raised: one run ends by it, or those whose start was committed with that one, and nothing
    else; least of all the process.

    Of who met it there may be no more to tell than that it is unknown; all others are asked for what they always are.
    """
    measured = Measured()
    rig.plan(point, "raise")
    script = await rig.launch()
    slot = rig.slot_of(await rig.taken(point))
    lives = len(slot.exits)
    since = time.time()
    measured.demand(await rig.ended(script) is not None, f"A3: not all sites ended within {BOUND:.0f} s")
    runs = await rig.db.site_runs(script)
    met = _met_the_error(slot, {str(run["launch_id"]) for run in runs.values()})
    unsent = {site for site, run in runs.items() if _ITS_OWN in str(run["message"]) and site not in met}
    await settle(rig, measured, script, since=since, excuses=Excuses(unreachable=met))
    measured.demand(len(slot.exits) == lives, "A6: the daemon ended by it")
    measured.demand(len(met) <= 1, f"A6: one error was raised, and it is told of {', '.join(sorted(met))}")
    together = {runs[site]["executing_at"] for site in unsent}
    measured.demand(
        len(together) <= 1, f"A6: {', '.join(sorted(unsent))} were not written together, and all met the error"
    )
    met |= unsent
    for site, run in (await rig.db.site_runs(script)).items():
        fine = site in met or run["state"] == "completed"
        measured.demand(fine, f"A6: {site} has nothing to do with it: {run['message']}")
    return measured


def _met_the_error(slot: Slot, launches: Collection[str]) -> set[str]:
    """Sites of which the daemons in that place say that a run of these launches met an error of ours, and ended by it."""
    found = set()
    for line in (slot.folder / "serve.log").read_text().splitlines():
        with contextlib.suppress(ValueError):  # torn by a kill
            event = json.loads(line)
            if event["event"] in ("site_run_broke", "orphan_broke") and event["launch_id"] in launches:
                found.add(event["site_id"])
    return found
