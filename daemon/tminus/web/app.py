"""The aiohttp application of the HTTP API, and of what else is served beside it."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from tminus.errors import StoreError
from tminus.store.pool import Database
from tminus.web.openapi import document
from tminus.web.problems import KINDS, Code, Problem, of_store
from tminus.web.rates import Rates
from tminus.web.requests import PERSON, responder
from tminus.web.routes import ROUTES
from tminus.web.tokens import Checker

log = structlog.get_logger()

_READY_FOR = 1.0  # seconds: who asks without a token makes no work for the database
_LONGEST_PATH = 300  # characters, in the log
_NEWSWORTHY = frozenset({401, 403, 429})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_SAFE = {
    # What is answered to one person is nobody else's, and a router's text is never taken for a page.
    hdrs.CACHE_CONTROL: "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    hdrs.SERVER: "tminus",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    requests_per_minute: int
    """Of one person."""
    at_once: int
    """Requests of one person that are answered at the same time; more of them wait."""
    body: int
    """Bytes."""


def make_application(
    db: Database, checker: Checker, limits: Limits, *, public_url: str = "", board: bool = False, dsn: str | None = None
) -> web.Application:
    """Make the application. `db` is a gateway's login; `public_url` is where clients find it, for links in errors.

    With `board` the launch board is served as well; it listens for hints at `dsn`, where that is given.
    """
    application = web.Application(client_max_size=limits.body, middlewares=[_problems(_docs(public_url))])
    rates = Rates(limits.requests_per_minute, at_once=limits.at_once)
    add_api(application, db, checker, rates)
    if board:
        from tminus.web.board.app import make_board  # noqa: PLC0415 - without it no template is loaded

        make_board(db, checker, rates, public_url=public_url, dsn=dsn).add_to(application)
    return application


def refusal(public_url: str) -> Callable[[int], web.StreamResponse]:
    """Return what answers that which never became a request, given its status."""

    def refuse(status: int) -> web.StreamResponse:
        code = Code.BAD_REQUEST if status < 500 else Code.INTERNAL
        response = _failure(Problem(code, "this is not HTTP as it is understood here"), _docs(public_url))
        response.headers.update(_SAFE)
        return response

    return refuse


def _docs(public_url: str) -> str:
    return f"{public_url.rstrip('/')}/errors"


def add_api(application: web.Application, db: Database, checker: Checker, rates: Rates) -> None:
    """Add the routes of the API."""
    openapi = json.dumps(document(), indent=1)

    async def show_openapi(_: web.Request) -> web.Response:
        return web.Response(text=openapi, content_type="application/json")

    answered = float("-inf")

    async def readyz(_: web.Request) -> web.Response:
        nonlocal answered
        if time.monotonic() - answered > _READY_FOR:
            await db.call("select 1")
            answered = time.monotonic()
        return web.Response(text="ready\n")

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    application.router.add_get("/healthz", healthz, allow_head=False)
    application.router.add_get("/readyz", readyz, allow_head=False)
    application.router.add_get("/openapi.json", show_openapi, allow_head=False)
    application.router.add_get("/errors/{code}", _explain, allow_head=False)
    for route in ROUTES:
        application.router.add_route(route.method, route.path, responder(route, db, checker, rates))


async def _explain(request: web.Request) -> web.Response:
    """Say what a code means, to whom follows doc_url."""
    try:
        code = Code(request.match_info["code"])
    except ValueError:
        raise Problem(Code.NOT_FOUND, "there is no such code") from None
    return web.Response(text=f"{code} ({KINDS[code].status}, {KINDS[code].type})\n\n{KINDS[code].meaning}\n")


def _problems(docs: str) -> Middleware:
    """Return the middleware that makes every failure the one shape of problems.py."""

    @web.middleware
    async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
        begun = time.monotonic()
        why: str | None = None
        try:
            response = await handler(request)
        except Problem as problem:
            response = _failure(problem, docs)
            why = problem.message
        except StoreError as error:
            response = _failure(of_store(error), docs)
            if response.status >= 500:
                log.warning("api_request_failed", method=request.method, path=request.path, error=str(error))
        except web.HTTPException as error:
            response = _failure(_of_http(request, error), docs)
        except Exception:
            log.exception("api_defect", method=request.method, path=request.path)
            response = _failure(Problem(Code.INTERNAL, "a defect of tminus; its log has the details"), docs)
        for name, value in _SAFE.items():
            response.headers.setdefault(name, value)
        if request.method != "GET" or response.status in _NEWSWORTHY:
            log.info(
                "api_answered",
                method=request.method,
                path=request.path[:_LONGEST_PATH],
                status=response.status,
                person=request.get(PERSON),
                remote=request.remote,
                why=why,
                took_ms=round((time.monotonic() - begun) * 1000),
            )
        return response

    return answer_problems


def _failure(problem: Problem, docs: str) -> web.Response:
    return web.Response(
        text=json.dumps(problem.document(docs)),
        status=problem.status,
        content_type="application/json",
        headers=problem.headers,
    )


def _of_http(request: web.Request, error: web.HTTPException) -> Problem:
    match error:
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return Problem(
                Code.METHOD_NOT_ALLOWED,
                f"{request.method} {request.path} is not possible; use {allowed}",
                headers={hdrs.ALLOW: allowed},
            )
        case web.HTTPRequestEntityTooLarge():
            return Problem(Code.TOO_LARGE, "the body is larger than is taken")
        case web.HTTPNotFound():
            return Problem(Code.NOT_FOUND, "there is nothing at this path; /openapi.json lists all of them")
        case _:
            return Problem(Code.BAD_REQUEST, error.reason)
