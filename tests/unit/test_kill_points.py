"""Kill points cost nothing where nobody armed them, and nobody can in a daemon that was started as one."""

from __future__ import annotations

import re
import timeit
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import tminus
from tminus import kill_points
from tminus.kill_points import Point, arm, reach

_SOURCES = [file for file in Path(tminus.__file__).parent.rglob("*.py") if file.name != "kill_points.py"]


@pytest.fixture
def reached() -> Iterator[list[Point]]:
    seen: list[Point] = []
    arm(seen.append)
    yield seen
    kill_points._hook = None


def test_an_armed_hook_hears_of_each_point(reached: list[Point]) -> None:
    reach(Point.SENDING)
    reach(Point.SENT)
    assert reached == [Point.SENDING, Point.SENT]


def test_every_point_is_reached_at_one_place_of_the_daemon() -> None:
    places = Counter(name for file in _SOURCES for name in re.findall(r"\breach\(Point\.(\w+)\)", file.read_text()))
    assert places == Counter(point.name for point in Point)


def test_nothing_of_the_program_arms_them() -> None:
    for file in _SOURCES:
        text = file.read_text()
        assert "arm(" not in text.replace("alarm(", ""), file
        assert not re.search(r"kill_points\b(?! import Point, reach$)", text, re.MULTILINE), file
    assert "import os" not in Path(kill_points.__file__).read_text()


def test_a_point_that_nobody_armed_costs_less_than_a_microsecond() -> None:
    best = min(timeit.repeat(lambda: reach(Point.SENDING), number=10_000, repeat=20))
    assert best / 10_000 < 1e-6
