"""Says why nothing may be started, and when it may again: the database went back in time, or this host cannot remember.

The holding back itself is the database's (`tminus.is_held_back`): every daemon is stopped by it at once, also one that has
not looked yet. What was started goes on, and what a dead daemon left is still resolved: neither starts anything. Lost starts
whose site runs have become free meanwhile are put back here. Where signatures are required a host holds itself back, too
(services/resumption.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import structlog

from tminus.services.loop import Hint, repeat
from tminus.services.observer import Observer
from tminus.services.resumption import HeldHost
from tminus.store import history
from tminus.store.history import History, LostAct, LostStart
from tminus.store.intent_log import IntentLog
from tminus.store.pool import Database

log = structlog.get_logger()

_HOW_TO_GO_ON = (
    "this database was restored to an earlier moment, or is another one. Compare 'tminus status' with the logs since then,"
    " cancel what ran already or was cancelled and must not run, then: tminus resume --note WHY"
)


class PauseWatch:
    def __init__(
        self,
        db: Database,
        intents: IntentLog,
        history: History,
        *,
        interval: float,
        tell: Callable[[str | None], None],
        recalled: Hint,
        observer: Observer,
        host: HeldHost | None = None,
    ) -> None:
        """`host`: what this host holds back for by itself, where signatures are required."""
        self._db = db
        self._intents = intents
        self._history = history
        self._interval = interval
        self._tell = tell
        self._recalled = recalled
        self._observer = observer
        self._host = host
        self._told: str | None = None
        self._told_trouble: str | None = None
        self.hint = Hint()

    async def run(self) -> None:
        await repeat("pause", self.look, hint=self.hint, observer=self._observer)

    async def look(self) -> float:
        await self._look_at_disk()
        lost = await history.lost_starts(self._db)
        acts = await history.lost_acts(self._db)
        why = await self._host.look() if self._host is not None else None
        if why is None and (lost or acts):
            why = f"{'; and '.join(_reasons(lost, acts))}; nothing is started until 'tminus resume'"
        if why != self._told:
            if why is None:
                log.warning("resumed")
            else:
                log.error("paused", lost_starts=len(lost), lost_acts=len(acts), error=why, next=_HOW_TO_GO_ON)
            self._told = why
            self._tell(why)
        if count := await self._history.recall(self._db):
            log.warning(
                "starts_recalled",
                site_runs=count,
                message="The database had forgotten these starts; the routers are asked what became of them.",
            )
            self._recalled.give()
        return self._interval

    async def _look_at_disk(self) -> None:
        await self._intents.probe()
        trouble = self._intents.trouble
        if (trouble is None) != (self._told_trouble is None):
            if trouble is None:
                log.info("intent_log_returned")
            else:
                log.error("intent_log_unwritable", error=trouble, todo="make room in state_dir, or mend its disk")
        self._told_trouble = trouble


def _reasons(lost: list[LostStart], acts: list[LostAct]) -> Iterator[str]:
    if lost:
        latest = lost[-1]
        more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
        yield (
            f"the script of launch {latest.launch_id} was started on {latest.site_id} at"
            f" {latest.started_at.isoformat(timespec='seconds')}, and the database does not know of it{more}"
        )
    if acts:
        yield (
            f"what people did up to seal {acts[-1].seal} of the audit trail is not in the database any more, a cancel, a"
            " withdrawal or an edit perhaps"
        )
