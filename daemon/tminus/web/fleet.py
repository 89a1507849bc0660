"""When and where anything may start at all: what comes next, freezes, windows, and caps on tags."""

from __future__ import annotations

import json
from datetime import datetime

import asyncpg

from tminus.domain.canonical import moment_text
from tminus.web.call import Answer, Call
from tminus.web.fleet_models import CapBody, NewFreeze, Thaw, UpcomingQuery, WindowBody
from tminus.web.problems import Code, Problem


async def list_upcoming(call: Call) -> Answer:
    """Show the next ones alone, so there is no further page."""
    rows = await call.rows("upcoming", call.query_as(UpcomingQuery).limit)
    return Answer(
        text=json.dumps(
            [
                {
                    "script_id": str(row["script_id"]),
                    "description": row["description"],
                    "launch_at": _moment(row["launch_at"]),
                    "t_minus": row["t_minus"],
                    "cron": row["cron"],
                    "timezone": row["timezone"],
                    "authorized": row["authorized"],
                    "authorized_by": row["authorized_by"],
                    "created_by": row["created_by"],
                    "sites": row["sites"],
                    "frozen": row["frozen"],
                    "launches_left": row["launches_left"],
                }
                for row in rows
            ]
        )
    )


async def list_freezes(call: Call) -> Answer:
    return Answer(text=json.dumps([_freeze(row) for row in await call.rows("freezes")]))


async def freeze(call: Call) -> Answer:
    new = call.body_as(NewFreeze)
    number = await call.value("freeze", new.tag, new.until, None, new.reason, call.person.name)
    (row,) = [row for row in await call.rows("freezes") if row["id"] == number]
    return Answer(text=json.dumps(_freeze(row)), status=201)


async def thaw(call: Call) -> Answer:
    """End it; answers with what is still in force."""
    await call.value("thaw", call.ids["freeze_id"], call.body_as(Thaw).note, call.person.name)
    return await list_freezes(call)


def _freeze(row: asyncpg.Record) -> dict[str, object]:
    return {
        "id": row["id"],
        "tag": row["tag"],
        "until": moment_text(row["until"]),
        "reason": row["reason"],
        "since": moment_text(row["since"]),
        "frozen_by": row["frozen_by"],
    }


async def list_windows(call: Call) -> Answer:
    return Answer(text=json.dumps([_window(row) for row in await call.rows("list_windows")]))


async def show_window(call: Call) -> Answer:
    return Answer(text=json.dumps(await _the_window(call)))


async def put_window(call: Call) -> Answer:
    """Make one, or replace its rules. It is closed until a daemon has planned it, which takes a moment."""
    body = call.body_as(WindowBody)
    await call.value("act_for", call.person.name)
    made = await call.row(
        "set_window",
        call.ids["window"],
        body.timezone,
        body.weekly,
        [span.begins for span in body.spans],
        [span.ends for span in body.spans],
        body.scope,
        body.tag,
    )
    is_new = made is not None and bool(made["is_new"])
    return Answer(text=json.dumps(await _the_window(call)), status=201 if is_new else 200)


async def remove_window(call: Call) -> Answer:
    window = await _the_window(call)
    await call.value("act_for", call.person.name)
    await call.value("remove_window", call.ids["window"])
    return Answer(text=json.dumps(window))


async def _the_window(call: Call) -> dict[str, object]:
    for row in await call.rows("list_windows"):
        if row["name"] == call.ids["window"]:
            return _window(row)
    raise Problem(Code.NOT_FOUND, f"there is no window {call.ids['window']!r}")


def _window(row: asyncpg.Record) -> dict[str, object]:
    return {
        "name": row["name"],
        "timezone": row["timezone"],
        "weekly": row["weekly"],
        "spans": [{"begins": moment_text(span.lower), "ends": moment_text(span.upper)} for span in row["spans"]],
        "scope": row["scope"],
        "tag": row["tag"],
        "is_open": row["is_open"],
        "opens_at": _moment(row["opens_at"]),
        "closes_at": _moment(row["closes_at"]),
        "updated_at": moment_text(row["updated_at"]),
        "updated_by": row["updated_by"],
    }


def _moment(at: datetime | None) -> str | None:
    return None if at is None else moment_text(at)


async def list_caps(call: Call) -> Answer:
    return Answer(text=json.dumps([_cap(row) for row in await call.rows("list_caps")]))


async def put_cap(call: Call) -> Answer:
    await call.row("cap_tag", call.ids["tag"], call.body_as(CapBody).max_running, call.person.name)
    return Answer(text=json.dumps(await _the_cap(call)))


async def lift_cap(call: Call) -> Answer:
    cap = await _the_cap(call)
    await call.row("cap_tag", call.ids["tag"], None, call.person.name)
    return Answer(text=json.dumps(cap))


async def _the_cap(call: Call) -> dict[str, object]:
    for row in await call.rows("list_caps"):
        if row["tag"] == call.ids["tag"]:
            return _cap(row)
    raise Problem(Code.NOT_FOUND, f"the tag {call.ids['tag']!r} is not capped")


def _cap(row: asyncpg.Record) -> dict[str, object]:
    return {
        "tag": row["tag"],
        "max_running": row["max_running"],
        "running": row["running"],
        "sites": row["sites"],
        "set_at": moment_text(row["set_at"]),
        "set_by": row["set_by"],
    }
