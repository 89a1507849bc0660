"""The routes of the board, and what holds for each of its answers: who may, where from, and what a browser may do with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote
from uuid import UUID

import structlog
from aiohttp import hdrs, web

from tminus.errors import StoreError
from tminus.store.pool import Database
from tminus.web.board import acts, history, launch, outlook, review, sites
from tminus.web.board.feed import Feed, Shared
from tminus.web.board.origins import Origins
from tminus.web.board.page import Groups, Seen, Visit, html
from tminus.web.board.rendering import ASSETS, asset, asset_path
from tminus.web.board.sessions import Session, Sessions
from tminus.web.board.stream import follow
from tminus.web.problems import KINDS, Code, Problem, of_store
from tminus.web.rates import Rates
from tminus.web.routes import PATH_PARTS, Route
from tminus.web.tokens import Checker, Person

log = structlog.get_logger()

VIEW = "script:view"
_BODY_WITHIN = 20.0  # seconds
_LARGEST_FORM = 64 * 1024  # bytes; a token of many scopes, or a signature, is a few thousand
_GROUPS_WITHIN = 3.0  # seconds
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self';"
        " frame-ancestors 'none'; base-uri 'none'"
    ),
    hdrs.CACHE_CONTROL: "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With no-referrer a browser would not say where a form was sent from.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    hdrs.SERVER: "tminus",
}

Page = Callable[[Visit], Awaitable[web.StreamResponse]]

PAGES: Mapping[str, Page] = {
    "/board/": outlook.show,
    "/board/launches/{launch_id}": launch.show,
    "/board/launches/{launch_id}/parts": launch.show_parts,
    "/board/runs/{site_run_id}": launch.show_run,
    "/board/runs/{site_run_id}/output": launch.show_output,
    "/board/runs/{site_run_id}/diff": launch.show_diff,
    "/board/scripts/{script_id}": review.show,
    "/board/history": history.show_launches,
    "/board/scripts": history.show_scripts,
    "/board/events": history.show_events,
    "/board/sites": sites.show_all,
    "/board/sites/{site_id}": sites.show,
    "/board/backups/{site_run_id}/{phase}": sites.show_backup,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    db: Database
    checker: Checker
    rates: Rates
    feed: Feed
    origins: Origins
    sessions: Sessions
    groups: Shared[Groups]
    seen: Seen

    def add_to(self, application: web.Application) -> None:
        router = application.router
        router.add_get("/", self._to_board)
        router.add_get("/board", self._to_board)
        for path, page in PAGES.items():
            router.add_get(path, self._answer(self._looking(page)))
        router.add_get("/board/stream", self._answer(self._stream))
        router.add_get("/board/launches/{launch_id}/stream", self._answer(self._stream))
        router.add_post("/board/scripts/{script_id}/{act}", self._answer(self._acting(acts.OF_SCRIPTS)))
        router.add_post("/board/runs/{site_run_id}/{act}", self._answer(self._acting(acts.OF_SITE_RUNS)))
        router.add_get("/board/login", self._answer(self._show_login))
        router.add_post("/board/login", self._answer(self._log_in))
        router.add_post("/board/logout", self._answer(self._log_out))
        router.add_get("/board/static/{version}/{name}", self._answer(_static))
        # Browsers ask for it where a page is mere text.
        router.add_get("/favicon.ico", self._answer(_icon))
        # What is not there answers as a page, too.
        router.add_get("/board/{rest:.*}", self._answer(_nothing))
        application.on_shutdown.append(self._close)

    async def _close(self, _: web.Application) -> None:
        await self.feed.close()

    # -- every answer -----------------------------------------------------------------------------------------------

    def _answer(
        self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                response = await handler(request)
            except Problem as problem:
                response = self._failure(request, problem)
            except StoreError as error:
                refusal = of_store(error)
                log.warning("board_request_failed", method=request.method, path=request.path, error=str(error))
                response = self._failure(request, Problem(refusal.code, str(error), headers=refusal.headers))
            if not response.prepared:
                for name, value in HEADERS.items():
                    response.headers.setdefault(name, value)
            return response

        return answer

    def _failure(self, request: web.Request, problem: Problem) -> web.StreamResponse:
        session = self._session(request)
        if problem.code is Code.UNAUTHENTICATED and request.method in (hdrs.METH_GET, hdrs.METH_HEAD):
            if request.headers.get("Sec-Fetch-Site") == "cross-site":
                # From a link in a letter: the browser keeps the cookie back until it comes from a page of ours.
                return html(
                    "arrival.html",
                    {
                        "target": request.path_qs,
                    },
                )
            back = quote(request.path_qs, safe="/")
            return web.Response(status=303, headers={hdrs.LOCATION: f"/board/login?next={back}"})
        response = html(
            "problem.html",
            {
                "session": session,
                "path": request.path,
                "title": KINDS[problem.code].meaning,
                "message": problem.message,
                "fields": problem.fields,
            },
            status=problem.status,
        )
        response.headers.update({name: v for name, v in problem.headers.items() if name != "WWW-Authenticate"})
        return response

    # -- who asks ---------------------------------------------------------------------------------------------------

    def _cookie(self, request: web.Request) -> str:
        return "__Host-tminus" if self.origins.is_secure(request.host) else "tminus"

    def _session(self, request: web.Request) -> Session | None:
        return self.sessions.find(request.cookies.get(self._cookie(request)))

    def _known(self, request: web.Request, *, scope: str = VIEW) -> Session:
        session = self._session(request)
        if session is None:
            raise Problem(Code.UNAUTHENTICATED, "you are not logged in, or no longer; nothing was done")
        self.rates.check(session.person.name)
        if scope not in session.person.scopes:
            raise Problem(Code.SCOPE_MISSING, f"this needs the scope {scope}, which your token does not have")
        return session

    def _looking(self, page: Page) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def look(request: web.Request) -> web.StreamResponse:
            session = self._known(request)
            async with self.rates.turn(session.person.name):
                return await page(self._visit(request, session))

        return look

    def _visit(self, request: web.Request, session: Session) -> Visit:
        return Visit(
            request=request,
            session=session,
            db=self.db,
            feed=self.feed,
            groups=self.groups,
            seen=self.seen,
            ids=_ids(request),
            query=dict(request.query),
        )

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        session = self._known(request)
        found = _ids(request).get("launch_id")
        return await follow(request, session, self.sessions, self.feed, found if isinstance(found, UUID) else None)

    # -- what is sent -----------------------------------------------------------------------------------------------

    async def _form(self, request: web.Request) -> dict[str, str]:
        """Return the fields of a form that a page of ours sent."""
        if not self.origins.is_own(
            host=request.host,
            origin=request.headers.get(hdrs.ORIGIN),
            fetch_site=request.headers.get("Sec-Fetch-Site"),
        ):
            raise Problem(Code.NOT_ALLOWED, "this was not sent by a page of this board; nothing was done")
        if request.content_type != "application/x-www-form-urlencoded":
            raise Problem(Code.BAD_REQUEST, "this is no form of this board")
        if (request.content_length or 0) > _LARGEST_FORM:
            raise Problem(Code.TOO_LARGE, "the form is larger than is taken")
        try:
            async with asyncio.timeout(_BODY_WITHIN):
                raw = await request.read()
            if len(raw) > _LARGEST_FORM:
                raise Problem(Code.TOO_LARGE, "the form is larger than is taken")
            pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=20, errors="strict")
        except TimeoutError:
            raise Problem(Code.TOO_SLOW, f"the form did not arrive within {_BODY_WITHIN:.0f} s") from None
        except web.HTTPRequestEntityTooLarge:
            raise Problem(Code.TOO_LARGE, "the form is larger than is taken") from None
        except ValueError:
            raise Problem(Code.BAD_REQUEST, "this is no form of this board") from None
        fields = dict(pairs)
        if len(fields) != len(pairs) or any("\x00" in value for value in fields.values()):
            raise Problem(Code.BAD_REQUEST, "this is no form of this board")
        return fields

    def _acting(self, known: Mapping[str, Route]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def act(request: web.Request) -> web.StreamResponse:
            name = request.match_info["act"]
            route = known.get(name)
            if route is None:
                raise Problem(Code.NOT_FOUND, "there is nothing here")
            form = await self._form(request)
            session = self._known(request, scope=route.scope)
            if not session.signed(form.pop("csrf", None)):
                raise Problem(
                    Code.NOT_ALLOWED, "the page was made before you logged in; open it again. Nothing was done"
                )
            async with self.rates.turn(session.person.name):
                return await acts.do(name, route, self._visit(request, session), form)

        return act

    async def _show_login(self, request: web.Request) -> web.StreamResponse:
        return self._login_page(request, _next(request.query.get("next")))

    def _login_page(self, request: web.Request, back: str, problem: Problem | None = None) -> web.Response:
        return html(
            "login.html",
            {
                "session": self._session(request),
                "back": back,
                "problem": problem,
            },
            status=200 if problem is None else problem.status,
        )

    async def _proof(self, token: str) -> tuple[Person, datetime]:
        """Return whom a token speaks for, and until when. Raises Problem where it is not accepted, or is of no use here."""
        person, expires = await self.checker.proof(f"Bearer {token.strip()}")
        if VIEW not in person.scopes:
            raise Problem(Code.SCOPE_MISSING, f"the token does not have the scope {VIEW}, which the board needs")
        if expires <= datetime.now(UTC):
            raise Problem(Code.UNAUTHENTICATED, "the token has expired")
        return person, expires

    async def _log_in(self, request: web.Request) -> web.StreamResponse:
        form = await self._form(request)
        back = _next(form.get("next"))
        try:
            person, expires = await self._proof(form.get("token", ""))
        except Problem as problem:
            return self._login_page(request, back, problem)
        self.rates.check(person.name)
        if (before := self._session(request)) is not None:
            self.sessions.end(before)
        session = self.sessions.begin(person, expires)
        log.info("board_logged_in", person=person.name, until=expires.isoformat())
        response = web.Response(status=303, headers={hdrs.LOCATION: back})
        response.set_cookie(
            self._cookie(request),
            session.key,
            path="/",
            httponly=True,
            samesite="Strict",
            secure=self.origins.is_secure(request.host),
            max_age=max(int(self.sessions.seconds_left(session)), 0),
        )
        return response

    async def _log_out(self, request: web.Request) -> web.StreamResponse:
        form = await self._form(request)
        session = self._session(request)
        if session is not None and session.signed(form.get("csrf")):
            self.sessions.end(session)
            log.info("board_logged_out", person=session.person.name)
        response = web.Response(status=303, headers={hdrs.LOCATION: "/board/login"})
        response.del_cookie(
            self._cookie(request),
            path="/",
            secure=self.origins.is_secure(request.host),
            httponly=True,
            samesite="Strict",
        )
        return response

    async def _to_board(self, _: web.Request) -> web.StreamResponse:
        return web.Response(status=303, headers={hdrs.LOCATION: "/board/"})


def make_board(db: Database, checker: Checker, rates: Rates, *, public_url: str = "", dsn: str | None = None) -> Board:
    """Make a board. `db` and `dsn` are a gateway's login; `public_url` is where browsers find it, behind a proxy."""
    return Board(
        db=db,
        checker=checker,
        rates=rates,
        feed=Feed(db, dsn),
        origins=Origins(public_url=public_url),
        sessions=Sessions(),
        groups=Shared(_GROUPS_WITHIN),
        seen=Seen(),
    )


def _ids(request: web.Request) -> dict[str, UUID | int | str]:
    ids: dict[str, UUID | int | str] = {}
    for name, given in request.match_info.items():
        if (part := PATH_PARTS.get(name)) is None:
            ids[name] = given
        elif part.pattern.fullmatch(given) and "\x00" not in given:
            ids[name] = part.read(given)
        else:
            raise Problem(Code.NOT_FOUND, "there is nothing here")
    return ids


def _next(given: str | None) -> str:
    """Return where to go after the log-in: to a page of the board, wherever a link came from."""
    if given and given.startswith("/board/") and given.isprintable() and "\\" not in given and len(given) < 2000:
        return given
    return "/board/"


async def _static(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    if name not in ASSETS or asset_path(name) != request.path:
        raise Problem(Code.NOT_FOUND, "there is nothing here")
    response = web.Response(body=asset(name), content_type=ASSETS[name], charset="utf-8")
    response.headers[hdrs.CACHE_CONTROL] = "public, max-age=31536000, immutable"
    return response


async def _icon(_: web.Request) -> web.StreamResponse:
    response = web.Response(body=asset("icon.svg"), content_type=ASSETS["icon.svg"])
    response.headers[hdrs.CACHE_CONTROL] = "public, max-age=86400"
    return response


async def _nothing(_: web.Request) -> web.StreamResponse:
    raise Problem(Code.NOT_FOUND, "there is nothing here")
