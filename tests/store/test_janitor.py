"""Trouble with one question, or with one router, does not end the janitor, and so not the daemon."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast
from unittest.mock import Mock

import pytest

from tests.store.stage import Stage
from tminus.errors import StoreUnavailable
from tminus.services.contact import Contact
from tminus.services.heartbeat import Trust
from tminus.services.janitor import Janitor
from tminus.services.observer import Observer
from tminus.store import site_runs

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Broken:
    """A contact with a bug in it."""

    async def connect(self, site: object) -> Any:
        raise LookupError("a slip of ours")


async def janitor(stage: Stage) -> Janitor:
    trust = Trust(ttl=600, margin=1)
    trust.extend(trust.now())
    return Janitor(
        stage.store,
        await stage.instance(),
        trust,
        cast("Contact", Broken()),
        poll_interval=1.0,
        command_timeout=1.0,
        stamp_log=True,
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
        await (await janitor(stage))._work()


async def test_a_bug_in_one_cleanup_is_noted_with_its_debt(stage: Stage) -> None:
    instance = await stage.instance()
    await stage.launch(instance, "a")
    run = (await stage.claim(instance))["a"].id
    await stage.end(instance, run, state="failed")
    await stage.store.fetch("owe_cleanup", [run], ["tminus-0123456789abcdef.rsc"])
    await stage.db.move_clock(timedelta(hours=1))
    await (await janitor(stage))._work()
    [debt] = await stage.db.fetch("select attempts, last_error, settled_at from tminus.cleanup_debts")
    assert (debt["attempts"], debt["settled_at"]) == (1, None)
    assert "a slip of ours" in debt["last_error"]
