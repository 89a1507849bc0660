"""A stage a test; and for tests that get along with each other, one database and one login of each kind a module.

Connections belong to an event loop, so the modules that use these run on one loop each:
`pytestmark = pytest.mark.asyncio(loop_scope="module")`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator

import pytest_asyncio

from tests.store.stage import Stage, WarmDb, add_sites, open_stage
from tests.support import Db, fresh_database

_numbers = itertools.count(1)


@pytest_asyncio.fixture(loop_scope="module")
async def stage(database: Db) -> AsyncIterator[Stage]:
    async with open_stage(database) as stage:
        yield stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(postgres: str) -> AsyncIterator[WarmDb]:
    """A database with the sites a, b and c."""
    async with fresh_database(postgres, f"test_{os.getpid()}_shared_{next(_numbers)}") as db:
        warm = WarmDb(db.dsn)
        try:
            await add_sites(warm, "a", "b", "c")
            yield warm
        finally:
            await warm.close()
