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

from tminus.domain.authorization import Authorization, Occasion
from tminus.domain.digest import RowPart
from tminus.domain.endings import Effect, LaunchKind, LaunchState, Reason, State
from tminus.domain.guards import Guards
from tminus.domain.occurrence import Occurrence
from tminus.domain.variables import Variables, names_in
from tminus.store.pool import Database, Transaction, statement
from tminus.store.site_runs import read_variables


@dataclass(frozen=True, slots=True, kw_only=True)
class DueScript:
    """A scheduled script that is due, as it is now, beside what was authorized of it.

    `launch_at` is when it is due: its time, or the moment at which `run_now_by` had it start instead.
    """

    id: UUID
    row: RowPart
    sites: tuple[str, ...]
    launch_at: datetime
    now: datetime
    description: str
    created_by: str
    authorized_by: str
    run_now_by: str | None
    run_now_launch: UUID | None  # which was signed for
    authorization: Authorization

    @property
    def occasion(self) -> Occasion:
        """The launch that is to be made of it."""
        return Occasion(
            row=self.row,
            sites=self.sites,
            kind=LaunchKind.SCHEDULED,
            launch=self.run_now_launch,
            due_at=self.launch_at,
            moved=self.run_now_by is not None,
            authorization=self.authorization,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchContent:
    """What all site runs of a launch share. `script` is that of `row`, as it is sent."""

    id: UUID
    script_id: UUID
    row: RowPart
    script: bytes
    variables: Variables  # the scheduled script's; a site's own come first
    names: tuple[str, ...]  # in $(name), wherever
    due_at: datetime
    kind: LaunchKind
    run_now_by: str | None  # who had it start before its time, or beside its rule
    digest: str | None
    authorization: Authorization | None

    @property
    def rehearsal(self) -> bool:
        """Stop before the point of no return."""
        return self.kind is LaunchKind.REHEARSAL

    @property
    def on_trial(self) -> bool:
        """Nobody has authorized it: a site that it fails on is no failure of a change that was wanted."""
        return self.kind in (LaunchKind.REHEARSAL, LaunchKind.TEST)

    @property
    def make_backup(self) -> bool:
        return self.row.make_backup

    @property
    def abort_if_offline(self) -> bool:
        return self.row.abort_if_offline

    @property
    def start_within(self) -> timedelta:
        return self.row.start_within

    @property
    def site_timeout(self) -> timedelta:
        return self.row.site_timeout

    @property
    def expects_disconnect(self) -> bool:
        """It ends its own session; verified by coming back."""
        return self.row.expects_disconnect

    @property
    def detached(self) -> bool:
        """It runs as a job of the router's, without a session."""
        return self.row.detached

    @property
    def post_checks(self) -> tuple[bytes, ...]:
        """What has to be true after it, as it was given."""
        return tuple(check.encode() for check in self.row.post_checks)

    @property
    def guards(self) -> Guards:
        row = self.row
        return Guards(
            version=row.guard_version,
            free_space=row.guard_free_space,
            uptime=row.guard_uptime,
            cpu_load=row.guard_cpu_load,
        )

    @property
    def occurrence(self) -> Occurrence:
        # By what was authorized, where it was: `digest` alone could be written to name another occurrence.
        return Occurrence.of(
            digest=self.authorization.digest if self.authorization is not None else self.digest,
            kind=self.kind,
            launch=self.id,
            due_at=self.due_at,
            recurring=self.row.cron is not None,
            moved=self.run_now_by is not None,
        )

    @property
    def occasion(self) -> Occasion:
        return Occasion(
            row=self.row,
            sites=None,
            kind=self.kind,
            launch=self.id,
            due_at=self.due_at,
            moved=self.run_now_by is not None,
            authorization=self.authorization,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Housekeeping:
    expired: int  # authorizations
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
                due.append(read_due(row))
            except (ValueError, TypeError) as error:
                unreadable.append((row["id"], str(error)))
        yield DueTransaction(connection, due, unreadable)


def read_due(row: asyncpg.Record) -> DueScript:
    """Make one of a row of due_scripts.sql or new_authorizations.sql. Raises ValueError or TypeError if it makes no sense."""
    return DueScript(
        id=row["id"],
        row=row_part(row, row["id"]),
        sites=tuple(row["sites"]),
        launch_at=row["run_now_at"] or row["launch_at"],
        now=row["now"],
        description=row["description"],
        created_by=row["created_by"],
        authorized_by=row["authorized_by"],
        run_now_by=row["run_now_by"],
        run_now_launch=row["launch_id"],
        authorization=read_authorization(row),
    )


def row_part(row: asyncpg.Record, script: UUID) -> RowPart:
    """Make that of scheduled script `script` from a row with columns of the same names."""
    values: dict[str, Any] = {}
    for name in RowPart.__dataclass_fields__.keys() - {"id"}:
        value = row[name]
        values[name] = tuple(value) if isinstance(value, list) else value
    return RowPart(id=str(script), **values)


def read_authorization(row: asyncpg.Record) -> Authorization:
    """Make one of a row that holds its columns. Raises ValueError or TypeError if they make no sense."""
    return Authorization(
        digest=row["digest"],
        row_digest=row["row_digest"],
        sites=tuple(zip(row["site_ids"], row["site_digests"], strict=True)),
        author=row["author"],
        editor=row["editor"],
        approver=row["approver"],
        expires=row["expires_at"],
        signature=row["signature"],
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
    return read_content(row)


def read_content(row: asyncpg.Record) -> LaunchContent:
    """Make one of a row of launch_content.sql."""
    part = row_part(row, row["script_id"])
    return LaunchContent(
        id=row["id"],
        script_id=row["script_id"],
        row=part,
        script=row["script"].encode(),
        variables=read_variables(row["variables"]),
        names=names_in(part.code),
        due_at=row["due_at"],
        kind=LaunchKind(row["kind"]),
        run_now_by=row["run_now_by"],
        digest=row["launch_digest"],
        authorization=None if row["row_digest"] is None else read_authorization(row),
    )


async def housekeeping(db: Database) -> Housekeeping:
    """End what has expired, what is late, what waited too long, and the launches whose sites have all ended."""
    row = await db.fetchrow("housekeeping")
    assert row is not None  # noqa: S101 - a select without FROM has one row
    return Housekeeping(expired=row["expired"], late=row["late"], given_up=row["given_up"], finished=row["finished"])


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
