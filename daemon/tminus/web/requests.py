"""From an HTTP request to a Call, and back: token, rate, scope, path, query, body; one transaction; one answer."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from uuid import UUID

from aiohttp import hdrs, web
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json

from tminus.domain.canonical import netstring
from tminus.store.pool import Database, Transaction, statement
from tminus.web.call import Answer, Call
from tminus.web.problems import Code, Problem
from tminus.web.rates import Rates
from tminus.web.routes import PATH_PARTS, Route
from tminus.web.tokens import LEEWAY, Checker, Person

_BODY_WITHIN = 20.0  # seconds
PERSON = web.RequestKey("person", str)
_KEY = re.compile(r"[!-~]{1,200}")


def responder(
    route: Route, db: Database, checker: Checker, rates: Rates
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return the aiohttp handler of a route. It raises Problem and StoreError."""

    async def respond(request: web.Request) -> web.StreamResponse:
        person, valid_until = await checker.proof(_one_header(request, hdrs.AUTHORIZATION, Code.UNAUTHENTICATED))
        request[PERSON] = person.name
        rates.check(person.name)
        if route.scope not in person.scopes:
            raise Problem(Code.SCOPE_MISSING, f"this needs the scope {route.scope}, which the token does not have")
        ids = _ids(route, request)
        query = _query(route, request)
        raw = await _raw_body(request)
        _refuse_expired(valid_until, "the body arrived")
        body = _body(route, request, raw)
        key = _idempotency_key(route, request)
        async with rates.turn(person.name), db.transaction(f"answer {route.handler.__name__}") as transaction:
            _refuse_expired(valid_until, "the request waited for its turn")
            call = Call(
                person=person,
                transaction=transaction,
                ids=ids,
                query=query,
                body=body,
                if_match=",".join(request.headers.getall(hdrs.IF_MATCH, ())) or None,
            )
            if key is None:
                answer, replayed = await route.handler(call), False
            else:
                answer, replayed = await _once(route, call, key, (request.path.encode(), raw))
        return _response(request, answer, replayed=replayed)

    return respond


def _refuse_expired(valid_until: datetime, meanwhile: str) -> None:
    if datetime.now(UTC) > valid_until + LEEWAY:
        raise Problem(Code.UNAUTHENTICATED, f"the token has expired while {meanwhile}")


async def _once(route: Route, call: Call, key: str, request: tuple[bytes, ...]) -> tuple[Answer, bool]:
    """Do what is asked under a key, or return what was answered under it before, and which of the two it is."""
    digest = hashlib.sha256(b"".join(map(netstring, request))).digest()
    transaction, person = call.transaction, call.person
    await transaction.execute(statement("forget_idempotency_keys"))
    if await transaction.fetchval(statement("claim_idempotency_key"), person.name, key, digest):
        answer = await route.handler(call)
        await transaction.execute(
            statement("keep_answer"), person.name, key, answer.status, answer.location, answer.text
        )
        return answer, False
    return await _answered_before(transaction, person, key, digest), True


async def _answered_before(transaction: Transaction, person: Person, key: str, digest: bytes) -> Answer:
    row = await transaction.fetchrow(statement("find_idempotency_key"), person.name, key)
    if row is None:
        raise Problem(Code.CONFLICT, "the Idempotency-Key was just forgotten; send the request again")
    if row["request"] != digest:
        raise Problem(Code.KEY_REUSED, "the Idempotency-Key was used for another request; take a new key")
    return Answer(text=row["answer"], status=row["status"], location=row["location"])


def _one_header(request: web.Request, name: str, code: Code) -> str | None:
    """Return a header. Of two, a proxy before us may have looked at the other one."""
    values = request.headers.getall(name, [])
    if len(values) > 1:
        raise Problem(code, f"the header {name} is there more than once")
    return values[0] if values else None


def _ids(route: Route, request: web.Request) -> Mapping[str, UUID | int | str]:
    ids = {}
    for name in route.path_parts:
        part, given = PATH_PARTS[name], request.match_info[name]
        if not part.pattern.fullmatch(given) or not _is_text(given):
            raise Problem(Code.NOT_FOUND, f"the {name.replace('_', ' ')} in the path is none")
        ids[name] = part.read(given)
    return ids


def _query(route: Route, request: web.Request) -> BaseModel | None:
    given = dict(request.query)
    if len(given) != len(request.query):
        raise Problem(Code.INVALID, "a parameter is given more than once")
    if route.query is None:
        if given:
            name = next(iter(given))[:100]
            raise Problem(Code.INVALID, f"there is no parameter {name!r}", fields={name: "unknown"})
        return None
    if not all(_is_text(name) and _is_text(value) for name, value in given.items()):
        raise Problem(Code.INVALID, "a parameter is no text in UTF-8")
    try:
        return route.query.model_validate(given)
    except ValidationError as error:
        raise _invalid(error) from None


async def _raw_body(request: web.Request) -> bytes:
    if hdrs.CONTENT_ENCODING in request.headers:
        raise Problem(Code.NOT_JSON, "send the body as it is, without a Content-Encoding")
    try:
        async with asyncio.timeout(_BODY_WITHIN):
            return await request.read()
    except TimeoutError:
        raise Problem(Code.TOO_SLOW, f"the body did not arrive within {_BODY_WITHIN:.0f} s") from None


def _body(route: Route, request: web.Request, raw: bytes) -> BaseModel | None:
    if route.body is None:
        if raw.strip() not in (b"", b"{}"):
            raise Problem(Code.INVALID, "this takes no body")
        return None
    if not raw.strip() and not route.body_is_needed:
        return route.body()
    if request.content_type != "application/json":
        raise Problem(Code.NOT_JSON, "send JSON, with Content-Type: application/json")
    try:
        given = from_json(raw, allow_inf_nan=False)  # which bounds how deep it is
        json.loads(raw.decode(), object_pairs_hook=_each_once, parse_int=str)
    except ValueError as error:
        raise Problem(Code.INVALID, f"the body is not JSON: {error}", fields={"body": "not JSON"}) from None
    if isinstance(given, dict):
        given = {name: value for name, value in given.items() if name not in route.body.passed_over}
    try:
        # From JSON once more: there a moment is a string, and nothing else is.
        return route.body.model_validate_json(to_json(given))
    except ValidationError as error:
        raise _invalid(error) from None


def _each_once(pairs: list[tuple[str, object]]) -> None:
    """Refuse an object that says a key twice: others may have read the other one."""
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise ValueError(f"the key {key[:100]!r} is there more than once")
        seen.add(key)


def _invalid(error: ValidationError) -> Problem:
    """Name each field. What was sent is not repeated: it may be long, and it may be a secret that went astray."""
    fields: dict[str, str] = {}
    for item in error.errors(include_input=False, include_url=False, include_context=False):
        message = item["msg"].removeprefix("Value error, ")
        where = ".".join(str(part) for part in item["loc"])
        if not where and ": " in message:  # a rule over several fields names the one at fault
            where, _, message = message.partition(": ")
        where = where.encode(errors="replace").decode()[:100] or "body"
        fields.setdefault(where, "this field is not known" if item["type"] == "extra_forbidden" else message)
    some = "; ".join(f"{name}: {message}" for name, message in list(fields.items())[:5])
    return Problem(Code.INVALID, some, fields=fields)


def _idempotency_key(route: Route, request: web.Request) -> str | None:
    if route.method != "POST":
        return None
    key = _one_header(request, "Idempotency-Key", Code.INVALID)
    if key is not None and not _KEY.fullmatch(key):
        what = "is not 1 to 200 visible ASCII characters"
        raise Problem(Code.INVALID, f"Idempotency-Key {what}", fields={"Idempotency-Key": what})
    return key


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\x00" not in value


def _response(request: web.Request, answer: Answer, *, replayed: bool) -> web.Response:
    headers = dict(answer.headers)
    if answer.location is not None:
        headers[hdrs.LOCATION] = answer.location
    if answer.etag is not None:
        headers[hdrs.ETAG] = answer.etag
    if answer.next_cursor is not None:
        following = request.rel_url.update_query(cursor=answer.next_cursor)
        headers[hdrs.LINK] = f'<{following}>; rel="next"'
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    # A script may hold what UTF-8 does not have only if the database did, which it can not.
    return web.Response(
        text=answer.text, status=answer.status, headers=headers, content_type=answer.content_type, charset="utf-8"
    )
