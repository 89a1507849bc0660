"""One site run as it is shown to a person, by `tminus show` and, with what a verdict needs, by `tminus resolve`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from tminus.cli import screen
from tminus.errors import UsageError

if TYPE_CHECKING:
    import asyncpg
    from rich.console import Console, RenderableType
    from rich.text import Text

_BACKUPS = 10
_TOLD_FEW = 3


async def find_site_run(
    connection: asyncpg.Connection, script_id: UUID, site_id: str, *, unresolved_first: bool = False
) -> tuple[asyncpg.Record, list[asyncpg.Record]]:
    """Return a row of show_site_run and its backups, newest first. UsageError if the script was never launched there."""
    from tminus.store.pool import statement

    run = await connection.fetchrow(statement("show_site_run"), script_id, site_id, unresolved_first)
    if run is None:
        script = json.loads(await connection.fetchval(statement("api_object"), script_id))
        raise UsageError(_why_no_run(script_id, site_id, script["sites"]))
    return run, await connection.fetch(statement("list_backups"), None, run["id"], _BACKUPS)


def _why_no_run(script_id: UUID, site_id: str, sites: list[str]) -> str:
    if site_id in sites:
        return f"scheduled script {script_id} has not been launched on site {site_id!r} yet; 'tminus status {script_id}' shows when"
    some = ", ".join(sites[:_TOLD_FEW]) + (f" and {len(sites) - _TOLD_FEW} more" if len(sites) > _TOLD_FEW else "")
    return f"site {site_id!r} is not one of the sites of scheduled script {script_id}: {some}"


def print_site_run(
    console: Console,
    run: asyncpg.Record,
    backups: list[asyncpg.Record],
    *,
    facts: Sequence[tuple[str, RenderableType]] = (),
    parts: Sequence[tuple[str, str]] = (),
) -> None:
    """Print a row of show_site_run and its backups, with more `facts` and, as headings and texts, more `parts`. Empty ones are left out."""
    shown = screen.facts()
    for name, value in (*_facts_of(run), *facts):
        if value:  # an empty Text is false, too
            shown.add_row(name, value)
    console.print(shown)
    _print_part(console, "Warnings", screen.text("\n".join(f"- {warning}" for warning in run["warnings"]), "yellow"))
    _print_part(console, "On the router afterwards", screen.text(run["evidence"]))
    for heading, text in parts:
        _print_part(console, heading, screen.text(text))
    _print_part(console, "Output", screen.text(run["output"]))
    _print_part(console, "Difference", screen.coloured_diff(run["diff"] or ""))
    _print_part(console, "Backups", screen.text(_backups(backups)))


def _facts_of(run: asyncpg.Record) -> list[tuple[str, RenderableType]]:
    ending = screen.state(run["state"])
    more = ", ".join(part for part in (run["reason"], run["effect"] and f"effect: {run['effect']}") if part)
    ending.append(f" ({more})" if more else "", "")
    launch = "" if run["kind"] == "scheduled" else f"{run['kind']} "
    return [
        ("site", screen.text(run["site_id"])),
        ("scheduled script", screen.text(f"{run['script_id']}  {screen.one_line(run['description'], 60)}")),
        ("launch", screen.text(f"{launch}{run['launch_id']}, due {screen.moment(run['due_at'])}")),
        ("site run", str(run["id"])),
        ("state", ending),
        ("step", screen.text(run["step"])),
        ("message", screen.text(run["message"])),
        ("resolved", screen.text(_resolved(run))),
        ("started", screen.moment(run["started_at"])),
        ("script started", screen.moment(run["executing_at"])),
        ("finished", screen.moment(run["finished_at"])),
        ("time", screen.seconds(run["seconds"])),
        ("attempts", str(run["attempts"])),
        ("next try", screen.moment(run["not_before"])),
    ]


def _resolved(run: asyncpg.Record) -> str:
    if run["resolved_at"] is None:
        return ""
    verdict = f"{run['resolved_state']} (effect: {run['resolved_effect']})"
    return f"{verdict}, by {run['resolved_by']} at {screen.moment(run['resolved_at'])}: {run['resolution']}"


def _backups(backups: list[asyncpg.Record]) -> str:
    lines = [f"{row['id']}  {row['phase']}  {screen.moment(row['taken_at'])}" for row in reversed(backups)]
    return "\n".join([*lines, "'tminus backup show NUMBER' prints one."]) if lines else ""


def _print_part(console: Console, heading: str, text: Text) -> None:
    text.rstrip()
    if text:
        console.print()
        console.print(screen.text(heading, "bold"))
        console.print(text, soft_wrap=True)
