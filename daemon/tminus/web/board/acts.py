"""What a person does on the board: rows of the API's table, given a form. They say what may be done; the database says whether it is."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from aiohttp import hdrs, web
from pydantic import ValidationError

from tminus.web.board import review
from tminus.web.board.page import Visit
from tminus.web.call import Answer, Call
from tminus.web.problems import Code, Problem
from tminus.web.routes import ROUTES, Route

_SCRIPT = "/scripts/scheduled/{script_id}"
_BY_NAME = {(route.method, route.path): route for route in ROUTES}
OF_SCRIPTS: Mapping[str, Route] = {
    "cancel": _BY_NAME["DELETE", _SCRIPT],
    **{
        name: _BY_NAME["POST", f"{_SCRIPT}/{name}"]
        for name in (
            *("authorize", "withdraw", "request-authorization", "rehearse"),
            *("pause", "resume", "retry", "confirm-wave"),
        )
    },
}
OF_SITE_RUNS: Mapping[str, Route] = {"resolve": _BY_NAME["POST", "/site-runs/{site_run_id}/resolve"]}
_BESIDE = {"back", "read"}
"""Fields of forms that are for the board alone."""


async def do(name: str, route: Route, visit: Visit, form: Mapping[str, str]) -> web.StreamResponse:
    """Do it, and show what came of it. A digest that is no longer that of the script gets the page with what changed."""
    fields = set() if route.body is None else route.body.model_fields.keys()
    if form.keys() - fields - _BESIDE:
        raise Problem(Code.BAD_REQUEST, "this is no form of this board")
    given = {field: form[field].replace("\r\n", "\n") for field in fields if form.get(field, "").strip()}
    try:
        body = None if route.body is None else route.body.model_validate_strings(given)
    except ValidationError as error:
        raise Problem(Code.INVALID, _sentence(error)) from None
    try:
        async with visit.db.transaction(f"do {route.handler.__name__}") as transaction:
            call = Call(
                person=visit.session.person,
                transaction=transaction,
                ids=visit.ids,
                query=None,
                body=body,
                if_match=None,
            )
            answer = await route.handler(call)
    except Problem as problem:
        if problem.code is Code.STALE_DIGEST and name == "authorize":
            return await review.show_stale(visit, visit.uuid("script_id"), given["digest"])
        raise
    return web.Response(status=303, headers={hdrs.LOCATION: f"{_next(visit, form.get('back'), answer)}?done={name}"})


def _next(visit: Visit, back: str | None, answer: Answer) -> str:
    """Return the page to go on with: the launch that this began, the page that the form was on, or that of the script."""
    if answer.location is not None and answer.location.startswith("/launches/"):
        return f"/board{answer.location}"
    if "site_run_id" in visit.ids:
        return f"/board/runs/{visit.ids['site_run_id']}"
    try:
        return f"/board/launches/{UUID(back or '')}"
    except ValueError:
        return f"/board/scripts/{visit.ids['script_id']}"


def _sentence(error: ValidationError) -> str:
    said = (
        f"{'.'.join(str(part) for part in item['loc'])}: {item['msg'].removeprefix('Value error, ')}"
        for item in error.errors()
    )
    return "; ".join(list(said)[:3])
