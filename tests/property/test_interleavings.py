"""Whoever acts at the same time: what comes of it is what one of the orders gives.

A sample of the schedules is run each time. INTERLEAVINGS=all runs every one of two acts, and many of three and of four;
INTERLEAVINGS=first stops at the first that is wrong.
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.property.interleaved import GATE, Act, Field, Schedule, open_field, schedules, what_is_wrong
from tests.property.machine import PREPARE
from tests.property.scenes import SCENES, Scene
from tests.store.stage import EMPTY, Stage, open_stage
from tests.support import fresh_database

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALL = os.environ.get("INTERLEAVINGS") in ("all", "first")
ENOUGH = 1 if os.environ.get("INTERLEAVINGS") == "first" else 40  # wrong ones
PAIRS, TRIPLES, QUARTETS = (None, 50, 25) if ALL else (14, 4, 2)  # of each scene; None: all of them


@dataclass(frozen=True)
class Arena:
    stage: Stage
    field: Field


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def arena(postgres: str) -> AsyncIterator[Arena]:
    async with fresh_database(postgres, f"interleaved_{os.getpid()}") as db:
        await db.run(PREPARE + GATE)
        async with open_stage(db) as stage, open_field(stage.db) as field:
            yield Arena(stage, field)


def _drawn(acts: Sequence[Act], number: int, rng: random.Random) -> Iterator[Schedule]:
    """Schedules of so many acts, for ever."""
    moments = [(s.moment, s.table) for s in schedules(acts[:1], 1)]
    while True:
        moment, table = rng.choice(moments)
        yield Schedule(acts=tuple(rng.choices(acts, k=number)), moment=moment, table=table)


@pytest.mark.timeout(7200 if ALL else 120)
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
async def test_what_happens_at_the_same_time_happens_in_some_order(arena: Arena, scene: Scene) -> None:
    field, rng = arena.field, random.Random(scene.name)
    await arena.stage.db.run(EMPTY)
    acts = await scene.build(arena.stage)
    await field.save()
    pairs = list(schedules(acts))
    rng.shuffle(pairs)
    wrong: list[str] = []
    for source, number in ((iter(pairs), PAIRS), (_drawn(acts, 3, rng), TRIPLES), (_drawn(acts, 4, rng), QUARTETS)):
        begun = field.ran
        for schedule in source:
            if len(wrong) >= ENOUGH or (number is not None and field.ran - begun >= number):
                break
            outcome = await field.at_once(schedule)
            if outcome is None:
                continue
            if said := await what_is_wrong(field, schedule, outcome):
                wrong.append(said)
    print(f"{scene.name:16} {field.ran:6} schedules of {len(acts)} acts, {len(wrong)} wrong")  # noqa: T201 - with pytest -s
    assert not wrong, f"{len(wrong)} wrong\n\n" + "\n\n".join(wrong)
    assert field.ran >= (PAIRS or 100) + TRIPLES + QUARTETS
