"""The faults: how each is made, and what must hold of it beside the invariants that hold after all of them.

The classes are those of the fault plan (docs/faults.md): F1 killed, F2 frozen, F3 blocked, F4 many sites, F6 commit without an
answer, F7 database away, F13 network of a router, F14 slow routers, F21 clock, F24 told to end, F25 cancelled, F27 an error of
our own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
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
from tminus.simulator import Fault, Kind


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


_ABORTED_WITHIN = 3.0 * SLOWNESS
"""Seconds within which a daemon has ended that was declared dead while it slept: from the moment at which it may go on."""

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
_IN_FLIGHT = (*_WRITTEN, Point.SENT, Point.ANSWERED, Point.ENDING, Point.ENDING_WRITING)
"""Points at which the run that came there is committed as started, and has no ending."""

_COMPLETED = ("completed", "applied", None)
_NOT_STARTED = ("failed", "none", "connection_lost")
_INTERRUPTED = ("unknown", "unknown", "daemon_lost")
"""How a run may end that was in flight when its daemon died; which of them is right, the journal knows: see invariants."""


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
    await _settle(rig, measured, script, since=since)
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
        promised = {_NOT_STARTED} if point in _WRITTEN else {_NOT_STARTED, _INTERRUPTED, _COMPLETED}
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
    woken = time.monotonic()
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
    recovered = measured.recovered
    await _settle(rig, measured, script, since=since)
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
    theirs = await _nonces(rig, pid, script)
    measured.noticed = await rig.seconds_until_dead(pid, since)
    measured.demand(measured.noticed <= NOTICED_WITHIN, f"A3: noticed only after {measured.noticed:.1f} s")
    ended = await rig.is_gone(slot, lives, within=goes_on - time.monotonic() + _ABORTED_WITHIN)
    measured.demand(ended, f"A3: it had not ended {_ABORTED_WITHIN:.0f} s after it went on")
    measured.said = f"it ended {time.monotonic() - goes_on:.1f} s after it went on"
    measured.demand(slot.exits[lives:] == [6], f"who was blocked ended with {slot.exits[lives:]}, not with 6")
    await _settle(rig, measured, script, since=since)
    _demand_no_start_since(rig, measured, goes_on, theirs)
    return measured


async def _nonces(rig: Rig, pid: int, script: object) -> set[str]:
    """What names the attempts that are that process's now. Drawn at each claim."""
    return {run["nonce"] for run in (await rig.runs_of(pid, script)).values()}


def _demand_no_start_since(rig: Rig, measured: Measured, moment: float, nonces: Collection[str]) -> None:
    """Nothing of these was started after `moment` (time.monotonic())."""
    names = {f"tminus-{nonce}.rsc" for nonce in nonces}
    for event in rig.fleet.journal.events(kind=Kind.IMPORT_STARTED):
        late = event.facts["name"] in names and event.monotonic > moment
        measured.demand(not late, f"A1: {event.facts['name']} was started on {event.site} by a process that was over")


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
    await _settle(rig, measured, script, since=since)
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


_SILENT, _GOOD = 200, 50
_LAGS = """
    select extract(epoch from r.executing_at - l.due_at)::double precision as lag
    from tminus.site_runs r
    join tminus.launches l on l.id = r.launch_id
    where l.script_id = $1 and r.site_id = any ($2::text[]) and r.executing_at is not null
    order by lag
    """


async def _silent_many(rig: Rig, rng: random.Random) -> Measured:
    """Most routers accept a connection and never say a word: the others start as soon as if they were alone."""
    measured = Measured()
    sites = [site.id for site in rig.fleet.sites]
    good = sites[:: len(sites) // _GOOD]  # among the others, whatever the order in which they are claimed
    silent = [site for site in sites if site not in good]
    lags: list[float] = []
    for chosen in (good, good, sites):  # the first time much is done that is done once
        script = await rig.launch(chosen, start_within=timedelta(seconds=10 * SLOWNESS))
        since = time.time()
        unreachable = silent if chosen is sites else []
        await _settle(rig, measured, script, since=since, excuses=Excuses(unreachable=unreachable), within=2 * BOUND)
        found = [row["lag"] for row in await rig.db.fetch(_LAGS, script, good)]
        measured.demand(len(found) == _GOOD, f"A6: {_GOOD - len(found)} of {_GOOD} good routers were not started")
        lags.append(found[int(len(found) * 0.95)] if found else 0.0)
        for site in silent:
            await rig.fleet.set_faults(site, {Fault.BLACKHOLE})
    for site, run in (await rig.db.site_runs(script)).items():
        ending = (run["state"], run["reason"])
        expected = ("failed", "offline") if site in silent else ("completed", None)
        measured.demand(ending == expected, f"A6: {site} ended as {ending}: {run['message']}")
    _, alone, beside = lags
    # A fifth more, and the machine's own work: it makes two hundred connections more meanwhile.
    measured.demand(
        beside <= 1.2 * alone + 1.0 * SLOWNESS, f"A6: started after {beside:.1f} s, and {alone:.1f} s alone"
    )
    measured.said = (
        f"95 % of {_GOOD} good routers started within {alone:.1f} s alone, {beside:.1f} s beside {_SILENT} silent ones"
    )
    for site in silent:
        await rig.fleet.set_faults(site, ())
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
    await _settle(rig, measured, script, since=since)
    _demand_no_start_since(rig, measured, ended, nonces)
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
    since = time.time()
    os.kill(pid, signal.SIGTERM)
    rig.go_on(Point.SENT)

    async def drains() -> bool:
        assert slot.daemon is not None
        return any(event["event"] == "draining" for event in slot.daemon.log())

    await until(drains, within=10 * SLOWNESS)
    os.kill(pid, signal.SIGTERM)
    # 5 s for what gives back its run, 5 s for the connections to the database.
    nonces, ended = await _ends_within(rig, measured, pid, script, 10 + 2 * SLOWNESS, code=1)
    await _settle(rig, measured, script, since=since)
    _demand_no_start_since(rig, measured, ended, nonces)
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
    await _settle(rig, measured, script, since=since)
    _demand_no_start_since(rig, measured, ended, nonces)
    run = (await rig.db.site_runs(script))[site]
    measured.demand(run["state"] == "unknown", f"A4: {site} is {run['state']}: {run['message']}")
    return measured


_DRAIN = float(str(PROFILE["drain_timeout"]))
_GOODBYE = "select state from tminus.instances where pid = $1 order by started_at desc limit 1"


async def _ends_within(
    rig: Rig, measured: Measured, pid: int, script: object, seconds: float, *, code: int
) -> tuple[set[str], float]:
    """Demand that the process ends in time, with that exit code, and said goodbye. Its nonces, and when (time.monotonic())."""
    slot = rig.slot_of(pid)
    lives = len(slot.exits)
    nonces: set[str] = set()

    async def look() -> bool:
        nonces.update(await _nonces(rig, pid, script))
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
    await _settle(rig, measured, script, since=since)
    moment = (await rig.db.fetch("select cancelled_at from tminus.scheduled_scripts where id = $1", script))[0][0]
    for site, run in (await rig.db.site_runs(script)).items():
        if moment is not None and run["executing_at"] is not None:
            measured.demand(
                run["executing_at"] <= moment + timedelta(seconds=1), f"{site} was started after the cancellation"
            )
    return measured


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
    await _settle(rig, measured, script, since=since, excuses=Excuses(unreachable=met))
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

    add("F14", "silent logins beside good ones", _silent_many, sites=_SILENT + _GOOD)

    for by in (timedelta(hours=1), timedelta(hours=-1), timedelta(minutes=10), timedelta(minutes=-10)):
        add("F21", f"clock {int(by.total_seconds()):+} s", partial(_clock_steps, by))
    for point in (Point.LAUNCHED, Point.CLAIMED, Point.EXPORTING, Point.READY, Point.SENDING, Point.SENT, Point.ENDING):
        add("F24", f"SIGTERM at {point}", partial(_told_to_end, point))
    add("F24", "SIGTERM twice", _told_to_end_twice)
    add("F24", "SIGTERM and a script that outlasts the drain", _outlasts_the_drain)
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
