"""The loop that every polling service is: work, then wait for a hint or the interval, and outlive database trouble."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

import structlog

from tminus.errors import StoreError, StoreUnavailable
from tminus.services.observer import Observer

_LONGEST_BACKOFF = 10.0  # seconds

log = structlog.get_logger()


class Hint:
    """Wakes a service that waits. Losing one costs latency, never work: everybody polls."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def give(self) -> None:
        self._event.set()

    async def wait(self, seconds: float) -> None:
        """Return when a hint was given since the last call, or after `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        self._event.clear()


async def repeat(service: str, work: Callable[[], Awaitable[float]], *, hint: Hint, observer: Observer) -> None:
    """Call `work` for ever; it returns for how many seconds to wait at most. Ends only by being cancelled.

    While the database is away the service goes on asking, with growing pauses, and says so once. A bug, too, concerns this
    service alone: what others do, and scripts that run, must not end for it, least of all again after each restart.
    """
    failures, back = 0, ""
    while True:
        try:
            pause = await work()
        except StoreUnavailable as error:
            failures, back = failures + 1, "store_returned"
            observer.store_failed(service)
            if failures == 1:
                log.warning(
                    "store_unavailable",
                    service=service,
                    error=str(error),
                    message="It is asked again until it answers.",
                )
            pause = _backoff(failures)
        except StoreError:
            failures, back = failures + 1, "store_returned"
            observer.store_failed(service)
            log.exception(
                "store_refused",
                service=service,
                todo="see the error: is a grant missing? has 'tminus migrate' run?",
            )
            pause = _backoff(failures)
        except Exception:
            failures, back = failures + 1, "service_returned"
            observer.broke(service)
            log.exception(
                "service_broke",
                service=service,
                todo="a bug of the daemon; this service tries again, the others go on; report it with this traceback",
            )
            pause = _backoff(failures)
        else:
            if failures:
                log.info(back, service=service, failures=failures)
            failures = 0
            observer.ticked(service)
        if (task := asyncio.current_task()) is not None and task.cancelling():
            # It was told to end, and what failed or was answered at that very moment took the place of that.
            raise asyncio.CancelledError
        await hint.wait(pause)


def _backoff(failures: int) -> float:
    """Return the seconds until the next try."""
    return min(0.2 * 2.0 ** min(failures, 8), _LONGEST_BACKOFF) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
