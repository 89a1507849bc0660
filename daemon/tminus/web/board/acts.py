"""What a person does on the board: the handlers of the API, given a form. They say what may be done; the database says whether it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from aiohttp import hdrs, web
from pydantic import ValidationError

from tminus.web import scripts
from tminus.web.board import review
from tminus.web.board.page import Visit
from tminus.web.call import Answer, Call
from tminus.web.models import Authorization, Body, Pause, Retry, Withdrawal
from tminus.web.problems import Code, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    scope: str
    handler: Callable[[Call], Awaitable[Answer]]
    body: type[Body] | None = None
    fields: tuple[str, ...] = ()
    """Of the form, beside the secret of the session."""


async def confirm_wave(call: Call) -> Answer:
    """Let the wave go that was shown."""
    assert isinstance(call.body, Wave)  # noqa: S101 - the table below says so
    return Answer(text=str(await call.value("confirm_wave", call.uuid("script_id"), call.body.wave, call.person.name)))


class Wave(Body):
    wave: int


ACTS: Mapping[str, Act] = {
    "authorize": Act(
        scope="script:authorize",
        handler=scripts.authorize_script,
        body=Authorization,
        fields=("digest", "reason", "signature"),
    ),
    "withdraw": Act(
        scope="script:authorize",
        handler=scripts.withdraw_authorization,
        body=Withdrawal,
        fields=("reason",),
    ),
    "request-authorization": Act(
        scope="script:update",
        handler=scripts.request_authorization,
    ),
    "cancel": Act(
        scope="script:delete",
        handler=scripts.cancel_script,
    ),
    "rehearse": Act(
        scope="script:run",
        handler=scripts.rehearse_script,
    ),
    "pause": Act(scope="script:run", handler=scripts.pause_script, body=Pause, fields=("note",)),
    "resume": Act(
        scope="script:run",
        handler=scripts.resume_script,
    ),
    "confirm-wave": Act(scope="script:run", handler=confirm_wave, body=Wave, fields=("wave",)),
    "retry": Act(
        scope="script:run",
        handler=scripts.retry_script,
        body=Retry,
        fields=("launch_id",),
    ),
}


async def do(name: str, visit: Visit, form: Mapping[str, str]) -> web.StreamResponse:
    """Do it, and show what came of it. A digest that is no longer that of the script gets the page with what changed."""
    act = ACTS[name]
    unknown = form.keys() - set(act.fields) - {"back", "read"}
    if unknown:
        raise Problem(Code.BAD_REQUEST, "this is no form of this board")
    given = {name: form[name].replace("\r\n", "\n") for name in act.fields if form.get(name, "").strip()}
    script_id = visit.uuid("script_id")
    try:
        body = None if act.body is None else act.body.model_validate_strings(given)
    except ValidationError as error:
        raise Problem(Code.INVALID, _sentence(error)) from None
    try:
        async with visit.db.transaction(f"do {act.handler.__name__}") as transaction:
            call = Call(
                person=visit.session.person,
                transaction=transaction,
                ids={"script_id": script_id},
                query=None,
                body=body,
                if_match=None,
            )
            answer = await act.handler(call)
    except Problem as problem:
        if problem.code is Code.STALE_DIGEST:
            return await review.show_stale(visit, script_id, given["digest"])
        raise
    return web.Response(status=303, headers={hdrs.LOCATION: _back(name, script_id, form.get("back"), answer)})


def _back(name: str, script_id: UUID, back: str | None, answer: Answer) -> str:
    said = f"?done={name}"
    if answer.location is not None and answer.location.startswith("/launches/"):
        return f"/board{answer.location}{said}"
    try:
        return f"/board/launches/{UUID(back or '')}{said}"
    except ValueError:
        return f"/board/scripts/{script_id}{said}"


def _sentence(error: ValidationError) -> str:
    said = (
        f"{'.'.join(str(part) for part in item['loc'])}: {item['msg'].removeprefix('Value error, ')}"
        for item in error.errors()
    )
    return "; ".join(list(said)[:3])
