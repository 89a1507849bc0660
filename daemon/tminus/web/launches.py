"""Launches, site runs and what is kept of them, and the audit trail: all of it to read."""

from __future__ import annotations

import json
from datetime import datetime
from uuid import UUID

from tminus.web.call import Answer, Call, page_of, read_cursor
from tminus.web.fleet_models import Verdict
from tminus.web.models import BackupQuery, EventPage, Page, SiteRunPage
from tminus.web.problems import Code, Problem

_TEXT = "text/plain"
_STOPS_JOBS = "script:authorize"


async def list_launches(call: Call) -> Answer:
    script_id = call.uuid("script_id")
    page = call.query_as(Page)
    at, last = read_cursor(page.cursor, datetime, UUID)
    rows = await call.rows("list_launches", script_id, at, last, page.limit + 1)
    if not rows and await call.value("api_object", script_id) is None:
        raise Problem(Code.NOT_FOUND, f"there is no scheduled script {script_id}")
    return page_of([row["document"] for row in rows], page.limit, [(row["due_at"], row["id"]) for row in rows])


async def show_launch(call: Call) -> Answer:
    return Answer(text=await _launch(call))


async def list_site_runs(call: Call) -> Answer:
    page = call.query_as(SiteRunPage)
    (after,) = read_cursor(page.cursor, int)
    rows = await call.rows("list_site_runs", call.uuid("launch_id"), page.outcome, after, page.limit + 1)
    if not rows:
        await _launch(call)
    return page_of([row["document"] for row in rows], page.limit, [(row["position"],) for row in rows])


async def _launch(call: Call) -> str:
    document = await call.value("launch_for_api", call.uuid("launch_id"))
    if document is None:
        raise Problem(Code.NOT_FOUND, f"there is no launch {call.uuid('launch_id')}")
    return str(document)


async def show_site_run(call: Call) -> Answer:
    document = await call.value("site_run_for_api", call.ids["site_run_id"])
    if document is None:
        raise _no_site_run(call)
    return Answer(text=str(document))


async def resolve_site_run(call: Call) -> Answer:
    """Lay a person's finding beside a site run that is unknown. Nothing is run again.

    To have its job stopped is an act on a router: for those who authorize.
    """
    body = call.body_as(Verdict)
    if body.stop_job and _STOPS_JOBS not in call.person.scopes:
        raise Problem(
            Code.SCOPE_MISSING, f"to have a job stopped needs the scope {_STOPS_JOBS} as well, which you do not have"
        )
    await call.value("resolve", call.ids["site_run_id"], body.verdict, body.note, call.person.name, body.stop_job)
    return await show_site_run(call)


async def show_output(call: Call) -> Answer:
    return await _kept(call, "output")


async def show_diff(call: Call) -> Answer:
    return await _kept(call, "diff")


async def _kept(call: Call, what: str) -> Answer:
    row = await call.row("site_run_texts", call.ids["site_run_id"])
    if row is None:
        raise _no_site_run(call)
    if row[what] is None:
        raise Problem(
            Code.NOT_FOUND, f"no {what} of site run {call.ids['site_run_id']} is kept (state: {row['state']})"
        )
    return Answer(text=row[what], content_type=_TEXT)


async def show_backup(call: Call) -> Answer:
    phase = call.query_as(BackupQuery).phase
    row = await call.row("site_run_backup", call.ids["site_run_id"], phase)
    if row is None:
        if await call.row("site_run_texts", call.ids["site_run_id"]) is None:
            raise _no_site_run(call)
        raise Problem(
            Code.NOT_FOUND, f"no export from {phase} the script of site run {call.ids['site_run_id']} is stored"
        )
    return Answer(
        text=f"{row['header']}\n{row['text']}" if row["header"] else row["text"],
        content_type=_TEXT,
        headers={"X-Tminus-Sha256": row["sha256"].hex()},
    )


def _no_site_run(call: Call) -> Problem:
    return Problem(Code.NOT_FOUND, f"there is no site run {call.ids['site_run_id']}")


async def list_events(call: Call) -> Answer:
    """Newest first."""
    page = call.query_as(EventPage)
    (before,) = read_cursor(page.cursor, int)
    # Each has an index of its own.
    match page.script_id, page.launch_id:
        case None, None:
            rows = await call.rows("list_events", before, page.limit + 1)
        case UUID() as script_id, None:
            rows = await call.rows("list_events_of_script", before, page.limit + 1, script_id)
        case None, UUID() as launch_id:
            rows = await call.rows("list_events_of_launch", before, page.limit + 1, launch_id)
        case _:
            raise Problem(Code.INVALID, "a launch is of one scheduled script: give script_id or launch_id, not both")
    documents = [
        json.dumps(
            {
                "id": row["id"],
                "at": row["at"],
                "kind": row["kind"],
                "script_id": str(row["script_id"]) if row["script_id"] else None,
                "launch_id": str(row["launch_id"]) if row["launch_id"] else None,
                "site_id": row["site_id"],
                "principal": row["principal"],
                "session": row["session"],
                "detail": json.loads(row["detail"]),
            }
        )
        for row in rows
    ]
    return page_of(documents, page.limit, [(row["id"],) for row in rows])
