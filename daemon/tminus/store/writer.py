"""Everything that site runs write, gathered into few transactions.

One task writes. While a transaction is under way, the next gathers: so a commit is shared by all who wait for one (the
point of no return is never delayed for the sake of a batch), and steps, which nobody waits for, ride along or are
written a quarter of a second later.

A caller that waits gets exactly one answer: written, not ours any more, StoreUnavailable, which means that it is not
known whether it was written, or another StoreError, where a rule of the database refused it. What nobody waits for is
written later, when the database is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar
from uuid import UUID

import structlog

from tminus.domain.endings import Ending, Step
from tminus.errors import StoreError, StoreUnavailable
from tminus.store.pool import Database, Transaction, statement

_R = TypeVar("_R")
_A = TypeVar("_A")
_GATHER_STEPS = 0.25  # seconds

log = structlog.get_logger()


class Start(Enum):
    """The answer to the point of no return."""

    GO = "go"
    CANCELLED = "cancelled"
    NOT_OURS = "not_ours"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A complete export to be stored with the next write of its run."""

    phase: str
    sha256: bytes
    text: str
    header: str
    raw_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    run: int
    nonce: str
    uptime: float  # seconds
    backup: Backup | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndRequest:
    run: int
    ending: Ending
    output: str | None = None
    diff: str | None = None
    backups: tuple[Backup, ...] = ()
    left_file: str | None = None


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
class _Gathered:
    """What is written by one transaction."""

    starts: list[tuple[StartRequest, asyncio.Future[Start]]] = field(default_factory=list)
    ends: list[tuple[EndRequest, asyncio.Future[bool]]] = field(default_factory=list)
    releases: list[tuple[Release, asyncio.Future[bool]]] = field(default_factory=list)
    steps: dict[int, Step] = field(default_factory=dict)
    learned: dict[str, Learned] = field(default_factory=dict)

    def futures(self) -> list[asyncio.Future[Start] | asyncio.Future[bool]]:
        return [f for _, f in self.starts] + [f for _, f in self.ends] + [f for _, f in self.releases]

    def fail(self, error: StoreError) -> None:
        for future in self.futures():
            if not future.done():
                future.set_exception(error)

    def apart(self) -> list[_Gathered]:
        return [
            *(_Gathered(starts=[start]) for start in self.starts),
            *(_Gathered(ends=[end]) for end in self.ends),
            *(_Gathered(releases=[release]) for release in self.releases),
            *(_Gathered(steps={run: step}) for run, step in self.steps.items()),
            *(_Gathered(learned={site: learned}) for site, learned in self.learned.items()),
        ]


class Writer:
    """Gathers the writes of one instance. `run` has to be running for anything to be written.

    `failed` hears of each transaction that failed.
    """

    def __init__(self, db: Database, instance: UUID, *, failed: Callable[[], None] = lambda: None) -> None:
        self._db = db
        self._instance = instance
        self._failed = failed
        self._next = _Gathered()
        self._wanted = asyncio.Event()  # somebody waits for an answer
        self._noted = asyncio.Event()  # something can be written some time
        self._ended = False

    def note_step(self, run: int, step: Step) -> None:
        if step is not Step.EXECUTING:  # which is written by `start`, and by nothing else
            self._next.steps[run] = step
            self._noted.set()

    def note_learned(self, learned: Learned) -> None:
        earlier = self._next.learned.get(learned.site)
        self._next.learned[learned.site] = learned if earlier is None else _merged(earlier, learned)
        self._noted.set()

    async def start(self, request: StartRequest) -> Start:
        """Commit the point of no return. Only GO allows anything to be sent."""
        return await self._ask(self._next.starts, request)

    async def end(self, request: EndRequest) -> bool:
        """Write an ending. False: the run is not ours any more, and nothing was written."""
        return await self._ask(self._next.ends, request)

    async def release(self, request: Release) -> bool:
        """Give a run back. False: it is not ours any more, or was started; it was left alone."""
        return await self._ask(self._next.releases, request)

    async def _ask(self, queue: list[tuple[_R, asyncio.Future[_A]]], request: _R) -> _A:
        if self._ended:
            raise StoreUnavailable("the daemon ends and writes nothing more")
        answer: asyncio.Future[_A] = asyncio.get_running_loop().create_future()
        queue.append((request, answer))
        self._wanted.set()
        self._noted.set()
        return await answer

    async def run(self) -> None:
        """Write what was gathered, for ever. Ends only by being cancelled; whoever still waits is told so."""
        batch = _Gathered()
        try:
            while True:
                await self._noted.wait()
                if not self._wanted.is_set():
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._wanted.wait(), _GATHER_STEPS)
                self._noted.clear()
                self._wanted.clear()
                batch, self._next = self._next, _Gathered()
                await self._write_or_fail(batch)
        finally:
            self._ended = True
            for left in (batch, self._next):
                left.fail(StoreUnavailable("the daemon ended; it is not known whether it was written"))

    async def _write_or_fail(self, batch: _Gathered) -> None:
        try:
            await self._write(batch)
        except StoreUnavailable as error:
            self._failed()
            batch.fail(error)
            self._put_back(batch.steps, batch.learned)
        except StoreError as error:
            self._failed()
            # A rule of the database refused one of them, and with it all. Each alone, so that one cannot spoil the rest.
            parts = batch.apart()
            if len(parts) < 2:
                batch.fail(error)
                log.error("write_refused", error=str(error))  # noqa: TRY400 - a traceback would add nothing
                return
            for part in parts:
                await self._write_or_fail(part)

    def _put_back(self, steps: dict[int, Step], learned: dict[str, Learned]) -> None:
        """Write these with the next batch, or in a moment; what was noted meanwhile is newer."""
        self._next.steps = steps | self._next.steps
        for site, facts in learned.items():
            newer = self._next.learned.get(site)
            self._next.learned[site] = facts if newer is None else _merged(facts, newer)
        if steps or learned:
            self._noted.set()

    async def _write(self, batch: _Gathered) -> None:
        held: dict[str, Learned] = {}
        async with self._db.transaction("write progress") as connection:
            started = await self._starts(connection, batch)
            ended = await self._ends(connection, batch)
            released = await self._releases(connection, [request for request, _ in batch.releases])
            if batch.steps:
                await connection.execute(
                    statement("note_steps"),
                    self._instance,
                    list(batch.steps),
                    [str(step) for step in batch.steps.values()],
                )
            if batch.learned:
                written = await self._learned(connection, list(batch.learned.values()))
                held = {site: learned for site, learned in batch.learned.items() if site not in written}
        # Committed: only now may anybody act on it. A caller that was cancelled meanwhile left a cancelled future.
        for request, start in batch.starts:
            if not start.done():
                start.set_result(started.get(request.run, Start.NOT_OURS))
        for end_request, end in batch.ends:
            if not end.done():
                end.set_result(end_request.run in ended)
        for release, back in batch.releases:
            if not back.done():
                back.set_result(release.run in released)
        self._put_back({}, held)

    async def _starts(self, connection: Transaction, batch: _Gathered) -> dict[int, Start]:
        # Who gave up waiting must not be marked as started.
        requests = [request for request, answer in batch.starts if not answer.done()]
        if not requests:
            return {}
        await self._backups(connection, [(r.run, r.backup) for r in requests if r.backup])
        rows = await connection.fetch(
            statement("start_executing"),
            self._instance,
            [r.run for r in requests],
            [r.nonce for r in requests],
            [r.uptime for r in requests],
        )
        answers = {row["id"]: Start.GO for row in rows}
        left_out = [r.run for r in requests if r.run not in answers]
        if left_out:
            for row in await connection.fetch(statement("why_not_started"), self._instance, left_out):
                answers[row["id"]] = Start.CANCELLED
        return answers

    async def _ends(self, connection: Transaction, batch: _Gathered) -> set[int]:
        requests = [request for request, _ in batch.ends]
        if not requests:
            return set()
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
        )
        ended: set[int] = {row["id"] for row in rows}
        await self._backups(connection, [(r.run, b) for r in requests if r.run in ended for b in r.backups])
        # Also of a run that is another's by now: its new owner knows only its own file.
        await self._debts(connection, [(r.run, r.left_file) for r in requests if r.left_file])
        await connection.execute(statement("move_on_launches"), list(ended))
        await connection.fetch("select tminus.finish_launches()")
        return ended

    async def _releases(self, connection: Transaction, requests: Sequence[Release]) -> set[int]:
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
        await self._debts(connection, [(r.run, r.left_file) for r in requests if r.left_file])
        return {row["id"] for row in rows}

    async def _debts(self, connection: Transaction, debts: Sequence[tuple[int, str]]) -> None:
        if debts:
            await connection.execute(statement("owe_cleanup"), [run for run, _ in debts], [name for _, name in debts])

    async def _backups(self, connection: Transaction, backups: Sequence[tuple[int, Backup]]) -> None:
        if backups:
            await connection.execute(
                statement("store_backups"),
                [run for run, _ in backups],
                [b.phase for _, b in backups],
                [b.sha256 for _, b in backups],
                [b.text for _, b in backups],
                [b.header for _, b in backups],
                [b.raw_bytes for _, b in backups],
            )

    async def _learned(self, connection: Transaction, learned: Sequence[Learned]) -> set[str]:
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
