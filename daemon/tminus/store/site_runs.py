"""Site runs that this instance claimed: what it takes to reach the router, and what may be written of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

import asyncpg

from tminus.domain.digest import SitePart
from tminus.domain.variables import Variables, digest_field, named_values, names_in
from tminus.store.pool import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """How to reach a router, and what is known of it."""

    part: SitePart
    seen_host_key: str | None
    runner: str | None
    enabled: bool
    serial: str | None
    variables: Variables = field(default_factory=dict)

    def part_of(self, names: tuple[str, ...], script_variables: Variables) -> SitePart:
        """Return what the digest covers of this site, for a script with these names in it."""
        return replace(self.part, variables=digest_field(named_values(names, script_variables, self.variables)))

    @property
    def id(self) -> str:
        return self.part.id

    @property
    def host_key(self) -> str | None:
        """The key that the router has to show: the pinned one, else the first that was seen."""
        return self.part.host_key or self.seen_host_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A site run that is ours to run. `last_export`: bytes of the latest export of its site, as the router sent it."""

    id: int
    launch_id: UUID
    site: Site
    authorized_site: str | None
    nonce: str
    attempts: int
    turn_at: datetime
    now: datetime
    last_export: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A run past its point of no return, whose instance died: ours to resolve. It was started under the launch `started_under`.

    The site is as it is now; where its digest is not `authorized_site`, it need not be the router that was written to.
    """

    id: int
    launch_id: UUID
    site: Site
    authorized_site: str | None
    nonce: str
    started_under: UUID
    uptime_before: timedelta | None
    executing_for: timedelta
    script: bytes
    site_timeout: timedelta
    expects_disconnect: bool
    detached: bool
    script_variables: Variables
    post_checks: tuple[bytes, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """In $(name), wherever."""
        return names_in(b"\n".join((self.script, *self.post_checks)).decode())

    @property
    def site_now(self) -> SitePart:
        """What the digest would cover of the site now."""
        return self.site.part_of(self.names, self.script_variables)


@dataclass(frozen=True, slots=True, kw_only=True)
class Debt:
    """A file of ours that is still on a router. `stop_job`: a person wants the job stopped that runs it."""

    id: int
    site: Site
    file_name: str
    attempts: int
    age: timedelta
    stop_job: bool


async def claim_site_runs(
    db: Database, instance: UUID, *, capacity: int, places: Mapping[str, int] | None = None
) -> list[Claim]:
    """Claim what this instance can serve. `places`: for how many sites more each jump host has room."""
    free = {name: count for name, count in (places or {}).items() if count > 0}
    rows = await db.fetch("claim_site_runs", instance, capacity, list(free), list(free.values()))
    return [
        Claim(
            id=row["id"],
            launch_id=row["launch_id"],
            site=read_site(row),
            authorized_site=row["site_digest"],
            nonce=row["nonce"],
            attempts=row["attempts"],
            turn_at=row["turn_at"],
            now=row["now"],
            last_export=row["last_export"],
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnotherIdentity:
    """What a site called itself before, the script that was started there last, and the site with its host key that calls itself
    what it does now, if there is one.
    """

    known: str
    last_script: str | None
    other: str | None


async def another_identity(db: Database, site: str, identity: str, host_key: str) -> AnotherIdentity | None:
    """Return None where a site calls itself what it did, or was never asked before."""
    row = await db.fetchrow("another_identity", site, identity, host_key)
    return None if row is None else AnotherIdentity(**dict(row))


async def sweep(db: Database, instance: UUID, known: list[int]) -> tuple[int, int]:
    """Settle runs that are ours by the database and not `known` to us; return how many were given back and orphaned."""
    row = (await db.call("select * from tminus.sweep($1, $2)", instance, known))[0]
    return row["released"], row["orphaned"]


async def claim_orphans(db: Database, instance: UUID, *, limit: int) -> list[Orphan]:
    rows = await db.fetch("claim_orphans", instance, limit)
    return [read_orphan(row) for row in rows]


async def our_leftovers(db: Database, site: str, nonces: list[str]) -> set[str]:
    """Return those of `nonces` that name attempts of this database on a site, and not the one that runs."""
    return {row["nonce"] for row in await db.fetch("our_leftovers", site, nonces)}


async def settle_debts_of(db: Database, site: str, file_name: str) -> None:
    """The files of an attempt are gone from a site."""
    await db.fetch("settle_debts_of", site, file_name)


async def take_debts(db: Database, instance: UUID, *, limit: int) -> list[Debt]:
    rows = await db.fetch("take_debts", limit, instance)
    return [
        Debt(
            id=row["id"],
            site=read_site(row),
            file_name=row["file_name"],
            attempts=row["attempts"],
            age=row["age"],
            stop_job=row["stop_job"],
        )
        for row in rows
    ]


async def note_job_stopped(db: Database, debt: int, instance: UUID, stopped: int) -> None:
    """No job runs the script of a debt any more; `stopped` of them were removed for it."""
    await db.call("select tminus.note_job_stopped($1, $2, $3)", debt, instance, stopped)


async def settle_debt(db: Database, debt: int) -> None:
    await db.fetch("settle_debt", debt)


async def note_debt_error(db: Database, debt: int, why: str) -> None:
    """Keep why the latest attempt to remove a file did not."""
    await db.fetch("note_debt_error", debt, why)


async def record_site_event(db: Database, kind: str, instance: UUID, site: str, detail: str) -> None:
    """Add to the audit trail of a site. `detail` is a JSON object."""
    await db.call("select tminus.record_site_event($1, $2, $3, $4::jsonb)", kind, instance, site, detail)


async def keep_late_evidence(db: Database, run: int, instance: UUID, detail: str) -> None:
    """Keep what came after a run was no longer ours. `detail` is a JSON object."""
    await db.call("select tminus.keep_late_evidence($1, $2, $3::jsonb)", run, instance, detail)


def read_orphan(row: asyncpg.Record) -> Orphan:
    return Orphan(
        id=row["id"],
        launch_id=row["launch_id"],
        site=read_site(row),
        authorized_site=row["site_digest"],
        nonce=row["nonce"],
        started_under=row["started_under"],
        uptime_before=row["uptime_before"],
        executing_for=row["now"] - row["executing_at"],
        script=row["script"].encode(),
        site_timeout=row["site_timeout"],
        expects_disconnect=row["expects_disconnect"],
        detached=row["detached"],
        script_variables=read_variables(row["script_variables"]),
        post_checks=tuple(check.encode() for check in row["post_checks"]),
    )


def read_site(row: asyncpg.Record) -> Site:
    """Make a site of a row that holds its columns, the id as `site_id`."""
    return Site(
        part=SitePart(
            id=row["site_id"],
            jump_host=row["jump_host"],
            address=row["address"],
            port=row["port"],
            username=row["username"],
            credential=row["credential"],
            host_key=row["host_key"],
            ssh_profile=row["ssh_profile"],
            sensitive_export=row["sensitive_export"],
            return_address=row["return_address"],
        ),
        seen_host_key=row["seen_host_key"],
        runner=row["runner"],
        enabled=row["enabled"],
        serial=row["serial"],
        variables=read_variables(row.get("variables")),
    )


def read_variables(text: str | None) -> Variables:
    return cast("Variables", json.loads(text or "{}"))
