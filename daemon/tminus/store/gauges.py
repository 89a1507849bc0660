"""Numbers for the metrics that only the database knows."""

from __future__ import annotations

from dataclasses import dataclass

from tminus.store.pool import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreGauges:
    running_launches: int
    pending_sites: int
    unknown_sites: int
    cleanup_debts: int
    longest_overrun_seconds: float


async def read_gauges(db: Database) -> StoreGauges:
    row = await db.fetchrow("gauges")
    assert row is not None  # noqa: S101 - a select without FROM has one row
    return StoreGauges(**dict(row))
