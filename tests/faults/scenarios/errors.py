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

_TOLD = TOLD | {"site_run_broke", "site_run_left_open", "orphan_broke", "daemon_broke"}


def scenarios() -> Iterator[Scenario]:
    for point in (Point.LAUNCHING, *RUN_POINTS, Point.HOUSEKEPT):
        yield Scenario(fault="F27", name=f"error at {point}", act=partial(_error_at, point), told=_TOLD)


async def _error_at(point: Point, rig: Rig, rng: random.Random) -> Measured:
    """Something that nobody expected is raised: one run ends by it, or the process, and nothing else.

    Of who met it there may be no more to tell than that it is unknown; all others are asked for what they always are.
    """
    measured = Measured()
    rig.plan(point, "raise")
    script = await rig.launch()
    slot = rig.slot_of(await rig.taken(point))
    lives = len(slot.exits)
    since = time.time()
    measured.demand(await rig.ended(script) is not None, f"A3: not all sites ended within {BOUND:.0f} s")
    met = _met_the_error(slot, {str(run["launch_id"]) for run in (await rig.db.site_runs(script)).values()})
    await settle(rig, measured, script, since=since, excuses=Excuses(unreachable=met))
    if len(slot.exits) > lives:
        return measured  # what it had in flight is resolved as if it had been killed
    measured.demand(len(met) <= 1, f"A6: one error was raised, and it is told of {', '.join(sorted(met))}")
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
