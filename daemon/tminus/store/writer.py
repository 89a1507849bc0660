"""Everything that site runs write, gathered into few transactions, in three lanes; that of the starts is `starts`.

The point of no return is never delayed for the sake of a batch; but while a transaction is under way the next gathers,
so that a commit is shared by all who wait for one. Progress (steps, endings, facts) is gathered for a moment, which
nobody notices and which makes it cheap. What nobody waits for is written later, when the database is back.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from tminus.domain.endings import Ending, Step
from tminus.errors import Refused, StoreError
from tminus.kill_points import Point, reach
from tminus.store.export_texts import Backup, backup_columns, store_texts
from tminus.store.intent_log import IntentLog
from tminus.store.lane import Lane, Questions
from tminus.store.pool import Database, Transaction, statement
from tminus.store.starts import Start, StartRequest, Starts

LANES = 3  # each writes over a connection of its own

_GATHER_PROGRESS = 0.25  # seconds
_GATHER_SERIALS = 0.03  # seconds: a router waits for it


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialRequest:
    """A site whose router named this serial number for the first time."""

    site: str
    serial: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndRequest:
    run: int
    ending: Ending
    output: str | None = None
    diff: str | None = None
    backups: tuple[Backup, ...] = ()
    left_file: str | None = None
    # The script may still be running: its router stays busy, and is looked at after so many seconds.
    busy_for: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Give a run back before its point of no return, to be tried again after `wait` seconds."""

    run: int
    wait: float = 0.0
    retry_reason: str | None = None
    message: str | None = None
    left_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """Facts that a router told of itself; None leaves what is known."""

    site: str
    identity: str | None = None
    model: str | None = None
    serial: str | None = None
    version: str | None = None
    host_key: str | None = None


@dataclass(slots=True)
class _SerialBatch:
    serials: Questions[SerialRequest, str | None] = field(default_factory=Questions)

    def apart(self) -> list[Self]:
        return [type(self)(one) for one in self.serials.apart()]

    def fail(self, error: StoreError) -> None:
        self.serials.fail(error)


@dataclass(slots=True)
class _ProgressBatch:
    ends: Questions[EndRequest, bool] = field(default_factory=Questions)
    releases: Questions[Release, bool] = field(default_factory=Questions)
    steps: dict[int, Step] = field(default_factory=dict)
    learned: dict[str, Learned] = field(default_factory=dict)

    def apart(self) -> list[Self]:
        new = type(self)
        return [
            *(new(ends=one) for one in self.ends.apart()),
            *(new(releases=one) for one in self.releases.apart()),
            *(new(steps={run: step}) for run, step in self.steps.items()),
            *(new(learned={site: learned}) for site, learned in self.learned.items()),
        ]

    def fail(self, error: StoreError) -> None:
        self.ends.fail(error)
        self.releases.fail(error)


class Writer:
    """Gathers the writes of one instance. `run` has to be running for anything to be written.

    `failed` hears of each transaction that failed. `intents` is told each start when it is committed, and before anybody may
    act on it.
    """

    def __init__(
        self,
        db: Database,
        instance: UUID,
        *,
        intents: IntentLog,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        self._starts = Starts(db, instance, failed=failed, intents=intents)
        self._serials = _Serials(db, failed=failed)
        self._progress = _Progress(db, instance, failed=failed)

    def note_step(self, run: int, step: Step) -> None:
        if step is not Step.EXECUTING:  # which is written by `start`, and by nothing else
            self._progress.next.steps[run] = step
            self._progress.want()

    def note_learned(self, learned: Learned) -> None:
        earlier = self._progress.next.learned.get(learned.site)
        self._progress.next.learned[learned.site] = learned if earlier is None else _merged(earlier, learned)
        self._progress.want()

    async def start(self, request: StartRequest) -> Start:
        """Commit the point of no return. Only GO allows anything to be sent."""
        return await self._starts.ask(self._starts.next.starts, request)

    async def serial_owner(self, request: SerialRequest) -> str | None:
        """Note that the site is the router with this serial number; return another site that is so already, else None."""
        try:
            return await self._serials.ask(self._serials.next.serials, request)
        except Refused:  # both sites at the same moment: by now the other one is to be seen
            return await self._serials.ask(self._serials.next.serials, request)

    async def end(self, request: EndRequest) -> bool:
        """Write an ending. False: the run is not ours any more, and nothing was written."""
        return await self._progress.ask(self._progress.next.ends, request)

    async def release(self, request: Release) -> bool:
        """Give a run back. False: it is not ours any more, or was started; it was left alone."""
        return await self._progress.ask(self._progress.next.releases, request)

    async def run(self) -> None:
        """Write what was gathered, for ever. Ends only by being cancelled; whoever still waits is told so."""
        async with asyncio.TaskGroup() as lanes:
            lanes.create_task(self._starts.serve())
            lanes.create_task(self._serials.serve())
            lanes.create_task(self._progress.serve())


class _Serials(Lane[_SerialBatch]):
    """Which router a site is, where it names its serial number for the first time."""

    def __init__(self, db: Database, *, failed: Callable[[], None]) -> None:
        super().__init__(gather=_GATHER_SERIALS, failed=failed)
        self._db = db

    def new(self) -> _SerialBatch:
        return _SerialBatch()

    async def write(self, batch: _SerialBatch) -> None:
        requests = batch.serials.requests()
        rows = await self._db.fetch("serial_owners", [r.site for r in requests], [r.serial for r in requests])
        owners = {row["site"]: row["owner"] for row in rows}
        batch.serials.answer(lambda r: owners.get(r.site))


class _Progress(Lane[_ProgressBatch]):
    """What is shown to people, and the endings."""

    def __init__(self, db: Database, instance: UUID, *, failed: Callable[[], None]) -> None:
        super().__init__(gather=_GATHER_PROGRESS, failed=failed)
        self._db = db
        self._instance = instance

    def new(self) -> _ProgressBatch:
        return _ProgressBatch()

    def keep(self, batch: _ProgressBatch) -> None:
        """Write these with the next batch, or in a moment; what was noted meanwhile is newer."""
        self.next.steps = batch.steps | self.next.steps
        for site, facts in batch.learned.items():
            newer = self.next.learned.get(site)
            self.next.learned[site] = facts if newer is None else _merged(facts, newer)
        if batch.steps or batch.learned:
            self.want()

    async def write(self, batch: _ProgressBatch) -> None:
        held: dict[str, Learned] = {}
        async with self._db.transaction("write progress") as connection:
            ended = await self._end(connection, [r for r, _ in batch.ends.asked])
            released = await self._release(connection, [r for r, _ in batch.releases.asked])
            if batch.steps:
                await connection.execute(
                    statement("note_steps"),
                    self._instance,
                    list(batch.steps),
                    [str(step) for step in batch.steps.values()],
                )
            if batch.learned:
                written = await self._learn(connection, list(batch.learned.values()))
                held = {site: learned for site, learned in batch.learned.items() if site not in written}
            if ended:
                reach(Point.ENDING_WRITING)
        if ended:
            reach(Point.ENDING_WRITTEN)
        batch.ends.answer(lambda r: r.run in ended)
        batch.releases.answer(lambda r: r.run in released)
        self.keep(_ProgressBatch(learned=held))

    async def _end(self, connection: Transaction, requests: Sequence[EndRequest]) -> set[int]:
        if not requests:
            return set()
        ended = await self._write_endings(connection, requests)
        if left_out := [r for r in requests if r.run not in ended]:
            ended |= await self._ended_already(connection, left_out)
        backups = [(r.run, b) for r in requests if r.run in ended for b in r.backups]
        if backups:
            await store_texts(connection, [backup for _, backup in backups])
            await connection.execute("select tminus.store_backups($1, $2, $3, $4, $5)", *backup_columns(backups))
        # Also of a run that is another's by now: its new owner knows only its own file.
        await _owe_cleanup(connection, [(r.run, r.left_file) for r in requests if r.left_file])
        busy = [(r.run, r.busy_for, r.ending.message) for r in requests if r.run in ended and r.busy_for is not None]
        if busy:
            # With the ending, so that nobody finds the router free in between.
            columns = [list(column) for column in zip(*busy, strict=True)]
            await connection.execute(statement("hold_sites"), *columns)
        await connection.execute(statement("move_on_launches"), list(ended))
        await connection.fetch("select tminus.finish_launches()")
        return ended

    async def _write_endings(self, connection: Transaction, requests: Sequence[EndRequest]) -> set[int]:
        rows = await connection.fetch(
            statement("end_site_runs"),
            self._instance,
            [r.run for r in requests],
            [str(r.ending.state) for r in requests],
            [str(r.ending.reason) if r.ending.reason else None for r in requests],
            [str(r.ending.effect) for r in requests],
            [r.ending.message[:1000] for r in requests],
            [r.output for r in requests],
            [json.dumps(r.ending.warnings) for r in requests],
            [r.diff for r in requests],
            [r.ending.evidence for r in requests],
        )
        return {row["id"] for row in rows}

    async def _ended_already(self, connection: Transaction, requests: Sequence[EndRequest]) -> set[int]:
        states = [str(r.ending.state) for r in requests]
        reasons = [str(r.ending.reason) if r.ending.reason else None for r in requests]
        rows = await connection.fetch(
            statement("ended_already"), self._instance, [r.run for r in requests], states, reasons
        )
        return {row["id"] for row in rows}

    async def _release(self, connection: Transaction, requests: Sequence[Release]) -> set[int]:
        if not requests:
            return set()
        rows = await connection.fetch(
            statement("release_site_runs"),
            self._instance,
            [r.run for r in requests],
            [r.wait for r in requests],
            [r.retry_reason for r in requests],
            [r.message for r in requests],
        )
        await _owe_cleanup(connection, [(r.run, r.left_file) for r in requests if r.left_file])
        return {row["id"] for row in rows}

    async def _learn(self, connection: Transaction, learned: Sequence[Learned]) -> set[str]:
        rows = await connection.fetch(
            statement("learn_sites"),
            [x.site for x in learned],
            [x.identity for x in learned],
            [x.model for x in learned],
            [x.serial for x in learned],
            [x.version for x in learned],
            [x.host_key for x in learned],
        )
        return {row["id"] for row in rows}


async def _owe_cleanup(connection: Transaction, debts: Sequence[tuple[int, str]]) -> None:
    if debts:
        await connection.execute(statement("owe_cleanup"), [run for run, _ in debts], [name for _, name in debts])


def _merged(earlier: Learned, later: Learned) -> Learned:
    """The later facts where there are some, but the host key that was seen first."""
    return Learned(
        site=later.site,
        identity=later.identity or earlier.identity,
        model=later.model or earlier.model,
        serial=later.serial or earlier.serial,
        version=later.version or earlier.version,
        host_key=earlier.host_key or later.host_key,
    )
