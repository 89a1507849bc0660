"""What the tests share: one PostgreSQL a session, a fresh database a test."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support import Db, fresh_database, make_template, start_postgres
from tminus.simulator import FleetSpec

# Simulated routers have the same addresses in every test, unless a test says others. Tests that run side by side (scripts/test)
# are each given a network of their own.
if "TEST_NETWORK" in os.environ:
    FleetSpec.__init__.__kwdefaults__["base"] = f"{os.environ['TEST_NETWORK']}.0.1"

# How long an example takes says what else the machine does.
settings.register_profile("tminus", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tminus")

_numbers = itertools.count(1)
# Seconds that the longest files take beside each other (pytest --durations); the others take ten or so. Parts that run side by
# side are to end together.
_SECONDS = {
    "test_sessions": 215, "test_busy_routers": 220, "test_switches": 160, "test_moving": 120, "test_cli": 85, "test_recovery": 85,
    "test_rollout": 80, "test_install": 70, "test_api": 65, "test_signed_authorization": 60, "test_repairing": 60,
    "test_post_checks": 50, "test_configuration": 50, "test_lesser_routers": 50, "test_operations": 50, "test_no_secret_leaks": 45,
    "test_reach": 40, "test_scheduling": 40, "test_check": 30, "test_sensitive_exports": 30, "test_install_guide": 30,
    "test_own_database": 30, "test_lint": 30, "test_every_fault": 30, "test_sandbox": 25, "test_rehearsal": 40,
}  # fmt: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--part", default="1/1", help="only every Nth file, from the Kth on: K/N (see scripts/test)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    mine, count = (int(number) for number in config.getoption("part").split("/"))
    parts: list[set[Path]] = [set() for _ in range(count)]
    spent = [0] * count
    # The longest first, each to the part that has the least to do so far.
    for path in sorted({item.path for item in items}, key=lambda path: (-_SECONDS.get(path.stem, 10), path)):
        least = spent.index(min(spent))
        parts[least].add(path)
        spent[least] += _SECONDS.get(path.stem, 10)
    taken = parts[mine - 1]
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
