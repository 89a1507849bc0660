"""The numbers that only the database knows, for a scrape.

Every daemon of a database exports the same ones: whoever adds them up takes the maximum over the instances. While the
database is away they vanish after half a minute, and `tminus_store_up` says why: an old number is worse than none.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tminus.errors import StoreError
from tminus.store.gauges import StoreGauges, StoreSizes, read_gauges, read_sizes
from tminus.store.pool import Database

_PATIENCE = 2.0  # seconds that a scrape waits for the database
_SHOWN_FOR = 30.0  # seconds after which a number is not shown any more
_SIZES_EVERY = 300.0  # seconds
_SIZES_AGAIN_AFTER = 30.0  # where they could not be had
_SIZES_SHOWN_FOR = 900.0

log = structlog.get_logger()

_T = TypeVar("_T")


class StoreNumbers(Collector):
    """Reads the numbers when asked to, and shows those that are fresh. `failed` hears of each read that failed."""

    def __init__(self, db: Database, *, failed: Callable[[], None], now: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._failed = failed
        self._now = now
        self._reading = asyncio.Lock()
        self._failing = False
        self._up: bool | None = None  # not asked yet
        self._gauges: tuple[float, StoreGauges] | None = None
        self._sizes: tuple[float, StoreSizes] | None = None
        self._sizes_due_at = -math.inf

    async def refresh(self) -> None:
        """Ask the database; a scrape waits two seconds for that at most, and one scrape asks for all."""
        if self._reading.locked():
            return
        async with self._reading:
            gauges = await self._ask(read_gauges(self._db))
            self._up = gauges is not None
            if gauges is None:
                return
            self._gauges = (self._now(), gauges)
            if self._now() >= self._sizes_due_at:
                sizes = await self._ask(read_sizes(self._db))
                if sizes is not None:
                    self._sizes = (self._now(), sizes)
                self._sizes_due_at = self._now() + (_SIZES_AGAIN_AFTER if sizes is None else _SIZES_EVERY)

    async def _ask(self, question: Awaitable[_T]) -> _T | None:
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await question
        except (StoreError, TimeoutError) as error:
            self._failed()
            if not self._failing:
                log.warning(
                    "numbers_not_read",
                    error=str(error) or f"no answer within {_PATIENCE} s",
                    message="What only the database knows is missing in the metrics until it answers.",
                )
            self._failing = True
            return None
        if self._failing:
            log.info("numbers_read_again")
        self._failing = False
        return answer

    def collect(self) -> Iterator[Metric]:
        if self._up is not None:
            yield _gauge(
                "tminus_store_up", "1 if the database answered when it was last asked for its numbers", self._up
            )
        if self._gauges is not None:
            read_at, gauges = self._gauges
            age = self._now() - read_at
            yield _gauge("tminus_store_read_age_seconds", "Age of the numbers that the database told", age)
            if age <= _SHOWN_FOR:
                yield from _gauges(gauges)
        if self._sizes is not None:
            read_at, sizes = self._sizes
            if self._now() - read_at <= _SIZES_SHOWN_FOR:
                yield from _sizes(sizes)


def _gauges(gauges: StoreGauges) -> Iterator[Metric]:
    yield _gauge("tminus_launches_running", "Launches that are not finished", gauges.running_launches)
    yield _gauge("tminus_site_runs_pending", "Site runs of running launches that wait", gauges.pending_sites)
    yield _gauge(
        "tminus_sites_unserved",
        "Sites that wait in a launch, or are due within an hour, and that no living daemon can serve",
        gauges.unserved_sites,
    )
    yield _gauge("tminus_site_runs_unknown", "Site runs whose outcome a person has to find out", gauges.unknown_sites)
    yield _gauge(
        "tminus_sites_busy",
        "Routers on which a script may still be running although its run has ended; nothing starts there",
        gauges.busy_sites,
    )
    yield _gauge(
        "tminus_lost_starts",
        "Starts that the database forgot; all is paused until a person resumes",
        gauges.lost_starts,
    )
    yield _gauge(
        "tminus_lost_acts",
        "Hosts' latest acts of people that the database forgot; all is paused until a person resumes",
        gauges.lost_acts,
    )
    yield _gauge(
        "tminus_scripts_set_aside",
        "Scheduled scripts that are not run, since the daemon died three times while it ran them",
        gauges.set_aside_scripts,
    )
    yield _gauge(
        "tminus_site_run_overrun_seconds",
        "How far the oldest running site run is past its site_timeout; 0 if none is",
        gauges.longest_overrun_seconds,
    )
    yield _gauge(
        "tminus_scripts_unauthorized_soon",
        "Scheduled scripts that are due within an hour and not authorized",
        gauges.unauthorized_scripts,
    )
    yield _gauge(
        "tminus_next_launch_timestamp_seconds",
        "Unix time of the first authorized launch that was not made yet; +Inf if there is none",
        math.inf if gauges.next_launch_at is None else gauges.next_launch_at,
    )
    yield _gauge(
        "tminus_launches_missed_recently",
        "Launches of the last 24 hours that were not started in time, or not authorized in time",
        gauges.missed_launches,
    )
    yield _gauge("tminus_cleanup_debts", "Files of ours that still lie on routers", gauges.cleanup_debts)
    yield _gauge(
        "tminus_cleanup_debt_age_seconds", "Age of the oldest file of ours on a router", gauges.oldest_debt_seconds
    )
    yield _gauge("tminus_letters_waiting", "Letters to people that are not delivered yet", gauges.letters_waiting)
    yield _gauge(
        "tminus_letters_failed_recently",
        "Letters of the last 24 hours that could not be delivered",
        gauges.letters_failed,
    )
    yield _gauge(
        "tminus_store_notification_queue_ratio",
        "How full PostgreSQL's queue of notifications is; at 1 nothing can be written that others are told of",
        gauges.notification_queue,
    )


def _sizes(sizes: StoreSizes) -> Iterator[Metric]:
    yield _gauge("tminus_database_bytes", "Size of the whole database on disk", sizes.database_bytes)
    kept = GaugeMetricFamily(
        "tminus_kept_bytes",
        "Size on disk of what is kept; site_runs holds outputs and differences",
        labels=["kind"],
    )
    kept.add_metric(["backups"], sizes.backup_bytes)
    kept.add_metric(["site_runs"], sizes.site_run_bytes)
    kept.add_metric(["events"], sizes.event_bytes)
    yield kept


def _gauge(name: str, says: str, value: float) -> Metric:
    return GaugeMetricFamily(name, says, value=value)
