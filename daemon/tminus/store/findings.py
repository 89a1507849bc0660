"""What is found in scheduled scripts: which still have to be looked at, and writing what was found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from tminus.store.pool import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlinted:
    """A scheduled script that no daemon has looked at, as it was when it was read."""

    id: UUID
    script: bytes
    sha256: bytes
    site_timeout: timedelta
    post_checks: tuple[str, ...]


async def unlinted_scripts(db: Database, instance: UUID, *, limit: int) -> list[Unlinted]:
    rows = await db.fetch("unlinted_scripts", limit, instance)
    return [
        Unlinted(
            id=row["id"],
            script=row["script"].encode(),
            sha256=row["sha256"],
            site_timeout=row["site_timeout"],
            post_checks=tuple(row["post_checks"]),
        )
        for row in rows
    ]


async def keep_findings(db: Database, seen: Unlinted, *, findings: str, summary: str | None) -> bool:
    """Write the findings (a JSON list). False: the script was edited meanwhile, or another daemon was first."""
    row = await db.fetchrow(
        "keep_findings", seen.id, seen.sha256, seen.site_timeout, findings, summary, list(seen.post_checks)
    )
    return row is not None
