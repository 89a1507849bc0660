"""The database gives no answer (F6), is away (F7), or its clock jumps (F21)."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from tests.faults.invariants import Excuses
from tests.faults.rig import SLOWNESS, TTL, Rig, Slot
from tests.faults.scenarios.scenario import Measured, Scenario, settle
from tests.support import until
from tminus.kill_points import Point


def scenarios() -> Iterator[Scenario]:
    yield Scenario(fault="F6", name=f"no answer at {Point.START_WRITING}", act=_start_asked_in_vain)
    yield Scenario(fault="F6", name=f"answer lost at {Point.START_COMMITTING}", act=_start_answer_lost)
    yield Scenario(fault="F6", name=f"answer lost at {Point.ENDING_WRITING}", act=_ending_answer_lost)
    yield Scenario(fault="F6", name=f"answer lost at {Point.LAUNCHING}", act=_launch_answer_lost)
    for seconds, how, whom in (
        (1, "freeze", "all"),
        (8, "freeze", "one"),
        (8, "freeze", "all"),
        (1, "reset", "all"),
        (8, "reset", "one"),
    ):
        yield Scenario(
            fault="F7",
            name=f"database {how} for {seconds} s of {whom}",
            act=partial(_database_away, seconds, how, whom),
        )
    for by in (timedelta(hours=1), timedelta(hours=-1), timedelta(minutes=10), timedelta(minutes=-10)):
        yield Scenario(fault="F21", name=f"clock {int(by.total_seconds()):+} s", act=partial(_clock_steps, by))


async def _hear_nothing(rig: Rig, point: Point) -> tuple[Any, Slot, int]:
    """Launch, and have the first who comes to `point` go on from there without an answer of the database."""
    rig.plan(point, "hold")
    script = await rig.launch()
    pid = await rig.taken(point)
    slot = rig.slot_of(pid)
    slot.proxy.down.swallows = True
    rig.go_on(point)
    return script, slot, pid


def _hang_up(slot: Slot) -> float:
    """What was said before gets no answer any more; what is asked from now on does. The moment (time.time())."""
    slot.proxy.reset()
    slot.proxy.thaw()
    return time.time()


async def _start_asked_in_vain(rig: Rig, rng: random.Random) -> Measured:
    """The transaction of the point of no return is begun, and no answer comes: nothing is committed, and nothing sent."""
    measured = Measured()
    script, slot, pid = await _hear_nothing(rig, Point.START_WRITING)
    await until(partial(rig.db.value, _WAITS_IN_A_TRANSACTION), within=10 * SLOWNESS)
    theirs = await rig.runs_of(pid, script)
    since = _hang_up(slot)
    await settle(rig, measured, script, since=since)
    runs = await rig.db.site_runs(script)
    lost = [site for site, run in runs.items() if run["reason"] == "store_lost"]
    measured.demand(lost, "A4: no run tells of the start that was asked for in vain")
    for site, run in runs.items():
        if site in lost:
            measured.demand(site in theirs, f"A6: {site} has nothing to do with it: {run['message']}")
            measured.demand(run["executing_at"] is None, f"A2: {site} was committed, and no COMMIT was sent")
            measured.demand((run["state"], run["effect"]) == ("failed", "none"), f"A4: {site} is {run['state']}")
        else:
            measured.demand(run["state"] == "completed", f"A6: {site} has nothing to do with it: {run['message']}")
    return measured


async def _start_answer_lost(rig: Rig, rng: random.Random) -> Measured:
    """The point of no return is committed, and the answer lost: its row says so, nothing is sent, and none is tried again."""
    measured = Measured()
    errors = await rig.metric("tminus_store_errors_total")
    script, slot, pid = await _hear_nothing(rig, Point.START_COMMITTING)

    async def committed() -> list[str]:
        return [site for site, run in (await rig.runs_of(pid, script)).items() if run["executing_at"] is not None]

    lost = await until(committed, within=10 * SLOWNESS)
    theirs = await rig.runs_of(pid, script)
    since = _hang_up(slot)
    await settle(rig, measured, script, since=since)
    measured.demand(await rig.moved("tminus_store_errors_total", errors), "A9: no metric tells of the lost answer")
    for site, run in (await rig.db.site_runs(script)).items():
        ending = (run["state"], run["effect"], run["reason"])
        if site in lost:
            at = theirs[site]["executing_at"]
            measured.demand(
                run["executing_at"] == at, f"A1: {site} was committed at {at}, and says {run['executing_at']}"
            )
            measured.demand(
                ending == ("failed", "none", "store_lost"), f"A4: {site} ended as {ending}: {run['message']}"
            )
            measured.demand(str(run["message"]).startswith("Not started: "), f"A4: {site} says {run['message']}")
            starts = [e for e in rig.fleet.journal.starts(site) if e.facts["name"] == f"tminus-{run['nonce']}.rsc"]
            measured.demand(not starts, f"A4: {site} was started without an answer to its COMMIT")
        elif site in theirs and run["executing_at"] is None:
            # It waited for the next transaction of that daemon, which found no connection.
            measured.demand(
                ending == ("failed", "none", "store_lost"), f"A4: {site} ended as {ending}: {run['message']}"
            )
        else:
            measured.demand(run["state"] == "completed", f"A6: {site} has nothing to do with it: {run['message']}")
    return measured


_LATE = "select count(*) from tminus.events where kind = 'late_evidence'"


async def _ending_answer_lost(rig: Rig, rng: random.Random) -> Measured:
    """Endings are committed, and the answer lost: they are written again, found written, and stay what they were."""
    measured = Measured()
    late = await rig.db.value(_LATE)
    script, slot, pid = await _hear_nothing(rig, Point.ENDING_WRITING)

    async def committed() -> dict[str, datetime]:
        theirs = await rig.runs_of(pid, script)
        return {site: run["finished_at"] for site, run in theirs.items() if run["finished_at"] is not None}

    ended = await until(committed, within=10 * SLOWNESS)
    runs = {run["id"] for run in (await rig.runs_of(pid, script)).values() if run["site_id"] in ended}
    since = _hang_up(slot)

    async def told() -> bool:
        """By the database all may have ended by now; their daemon does not know it before it asked once more."""
        assert slot.daemon is not None
        said = [event for event in slot.daemon.log() if event.get("site_run") in runs]
        return runs <= {event["site_run"] for event in said if event["event"] in ("site_ended", "late_evidence")}

    try:
        await until(told, within=10 * SLOWNESS)
    except AssertionError:
        measured.demand(False, f"A3: {pid} never heard of an ending that was written")
    await settle(rig, measured, script, since=since)
    for site, run in (await rig.db.site_runs(script)).items():
        measured.demand(run["state"] == "completed", f"A4: {site} is {run['state']}: {run['message']}")
        same = site not in ended or run["finished_at"] == ended[site]
        measured.demand(same, f"A3: the ending of {site} was written twice")
    measured.demand(
        await rig.db.value(_LATE) == late, "A3: an ending that was written is kept as evidence for another one"
    )
    return measured


async def _launch_answer_lost(rig: Rig, rng: random.Random) -> Measured:
    """A launch is committed, and the answer lost: it is the only one, and it runs."""
    measured = Measured()
    count = "select count(*) from tminus.launches where script_id = $1"
    script, slot, _ = await _hear_nothing(rig, Point.LAUNCHING)
    await until(partial(rig.db.value, count, script), within=10 * SLOWNESS)
    since = _hang_up(slot)
    await settle(rig, measured, script, since=since)
    measured.demand(await rig.db.value(count, script) == 1, "A1: it was launched twice")
    for site, run in (await rig.db.site_runs(script)).items():
        measured.demand(run["state"] == "completed", f"A6: {site} is {run['state']}: {run['message']}")
    return measured


_WAITS_IN_A_TRANSACTION = """
    select exists (
        select from pg_stat_activity
        where datname = current_database() and usename = 'tminus_serve' and state = 'idle in transaction'
            and query ilike 'begin%' and state_change < clock_timestamp() - interval '0.2 seconds'
    )
    """


async def _database_away(seconds: float, how: str, whom: str, rig: Rig, rng: random.Random) -> Measured:
    """The database cannot be reached, by one daemon or by all, from a random moment of a launch on."""
    measured = Measured()
    script = await rig.launch(seconds=2.0)
    await asyncio.sleep(rng.uniform(0.3, 3.5))
    slots = rig.slots if whom == "all" else [rng.choice(rig.slots)]
    errors = await rig.metric("tminus_store_errors_total")
    since = time.time()
    for slot in slots:
        slot.proxy.freeze()
        if how == "reset":
            slot.proxy.refuse()
            slot.proxy.reset()
    flipped = False
    while time.time() < since + seconds:
        for slot in slots:
            if slot.running and slot.daemon is not None and slot.daemon.url:
                with contextlib.suppress(OSError):
                    flipped |= (await slot.daemon.get("/readyz"))[0] == 503
        await asyncio.sleep(0.1)
    for slot in slots:
        slot.proxy.thaw()
        if how == "reset":
            await slot.proxy.listen()
        else:
            slot.proxy.reset()
    if seconds > TTL:
        measured.demand(flipped, "A9: /readyz did not say that the database is away")
    if seconds > TTL and how == "reset":
        measured.demand(await rig.moved("tminus_store_errors_total", errors), "A9: no metric tells of the database")
    return await settle(rig, measured, script, since=since)


async def _is_launched(rig: Rig, script: object) -> bool:
    return bool(await rig.db.value("select status <> 'scheduled' from tminus.scheduled_scripts where id = $1", script))


async def _clock_steps(by: timedelta, rig: Rig, rng: random.Random) -> Measured:
    """The clock of the database jumps during a launch, and jumps back later."""
    measured = Measured()
    script = await rig.launch(seconds=2.0)
    await until(partial(_is_launched, rig, script), within=30 * SLOWNESS)
    await asyncio.sleep(rng.uniform(0, 3))
    since = time.time()
    await rig.db.move_clock(by)
    excuses = Excuses(clock_moved=abs(by.total_seconds()))
    await settle(rig, measured, script, since=since, excuses=excuses)
    await rig.db.move_clock(-by)
    with contextlib.suppress(AssertionError):
        await asyncio.sleep(1)
        await rig.everybody_lives()
    again = await rig.launch()
    return await settle(rig, measured, script, again, since=since, excuses=excuses)
