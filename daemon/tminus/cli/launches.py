"""`tminus launch show`: one launch with its sites in groups, those together that came to the same."""

from __future__ import annotations

import asyncio
import re
import sys
from typing import TYPE_CHECKING
from uuid import UUID

import click

from tminus.cli import screen
from tminus.cli.common import Context, as_json_option, asynchronous, print_json
from tminus.cli.inputs import WholeNumber
from tminus.cli.status import counts
from tminus.cli.watch import EVERY, Patience
from tminus.errors import StoreUnavailable, TminusError, UsageError

if TYPE_CHECKING:
    import asyncpg
    from rich.console import Console

_LINES = 20


@click.group()
def launch() -> None:
    """Look at launches."""


@launch.command()
@click.argument("wanted", metavar="ID")
@click.option("--follow", is_flag=True, help="Wait for its end, and say on stderr what changes.")
@click.option("--groups", "limit", type=WholeNumber(1, 10000), default=50, show_default=True, help="Groups at most.")
@as_json_option
@asynchronous
async def show(context: Context, wanted: str, *, follow: bool, limit: int, as_json: bool) -> None:
    """Show a launch, its sites in groups: those together with the same ending, output and difference.

    ID is that of a launch, or of a scheduled script for its latest launch. With --follow the exit code is 0 if it
    completed on all sites.
    """
    frame, groups = await _look(context, wanted, limit, follow=follow)
    if as_json:
        print_json({**dict(frame), "groups": [dict(row) for row in groups]})
    else:
        _print(screen.console(), frame, groups, limit)
    if follow:
        sys.exit(0 if frame["completed"] == frame["sites"] > 0 else 1)


async def _look(
    context: Context, wanted: str, limit: int, *, follow: bool
) -> tuple[asyncpg.Record, list[asyncpg.Record]]:
    """Return the launch and its groups; with `follow` at its end, through restarts of the database."""
    from tminus.store.pool import statement

    patience = Patience()
    launch_id: UUID | None = None
    said = ""
    while True:
        try:
            async with context.connect() as connection:
                launch_id = launch_id or await find_launch(connection, wanted)
                while True:
                    async with connection.transaction(isolation="repeatable_read", readonly=True):
                        frame = await connection.fetchrow(statement("launch_frame"), launch_id)
                        if frame is None:
                            raise TminusError(f"launch {launch_id} is not there any more")
                        patience.seen()
                        if not follow or frame["finished_at"] is not None:
                            return frame, await connection.fetch(statement("launch_groups"), launch_id, limit)
                    line = counts(frame) if frame["instances"] else f"{counts(frame)}; no daemon is alive"
                    if line != said:
                        click.echo(line, err=True)
                        said = line
                    await asyncio.sleep(EVERY)
        except StoreUnavailable as error:
            if launch_id is None:
                raise
            click.echo(patience.note(error), err=True)
            await asyncio.sleep(EVERY)


async def find_launch(connection: asyncpg.Connection, text: str) -> UUID:
    """Return the launch whose UUID, or whose scheduled script's, begins with `text`. UsageError if there is not exactly one."""
    from tminus.store.pool import statement

    digits = text.replace("-", "").lower()
    if not re.fullmatch(r"[0-9a-f]{4,32}", digits):
        raise UsageError(f"{text!r} is no id of a launch; give its UUID, or at least the first 4 digits of it")
    rows = await connection.fetch(statement("find_launches"), UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f")))
    match [str(row["id"]) for row in rows]:
        case []:
            raise UsageError(
                f"there is no launch {text}, nor was a scheduled script {text} launched; 'tminus status' lists them"
            )
        case [found]:
            return UUID(found)
        case several:
            raise UsageError(f"{text} is the beginning of more than one ({', '.join(several[:3])}); give more of it")


def _print(console: Console, frame: asyncpg.Record, groups: list[asyncpg.Record], limit: int) -> None:
    facts = screen.facts()
    state = screen.state(frame["state"])
    state.append(f" ({screen.visible(frame['reason'])})" if frame["reason"] else "", "")
    for name, value in (
        ("launch", screen.text(f"{frame['launch_id']}{'' if frame['kind'] == 'scheduled' else ' ' + frame['kind']}")),
        ("scheduled script", screen.text(frame["script_id"])),
        ("description", screen.text(frame["description"])),
        ("state", state),
        ("due", screen.text(screen.moment(frame["due_at"]))),
        ("started", screen.text(screen.moment(frame["started_at"]) or "never")),
        ("finished", screen.text(screen.moment(frame["finished_at"]) or "not yet")),
        ("time", screen.text(screen.seconds(frame["seconds"]))),
        ("authorized by", screen.text(frame["authorized_by"] or "nobody")),
        ("run now by", screen.text(frame["run_now_by"]) if frame["run_now_by"] else None),
        ("progress", screen.text(f"{screen.plural(frame['sites'], 'site')}: {counts(frame)}")),
    ):
        if value:
            facts.add_row(name, value)
    console.print(facts)
    for row in groups:
        _print_group(console, frame["script_id"], row)
    shown = sum(row["count"] for row in groups)
    if shown < frame["sites"] and len(groups) == limit:
        console.print()
        rest = screen.plural(frame["sites"] - shown, "site")
        console.print(screen.text(f"… and {rest} in more groups: --groups {limit * 10} shows more"))


def _print_group(console: Console, script: UUID, row: asyncpg.Record) -> None:
    console.print()
    heading = screen.text(f"{screen.plural(row['count'], 'site')}: ", "bold")
    heading.append_text(screen.state(row["outcome"]))
    detail = row["step"] if row["outcome"] == "running" else row["reason"]
    heading.append(f" ({detail})" if detail else "", "")
    if row["warned"]:
        heading.append(f", {row['warned']} with warnings", "yellow")
    console.print(heading, soft_wrap=True)
    more = row["count"] - len(row["sites"])
    console.print(screen.text(", ".join(row["sites"]) + (f" and {more} more" if more else "")), soft_wrap=True)
    if row["message"]:
        example = "" if row["count"] == 1 else f"{row['sites'][0]}: "
        console.print(screen.text(f"{example}{screen.one_line(row['message'], 300)}"), soft_wrap=True)
    where = f"'tminus show {script} {row['sites'][0]}' shows all"
    for heading_text, value in (("Output", row["output"]), ("Difference", row["diff"])):
        lines = (value or "").rstrip("\n").split("\n")
        if lines == [""]:
            continue
        console.print(screen.text(heading_text, "dim"))
        kept = "\n".join(lines[:_LINES])
        console.print(screen.coloured_diff(kept) if heading_text == "Difference" else screen.text(kept), soft_wrap=True)
        if len(lines) > _LINES:
            console.print(screen.text(f"… {screen.plural(len(lines) - _LINES, 'more line', 'more lines')}: {where}"))


COMMANDS = (launch,)
