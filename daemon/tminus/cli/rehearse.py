"""`tminus rehearse`: which sites are ready for a scheduled script, found out days before its launch."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import click

from tminus.cli import screen
from tminus.cli.common import Context, as_json_option, as_person, asynchronous, print_json
from tminus.cli.inputs import Duration, find_script
from tminus.cli.status import site_runs_table
from tminus.errors import StoreUnavailable, TminusError

if TYPE_CHECKING:
    import asyncpg
    from rich.console import Console

_EVERY = 0.5  # seconds between two looks


@click.command()
@click.argument("script", metavar="ID")
@click.option("--timeout", type=Duration(), help="Give up waiting after this long.")
@as_person
@as_json_option
@asynchronous
async def rehearse(
    context: Context, script: str, *, timeout: timedelta | None, person: str | None, as_json: bool
) -> None:
    """Rehearse a scheduled script on all its sites now, and tell which are not ready and why.

    Everything is done that comes before the start: login, identity, export, upload, dry run, cleanup. The script is not
    run, and need not be authorized. The exit code is 0 if all sites are ready.
    """
    from tminus.store.pool import statement

    async with context.connect() as connection:
        script_id = await find_script(connection, script)
        launch: UUID = await connection.fetchval(statement("rehearse"), script_id, person)
    console = screen.console()
    try:
        async with asyncio.timeout(None if timeout is None else timeout.total_seconds()):
            frame = await _finished(context, launch, console, quiet=as_json)
    except TimeoutError:
        raise TminusError(
            f"the rehearsal {launch} had not finished when --timeout was over; it goes on without us"
        ) from None
    async with context.connect() as connection:
        runs = await connection.fetch(statement("site_runs_by_urgency"), launch, None)
    if as_json:
        print_json(
            {
                "launch_id": launch,
                "script_id": script_id,
                "sites": frame["sites"],
                "ready": frame["ready"],
                "site_runs": [dict(row) for row in runs],
            }
        )
    else:
        _report(console, frame, runs)
    sys.exit(0 if frame["ready"] == frame["sites"] else 1)


async def _finished(context: Context, launch: UUID, console: Console, *, quiet: bool) -> asyncpg.Record:
    """Wait for the end of the rehearsal, through restarts of the database."""
    from tminus.store.pool import statement

    warned = False
    while True:
        try:
            async with context.connect() as connection:
                while True:
                    frame = await connection.fetchrow(statement("rehearsal_frame"), launch)
                    if frame is None:
                        raise TminusError(f"the rehearsal {launch} is not there any more")
                    if frame["finished_at"] is not None:
                        return frame
                    if not frame["instances"] and not warned and not quiet:
                        console.print(
                            screen.text("No daemon is alive: nothing goes on until 'tminus serve' runs.", "bold red")
                        )
                        warned = True
                    await asyncio.sleep(_EVERY)
        except StoreUnavailable:
            await asyncio.sleep(_EVERY)


def _report(console: Console, frame: asyncpg.Record, runs: list[asyncpg.Record]) -> None:
    not_ready = [row for row in runs if row["reason"] != "rehearsed"]
    doubtful = [row for row in runs if row["reason"] == "rehearsed" and row["warnings"]]
    console.print(screen.text(f"{frame['ready']} of {screen.plural(frame['sites'], 'site')} are ready."))
    if not_ready:
        console.print(site_runs_table(not_ready))
    for row in doubtful:
        for warning in row["warnings"]:
            console.print(screen.text(f"{row['site_id']}: {warning}", "yellow"), soft_wrap=True)


COMMANDS = (rehearse,)
