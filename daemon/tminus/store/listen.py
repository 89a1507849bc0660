"""LISTEN on the channel `tminus`, on a connection of its own. A hint that saves waiting, and never relied on.

The connection is proved by a round trip every few seconds, since a server that froze looks alive to a listener; after a
reconnect a hint is given, because what was told meanwhile is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg
import structlog

from tminus.errors import StoreError
from tminus.store.pool import store_errors

_PROBE_EVERY = 10.0  # seconds
_ANSWER_WITHIN = 5.0
_RECONNECT_AFTER = 3.0

log = structlog.get_logger()


async def listen(dsn: str, heard: Callable[[], None]) -> None:
    """Call `heard` at each notification, for ever. Database trouble is outlived; ends by being cancelled."""
    while True:
        try:
            await _listen_once(dsn, heard)
        except StoreError as error:
            log.debug("listen_lost", error=str(error))
        await asyncio.sleep(_RECONNECT_AFTER)


async def _listen_once(dsn: str, heard: Callable[[], None]) -> None:
    async with store_errors("listen"):
        connection = await asyncpg.connect(
            dsn, timeout=_ANSWER_WITHIN, server_settings={"application_name": "tminus listen"}
        )
        try:
            await connection.add_listener("tminus", lambda *_: heard())
            heard()
            while True:
                await asyncio.sleep(_PROBE_EVERY)
                await connection.fetchval("select 1", timeout=_ANSWER_WITHIN)
        finally:
            connection.terminate()
