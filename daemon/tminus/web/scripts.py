"""Scheduled scripts: the routes of the API that tminus follows, and ours beside them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID, uuid4

from tminus.errors import Refused
from tminus.store.pool import store_errors
from tminus.web.call import Answer, Call, page_of, read_cursor
from tminus.web.fleet_models import WaveBody
from tminus.web.models import (
    Authorization,
    NewScript,
    Pause,
    Resumption,
    Retry,
    RunNow,
    ScriptChange,
    ScriptPage,
    TestRun,
    Withdrawal,
)
from tminus.web.problems import Code, Problem, of_store
from tminus.web.statements import check_signed, launch_to_retry

_OVER = {"launched": Code.ALREADY_LAUNCHED, "cancelled": Code.CANCELLED}


async def list_scripts(call: Call) -> Answer:
    page = call.query_as(ScriptPage)
    at, last = read_cursor(page.cursor, datetime, UUID)
    rows = await call.rows("list_scheduled_scripts", page.status, at, last, page.limit + 1)
    return page_of([row["document"] for row in rows], page.limit, [(row["created_at"], row["id"]) for row in rows])


async def create_script(call: Call) -> Answer:
    new = call.body_as(NewScript)
    script_id = new.id or uuid4()
    given = new.model_dump(mode="json", exclude={"id"})
    if new.cron is not None and new.timezone is None:
        given["timezone"] = "UTC"
    is_new = await call.value("create_scheduled_script", script_id, call.person.name, json.dumps(given)) is not None
    if not is_new and not await _is_same(call, script_id, given):
        raise Problem(Code.ALREADY_EXISTS, f"there is another scheduled script {script_id}, with other content")
    return await _script(call, script_id, status=201 if is_new else 200, location=f"/scripts/scheduled/{script_id}")


async def _is_same(call: Call, script_id: UUID, given: Mapping[str, object]) -> bool:
    """Is it what this person wished before? What counts as an edit is the database's rule, so an edit is tried, and undone."""
    before = json.loads((await _script(call, script_id)).text)
    if before["created_by"] != call.person.name:
        return False
    # Without a moment of its own the daemon's is kept.
    columns = [name for name in given if name != "launch_at" or given["cron"] is given["local_time"] is None]
    trial = call.transaction.transaction()
    await trial.start()
    try:
        async with store_errors("compare"):
            await call.value("edit_scheduled_script", script_id, columns, json.dumps(given), call.person.name)
            after = json.loads((await _script(call, script_id)).text)
    except Refused:
        return False
    finally:
        await trial.rollback()
    return bool(after["updated_at"] == before["updated_at"])


async def show_script(call: Call) -> Answer:
    return await _script(call, call.uuid("script_id"))


async def change_script(call: Call) -> Answer:
    """Edit what the body names. The database resets the authorization if that changes anything."""
    script_id = call.uuid("script_id")
    change = call.body_as(ScriptChange)
    status = str(await call.value("lock_scheduled_script", script_id))
    before = await _script(call, script_id)
    # One with cron may be edited while an occurrence of it runs.
    shown = json.loads(before.text)
    if status == "cancelled" or (status == "launched" and shown["cron"] is None):
        raise Problem(
            _OVER[status], f"scheduled script {script_id} is {status}; it cannot be edited any more; make a new one"
        )
    if not _matches(call.if_match, before.etag):
        raise Problem(Code.PRECONDITION_FAILED, f"scheduled script {script_id} was changed since; nothing was changed")
    given = change.model_dump(mode="json", include=change.model_fields_set)
    if any(given.get(rule) is not None and shown[rule] is not None for rule in ("cron", "local_time")):
        # It follows the rule, and what was read a moment ago may be over by now.
        given.pop("launch_at", None)
    await call.value("edit_scheduled_script", script_id, list(given), json.dumps(given), call.person.name)
    return await _script(call, script_id)


async def cancel_script(call: Call) -> Answer:
    script_id = call.uuid("script_id")
    await call.value("cancel", script_id, call.person.name)
    return await _script(call, script_id)


async def show_progress(call: Call) -> Answer:
    document = json.loads((await _script(call, call.uuid("script_id"))).text)
    return Answer(text=json.dumps(document["progress"]))


async def review_script(call: Call) -> Answer:
    """What an authorization would cover. The digest is that of what is shown: it is one snapshot."""
    script_id = call.uuid("script_id")
    document = await call.value("review_for_api", script_id)
    if document is None:
        raise _no_script(script_id)
    return Answer(text=str(document))


async def authorize_script(call: Call) -> Answer:
    script_id = call.uuid("script_id")
    given = call.body_as(Authorization)
    status = await call.value("lock_scheduled_script", script_id)
    if status is None:
        raise _no_script(script_id)
    if str(status) in _OVER:
        raise Problem(_OVER[str(status)], f"scheduled script {script_id} is {status}; it can no longer be authorized")
    stale = status == "unauthorized" and await call.value("digest_of", script_id) != given.digest
    try:
        async with store_errors("authorize"):
            await call.value(
                "authorize", script_id, given.digest, call.person.name, given.signature, given.expires, given.reason
            )
    except Refused as refused:
        problem = of_store(refused)
        raise (
            Problem(Code.STALE_DIGEST, problem.message) if stale and problem.code is Code.CONFLICT else problem
        ) from None
    return await _script(call, script_id)


async def request_authorization(call: Call) -> Answer:
    """Tell those in `notify` that it waits for an approver."""
    script_id = call.uuid("script_id")
    await call.value("request_authorization", script_id, call.person.name)
    return await _script(call, script_id)


async def withdraw_authorization(call: Call) -> Answer:
    script_id = call.uuid("script_id")
    await call.value("withdraw", script_id, call.body_as(Withdrawal).reason, call.person.name)
    return await _script(call, script_id)


async def pause_script(call: Call) -> Answer:
    """Hold the launch that is under way: what runs ends, nothing more begins."""
    script_id = call.uuid("script_id")
    await call.value("pause_launch", script_id, call.body_as(Pause).note, call.person.name)
    return await _script(call, script_id)


async def resume_script(call: Call) -> Answer:
    script_id = call.uuid("script_id")
    signed = await check_signed(call, script_id, "resume", call.body_as(Resumption))
    await call.value("resume_launch", script_id, call.person.name, *signed)
    return await _script(call, script_id)


async def confirm_wave(call: Call) -> Answer:
    script_id = call.uuid("script_id")
    given = call.body_as(WaveBody)
    signed = await check_signed(call, script_id, "confirm", given, wave=given.wave)
    await call.value("confirm_wave", script_id, given.wave, call.person.name, *signed)
    return await _script(call, script_id)


async def resolve_sites(call: Call) -> Answer:
    script_id = call.uuid("script_id")
    await call.value("resolve_sites", script_id, call.person.name)
    return await _script(call, script_id)


async def retry_script(call: Call) -> Answer:
    """Launch it again where that is safe, or on the sites that are named."""
    script_id = call.uuid("script_id")
    again = call.body_as(Retry)
    if await call.value("api_object", script_id) is None:
        raise _no_script(script_id)
    launch_id = await launch_to_retry(call, script_id, again.launch_id)
    signed = await check_signed(call, script_id, "retry", again, launch_id=launch_id, sites=again.sites)
    launch = await call.value("retry", launch_id, again.sites, call.person.name, again.new_launch_id, *signed)
    document = await call.value("launch_for_api", launch)
    return Answer(text=str(document), status=202, location=f"/launches/{launch}")


async def run_script(call: Call) -> Answer:
    """Have what is authorized start now. Its time was authorized, too, so this is for an approver who did not write it."""
    script_id = call.uuid("script_id")
    given = call.body_as(RunNow)
    signed = await check_signed(call, script_id, "run_now", given)
    await call.value("run_now", script_id, call.person.name, given.reason, given.new_launch_id, *signed)
    return await _script(call, script_id)


async def test_script(call: Call) -> Answer:
    """Run it on its test site, which its owner has to allow."""
    script_id, given = call.uuid("script_id"), call.body_as(TestRun)
    signed = await check_signed(call, script_id, "test", given)
    launch = await call.value("request_test", script_id, call.person.name, given.new_launch_id, *signed)
    document = await call.value("launch_for_api", launch)
    return Answer(text=str(document), status=202, location=f"/launches/{launch}")


async def rehearse_script(call: Call) -> Answer:
    """Everything up to the point of no return, on all sites, now."""
    launch = await call.value("rehearse", call.uuid("script_id"), call.person.name)
    document = await call.value("launch_for_api", launch)
    return Answer(text=str(document), status=202, location=f"/launches/{launch}")


async def _script(call: Call, script_id: UUID, *, status: int = 200, location: str | None = None) -> Answer:
    document = await call.value("api_object", script_id)
    if document is None:
        raise _no_script(script_id)
    return Answer(text=str(document), status=status, location=location, etag=_etag(str(document)))


def _etag(document: str) -> str:
    """Name a version of what a client edits: the countdown, the progress and the findings go on by themselves."""
    shown = json.loads(document)
    parts = [shown[key] for key in ("id", "updated_at", "status", "authorized_at", "cancelled_at")]
    return f'"{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}"'


def _matches(if_match: str | None, etag: str | None) -> bool:
    return if_match is None or if_match.strip() == "*" or etag in [word.strip() for word in if_match.split(",")]


def _no_script(script_id: UUID) -> Problem:
    return Problem(Code.NOT_FOUND, f"there is no scheduled script {script_id}")
