"""The faults: how each is made, and what must hold of it beside the invariants that hold after all of them.

The classes are those of the fault plan: F1 killed, F2 frozen, F3 blocked, F6 commit without an answer, F7 database away, F13
network of a router, F14 slow routers, F21 clock, F24 told to end, F25 cancelled, F27 an error of our own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import asyncpg

from tests.faults.invariants import NO_EXCUSE, TOLD, Excuses
from tests.faults.namespace import find_route, lose_route
from tests.faults.proxy import Proxy
from tests.faults.rig import BOUND, NOTICED_WITHIN, PROFILE, SLOWNESS, TTL, Rig, Slot
from tests.support import until
from tminus.kill_points import Point
from tminus.simulator import Kind


@dataclass(slots=True)
class Measured:
    """What one run of a fault showed. Seconds: until the dead instance was noticed, until every site had ended."""

    noticed: float | None = None
    recovered: float | None = None
    violations: list[str] = field(default_factory=list)
    said: str = ""  # figures of its own, for a line below the table

    def demand(self, holds: object, sentence: str) -> None:
        if not holds:
            self.violations.append(sentence)


Act = Callable[[Rig, random.Random], Awaitable[Measured]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    fault: str
    name: str
    act: Act
    routers_by_proxy: bool = False
    sites: int = 4
    told: frozenset[str] = TOLD
    own_network: bool = False  # it takes away routes, which can be done in a network namespace alone

    @property
    def id(self) -> str:
        return f"{self.fault}-{self.name.replace(' ', '-')}"


async def _settle(
    rig: Rig,
    measured: Measured,
    *scripts: object,
    since: float,
    excuses: Excuses = NO_EXCUSE,
    within: float = BOUND,
    footprints: bool = True,
) -> Measured:
    """Wait for the endings and for everybody to live again, and ask the oracle."""
    if await rig.ended(*scripts, within=within) is None:
        measured.demand(False, f"A3: not all sites ended within {within:.0f} s")
    measured.recovered = time.time() - since
    try:
        await rig.everybody_lives()
    except AssertionError:
        measured.demand(False, "A9: /readyz did not return to 200")
    measured.violations += await rig.violations(*scripts, excuses=excuses, footprints=footprints)
    rig.forget_plans()
    return measured


# -- F1: killed --------------------------------------------------------------------------------------------------------

_WRITTEN = (Point.START_WRITTEN, Point.SENDING)
"""Points between the commit of the point of no return and the command: nothing may have been started."""


async def _killed_at(point: Point, delay: float, rig: Rig, rng: random.Random) -> Measured:
    measured = Measured()
    reaped = await rig.metric("tminus_instances_reaped_total")
    rig.plan(point, f"after {delay} kill" if delay else "kill")
    script = await rig.launch()
    pid = await rig.taken(point)
    since = time.time() + delay
    measured.noticed = await rig.seconds_until_dead(pid, since)
    measured.demand(measured.noticed <= NOTICED_WITHIN, f"A3: noticed only after {measured.noticed:.1f} s")
    await _settle(rig, measured, script, since=since)
    measured.demand(await rig.moved("tminus_instances_reaped_total", reaped), "A9: no metric tells of a dead instance")
    runs = await rig.db.site_runs(script)
    for site, run in runs.items():
        if run["executing_at"] is None or point in _WRITTEN:
            continue
        measured.demand(
            run["state"] == "completed" or run["executing_at"].timestamp() <= since + 0.1,
            f"A4: {site} was started after the death of {pid} and did not complete: {run['message']}",
        )
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
    await _settle(rig, measured, script, since=since)
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
    return await _settle(rig, measured, script, since=time.time())


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
    return await _settle(rig, measured, script, since=time.time())


async def _killed_beside(point: Point, rig: Rig, rng: random.Random) -> Measured:
    """Killed in a duty that has nothing to do with what runs at that moment."""
    measured = Measured()
    script = await rig.launch()
    await asyncio.sleep(rng.uniform(0, 1.5))
    rig.plan(point, "kill")
    await rig.taken(point)
    return await _settle(rig, measured, script, since=time.time())


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
    await _settle(rig, measured, script, since=time.time())
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


# -- F2, F3: frozen, blocked -------------------------------------------------------------------------------------------


async def _frozen_at(point: Point, within: float, rig: Rig, rng: random.Random) -> Measured:
    """Freeze a daemon, let the other resolve all that it had, and wake it: nothing may run any more.

    `within`: seconds for what has to be done on the routers.
    """
    measured = Measured()
    rig.plan(point, "stop")
    script = await rig.launch()
    pid = await rig.taken(point)
    since = time.time()
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
    rig.wake(pid)

    async def ended() -> bool:
        return len(slot.exits) > lives

    with contextlib.suppress(AssertionError):
        await until(ended, within=60)
    measured.demand(slot.exits[lives:] == [6], f"the zombie ended with {slot.exits[lives:]}, not with 6")
    for site, count in events.items():
        measured.demand(len(rig.fleet.journal.starts(site)) == count, f"A1: the zombie started something on {site}")
    after = await rig.db.site_runs(script)
    for site, run in before.items():
        same = all(run[name] == after[site][name] for name in ("state", "effect", "reason", "finished_at"))
        measured.demand(same, f"A3: the ending of {site} changed after it woke")
    recovered = measured.recovered
    await _settle(rig, measured, script, since=since)
    measured.recovered = recovered
    return measured


async def _blocked_at(point: Point, rig: Rig, rng: random.Random) -> Measured:
    """The event loop stands still for twice the ttl: no heartbeat, and no timer that would notice."""
    measured = Measured()
    rig.plan(point, f"block {2 * TTL}")
    script = await rig.launch()
    await rig.taken(point)
    return await _settle(rig, measured, script, since=time.time())


# -- F4: many sites ----------------------------------------------------------------------------------------------------


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
    await _settle(rig, measured, script, since=since, within=BOUND + count / 4 * SLOWNESS)
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


# -- F6, F7: the database ----------------------------------------------------------------------------------------------


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
    await _settle(rig, measured, script, since=since)
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
    await _settle(rig, measured, script, since=since)
    measured.demand(await rig.moved("tminus_store_errors_total", errors), "A9: no metric tells of the lost answer")
    for site, run in (await rig.db.site_runs(script)).items():
        ending = (run["state"], run["effect"], run["reason"])
        if site in lost:
            at = theirs[site]["executing_at"]
            measured.demand(run["executing_at"] == at, f"A1: {site} was committed at {at}, and says {run['executing_at']}")
            measured.demand(ending == ("failed", "none", "store_lost"), f"A4: {site} ended as {ending}: {run['message']}")
            measured.demand(str(run["message"]).startswith("Not started: "), f"A4: {site} says {run['message']}")
            starts = [e for e in rig.fleet.journal.starts(site) if e.facts["name"] == f"tminus-{run['nonce']}.rsc"]
            measured.demand(not starts, f"A4: {site} was started without an answer to its COMMIT")
        elif site in theirs and run["executing_at"] is None:
            # It waited for the next transaction of that daemon, which found no connection.
            measured.demand(ending == ("failed", "none", "store_lost"), f"A4: {site} ended as {ending}: {run['message']}")
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
    await _settle(rig, measured, script, since=since)
    for site, run in (await rig.db.site_runs(script)).items():
        measured.demand(run["state"] == "completed", f"A4: {site} is {run['state']}: {run['message']}")
        same = site not in ended or run["finished_at"] == ended[site]
        measured.demand(same, f"A3: the ending of {site} was written twice")
    measured.demand(await rig.db.value(_LATE) == late, "A3: an ending that was written is kept as evidence for another one")
    return measured


async def _launch_answer_lost(rig: Rig, rng: random.Random) -> Measured:
    """A launch is committed, and the answer lost: it is the only one, and it runs."""
    measured = Measured()
    count = "select count(*) from tminus.launches where script_id = $1"
    script, slot, _ = await _hear_nothing(rig, Point.LAUNCHING)
    await until(partial(rig.db.value, count, script), within=10 * SLOWNESS)
    since = _hang_up(slot)
    await _settle(rig, measured, script, since=since)
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
    return await _settle(rig, measured, script, since=since)


# -- F13, F14: the network of a router ---------------------------------------------------------------------------------

_CUTS: dict[str, Callable[[Proxy], None]] = {
    "freeze": Proxy.freeze,
    "drop": Proxy.drop,
    "reset": Proxy.reset,
    "half close": Proxy.half_close,
}
_MOMENTS: dict[str, Kind] = {
    "in the export": Kind.EXPORT,
    "after the upload": Kind.UPLOAD,
    "after the start": Kind.IMPORT_STARTED,
    "after the end": Kind.IMPORT_FINISHED,
}


async def _cut_when(moment: str, cut: str, comes_back: bool, rig: Rig, rng: random.Random) -> Measured:
    measured = Measured()
    site = rng.choice(rig.fleet.sites).id
    proxy = rig.routers[site]
    if moment == "before the connect":
        proxy.freeze() if cut == "freeze" else proxy.refuse()
        script = await rig.launch()
    elif moment == "in the handshake":
        proxy.when_down(rng.randrange(1, 3000), lambda: _CUTS[cut](proxy))
        script = await rig.launch()
        await _sleep_until(lambda: proxy.down.trigger_at is None)
    else:
        kind = _MOMENTS[moment]
        count = len(rig.fleet.journal.events(site, kind))
        script = await rig.launch()
        async with asyncio.timeout(30 * SLOWNESS):
            await rig.fleet.journal.wait(site, kind, count=count + 1)
        _CUTS[cut](proxy)
    since = time.time()
    if comes_back:
        await asyncio.sleep(rng.uniform(0.5, 3))
        await _mend(proxy)
    excuses = Excuses(unreachable=() if comes_back else (site,))
    # Who cannot be reached is looked for again and again, which is work in hand.
    await _settle(rig, measured, script, since=since, excuses=excuses, within=BOUND + 30, footprints=comes_back)
    await _mend(proxy)
    if not comes_back:
        await rig.all_routers_are_free()
        measured.violations += await rig.footprint_violations()
    runs = await rig.db.site_runs(script)
    for other, run in runs.items():
        measured.demand(
            other == site or run["state"] == "completed", f"A6: {other} has nothing to do with it: {run['message']}"
        )
    return measured


async def _route_lost_when(moment: str, comes_back: bool, rig: Rig, rng: random.Random) -> Measured:
    """The route to a router is gone: packets vanish in both directions, and neither side hears of it."""
    measured = Measured()
    site = rng.choice(rig.fleet.sites)
    kind = _MOMENTS[moment]
    count = len(rig.fleet.journal.events(site.id, kind))
    script = await rig.launch()
    async with asyncio.timeout(30 * SLOWNESS):
        await rig.fleet.journal.wait(site.id, kind, count=count + 1)
    await lose_route(site.address)
    since = time.time()
    try:
        if comes_back:
            await asyncio.sleep(rng.uniform(0.5, 12))
            await find_route(site.address)
        excuses = Excuses(unreachable=() if comes_back else (site.id,))
        await _settle(rig, measured, script, since=since, excuses=excuses, within=BOUND + 30, footprints=comes_back)
    finally:
        if not comes_back:
            await find_route(site.address)
    await rig.all_routers_are_free()
    if not comes_back:
        measured.violations += await rig.footprint_violations()
    for other, run in (await rig.db.site_runs(script)).items():
        measured.demand(
            other == site.id or run["state"] == "completed", f"A6: {other} has nothing to do with it: {run['message']}"
        )
    return measured


async def _sleep_until(condition: Callable[[], bool]) -> None:
    async def look() -> bool:
        return condition()

    await until(look, within=30 * SLOWNESS, every=0.01)


async def _mend(proxy: Proxy) -> None:
    proxy.thaw()
    proxy.down.bytes_per_second = proxy.up.bytes_per_second = None
    proxy.down.delay = proxy.up.delay = 0.0
    proxy.reset()
    proxy.refuse()
    await proxy.listen()


async def _slow(what: str, rig: Rig, rng: random.Random) -> Measured:
    """One router trickles; the others must not notice."""
    measured = Measured()
    site = rng.choice(rig.fleet.sites).id
    proxy = rig.routers[site]
    match what:
        case "trickle":
            proxy.down.bytes_per_second = 50
        case "round trip of 2 s":
            proxy.down.delay = proxy.up.delay = 1.0
        case "8 kbit":
            proxy.down.bytes_per_second = proxy.up.bytes_per_second = 1000
    script = await rig.launch(site_timeout=timedelta(seconds=20))
    since = time.time()
    others = [other.id for other in rig.fleet.sites if other.id != site]

    async def done() -> bool:
        runs = await rig.db.site_runs(script)
        return all(runs.get(other, {}).get("state") == "completed" for other in others)

    try:
        await until(done, within=10 * SLOWNESS)
    except AssertionError:
        measured.demand(False, f"A6: the others did not end within {10 * SLOWNESS:.0f} s beside a {what}")
    await _settle(rig, measured, script, since=since, excuses=Excuses(unreachable=(site,)), within=BOUND + 30)
    await _mend(proxy)
    return measured


# -- F21, F24, F25, F27 ------------------------------------------------------------------------------------------------


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
    await _settle(rig, measured, script, since=since, excuses=excuses)
    await rig.db.move_clock(-by)
    with contextlib.suppress(AssertionError):
        await asyncio.sleep(1)
        await rig.everybody_lives()
    again = await rig.launch()
    return await _settle(rig, measured, script, again, since=since, excuses=excuses)


async def _told_to_end(point: Point, signals: int, rig: Rig, rng: random.Random) -> Measured:
    """SIGTERM at a point: nothing new is claimed, what runs ends, and the process says goodbye with exit code 0."""
    measured = Measured()
    rig.plan(point, "hold")
    script = await rig.launch()
    pid = await rig.taken(point)
    slot = rig.slot_of(pid)
    lives = len(slot.exits)
    since = time.time()
    for _ in range(signals):
        os.kill(pid, signal.SIGTERM)
    rig.go_on(point)
    limit = float(str(PROFILE["drain_timeout"])) + 10 * SLOWNESS
    try:
        await _sleep_until_within(lambda: len(slot.exits) > lives, limit)
    except AssertionError:
        measured.demand(False, f"A3: it had not ended {limit:.0f} s after SIGTERM")
    clean = signals == 1
    measured.demand(not clean or slot.exits[lives:] == [0], f"it ended with {slot.exits[lives:]}")
    gone = time.monotonic()
    await _settle(rig, measured, script, since=since)
    for site in rig.fleet.sites:
        late = [e for e in rig.fleet.journal.starts(site.id) if e.monotonic > gone and e.facts["name"] is None]
        measured.demand(not late, f"A1: {site.id} was started by a process that had ended")
    return measured


async def _sleep_until_within(condition: Callable[[], bool], seconds: float) -> None:
    async def look() -> bool:
        return condition()

    await until(look, within=seconds)


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
    await _settle(rig, measured, script, since=since)
    moment = (await rig.db.fetch("select cancelled_at from tminus.scheduled_scripts where id = $1", script))[0][0]
    for site, run in (await rig.db.site_runs(script)).items():
        if moment is not None and run["executing_at"] is not None:
            measured.demand(
                run["executing_at"] <= moment + timedelta(seconds=1), f"{site} was started after the cancellation"
            )
    return measured


async def _error_at(point: Point, rig: Rig, rng: random.Random) -> Measured:
    """Something that nobody expected is raised: one run ends by it, or the process, and nothing else."""
    measured = Measured()
    rig.plan(point, "raise")
    script = await rig.launch()
    await rig.taken(point)
    return await _settle(rig, measured, script, since=time.time(), excuses=Excuses(unreachable=_all(rig)))


def _all(rig: Rig) -> list[str]:
    return [site.id for site in rig.fleet.sites]


# -- the list ----------------------------------------------------------------------------------------------------------

_RUN_POINTS = (
    Point.CLAIMED, Point.CONNECTED, Point.EXPORTING, Point.BACKED_UP, Point.UPLOADED, Point.READY, Point.START_WRITING,
    Point.START_COMMITTING, Point.START_WRITTEN, Point.SENDING, Point.SENT, Point.ANSWERED, Point.ENDING, Point.ENDING_WRITING,
    Point.ENDING_WRITTEN,
)  # fmt: skip


def _scenarios() -> list[Scenario]:
    found: list[Scenario] = []

    def add(
        fault: str,
        name: str,
        act: Act,
        *,
        routers_by_proxy: bool = False,
        sites: int = 4,
        told: frozenset[str] = TOLD,
        own_network: bool = False,
    ) -> None:
        found.append(
            Scenario(
                fault=fault,
                name=name,
                act=act,
                routers_by_proxy=routers_by_proxy,
                sites=sites,
                told=told,
                own_network=own_network,
            )
        )

    for point in (Point.LAUNCHING, Point.LAUNCHED, *_RUN_POINTS):
        add("F1", f"killed at {point}", partial(_killed_at, point, 0.0))
    add("F1", "killed in the export", partial(_killed_at, Point.EXPORTING, 0.1))
    add("F1", "killed in the script", partial(_killed_at, Point.SENT, 0.5))
    for point in (Point.LAUNCHING, Point.START_COMMITTING, Point.START_WRITTEN, Point.ENDING_WRITING):
        add("F1", f"host vanishes at {point}", partial(_host_vanishes_at, point, 6.0))
    for point in (Point.REAPED, Point.ORPHAN_TAKEN, Point.ORPHAN_RESOLVED):
        add("F1", f"killed at {point}", partial(_killed_recovering, point))
    for point in (Point.DRAINING, Point.SAYING_GOODBYE):
        add("F1", f"killed at {point}", partial(_killed_while_draining, point))
    for point in (Point.BEATING, Point.HOUSEKEPT):
        add("F1", f"killed at {point}", partial(_killed_beside, point))
    add("F1", f"killed at {Point.DEBT_PAID}", _killed_paying_a_debt)

    for point in (
        Point.CLAIMED, Point.READY, Point.START_WRITING, Point.START_COMMITTING, *_WRITTEN, Point.ENDING, Point.ENDING_WRITING,
    ):  # fmt: skip
        add("F2", f"frozen at {point}", partial(_frozen_at, point, 5.0))
    add("F2", f"frozen at {Point.SENT}", partial(_frozen_at, Point.SENT, 25.0))
    for point in (Point.READY, Point.SENDING, Point.SENT, Point.BEATING):
        add("F3", f"blocked at {point}", partial(_blocked_at, point))

    add("F4", "one of two killed among 1000 sites", _killed_among_many, sites=1000)
    add("F4", "one of two killed among 60 sites", _killed_among_many, sites=60)
    add("F6", f"no answer at {Point.START_WRITING}", _start_asked_in_vain)
    add("F6", f"answer lost at {Point.START_COMMITTING}", _start_answer_lost)
    add("F6", f"answer lost at {Point.ENDING_WRITING}", _ending_answer_lost)
    add("F6", f"answer lost at {Point.LAUNCHING}", _launch_answer_lost)
    for seconds, how, whom in (
        (1, "freeze", "all"),
        (8, "freeze", "one"),
        (8, "freeze", "all"),
        (1, "reset", "all"),
        (8, "reset", "one"),
    ):
        add("F7", f"database {how} for {seconds} s of {whom}", partial(_database_away, seconds, how, whom))

    for moment in ("before the connect", "in the handshake", *_MOMENTS):
        for cut in _CUTS:
            if moment == "before the connect" and cut not in ("freeze", "reset"):
                continue
            add("F13", f"{cut} {moment}", partial(_cut_when, moment, cut, True), routers_by_proxy=True)
    add(
        "F13",
        "gone for good after the start",
        partial(_cut_when, "after the start", "freeze", False),
        routers_by_proxy=True,
    )
    for moment in _MOMENTS:
        add("F13", f"route lost {moment}", partial(_route_lost_when, moment, True), own_network=True)
    add("F13", "route lost for good", partial(_route_lost_when, "after the start", False), own_network=True)
    for what in ("trickle", "round trip of 2 s", "8 kbit"):
        add("F14", what, partial(_slow, what), routers_by_proxy=True)

    for by in (timedelta(hours=1), timedelta(hours=-1), timedelta(minutes=10), timedelta(minutes=-10)):
        add("F21", f"clock {int(by.total_seconds()):+} s", partial(_clock_steps, by))
    for point in (Point.LAUNCHED, Point.CLAIMED, Point.EXPORTING, Point.READY, Point.SENDING, Point.SENT, Point.ENDING):
        add("F24", f"SIGTERM at {point}", partial(_told_to_end, point, 1))
    add("F24", "SIGTERM twice", partial(_told_to_end, Point.SENT, 2))
    for point in (Point.LAUNCHED, *_RUN_POINTS):
        add("F25", f"cancelled at {point}", partial(_cancelled_at, point))
    for point in (Point.LAUNCHING, *_RUN_POINTS, Point.HOUSEKEPT):
        add(
            "F27",
            f"error at {point}",
            partial(_error_at, point),
            told=TOLD | {"site_run_broke", "site_run_left_open", "orphan_broke", "daemon_broke"},
        )
    return found


SCENARIOS = {scenario.id: scenario for scenario in _scenarios()}
