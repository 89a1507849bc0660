"""The API on a real socket and a real database, and people with tokens."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import aiohttp
import pytest_asyncio

from tests.store.stage import WarmDb, add_sites
from tests.support import Db, fresh_database
from tminus.store.pool import open_database
from tminus.web.app import Limits, make_application, refusal
from tminus.web.listener import listen_http
from tminus.web.tokens import SCOPES, Checker, FixedKeys, KeySource, mint, secret_key

SECRET = b"0123456789abcdef0123456789abcdef"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Reply:
    status: int
    text: str
    headers: Mapping[str, str]

    def json(self, status: int = 200) -> Any:
        assert self.status == status, self.text
        return json.loads(self.text)

    def problem(self, status: int, code: str, *words: str) -> dict[str, Any]:
        """The one shape of errors, with this status and code, and these words in its message."""
        assert self.status == status, self.text
        body = json.loads(self.text)
        assert set(body) - {"fields"} == {"type", "code", "message", "doc_url"}
        assert body["code"] == code, body
        assert body["doc_url"].endswith(f"/errors/{code}")
        for word in words:
            assert word in body["message"], body
        return body


def token(person: str = "alice", *scopes: str, valid: timedelta = timedelta(hours=1), **other: str) -> str:
    """A token with all scopes, unless some are named."""
    claims = {"issuer": "tminus", "audience": "tminus", **other}
    return mint(SECRET, name=person, scopes=scopes or tuple(SCOPES), valid=valid, **claims)


@dataclass
class Api:
    url: str
    db: Db
    session: aiohttp.ClientSession = field(repr=False)

    async def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        person: str = "alice",
        bearer: str | None = None,
        **headers: str,
    ) -> Reply:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if bearer != "":
            sent["Authorization"] = f"Bearer {bearer or token(person)}"
        data = None if body is None else json.dumps(body)
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        async with self.session.request(method, self.url + path, data=data, headers=sent) as response:
            return Reply(response.status, await response.text(), response.headers)

    async def submit(self, *, person: str = "alice", **columns: object) -> Any:
        """A scheduled script on site a, in a year or so."""
        body = {"script": ":put hello", "sites": ["a"], "launch_at": "2035-01-01T02:00:00Z", **columns}
        return (await self("POST", "/scripts/scheduled", body, person=person)).json(201)

    async def digest(self, script_id: str) -> str:
        return str((await self("GET", f"/scripts/scheduled/{script_id}/review")).json()["digest"])


@asynccontextmanager
async def serve(
    db: Db,
    *,
    source: KeySource | None = None,
    per_minute: int = 100_000,
    at_once: int = 4,
    body: int = 2 * 1024 * 1024,
    board: bool = False,
    public_url: str = "",
    **listening: Any,
) -> AsyncIterator[Api]:
    checker = Checker(issuer="tminus", audience="tminus", source=source or FixedKeys((secret_key(SECRET),)))
    async with open_database(db.dsn_as("api"), size=4, application="test api") as store:
        limits = Limits(requests_per_minute=per_minute, at_once=at_once, body=body)
        application = make_application(
            store, checker, limits, public_url=public_url, board=board, dsn=db.dsn_as("api") if board else None
        )
        async with (
            listen_http(("127.0.0.1", 0), application, setting="api_listen", refuse=refusal(""), **listening) as (
                host,
                port,
            ),
            aiohttp.ClientSession() as session,
        ):
            yield Api(f"http://{host}:{port}", db, session)


@asynccontextmanager
async def serve_fresh(postgres: str, *, board: bool = False) -> AsyncIterator[Api]:
    """The API over a database of its own, without sites."""
    async with fresh_database(postgres, f"test_{os.getpid()}_api_{next(_numbers)}") as db:
        warm = WarmDb(db.dsn)
        try:
            async with serve(warm, board=board) as api:
                yield api
        finally:
            await warm.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(postgres: str) -> AsyncIterator[Api]:
    """One for a module, with the sites a, b and c."""
    async with serve_fresh(postgres) as api:
        await add_sites(api.db, "a", "b", "c")  # type: ignore[arg-type]
        yield api
