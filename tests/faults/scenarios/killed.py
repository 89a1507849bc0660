"""A daemon is killed, or its host vanishes (F1), also in the middle of a launch over many sites (F4)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from functools import partial

from tests.faults.rig import BOUND, NOTICED_WITHIN, SLOWNESS, TTL, Rig
from tests.faults.scenarios.scenario import RUN_POINTS, WRITTEN, Measured, Scenario, settle
from tests.support import until
from tminus.kill_points import Point

_IN_FLIGHT = (*WRITTEN, Point.SENT, Point.ANSWERED, Point.ENDING, Point.ENDING_WRITING)
"""Points at which the run that came there is committed as started, and has no ending."""

_COMPLETED = ("completed", "applied", None)
_NOT_STARTED = ("failed", "none", "connection_lost")
_INTERRUPTED = ("unknown", "unknown", "daemon_lost")
"""How a run may end that was in flight when its daemon died; which of them is right, the journal knows: see invariants."""


def scenarios() -> Iterator[Scenario]:
    for point in (Point.LAUNCHING, Point.LAUNCHED, *RUN_POINTS):
        yield Scenario(fault="F1", name=f"killed at {point}", act=partial(_killed_at, point, 0.0))
    yield Scenario(fault="F1", name="killed in the export", act=partial(_killed_at, Point.EXPORTING, 0.1))
    yield Scenario(fault="F1", name="killed in the script", act=partial(_killed_at, Point.SENT, 0.5))
    for point in (Point.LAUNCHING, Point.START_COMMITTING, Point.START_WRITTEN, Point.ENDING_WRITING):
        yield Scenario(fault="F1", name=f"host vanishes at {point}", act=partial(_host_vanishes_at, point, 6.0))
    for point in (Point.REAPED, Point.ORPHAN_TAKEN, Point.ORPHAN_RESOLVED):
        yield Scenario(fault="F1", name=f"killed at {point}", act=partial(_killed_recovering, point))
    for point in (Point.DRAINING, Point.SAYING_GOODBYE):
        yield Scenario(fault="F1", name=f"killed at {point}", act=partial(_killed_while_draining, point))
    for point in (Point.BEATING, Point.HOUSEKEPT):
        yield Scenario(fault="F1", name=f"killed at {point}", act=partial(_killed_beside, point))
    yield Scenario(fault="F1", name=f"killed at {Point.DEBT_PAID}", act=_killed_paying_a_debt)
    for sites in (1000, 60):
        yield Scenario(fault="F4", name=f"one of two killed among {sites} sites", act=_killed_among_many, sites=sites)


async def _killed_at(point: Point, delay: float, rig: Rig, rng: random.Random) -> Measured:
    measured = Measured()
    reaped = await rig.metric("tminus_instances_reaped_total")
    rig.plan(point, f"after {delay} kill" if delay else "kill")
    script = await rig.launch()
    pid = await rig.taken(point)
    since = time.time() + delay
    await rig.died(pid)
    # As it left them: past the point of no return, and without an ending.
    theirs = await rig.runs_of(pid, script)
    in_flight = {site for site, run in theirs.items() if run["executing_at"] and not run["finished_at"]}
    measured.noticed = await rig.seconds_until_dead(pid, since)
    measured.demand(measured.noticed <= NOTICED_WITHIN, f"A3: noticed only after {measured.noticed:.1f} s")
    await settle(rig, measured, script, since=since)
    measured.demand(await rig.moved("tminus_instances_reaped_total", reaped), "A9: no metric tells of a dead instance")
    measured.demand(in_flight or point not in _IN_FLIGHT, "rig: nothing was in flight")
    for site, run in (await rig.db.site_runs(script)).items():
        ending = (run["state"], run["effect"], run["reason"])
        if site not in in_flight:
            measured.demand(
                run["state"] == "completed", f"A3: {site} was not in flight, and ended as {ending}: {run['message']}"
            )
            continue
        measured.demand(run["executing_at"] == theirs[site]["executing_at"], f"A1: {site} was begun once more")
        promised = {_NOT_STARTED} if point in WRITTEN else {_NOT_STARTED, _INTERRUPTED, _COMPLETED}
        measured.demand(ending in promised, f"A4: {site} was in flight, and ended as {ending}: {run['message']}")
    return measured


async def _host_vanishes_at(point: Point, within: float, rig: Rig, rng: random.Random) -> Measured:
    """The daemon's host loses its power: the database hears neither an end nor anything else of the connections."""
    measured = Measured()
    rig.plan(point, "stop")
    script = await rig.launch()
    pid = await rig.taken(point)
    slot = rig.slot_of(pid)
    slot.halted = True
    slot.proxy.freeze()
    os.kill(pid, signal.SIGKILL)
    since = time.time()
    measured.noticed = await rig.seconds_until_dead(pid, since)
    ended = await rig.ended(script)
    recovered = time.time() - since
    limit = max(NOTICED_WITHIN, TTL + 1.5 * SLOWNESS) + within * SLOWNESS
    measured.demand(
        ended is not None and recovered <= limit, f"A3: {recovered:.1f} s until all had ended, not {limit:.0f}"
    )
    slot.proxy.thaw()
    slot.halted = False
    await settle(rig, measured, script, since=since)
    measured.recovered = recovered
    return measured


async def _killed_recovering(point: Point, rig: Rig, rng: random.Random) -> Measured:
    """The daemon that takes over what a killed one left is killed as well."""
    measured = Measured()
    rig.plan(Point.SENT, "kill")
    rig.plan(point, "kill")
    script = await rig.launch()
    first = await rig.taken(Point.SENT)
    since = time.time()
    measured.noticed = await rig.seconds_until_dead(first, since)
    second = await rig.taken(point, within=BOUND)
    measured.demand(second != first, "the same process was killed twice")
    await rig.everybody_lives()  # nobody recovers anything before somebody lives again
    return await settle(rig, measured, script, since=time.time())


async def _killed_while_draining(point: Point, rig: Rig, rng: random.Random) -> Measured:
    measured = Measured()
    rig.plan(Point.SENT, "hold")
    script = await rig.launch()
    pid = await rig.taken(Point.SENT)
    rig.plan(point, "kill")
    os.kill(pid, signal.SIGTERM)
    rig.go_on(Point.SENT)
    await rig.taken(point)
    await rig.everybody_lives()
    return await settle(rig, measured, script, since=time.time())


async def _killed_beside(point: Point, rig: Rig, rng: random.Random) -> Measured:
    """Killed in a duty that has nothing to do with what runs at that moment."""
    measured = Measured()
    script = await rig.launch()
    await asyncio.sleep(rng.uniform(0, 1.5))
    rig.plan(point, "kill")
    await rig.taken(point)
    return await settle(rig, measured, script, since=time.time())


_OWED = "select exists (select from tminus.cleanup_debts where settled_at is null)"


async def _killed_paying_a_debt(rig: Rig, rng: random.Random) -> Measured:
    """Killed between the removal of a file and the note of it: the file is looked for again, and found to be gone."""
    measured = Measured()
    # Cancelled with its file uploaded: no second attempt comes by and takes the file away.
    rig.plan(Point.READY, "hold")
    script = await rig.launch()
    pid = await rig.taken(Point.READY)
    await rig.db.value("select tminus.cancel($1)", script, role="alice")
    os.kill(pid, signal.SIGKILL)
    await settle(rig, measured, script, since=time.time())
    measured.demand(await rig.db.value(_OWED), "A0: nobody owes the removal of the uploaded file")
    rig.plan(Point.DEBT_PAID, "kill")
    await rig.db.run("update tminus.cleanup_debts set next_try_at = tminus.clock() where settled_at is null")
    await rig.taken(Point.DEBT_PAID)
    await rig.everybody_lives()

    async def paid() -> bool:
        await rig.db.run("update tminus.cleanup_debts set next_try_at = tminus.clock() where settled_at is null")
        return not await rig.db.value(_OWED)

    with contextlib.suppress(AssertionError):
        await until(paid, every=0.5)
    measured.demand(await paid(), "A0: a debt was not settled")
    for site in rig.fleet.sites:
        measured.demand(
            not [name for name in rig.fleet.files(site.id) if name.startswith("tminus-")], f"A0: a file on {site.id}"
        )
    return measured


_ONE_CLAIM = 200  # sites that one daemon may take alone: its max_sessions


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.most_common())


async def _killed_among_many(rig: Rig, rng: random.Random) -> Measured:
    """One of the daemons is killed in the middle of a launch over all sites; the other has to end them all."""
    measured = Measured()
    count = len(rig.fleet.sites)
    script = await rig.launch(site_timeout=timedelta(minutes=10), start_within=timedelta(minutes=10))

    async def under_way() -> bool:
        started: int = await rig.db.value("select count(*) from tminus.site_runs where executing_at is not null")
        return started >= count // 4

    await until(under_way, within=120 * SLOWNESS)
    shares = await rig.db.fetch(
        "select pid, count(*) as share from tminus.site_runs r join tminus.instances i on i.id = r.instance_id group by 1 order by 2"
    )
    both = len(shares) == 2 or count <= _ONE_CLAIM
    measured.demand(both, f"A6: only one daemon has any of the {count} sites")
    pid = shares[-1]["pid"]  # that with the most
    victim = rig.slot_of(pid)
    victim.halted = True
    os.kill(pid, signal.SIGKILL)
    since = time.time()
    measured.noticed = await rig.seconds_until_dead(pid, since)
    measured.demand(
        measured.noticed <= NOTICED_WITHIN + 3 * SLOWNESS, f"A3: noticed only after {measured.noticed:.1f} s"
    )
    # What has to be resolved takes a contact; what has to be run, its time.
    await settle(rig, measured, script, since=since, within=BOUND + count / 4 * SLOWNESS)
    runs = await rig.db.site_runs(script)
    ended = [run for run in runs.values() if run["finished_at"] is not None]
    measured.demand(len(ended) == count, f"A3: {len(ended)} of {count} sites have an ending")
    starts = Counter(len(rig.fleet.journal.starts(site)) for site in runs)
    states = Counter("/".join(filter(None, (run["state"], run["reason"]))) for run in ended)
    measured.said = (
        f"{count} sites, {shares[-1]['share']} of them the killed one's: {len(ended)} endings ({_listed(states)}); by the journal "
        + ", ".join(f"{number} started {times} times" for times, number in sorted(starts.items()))
    )
    victim.halted = False
    await rig.everybody_lives()
    return measured
