"""`tminus rehearse` and `tminus request-test`: what is found out of a scheduled script before its launch."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import click

from tminus.cli import screen
from tminus.cli.common import Context, as_json_option, as_person, asynchronous, print_json
from tminus.cli.inputs import Duration, find_script
from tminus.cli.status import site_runs_table
from tminus.cli.watch import EVERY, Patience
from tminus.errors import StoreUnavailable, TminusError

if TYPE_CHECKING:
    import asyncpg
    from rich.console import Console
    from rich.text import Text


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
    try:
        async with asyncio.timeout(None if timeout is None else timeout.total_seconds()):
            frame, runs = await _finished(context, launch)
    except TimeoutError:
        raise TminusError(
            f"the rehearsal {launch} had not finished when --timeout was over; it goes on without us"
        ) from None
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
        _report(screen.console(), frame, runs)
    sys.exit(0 if frame["ready"] == frame["sites"] else 1)


@click.command("request-test")
@click.argument("script", metavar="ID")
@click.option("--timeout", type=Duration(), help="Give up waiting after this long.")
@as_person
@as_json_option
@asynchronous
async def request_test(
    context: Context, script: str, *, timeout: timedelta | None, person: str | None, as_json: bool
) -> None:
    """Run a scheduled script on its test site now, and tell how it ended.

    It need not be authorized: the site has to be there for that, in the database and in the configuration of a daemon. The exit
    code is 0 if it completed.
    """
    from tminus.store.pool import statement

    async with context.connect() as connection:
        script_id = await find_script(connection, script)
        launch: UUID = await connection.fetchval(statement("request_test"), script_id, person)
    try:
        async with asyncio.timeout(None if timeout is None else timeout.total_seconds()):
            _, runs = await _finished(context, launch)
    except TimeoutError:
        raise TminusError(
            f"the test {launch} had not finished when --timeout was over; it goes on without us"
        ) from None
    passed = all(row["outcome"] == "completed" for row in runs)
    if as_json:
        print_json(
            {"launch_id": launch, "script_id": script_id, "passed": passed, "site_runs": [dict(row) for row in runs]}
        )
    else:
        console = screen.console()
        console.print(screen.text(f"The test {launch} {'completed' if passed else 'did not complete'}."))
        console.print(site_runs_table(runs))
    sys.exit(0 if passed else 1)


async def _finished(context: Context, launch: UUID) -> tuple[asyncpg.Record, list[asyncpg.Record]]:
    """Wait for the end of a rehearsal or test, through restarts of the database; return it and its site runs.

    What keeps it from going on is said on stderr, once.
    """
    from tminus.store.pool import statement

    patience = Patience()
    warn = _warner()
    while True:
        try:
            async with context.connect() as connection:
                while True:
                    frame = await connection.fetchrow(statement("rehearsal_frame"), launch)
                    patience.seen()
                    if frame is None:
                        raise TminusError(f"the launch {launch} is not there any more")
                    if frame["finished_at"] is not None:
                        return frame, await connection.fetch(statement("site_runs_by_urgency"), launch, None)
                    warn(None if frame["instances"] else screen.no_daemon())
                    await asyncio.sleep(EVERY)
        except StoreUnavailable as error:
            warn(screen.text(patience.note(error), "yellow"))
            await asyncio.sleep(EVERY)


def _warner() -> Callable[[Text | None], None]:
    """Return what prints a warning on stderr, unless it is the one that was printed before. None: all is well again."""
    console = screen.console(stderr=True)
    said: Text | None = None

    def warn(warning: Text | None) -> None:
        nonlocal said
        if warning is not None and warning != said:
            console.print(warning, soft_wrap=True)
        said = warning

    return warn


def _report(console: Console, frame: asyncpg.Record, runs: list[asyncpg.Record]) -> None:
    not_ready = [row for row in runs if row["reason"] != "rehearsed"]
    doubtful = [row for row in runs if row["reason"] == "rehearsed" and row["warnings"]]
    console.print(screen.text(f"{frame['ready']} of {screen.plural(frame['sites'], 'site')} are ready."))
    if not_ready:
        console.print(site_runs_table(not_ready))
    for row in doubtful:
        for warning in row["warnings"]:
            console.print(screen.text(f"{row['site_id']}: {warning}", "yellow"), soft_wrap=True)


COMMANDS = (rehearse, request_test)
