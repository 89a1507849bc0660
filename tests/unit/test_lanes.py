"""A lane answers whoever waits, whatever its batch meets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self
from unittest.mock import Mock

import pytest
from structlog.testing import capture_logs

from tminus.errors import Refused, StoreError
from tminus.store.lane import Lane, Questions


@dataclass
class Numbers:
    asked: Questions[int, int] = field(default_factory=Questions)

    def apart(self) -> list[Self]:
        return [type(self)(one) for one in self.asked.apart()]

    def fail(self, error: StoreError) -> None:
        self.asked.fail(error)


class Halves(Lane[Numbers]):
    """Answers even numbers; odd ones meet `trouble`."""

    def __init__(self, trouble: Exception) -> None:
        super().__init__(gather=0, failed=Mock())
        self.trouble = trouble

    def new(self) -> Numbers:
        return Numbers()

    async def write(self, batch: Numbers) -> None:
        if any(number % 2 for number in batch.asked.requests()):
            raise self.trouble
        batch.asked.answer(lambda number: number // 2)


@asynccontextmanager
async def serving(lane: Halves) -> AsyncIterator[None]:
    task = asyncio.create_task(lane.serve())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()


@pytest.mark.parametrize(
    ("trouble", "event"),
    [(Refused("no odd ones"), "write_refused"), (KeyError("a slip of ours"), "write_broke")],
)
async def test_what_one_request_meets_spoils_no_other_and_ends_no_lane(trouble: Exception, event: str) -> None:
    lane = Halves(trouble)
    async with asyncio.timeout(10), serving(lane):
        with capture_logs() as told:
            answers = await asyncio.gather(
                *(lane.ask(lane.next.asked, number) for number in (2, 3, 4)), return_exceptions=True
            )
        assert (answers[0], answers[2]) == (1, 2)
        assert isinstance(answers[1], StoreError)
        assert str(trouble) in str(answers[1])
        assert [entry["event"] for entry in told] == [event]
        assert await lane.ask(lane.next.asked, 6) == 3
