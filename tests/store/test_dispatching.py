"""What the dispatcher does with a launch that somebody wrote to past the schema's rules."""

from __future__ import annotations

from typing import cast
from unittest.mock import AsyncMock, Mock

import pytest
from structlog.testing import capture_logs

from tests.store.stage import Stage
from tminus.services.contact import Contact
from tminus.services.dispatcher import Dispatcher
from tminus.services.heartbeat import Trust
from tminus.services.holdings import Holdings
from tminus.services.loop import Hint
from tminus.services.observer import Observer

pytestmark = pytest.mark.asyncio(loop_scope="module")


class NoJumpHosts:
    def places(self) -> dict[str, int]:
        return {}

    def hold_place(self, site: object) -> object:
        return lambda: None


async def test_a_launch_that_cannot_be_read_is_refused_and_the_others_run(stage: Stage) -> None:
    instance = await stage.instance()
    await stage.launch(instance, "a", "b")
    await stage.launch(instance, "c")
    await stage.db.run(
        "set session_replication_role = replica;"
        " update tminus.authorizations set site_digests = '{}' where 'a' = any (site_ids)"
    )
    trust = Trust(ttl=600, margin=1)
    trust.extend(trust.now())
    runner = AsyncMock()
    dispatcher = Dispatcher(
        stage.store,
        instance,
        trust,
        runner,
        Holdings(),
        contact=cast("Contact", NoJumpHosts()),
        may_start=lambda: True,
        max_sessions=10,
        poll_interval=1.0,
        observer=Mock(spec=Observer),
        ended=Hint(),
        stopped=Hint(),
    )
    with capture_logs() as told:
        await dispatcher._work()
        assert await dispatcher.drain(5)
    assert sorted(call.args[0].site.id for call in runner.refuse.call_args_list) == ["a", "b"]
    assert [call.args[0].claim.site.id for call in runner.run.call_args_list] == ["c"]
    assert [entry["event"] for entry in told].count("launch_unreadable") == 1
