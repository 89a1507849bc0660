"""docs/findings.md lists every code, with the severities that it comes with."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.unit.lint.test_hazards import HAZARDS
from tests.unit.lint.test_pitfalls import PITFALLS
from tminus.routeros import lint
from tminus.services import analysis

_ROOT = Path(__file__).parents[3]
_ROWS = dict(re.findall(r"^\| `([a-z0-9-]+)` \| ([a-z, ]+) \|", (_ROOT / "docs/findings.md").read_text(), re.MULTILINE))
CODES = {code: set(severities.split(", ")) for code, severities in _ROWS.items()}
CODES = {code: severities for code, severities in CODES.items() if severities <= set(lint.Severity)}


def in_the_source() -> set[str]:
    files = [*Path(lint.__file__).parent.glob("*.py"), Path(analysis.__file__)]
    return {
        node.value
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_every_code_of_the_page_is_one_of_the_program() -> None:
    assert len(CODES) > 60
    assert set(CODES) <= in_the_source()


def test_every_finding_of_the_tests_is_on_the_page_with_its_severity() -> None:
    for script, code, severity in (*HAZARDS, *PITFALLS):
        assert str(severity) in CODES[code], (script, code)


def test_every_call_that_makes_a_finding_names_a_code_of_the_page() -> None:
    for file in Path(lint.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("say", "finding"):
                for argument in node.args[:2]:
                    if isinstance(argument, ast.Constant):
                        assert argument.value in CODES, (file.name, argument.value)
