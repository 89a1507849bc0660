"""Trouble with one question, or with one router, does not end the cleanup, and so not the daemon."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast
from unittest.mock import Mock

import pytest
from structlog.testing import capture_logs

from tests.store.stage import Stage
from tminus.errors import StoreUnavailable
from tminus.services.cleanup import Cleanup
from tminus.services.contact import Contact
from tminus.services.heartbeat import Trust
from tminus.services.observer import Observer
from tminus.store import site_runs

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Broken:
    """A contact with a bug in it."""

    async def connect(self, site: object, **options: object) -> Any:
        raise LookupError("a slip of ours")


async def cleanup(stage: Stage) -> Cleanup:
    trust = Trust(ttl=600, margin=1)
    trust.extend(trust.now())
    return Cleanup(
        stage.store,
        await stage.instance(),
        trust,
        cast("Contact", Broken()),
        poll_interval=1.0,
        command_timeout=1.0,
        observer=Mock(spec=Observer),
    )


async def test_a_question_that_fails_is_trouble_with_the_database_and_nothing_else(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`repeat` goes on after a StoreError; a group of them would end all services."""

    async def away(*arguments: object, **options: object) -> Any:
        raise StoreUnavailable("it is away")

    monkeypatch.setattr(site_runs, "take_debts", away)
    with pytest.raises(StoreUnavailable):
        await (await cleanup(stage))._work()


async def test_a_bug_in_one_cleanup_is_noted_with_its_debt(stage: Stage) -> None:
    instance = await stage.instance()
    await stage.launch(instance, "a")
    run = (await stage.claim(instance))["a"].id
    await stage.end(instance, run, state="failed")
    await stage.store.fetch("owe_cleanup", [run], ["tminus-0123456789abcdef.rsc"])
    await stage.db.move_clock(timedelta(hours=1))
    await (await cleanup(stage))._work()
    [debt] = await stage.db.fetch("select attempts, last_error, settled_at from tminus.cleanup_debts")
    assert (debt["attempts"], debt["settled_at"]) == (1, None)
    assert "a slip of ours" in debt["last_error"]


@pytest.mark.parametrize("stop_job", [False, True])
async def test_a_job_that_is_to_be_stopped_is_not_told_of_as_a_file_that_starts_nothing(
    stage: Stage, *, stop_job: bool
) -> None:
    """Whoever removed the file and had it forgiven would drop the request to stop what still runs."""
    instance = await stage.instance()
    await stage.launch(instance, "a")
    run = (await stage.claim(instance))["a"].id
    await stage.leave_unknown(instance, run)
    if stop_job:
        asked = "select tminus.resolve($1, 'failed/partial', 'It waits.', stop_job => true)"
        await stage.db.fetch(asked, run, role="bob")
    else:
        await stage.store.fetch("owe_cleanup", [run], ["tminus-0123456789abcdef.rsc"])
    await stage.db.move_clock(timedelta(days=4))
    with capture_logs() as said:
        await (await cleanup(stage))._work()
    [owed] = [line for line in said if line["event"] == "cleanup_owed"]
    assert owed["stop_job"] is stop_job
    assert ("starts nothing" in owed["todo"]) is not stop_job
    assert ("still runs" in owed["todo"]) is stop_job
    if stop_job:
        assert "/system script job" in owed["todo"]
        assert "drops the request" in owed["todo"]
