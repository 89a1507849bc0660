"""How late the event loop is: what blocks it delays every router, every heartbeat and every answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_EVERY = 0.25  # seconds


async def watch_loop_lag(observe: Callable[[float], None]) -> None:
    """Tell, four times a second and for ever, by how many seconds a wake-up came too late."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _EVERY
        await asyncio.sleep(_EVERY)
        observe(max(loop.time() - due, 0.0))
