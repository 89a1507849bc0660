"""The exact text that is signed for an act, and what comes back signed: for those whose daemons ask for signatures.

The text is the database's; whoever signs computes by themselves what must not be believed (docs/security.md). Here nothing is
verified: the daemon does that on its own host. But a statement that is sent back with its signature is compared with what would
be done now, so that a signature over something else is refused at once, and not when nothing is started.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from tminus.domain.authorization import NAMESPACE
from tminus.domain.canonical import moment_text
from tminus.web.call import Answer, Call
from tminus.web.models import Signed, SignedLaunch, StatementOf
from tminus.web.problems import Code, Problem

_LASTS = timedelta(days=1)


async def make_statement(call: Call) -> Answer:
    script_id = call.uuid("script_id")
    if await call.value("api_object", script_id) is None:
        raise Problem(Code.NOT_FOUND, f"there is no scheduled script {script_id}")
    asked = call.body_as(StatementOf)
    expires = asked.expires
    if expires is None and asked.act != "launch":
        expires = (datetime.now(UTC) + _LASTS).replace(microsecond=0)
    launch_id, sites, new_id = None, None, None
    if asked.act in ("run_now", "test", "retry"):
        new_id = asked.new_launch_id or uuid4()
    if asked.act == "retry":
        launch_id = await launch_to_retry(call, script_id, asked.launch_id)
        sites = [row["site_id"] for row in await call.rows("sites_to_retry", launch_id, asked.sites)]
    text = await statement_text(
        call,
        script_id,
        asked.act,
        expires=expires,
        new_id=new_id,
        launch_id=launch_id,
        sites=sites,
        wave=asked.wave if asked.act == "confirm" else None,
    )
    return Answer(
        text=json.dumps(
            {
                "act": asked.act,
                "approver": call.person.name,
                "expires": None if expires is None else moment_text(expires),
                "new_launch_id": None if new_id is None else str(new_id),
                "launch_id": None if launch_id is None else str(launch_id),
                "sites": sites,
                "wave": asked.wave if asked.act == "confirm" else None,
                "namespace": NAMESPACE,
                "statement": text,
            }
        )
    )


async def statement_text(
    call: Call,
    script_id: UUID,
    act: str,
    *,
    expires: datetime | None,
    new_id: UUID | None = None,
    launch_id: UUID | None = None,
    sites: list[str] | None = None,
    wave: int | None = None,
) -> str:
    """Return what the caller signs, each line ended by a newline. Raises Problem where there is nothing to sign."""
    who = call.person.name
    match act:
        case "launch":
            row = await call.row("statement", script_id, who, expires)
            text = None if row is None else row["statement"]
        case "run_now":
            text = await call.value("run_now_statement", script_id, new_id, who, expires)
        case "test":
            text = await call.value("test_statement", script_id, new_id, who, expires)
        case "retry":
            text = await call.value("retry_statement", launch_id, new_id, sites, who, expires)
        case _:
            text = await call.value("launch_statement", script_id, act, who, expires, wave)
    if text is None:
        raise Problem(
            Code.CONFLICT, f"scheduled script {script_id} is in no state in which '{act}' could be signed for"
        )
    return f"{text}\n"


async def check_signed(
    call: Call,
    script_id: UUID,
    act: str,
    given: Signed,
    *,
    launch_id: UUID | None = None,
    sites: list[str] | None = None,
    wave: int | None = None,
) -> tuple[str | None, datetime | None]:
    """Return signature and expiry for the act. Raises Problem where the statement that was sent with them is another one by now."""
    # (Without `expires` the database says what is missing.)
    if given.signature is not None and given.statement is not None and given.expires is not None:
        new_id = given.new_launch_id if isinstance(given, SignedLaunch) else None
        text = await statement_text(
            call, script_id, act, expires=given.expires, new_id=new_id, launch_id=launch_id, sites=sites, wave=wave
        )
        if text.rstrip("\n") != given.statement.rstrip("\n"):
            raise Problem(
                Code.STALE_DIGEST, "what was signed is not what would be done now; look at it again, and sign that"
            )
    return given.signature, given.expires


async def launch_to_retry(call: Call, script_id: UUID, given: UUID | None) -> UUID:
    """Return the launch that is named, or the latest. Raises Problem if it is none of this scheduled script, or there is none."""
    if given is None:
        latest = json.loads(str(await call.value("api_object", script_id)))["launch_id"]
        given = UUID(latest) if latest else None
    if given is None:
        raise Problem(Code.CONFLICT, f"scheduled script {script_id} was not launched yet; there is nothing to retry")
    if await call.value("script_of_launch", given) != script_id:
        raise Problem(Code.NOT_FOUND, f"scheduled script {script_id} has no launch {given}")
    return given
