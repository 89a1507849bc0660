"""Wishes that become launches: what is due, what was authorized of it, and what follows from time alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from tminus.domain.digest import RowPart
from tminus.domain.endings import Effect, LaunchKind, LaunchState, Reason, State
from tminus.domain.occurrence import Occurrence
from tminus.store.pool import Database, Transaction, statement


@dataclass(frozen=True, slots=True, kw_only=True)
class DueScript:
    """A scheduled script that is due, as it is now, beside what was authorized of it."""

    id: UUID
    row: RowPart
    sites: tuple[str, ...]
    launch_at: datetime
    now: datetime
    description: str
    created_by: str
    authorized_by: str
    digest: str
    authorized_row: str
    authorized_sites: tuple[tuple[str, str], ...]  # site id, digest


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchContent:
    """What all site runs of a launch share."""

    id: UUID
    script_id: UUID
    script: bytes
    make_backup: bool
    abort_if_offline: bool
    start_within: timedelta
    site_timeout: timedelta
    expects_disconnect: bool  # it ends its own session; verified by coming back
    detached: bool  # it runs as a job of the router's, without a session
    due_at: datetime
    rehearsal: bool  # stop before the point of no return
    kind: LaunchKind
    digest: str | None
    recurring: bool  # it has a cron rule

    @property
    def occurrence(self) -> Occurrence:
        return Occurrence.of(
            digest=self.digest, kind=self.kind, launch=self.id, due_at=self.due_at, recurring=self.recurring
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Housekeeping:
    late: int
    given_up: int
    finished: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What runs and what comes, of all instances; `next_in` is in seconds."""

    running: int
    next_in: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndingCount:
    """How many site runs of a launch ended so. `told`: a daemon wrote these endings, and told of each when it did.

    `sites` are the first of those that were not told.
    """

    state: State
    reason: Reason | None
    effect: Effect
    count: int
    told: bool
    sites: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedLaunch:
    """A launch that is over, by whatever ended it."""

    id: UUID
    script_id: UUID
    kind: LaunchKind
    state: LaunchState
    reason: str | None
    description: str
    created_by: str
    authorized_by: str | None
    due_at: datetime
    took: timedelta
    sites: int
    endings: tuple[EndingCount, ...]


class DueTransaction:
    """Due scripts, locked until the transaction ends; each is launched or refused within it.

    `unreadable` are those whose rows make no sense (somebody went round the schema's rules), with what is wrong.
    """

    def __init__(self, connection: Transaction, due: list[DueScript], unreadable: list[tuple[UUID, str]]) -> None:
        self._connection = connection
        self.due = due
        self.unreadable = unreadable

    async def launch(self, script: DueScript, instance: UUID, *, next_at: datetime | None) -> UUID | None:
        """Make the launch with its site runs. None: not due any more, an overlap of a cron row, or we are dead."""
        launch: UUID | None = await self._connection.fetchval(
            "select tminus.launch($1, $2, $3)", script.id, instance, next_at
        )
        return launch

    async def overtake(self, script: DueScript, due_at: datetime) -> None:
        """Pass by the occurrence that is due, for a later one that is due as well."""
        await self._connection.execute("select tminus.overtake($1, $2)", script.id, due_at)

    async def refuse(self, script: UUID, reason: str) -> None:
        await self._connection.execute("select tminus.refuse_launch($1, $2)", script, reason)


@asynccontextmanager
async def due_scripts(db: Database, *, limit: int) -> AsyncIterator[DueTransaction]:
    async with db.transaction("launch what is due") as connection:
        rows = await connection.fetch(statement("due_scripts"), limit)
        due: list[DueScript] = []
        unreadable: list[tuple[UUID, str]] = []
        for row in rows:
            try:
                due.append(_due(row))
            except (ValueError, TypeError) as error:
                unreadable.append((row["id"], str(error)))
        yield DueTransaction(connection, due, unreadable)


def _due(row: asyncpg.Record) -> DueScript:
    return DueScript(
        id=row["id"],
        row=RowPart(
            id=str(row["id"]),
            script=row["script"],
            make_backup=row["make_backup"],
            abort_if_offline=row["abort_if_offline"],
            test_site_id=row["test_site_id"],
            launch_at=row["launch_at"],
            cron=row["cron"],
            timezone=row["timezone"],
            start_within=row["start_within"],
            site_timeout=row["site_timeout"],
            max_concurrency=row["max_concurrency"],
            expects_disconnect=row["expects_disconnect"],
            detached=row["detached"],
            windows=tuple(row["windows"]),
            local_time=row["local_time"],
            stop_starting_at=row["stop_starting_at"],
            missed_policy=row["missed_policy"],
            until=row["until"],
            max_launches=row["max_launches"],
        ),
        sites=tuple(row["sites"]),
        launch_at=row["launch_at"],
        now=row["now"],
        description=row["description"],
        created_by=row["created_by"],
        authorized_by=row["authorized_by"],
        digest=row["digest"],
        authorized_row=row["row_digest"],
        authorized_sites=tuple(zip(row["site_ids"], row["site_digests"], strict=True)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplanned:
    id: UUID
    cron: str
    timezone: str
    now: datetime
    after: datetime | None  # since when a missed occurrence is made up for
    until: datetime | None
    max_launches: int | None
    is_spent: bool  # it has made all its launches


async def unplanned_scripts(db: Database, *, limit: int) -> list[Unplanned]:
    """Return cron rows that have no next occurrence."""
    rows = await db.fetch("unplanned_scripts", limit)
    return [Unplanned(**dict(row)) for row in rows]


async def plan(db: Database, script: UUID, next_at: datetime | None, *, reason: str | None = None) -> None:
    await db.call("select tminus.plan($1, $2, $3)", script, next_at, reason)


async def outlook(db: Database) -> Outlook:
    row = await db.fetchrow("outlook")
    assert row is not None  # noqa: S101 - a select without FROM has one row
    return Outlook(**dict(row))


async def seconds_to_next_due(db: Database) -> float | None:
    row = await db.fetchrow("next_due")
    return None if row is None else float(row[0])


async def launch_content(db: Database, launch: UUID) -> LaunchContent:
    row = await db.fetchrow("launch_content", launch)
    if row is None:
        raise LookupError(f"launch {launch} vanished")
    return LaunchContent(**{**dict(row), "script": row["script"].encode(), "kind": LaunchKind(row["kind"])})


async def housekeeping(db: Database) -> Housekeeping:
    """End what is late, what waited too long, and the launches whose sites have all ended."""
    row = await db.fetchrow("housekeeping")
    assert row is not None  # noqa: S101 - a select without FROM has one row
    return Housekeeping(late=row["late"], given_up=row["given_up"], finished=row["finished"])


async def take_ended(db: Database, *, limit: int) -> list[EndedLaunch]:
    """Return launches that have ended and were not told of yet. Each is returned once, to one daemon."""
    rows = await db.call("select * from tminus.tell_launches($1)", limit)
    return [
        EndedLaunch(
            **{
                **dict(row),
                "kind": LaunchKind(row["kind"]),
                "state": LaunchState(row["state"]),
                "endings": tuple(_ending_count(ending) for ending in json.loads(row["endings"])),
            }
        )
        for row in rows
    ]


def _ending_count(ending: dict[str, Any]) -> EndingCount:
    return EndingCount(
        state=State(ending["state"]),
        reason=Reason(ending["reason"]) if ending["reason"] else None,
        effect=Effect(ending["effect"]),
        count=ending["count"],
        told=ending["told"],
        sites=tuple(ending["sites"]),
    )
