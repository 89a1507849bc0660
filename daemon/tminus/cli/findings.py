"""How findings are shown, and where in a script they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from tminus.cli import screen

if TYPE_CHECKING:
    from tminus.routeros.lint import Finding, Inspection

_SEVERITIES = {"error": "bold red", "danger": "red", "warning": "yellow", "note": "dim"}
_BEFORE, _AFTER = 60, 40  # characters around the place that are shown of a long line


def look_at(script: str, site_timeout: timedelta, post_checks: Sequence[str] = ()) -> Inspection:
    """Look at a script here, as the daemon does."""
    from tminus.routeros.lint import inspect

    return inspect(script.encode(), site_timeout=site_timeout, post_checks=post_checks)


def refusal(seen: Inspection) -> str:
    """Say in a sentence that a router would refuse a script, and why."""
    return f"a router would refuse this script: {seen.message} (line {seen.line} column {seen.column})"


def show_seen(script: str, seen: Inspection) -> None:
    """Print what was found in a script, plainly where a router would refuse it."""
    if not seen.valid:
        screen.console().print(screen.text(refusal(seen), "bold red"))
        show_caret(script.encode(), seen)
    if seen.findings:
        show_findings(seen.findings)


def show_stored(
    findings: str | None, script: str, site_timeout: timedelta, post_checks: Sequence[str] = (), *, summary: str | None
) -> None:
    """Print the findings (a list in JSON) that a daemon stored, and what is found here where that differs.

    Who authorizes does not have to trust the database for it: the script is looked at here as well.
    """
    from tminus.routeros.lint import from_json

    console = screen.console()
    screen.rule(console, "findings")
    seen = look_at(script, site_timeout, post_checks)
    stored = None if findings is None else from_json(json.loads(findings))
    if stored == seen.findings:
        if stored:
            show_seen(script, seen)
        else:
            console.print("None.")
        return
    if stored is None:
        console.print("The daemon has not looked at this script yet; this was found here, just now:")
    else:
        console.print(
            screen.text(
                "What the daemon stored differs from what is found here, just now; its version is another one, or somebody changed"
                " it. Found here:",
                "bold red",
            )
        )
    if stored is not None or not summary:
        console.print(screen.text(seen.summary))
    show_seen(script, seen)
    if stored is not None:
        console.print("Stored:" if stored else "Stored: none.")
        if stored:
            show_findings(stored)


def show_findings(findings: Sequence[Finding]) -> None:
    """Print findings, the worst first; in a pipe each is one line."""
    from rich.text import Text

    console = screen.console()
    for each in findings:
        times = f" ({each.count} times, first here)" if each.count > 1 else ""
        line = Text.assemble(
            screen.text(f"{each.severity:7}", _SEVERITIES.get(each.severity, "")),
            screen.text(f"  {each.line}:{each.column}  {each.code}: {each.message}{times}"),
        )
        console.print(line, soft_wrap=not console.is_terminal)


def show_caret(source: bytes, seen: Inspection) -> None:
    """Print the line that a router would refuse, and a caret under the place. Nothing if it would read the script."""
    if seen.line is None or seen.column is None:
        return
    console = screen.console()
    for line in caret(source, seen.line, seen.column):
        console.print(screen.text(line), soft_wrap=True)


def caret(source: bytes, line: int, column: int) -> tuple[str, str]:
    """Return the line, as it can be shown, and one with a caret below the place that RouterOS calls `column`."""
    from rich.cells import cell_len

    from tminus.routeros.lint.encoding import offset_of

    lines = source.split(b"\n")
    whole = lines[line - 1].rstrip(b"\r") if line <= len(lines) else b""
    at = offset_of(whole, column)
    before, after = _shown(whole[:at]), _shown(whole[at:])
    if len(before) > _BEFORE:
        before = f"…{before[1 - _BEFORE :]}"
    if len(after) > _AFTER:
        after = f"{after[: _AFTER - 1]}…"
    return f"    {before}{after}", f"    {' ' * cell_len(before)}^"


def _shown(part: bytes) -> str:
    return screen.visible(part.decode("utf-8", "replace").replace("\t", "    "))
