"""What follows from time alone: wishes that were missed, site runs whose time is over, and launches that are complete and have
to be told of.

It asks the database and nobody else, so it waits for no router. It fails by trying again.
"""

from __future__ import annotations

import asyncio

import structlog

from tminus.kill_points import Point, reach
from tminus.services.heartbeat import Trust
from tminus.services.loop import Hint, repeat
from tminus.services.observer import Observer
from tminus.services.story import tell_launch_ended
from tminus.store import launches
from tminus.store.pool import Database

_ENDED = 20
_AFTER_THE_LAST_SITE = 0.05  # seconds for the task that wrote the last ending to tell of it

log = structlog.get_logger()


class Janitor:
    def __init__(self, db: Database, trust: Trust, *, poll_interval: float, observer: Observer) -> None:
        self._db = db
        self._trust = trust
        self._poll_interval = poll_interval
        self._observer = observer
        self.hint = Hint()

    async def run(self) -> None:
        await repeat("janitor", self._work, hint=self.hint, observer=self._observer)

    async def _work(self) -> float:
        if not self._trust.lives():
            return self._poll_interval
        done = await launches.housekeeping(self._db)
        if done.expired:
            log.warning(
                "authorizations_expired", count=done.expired, todo="they have to be authorized again to be launched"
            )
        reach(Point.HOUSEKEPT)
        if done.late:
            # Those of a cron row that was not authorized leave no launch that could be told of.
            log.info("late_scripts_settled", count=done.late)
        ended = await launches.take_ended(self._db, limit=_ENDED)
        if ended:
            await asyncio.sleep(_AFTER_THE_LAST_SITE)
        for launch in ended:
            tell_launch_ended(launch, self._observer)
        return self._poll_interval
