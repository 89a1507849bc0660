"""Computes when each window is open next, for the database to compare with its clock.

A window that it cannot compute stays closed: nothing starts because of a mistake here. Several daemons may plan the same
window; they write the same. It fails by trying again.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog

from tminus.domain.windows import Window, next_opening, parse_weekly
from tminus.services.loop import Hint, repeat
from tminus.services.observer import Observer
from tminus.store import windows
from tminus.store.pool import Database
from tminus.store.windows import UnplannedWindow

_BATCH = 200

log = structlog.get_logger()


class WindowPlanner:
    def __init__(self, db: Database, *, poll_interval: float, observer: Observer) -> None:
        self._db = db
        self._poll_interval = poll_interval
        self._observer = observer
        self._unreadable: set[tuple[str, str]] = set()  # what was told of already
        self.hint = Hint()

    async def run(self) -> None:
        await repeat("window_planner", self._work, hint=self.hint, observer=self._observer)

    async def _work(self) -> float:
        planned = [await self._plan(window) for window in await windows.unplanned_windows(self._db, limit=_BATCH)]
        return 0.0 if len(planned) == _BATCH and any(planned) else self._poll_interval

    async def _plan(self, window: UnplannedWindow) -> bool:
        try:
            rules = Window(
                zone=ZoneInfo(window.timezone),
                weekly=tuple(parse_weekly(rule) for rule in window.weekly),
                spans=window.spans,
            )
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: the name of a folder
            self._tell_unreadable(window, str(error))
            return False
        opening = next_opening(rules, window.now)
        if await windows.plan_window(self._db, window, opening):
            log.debug(
                "window_planned",
                window=window.name,
                opens_at=opening.begins.isoformat() if opening else None,
                closes_at=opening.ends.isoformat() if opening else None,
            )
            return True
        return False

    def _tell_unreadable(self, window: UnplannedWindow, error: str) -> None:
        if (window.name, error) in self._unreadable:
            return
        self._unreadable.add((window.name, error))
        log.error(
            "window_unreadable",
            window=window.name,
            timezone=window.timezone,
            error=error,
            todo="it stays closed; correct it, or bring this host's zone database up to date",
        )
