"""Says when the database lets nothing be started, because it went back in time, and when a person resumed.

The holding back itself is the database's (`tminus.is_paused`): every daemon is stopped by it at once, also one that has
not looked yet. What was started goes on, and what a dead daemon left is still resolved: neither starts anything.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from tminus.services.loop import Hint, repeat
from tminus.services.observer import Observer
from tminus.store import last_start
from tminus.store.last_start import LostStart
from tminus.store.pool import Database

log = structlog.get_logger()

_HOW_TO_GO_ON = (
    "this database was restored to an earlier moment, or is another one. Compare 'tminus status' with the logs since then,"
    " cancel what ran already and must not run again, then: tminus resume --note WHY"
)


class PauseWatch:
    def __init__(
        self, db: Database, *, interval: float, tell: Callable[[str | None], None], observer: Observer
    ) -> None:
        self._db = db
        self._interval = interval
        self._tell = tell
        self._observer = observer
        self._told: str | None = None
        self.hint = Hint()

    async def run(self) -> None:
        await repeat("pause", self.look, hint=self.hint, observer=self._observer)

    async def look(self) -> float:
        lost = await last_start.lost_starts(self._db)
        why = _reason(lost) if lost else None
        if why != self._told:
            if why is None:
                log.warning("resumed")
            else:
                log.error("paused", lost_starts=len(lost), error=why, next=_HOW_TO_GO_ON)
            self._told = why
            self._tell(why)
        return self._interval


def _reason(lost: list[LostStart]) -> str:
    latest = lost[-1]
    more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
    return (
        f"the script of launch {latest.launch_id} was started on {latest.site_id} at {latest.started_at.isoformat(timespec='seconds')},"
        f" and the database does not know of it{more}; nothing is started until 'tminus resume'"
    )
