"""The launcher: what one scheduled script has wrong with it is that script's alone."""

from __future__ import annotations

from datetime import timedelta
from unittest.mock import Mock
from uuid import UUID

import pytest

from tests.store.stage import Stage, add_sites
from tminus.services.heartbeat import Trust
from tminus.services.launcher import Launcher
from tminus.services.loop import Hint
from tminus.services.observer import Observer

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def look(stage: Stage, *, may_start: bool = True) -> None:
    """Let a launcher look once."""
    trust = Trust(ttl=600, margin=1)
    trust.extend(trust.now())
    launcher = Launcher(
        stage.store,
        await stage.instance(),
        trust,
        may_start=lambda: may_start,
        poll_interval=1.0,
        observer=Mock(spec=Observer),
        launched=Hint(),
    )
    await launcher._work()


async def two_that_are_due(stage: Stage) -> tuple[UUID, UUID]:
    await add_sites(stage.db, "a", "b")
    both = await stage.db.submit(":put 1", ["a"]), await stage.db.submit(":put 2", ["b"])
    await stage.db.move_clock(timedelta(seconds=1))
    return both


async def test_an_authorization_that_makes_no_sense_is_refused_and_the_others_are_launched(stage: Stage) -> None:
    bad, good = await two_that_are_due(stage)
    await stage.db.run(
        "set session_replication_role = replica;"
        f" update tminus.authorizations set site_digests = site_digests || 'x'::text where script_id = '{bad}'"
    )
    await look(stage)
    assert (await stage.row(good))["status"] == "launched"
    row = await stage.row(bad)
    assert row["status"] == "unauthorized"
    assert row["status_reason"].startswith("what was authorized cannot be read: ")
    assert [event["script_id"] for event in await stage.events("launch_refused")] == [bad]


async def test_a_host_that_cannot_remember_what_it_starts_launches_nothing(stage: Stage) -> None:
    await two_that_are_due(stage)
    await look(stage, may_start=False)
    assert await stage.db.value("select count(*) from tminus.launches") == 0
    await look(stage)
    assert await stage.db.value("select count(*) from tminus.launches") == 2
