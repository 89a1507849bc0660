"""What people authorized and signed, and what they did with launches since: read to be held against signatures."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from tminus.domain.authorization import Authorization, FurtherAct, Statement
from tminus.store.launches import DueScript, read_authorization, read_due
from tminus.store.pool import Database


async def latest_authorization(db: Database) -> int:
    row = await db.fetchrow("latest_authorization")
    assert row is not None  # noqa: S101 - an aggregate has one row
    return int(row["id"])


async def new_authorizations(db: Database, *, after: int, limit: int) -> list[tuple[int, DueScript | str, UUID]]:
    """Return what was authorized after the authorization `after`: its id, the script as it is now, and the script's id.

    Instead of a script that makes no sense stands what is wrong with it.
    """
    found: list[tuple[int, DueScript | str, UUID]] = []
    for row in await db.fetch("new_authorizations", after, limit):
        script: DueScript | str
        try:
            script = read_due(row)
        except (ValueError, TypeError) as error:
            script = f"what was authorized cannot be read: {error}"
        found.append((row["authorization_id"], script, row["id"]))
    return found


async def refuse_authorization(db: Database, script: UUID, authorization: int, reason: str) -> None:
    await db.fetch("refuse_authorization", script, authorization, reason)


async def signed_for_site(db: Database, site_digest: str) -> list[tuple[Statement, Authorization]]:
    """Return signed authorizations, with what was signed, that say of a site what `site_digest` says of it."""
    found: list[tuple[Statement, Authorization]] = []
    for row in await db.fetch("vouchers_of_site", site_digest):
        given = read_authorization(row)
        script = str(row["script_id"])
        found.append((given.statement(script=script, act=row["act"], launch=row["launch_id"]), given))
    return found


async def further_acts(db: Database, launch: UUID) -> list[FurtherAct]:
    """Return what was signed for a launch since it was made. Raises ValueError or TypeError if it makes no sense."""
    return [
        FurtherAct(
            act=row["act"],
            wave=row["wave"],
            since=row["paused_at"],
            approver=row["approver"],
            expires=row["expires_at"],
            signature=row["signature"],
        )
        for row in await db.fetch("further_acts", launch)
    ]


async def stopped_by_people(
    db: Database, known: Collection[tuple[UUID, datetime | None]], *, limit: int
) -> list[tuple[UUID, datetime | None]]:
    """Return launches that are paused (since when), or were halted or cancelled (None), but for those that are `known`."""
    rows = await db.fetch("stopped_by_people", [launch for launch, _ in known], [since for _, since in known], limit)
    return [(row["id"], row["paused_at"]) for row in rows]
