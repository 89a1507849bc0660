"""How many requests a person may make: a bucket each, which fills up again as time goes by, and so many at the same time."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tminus.web.problems import Code, Problem

_PATIENCE = 10.0
"""Seconds that a request waits for its turn."""
_MOST_PEOPLE = 10_000
"""Buckets that are kept. Who was not heard of for longest is forgotten, and begins with a full one."""


class Rates:
    def __init__(self, per_minute: int, *, at_once: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = float(per_minute)
        self._at_once = at_once
        self._under_way: dict[str, tuple[asyncio.Semaphore, int]] = {}  # and who asked for a turn, with those who wait
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what is left, and when

    def wait(self, person: str) -> float:
        """Take one request of `person`; return for how many seconds it is too early, 0 if it may go on."""
        now = self._clock()
        left, then = self._buckets.pop(person, (self._size, now))
        left = min(self._size, left + (now - then) * self._size / 60)
        allowed = left >= 1
        self._buckets[person] = (left - 1 if allowed else left, now)
        if len(self._buckets) > _MOST_PEOPLE:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - left) * 60 / self._size

    def check(self, person: str) -> None:
        """Take one request of `person`; raise Problem if it is too early."""
        if wait := self.wait(person):
            raise self._too_many(person, wait)

    @staticmethod
    def _too_many(person: str, wait: float) -> Problem:
        return Problem(
            Code.TOO_MANY_REQUESTS,
            f"too many requests of {person}",
            headers={"Retry-After": str(math.ceil(wait))},
        )

    @asynccontextmanager
    async def turn(self, person: str) -> AsyncIterator[None]:
        """Wait until `person` has not too much under way: the connections to the database are there for others, too.

        Raises Problem where that takes too long.
        """
        turns, asked = self._under_way.get(person, (asyncio.Semaphore(self._at_once), 0))
        self._under_way[person] = (turns, asked + 1)
        try:
            try:
                async with asyncio.timeout(_PATIENCE):
                    await turns.acquire()
            except TimeoutError:
                raise self._too_many(person, _PATIENCE) from None
            try:
                yield
            finally:
                turns.release()
        finally:
            turns, asked = self._under_way.pop(person)
            if asked > 1:
                self._under_way[person] = (turns, asked - 1)
