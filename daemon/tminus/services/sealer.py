"""Seals the acts of people into the chain of the audit trail, and remembers on this host how far it got.

One daemon at a time does it; nothing waits for it. What it must never do is to take a chain that was written anew for the
one that it knows: it says so, once, and goes on. And while acts that this host remembers are gone from the database, it
remembers no other, so that they are missed until a person has resumed. It fails by trying again.
"""

from __future__ import annotations

from uuid import UUID

import structlog

from tminus.services.heartbeat import Trust
from tminus.services.loop import Hint, repeat
from tminus.services.observer import Observer
from tminus.store import audit
from tminus.store.audit import Head, TrailMemory
from tminus.store.pool import Database

_BATCH = 500

log = structlog.get_logger()


class Sealer:
    def __init__(
        self, db: Database, trust: Trust, trail: TrailMemory, *, instance: UUID, interval: float, observer: Observer
    ) -> None:
        self._db = db
        self._trust = trust
        self._trail = trail
        self._instance = instance
        self._interval = interval
        self._observer = observer
        self.changed = False
        """The trail is not the one that this host knows."""
        self.hint = Hint()

    async def run(self) -> None:
        await repeat("sealer", self._work, hint=self.hint, observer=self._observer)

    async def _work(self) -> float:
        if not self._trust.lives():
            return self._interval
        known = self._trail.newest
        if known is not None and not self.changed and not await audit.knows_head(self._db, known):
            self.changed = True
            log.error(
                "audit_trail_changed",
                seal=known.seq,
                hash=known.hash,
                todo="the audit trail was written anew, or the database was set back; see 'tminus audit verify'",
            )
        is_there = known is None or await audit.has_latest_act(self._db, known, self._instance)
        sealed, head = await audit.seal_events(self._db, limit=_BATCH)
        if sealed and head is not None:
            log.info("audit_sealed", acts=sealed, seal=head.seq, hash=head.hash)
        if is_there and head is not None and head != known:
            await self._remember(head)
        return 0.0 if sealed == _BATCH else self._interval

    async def _remember(self, head: Head) -> None:
        try:
            await self._trail.keep(head)
        except OSError as error:
            log.warning("audit_head_not_remembered", error=str(error), seal=head.seq, hash=head.hash)
