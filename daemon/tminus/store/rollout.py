"""The rollout of launches: what is known of their waves, and what is decided about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from tminus.domain.rollout import Amount, Limits, Tally
from tminus.store.pool import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutState:
    """One launch as far as its rollout goes. `wave` of its `waves` are open; `ended_at` is when the last of those ended."""

    launch: UUID
    script: UUID
    description: str
    wave: int
    waves: tuple[Tally, ...]
    limits: Limits
    pause: timedelta
    confirm: bool
    confirm_within: timedelta
    confirmed_wave: int
    ended_at: datetime | None
    paused_at: datetime | None
    paused_by: str | None
    now: datetime


async def rollout_states(db: Database) -> list[RolloutState]:
    """Return the launches about whose rollout there is something to decide."""
    return [_state(row) for row in await db.fetch("rollout_states")]


async def stopped_launches(db: Database, launches: Iterable[UUID]) -> set[UUID]:
    """Return those of which nothing may start now."""
    return {row["id"] for row in await db.fetch("stopped_launches", list(launches))}


async def open_wave(db: Database, launch: UUID, wave: int) -> bool:
    """Open a wave. False: another did, or the launch is stopped."""
    return bool((await db.call("select tminus.open_wave($1, $2)", launch, wave))[0][0])


async def ask_wave(db: Database, launch: UUID, wave: int) -> bool:
    """Note that a wave waits for a person. False: that was noted before."""
    return bool((await db.call("select tminus.ask_wave($1, $2)", launch, wave))[0][0])


async def halt(db: Database, launch: UUID, wave: int, reason: str, *, unattended: bool) -> bool:
    """Stop a launch, of which `wave` waves are open. False: it is not as it was when that was decided."""
    return bool((await db.call("select tminus.halt($1, $2, $3, $4)", launch, wave, reason, unattended))[0][0])


def _state(row: asyncpg.Record) -> RolloutState:
    tallies = zip(row["sites"], row["open"], row["completed"], row["failed"], row["offline"], strict=True)
    return RolloutState(
        launch=row["launch_id"],
        script=row["script_id"],
        description=row["description"],
        wave=row["wave"],
        waves=tuple(
            Tally(sites=sites, open=still, completed=completed, failed=failed, offline=offline)
            for sites, still, completed, failed, offline in tallies
        ),
        limits=Limits(
            failures=_amount(row["max_failures"]),
            failures_in_wave=_amount(row["max_failures_in_wave"]),
            offline=_amount(row["max_offline"]),
        ),
        pause=row["wave_pause"],
        confirm=row["wave_confirm"],
        confirm_within=row["confirm_within"],
        confirmed_wave=row["confirmed_wave"],
        ended_at=row["ended_at"],
        paused_at=row["paused_at"],
        paused_by=row["paused_by"],
        now=row["now"],
    )


def _amount(text: str | None) -> Amount | None:
    return None if text is None else Amount.parse(text)
