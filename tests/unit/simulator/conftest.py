"""Routers without a network."""

from __future__ import annotations

import pytest

from tests.unit.simulator.machine import Machine, machine


@pytest.fixture
def router() -> Machine:
    """The newest version that is tested."""
    return machine()


@pytest.fixture
def make_router():
    return machine
