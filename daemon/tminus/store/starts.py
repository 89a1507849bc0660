"""The lane of the point of no return: `executing` is committed and remembered on this host, or nothing may be sent.

It owns the answer GO, and gives it only for what is both in the database and in the intent log. It must never answer before
both are written, nor start what was started from here before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Self
from uuid import UUID

import asyncpg
import structlog

from tminus.domain.occurrence import Occurrence
from tminus.errors import ConfigError, StoreError, StoreUnavailable
from tminus.kill_points import Point, reach
from tminus.store.export_texts import Backup, store_texts
from tminus.store.intent_files import Intent
from tminus.store.intent_log import IntentLog
from tminus.store.lane import Lane, Questions
from tminus.store.pool import Database, statement

_SETTLES_WITHIN = 15.0  # seconds that a start waits for all instances to have looked at a server that is new to them

log = structlog.get_logger()


class Start(Enum):
    """The answer to the point of no return."""

    GO = "go"
    CANCELLED = "cancelled"
    HALTED = "halted"
    PAUSED = "paused"  # all, or this launch; or this host could not remember the start: nothing was committed
    SPENT = "spent"  # started from here before; the run is not ours any more, it is resolved by what that start left
    NOT_OURS = "not_ours"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    run: int
    nonce: str
    uptime: float  # seconds
    backup: Backup | None
    occurrence: Occurrence
    site: str

    @property
    def key(self) -> int:
        return self.occurrence.key(self.site)


@dataclass(slots=True)
class _StartBatch:
    starts: Questions[StartRequest, Start] = field(default_factory=Questions)

    def apart(self) -> list[Self]:
        return [type(self)(one) for one in self.starts.apart()]

    def fail(self, error: StoreError) -> None:
        self.starts.fail(error)


class Starts(Lane[_StartBatch]):
    """The point of no return: the only thing that a router waits for."""

    def __init__(self, db: Database, instance: UUID, *, failed: Callable[[], None], intents: IntentLog) -> None:
        super().__init__(gather=0, failed=failed)
        self._db = db
        self._instance = instance
        self._intents = intents

    def new(self) -> _StartBatch:
        return _StartBatch()

    async def write(self, batch: _StartBatch) -> None:
        requests = batch.starts.requests()
        self._intents.look_for_trouble()
        if not self._intents.may_start():
            # Nothing is committed that could not be remembered, or while this host holds itself back: what waits may be
            # started later, or elsewhere.
            batch.starts.answer(lambda _: Start.PAUSED)
            return
        answers = {r.run: await self._refuse(r) for r in requests if self._intents.is_spent(r.key)}
        fresh = {r.run: r for r in requests if r.run not in answers}
        until = asyncio.get_running_loop().time() + _SETTLES_WITHIN
        while fresh:
            rows = await self._commit(list(fresh.values()))
            answers |= dict.fromkeys((row["id"] for row in rows), Start.GO)
            left_out = [run for run in fresh if run not in answers]
            why = await self._db.fetch("why_not_started", self._instance, left_out) if left_out else []
            if not any(row["is_unsettled"] for row in why) or asyncio.get_running_loop().time() > until:
                answers |= {row["id"]: _why(row) for row in why}
                break
            # The server is another one since a moment, and an instance has yet to look at it.
            fresh = {run: fresh[run] for run in left_out}
            await asyncio.sleep(0.2)
        # Committed and remembered: only now may anybody act on it. A caller that was cancelled meanwhile left a cancelled future.
        batch.starts.answer(lambda r: answers.get(r.run, Start.NOT_OURS))

    async def _commit(self, requests: list[StartRequest]) -> list[asyncpg.Record]:
        """Commit, and remember on this host what was committed. Returns a row for each that may be started."""
        reach(Point.START_WRITING)
        backups = [(r.run, r.backup) for r in requests if r.backup]
        # One transaction: no start without its backup.
        async with self._db.transaction("write starts") as connection:
            stored = await store_texts(connection, backups)
            rows = await connection.fetch(
                statement("start_executing"),
                self._instance,
                [r.run for r in requests],
                [r.nonce for r in requests],
                [r.uptime for r in requests],
                *stored,
            )
            if rows:
                reach(Point.START_COMMITTING)
        # Committed: from here on whatever goes wrong means that nothing of it is sent, since nobody could tell after a restore
        # that it was.
        asked = {r.run: r for r in requests}
        try:
            if rows:
                reach(Point.START_WRITTEN)
                await self._intents.write([_intent(row, asked[row["id"]]) for row in rows])
        except OSError as error:
            raise StoreUnavailable(f"could not remember what is started: {self._intents.trouble}") from error
        except Exception as error:
            log.exception("write_broke", todo="a bug of the daemon; report it with this traceback")
            raise StoreUnavailable(f"the daemon met an error of its own before it sent anything: {error!r}") from error
        return rows

    async def _refuse(self, request: StartRequest) -> Start:
        """Leave a run that was started from here before to whoever asks the router what became of it."""
        try:
            before = await self._intents.find(request.key)
        except (ConfigError, OSError) as error:
            raise StoreError(f"what this host started before cannot be read: {error}") from error
        if before is None:
            raise StoreError(f"the intent log names a start on {request.site} that it does not hold any more")
        row = await self._db.fetchrow(
            "refuse_spent", self._instance, request.run, before.nonce, before.at, before.launch
        )
        log.error(
            "start_refused",
            site_run=request.run,
            site_id=request.site,
            launch_id=str(before.launch),
            started_at=before.at.isoformat(),
            message="This host started it here already, under a launch that the database does not know any more.",
            todo="find out who set the database back or deleted that launch; the router is asked what became of the start",
        )
        return Start.SPENT if row is not None and row[0] else Start.NOT_OURS


def _why(row: asyncpg.Record) -> Start:
    if row["is_held"]:
        return Start.PAUSED
    return Start.HALTED if row["launch_state"] == "halted" else Start.CANCELLED


def _intent(row: asyncpg.Record, request: StartRequest) -> Intent:
    return Intent(
        key=request.key,
        at=row["executing_at"],
        run=row["id"],
        nonce=row["nonce"],
        launch=row["launch_id"],
        site=request.site,
        occurrence=request.occurrence.name,
        digest=request.occurrence.digest,
    )
