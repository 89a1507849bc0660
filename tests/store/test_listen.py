"""NOTIFY is a hint: given when something was told, and after every reconnect."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.store.stage import Stage, add_sites, authorize, insert
from tests.support import until
from tminus.store.listen import listen

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Ear:
    def __init__(self) -> None:
        self.hints = 0

    def heard(self) -> None:
        self.hints += 1

    async def hears(self, more_than: int) -> None:
        async def heard() -> bool:
            return self.hints > more_than

        await until(heard, within=5, every=0.01)


@contextlib.asynccontextmanager
async def listening(dsn: str) -> AsyncIterator[Ear]:
    ear = Ear()
    task = asyncio.create_task(listen(dsn, ear.heard, reconnect_after=0.05))
    try:
        yield ear
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_it_begins_with_a_hint_and_wakes_for_what_is_told(stage: Stage) -> None:
    async with listening(stage.db.dsn_as("tminus_serve")) as ear:
        await ear.hears(0)
        await stage.db.run("notify tminus, 'x'")
        await ear.hears(1)


async def test_what_is_to_be_done_is_told(stage: Stage) -> None:
    """An authorization, a new cron row, a cancel, a launch."""
    await add_sites(stage.db, "a")
    instance = await stage.instance()
    script = await insert(stage.db)
    async with listening(stage.db.dsn_as("tminus_serve")) as ear:
        await ear.hears(0)
        for tell in (
            lambda: authorize(stage.db, script),
            lambda: insert(stage.db, cron="@daily"),
            lambda: stage.db.fetch("select tminus.cancel($1)", script, role="alice"),
            lambda: stage.launch(instance, "a"),
        ):
            before = ear.hints
            await tell()
            await ear.hears(before)


async def test_a_plain_edit_tells_nobody(stage: Stage) -> None:
    """Every NOTIFY takes a lock on the whole server at its commit."""
    await add_sites(stage.db, "a")
    script = await insert(stage.db)
    heard: list[str] = []
    async with stage.db.anew() as connection:
        await connection.add_listener("tminus", lambda *arguments: heard.append(arguments[3]))
        await stage.db.fetch(
            "update tminus.scheduled_scripts set description = 'x' where id = $1", script, role="alice"
        )
        await stage.db.run("notify tminus, 'the end'")

        async def ended() -> bool:
            return "the end" in heard

        await until(ended, within=5)
        assert heard == ["the end"]


async def test_a_killed_session_is_replaced_at_once_with_a_hint(stage: Stage) -> None:
    async with listening(stage.db.dsn_as("tminus_serve")) as ear:
        await ear.hears(0)
        for _ in range(3):
            before = ear.hints
            killed = await stage.db.value(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'tminus listen'"
                " and datname = current_database()"
            )
            assert killed == 1
            await ear.hears(before)
        before = ear.hints
        await stage.db.run("notify tminus, 'x'")
        await ear.hears(before)


async def test_it_waits_for_a_database_that_is_not_there_yet(own_stage: Stage) -> None:
    name = await own_stage.db.value("select current_database()")
    dsn = own_stage.db.dsn_as("tminus_serve")
    await own_stage.db.run(f"alter database {name} connection limit 0")
    try:
        async with listening(dsn) as ear:
            with pytest.raises(asyncpg.TooManyConnectionsError):
                await asyncpg.connect(dsn)
            assert ear.hints == 0
            await own_stage.db.run(f"alter database {name} connection limit -1")
            await ear.hears(0)
    finally:
        await own_stage.db.run(f"alter database {name} connection limit -1")


async def test_it_ends_when_it_is_cancelled_and_leaves_no_session(stage: Stage) -> None:
    async with listening(stage.db.dsn_as("tminus_serve")) as ear:
        await ear.hears(0)

    async def gone() -> bool:
        return await stage.db.value(
            "select count(*) = 0 from pg_stat_activity where application_name = 'tminus listen' and datname = current_database()"
        )

    await until(gone, within=5)


async def test_a_flood_gives_few_hints_and_the_last_of_it_is_heard(stage: Stage) -> None:
    """Any login may NOTIFY as fast as it can; the daemon's services are not sent round for each."""
    async with listening(stage.db.dsn_as("tminus_serve")) as ear, stage.db.anew("rita") as reader:
        await ear.hears(0)
        loop = asyncio.get_running_loop()
        before, began = ear.hints, loop.time()
        for number in range(2000):
            await reader.execute(f"notify tminus, '{number}'")
        took = loop.time() - began
        assert ear.hints - before <= took / 0.1 + 12
        told = ear.hints
        await reader.execute("notify tminus, 'the last'")
        await ear.hears(told)


async def test_a_few_at_once_are_each_heard_at_once(stage: Stage) -> None:
    """A cancel does not wait for what was told just before it."""
    async with listening(stage.db.dsn_as("tminus_serve")) as ear, stage.db.anew("rita") as reader:
        await ear.hears(0)
        before = ear.hints
        for number in range(5):
            await reader.execute(f"notify tminus, '{number}'")
        await ear.hears(before + 4)
