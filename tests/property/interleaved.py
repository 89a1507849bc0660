"""Runs acts at the same time, on connections of their own, one held up where it hurts the other most.

`what_is_wrong` asks one thing of what comes of it: it must be what one of the orders, one act after the other, gives too. What each
order gives is found out by doing it, so there is no second opinion here on what is right: whether each single step is right is the
business of tests/property/machine.py.

An act is held up at each place where that can be had:

- its work is done and not committed (`Moment.DONE`), and is committed, or undone, after the other has gone as far as it can;
- it stands before its first write to a table (`Moment.WRITING`): what it has read by then may be out of date when it goes on;
- it waits for rows of a table that a third one holds (`Moment.LOCKED`), and the others pile up behind it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import asyncpg

from tests.store.stage import WarmDb
from tests.support import until
from tminus.store.pool import PLANNING, statement

Work = Callable[[asyncpg.Connection], Awaitable[object]]
_PATIENCE = 20.0  # seconds; a lock is waited for at most ten, and a deadlock is found after one
_CONNECTION: dict[str, str] = {
    "search_path": "pg_catalog, pg_temp",
    "timezone": "UTC",
    "lock_timeout": "10s",
    **PLANNING,
}
WRITTEN = (
    "scheduled_scripts",
    "launches",
    "site_runs",
    "instances",
    "events",
    "cleanup_debts",
    "backups",
    "backup_texts",
    "sensitive_texts",
)
"""Tables before whose first write an act can be held up."""
LOCKED = ("scheduled_scripts", "launches", "site_runs", "instances", "sites")
"""Tables whose rows a third one can hold."""
_LOOKED_AT = ("sites", "authorizations", "busy_sites", "crashes", "set_aside", "freezes", "lost_starts")
NOTHING = "nothing"
_IN_VAIN = ("[]", '["0"]', NOTHING)
_REFUSED = re.compile(r"[0-9A-Z]{5}:? ")
_LEAKS = ("40P01", "40001", "55P03")
"""A deadlock that was lost, a lock that was not to be had: whoever acts would have to know that it has to try again."""
# Each table's first write waits while somebody else holds the gate, and only in a session that asked for it.
GATE = """
create function public.gate() returns trigger language plpgsql as $$
begin
    if current_setting('gate.at', true) = tg_table_name then
        perform pg_advisory_xact_lock_shared(4711);
    end if;
    return null;
end $$;
""" + "\n".join(
    f"create trigger aa_gate before insert or update or delete on tminus.{table} for each statement execute function public.gate();"
    for table in WRITTEN
)
# What is drawn at random, or numbered by sequences that no rollback turns back.
_VOLATILE = re.compile(
    r'"(id|authorization_id|site_run_id|event_id|site_run|authorization|freeze|settled_on)": *("[^"]*"|[^,}]*)'
)
_NONCE = re.compile(r"\b[01][0-9a-f]{15}\b")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UNDONE = "00000000-0000-0001-0000-"
"""How a launch's own id begins here, also that of one which was undone. A retry draws another one."""
_NOT_OF_THE_CLOCK = re.compile(r'"(?!2030-)\d{4}-\d\d-\d\dT[^"]*"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing that somebody does in one transaction.

    `passes_by`: it leaves alone what another holds, and comes again; so that it did nothing is one of its good endings. `skips`: tables
    whose rows it does without where another holds them; so what it does while they are held is one of its good endings, too.
    """

    name: str
    role: str
    work: Work
    passes_by: bool = False
    skips: tuple[str, ...] = ()
    starts: bool = False  # it lets scripts be started
    stops: bool = False  # once it is committed, no start may be committed that comes before it in the order
    again: bool = False  # what it left alone it does at the next time, which comes by itself


_Turn = tuple[Act, str | None]
"""An act, and the table whose rows somebody holds meanwhile."""


_LOOK = " union all ".join(
    f"select '{table}' as name, to_jsonb(t) as row from tminus.{table} t" for table in (*WRITTEN, *_LOOKED_AT)
)


class Moment(Enum):
    DONE = "done, then committed"
    UNDONE = "done, then undone"
    WRITING = "about to write"
    LOCKED = "behind a lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The first act is held up at a moment, the others come in this order, then it goes on."""

    acts: tuple[Act, ...]
    moment: Moment
    table: str | None = None

    def __str__(self) -> str:
        return f"{' / '.join(act.name for act in self.acts)}, the first {self.moment.value} {self.table or ''}".rstrip()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What each act was answered, and what the database holds."""

    answers: tuple[tuple[str, str], ...]  # of each act by name, in the order of the names
    rows: frozenset[tuple[str, int]]  # each row, and how many are like it
    finished: tuple[Act, ...] = ()  # the acts in the order in which they were committed

    def did(self, act: Act) -> bool:
        """Whether it was neither refused nor in vain."""
        answer = next(answer for name, answer in self.answers if name == act.name)
        return answer not in _IN_VAIN and not _is_error(answer)

    def difference(self, other: Outcome) -> str:
        mine, theirs = self.rows - other.rows, other.rows - self.rows
        return "\n".join(
            (
                f"answers {self.answers} and not {other.answers}",
                *(f"+ {row} x{count}" for row, count in sorted(mine)),
                *(f"- {row} x{count}" for row, count in sorted(theirs)),
            )
        )


@dataclass(slots=True)
class Field:
    """A database in a certain state, to which it can be set back, with a connection for each act."""

    db: WarmDb
    observer: asyncpg.Connection
    holder: asyncpg.Connection
    connections: dict[tuple[str, int], asyncpg.Connection] = field(default_factory=dict)
    orders: dict[tuple[tuple[tuple[str, str | None], ...], tuple[str, ...]], Outcome] = field(default_factory=dict)
    back: str = ""
    idle: set[tuple[str, Moment, str | None]] = field(default_factory=set)  # acts that never come to this moment
    ran: int = 0

    async def save(self) -> None:
        """Remember what the database holds now: `reset` comes back to it."""
        tables = await self.observer.fetch(
            "select c.relname, string_agg(quote_ident(a.attname), ', ' order by a.attnum) as columns"
            " from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''"
            " where c.relnamespace = 'tminus'::regnamespace and c.relkind = 'r' and c.relname not in ('migrations', 'timezones')"
            " group by 1 order by 1"
        )
        sequences = await self.observer.fetch(
            "select schemaname || '.' || sequencename as name, coalesce(last_value, 0) as last from pg_sequences"
        )
        await self.observer.execute("drop schema if exists saved cascade; create schema saved")
        parts = ["set session_replication_role = replica"]
        for table in tables:
            name, columns = table["relname"], table["columns"]
            await self.observer.execute(f"create table saved.{name} as select {columns} from tminus.{name}")
            parts += [
                f"delete from tminus.{name}",
                f"insert into tminus.{name} ({columns}) overriding system value select {columns} from saved.{name}",
            ]
        parts += [
            f"select setval('{row['name']}', {max(row['last'], 1)}, {str(row['last'] > 0).lower()})"
            for row in sequences
        ]
        self.back = "; ".join((*parts, "set session_replication_role = origin"))
        self.orders.clear()
        self.idle.clear()
        self.ran = 0

    async def reset(self) -> None:
        await self.observer.execute(self.back)

    async def connection(self, role: str, number: int) -> asyncpg.Connection:
        key = (role, number)
        if key not in self.connections:
            dsn = self.db.dsn_as(role)
            self.connections[key] = await asyncpg.connect(dsn, timeout=10, server_settings=_CONNECTION)
        return self.connections[key]

    # -- one order, or all at once -------------------------------------------------------------------------------------

    async def in_order(self, acts: Sequence[_Turn], left_out: Sequence[Act] = ()) -> Outcome:
        """What comes of these acts one after the other, while others came by and did nothing."""
        key = (tuple((act.name, held) for act, held in acts), tuple(sorted(act.name for act in left_out)))
        if key not in self.orders:
            await self.reset()
            answers = [(act.name, NOTHING) for act in left_out]
            for number, (act, held) in enumerate(acts):
                run = _Running(act, await self.connection(act.role, number))
                async with self.holder.transaction():
                    if held is not None:
                        await self.holder.execute(f"select from tminus.{held} for update")
                    await run.begin()
                    await run.work()
                    await run.finish(commit=True)
                answers.append((act.name, run.answer))
            self.orders[key] = await self._outcome([act for act, _ in acts], answers, left_out)
        return self.orders[key]

    async def at_once(self, schedule: Schedule) -> Outcome | None:
        """Run it; None where the first act never comes to the moment at which it was to be held up."""
        moment = (schedule.acts[0].name, schedule.moment, schedule.table)
        if moment in self.idle:
            return None
        await self.reset()
        runs = [_Running(act, await self.connection(act.role, number)) for number, act in enumerate(schedule.acts)]
        first, others = runs[0], runs[1:]
        answered = list(runs)
        async with asyncio.timeout(_PATIENCE):
            match schedule.moment:
                case Moment.DONE | Moment.UNDONE:
                    await first.begin()
                    await first.work()
                    for run in others:
                        run.go()
                        await self._comes_to_rest(run)
                    await first.finish(commit=schedule.moment is Moment.DONE)
                    if schedule.moment is Moment.UNDONE:
                        answered = list(others)
                case Moment.WRITING | Moment.LOCKED:
                    async with self._held(schedule, first):
                        first.go()
                        await self._comes_to_rest(first)
                        if first.is_done:
                            self.idle.add(moment)
                            others.clear()
                        for run in others:
                            run.go()
                            await self._comes_to_rest(run)
            for run in (first, *others):
                await run.done()
        if moment in self.idle:
            return None
        self.ran += 1
        answered.sort(key=lambda run: run.finished_at)
        return await self._outcome([run.act for run in answered], [(run.act.name, run.answer) for run in answered])

    @asynccontextmanager
    async def _held(self, schedule: Schedule, first: _Running) -> AsyncIterator[None]:
        """Hold the gate, or the rows, until the block ends."""
        async with self.holder.transaction():
            if schedule.moment is Moment.WRITING:
                await self.holder.execute("select pg_advisory_xact_lock(4711)")
                await first.connection.execute(f"set gate.at = '{schedule.table}'")
            else:
                await self.holder.execute(f"select from tminus.{schedule.table} for update")
            try:
                yield
            finally:
                # The gate is asked for by name within the act's transaction; what it asked for already, it waits for.
                first.asked_to_wait = schedule.moment is Moment.WRITING

    async def _comes_to_rest(self, run: _Running) -> None:
        """It has ended, or waits for somebody's lock."""

        async def look() -> bool:
            return run.is_done or await self.observer.fetchval(
                "select cardinality(pg_blocking_pids($1)) > 0", run.connection.get_server_pid()
            )

        await until(look, within=_PATIENCE, every=0.001)

    async def _outcome(
        self, acts: Sequence[Act], answers: Sequence[tuple[str, str]], left_out: Sequence[Act] = ()
    ) -> Outcome:
        """Have done what follows by itself, and look."""
        for act in {act.name: act for act in (*acts, *left_out) if act.again}.values():
            await act.work(await self.connection(act.role, 0))
        await (await self.connection("tminus_serve", 0)).fetch(statement("housekeeping"))
        launches = await self.observer.fetch(
            "select id, script_id, kind, row_number() over (partition by script_id, kind order by due_at, id) as number"
            " from tminus.launches"
        )
        names = {str(row["id"]): f"{row['kind']} {row['number']} of {str(row['script_id'])[-4:]}" for row in launches}
        records = await self.observer.fetch(_LOOK)
        rows = Counter(f"{record['name']} {_settled(record['row'], names)}" for record in records)
        told = tuple(sorted((name, _settled(answer, names)) for name, answer in answers))
        return Outcome(told, frozenset(rows.items()), tuple(acts))


@dataclass(slots=True, eq=False)
class _Running:
    """An act under way on its connection."""

    act: Act
    connection: asyncpg.Connection
    answer: str = ""
    asked_to_wait: bool = False
    finished_at: float = 0.0
    _transaction: Any = None
    _task: asyncio.Task[None] | None = None
    _failed: bool = False

    @property
    def is_done(self) -> bool:
        return self._task is not None and self._task.done()

    async def begin(self) -> None:
        self._transaction = self.connection.transaction()
        await self._transaction.start()

    async def work(self) -> None:
        try:
            self.answer = _text(await self.act.work(self.connection))
        except asyncpg.PostgresError as error:
            self.answer = f"{error.sqlstate}: {error}"
            self._failed = True

    async def finish(self, *, commit: bool) -> None:
        if commit and not self._failed:
            try:
                await self._transaction.commit()
            except asyncpg.PostgresError as error:
                self.answer = f"{error.sqlstate} at its commit: {error}"
        else:
            await self._transaction.rollback()
        self.finished_at = time.monotonic()

    def go(self) -> None:
        self._task = asyncio.create_task(self._all())

    async def _all(self) -> None:
        await self.begin()
        await self.work()
        await self.finish(commit=True)

    async def done(self) -> None:
        if self._task is not None:
            await self._task
        if self.asked_to_wait:
            await self.connection.execute("set gate.at = ''")
            self.asked_to_wait = False


def _text(answer: object) -> str:
    match answer:
        case list():
            return json.dumps(sorted(answer, key=str), default=str)
        case _:
            return json.dumps(answer, default=str)


def _settled(text: str, launches: dict[str, str]) -> str:
    """Without what differs from time to time though nothing is different."""
    text = _UUID.sub(
        lambda found: launches.get(found[0], "a launch" if found[0].startswith(_UNDONE) else found[0]), text
    )
    text = _VOLATILE.sub(r'"\1": ~', text)
    return _NOT_OF_THE_CLOCK.sub('"now"', _NONCE.sub("nonce", text))


def schedules(acts: Sequence[Act], number: int = 2) -> Iterator[Schedule]:
    """Every schedule of so many of these acts; an act may meet its like."""
    for chosen in itertools.product(acts, repeat=number):
        yield Schedule(acts=chosen, moment=Moment.DONE)
        yield Schedule(acts=chosen, moment=Moment.UNDONE)
        for table in WRITTEN:
            yield Schedule(acts=chosen, moment=Moment.WRITING, table=table)
        for table in LOCKED:
            yield Schedule(acts=chosen, moment=Moment.LOCKED, table=table)


async def orders(field: Field, schedule: Schedule) -> AsyncIterator[Outcome]:
    """What the orders give, the likeliest first. Where an act passes by what is held, also what they give without it."""
    acts = schedule.acts[1:] if schedule.moment is Moment.UNDONE else schedule.acts
    for size in range(len(acts), -1, -1):
        for kept in itertools.combinations(range(len(acts)), size):
            left_out = [act for index, act in enumerate(acts) if index not in kept]
            if not all(act.passes_by for act in left_out):
                continue
            for order in itertools.permutations(kept):
                for turns in itertools.product(*(_turns(acts[index]) for index in order)):
                    yield await field.in_order(turns, left_out)


def _turns(act: Act) -> list[_Turn]:
    return [(act, None), *((act, table) for table in act.skips)]


async def what_is_wrong(field: Field, schedule: Schedule, outcome: Outcome) -> str | None:
    """None where one of the orders gives the same; else how the outcome differs from the nearest of them."""
    if any(answer.startswith(_LEAKS) for _, answer in outcome.answers):
        return f"{schedule}: somebody was told of a lock: {outcome.answers}"
    seen = []
    async for permitted in orders(field, schedule):
        if _like(outcome, permitted) and not _starts_late(outcome, permitted):
            return None
        seen.append(permitted)
    nearest = min(seen, key=lambda one: len(one.rows ^ outcome.rows))
    return f"{schedule}\n{outcome.difference(nearest)}"


def _like(outcome: Outcome, permitted: Outcome) -> bool:
    """The same rows; the same answers, but that who was passed by may be answered in whatever way, if it is no error."""
    if _judged(outcome) != _judged(permitted):
        return False
    left = list(outcome.answers)
    for name, answer in permitted.answers:
        match = next(
            (
                one
                for one in left
                if one[0] == name and (one[1] == answer or (answer == NOTHING and not _is_error(one[1])))
            ),
            None,
        )
        if match is None:
            return False
        left.remove(match)
    return not left


def _is_error(answer: str) -> bool:
    return _REFUSED.match(answer) is not None


def _starts_late(outcome: Outcome, permitted: Outcome) -> bool:
    """Whether a start that comes before a stop in the order was committed after it."""
    order = permitted.finished
    return any(
        act.starts and permitted.did(act) and act in outcome.finished[outcome.finished.index(stop) :]
        for index, stop in enumerate(order)
        if stop.stops and permitted.did(stop) and stop in outcome.finished
        for act in order[:index]
        if order.count(act) == order.count(stop) == 1
    )


def _judged(outcome: Outcome) -> frozenset[tuple[str, int]]:
    """All but who is suspected. Who falls silent while the ending of its run is being written had it in hand when it was declared
    dead, so its script is suspected though the run then ends in order; three such in a row are needed to set a script aside."""
    return frozenset(row for row in outcome.rows if not row[0].startswith("crashes "))


@asynccontextmanager
async def open_field(db: WarmDb) -> AsyncIterator[Field]:
    """A field on a database whose tables have gates (GATE)."""
    async with db.anew() as observer, db.anew() as holder:
        opened = Field(db, observer, holder)
        try:
            yield opened
        finally:
            for connection in opened.connections.values():
                connection.terminate()
