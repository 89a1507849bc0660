"""Numbers for the metrics that only the database knows."""

from __future__ import annotations

from dataclasses import dataclass

from tminus.store.pool import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreGauges:
    """How it stands. `next_launch_at` is Unix time, of the first authorized launch that was not made yet."""

    running_launches: int
    pending_sites: int
    unserved_sites: int
    unknown_sites: int
    busy_sites: int
    lost_starts: int
    lost_acts: int
    set_aside_scripts: int
    longest_overrun_seconds: float
    unauthorized_scripts: int
    next_launch_at: float | None
    missed_launches: int
    cleanup_debts: int
    oldest_debt_seconds: float
    letters_waiting: int
    letters_failed: int
    notification_queue: float  # how full it is, 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSizes:
    """Bytes on disk, indexes included. Site runs hold the outputs and the differences."""

    database_bytes: int
    backup_bytes: int
    site_run_bytes: int
    event_bytes: int


async def read_gauges(db: Database) -> StoreGauges:
    row = await db.fetchrow("gauges")
    assert row is not None  # noqa: S101 - a select without FROM has one row
    return StoreGauges(**dict(row))


async def read_sizes(db: Database) -> StoreSizes:
    row = await db.fetchrow("sizes")
    assert row is not None  # noqa: S101
    return StoreSizes(**dict(row))
