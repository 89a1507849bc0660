"""What was: launches and scheduled scripts, searched, and the audit trail. A page at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from aiohttp import web

from tminus.domain.endings import LaunchState
from tminus.web.board.page import Visit, rows
from tminus.web.call import make_cursor, read_cursor
from tminus.web.problems import Code, Problem

_PAGE = 30
_EVENTS = 100
LAUNCH_STATES = tuple(map(str, LaunchState))
STATUSES = ("unauthorized", "scheduled", "launched", "cancelled")


async def show_launches(visit: Visit) -> web.StreamResponse:
    search = _search(visit, LAUNCH_STATES)
    at, last = read_cursor(visit.asked("cursor", 400), datetime, UUID)
    async with visit.db.transaction("search launches") as transaction:
        found = await rows(transaction, "search_launches", *search.values(), at, last, _PAGE + 1, None)
    cursor = make_cursor(found[_PAGE - 1]["due_at"], found[_PAGE - 1]["id"]) if len(found) > _PAGE else None
    return visit.page(
        "history.html",
        {
            "of": "launches",
            "found": found[:_PAGE],
            "states": LAUNCH_STATES,
            "asked": _asked(visit),
            "cursor": cursor,
        },
    )


async def show_scripts(visit: Visit) -> web.StreamResponse:
    search = _search(visit, STATUSES)
    at, last = read_cursor(visit.asked("cursor", 400), datetime, UUID)
    async with visit.db.transaction("search scheduled scripts") as transaction:
        found = await rows(transaction, "search_scripts", *search.values(), at, last, _PAGE + 1)
    cursor = make_cursor(found[_PAGE - 1]["created_at"], found[_PAGE - 1]["id"]) if len(found) > _PAGE else None
    return visit.page(
        "history.html",
        {
            "of": "scripts",
            "found": found[:_PAGE],
            "states": STATUSES,
            "asked": _asked(visit),
            "cursor": cursor,
        },
    )


async def show_events(visit: Visit) -> web.StreamResponse:
    (before,) = read_cursor(visit.asked("cursor", 400), int)
    of_launch, of_script = (_uuid(visit, name) for name in ("launch", "script"))
    async with visit.db.transaction("show events") as transaction:
        match of_launch, of_script:
            case UUID(), _:
                found = await rows(transaction, "list_events_of_launch", before, _EVENTS + 1, of_launch)
            case None, UUID():
                found = await rows(transaction, "list_events_of_script", before, _EVENTS + 1, of_script)
            case _:
                found = await rows(transaction, "list_events", before, _EVENTS + 1)
    cursor = make_cursor(found[_EVENTS - 1]["id"]) if len(found) > _EVENTS else None
    asked = {"launch": visit.asked("launch") or "", "script": visit.asked("script") or ""}
    return visit.page(
        "events.html",
        {
            "found": found[:_EVENTS],
            "asked": asked,
            "cursor": cursor,
        },
    )


def _search(visit: Visit, states: tuple[str, ...]) -> dict[str, object]:
    """Return what is searched for, in the order of the statements."""
    return {
        "q": visit.asked("q"),
        "site": visit.asked("site"),
        "state": visit.one_of("state", *states),
        "person": visit.asked("person"),
        "from": _moment(visit, "from"),
        "to": _moment(visit, "to"),
    }


def _asked(visit: Visit) -> dict[str, str]:
    return {name: visit.asked(name) or "" for name in ("q", "site", "state", "person", "from", "to")}


def _moment(visit: Visit, name: str) -> datetime | None:
    text = visit.asked(name)
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Problem(Code.INVALID, f"{name} is a time such as 2026-11-25T02:00, in UTC") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _uuid(visit: Visit, name: str) -> UUID | None:
    text = visit.asked(name)
    try:
        return None if text is None else UUID(text)
    except ValueError:
        raise Problem(Code.INVALID, f"{name} is an id") from None
