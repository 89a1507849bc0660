"""Routers on which a script may still be running although its site run has ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tminus.store.pool import Database
from tminus.store.site_runs import Orphan, read_orphan


@dataclass(frozen=True, slots=True, kw_only=True)
class BusySite:
    """A run whose script may still be running; `run` tells of it what is told of an orphan."""

    run: Orphan
    reason: str
    look_at: datetime  # by the database's clock: when it is looked at again


async def known(db: Database) -> list[int]:
    """Return the site runs whose scripts may still be running."""
    return [row["site_run_id"] for row in await db.fetch("busy_site_runs")]


async def take(db: Database, instance: UUID, *, limit: int) -> list[BusySite]:
    """Return those that are to be looked at now. Each is returned to one instance."""
    rows = await db.fetch("take_busy_sites", limit, instance)
    return [BusySite(run=read_orphan(row), reason=row["reason"], look_at=row["look_at"]) for row in rows]


async def hold(db: Database, run: int, *, seconds: float, seen: str) -> bool:
    """Say that somebody listens to the script, and that nobody need look meanwhile. False: the router is free already."""
    return bool(await db.fetch("hold_busy_site", run, seconds, seen))


async def look_again(db: Database, busy: BusySite, *, seen: str, within: float | None) -> None:
    """Say what a look found, and that the next one is due `within` seconds if not sooner (None: as it is noted)."""
    await db.fetch("look_again", busy.run.id, busy.look_at, seen, within)


async def free(db: Database, run: int, why: str) -> None:
    await db.fetch("free_site", run, why[:1000])
