"""The chain of the audit trail in the database, and the latest seals as this host remembers them.

What this host remembers serves two ends: a chain that was written anew is not the one that is remembered; and a database that
was set back, in which a cancel, a withdrawal or an edit may be gone, does not have the act that was sealed last. A JSON object
a line, each with the latest seal of that moment:

    audit-heads.jsonl
        seq, hash           the seal
        event, event_hash   the act in it (not kept by versions before)
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg

from tminus.domain.audit import Act, Seal
from tminus.errors import ConfigError
from tminus.store import memory_file
from tminus.store.pool import Database, statement

_FILE = "audit-heads.jsonl"
_PAGE = 1000
_REMEMBERED = 20_000  # seals, 0.2 KB each


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The latest seal, and the act in it. (A person who compares gives the seal alone.)"""

    seq: int
    hash: str
    event: int | None = None
    event_hash: str = ""


async def seal_events(db: Database, *, limit: int) -> tuple[int, Head | None]:
    """Seal what waits; return how many, and the head. None: nothing was ever sealed, or another daemon is at it."""
    row = await db.fetchrow("seal_events", limit)
    assert row is not None  # noqa: S101 - a function with OUT parameters has one row
    if row["seq"] is None:
        return row["sealed"], None
    head = Head(seq=row["seq"], hash=row["hash"], event=row["event_id"], event_hash=row["event_hash"])
    return row["sealed"], head


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
    heads = []
    for line in memory_file.read_lines(file, holds="how far the audit trail was known here"):
        try:
            value = json.loads(line)
        except ValueError:
            continue  # it was not written whole
        try:
            heads.append(
                Head(
                    seq=int(value["seq"]),
                    hash=str(value["hash"]),
                    event=int(value["event"]) if "event" in value else None,
                    event_hash=str(value.get("event_hash", "")),
                )
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{file} is damaged; each line is an object with seq and hash") from error
    return heads


class TrailMemory:
    """How far this host knows the trail. Raises ConfigError if that cannot be read."""

    def __init__(self, state_dir: Path, *, most: int = _REMEMBERED) -> None:
        """`most`: how many seals are remembered; of more the later half stays."""
        self._file = state_dir / _FILE
        self._most = most
        self._heads = remembered_heads(state_dir)

    @property
    def newest(self) -> Head | None:
        """The latest seal that is known here with its act."""
        return self._heads[-1] if self._heads and self._heads[-1].event is not None else None

    async def keep(self, head: Head) -> None:
        """Raises OSError where it could not be kept; then this process knows it alone."""
        self._heads.append(head)
        if len(self._heads) > self._most:
            self._heads = self._heads[-self._most // 2 :]
            await asyncio.to_thread(memory_file.rewrite, self._file, b"".join(map(_line, self._heads)))
        else:
            await asyncio.to_thread(memory_file.append, self._file, _line(head))


def asked_for(head: Head, instance: UUID) -> tuple[object, ...]:
    """Return what note_lost_acts is asked."""
    return str(instance), head.seq, head.event, head.event_hash


async def has_latest_act(db: Database, head: Head, instance: UUID) -> bool:
    """Return whether the database has the act of `head`, or a person accepted that it does not; else that is noted there."""
    row = await db.fetchrow("note_lost_acts", *asked_for(head, instance))
    return row is not None and bool(row[0])


def _line(head: Head) -> bytes:
    value = {"seq": head.seq, "hash": head.hash, "event": head.event, "event_hash": head.event_hash}
    return json.dumps(value).encode() + b"\n"
