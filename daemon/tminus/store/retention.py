"""Forget what is old, a window of rows at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from tminus.store.pool import Database

K = TypeVar("K", int, bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten(Generic[K]):
    """How many rows one look forgot, and after which key the next one goes on; None: the round is over."""

    count: int
    next_after: K | None


async def forget_outputs(db: Database, after: int, *, keep: timedelta, window: int) -> Forgotten[int]:
    rows = await db.call("select * from tminus.forget_outputs($1, $2, $3)", after, keep, window)
    return Forgotten(count=rows[0]["forgotten"], next_after=rows[0]["next_after"])


async def forget_backups(db: Database, after: int, *, keep: timedelta, newest: int, window: int) -> Forgotten[int]:
    """Forget old exports, but of no site the `newest`."""
    rows = await db.call("select * from tminus.forget_backups($1, $2, $3, $4)", after, keep, newest, window)
    return Forgotten(count=rows[0]["forgotten"], next_after=rows[0]["next_after"])


async def forget_texts(db: Database, after: bytes, *, window: int) -> Forgotten[bytes]:
    rows = await db.call("select * from tminus.forget_texts($1, $2)", after, window)
    return Forgotten(count=rows[0]["forgotten"], next_after=rows[0]["next_after"])


async def forget_sensitive_texts(db: Database, after: int, *, window: int) -> Forgotten[int]:
    rows = await db.call("select * from tminus.forget_sensitive_texts($1, $2)", after, window)
    return Forgotten(count=rows[0]["forgotten"], next_after=rows[0]["next_after"])


async def forget_events(db: Database, after: int, *, keep: timedelta, window: int) -> Forgotten[int]:
    rows = await db.call("select * from tminus.forget_events($1, $2, $3)", after, keep, window)
    return Forgotten(count=rows[0]["forgotten"], next_after=rows[0]["next_after"])
