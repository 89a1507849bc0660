"""A loop that is blocked shows."""

from __future__ import annotations

import asyncio
import time

from tests.support import until
from tminus.ops.loop_lag import watch_loop_lag


async def test_a_blocked_loop_is_told_with_how_late_it_was() -> None:
    lags: list[float] = []
    watching = asyncio.create_task(watch_loop_lag(lags.append))

    async def told() -> bool:
        return bool(lags)

    await until(told, within=5)
    calm = min(lags)
    time.sleep(0.6)  # noqa: ASYNC251 - what is to be noticed
    lags.clear()
    await until(told, within=5)
    watching.cancel()
    assert lags[0] > 0.25
    assert 0 <= calm < lags[0]
