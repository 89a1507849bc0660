"""The board with launches on it, and somebody who looks at it: for the tests over HTTP and for those in a browser."""

from __future__ import annotations

import html
import re
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.web.conftest import Api, Reply, token

# A launch of `script` that goes on, nothing of it begun yet, in waves of `size` sites.
_LAUNCH = """
set session_replication_role = replica;
insert into tminus.launches (id, script_id, kind, state, due_at, started_at, start_until, waves, description, script, sites, make_backup,
    abort_if_offline, start_within, site_timeout, created_by, authorized_by)
select '{launch}', s.id, '{kind}', 'running', tminus.clock(), tminus.clock(), tminus.clock() + s.start_within,
    greatest(ceil(cardinality(s.sites) / {size}::numeric), 1), s.description, s.script, s.sites, true, false, s.start_within,
    s.site_timeout, s.created_by, 'bob'
from tminus.scheduled_scripts s where s.id = '{script}';
insert into tminus.site_runs (launch_id, site_id, position, wave)
select '{launch}', u.site_id, u.position, 1 + (u.position - 1) / {size}
from tminus.scheduled_scripts s, unnest(s.sites) with ordinality as u (site_id, position) where s.id = '{script}';
update tminus.scheduled_scripts set status = 'launched', started_at = tminus.clock() where id = '{script}';
"""
# What becomes of the sites at positions `first` to `last`.
_RUNNING = "state = 'running', step = '{step}', started_at = tminus.clock(), instance_id = gen_random_uuid()"
ENDINGS = {
    "completed": "state = 'completed', effect = 'applied', reason = null",
    "failed": "state = 'failed', effect = 'partial', reason = 'script_error', message = 'The script stopped at line 2.'",
    "offline": "state = 'failed', effect = 'none', reason = 'offline', message = 'It did not answer.'",
    "skipped": "state = 'skipped', effect = 'none', reason = 'halted'",
    "unknown": "state = 'unknown', effect = 'unknown', reason = 'connection_lost', message = 'The connection was lost.'",
    "ready": "state = 'skipped', effect = 'none', reason = 'rehearsed', rehearsal = true",
}


async def launch(api: Api, script: str, *, size: int = 1_000_000, kind: str = "scheduled") -> str:
    """Launch a scheduled script, as a daemon would have; returns the launch's id."""
    launch_id = str(uuid.uuid4())
    await api.db.run(_LAUNCH.format(launch=launch_id, script=script, size=size, kind=kind))
    return launch_id


async def run(api: Api, launch_id: str, first: int, last: int, step: str = "executing") -> None:
    await _update(api, launch_id, first, last, _RUNNING.format(step=step), ())


async def end(
    api: Api, launch_id: str, first: int, last: int, ending: str, *, output: str | None = None, diff: str | None = None
) -> None:
    """End site runs, each in the same way."""
    what = (
        f"{ENDINGS[ending]}, step = null, started_at = coalesce(started_at, tminus.clock()), finished_at = tminus.clock(),"
        f" output = $4, diff = $5"
    )
    if ending not in ("offline", "skipped", "ready"):
        what += ", executing_at = tminus.clock(), nonce = '0123456789abcdef'"
    await _update(api, launch_id, first, last, what, (output, diff))


async def finish(api: Api, launch_id: str, state: str = "finished") -> None:
    async with api.db.connect() as connection, connection.transaction():
        await connection.execute("set local session_replication_role = replica")
        await connection.execute(
            "update tminus.launches set state = $2, finished_at = tminus.clock() where id = $1",
            uuid.UUID(launch_id),
            state,
        )


async def _update(api: Api, launch_id: str, first: int, last: int, what: str, more: tuple[object, ...]) -> None:
    async with api.db.connect() as connection, connection.transaction():
        await connection.execute("set local session_replication_role = replica")
        await connection.execute(
            f"update tminus.site_runs set {what} where launch_id = $1 and position between $2 and $3",
            uuid.UUID(launch_id), first, last, *more,
        )  # fmt: skip


@dataclass
class Visitor:
    """Somebody with a browser that keeps cookies, and nothing else."""

    url: str
    session: aiohttp.ClientSession = field(repr=False)

    async def get(self, path: str, **headers: str) -> Reply:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.get(self.url + path, headers=sent, allow_redirects=False) as response:
            return Reply(response.status, await response.text(), response.headers)

    async def see(self, path: str) -> str:
        """A page that is there, as its text."""
        reply = await self.get(path)
        assert reply.status == 200, (reply.status, reply.headers.get("Location"), reply.text[:2000])
        return reply.text

    async def post(self, path: str, form: Mapping[str, str], *, origin: str | None = "own", **headers: str) -> Reply:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if origin is not None:
            sent["Origin"] = self.url if origin == "own" else origin
        async with self.session.post(self.url + path, data=form, headers=sent, allow_redirects=False) as response:
            return Reply(response.status, await response.text(), response.headers)

    async def log_in(self, bearer: str) -> Reply:
        return await self.post("/board/login", {"token": bearer})

    async def act(self, script: str, name: str, page: str | None = None, **form: str) -> Reply:
        """Send a form as a page of the board holds it."""
        shown = page if page is not None else await self.see(f"/board/scripts/{script}")
        return await self.post(f"/board/scripts/{script}/{name}", {"csrf": field_of(shown, "csrf"), **form})

    async def follow(self, path: str, last: str | None = None) -> AsyncGenerator[Mapping[str, str], None]:
        """The events of a stream, after the one with the id `last`."""
        sent = {} if last is None else {"Last-Event-ID": last}
        async with self.session.get(self.url + path, headers=sent) as response:
            assert response.status == 200, await response.text()
            assert response.content_type == "text/event-stream"
            event: dict[str, str] = {}
            async for raw in response.content:
                line = raw.decode().rstrip("\n")
                if not line:
                    if "data" in event:
                        yield event
                    event = {}
                elif not line.startswith(":"):
                    name, _, value = line.partition(": ")
                    event[name] = value


def field_of(page: str, name: str) -> str:
    """The value of the first hidden field of this name."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, f"no field {name} in {page[:3000]}"
    return html.unescape(found[1])


@asynccontextmanager
async def visitor(api: Api, person: str | None = "bob", *scopes: str, **claims: Any) -> AsyncIterator[Visitor]:
    """Somebody who is logged in, unless there is no `person`."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        made = Visitor(api.url, session)
        if person is not None:
            reply = await made.log_in(token(person, *scopes, **claims))
            assert reply.status == 303, reply.text
        yield made
