"""docs/operations.md: each alert has its section, each command exists, and the bad night is as it is told."""

from __future__ import annotations

import asyncio
import re
import shlex
import sys
from pathlib import Path

import click
import pytest

from tests.support import clean_environment
from tminus.cli import _register, cli

_ROOT = Path(__file__).parents[2]
_TEXT = (_ROOT / "docs/operations.md").read_text(encoding="utf-8")
_RUNBOOK, _NIGHT = _TEXT.split("## A bad night")
_PARTS = ("**Means**", "**Look**", "**Do**")


def _alerts() -> list[dict[str, str]]:
    text = (_ROOT / "config/prometheus/alerts.yml").read_text(encoding="utf-8")
    return [
        dict(re.findall(r"^ *(?:- )?(alert|severity|runbook): (\S+)$", rule, re.MULTILINE))
        for rule in re.split(r"^ +(?=- alert: )", text, flags=re.MULTILINE)[1:]
    ]


def _sections(severity: str) -> dict[str, str]:
    (part,) = re.findall(rf"^## {severity}\n(.*?)(?=^## |\Z)", _RUNBOOK, re.DOTALL | re.MULTILINE)
    return dict(re.findall(r"^### (\S+)\n(.*?)(?=^### |\Z)", part, re.DOTALL | re.MULTILINE))


def test_an_alert_is_a_page_or_a_ticket() -> None:
    assert _alerts()
    assert {alert["severity"] for alert in _alerts()} == {"page", "ticket"}


@pytest.mark.parametrize(("heading", "severity"), [("Pages", "page"), ("Tickets", "ticket")])
def test_each_alert_has_the_section_that_it_links_to_and_each_section_its_alert(heading: str, severity: str) -> None:
    sections = _sections(heading)
    alerts = [alert for alert in _alerts() if alert["severity"] == severity]
    assert sorted(sections) == sorted(alert["alert"] for alert in alerts)
    assert {alert["alert"]: alert["runbook"] for alert in alerts} == {
        name: f"docs/operations.md#{name.lower()}" for name in sections
    }
    for name, text in sections.items():
        assert [text.count(part) for part in _PARTS] == [1, 1, 1], name


def _commands() -> list[str]:
    """Every command line of ours: in backticks, in quotes, at the start of an indented line, and after a prompt."""
    joined = _TEXT.replace("\n", " ")
    spans = re.findall(r"`(tminus [a-z][^`]*)`", joined) + re.findall(r"'(tminus (?!NONCE)[a-z][^']*)'", joined)
    lines = re.findall(r"^(?: {4,}|[a-z]+\$ )(tminus [a-z].*?)(?: {2,}#.*)?$", _TEXT, re.MULTILINE)
    return sorted({" ".join(found.split()) for found in spans + lines})


def test_the_document_has_command_lines_of_each_kind() -> None:
    found = _commands()
    assert {"tminus check", "tminus status", "tminus resolve ID SITE", "tminus cleanup now branch-05"} <= set(found)
    assert any("--accept-changed" in line for line in found)
    assert any(line.startswith("tminus resume --note ") for line in found)


@pytest.mark.parametrize("line", _commands())
def test_each_command_line_is_one_that_exists(line: str) -> None:
    _register()
    words = shlex.split(line)[1:]
    command: click.Command = cli
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    assert not isinstance(command, click.Group) or command.invoke_without_command, f"there is no such command: {line}"
    # Names such as ID and BEFORE stand for values, so only the options and the number of arguments are looked at.
    parser = command.make_parser(click.Context(command, **command.context_settings))
    values, rest, _ = parser.parse_args(words)
    assert not rest, f"it takes no {rest}: {line}"
    missing = [p.name for p in command.params if p.required and not isinstance(values.get(p.name), str | list | tuple)]
    assert not missing, f"it needs {missing}: {line}"


@pytest.mark.timeout(240)
async def test_the_bad_night_goes_as_it_is_told() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(_ROOT / "scripts/bad_night.py"), "--check",
        env=clean_environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        said, _ = await asyncio.wait_for(process.communicate(), 200)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, f"run scripts/bad-night and look at what changed:\n{said.decode()}"
