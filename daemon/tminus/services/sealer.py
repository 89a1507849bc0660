"""Seals the acts of people into the chain of the audit trail, and remembers on this host how far it got.

One daemon at a time does it; nothing waits for it. What it must never do is to take a chain that was written anew for the
one that it knows: it says so, once, and goes on. It fails by trying again.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from tminus.services.heartbeat import Trust
from tminus.services.loop import Hint, repeat
from tminus.services.observer import Observer
from tminus.store import audit
from tminus.store.audit import Head
from tminus.store.pool import Database

_BATCH = 500
_REMEMBER_EVERY = 600.0  # seconds between lines in state_dir; the log has each batch

log = structlog.get_logger()


class Sealer:
    def __init__(self, db: Database, trust: Trust, state_dir: Path, *, interval: float, observer: Observer) -> None:
        """Raises ConfigError where what was remembered cannot be read."""
        self._db = db
        self._trust = trust
        self._state_dir = state_dir
        self._interval = interval
        self._observer = observer
        heads = audit.remembered_heads(state_dir)
        self._known = heads[-1] if heads else None
        self.changed = False
        """The trail is not the one that this host knows."""
        self._remembered_at = float("-inf")
        self.hint = Hint()

    async def run(self) -> None:
        await repeat("sealer", self._work, hint=self.hint, observer=self._observer)

    async def _work(self) -> float:
        if not self._trust.lives():
            return self._interval
        if self._known is not None and not self.changed and not await audit.knows_head(self._db, self._known):
            self.changed = True
            log.error(
                "audit_trail_changed",
                seal=self._known.seq,
                hash=self._known.hash,
                todo="the audit trail was written anew, or the database was set back; see 'tminus audit verify'",
            )
        sealed, head = await audit.seal_events(self._db, limit=_BATCH)
        if sealed and head is not None:
            log.info("audit_sealed", acts=sealed, seal=head.seq, hash=head.hash)
            self._known = head
            await self._remember(head)
        return 0.0 if sealed == _BATCH else self._interval

    async def _remember(self, head: Head) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._remembered_at + _REMEMBER_EVERY:
            return
        try:
            await asyncio.to_thread(audit.remember_head, self._state_dir, head)
        except OSError as error:
            log.warning("audit_head_not_remembered", error=str(error), seal=head.seq, hash=head.hash)
        else:
            self._remembered_at = now
