"""Sites: the inventory, one site with what was run on it, and the exports that are kept of it."""

from __future__ import annotations

import json

from aiohttp import web

from tminus.web.board.page import Visit, plain, row, rows
from tminus.web.call import make_cursor, read_cursor
from tminus.web.problems import Code, Problem

_PAGE = 60
_RUNS = 30
_BACKUPS = 20


async def show_all(visit: Visit) -> web.StreamResponse:
    (after,) = read_cursor(visit.asked("cursor", 400), str)
    async with visit.db.transaction("list sites") as transaction:
        found = await rows(transaction, "find_sites", visit.asked("q"), after, _PAGE + 1)
    cursor = make_cursor(found[_PAGE - 1]["id"]) if len(found) > _PAGE else None
    return visit.page(
        "sites.html",
        {
            "found": found[:_PAGE],
            "asked": {"q": visit.asked("q") or ""},
            "cursor": cursor,
        },
    )


async def show(visit: Visit) -> web.StreamResponse:
    site_id = str(visit.ids["site_id"])
    (before,) = read_cursor(visit.asked("cursor", 400), int)
    async with visit.db.transaction("show a site") as transaction:
        document = await row(transaction, "site_for_api", site_id)
        if document is None:
            raise Problem(Code.NOT_FOUND, f"there is no site {site_id!r}")
        runs = await rows(transaction, "runs_of_site", site_id, before, _RUNS + 1)
        backups = await rows(transaction, "list_backups", site_id, None, _BACKUPS)
    cursor = make_cursor(runs[_RUNS - 1]["id"]) if len(runs) > _RUNS else None
    return visit.page(
        "site.html",
        {
            "site": json.loads(document[0]),
            "runs": runs[:_RUNS],
            "backups": backups,
            "cursor": cursor,
        },
    )


async def show_backup(visit: Visit) -> web.StreamResponse:
    """A stored export, as it is: somebody may want to compare it, or give it to a router."""
    phase = str(visit.ids["phase"])
    run_id = visit.number("site_run_id")
    if phase not in ("before", "after"):
        raise Problem(Code.NOT_FOUND, "an export is of before or after")
    async with visit.db.transaction("read an export") as transaction:
        found = await row(transaction, "site_run_backup", run_id, phase)
    if found is None:
        raise Problem(Code.NOT_FOUND, f"no export from {phase} site run {run_id} is stored")
    return plain(f"{found['header']}\n{found['text']}" if found["header"] else str(found["text"]))
