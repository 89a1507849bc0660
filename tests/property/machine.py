"""A model of who may do what to a site run, walked at random over the real SQL.

The statements and functions are the daemon's own; the clock of the database stands still unless it is moved. Processes hold
beliefs that may be out of date: a process that was frozen acts on what it believed. Routers are a set of files and a count of
what was started. After each step every row that changed is judged: was that change due to what was just done, and allowed
by the model? The rules that walk the known races come ready-made (`lapse_and_steal` and its sisters), since a random walk
finds a race of six steps too rarely.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.property.recorded import RecordedDatabase, runnable
from tests.store.stage import EMPTY, REACH, Stage, add_sites
from tminus.errors import StoreError
from tminus.store import instances, launches, site_runs

TTL = 3.0
SITES = ("a", "b", "c")
EPOCH = datetime(2030, 1, 1, tzinfo=UTC)
T = TypeVar("T")
# What no login of a daemon may say of any row to which it does not apply.
TAMPERING = (
    "state = 'pending', step = null, instance_id = null, executing_at = null",
    "state = 'completed', effect = 'applied', reason = null, step = null, finished_at = tminus.clock()",
    "instance_id = '{other}'",
    "executing_at = tminus.clock(), step = 'executing', nonce = '00000000000000ff'",
    "instance_id = null, step = 'verifying'",
)
SITES_SQL = "insert into tminus.sites (id, name, address) select id, id, 'router-' || md5(id) from unnest('{a,b,c}'::text[]) as id;"
# A clock that moves only when it is moved, so that the model knows the time; and launches with the same ids in each walk.
PREPARE = """\
-- What was said. To see it again: psql, as superuser, on a copy of the database template_tminus of tests/support.py.
create or replace function tminus.clock() returns timestamptz language sql stable parallel safe
as 'select timestamptz ''2030-01-01 00:00:00+00'' + (select by from public.moved_clock)';
create sequence public.launch_numbers;
grant usage on sequence public.launch_numbers to public;
alter table tminus.launches alter column id
    set default ('00000000-0000-0001-0000-' || lpad(to_hex(nextval('public.launch_numbers')), 12, '0'))::uuid;
"""


@dataclass(slots=True)
class Walk:
    """What all examples share: one database, one event loop."""

    stage: Stage
    store: RecordedDatabase
    loop: asyncio.AbstractEventLoop
    steps: int = 0
    examples: int = 0
    failed_at: int | None = None  # the example that first was wrong


walk: Walk | None = None  # set by who runs the machine


@dataclass(frozen=True, slots=True)
class Row:
    """A site run as the database has it."""

    id: int
    launch: UUID
    site: str
    state: str
    owner: UUID | None
    executing: bool
    nonce: str | None
    reason: str | None
    effect: str | None
    not_before: datetime | None
    turn_at: datetime | None


@dataclass(frozen=True, slots=True)
class Living:
    state: str
    heartbeat_at: float


@dataclass(slots=True)
class Belief:
    """What a process thinks of a run that it claimed. `may_send`: its point of no return was confirmed to it."""

    nonce: str
    may_send: bool = False
    sent: bool = False


@dataclass(slots=True, eq=False)
class Process:
    id: UUID
    beliefs: dict[int, Belief] = field(default_factory=dict)
    resolving: dict[int, str] = field(default_factory=dict)  # run, nonce


DOUBTED = "select tminus.suspects() || array(select a.script_id from tminus.set_aside a where a.readmitted_at is null)"
"""Scripts that are run alone, or not at all, since daemons died while they ran."""


@dataclass(slots=True)
class Wish:
    id: UUID
    due: float
    within: float
    cap: int | None
    authorized: bool
    cancelled: bool = False
    launched: bool = False


class Ownership(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        assert walk is not None
        self.walk = walk
        self.walk.examples += 1
        self.walk.store.said.clear()
        self.now = 0.0
        self.processes: list[Process] = []
        self.wishes: dict[UUID, Wish] = {}
        self.launch_of: dict[UUID, UUID] = {}  # launch, wish
        self.rows: dict[int, Row] = {}
        self.living: dict[UUID, Living] = {}
        self.files: set[str] = set()  # nonces of files on routers
        self.effects: Counter[tuple[UUID, str]] = Counter()
        self.nonces: set[str] = set()
        self.ids = 0
        self.was_open: set[int] = set()  # runs that did not begin as missed
        self.do(self._empty())

    # -- the machinery -------------------------------------------------------------------------------------------------

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        self.walk.steps += 1
        try:
            return self.walk.loop.run_until_complete(asyncio.wait_for(work, 20))
        except StoreError:
            self.walk.failed_at = self.walk.failed_at or self.walk.examples
            raise

    def must(self, holds: object, sentence: str) -> None:
        if not holds:
            self.walk.failed_at = self.walk.failed_at or self.walk.examples
            script = "\n".join(self.walk.store.said)
            raise AssertionError(f"{sentence}\n{PREPARE}{SITES_SQL}\n{script}")

    def _id(self) -> UUID:
        """The next of the ids of this example: the same each time that it is walked."""
        self.ids += 1
        return UUID(int=self.ids)

    async def _say(self, sql: str, *arguments: object, role: str) -> None:
        """Say something as another login than the daemon's."""
        self.walk.store.said.append(
            f"set session authorization {role};\n{runnable(sql, arguments)}\nreset session authorization;"
        )
        await self.walk.stage.db.fetch(sql, *arguments, role=role)

    async def _empty(self) -> None:
        async with self.walk.stage.db.connect() as connection:
            await connection.execute(EMPTY)
            await connection.execute(
                "reset session_replication_role; alter table tminus.site_runs alter column id restart"
            )
        await add_sites(self.walk.stage.db, *SITES)

    def lives(self, process: Process) -> bool:
        found = self.living.get(process.id)
        return found is not None and found.state in ("alive", "draining") and found.heartbeat_at + TTL > self.now

    def may_write(self, process: Process) -> bool:
        return self.living[process.id].state in ("alive", "draining")

    def goes_on(self, launch: UUID) -> bool:
        return not self.wishes[self.launch_of[launch]].cancelled

    async def _snapshot(self) -> tuple[dict[int, Row], dict[UUID, Living], list[asyncpg.Record]]:
        db = self.walk.stage.db
        rows = await db.fetch(
            "select id, launch_id, site_id, state, instance_id, executing_at is not null as executing, nonce, reason, effect,"
            " not_before, turn_at from tminus.site_runs order by id"
        )
        lives = await db.fetch("select id, state, heartbeat_at from tminus.instances")
        told = await db.fetch(
            "select (detail ->> 'site_run')::bigint as run, count(*) as told from tminus.events"
            " where kind in ('site_completed', 'site_failed', 'site_skipped', 'site_unknown') group by 1"
        )
        return (
            {row["id"]: Row(*row.values()) for row in rows},
            {row["id"]: Living(row["state"], (row["heartbeat_at"] - EPOCH).total_seconds()) for row in lives},
            told,
        )

    def settle(
        self,
        allowed: Callable[[Row, Row], str | None] = lambda old, new: "nothing was to change",
        *,
        new_rows: bool = False,
        beats: Process | None = None,
        reaps: bool = False,
        stops: Process | None = None,
    ) -> dict[int, tuple[Row, Row]]:
        """Look at the database, judge what changed, and return it. `allowed` says why a change is wrong, or None."""
        rows, living, told = self.do(self._snapshot())
        changed = {}
        for run, new in rows.items():
            old = self.rows.get(run)
            if old is None:
                self.must(new_rows, f"site run {run} came from nowhere")
                continue
            if old == new:
                continue
            self.must(old.state in ("pending", "running"), f"run {run} had ended as {old.state}, and changed: {new}")
            self.must(
                not old.executing or new.executing, f"run {run} was past its point of no return, and is not: {new}"
            )
            wrong = allowed(old, new)
            self.must(wrong is None, f"run {run}: {wrong}: {old} -> {new}")
            changed[run] = (old, new)
        self.must(set(self.rows) <= set(rows), "a site run vanished")
        for instance, now in living.items():
            before = self.living.get(instance)
            if before is None or before == now:
                continue
            self.must(before.state in ("alive", "draining"), f"{instance} was {before.state}, and wrote: {now}")
            if now.state == "dead":
                self.must(reaps and before.heartbeat_at + TTL < self.now, f"{instance} lived, and was declared dead")
            elif now.state == "stopped":
                self.must(stops is not None and stops.id == instance, f"{instance} was stopped by nobody")
            else:
                self.must(beats is not None and beats.id == instance, f"the heartbeat of {instance} moved by itself")
        self.rows, self.living = rows, living
        running = Counter(row.site for row in rows.values() if row.state == "running")
        self.must(all(count == 1 for count in running.values()), f"more than one runs on a router: {running}")
        for row in rows.values():
            if row.state == "running":
                self.must(row.owner is not None or row.executing, f"nobody has {row}, and it had not started")
            if row.effect == "none" or row.state == "pending":
                self.must(not self.effects[row.launch, row.site], f"it ran, and is denied: {row}")
        self.must(all(count == 1 for count in self.effects.values()), f"started twice: {self.effects}")
        self.was_open |= {run for run, row in rows.items() if row.state in ("pending", "running")}
        ended = {run for run in self.was_open if rows[run].state not in ("pending", "running")}
        self.must({row["run"]: row["told"] for row in told} == dict.fromkeys(ended, 1), f"told {told} of {ended}")
        return changed

    # -- wishes --------------------------------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        self.register()
        self.register()
        self.submit(SITES, None, 3600.0, True)

    @rule(
        sites=st.sets(st.sampled_from(SITES), min_size=1).map(sorted),
        cap=st.sampled_from([None, None, 1, 2]),
        within=st.sampled_from([10.0, 3600.0]),
        authorized=st.sampled_from([True, True, True, False]),
    )
    @precondition(lambda self: len(self.wishes) < 5)
    def submit(self, sites: list[str] | tuple[str, ...], cap: int | None, within: float, authorized: bool) -> None:
        script = self._id()
        due = self.now + 1 + len(self.wishes) / 1000  # no two at the same moment, or their order would be chance

        async def act() -> None:
            await self._say(
                "insert into tminus.scheduled_scripts (id, launch_at, script, sites, start_within, max_concurrency, make_backup)"
                " values ($1, $5, ':put 1', $2, make_interval(secs => $3), $4, false)",
                script, list(sites), within, cap, EPOCH + timedelta(seconds=due), role="alice",
            )  # fmt: skip
            if authorized:
                await self._say("select tminus.authorize($1, tminus.digest($1))", script, role="bob")

        self.do(act())
        self.wishes[script] = Wish(script, due, within, cap, authorized)
        self.settle()

    @rule(data=st.data())
    @precondition(lambda self: any(not wish.cancelled for wish in self.wishes.values()))
    def cancel(self, data: st.DataObject | Chance) -> None:
        wish = pick(data, [wish for wish in self.wishes.values() if not wish.cancelled])

        async def act() -> bool:
            try:
                await self._say("select tminus.cancel($1)", wish.id, role="alice")
            except asyncpg.ObjectNotInPrerequisiteStateError:  # it is over
                return False
            return True

        if self.do(act()):
            wish.cancelled = True

            def allowed(old: Row, new: Row) -> str | None:
                ours = self.launch_of[old.launch] == wish.id
                if ours and old.state == "pending" and (new.state, new.reason) == ("skipped", "cancelled"):
                    return None
                return "a cancellation skips what is pending of its own, and nothing else"

            self.settle(allowed)

    @rule(by=st.sampled_from([0.5, 1.0, 2.0, TTL + 0.5, 15.0, 3700.0]))
    def tick(self, by: float) -> None:
        self.now += by
        self.walk.store.said.append(f"update public.moved_clock set by = by + '{by} seconds';")
        self.do(self.walk.stage.db.move_clock(timedelta(seconds=by)))

    # -- processes -----------------------------------------------------------------------------------------------------

    @rule()
    @precondition(lambda self: len(self.processes) < 4)
    def register(self) -> None:
        process = Process(self._id())
        self.do(
            instances.register(self.walk.store, instance=process.id, name="one", reach=REACH, max_sessions=10, ttl=TTL)
        )
        self.processes.append(process)
        self.settle()

    @rule(data=st.data(), draining=st.sampled_from([False, False, False, True]))
    @precondition(lambda self: self.processes)
    def beat(self, data: st.DataObject | Chance | _Chosen, draining: bool) -> None:
        self._beat(pick(data, self.processes), draining=draining)

    def _beat(self, process: Process, *, draining: bool = False) -> None:
        wrote = self.may_write(process)
        said = self.do(instances.beat(self.walk.store, process.id, draining=draining))
        self.must(said == wrote, f"a heartbeat of one that is {self.living[process.id].state} was answered {said}")
        self.settle(beats=process)
        if said:
            self.must(self.living[process.id].heartbeat_at == self.now, "a heartbeat was confirmed and not written")

    @rule(data=st.data())
    @precondition(lambda self: self.processes)
    def stop(self, data: st.DataObject | Chance) -> None:
        process = pick(data, self.processes)
        self.do(instances.stop(self.walk.store, process.id))
        self.settle(stops=process)

    @rule(data=st.data())
    @precondition(lambda self: len(self.processes) > 1)
    def crash(self, data: st.DataObject | Chance) -> None:
        """Gone, with all that it knew; its row in the database is as it was."""
        self.processes.remove(pick(data, self.processes))

    # -- the daemon's duties -------------------------------------------------------------------------------------------

    @rule(data=st.data())
    @precondition(lambda self: self.processes and any(not wish.launched for wish in self.wishes.values()))
    def launch(self, data: st.DataObject | Chance) -> None:
        self._launch(pick(data, self.processes))

    def _launch(self, process: Process) -> None:
        due = {
            wish.id
            for wish in self.wishes.values()
            if wish.authorized
            and not wish.cancelled
            and not wish.launched
            and wish.due <= self.now <= wish.due + wish.within
        }
        expected = due if self.lives(process) else set()

        async def act() -> dict[UUID, UUID]:
            await self.walk.stage.launch_due(process.id)
            rows = await self.walk.stage.db.fetch("select id, script_id from tminus.launches where state <> 'missed'")
            return {row["id"]: row["script_id"] for row in rows}

        known = self.do(act())
        made = {launch: script for launch, script in known.items() if launch not in self.launch_of}
        self.launch_of |= made
        self.must(sorted(made.values()) == sorted(expected), f"launched {made}, due were {expected}")
        for script in made.values():
            self.wishes[script].launched = True
        self.settle(new_rows=True)

    @rule(data=st.data(), capacity=st.sampled_from([1, 2, 10]))
    @precondition(lambda self: self.processes and any(row.state == "pending" for row in self.rows.values()))
    def claim(self, data: st.DataObject | Chance | _Chosen, capacity: int) -> None:
        self._claim(pick(data, self.processes), capacity)

    def _claim(self, process: Process, capacity: int = 10) -> list[int]:
        before = dict(self.rows)
        busy = {row.site for row in before.values() if row.state == "running"}
        claims = self.do(site_runs.claim_site_runs(self.walk.store, process.id, capacity=capacity))
        taken = {claim.id for claim in claims}

        def allowed(old: Row, new: Row) -> str | None:
            if not (self.lives(process) and self.living[process.id].state == "alive"):
                return "claimed by an instance that may start nothing"
            if not (
                old.state == "pending" and new.state == "running" and new.owner == process.id and not new.executing
            ):
                return "a claim makes what is pending ours, and nothing else"
            if not self.goes_on(old.launch) or old.site in busy or old.id not in taken:
                return "claimed though its launch was cancelled, its router is busy, or without being told of it"
            if old.not_before is not None and (old.not_before - EPOCH).total_seconds() > self.now:
                return "claimed before its next try"
            if new.nonce is None or new.nonce in self.nonces:
                return "claimed without a nonce of its own"
            return None

        changed = self.settle(allowed)
        self.must(set(changed) == taken, f"told of {taken}, and took {set(changed)}")
        for run in taken:
            nonce = self.rows[run].nonce
            assert nonce is not None
            self.nonces.add(nonce)
            process.beliefs[run] = Belief(nonce)
        running = Counter(row.launch for row in self.rows.values() if row.state == "running")
        for launch, count in running.items():
            cap = self.wishes[self.launch_of[launch]].cap
            grew = any(row.launch == launch and run in taken for run, row in self.rows.items())
            self.must(not grew or cap is None or count <= cap, f"{count} sites run at the same time, {cap} may")
        ready = {
            row.site
            for row in before.values()
            if row.state == "pending" and row.site not in busy and self.goes_on(row.launch)
            and self.wishes[self.launch_of[row.launch]].cap is None
            and self.now < self.wishes[self.launch_of[row.launch]].due + self.wishes[self.launch_of[row.launch]].within  # else late
            and (row.not_before is None or (row.not_before - EPOCH).total_seconds() <= self.now)
        }  # fmt: skip
        # What waits is shared among who lives, and a script during whose run a daemon died may be held back.
        nobody_died = all(found.state != "dead" for found in self.living.values())
        if nobody_died and self.lives(process) and self.living[process.id].state == "alive":
            self.must(taken or not ready, f"took nothing though {ready} were free")
        return sorted(taken)

    @rule(data=st.data())
    @precondition(lambda self: any(process.beliefs for process in self.processes))
    def start(self, data: st.DataObject | Chance) -> None:
        process = pick(data, [process for process in self.processes if process.beliefs])
        self._start(process, pick(data, sorted(process.beliefs)))

    def _start(self, process: Process, run: int, *, answered: bool = True) -> bool:
        """Upload, and pass the point of no return. Without an `answer` it was committed, and the process never hears of it."""
        belief, old = process.beliefs[run], self.rows[run]
        self.files.add(belief.nonce)
        ours = old.owner == process.id and old.state == "running" and not old.executing
        expected = ours and self.lives(process) and self.goes_on(old.launch)
        try:
            said = self.do(self.walk.stage.execute(process.id, run, nonce=belief.nonce))
        except StoreError as error:
            said = []
            self.must(False, f"a start was answered with an error, not with no row: {error}")

        def allowed(old: Row, new: Row) -> str | None:
            if not expected:
                return "started though it was not ours, its launch was cancelled, or we could not prove that we live"
            fits = old.id == run and new.executing and new.owner == process.id and new.nonce == belief.nonce
            return None if fits else "a start changes one run"

        self.settle(allowed)
        self.must(said == ([run] if expected else []), f"a start was answered {said}")
        belief.may_send = bool(said) and answered
        return bool(said)

    @rule(data=st.data())
    @precondition(lambda self: any(b.may_send and not b.sent for p in self.processes for b in p.beliefs.values()))
    def send(self, data: st.DataObject | Chance) -> None:
        process = pick(data, [p for p in self.processes if any(b.may_send and not b.sent for b in p.beliefs.values())])
        self._send(process, pick(data, [r for r, b in process.beliefs.items() if b.may_send and not b.sent]))

    def _send(self, process: Process, run: int) -> None:
        """Send the command, however long ago it was allowed: the router runs the file if it is there."""
        belief = process.beliefs[run]
        belief.sent = True
        if belief.nonce in self.files:
            self.effects[self.rows[run].launch, self.rows[run].site] += 1
        self.walk.store.said.append(
            f"-- run {run} is started on its router{'' if belief.nonce in self.files else ': no file'}"
        )
        self.settle()

    @rule(data=st.data())
    @precondition(lambda self: any(process.beliefs for process in self.processes))
    def end(self, data: st.DataObject | Chance) -> None:
        process = pick(data, [process for process in self.processes if process.beliefs])
        self._end(process, pick(data, sorted(process.beliefs)))

    def _end(self, process: Process, run: int, *, answered: bool = True) -> None:
        """Write what this process thinks became of it. Without an answer it still believes that it has it."""
        belief = process.beliefs[run]
        if answered:
            del process.beliefs[run]
            self.files.discard(belief.nonce)
        row = self.rows[run]
        ran = belief.sent and self.effects[row.launch, row.site] > 0
        self._write_ending(process, run, "completed" if ran else "failed")

    def _write_ending(self, process: Process, run: int, state: str) -> None:
        old = self.rows[run]
        expected = old.owner == process.id and old.state == "running" and self.may_write(process)
        said: list[int] = []
        try:
            said = self.do(self.walk.stage.end(process.id, run, state=state))
        except StoreError as error:
            self.must(False, f"an ending was answered with an error, not with no row: {error}")

        def allowed(old: Row, new: Row) -> str | None:
            return (
                None if expected and old.id == run and new.state == state else "an ending by who does not own the run"
            )

        again = old.owner == process.id and old.state == state
        self.settle(allowed)
        self.must(said == ([run] if expected or again else []), f"an ending was answered {said}")

    @rule(data=st.data(), wait=st.sampled_from([0.0, 5.0]))
    @precondition(lambda self: any(process.beliefs for process in self.processes))
    def release(self, data: st.DataObject | Chance | _Chosen, wait: float) -> None:
        process = pick(data, [process for process in self.processes if process.beliefs])
        run = pick(data, sorted(process.beliefs))
        if not process.beliefs[run].may_send:
            self._release(process, run, wait)

    def _release(self, process: Process, run: int, wait: float = 0.0, *, answered: bool = True) -> None:
        """Give a run back. Without an answer the process still believes that it has it."""
        old = self.rows[run]
        if answered:
            self.files.discard(process.beliefs.pop(run).nonce)
        expected = old.owner == process.id and old.state == "running" and not old.executing and self.may_write(process)
        rows: list[asyncpg.Record] = []
        try:
            rows = self.do(self.walk.store.fetch("release_site_runs", process.id, [run], [wait], [None], [None]))
        except StoreError as error:
            self.must(False, f"a release was answered with an error, not with no row: {error}")

        def allowed(old: Row, new: Row) -> str | None:
            fits = expected and old.id == run and new.state == "pending" and new.owner is None
            return None if fits else "given back by who does not own it, or after its start"

        self.settle(allowed)
        self.must([row["id"] for row in rows] == ([run] if expected else []), f"a release was answered {rows}")

    @rule(data=st.data())
    @precondition(lambda self: self.processes)
    def sweep(self, data: st.DataObject | Chance) -> None:
        process = pick(data, self.processes)
        known = sorted({*process.beliefs, *process.resolving})
        self.do(site_runs.sweep(self.walk.store, process.id, known))

        def allowed(old: Row, new: Row) -> str | None:
            if old.owner != process.id or old.id in known:
                return "swept what is another's, or known"
            return self._abandoned(old, new)

        self.settle(allowed)

    @rule()
    def reap(self) -> None:
        silent = {
            i for i, x in self.living.items() if x.state in ("alive", "draining") and x.heartbeat_at + TTL < self.now
        }
        self.do(instances.reap(self.walk.store))
        gone = silent | {i for i, x in self.living.items() if x.state in ("stopped", "dead")}

        def allowed(old: Row, new: Row) -> str | None:
            return self._abandoned(old, new) if old.owner in gone else "taken from an instance that lives"

        self.settle(allowed, reaps=True)
        self.must(all(self.living[i].state == "dead" for i in silent), "a silent instance was not declared dead")
        left = [row for row in self.rows.values() if row.state == "running" and row.owner in gone]
        self.must(not left, f"the dead still have {left}")

    @staticmethod
    def _abandoned(old: Row, new: Row) -> str | None:
        if new.owner is None and (new.state, new.executing) == (
            ("running", True) if old.executing else ("pending", False)
        ):
            return None
        return "what had not started is pending again, and what had is nobody's"

    @rule(data=st.data())
    @precondition(
        lambda self: self.processes and any(r.state == "running" and r.owner is None for r in self.rows.values())
    )
    def take_orphans(self, data: st.DataObject | Chance) -> None:
        self._take_orphans(pick(data, self.processes))

    def _take_orphans(self, process: Process) -> None:
        doubted = set(self.do(self.walk.stage.db.value(DOUBTED)))
        found = self.do(site_runs.claim_orphans(self.walk.store, process.id, limit=10))
        able = self.lives(process) and self.living[process.id].state == "alive"
        before = {run for run, row in self.rows.items() if row.state == "running" and row.owner is None}

        def allowed(old: Row, new: Row) -> str | None:
            if able and old.owner is None and old.executing and new.owner == process.id and new.state == "running":
                return None
            return "an orphan is nobody's, past its point of no return, and taken by who lives"

        self.settle(allowed)
        taken, takes = {orphan.id for orphan in found}, before if able else set()
        scripts = {self.launch_of[self.rows[run].launch] for run in taken}
        if doubted:
            # What a script that is set aside left is nobody's to take; what a suspect left is taken with nothing else.
            self.must(taken <= takes, f"took {taken} of {takes}")
            self.must(
                len(scripts) == 1 or not scripts & doubted, f"took those of {scripts}, of which {doubted} are suspects"
            )
        else:
            self.must(taken == takes, f"took {taken} of {takes}")
        process.resolving |= {orphan.id: orphan.nonce for orphan in found}

    @rule(data=st.data())
    @precondition(lambda self: any(process.resolving for process in self.processes))
    def resolve(self, data: st.DataObject | Chance) -> None:
        process = pick(data, [process for process in self.processes if process.resolving])
        self._resolve(process, pick(data, sorted(process.resolving)))

    def _resolve(self, process: Process, run: int) -> None:
        """File fence first; then what the router shows."""
        self.files.discard(process.resolving.pop(run))
        row = self.rows[run]
        self._write_ending(process, run, "completed" if self.effects[row.launch, row.site] else "failed")

    @rule()
    def housekeep(self) -> None:
        self.do(launches.housekeeping(self.walk.store))

        def allowed(old: Row, new: Row) -> str | None:
            if old.state != "pending" or new.state not in ("skipped", "failed") or new.executing:
                return "time alone ends what is pending, and nothing else"
            wish = self.wishes[self.launch_of[old.launch]]
            turn = (old.turn_at - EPOCH).total_seconds() if old.turn_at is not None else wish.due
            late = turn + wish.within < self.now
            return None if wish.cancelled or late else "its time was not over"

        self.settle(allowed, new_rows=True)
        self.launch_of |= dict(
            self.do(self.walk.stage.db.fetch("select id, script_id from tminus.launches where state = 'missed'"))
        )

    # -- what a daemon's login must not be able to do ------------------------------------------------------------------

    @rule(
        data=st.data(),
        change=st.sampled_from(TAMPERING),
    )
    @precondition(lambda self: self.rows)
    def tamper(self, data: st.DataObject | Chance | _Chosen, change: str) -> None:
        """A wrong UPDATE by the daemon's own login, whatever it says of the owner."""
        run = pick(data, sorted(self.rows))
        row = self.rows[run]
        other = pick(data, sorted(self.living))
        legal = {
            "pending": row.state == "running" and not row.executing,
            "completed": row.state == "running" and row.executing,
            "{other}": row.state == "running" and row.owner in (None, other),
            "00000000000000ff": row.state == "running" and not row.executing,
            "verifying": row.state == "running" and row.executing
            and (row.owner is None or self.living[row.owner].state in ("stopped", "dead")),
        }  # fmt: skip
        if next(fits for words, fits in legal.items() if words in change):
            return  # what the statements do themselves, with more conditions than a trigger can know
        with contextlib.suppress(asyncpg.PostgresError):
            sql = f"update tminus.site_runs set {change.format(other=other)} where id = $1"
            self.do(self._say(sql, run, role="tminus_serve"))
        self.settle(lambda old, new: f"the daemon's login could say: {change}")

    # -- the known races, ready-made -----------------------------------------------------------------------------------

    def _two(self) -> tuple[Process, Process] | None:
        """One that lives and has something, and another that lives."""
        for one in self.processes:
            if one.beliefs and self.living[one.id].state == "alive":
                for other in self.processes:
                    if other is not one and self.living[other.id].state == "alive":
                        return one, other
        return None

    def _lapse(self, one: Process, other: Process) -> None:
        """`one` is silent for longer than its ttl, while `other` is heard, and settles what it left."""
        self.tick(TTL + 0.5)
        if self.may_write(other):
            self._beat(other)
        self.reap()

    @rule(data=st.data())
    @precondition(lambda self: self._two() is not None)
    def lapse_and_steal(self, data: st.DataObject | Chance) -> None:
        """A frozen owner lost its runs, another has them; then it wakes, and does what it was about to do."""
        two = self._two()
        assert two is not None
        one, other = two
        self._lapse(one, other)
        self._claim(other)
        self._take_orphans(other)
        for run in sorted(one.beliefs):
            if pick(data, [False, True]):
                self._beat(one)
            self._act_on(one, run, data)

    @rule(data=st.data())
    @precondition(lambda self: self._two() is not None)
    def freeze_then_resume(self, data: st.DataObject | Chance) -> None:
        """Frozen between the commit and the sending; another resolves, file fence first; then it wakes and sends."""
        two = self._two()
        assert two is not None
        one, other = two
        self._beat(one)
        run = pick(data, sorted(one.beliefs))
        if not self._start(one, run):
            return
        self._lapse(one, other)
        self._take_orphans(other)
        for orphan in sorted(other.resolving):
            self._resolve(other, orphan)
        self._send(one, run)
        self._end(one, run)

    @rule(data=st.data())
    @precondition(lambda self: self._two() is not None)
    def crash_after_commit(self, data: st.DataObject | Chance) -> None:
        two = self._two()
        assert two is not None
        one, other = two
        self._beat(one)
        run = pick(data, sorted(one.beliefs))
        self._start(one, run)
        if one.beliefs[run].may_send and pick(data, [False, True]):
            self._send(one, run)
        self.processes.remove(one)
        self._lapse(one, other)
        self._claim(other)
        self._take_orphans(other)
        for process in self.processes:
            self._take_orphans(process)  # they are taken
        for orphan in sorted(other.resolving):
            self._resolve(other, orphan)

    @rule(data=st.data())
    @precondition(lambda self: self._two() is not None)
    def commit_ack_lost(self, data: st.DataObject | Chance) -> None:
        """The commit of the point of no return was not answered: nothing is sent, and nobody can give it back any more."""
        two = self._two()
        assert two is not None
        one, _ = two
        self._beat(one)
        run = pick(data, sorted(one.beliefs))
        self._start(one, run, answered=False)
        pick(data, [self._end, self._release])(one, run)

    @rule(data=st.data())
    @precondition(lambda self: self._two() is not None)
    def release_ack_lost(self, data: st.DataObject | Chance) -> None:
        """Given back without knowing it, and taken by another, while both live: no lease has run out."""
        two = self._two()
        assert two is not None
        one, other = two
        self._beat(one)
        self._beat(other)
        run = pick(data, sorted(one.beliefs))
        if one.beliefs[run].may_send:
            return
        self._release(one, run, answered=False)
        self._claim(other)
        self._act_on(one, run, data)

    def _act_on(self, process: Process, run: int, data: st.DataObject | Chance) -> None:
        """Do what a process may be about to do with a run that it believes to have."""
        act = pick(data, [self._start, self._end, self._release])
        if act != self._release or not process.beliefs[run].may_send:
            act(process, run)

    @rule(data=st.data())
    @precondition(lambda self: self._two() is not None)
    def end_ack_lost(self, data: st.DataObject | Chance) -> None:
        """Ended without knowing it: whatever it tries next, the ending stays."""
        two = self._two()
        assert two is not None
        one, _ = two
        self._beat(one)
        run = pick(data, sorted(one.beliefs))
        self._end(one, run, answered=False)
        self._act_on(one, run, data)

    @rule(data=st.data())
    @precondition(lambda self: self._two() is not None)
    def stop_then_act(self, data: st.DataObject | Chance) -> None:
        """It said goodbye, and one of its tasks goes on for a moment."""
        two = self._two()
        assert two is not None
        one, _ = two
        run = pick(data, sorted(one.beliefs))
        self.stop(_Chosen(one))
        self._act_on(one, run, data)

    @rule(data=st.data())
    @precondition(lambda self: self._two() is not None)
    def cancelled_before_the_start(self, data: st.DataObject | Chance) -> None:
        two = self._two()
        assert two is not None
        one, _ = two
        self._beat(one)
        run = pick(data, sorted(one.beliefs))
        wish = self.wishes[self.launch_of[self.rows[run].launch]]
        if not wish.cancelled:
            self.cancel(_Chosen(wish))
        self._start(one, run)

    @rule(data=st.data())
    @precondition(lambda self: self._two() is not None)
    def silent_then_act(self, data: st.DataObject | Chance) -> None:
        """Not heard of for longer than its ttl, and nobody has noticed yet: it may start nothing, and take nothing."""
        two = self._two()
        assert two is not None
        one, other = two
        self._beat(one)
        run = pick(data, sorted(one.beliefs))
        pick(data, [self._nothing, self._start])(one, run)
        self.tick(TTL + 0.5)
        if pick(data, [False, True]):
            self._beat(other)
            self.processes.remove(other)
            self.tick(TTL + 0.5)
            self.reap()
        if run in one.beliefs and not one.beliefs[run].may_send:
            self._start(one, run)
        self._launch(one)
        self._claim(one)
        self._take_orphans(one)

    def _nothing(self, process: Process, run: int) -> None:
        """It does not come to it."""

    @rule(data=st.data())
    @precondition(lambda self: self._two() is not None)
    def put_off_then_claim(self, data: st.DataObject | Chance) -> None:
        """Given back to be tried later: nobody has it before its time."""
        two = self._two()
        assert two is not None
        one, other = two
        self._beat(one)
        self._beat(other)
        run = pick(data, sorted(one.beliefs))
        if not one.beliefs[run].may_send:
            self._release(one, run, wait=5.0)
        self._claim(other)
        if pick(data, [False, True]):
            self.tick(1.0)
            self.housekeep()

    @rule(data=st.data())
    @precondition(lambda self: self._two() is not None)
    def cancelled_then_given_back(self, data: st.DataObject | Chance) -> None:
        """Cancelled while it runs, and given back: it is not claimed again."""
        two = self._two()
        assert two is not None
        one, other = two
        self._beat(one)
        self._beat(other)
        run = pick(data, sorted(one.beliefs))
        wish = self.wishes[self.launch_of[self.rows[run].launch]]
        if not wish.cancelled:
            self.cancel(_Chosen(wish))
        if not one.beliefs[run].may_send:
            self._release(one, run)
        self._claim(other)
        self.housekeep()

    @rule()
    @precondition(lambda self: self.processes)
    def go_ahead(self) -> None:
        """What happens nearly always: it is due, launched, claimed."""
        process = self.processes[0]
        if not self.may_write(process):
            return
        self.tick(1.5)
        self._beat(process)
        self._launch(process)
        self._claim(process)


class Chance:
    """Stands in for hypothesis where a race is walked that is known: see `walk_known_races`."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng


class _Chosen:
    """Stands in for hypothesis's choice, where a ready-made race has made it."""

    def __init__(self, value: object) -> None:
        self.value = value


def pick(data: st.DataObject | Chance | _Chosen, options: Sequence[T]) -> T:
    match data:
        case Chance():
            return data.rng.choice(options)
        case _Chosen():
            return data.value  # type: ignore[return-value]
        case _:
            return data.draw(st.sampled_from(options))


RACES = (
    Ownership.lapse_and_steal,
    Ownership.freeze_then_resume,
    Ownership.crash_after_commit,
    Ownership.commit_ack_lost,
    Ownership.release_ack_lost,
    Ownership.end_ack_lost,
    Ownership.stop_then_act,
    Ownership.cancelled_before_the_start,
    Ownership.silent_then_act,
    Ownership.put_off_then_claim,
    Ownership.cancelled_then_given_back,
)


def walk_known_races(*, times: int, seed: int) -> None:
    """Walk each race of two processes over a launch that is under way, with some steps at random before and after it."""
    for number in range(times):
        for race in RACES:
            _walk_race(race, Chance(random.Random(f"{seed} {number} {race.__name__}")))


def _walk_race(race: Callable[[Ownership, Chance], None], chance: Chance) -> None:
    rng = chance.rng
    machine = Ownership()
    machine.begin()
    if rng.random() < 0.5:
        machine.submit(("a", "b"), rng.choice((None, 1)), 3600.0, True)
    machine.go_ahead()
    machine.register()
    for step in (race, *rng.sample(RACES, 2)):
        if machine._two() is None:
            return
        step(machine, chance)
        machine.tick(rng.choice((0.5, 2.0)))
        rng.choice((machine.reap, machine.housekeep))()
        machine.tamper(chance, rng.choice(TAMPERING))
        machine.sweep(chance)
