"""`tminus check`: whether a daemon would do well here, said line by line."""

from __future__ import annotations

import sys

import click

from tminus.cli import screen
from tminus.cli.check_finding import Finding, Grade
from tminus.cli.checkup import examine
from tminus.cli.common import Context, as_json_option, asynchronous, print_json

_STYLES = {
    Grade.OK: "green",
    Grade.WARNING: "yellow",
    Grade.FAILED: "red",
    Grade.SKIPPED: "dim",
}


@click.command()
@as_json_option
@asynchronous
async def check(context: Context, *, as_json: bool) -> None:
    """Look at configuration, secrets, state, database, roles, schema and clocks, and say what to do.

    Starts nothing and changes nothing. The exit code is that of the first thing that failed; warnings are no failure.
    """
    found = await examine(context.config_file)
    code = next((finding.exit_code for finding in found if finding.grade is Grade.FAILED), 0)
    if as_json:
        print_json({"ok": code == 0, "checks": [_as_object(finding) for finding in found]})
    elif sys.stdout.isatty():
        _print_table(found)
    else:
        for finding in found:
            click.echo(f"{finding.grade}: {screen.visible(finding.check)}: {screen.visible(finding.said)}")
    sys.exit(code)


def _as_object(finding: Finding) -> dict[str, str]:
    return {"check": finding.check, "grade": str(finding.grade), "said": finding.said}


def _print_table(found: list[Finding]) -> None:
    table = screen.table("", "check", "found")
    for finding in found:
        table.add_row(
            screen.text(finding.grade, _STYLES[finding.grade]),
            screen.text(finding.check),
            screen.text(finding.said),
        )
    screen.console().print(table)


COMMANDS = (check,)
