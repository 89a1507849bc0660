"""Look at many routers at once, show what they are and what would stop a run, and accept it in one go."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import TYPE_CHECKING

import click

from tminus.cli import screen
from tminus.cli.common import Context, as_json_option, asynchronous
from tminus.cli.inputs import WholeNumber
from tminus.cli.outdated import warn_of_outdated
from tminus.cli.scan_output import print_rows, summarize
from tminus.cli.scan_row import Row
from tminus.errors import UsageError

if TYPE_CHECKING:
    import asyncpg

    from tminus.services.scanner import Finding


@click.command()
@click.argument("sites", metavar="[SITES]...", nargs=-1)
@click.option("--tag", help="The enabled sites with this tag.")
@click.option("--all", "everything", is_flag=True, help="All enabled sites.")
@click.option("--accept", is_flag=True, help="Pin new keys and keep what was found. On a terminal you are asked first.")
@click.option(
    "--accept-changed",
    metavar="SITE",
    multiple=True,
    help="Accept that this site has another key or device; repeat it.",
)
@click.option("--yes", is_flag=True, help="Do not ask on a terminal.")
@click.option("--at-once", type=WholeNumber(1, 1000), default=50, show_default=True, help="How many side by side.")
@click.option("--csv", "as_csv", is_flag=True, help="Print a table for a spreadsheet.")
@as_json_option
@asynchronous
async def scan(
    context: Context,
    sites: tuple[str, ...],
    *,
    tag: str | None,
    everything: bool,
    accept: bool,
    accept_changed: tuple[str, ...],
    yes: bool,
    at_once: int,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Log in to many routers, show what they are, and say what would stop a run.

    Nothing is run and nothing is written on a router. A host whose key is not the pinned one gets no credential; where no
    key is pinned yet, a login by key is tried and one by password is not. The exit code is 0 if all sites are ready.
    """
    if (bool(sites), tag is not None, everything).count(True) != 1:
        raise UsageError("say which sites: name them, or give --tag TAG, or --all")
    if as_csv and as_json:
        raise UsageError("--csv and --json exclude each other")
    changed = frozenset(accept_changed)
    from tminus.services.scanner import scan as look_at_all

    known = await _known(context, sites, tag)
    if strangers := sorted(changed - known.keys()):
        raise UsageError(f"--accept-changed names site {strangers[0]!r}, which is not among the scanned ones")
    found: dict[str, Finding] = {}
    from tminus.app import open_contact
    from tminus.settings import credentials_base
    from tminus.store.site_runs import read_site

    settings = context.settings
    async with open_contact(settings, credentials_base(context.config_file)) as contact:
        await look_at_all(
            contact,
            [read_site(row) for row in known.values()],
            at_once=at_once,
            timeout=settings.command_timeout,
            found=lambda finding: found.__setitem__(finding.site.id, finding),
        )
    rows = [Row(finding=found[site_id], known=row) for site_id, row in known.items()]
    await _find_twins(context, rows)
    wanted = [row for row in rows if row.acceptable(changed, accept=accept)]
    asks = bool(wanted) and not yes and sys.stdin.isatty() and sys.stdout.isatty()
    if asks:
        print_rows(rows, as_csv=as_csv, as_json=as_json)
    if wanted:
        await _accept(context, wanted, asks=asks)
    if not asks:
        print_rows(rows, as_csv=as_csv, as_json=as_json)
    summarize(rows)
    sys.exit(0 if all(row.ready for row in rows) else 1)


async def _known(context: Context, sites: tuple[str, ...], tag: str | None) -> dict[str, asyncpg.Record]:
    from tminus.store.pool import statement

    async with context.connect() as connection:
        rows = await connection.fetch(statement("scan_sites"), list(sites) or None, tag)
    known = {row["site_id"]: row for row in rows}
    for site in sites:
        if site not in known:
            raise UsageError(f"there is no site {site!r}; 'tminus site list' lists them")
    if not known:
        raise UsageError(f"no enabled site has the tag {tag!r}" if tag else "there is no enabled site")
    return known


async def _find_twins(context: Context, rows: list[Row]) -> None:
    """Note which routers are other sites already, in the database or among what was found just now."""
    from tminus.store.pool import statement

    serials = Counter(row.facts["serial"] for row in rows if row.facts["serial"] is not None)
    async with context.connect() as connection:
        owners = {row["serial"]: row["id"] for row in await connection.fetch(statement("serials_known"), list(serials))}
    first: dict[str, str] = {}
    for row in rows:
        serial = row.facts["serial"]
        if serial is None:
            continue
        owner = owners.get(serial) or first.setdefault(serial, row.id)
        row.twin = owner if owner != row.id else None


async def _accept(context: Context, rows: list[Row], *, asks: bool) -> None:
    """Write what was accepted, after saying what that does to authorizations."""
    from tminus.store.pool import statement

    found = json.dumps([_accepted(row) for row in rows])
    async with context.connect() as connection:
        # Tried first and taken back: nobody answers a question while we hold the sites.
        trial = connection.transaction()
        await trial.start()
        await connection.fetch(statement("accept_sites"), found)
        outdated = await connection.fetch(statement("outdated_authorizations"), [row.id for row in rows])
        await trial.rollback()
        warn_of_outdated(outdated)
        count = (
            f"the authorizations of {screen.plural(len(outdated), 'scheduled script')} will not cover sites any more"
        )
        keys = sum(row.finding.presented is not None and row.known["host_key"] != _text(row) for row in rows)
        question = f"Pin {screen.plural(keys, 'key')} and keep what {screen.plural(len(rows), 'router')} said"
        if asks and not click.confirm(f"{question}{f' ({count})' if outdated else ''}?", err=True):
            return
        async with connection.transaction():
            written = {row["id"] for row in await connection.fetch(statement("accept_sites"), found)}
    for row in rows:
        row.accepted = row.id in written
        if not row.accepted:
            click.echo(f"warning: the pinned key of site {row.id} was changed meanwhile; scan it again", err=True)


def _text(row: Row) -> str | None:
    return row.finding.presented.text if row.finding.presented else None


def _accepted(row: Row) -> dict[str, str | None]:
    return {"id": row.id, "was_key": row.known["host_key"], "host_key": _text(row), **row.facts}
