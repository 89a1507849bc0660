"""What the tests share: one PostgreSQL a session, a fresh database a test."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support import Db, fresh_database, make_template, start_postgres
from tminus.simulator import FleetSpec

# Simulated routers have the same addresses in every test, unless a test says others. Tests that run side by side (scripts/test)
# are each given a network of their own.
if "TEST_NETWORK" in os.environ:
    FleetSpec.__init__.__kwdefaults__["base"] = f"{os.environ['TEST_NETWORK']}.0.1"

_numbers = itertools.count(1)
# The files that take the longest (pytest --durations), in that order: parts that run side by side are to end together.
_LONGEST = {
    name: place
    for place, name in enumerate(
        (
            "test_busy_routers", "test_moving", "test_signed_authorization", "test_switches", "test_rollout", "test_sessions",
            "test_recovery", "test_api", "test_own_database", "test_install_guide", "test_lesser_routers", "test_post_checks",
            "test_no_secret_leaks", "test_scheduling",
        )
    )
}  # fmt: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--part", default="1/1", help="only every Nth file, from the Kth on: K/N (see scripts/test)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    first, every = (int(number) for number in config.getoption("part").split("/"))
    paths = sorted({item.path for item in items}, key=lambda path: (_LONGEST.get(path.stem, len(_LONGEST)), path))
    # There and back again, so that who has the longest of one round has the shortest of the next.
    rounds = [paths[start : start + every] for start in range(0, len(paths), every)]
    taken = {
        path
        for n, round_ in enumerate(rounds)
        for k, path in enumerate(round_)
        if first == (every - k if n % 2 else k + 1)
    }
    left_out = [item for item in items if item.path not in taken]
    items[:] = [item for item in items if item.path in taken]
    if left_out:
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The DSN of a server for this session, as its superuser. TMINUS_TEST_DSN names one of another version (15 to 18)."""
    given = os.environ.get("TMINUS_TEST_DSN")
    if given:
        asyncio.run(make_template(given))
        yield given
        return
    with start_postgres() as dsn:
        asyncio.run(make_template(dsn))
        yield dsn


@pytest.fixture
async def database(postgres: str) -> AsyncIterator[Db]:
    """A fresh, migrated database, with a login of each kind and a clock that can be moved."""
    async with fresh_database(postgres, f"test_{os.getpid()}_{next(_numbers)}") as db:
        yield db
