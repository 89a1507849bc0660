"""Whether the database still knows what was started from here, asked on each new connection before anything else is said.

A server that comes back as another one (a restore, a failover, a copy that was put back) has cut all connections that we
had. Neither its identity nor its timeline tells whether something is missing; a start that is missing does. Commits vanish
from the newest backwards, so the newest intent is asked for first, and the rest only where that one is missing.

The same is asked of the latest act of the audit trail (store/audit.py): where that is gone a cancel or a withdrawal may be, too.

What is missing is noted in the database, which then holds back every daemon (`tminus.is_paused`) until a person resumes.
Where its site run is there, it is put back to what it was: past its point of no return. If its script still runs in our
hands, its ending will be ours to write; if not, it is resolved on the router. And until every living instance has asked,
nothing is claimed, launched or started by any (`tminus.is_unsettled`): what one of them lost, another must not run.

Where signatures are required the database is not believed that a person accepted what is missing: then this host holds itself
back as well, until one has signed (store/hold_log.py).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from uuid import UUID

import asyncpg

from tminus.domain.resumption import Hold, RememberedStart, Resumption
from tminus.errors import ConfigError, StoreUnavailable
from tminus.store.audit import TrailMemory, asked_for
from tminus.store.hold_log import HoldLog
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LostAct:
    """The latest act that a host remembers, which the database does not have. `seal`: its number in the audit trail."""

    event_id: int
    seal: int
    noticed_at: datetime
    noticed_by: str


async def lost_acts(db: Database) -> list[LostAct]:
    """Return what nobody accepted yet; while there is any, nothing is started."""
    return [LostAct(**dict(row)) for row in await db.fetch("lost_acts")]


async def lost_starts(db: Database) -> list[LostStart]:
    """Return what nobody accepted yet; while there is any, nothing is started."""
    return [LostStart(**dict(row)) for row in await db.fetch("lost_starts")]


def held_arguments(hold: Hold, instance: UUID) -> tuple[object, ...]:
    """Return what say_held is told of a hold."""
    starts = sorted(hold.starts)
    return (
        hold.id,
        instance,
        [start.nonce for start in starts],
        [start.launch for start in starts],
        [start.site for start in starts],
        [start.at for start in starts],
    )


async def resumptions_of(db: Database, hold: UUID) -> list[tuple[Resumption, str]]:
    """Return what was signed for a hold, each with its signature that nobody has verified; what makes no sense is left out."""
    found: list[tuple[Resumption, str]] = []
    for row in await db.fetch("resumptions_of", hold):
        with contextlib.suppress(ValueError, TypeError):  # somebody went round the rules of the schema
            starts = zip(row["nonces"], row["launches"], row["sites"], row["moments"], strict=True)
            resumption = Resumption(
                holds=frozenset(row["holds"]),
                starts=frozenset(RememberedStart(nonce=n, launch=x, site=s, at=at) for n, x, s, at in starts),
                approver=row["approver"],
                expires=row["expires_at"],
            )
            found.append((resumption, row["signature"]))
    return found


async def say_held(db: Database, hold: Hold, instance: UUID, *, why: str | None) -> None:
    """Show in the database what this host holds back for, and why (4000 bytes at most) what was signed does not count."""
    await db.fetchrow("say_held", *held_arguments(hold, instance), why)


async def release_holds(db: Database, holds: Collection[UUID], instance: UUID) -> None:
    await db.fetchrow("release_holds", list(holds), instance)


class History:
    """Compares the intent log with whatever database answers. `in_hand`: which site runs this process has in hand.

    `holds`: what this host holds back for, where signatures are required; None where the database's word is enough. `trail`: how
    far this host knows the acts of people.
    """

    def __init__(
        self,
        log: IntentLog,
        *,
        in_hand: Callable[[], Collection[int]],
        holds: HoldLog | None = None,
        trail: TrailMemory | None = None,
    ) -> None:
        self._log = log
        self._in_hand = in_hand
        self._holds = holds
        self._trail = trail

    async def compare(self, connection: asyncpg.Connection) -> None:
        """Have the database note what it does not know, and that this instance has asked."""
        try:
            await self._compare(connection)
        except ConfigError as error:
            # Found while the daemon runs: nothing is asked of this database until a person has mended it, and what is to be
            # written waits for that.
            raise StoreUnavailable(
                f"could not compare the database with what was started from here: {error}"
            ) from error

    async def _compare(self, connection: asyncpg.Connection) -> None:
        if self._holds is not None:
            await self._hold_back(connection, self._holds)
        if self._trail is not None and self._trail.newest is not None:
            await connection.fetchval(statement("note_lost_acts"), *asked_for(self._trail.newest, self._log.instance))
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

    async def _hold_back(self, connection: asyncpg.Connection, holds: HoldLog) -> None:
        """Hold this host back for what the database does not have, and for what it says was accepted and nobody signed for."""
        intents = self._log.newest_first()
        size = 1
        while batch := await asyncio.to_thread(_take, intents, size):
            asked = ([intent.site for intent in batch], [intent.nonce for intent in batch])
            rows = await connection.fetch(statement("missing_starts"), *asked)
            missing = {row["nonce"] for row in rows if not (row["is_accepted"] and row["nonce"] in holds.accepted)}
            if not missing:
                break
            lost = [
                RememberedStart(nonce=x.nonce, launch=x.launch, site=x.site, at=x.at)
                for x in batch
                if x.nonce in missing
            ]
            with contextlib.suppress(OSError):  # this process holds back nevertheless; the next one looks again
                await holds.hold(lost)
            size = _BATCH
        if (hold := holds.current) is not None:
            # Before anybody can see what is lost and sign for that, it is known which holds there are.
            await connection.fetchval(statement("say_held"), *held_arguments(hold, self._log.instance), None)

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
