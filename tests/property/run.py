"""Opens what the machine walks on, and walks it."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.property import machine
from tests.property.recorded import RecordedDatabase
from tests.store.stage import Stage, WarmDb
from tests.support import fresh_database
from tminus.store.pool import PLANNING


def explore(
    postgres: str,
    *,
    races: int,
    examples: int,
    steps: int,
    derandomize: bool,
    shrink: bool = True,
    tell: Callable[[str], None] = print,
) -> machine.Walk:
    """Walk the known races so many times each, then `examples` times at most `steps` steps at random.

    Raises AssertionError with the SQL of the shortest walk that is wrong.
    """
    loop = asyncio.new_event_loop()
    opened = _open(postgres, loop)
    machine.walk = loop.run_until_complete(opened.__aenter__())
    try:
        machine.walk_known_races(times=races, seed=0)
        tell(f"walked {machine.walk.examples} known races")
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            machine.Ownership,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                derandomize=derandomize,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
            ),
        )
        return machine.walk
    finally:
        walked = machine.walk
        tell(f"walked {walked.examples} examples, {walked.steps} statements; wrong at {walked.failed_at}")
        loop.run_until_complete(opened.__aexit__(None, None, None))
        loop.close()


@asynccontextmanager
async def _open(postgres: str, loop: asyncio.AbstractEventLoop) -> AsyncIterator[machine.Walk]:
    with tempfile.TemporaryDirectory(prefix="tminus-walk-") as folder:
        async with fresh_database(postgres, f"walk_{os.getpid()}") as db:
            await db.run(machine.PREPARE)
            warm = WarmDb(db.dsn)
            pool = await asyncpg.create_pool(
                db.dsn_as("tminus_serve"),
                min_size=1,
                max_size=2,
                command_timeout=20,
                server_settings={"search_path": "pg_catalog, pg_temp", "timezone": "UTC", **PLANNING},
            )
            try:
                store = RecordedDatabase(pool)
                yield machine.Walk(Stage(warm, store, Path(folder)), store, loop)
            finally:
                pool.terminate()
                await warm.close()
