"""The loop of the services outlives the database's trouble, and ends when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from unittest.mock import Mock

import pytest
from structlog.testing import capture_logs

from tminus.errors import StoreUnavailable
from tminus.services.loop import Hint, repeat


async def _loses_it_for_trouble() -> float:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise StoreUnavailable("could not look: connection is closed") from None
    return 0.0


async def _loses_it_for_an_answer() -> float:
    """What asyncio.wait_for does before Python 3.12, where the answer comes at the same moment."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return 60.0
    return 0.0


@pytest.mark.parametrize("work", [_loses_it_for_trouble, _loses_it_for_an_answer])
async def test_a_service_ends_though_its_work_lost_the_cancellation(work: Callable[[], Awaitable[float]]) -> None:
    hint = Hint()
    service = asyncio.create_task(repeat("launcher", work, hint=hint, observer=Mock()))
    await asyncio.sleep(0)
    service.cancel()
    await asyncio.wait({service}, timeout=10)
    assert service.cancelled()


async def test_trouble_is_told_once_and_the_work_goes_on() -> None:
    rounds: list[int] = []
    observer: Any = Mock()
    hint = Hint()
    enough = asyncio.Event()

    async def work() -> float:
        rounds.append(len(rounds))
        if len(rounds) < 3:
            hint.give()  # nobody waits for the next one
            raise StoreUnavailable("no answer in time")
        enough.set()
        return 60.0

    with capture_logs() as told:
        service = asyncio.create_task(repeat("reaper", work, hint=hint, observer=observer))
        async with asyncio.timeout(10):
            await enough.wait()
        await asyncio.sleep(0)  # what it says of the round that was answered
        service.cancel()
        await asyncio.wait({service}, timeout=10)
    assert observer.store_failed.call_count == 2
    assert [entry["event"] for entry in told] == ["store_unavailable", "store_returned"]


async def test_a_bug_is_told_and_counted_and_the_work_goes_on() -> None:
    """One row that nobody thought of would else end every daemon, and again after each restart."""
    observer: Any = Mock()
    hint = Hint()
    enough = asyncio.Event()
    rounds = iter([LookupError("a slip of ours"), None])

    async def work() -> float:
        if (error := next(rounds)) is not None:
            hint.give()
            raise error
        enough.set()
        return 60.0

    with capture_logs() as told:
        service = asyncio.create_task(repeat("window_planner", work, hint=hint, observer=observer))
        async with asyncio.timeout(10):
            await enough.wait()
        await asyncio.sleep(0)
        service.cancel()
        await asyncio.wait({service}, timeout=10)
    assert service.cancelled()
    assert [call.args for call in observer.broke.call_args_list] == [("window_planner",)]
    assert [(entry["event"], entry["log_level"]) for entry in told] == [
        ("service_broke", "error"),
        ("service_returned", "info"),
    ]
