"""Letters to people: what there is to tell, taking those that are due, and saying what became of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from tminus.domain.news import GoneWrong, News, NewsKind
from tminus.store.pool import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A letter that is ours for the length of the lease, with its news, the oldest first."""

    id: UUID
    attempts: int
    made_at: datetime
    person: str
    address: str
    news: tuple[News, ...]


async def raise_news(db: Database, *, before: timedelta | None) -> int:
    """Queue what is no event: launches that are `before` away (None: not told), sites that failed. Returns how much."""
    return int((await db.call("select tminus.raise_news($1) as n", before))[0]["n"])


async def gather(db: Database, *, within: timedelta) -> int:
    """Make letters of what is due; return how many were given up, being older than `within`."""
    return int((await db.call("select given_up from tminus.gather_letters($1)", within))[0]["given_up"])


async def take(db: Database, channel: str, address: str | None, *, limit: int, lease: float) -> list[Taken]:
    """Take letters of a channel, or of one of its addresses, for `lease` seconds."""
    rows = await db.fetch("take_letters", channel, address, limit, lease)
    if not rows:
        return []
    told: dict[UUID, list[News]] = {}
    for row in await db.fetch("news_of_letters", [row["id"] for row in rows]):
        told.setdefault(row["letter_id"], []).append(_news(row))
    return [
        Taken(
            id=row["id"],
            attempts=row["attempts"],
            made_at=row["made_at"],
            person=row["person"],
            address=row["address"],
            news=tuple(told.get(row["id"], ())),
        )
        for row in rows
    ]


async def note(db: Database, taken: Taken, state: str, *, pause: float = 0.0, error: str | None = None) -> bool:
    """Say what became of it. False: it has ended otherwise, or our lease was over and another has it."""
    row = await db.fetchrow(
        "note_letter", taken.id, taken.attempts, state, pause, None if error is None else error[:900]
    )
    return row is not None


async def forget_letters(db: Database, *, keep: timedelta, window: int) -> int:
    return int((await db.call("select tminus.forget_letters($1, $2) as n", keep, window))[0]["n"])


def _news(row: asyncpg.Record) -> News:
    detail = json.loads(row["detail"])
    wave = detail.get("wave")
    waves = detail.get("waves")
    return News(
        kind=NewsKind(row["news"]),
        at=row["at"],
        by=row["principal"],
        script=row["script_id"],
        launch=row["launch_id"],
        description=row["description"],
        summary=row["summary"],
        created_by=row["created_by"],
        authorized_by=row["authorized_by"],
        launch_at=row["launch_at"],
        sites=row["sites"],
        digest=detail.get("digest"),
        reason=detail.get("reason") or row["launch_reason"] or row["status_reason"],
        wave=None if wave is None else f"{wave} of {waves}" if waves else wave,
        launch_state=row["launch_state"],
        counts=json.loads(row["counts"]),
        wrong=tuple(GoneWrong(**each) for each in json.loads(row["wrong"])),
    )
