"""Whether the database still knows what was started from here, asked on each new connection before anything else is said.

A server that comes back as another one (a restore, a failover, a copy that was put back) has cut all connections that we
had. Neither its identity nor its timeline tells whether something is missing; a start that is missing does. Commits vanish
from the newest backwards, so the newest intent is asked for first, and the rest only where that one is missing.

What is missing is noted in the database, which then holds back every daemon (`tminus.is_paused`) until a person resumes.
Where its site run is there, it is put back to what it was: past its point of no return. If its script still runs in our
hands, its ending will be ours to write; if not, it is resolved on the router. And until every living instance has asked,
nothing is claimed, launched or started by any (`tminus.is_unsettled`): what one of them lost, another must not run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from uuid import UUID

import asyncpg

from tminus.store.intent_files import Intent
from tminus.store.intent_log import IntentLog
from tminus.store.pool import Database, statement

_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class LostStart:
    """A start that a daemon remembers and the database does not know."""

    site_run_id: int
    launch_id: UUID
    site_id: str
    started_at: datetime
    noticed_at: datetime
    noticed_by: str


async def lost_starts(db: Database) -> list[LostStart]:
    """Return what nobody accepted yet; while there is any, nothing is started."""
    return [LostStart(**dict(row)) for row in await db.fetch("lost_starts")]


class History:
    """Compares the intent log with whatever database answers. `in_hand`: which site runs this process has in hand."""

    def __init__(self, log: IntentLog, *, in_hand: Callable[[], Collection[int]]) -> None:
        self._log = log
        self._in_hand = in_hand

    async def compare(self, connection: asyncpg.Connection) -> None:
        """Have the database note what it does not know, and that this instance has asked."""
        intents = self._log.newest_first()
        size = 1
        while batch := await asyncio.to_thread(_take, intents, size):
            if not await connection.fetchval(
                statement("note_lost_starts"),
                str(self._log.instance),
                [x.run for x in batch],
                [x.nonce for x in batch],
                [x.launch for x in batch],
                [x.site for x in batch],
                [x.at for x in batch],
            ):
                break
            size = _BATCH
        await connection.fetchval(statement("recall_lost_starts"), self._log.instance, self._running())
        await connection.fetchval(statement("settle_instance"), self._log.instance)

    async def recall(self, db: Database) -> int:
        """Put back lost starts whose site runs have become free; return how many."""
        row = await db.fetchrow("recall_lost_starts", self._log.instance, self._running())
        return int(row[0]) if row else 0

    def _running(self) -> list[int]:
        """Site runs that were started in this life and still run in our hands."""
        begun = self._log.begun
        begun.intersection_update(self._in_hand())
        return list(begun)


def _take(intents: Iterator[Intent], size: int) -> list[Intent]:
    return list(islice(intents, size))
