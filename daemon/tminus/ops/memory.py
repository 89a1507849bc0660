"""What the process does about its own memory: garbage is looked for seldom, and what was freed goes back to the system."""

from __future__ import annotations

import asyncio
import ctypes
import gc

_EVERY = 120.0  # seconds


def collect_seldom() -> None:
    """Look for cycles more seldom than Python does by itself, and no more among what is loaded by now, which stays.

    Of the many objects that come and go with a session hardly any are in cycles. To look for those as often as Python would
    takes a twentieth of the daemon's processor time, and more than a tenth of a simulated fleet's: each look goes through all
    that the open sessions hold. What is in cycles (2 KB a session, asyncio's transport) is freed by the looks that come all
    the same.
    """
    gc.freeze()
    gc.set_threshold(10_000, 10, 2)


def give_back() -> None:
    """Return to the system the pages that nothing is in any more; nothing happens where the C library is not glibc.

    Exports are large and short-lived, and lie between what is small and stays: glibc keeps the holes, and new ones are made
    faster than old ones fit (measured under faults: 0.7 MiB a minute, with not a byte more in use). Takes some milliseconds.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


async def keep_giving_back(every: float = _EVERY) -> None:
    """Give memory back `every` so many seconds, for ever, beside the event loop."""
    while True:
        await asyncio.sleep(every)
        await asyncio.to_thread(give_back)
