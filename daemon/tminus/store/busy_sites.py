"""Routers on which a script may still be running although its site run has ended."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from tminus.store.pool import Database
from tminus.store.site_runs import Orphan, read_orphan


@dataclass(frozen=True, slots=True, kw_only=True)
class BusySite:
    """A run whose script may still be running; `run` tells of it what is told of an orphan."""

    run: Orphan
    reason: str


async def take(db: Database, instance: UUID, *, limit: int) -> list[BusySite]:
    """Return those that are to be looked at now. Each is returned to one instance."""
    rows = await db.fetch("take_busy_sites", limit, instance)
    return [BusySite(run=read_orphan(row), reason=row["reason"]) for row in rows]


async def note(db: Database, run: int, *, look_in: float, seen: str | None = None) -> bool:
    """Say that the script may still run, and when to look. False: the router is free already."""
    return bool(await db.fetch("note_busy_site", run, look_in, seen))


async def free(db: Database, run: int, why: str) -> None:
    await db.fetch("free_site", run, why[:1000])
