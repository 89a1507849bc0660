"""Windows: which still have to be planned, and writing when each is open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tminus.domain.windows import Span
from tminus.store.pool import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class UnplannedWindow:
    """A window as it was when it was read. The rules are those that tminus.is_weekly_rule let through."""

    name: str
    timezone: str
    weekly: tuple[str, ...]
    spans: tuple[Span, ...]
    updated_at: datetime
    now: datetime


async def unplanned_windows(db: Database, *, limit: int) -> list[UnplannedWindow]:
    rows = await db.fetch("unplanned_windows", limit)
    return [
        UnplannedWindow(
            name=row["name"],
            timezone=row["timezone"],
            weekly=tuple(row["weekly"]),
            spans=tuple(Span(span.lower, span.upper) for span in row["spans"]),
            updated_at=row["updated_at"],
            now=row["now"],
        )
        for row in rows
    ]


async def plan_window(db: Database, window: UnplannedWindow, opening: Span | None) -> bool:
    """Write when `window` is open next. False: it was changed or removed meanwhile."""
    begins, ends = (opening.begins, opening.ends) if opening is not None else (None, None)
    return await db.fetchrow("plan_window", window.name, window.updated_at, begins, ends) is not None
