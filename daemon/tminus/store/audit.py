"""The chain of the audit trail in the database, and the latest seals as this host remembers them."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from tminus.domain.audit import Act, Seal
from tminus.errors import ConfigError
from tminus.store.pool import Database, statement

_FILE = "audit-heads.jsonl"
_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The latest seal."""

    seq: int
    hash: str


async def seal_events(db: Database, *, limit: int) -> tuple[int, Head | None]:
    """Seal what waits; return how many, and the head. None: nothing was ever sealed, or another daemon is at it."""
    row = await db.fetchrow("seal_events", limit)
    assert row is not None  # noqa: S101 - a function with OUT parameters has one row
    return row["sealed"], None if row["seq"] is None else Head(seq=row["seq"], hash=row["hash"])


async def knows_head(db: Database, head: Head) -> bool:
    row = await db.fetchrow("audit_seal", head.seq)
    return row is not None and row["hash"] == head.hash


async def seals(connection: asyncpg.Connection, *, after: int = 0) -> AsyncIterator[Seal]:
    """Read the chain in its order, a page at a time."""
    while True:
        rows = await connection.fetch(statement("audit_page"), after, _PAGE)
        for row in rows:
            yield _seal(row)
        if len(rows) < _PAGE:
            return
        after = rows[-1]["seq"]


def _seal(row: asyncpg.Record) -> Seal:
    act = None
    if row["is_there"]:
        act = Act(
            id=row["event_id"],
            at=row["at"],
            kind=row["kind"],
            script_id=None if row["script_id"] is None else str(row["script_id"]),
            launch_id=None if row["launch_id"] is None else str(row["launch_id"]),
            site_id=row["site_id"],
            principal=row["principal"],
            session=row["session"],
            source=row["source"],
            detail=row["detail"],
        )
    return Seal(
        seq=row["seq"],
        event_id=row["event_id"],
        event_hash=row["event_hash"],
        sealed_at=row["sealed_at"],
        hash=row["hash"],
        act=act,
    )


def remembered_heads(state_dir: Path) -> list[Head]:
    """Return the heads that the daemon of a state_dir remembers, the oldest first. Raises ConfigError if it cannot be read."""
    file = state_dir / _FILE
    try:
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return [Head(seq=int(value["seq"]), hash=str(value["hash"])) for value in map(json.loads, lines)]
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file} is damaged; each line is an object with seq and hash") from error


def remember_head(state_dir: Path, head: Head) -> None:
    """Append a head. Raises OSError."""
    descriptor = os.open(state_dir / _FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, json.dumps({"seq": head.seq, "hash": head.hash}).encode() + b"\n")
    finally:
        os.close(descriptor)
