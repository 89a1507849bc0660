"""What comes next: the clock of the next launch, what runs, what waits for a person, and what holds things back."""

from __future__ import annotations

from datetime import datetime

import asyncpg
from aiohttp import web

from tminus.web.board import cells
from tminus.web.board.page import Visit, row, rows

_UPCOMING = 50
_RECENT = 8
_UNKNOWN = 50


async def show(visit: Visit) -> web.StreamResponse:
    async with visit.db.transaction("show what comes next") as transaction:
        await transaction.execute("set transaction isolation level repeatable read, read only")
        now = await transaction.fetchval("select tminus.clock()")
        upcoming = await rows(transaction, "upcoming", _UPCOMING)
        going = await rows(transaction, "running_launches_for_board")
        recent = await rows(transaction, "recent_launches", _RECENT)
        freezes = await rows(transaction, "freezes")
        unknown = await rows(transaction, "unresolved_runs", None, _UNKNOWN)
        lost = await rows(transaction, "lost_starts")
        acts = await rows(transaction, "lost_acts")
        holds = await rows(transaction, "open_holds")
        aside = await rows(transaction, "set_aside")
        suspects = await rows(transaction, "suspects")
        busy = await rows(transaction, "busy_sites")
        instances = await rows(transaction, "living_instances")
        mark = await row(transaction, "outlook_mark", _UPCOMING)
    launches = [_going(each) for each in going]
    following = next((each for each in upcoming if each["authorized"] and each["launch_at"] is not None), None)
    waiting = [each for each in upcoming if not each["authorized"]]
    return visit.page(
        "outlook.html",
        {
            "clock": now,
            "following": following,
            "is_late": following is not None and _is_past(following["launch_at"], now),
            "upcoming": upcoming,
            "waiting": waiting,
            "launches": launches,
            "recent": recent,
            "freezes": freezes,
            "unknown": unknown,
            "lost": lost,
            "acts": acts,
            "holds": holds,
            "aside": aside,
            "suspects": suspects,
            "busy": busy,
            "is_served": any(each["state"] == "alive" and not each["silent"] for each in instances),
            "instances": instances,
            "mark": "" if mark is None else mark["mark"],
            "most": _UPCOMING,
        },
    )


def _going(each: asyncpg.Record) -> dict[str, object]:
    letters = each["cells"]
    return {
        **{name: value for name, value in each.items() if name != "cells"},
        "counts": cells.counts(letters),
        "ready": cells.ready(letters),
        "sites": len(letters),
    }


def _is_past(at: datetime, now: datetime) -> bool:
    return at < now
