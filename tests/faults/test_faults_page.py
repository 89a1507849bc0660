"""docs/faults.md says what is broken on purpose: all of it, and nothing that is not there."""

from __future__ import annotations

import re
from pathlib import Path

from tests.faults.scenarios import SCENARIOS

_TESTS = Path(__file__).parents[1]
_PAGE = (_TESTS.parent / "docs/faults.md").read_text(encoding="utf-8")
_ROWS = dict(re.findall(r"^\| (F\d+) \| (.*) \|$", _PAGE, re.MULTILINE))


def _matches(name: str, scenario: str) -> bool:
    return scenario.startswith(name[:-1]) if name.endswith("*") else scenario == name


def test_every_kind_of_trouble_has_a_row_that_says_how_it_is_made() -> None:
    assert list(_ROWS) == [f"F{number}" for number in range(1, 31)]
    assert all("`" in row for row in _ROWS.values())


def test_every_scenario_that_the_page_names_exists_and_stands_in_its_row() -> None:
    names = {(fault, name) for fault, row in _ROWS.items() for name in re.findall(r"`(F\d+-[\w*-]+)`", row)}
    assert len(names) > 10
    for fault, name in names:
        assert any(_matches(name, scenario) for scenario in SCENARIOS), f"{fault} names {name}"
    for name in re.findall(r"`(F\d+-[\w*-]+)`", _PAGE):
        assert any(_matches(name, scenario) for scenario in SCENARIOS), name


def test_every_scenario_is_told_of_in_the_row_of_its_fault() -> None:
    for scenario in SCENARIOS.values():
        named = re.findall(r"`(F\d+-[\w*-]+)`", _ROWS[scenario.fault])
        assert any(_matches(name, scenario.id) for name in named), scenario.id


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", _PAGE))
    assert len(named) > 30
    for name in named:
        assert list(_TESTS.rglob(f"{name}.py")), name
