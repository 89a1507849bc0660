"""Databases for the tests of the store, from the cheapest to the dearest:

shared     one for a module, never emptied: for tests that get along with each other
clean      one for a module, emptied before each test; `stage` is this one with a pool of the daemon's login
database   one for a test, of tests/conftest.py, for what changes the schema; `own_stage` is this one with a pool

Connections belong to an event loop, so the modules that use these run on one loop each:
`pytestmark = pytest.mark.asyncio(loop_scope="module")`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator

import pytest_asyncio

from tests.store.stage import EMPTY, Stage, WarmDb, add_sites, open_stage
from tests.support import Db, fresh_database

_numbers = itertools.count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(postgres: str) -> AsyncIterator[WarmDb]:
    """With the sites a, b and c."""
    async with fresh_database(postgres, f"test_{os.getpid()}_shared_{next(_numbers)}") as db:
        warm = WarmDb(db.dsn)
        try:
            await add_sites(warm, "a", "b", "c")
            yield warm
        finally:
            await warm.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _emptied(postgres: str) -> AsyncIterator[Db]:
    async with fresh_database(postgres, f"test_{os.getpid()}_emptied_{next(_numbers)}") as db:
        yield db


@pytest_asyncio.fixture(loop_scope="module")
async def clean(_emptied: Db) -> Db:
    await _emptied.run(EMPTY)
    return _emptied


@pytest_asyncio.fixture(loop_scope="module")
async def stage(clean: Db) -> AsyncIterator[Stage]:
    async with open_stage(clean) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module")
async def own_stage(database: Db) -> AsyncIterator[Stage]:
    async with open_stage(database) as stage:
        yield stage
