"""A daemon stands still for longer than its heartbeat lasts: frozen as a process (F2), or its event loop blocked (F3)."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from functools import partial

from tests.faults.rig import NOTICED_WITHIN, SLOWNESS, TTL, Rig
from tests.faults.scenarios.scenario import WRITTEN, Measured, Scenario, demand_no_start_since, nonces_of, settle
from tminus.kill_points import Point

_ABORTED_WITHIN = 3.0 * SLOWNESS
"""Seconds within which a daemon has ended that was declared dead while it slept: from the moment at which it may go on."""


def scenarios() -> Iterator[Scenario]:
    for point in (
        Point.CLAIMED, Point.READY, Point.START_WRITING, Point.START_COMMITTING, *WRITTEN, Point.ENDING, Point.ENDING_WRITING,
    ):  # fmt: skip
        yield Scenario(fault="F2", name=f"frozen at {point}", act=partial(_frozen_at, point, 5.0))
    yield Scenario(fault="F2", name=f"frozen at {Point.SENT}", act=partial(_frozen_at, Point.SENT, 25.0))
    for point in (Point.READY, Point.SENDING, Point.SENT, Point.BEATING):
        yield Scenario(fault="F3", name=f"blocked at {point}", act=partial(_blocked_at, point))


async def _frozen_at(point: Point, within: float, rig: Rig, rng: random.Random) -> Measured:
    """Freeze a daemon, let the other resolve all that it had, and wake it: nothing may run any more.

    `within`: seconds for what has to be done on the routers.
    """
    measured = Measured()
    rig.plan(point, "stop")
    script = await rig.launch()
    pid = await rig.taken(point)
    since = time.time()
    theirs = await nonces_of(rig, pid, script)
    measured.noticed = await rig.seconds_until_dead(pid, since)
    measured.demand(measured.noticed <= NOTICED_WITHIN, f"A3: noticed only after {measured.noticed:.1f} s")
    measured.demand(await rig.ended(script) is not None, "A3: not all sites ended while it slept")
    measured.recovered = time.time() - since
    # The locks of a transaction in which it was frozen are held for the ttl at most.
    limit = max(NOTICED_WITHIN, TTL + 1.5 * SLOWNESS) + within * SLOWNESS
    measured.demand(measured.recovered <= limit, f"A3: {measured.recovered:.1f} s until all had ended, not {limit:.0f}")
    before = await rig.db.site_runs(script)
    events = {site: len(rig.fleet.journal.starts(site)) for site in before}
    slot = rig.slot_of(pid)
    lives = len(slot.exits)
    woken = time.monotonic()
    rig.wake(pid)
    measured.demand(
        await rig.is_gone(slot, lives, within=_ABORTED_WITHIN),
        f"A3: the zombie had not ended {_ABORTED_WITHIN:.0f} s after it woke",
    )
    measured.said = f"it ended {time.monotonic() - woken:.1f} s after it woke"
    measured.demand(slot.exits[lives:] == [6], f"the zombie ended with {slot.exits[lives:]}, not with 6")
    for site, count in events.items():
        measured.demand(len(rig.fleet.journal.starts(site)) == count, f"A1: the zombie started something on {site}")
    after = await rig.db.site_runs(script)
    for site, run in before.items():
        same = all(run[name] == after[site][name] for name in ("state", "effect", "reason", "finished_at"))
        measured.demand(same, f"A3: the ending of {site} changed after it woke")
    demand_no_start_since(rig, measured, woken, theirs)
    recovered = measured.recovered
    await settle(rig, measured, script, since=since)
    measured.recovered = recovered
    return measured


async def _blocked_at(point: Point, rig: Rig, rng: random.Random) -> Measured:
    """The event loop stands still for twice the ttl: no heartbeat, and no timer that would notice.

    It is declared dead meanwhile. So it has to end once it goes on, and to start nothing before.
    """
    measured = Measured()
    blocked = 2 * TTL
    rig.plan(point, f"block {blocked}")
    script = await rig.launch()
    pid = await rig.taken(point)
    since, goes_on = time.time(), time.monotonic() + blocked
    slot = rig.slot_of(pid)
    lives = len(slot.exits)
    theirs = await nonces_of(rig, pid, script)
    measured.noticed = await rig.seconds_until_dead(pid, since)
    measured.demand(measured.noticed <= NOTICED_WITHIN, f"A3: noticed only after {measured.noticed:.1f} s")
    ended = await rig.is_gone(slot, lives, within=goes_on - time.monotonic() + _ABORTED_WITHIN)
    measured.demand(ended, f"A3: it had not ended {_ABORTED_WITHIN:.0f} s after it went on")
    measured.said = f"it ended {time.monotonic() - goes_on:.1f} s after it went on"
    measured.demand(slot.exits[lives:] == [6], f"who was blocked ended with {slot.exits[lives:]}, not with 6")
    await settle(rig, measured, script, since=since)
    demand_no_start_since(rig, measured, goes_on, theirs)
    return measured
