"""The socket bears clients that are slow, silent, or too many, and answers the others meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from tests.support import until
from tests.web.conftest import Api, serve, token
from tminus.store.pool import open_database
from tminus.web.app import Limits, make_application, refusal
from tminus.web.listener import listen_http
from tminus.web.tokens import Checker, FixedKeys

pytestmark = pytest.mark.asyncio(loop_scope="module")

_PATIENCE = 0.5


@asynccontextmanager
async def connect(api: Api, sent: bytes = b"") -> AsyncIterator[asyncio.StreamReader]:
    host, port = api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(sent)
        yield reader
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def closed(reader: asyncio.StreamReader) -> bool:
    """Read until the other side closes; False if it does not."""
    try:
        async with asyncio.timeout(10):
            while await reader.read(65536):
                pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("sent", [b"", b"GET /sites HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_who_never_ends_a_header_is_hung_up_on(api: Api, sent: bytes) -> None:
    async with serve(api.db, patience=_PATIENCE) as quick, connect(quick, sent) as reader:
        begun = time.monotonic()
        assert await closed(reader)
        assert time.monotonic() - begun >= _PATIENCE * 0.9
        (await quick("GET", "/sites")).json()


async def test_a_request_in_hand_is_not_hung_up_on(api: Api) -> None:
    async with serve(api.db, patience=_PATIENCE) as quick, api.db.anew() as holder:  # type: ignore[attr-defined]
        made = await quick.submit()
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("select from tminus.scheduled_scripts where id = $1 for update", made["id"])
        waiting = asyncio.create_task(quick("DELETE", f"/scripts/scheduled/{made['id']}"))
        begun = time.monotonic()
        while time.monotonic() - begun < _PATIENCE * 3:
            (await quick("GET", "/sites")).json()
            assert not waiting.done()
        await transaction.rollback()
        (await waiting).json()


async def test_one_person_never_has_all_connections_to_the_database(api: Api) -> None:
    """There are four; alice asks for more than that at the same time, each of which waits for a row."""
    async with serve(api.db, at_once=2) as shared, api.db.anew() as holder:  # type: ignore[attr-defined]
        made = await shared.submit()
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("select from tminus.scheduled_scripts where id = $1 for update", made["id"])
        waiting = [asyncio.create_task(shared("DELETE", f"/scripts/scheduled/{made['id']}")) for _ in range(6)]

        async def both_wait() -> bool:
            blocked = (
                "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
            )
            return int(await api.db.value(blocked)) == 2

        await until(both_wait, within=10)
        for _ in range(8):
            (await shared("GET", "/sites", person="bob")).json()
        assert await both_wait()
        await transaction.rollback()
        assert sorted(reply.status for reply in await asyncio.gather(*waiting)) == [200, *[409] * 5]


async def test_there_is_an_end_to_how_many_may_connect(api: Api) -> None:
    request = f"GET /sites HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token()}\r\n\r\n".encode()
    async with serve(api.db, most=3) as small:
        async with AsyncExitStack() as held:
            for _ in range(3):
                await held.enter_async_context(connect(small))
            async with connect(small, request) as reader:
                assert await closed(reader)

        async def answered() -> bool:
            async with connect(small, request) as reader:
                try:
                    return (await reader.readline()).startswith(b"HTTP/1.1 200")
                except ConnectionError:
                    return False

        await until(answered, within=10)


async def test_it_says_whether_it_is_ready_without_a_token(api: Api) -> None:
    reply = await api("GET", "/healthz", bearer="")
    assert (reply.status, reply.text) == (200, "ok\n")
    reply = await api("GET", "/readyz", bearer="")
    assert (reply.status, reply.text) == (200, "ready\n")


async def test_it_is_not_ready_while_the_database_does_not_answer(api: Api) -> None:
    async with open_database(api.db.dsn_as("api"), size=1, application="test gone") as store:
        application = make_application(
            store,
            Checker(issuer="tminus", audience="tminus", source=FixedKeys(())),
            Limits(requests_per_minute=1, at_once=1, body=1),
        )
    # Its pool is closed by now, as if the server were gone.
    async with (
        listen_http(("127.0.0.1", 0), application, setting="api_listen", refuse=refusal("")) as (host, port),
        api.session.get(f"http://{host}:{port}/readyz") as response,
    ):
        assert response.status == 503
        assert (await response.json())["code"] == "database_unavailable"


async def test_acts_and_refusals_are_told_in_the_log_and_what_is_only_read_is_not(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    made = await api.submit(person="carol")
    (await api("GET", "/sites")).json()
    await api("GET", "/sites", bearer=token("dora", "script:run"))
    await api("DELETE", f"/scripts/scheduled/{made['id']}", bearer="rubbish")
    lines = [line for line in capsys.readouterr().out.splitlines() if "api_answered" in line]
    assert len(lines) == 3, lines
    for line, words in zip(
        lines, (("carol", "POST", "201"), ("dora", "403", "script:view"), ("DELETE", "401")), strict=True
    ):
        assert all(word in line for word in words), line
        assert "rubbish" not in line
