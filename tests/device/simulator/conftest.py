"""A simulated fleet of one site, and a connection to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncssh
import pytest

from tests.device.simulator.client import connected, one
from tminus.simulator import Fleet


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with one() as running:
        yield running


@pytest.fixture
async def connection(fleet: Fleet) -> AsyncIterator[asyncssh.SSHClientConnection]:
    async with connected(fleet) as open_connection:
        yield open_connection
