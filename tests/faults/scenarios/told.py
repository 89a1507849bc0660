"""A daemon is told to end (F24), or a launch is cancelled (F25)."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import asyncpg

from tests.faults.rig import PROFILE, SLOWNESS, Rig
from tests.faults.scenarios.scenario import RUN_POINTS, Measured, Scenario, demand_no_start_since, nonces_of, settle
from tests.support import until
from tminus.kill_points import Point

_DRAIN = float(str(PROFILE["drain_timeout"]))
_GOODBYE = "select state from tminus.instances where pid = $1 order by started_at desc limit 1"


def scenarios() -> Iterator[Scenario]:
    for point in (Point.LAUNCHED, Point.CLAIMED, Point.EXPORTING, Point.READY, Point.SENDING, Point.SENT, Point.ENDING):
        yield Scenario(fault="F24", name=f"SIGTERM at {point}", act=partial(_told_to_end, point))
    yield Scenario(fault="F24", name="SIGTERM twice", act=_told_to_end_twice)
    yield Scenario(fault="F24", name="SIGTERM and a script that outlasts the drain", act=_outlasts_the_drain)
    for point in (Point.LAUNCHED, *RUN_POINTS):
        yield Scenario(fault="F25", name=f"cancelled at {point}", act=partial(_cancelled_at, point))


async def _told_to_end(point: Point, rig: Rig, rng: random.Random) -> Measured:
    """SIGTERM at a point: nothing new is claimed, what runs ends, and the process says goodbye with exit code 0."""
    measured = Measured()
    rig.plan(point, "hold")
    script = await rig.launch()
    pid = await rig.taken(point)
    since = time.time()
    os.kill(pid, signal.SIGTERM)
    rig.go_on(point)
    limit = _DRAIN + 10 * SLOWNESS
    nonces, ended = await _ends_within(rig, measured, pid, script, limit, code=0)
    await settle(rig, measured, script, since=since)
    demand_no_start_since(rig, measured, ended, nonces)
    for site, run in (await rig.db.site_runs(script)).items():
        measured.demand(run["state"] == "completed", f"A3: {site} is {run['state']} after a drain: {run['message']}")
    return measured


async def _told_to_end_twice(rig: Rig, rng: random.Random) -> Measured:
    """The second SIGTERM ends the waiting: what runs is left to the others to resolve, and the exit code says so."""
    measured = Measured()
    rig.plan(Point.SENT, "hold")
    script = await rig.launch(seconds=_DRAIN, site_timeout=timedelta(seconds=2 * _DRAIN))
    pid = await rig.taken(Point.SENT)
    slot = rig.slot_of(pid)
    assert slot.daemon is not None
    daemon = slot.daemon

    def drains() -> int:
        return sum(event["event"] == "draining" for event in daemon.log())

    async def drains_anew() -> bool:
        return drains() > before

    # Earlier lives have written to the same log; and two signals at once would be one to the kernel.
    since, before = time.time(), drains()
    os.kill(pid, signal.SIGTERM)
    rig.go_on(Point.SENT)
    await until(drains_anew, within=10 * SLOWNESS)
    os.kill(pid, signal.SIGTERM)
    # 5 s for what gives back its run, 5 s for the connections to the database.
    nonces, ended = await _ends_within(rig, measured, pid, script, 10 + 2 * SLOWNESS, code=1)
    await settle(rig, measured, script, since=since)
    demand_no_start_since(rig, measured, ended, nonces)
    return measured


async def _outlasts_the_drain(rig: Rig, rng: random.Random) -> Measured:
    """A script runs for longer than a drain waits: the process ends all the same, and the exit code says that it left one."""
    measured = Measured()
    rig.plan(Point.SENT, "hold")
    site = rng.choice(rig.fleet.sites).id
    script = await rig.launch([site], seconds=2 * _DRAIN, site_timeout=timedelta(seconds=3 * _DRAIN))
    pid = await rig.taken(Point.SENT)
    since, begun = time.time(), time.monotonic()
    os.kill(pid, signal.SIGTERM)
    rig.go_on(Point.SENT)
    nonces, ended = await _ends_within(rig, measured, pid, script, _DRAIN + 10 * SLOWNESS, code=1)
    measured.demand(ended - begun >= _DRAIN, f"A4: a script was waited for {ended - begun:.1f} s, not {_DRAIN:.0f}")
    await settle(rig, measured, script, since=since)
    demand_no_start_since(rig, measured, ended, nonces)
    run = (await rig.db.site_runs(script))[site]
    measured.demand(run["state"] == "unknown", f"A4: {site} is {run['state']}: {run['message']}")
    return measured


async def _ends_within(
    rig: Rig, measured: Measured, pid: int, script: object, seconds: float, *, code: int
) -> tuple[set[str], float]:
    """Demand that the process ends in time, with that exit code, and said goodbye. Its nonces, and when (time.monotonic())."""
    slot = rig.slot_of(pid)
    lives = len(slot.exits)
    nonces: set[str] = set()

    async def look() -> bool:
        nonces.update(await nonces_of(rig, pid, script))
        return len(slot.exits) > lives

    try:
        await until(look, within=seconds)
    except AssertionError:
        measured.demand(False, f"A3: it had not ended {seconds:.0f} s after it was told to")
        await rig.is_gone(slot, lives, within=_DRAIN)
    measured.demand(slot.exits[lives:] == [code], f"it ended with {slot.exits[lives:]}, not with {code}")
    ended = time.monotonic()
    state = await rig.db.value(_GOODBYE, pid)
    measured.demand(state == "stopped", f"A3: its instance is {state}, not stopped: what it left waits for its ttl")
    return nonces, ended


async def _cancelled_at(point: Point, rig: Rig, rng: random.Random) -> Measured:
    """Cancelled while a daemon is at a point: no start whose point of no return was not committed before."""
    measured = Measured()
    rig.plan(point, "hold")
    script = await rig.launch()
    await rig.taken(point)
    since = time.time()
    cancelled = asyncio.create_task(rig.db.value("select tminus.cancel($1)", script, role="alice"))
    await asyncio.sleep(0.3)
    rig.go_on(point)
    try:
        await asyncio.wait_for(cancelled, 10)
    except (asyncpg.PostgresError, TimeoutError) as error:
        # It finished before it could be cancelled: the other daemon had its sites.
        measured.demand("has finished" in str(error), f"cancel was refused: {error!r}")
    await settle(rig, measured, script, since=since)
    moment = (await rig.db.fetch("select cancelled_at from tminus.scheduled_scripts where id = $1", script))[0][0]
    for site, run in (await rig.db.site_runs(script)).items():
        if moment is not None and run["executing_at"] is not None:
            measured.demand(
                run["executing_at"] <= moment + timedelta(seconds=1), f"{site} was started after the cancellation"
            )
    return measured
