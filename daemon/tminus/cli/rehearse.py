"""`tminus rehearse` and `tminus request-test`: what is found out of a scheduled script before its launch."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import click

from tminus.cli import screen
from tminus.cli.common import Context, as_json_option, as_person, asynchronous, print_json
from tminus.cli.inputs import Duration, find_script
from tminus.cli.retry_plan import show_plan
from tminus.cli.review import read_review
from tminus.cli.signing import check_signing, expiry, sign_statement, signer, with_signature
from tminus.cli.status import site_runs_table
from tminus.cli.watch import EVERY, Patience
from tminus.domain.digest import combine, row_digest, site_digest
from tminus.errors import StoreUnavailable, TminusError, UsageError

if TYPE_CHECKING:
    import asyncpg
    from rich.console import Console
    from rich.text import Text

    from tminus.domain.authorization import Statement


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
@click.option("--yes", is_flag=True, help="With --sign: show what would be run, but do not ask.")
@with_signature
@as_person
@as_json_option
@asynchronous
async def request_test(
    context: Context,
    script: str,
    *,
    timeout: timedelta | None,
    yes: bool,
    key: Path | None,
    lasts: timedelta | None,
    person: str | None,
    as_json: bool,
) -> None:
    """Run a scheduled script on its test site now, and tell how it ended.

    It need not be authorized: the site has to be there for that, in the database and in the configuration of a daemon. The exit
    code is 0 if it completed.
    """
    from tminus.store.pool import statement

    check_signing(key, lasts, yes=yes)
    async with context.connect() as connection:
        script_id = await find_script(connection, script)
    launch, expires, signature = uuid4(), None, None
    if key is not None:
        expires = expiry(lasts)
        stated = await _what_is_tested(context, script_id, launch, await signer(context, person), expires)
        if not yes and not click.confirm("Sign exactly this?", err=as_json):
            raise TminusError(f"scheduled script {script_id} is not tested; nothing was changed")
        signature = await sign_statement(stated, key)
    async with context.connect() as connection:
        await connection.fetchval(statement("request_test"), script_id, person, launch, signature, expires)
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


async def _what_is_tested(
    context: Context, script_id: UUID, launch: UUID, approver: str, expires: datetime
) -> Statement:
    """Show what a test would run and where, and return what has to be signed for it, computed from what is shown."""
    from tminus.domain.authorization import Statement, as_tested
    from tminus.domain.variables import names_in
    from tminus.store.pool import statement
    from tminus.store.site_runs import read_site, read_variables

    async with context.connect() as connection:
        seen = await read_review(connection, script_id)
        row = await connection.fetchrow(statement("test_site"), script_id)
    if row is None:
        raise UsageError(f"scheduled script {script_id} has no test site")
    site = read_site(row).part_of(names_in(seen.row.code), read_variables(seen.variables))
    digest = combine(row_digest(as_tested(seen.row)), [(site.id, site_digest(site))])
    show_plan(("test of", str(script_id)), script=seen.script, sites=(site,), digest=digest)
    return Statement(
        act="test",
        launch=launch,
        script=str(script_id),
        digest=digest,
        sites=1,
        author=seen.created_by,
        editor=seen.updated_by,
        approver=approver,
        expires=expires,
    )


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
