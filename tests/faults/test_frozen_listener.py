"""A connection that hears nothing any more, though nobody has closed it: a listener finds that out by itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from tests.faults.proxy import Proxy, proxied
from tests.faults.rig import database_target
from tests.support import Db, until
from tminus.store.listen import listen


def freeze(proxy: Proxy) -> None:
    proxy.freeze()


def swallow(proxy: Proxy) -> None:
    """What the server says is lost on the way, as in a firewall that has forgotten the connection."""
    proxy.down.swallows = True


@pytest.mark.fault("F8", "listener frozen")
@pytest.mark.parametrize("fail", [freeze, swallow])
async def test_what_was_told_to_a_listener_that_could_not_hear_is_a_hint_once_it_hears_again(
    database: Db, fail: Callable[[Proxy], None]
) -> None:
    hints = 0

    def heard() -> None:
        nonlocal hints
        hints += 1

    async def hears(more_than: int) -> None:
        async def look() -> bool:
            return hints > more_than

        await until(look, every=0.01)

    async with proxied(database_target(database.dsn)) as proxy:
        name = urlsplit(database.dsn).path
        dsn = f"postgresql://tminus_serve@127.0.0.1:{proxy.port}{name}?sslmode=disable"
        task = asyncio.create_task(listen(dsn, heard, reconnect_after=0.05, probe_every=0.2, answer_within=1.0))
        try:
            await hears(0)
            fail(proxy)
            before = hints
            await database.run("notify tminus, 'into the void'")

            async def gave_up() -> bool:
                return proxy.accepted > 1

            await until(gave_up)
            assert hints == before
            proxy.thaw()
            await hears(before)
            before = hints
            await database.run("notify tminus, 'x'")
            await hears(before)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
