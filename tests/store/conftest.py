"""A stage a test; and for what changes nothing, one database a module."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.store.stage import Stage, add_sites, open_stage
from tests.support import Db, fresh_database

_numbers = itertools.count(1)


@pytest.fixture
async def stage(database: Db) -> AsyncIterator[Stage]:
    async with open_stage(database) as stage:
        yield stage


@pytest.fixture(scope="module")
def shared(postgres: str) -> Iterator[Db]:
    """A database with the sites a, b and c, for the tests of a module that get along with each other."""
    with asyncio.Runner() as runner:
        context = fresh_database(postgres, f"test_{os.getpid()}_shared_{next(_numbers)}")
        db = runner.run(context.__aenter__())
        runner.run(add_sites(db, "a", "b", "c"))
        yield db
        runner.run(context.__aexit__(None, None, None))
