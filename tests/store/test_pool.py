"""The pool: durable commits whatever the server's default, deadlines, and one family of errors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.faults.proxy import proxied
from tests.faults.rig import database_target
from tests.store.stage import Stage, WarmDb, add_sites
from tests.support import Db
from tminus.errors import Refused, StoreError, StoreUnavailable
from tminus.store import pool
from tminus.store.pool import VANISHING, Database, open_database, store_errors

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("default", "used"), [("off", "on"), ("on", "on"), ("remote_apply", "remote_apply"), ("local", "local")]
)
async def test_commits_are_durable_whatever_the_default_and_for_as_long_as_a_connection_lives(
    database: Db, default: str, used: str
) -> None:
    name = await database.value("select current_database()")
    await database.run(f"alter database {name} set synchronous_commit = {default}")
    async with open_database(database.dsn_as("tminus_serve"), size=2, application="tests") as db:
        for _ in range(4):  # a connection that was used and given back
            async with db.transaction("look") as connection:
                assert await connection.fetchval("show synchronous_commit") == used


async def test_an_unfinished_transaction_is_undone_before_a_connection_is_used_again(stage: Stage) -> None:
    instance = await stage.instance()
    for _ in range(4):
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the transaction is what is tested
            async with stage.store.transaction("fail") as connection:
                await connection.execute("update tminus.instances set heartbeat_at = 'epoch' where id = $1", instance)
                raise ZeroDivisionError
    assert await stage.db.value("select heartbeat_at > 'epoch' from tminus.instances")


async def test_a_session_names_itself_and_gives_up_on_locks_and_idle_transactions(stage: Stage) -> None:
    async with stage.store.transaction("look") as connection:
        settings = [
            await connection.fetchval(f"show {name}")
            for name in (
                "application_name",
                "search_path",
                "timezone",
                "lock_timeout",
                "idle_in_transaction_session_timeout",
            )
        ]
    assert settings == ["tests", "pg_catalog, pg_temp", "UTC", "10s", "30s"]


async def test_the_server_is_asked_to_give_up_a_host_that_vanishes(stage: Stage) -> None:
    asked = await stage.store.call(
        "select name, source from pg_settings where name = any ($1) order by name", list(VANISHING)
    )
    assert {row["name"]: row["source"] for row in asked} == dict.fromkeys(VANISHING, "client")


@asynccontextmanager
async def _silent(dsn: str) -> AsyncIterator[Database]:
    """A server that answered until now, and does not any more; nobody is told."""
    target = database_target(dsn)
    async with proxied(target) as proxy:
        through = f"postgresql://tminus_serve@127.0.0.1:{proxy.port}{urlsplit(dsn).path}?sslmode=disable"
        async with open_database(through, size=1, application="tests") as db:
            assert await db.call("select 1")
            proxy.freeze()
            yield db
            proxy.thaw()


async def _fetch(db: Database) -> object:
    return await db.fetch("living_instances")


async def _transaction(db: Database) -> object:
    async with db.transaction("look") as connection:
        return await connection.fetchval("select 1")


@pytest.mark.parametrize("ask", [_fetch, _transaction])
async def test_who_asks_a_server_that_fell_silent_is_answered_within_twice_the_deadline(
    database: Db, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Database], Awaitable[object]]
) -> None:
    deadline = 1.5
    monkeypatch.setattr(pool, "_DEADLINE", deadline)
    monkeypatch.setattr(pool, "_ANSWERED_WITHIN", deadline * 2 / 3)  # as they are to each other
    async with _silent(database.dsn) as db:
        # The first is sent and not answered; the second waits for what the first gives back.
        for _ in range(2):
            begun = time.monotonic()
            with pytest.raises(StoreUnavailable, match="no answer in time"):
                await asyncio.wait_for(ask(db), 30)
            assert deadline / 2 <= time.monotonic() - begun <= 2 * deadline


class TestErrors:
    async def test_a_refusal_is_the_schemas_own_sentence_and_hint(self, stage: Stage) -> None:
        with pytest.raises(Refused) as caught:
            await stage.store.call("select tminus.launch(gen_random_uuid(), gen_random_uuid())")
        assert str(caught.value).startswith("there is no scheduled script ")
        await add_sites(stage.db, "a")
        async with stage.db.anew("alice") as connection:
            with pytest.raises(Refused) as caught:
                async with store_errors("submit"):
                    await connection.execute(
                        "insert into tminus.scheduled_scripts (script, sites, launch_at) values (':put 1', '{a}', '2020-01-01')"
                    )
        assert str(caught.value).endswith("Give a time that is still to come.")

    async def test_a_server_that_goes_away_is_unavailable_and_is_found_again(self, stage: Stage) -> None:
        with pytest.raises(StoreUnavailable):  # noqa: PT012 - the transaction is what is tested
            async with stage.store.transaction("wait") as connection:
                pid = await connection.fetchval("select pg_backend_pid()")
                await stage.db.fetch("select pg_terminate_backend($1)", pid)
                await connection.fetchval("select pg_sleep(5)")
        assert await stage.store.call("select 1")

    @pytest.mark.parametrize(
        ("sqlstate", "kind"),
        [("08006", StoreUnavailable), ("25006", StoreUnavailable), ("53300", StoreUnavailable), ("57P01", StoreUnavailable),
         ("40P01", StoreUnavailable), ("40001", StoreUnavailable), ("55P03", StoreUnavailable), ("57014", StoreUnavailable),
         ("58030", StoreUnavailable), ("23505", Refused), ("42501", Refused), ("55000", Refused), ("P0001", Refused),
         ("22021", Refused), ("42P01", StoreError), ("XX000", StoreError)],
    )  # fmt: skip
    async def test_what_the_server_says_has_one_place_in_our_tree(
        self, shared: WarmDb, sqlstate: str, kind: type[StoreError]
    ) -> None:
        raising = f"do $$ begin raise exception 'it says so' using errcode = '{sqlstate}', hint = 'do so'; end $$"
        async with shared.connect() as connection:
            with pytest.raises(StoreError) as caught:
                async with store_errors("try"):
                    await connection.execute(raising)
        assert type(caught.value) is kind
        assert "it says so" in str(caught.value)
        if kind is Refused:
            assert str(caught.value) == "it says so; do so"

    @pytest.mark.parametrize(
        "error",
        [TimeoutError(), ConnectionRefusedError(111, "refused"), asyncpg.InterfaceError("closed"), OSError("gone")],
    )
    async def test_every_family_in_which_an_outage_surfaces_is_unavailable(self, error: Exception) -> None:
        with pytest.raises(StoreUnavailable, match=r"could not try: .+"):
            async with store_errors("try"):
                raise error

    async def test_a_cancelled_caller_stays_cancelled(self) -> None:
        with pytest.raises(asyncio.CancelledError):
            async with store_errors("try"):
                raise asyncio.CancelledError

    async def test_a_caller_is_cancelled_also_where_its_connection_is_lost_at_that_moment(self, stage: Stage) -> None:
        inside = asyncio.Event()

        async def work() -> None:
            async with stage.store.transaction("wait") as connection:
                pid = await connection.fetchval("select pg_backend_pid()")
                await stage.db.fetch("select pg_terminate_backend($1, 10000)", pid)
                inside.set()
                await asyncio.Event().wait()

        working = asyncio.create_task(work())
        async with asyncio.timeout(10):
            await inside.wait()
        working.cancel()  # the rollback fails now: that must not take the place of this
        await asyncio.wait({working}, timeout=10)
        assert working.cancelled()
        assert await stage.store.call("select 1")

    async def test_who_was_cancelled_before_is_told_of_what_fails_while_it_tidies_up(self) -> None:
        told: list[StoreError] = []

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                try:
                    async with store_errors("tidy up"):
                        raise OSError("gone")
                except StoreUnavailable as error:
                    told.append(error)
                raise

        working = asyncio.create_task(work())
        await asyncio.sleep(0)
        working.cancel()
        await asyncio.wait({working}, timeout=10)
        assert working.cancelled()
        assert [str(error) for error in told] == ["could not tidy up: gone"]

    @pytest.mark.parametrize("dsn", ["postgresql:///nowhere?host=/nonexistent", "postgresql://127.0.0.1:1/x"])
    async def test_a_wrong_address_is_said_in_a_sentence(self, dsn: str) -> None:
        with pytest.raises(StoreUnavailable, match="could not connect to the database: "):
            async with open_database(dsn, size=1, application="tests"):
                pass

    async def test_a_wrong_database_or_login_is_said_in_a_sentence(self, shared: WarmDb) -> None:
        for dsn, words in (
            (shared.dsn.replace("_shared_", "_nothing_"), "does not exist"),
            (shared.dsn_as("nobody_here"), "nobody_here"),
        ):
            with pytest.raises(StoreError, match=words) as caught:
                async with open_database(dsn, size=1, application="tests"):
                    pass
            assert not isinstance(caught.value, StoreUnavailable)


async def test_closing_does_not_wait_for_what_still_runs(database: Db) -> None:
    async with asyncio.timeout(timedelta(seconds=15).total_seconds()):
        async with open_database(database.dsn_as("tminus_serve"), size=1, application="tests") as db:
            asleep = asyncio.create_task(db.call("select pg_sleep(30)"))
            await asyncio.sleep(0.1)
        with pytest.raises(StoreError):
            await asleep
