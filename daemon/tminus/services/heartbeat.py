"""Owns this instance's row, and knows whether this instance may still start anything.

The protocol::

    this instance                          the database                        another instance
    -------------                          ------------                        ----------------
    reads its intent log
    connects, and says what it started --> is a start unknown? lost_starts:
         (on each new connection)          nothing is started by anyone
    registers ---------------------------> alive, settled on this server
    t0 = now()
    heartbeat ---------------------------> heartbeat_at = clock()
         <-------------------------------- still alive
    trusted until t0 + ttl - margin
    claims what waits -------------------> pending -> running, ours
    uploads, asks: may it start? --------> commit of executing: demands a live
         <-------------------------------- heartbeat, ours, not held back
    a line in the intent log, on the disk
    a channel of the router, however
    long it takes: still trusted? start
        ...                                                                    reap: heartbeat_at + ttl < clock()?
                                           state = dead, for ever <----------- its runs: before the point of no return
    heartbeat ---------------------------> no row                              -> pending; past it -> resolved on
         <-------------------------------- dead                                the router, file fence first
    starts nothing, aborts what is before
    the point of no return, listens to
    what is past it, ends (exit code 6)

What may be concluded. By an instance: it lives for as long as a heartbeat that was sent less than ttl - margin ago was
confirmed, and by nothing else; t0 is taken before the heartbeat is sent, time passes for it while the machine is suspended,
and the margin covers the difference of the clocks' speed, so that its window always closes before the database's does. By a
reaper: that a silent instance can write nothing any more, and so that what it had not started will not be started by it;
nothing about any router. Where the database stood still all are silent, so who was silent itself concludes nothing until the
others had their ttl to be heard of (tminus.reap). By a resolver: that a run never started, only after its uploaded file is
seen to be gone.

Fences stand one behind the other. The commit of executing demands a live heartbeat in the same statement; every write names
the instance and the state in its WHERE, and triggers refuse what goes round that; a process that sleeps through all of
this looks at its trust once more before it sends; and if it sends all the same, its file was deleted by whoever resolved
the run. What a dead instance still holds open, since it was frozen in the middle of a transaction or statement, the database
ends: idle transactions after the ttl, all others when the reaper asks (store/sql/cut_off_the_dead.sql), so that what it had
is never held for as long as it sleeps. A server that was set back is fenced by store/history.py, and an instance that lost
nothing waits for the others to have looked (tminus.is_unsettled).

It must never extend its trust by anything but an answer of the database. It fails by ending the process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
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


def _clock() -> float:
    """Seconds that also pass while the machine is suspended, where the system has such a clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Trust:
    """Whether this instance can prove that it lives. `now`: seconds of a clock that nobody sets."""

    def __init__(self, *, ttl: float, margin: float, now: Callable[[], float] = _clock) -> None:
        self._window = ttl - margin
        self.now = now
        self._until = float("-inf")
        self.dead = False

    def extend(self, asked_at: float) -> None:
        """The database answered a heartbeat that was sent at `asked_at` (`now`)."""
        self._until = max(self._until, asked_at + self._window)

    def lives(self) -> bool:
        return not self.dead and self.now() < self._until

    def age(self) -> float:
        """Seconds since the last heartbeat that the database confirmed was sent; infinite before the first."""
        return self.now() - (self._until - self._window)

    def seconds_left(self) -> float:
        return self._until - self.now()


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
        asked_at = self._trust.now()
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
