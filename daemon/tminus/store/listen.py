"""LISTEN on the channel `tminus`, on a connection of its own. A hint that saves waiting, and never relied on.

A connection that ends is noticed at once; one to a server that froze looks alive to a listener, so it is proved by a
round trip every few seconds. After a reconnect a hint is given, because what was told meanwhile is lost. Any login may tell
anything, as fast as it can: so that a flood costs little, there are no more hints than a few a second.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import asyncpg
import structlog

from tminus.errors import StoreError
from tminus.store.pool import store_errors

_AT_ONCE = 10  # hints that are given without a pause between them
_EVERY = 0.1  # seconds between those that follow

log = structlog.get_logger()


async def listen(
    dsn: str,
    heard: Callable[[], None],
    *,
    reconnect_after: float = 3.0,
    probe_every: float = 10.0,
    answer_within: float = 5.0,
) -> None:
    """Call `heard` at each notification, for ever. Database trouble is outlived; ends by being cancelled.

    In seconds: the pause before a lost connection is made anew, how often it is proved, and how long that may take.
    """
    while True:
        try:
            await _listen_once(dsn, heard, probe_every, answer_within)
        except StoreError as error:
            log.debug("listen_lost", error=str(error))
        await asyncio.sleep(reconnect_after)


async def _listen_once(dsn: str, heard: Callable[[], None], probe_every: float, answer_within: float) -> None:
    async with store_errors("listen"):
        connection = await asyncpg.connect(
            dsn,
            timeout=answer_within,
            command_timeout=answer_within,
            server_settings={"application_name": "tminus listen"},
        )
        ended = asyncio.Event()
        hints = _Hints(heard)
        try:
            connection.add_termination_listener(lambda _: ended.set())
            await connection.add_listener("tminus", lambda *_: hints.tell())
            hints.tell()
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(probe_every):
                        await ended.wait()
                await connection.fetchval("select 1")
        finally:
            hints.end()
            connection.terminate()


class _Hints:
    """Gives each hint at once, a cancel among them; in a flood, what is told soon after another together."""

    def __init__(self, heard: Callable[[], None]) -> None:
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._free_at = float("-inf")  # from when on as many as may be are given at once
        self._next: asyncio.TimerHandle | None = None

    def tell(self) -> None:
        if self._next is None:
            wait = self._free_at - (_AT_ONCE - 1) * _EVERY - self._loop.time()
            if wait <= 0:
                self._give()
            else:
                self._next = self._loop.call_later(wait, self._give)

    def end(self) -> None:
        if self._next is not None:
            self._next.cancel()

    def _give(self) -> None:
        self._next = None
        self._free_at = max(self._free_at, self._loop.time()) + _EVERY
        self._heard()
