"""How the logins of a launch ended, over all daemons."""

from __future__ import annotations

from uuid import UUID

from tminus.domain.logins import LoginTally
from tminus.store.pool import Database


async def tally(db: Database, launch: UUID, credential: str) -> LoginTally:
    row = await db.fetchrow("login_tally", launch, credential)
    assert row is not None  # noqa: S101 - an aggregate has one row
    return LoginTally(refused=row["refused"], accepted=row["accepted"])


async def halt(db: Database, launch: UUID, reason: str) -> bool:
    """Halt a launch. False: it is stopped or over, or is about to open a wave; then it is asked again."""
    row = await db.fetchrow("halt_for_logins", launch, reason)
    return row is not None and bool(row["halted"])
