"""Whoever is declared dead holds nothing any more, in whatever moment it was frozen."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from tests.store.stage import Stage
from tests.support import clean_environment, until
from tminus.store import instances
from tminus.store.instances import session_name
from tminus.store.pool import open_database

pytestmark = pytest.mark.asyncio(loop_scope="module")

_ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def frozen(stage: Stage, instance: UUID, run: int) -> AsyncIterator[int]:
    """A client of this instance, frozen between two messages with the row of a run; yields the process id of its backend."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.store.frozen_client", stage.db.dsn_as("tminus_serve"), str(instance), str(run),
        cwd=_ROOT, env=clean_environment(),
    )  # fmt: skip
    try:

        async def stopped() -> bool:
            assert process.returncode is None
            return Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"

        await until(stopped)
        yield await stage.db.value(
            "select pid from pg_stat_activity where application_name = $1", session_name(instance)
        )
    finally:
        process.kill()
        await process.wait()


async def sessions(stage: Stage, backend: int) -> int:
    return await stage.db.value("select count(*) from pg_stat_activity where pid = $1", backend)


async def test_what_a_process_holds_that_is_frozen_within_a_statement_is_free_once_it_is_dead(stage: Stage) -> None:
    sleeper, other = await stage.instance(ttl=10), await stage.instance(name="two")
    script = await stage.launch(sleeper, "a")
    run = (await stage.claim(sleeper))["a"].id
    async with frozen(stage, sleeper, run) as backend:
        # Nothing counts against it: it is not idle.
        state = await stage.db.value("select state from pg_stat_activity where pid = $1", backend)
        assert state == "active"
        assert await instances.cut_off_the_dead(stage.store) == 0, "it is not dead yet"

        await stage.db.move_clock(timedelta(seconds=11))
        reaped = await instances.reap(stage.store)
        assert (reaped.dead, reaped.released) == (1, 0), "its row is held"
        assert await instances.cut_off_the_dead(stage.store) == 1

        async def released() -> bool:
            return (await instances.reap(stage.store)).released == 1

        await until(released, within=5)
        assert await sessions(stage, backend) == 0
        assert set(await stage.claim(other)) == {"a"}
    assert (await stage.db.site_runs(script))["a"]["instance_id"] == other


async def test_who_lives_and_what_is_no_instances_is_not_cut_off(stage: Stage) -> None:
    living, dead = await stage.instance(ttl=3600), await stage.instance(name="two", ttl=10)
    names = (session_name(living), "somebody's", session_name(dead, "tminus heartbeat"))
    await stage.db.move_clock(timedelta(seconds=11))
    assert (await instances.reap(stage.store)).dead == 1
    async with (
        open_database(stage.db.dsn_as("tminus_serve"), size=1, application=names[0]) as first,
        open_database(stage.db.dsn_as("tminus_serve"), size=1, application=names[1]) as second,
        open_database(stage.db.dsn_as("tminus_serve"), size=1, application=names[2]) as third,
        first.transaction("hold") as one,
        second.transaction("hold") as two,
        stage.db.anew("alice") as person,
    ):
        await person.execute(f"set application_name = '{names[2]}'; begin")  # not our login: not ours to end
        backends = [await one.fetchval("select pg_backend_pid()"), await two.fetchval("select pg_backend_pid()")]
        idle = (await third.call("select pg_backend_pid() as pid"))[0]["pid"]
        assert await instances.cut_off_the_dead(stage.store) == 0
        for backend in (*backends, idle):
            assert await sessions(stage, backend) == 1
        assert await person.fetchval("select 1") == 1
