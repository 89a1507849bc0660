"""Owns this instance's row, and knows whether this instance may still start anything.

The protocol::

    this instance                          the database                        another instance
    -------------                          ------------                        ----------------
    t0 = monotonic()
    heartbeat ---------------------------> heartbeat_at = clock()
         <-------------------------------- still alive
    trusted until t0 + ttl - margin
        ...                                                                    reap: heartbeat_at + ttl < clock()?
                                           state = dead, for ever <----------- its runs: before the point of no return
    heartbeat ---------------------------> no row                              -> pending; past it -> resolved on
         <-------------------------------- dead                                the router, file fence first
    starts nothing, aborts what is before
    the point of no return, ends

t0 is taken before the heartbeat is sent and the margin covers the difference of the clocks' speed, so the local window
always closes before the database's does. Three more fences stand behind it: the statement that commits the point of no
return demands a live heartbeat in the same statement; every write names the instance in its WHERE; and who resolves a
run first deletes the uploaded file, so that a process that sleeps through all of this imports nothing when it wakes.

It must never extend its trust by anything but an answer of the database. It fails by ending the process.
"""

from __future__ import annotations

import asyncio
from uuid import UUID

import structlog

from tminus.kill_points import Point, reach
from tminus.services.loop import Hint, repeat
from tminus.services.observer import Observer
from tminus.store import instances
from tminus.store.pool import Database

log = structlog.get_logger()


class DeclaredDead(Exception):
    """Another instance declared this one dead; it can never write again, so the process has to end."""


class Trust:
    """Whether this instance can prove that it lives. Monotonic time only."""

    def __init__(self, *, ttl: float, margin: float) -> None:
        self._window = ttl - margin
        self._until = float("-inf")
        self.dead = False

    def extend(self, asked_at: float) -> None:
        """The database answered a heartbeat that was sent at `asked_at` (loop time)."""
        self._until = max(self._until, asked_at + self._window)

    def lives(self) -> bool:
        return not self.dead and asyncio.get_running_loop().time() < self._until

    def age(self) -> float:
        """Seconds since the last heartbeat that the database confirmed was sent; infinite before the first."""
        return asyncio.get_running_loop().time() - (self._until - self._window)

    def seconds_left(self) -> float:
        return self._until - asyncio.get_running_loop().time()


class Heartbeat:
    def __init__(self, db: Database, instance: UUID, trust: Trust, *, interval: float, observer: Observer) -> None:
        self._db = db
        self._instance = instance
        self._trust = trust
        self._interval = interval
        self._observer = observer
        self._died = asyncio.Event()
        self.draining = False
        self.hint = Hint()

    async def beat(self) -> float:
        """Send one heartbeat. Raises StoreUnavailable. After our death it only waits to be cancelled."""
        if self._died.is_set():
            return self._interval
        asked_at = asyncio.get_running_loop().time()
        reach(Point.BEATING)
        if await instances.beat(self._db, self._instance, draining=self.draining):
            self._trust.extend(asked_at)
        else:
            self._trust.dead = True
            self._died.set()
        return self._interval

    async def until_dead(self) -> None:
        """Raise DeclaredDead once another instance has said so."""
        await self._died.wait()
        raise DeclaredDead(f"instance {self._instance} was declared dead; its runs are resolved by another")

    async def run(self) -> None:
        """Beat for ever: also while the services have ended and scripts still run."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(repeat("heartbeat", self.beat, hint=self.hint, observer=self._observer))
            tasks.create_task(self._watch())

    async def _watch(self) -> None:
        """Tell when trust is lost and when it returns."""
        trusted = True
        while True:
            now = self._trust.lives()
            self._observer.heartbeat(now)
            if now != trusted:
                if now:
                    log.info("trust_regained")
                else:
                    log.warning(
                        "trust_lost",
                        message="the database confirmed no heartbeat in time: nothing is started until it does",
                        todo="see whether the database can be reached",
                    )
                trusted = now
            await asyncio.sleep(min(self._interval, 1.0))
