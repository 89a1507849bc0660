"""Forgets exports, outputs and events whose time is over, a small window at a time.

It must never hold a lock for longer than such a window takes, nor forget what a launch that is not finished, an unknown
run that nobody resolved, or a file that still lies on a router is about: see migration 0011, whose functions it calls. Any
number of daemons may do it at once. It fails by trying again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog

from tminus.services.heartbeat import Trust
from tminus.services.loop import Hint, repeat
from tminus.services.observer import Observer
from tminus.store import retention
from tminus.store.news import forget_letters
from tminus.store.pool import Database
from tminus.store.retention import Forgotten, K

_WINDOW = 500  # rows looked at by one statement
_LETTERS = 2000  # a round
_BETWEEN_WINDOWS = 0.2  # seconds
_BETWEEN_ROUNDS = 3600.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """For how long each is kept; zero is for ever."""

    backups_per_site: int
    backups: timedelta
    outputs: timedelta
    events: timedelta


class Retention:
    def __init__(
        self,
        db: Database,
        trust: Trust,
        keep: Keep,
        *,
        observer: Observer,
        window: int = _WINDOW,
        between_windows: float = _BETWEEN_WINDOWS,
    ) -> None:
        self._db = db
        self._trust = trust
        self._keep = keep
        self._observer = observer
        self._window = window
        self._between = between_windows
        self.hint = Hint()

    async def run(self) -> None:
        await repeat("retention", self.round, hint=self.hint, observer=self._observer)

    async def round(self) -> float:
        """Go through all of it once; return the seconds until the next time."""
        if not self._trust.lives():
            return 10.0
        db, keep, window = self._db, self._keep, self._window
        outputs = backups = events = 0
        if keep.outputs:
            outputs = await self._go_through(
                0, lambda after: retention.forget_outputs(db, after, keep=keep.outputs, window=window)
            )
        if keep.backups:
            backups = await self._go_through(
                0,
                lambda after: retention.forget_backups(
                    db, after, keep=keep.backups, newest=keep.backups_per_site, window=window
                ),
            )
        # Also where no export is ever forgotten: one that was taken again leaves its text behind.
        texts = await self._go_through(b"", lambda after: retention.forget_texts(db, after, window=window))
        texts += await self._go_through(0, lambda after: retention.forget_sensitive_texts(db, after, window=window))
        if keep.events:
            events = await self._go_through(
                0, lambda after: retention.forget_events(db, after, keep=keep.events, window=window)
            )
            # Few: a launch has some, where a site has many of the others.
            await forget_letters(db, keep=keep.events, window=_LETTERS)
        if outputs or backups or texts or events:
            log.info("forgotten", outputs=outputs, backups=backups, backup_texts=texts, events=events)
        return _BETWEEN_ROUNDS

    async def _go_through(self, beginning: K, look: Callable[[K], Awaitable[Forgotten[K]]]) -> int:
        """Look at window after window to the end; return how much was forgotten."""
        after: K | None = beginning
        count = 0
        while after is not None:
            found = await look(after)
            count += found.count
            after = found.next_after
            if after is not None:
                await asyncio.sleep(self._between)
        return count
