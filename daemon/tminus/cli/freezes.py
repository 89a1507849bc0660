"""Stop new starts for a time, everywhere or on the sites with a tag, and let them go on."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from tminus.cli import screen
from tminus.cli.common import Context, as_json_option, as_person, asynchronous, print_json
from tminus.cli.inputs import Duration, WholeNumber, parse_moment
from tminus.errors import UsageError

if TYPE_CHECKING:
    import asyncpg
    from rich.console import Console


@click.command()
@click.option("--tag", help="Only the sites that have this tag; else all.")
@click.option("--until", metavar="TIME", help="In ISO 8601: 2030-11-25T06:00Z, or local with --timezone.")
@click.option("--for", "lasts", type=Duration(), metavar="DURATION", help="How long from now: 90m, 12h, 2d.")
@click.option("--timezone", metavar="ZONE", help="Of a local --until.")
@click.option("--reason", metavar="TEXT", help="Why; everyone who waits reads it.")
@as_person
@as_json_option
@asynchronous
async def freeze(
    context: Context,
    *,
    tag: str | None,
    until: str | None,
    lasts: timedelta | None,
    timezone: str | None,
    reason: str | None,
    person: str | None,
    as_json: bool,
) -> None:
    """Stop all new starts at once, until a time. What runs goes on.

    Without --reason: list what is frozen. A freeze ends by itself, or with 'tminus thaw NUMBER'.
    """
    from tminus.store.pool import statement

    if reason is None:
        if tag is not None or until is not None or lasts is not None:
            raise UsageError("say why: tminus freeze --until TIME --reason TEXT")
        await _list(context, as_json=as_json)
        return
    if (until is None) == (lasts is None):
        raise UsageError("say until when, in one way: --until TIME or --for DURATION")
    if timezone is not None and until is None:
        raise UsageError("--timezone goes with a local --until")
    moment = parse_moment(until, timezone, "--until") if until is not None else None
    async with context.connect() as connection:
        number = await connection.fetchval(statement("freeze"), tag, moment, lasts, reason, person)
        frozen = await connection.fetch(statement("freezes"))
    if as_json:
        print_json([dict(row) for row in frozen if row["id"] == number])
        return
    where = f"sites with the tag {screen.visible(tag)} are" if tag is not None else "everything is"
    click.echo(f"{where} frozen; to end it sooner: tminus thaw {number} --note TEXT")


async def _list(context: Context, *, as_json: bool) -> None:
    from tminus.store.pool import statement

    async with context.connect() as connection:
        rows = await connection.fetch(statement("freezes"))
    if as_json:
        print_json([dict(row) for row in rows])
    elif not rows:
        click.echo("nothing is frozen", err=True)
    else:
        print_freezes(screen.console(), rows)


def print_freezes(console: Console, rows: list[asyncpg.Record]) -> None:
    """Print the freezes that are in force, a line each."""
    for row in rows:
        where = "on all sites" if row["tag"] is None else f"on sites with the tag {screen.visible(row['tag'])}"
        told = (
            f"Frozen {where} until {screen.moment(row['until'])} by {screen.visible(row['frozen_by'])}:"
            f" {screen.visible(row['reason'])} (freeze {row['id']})"
        )
        console.print(screen.text(told, "bold red"), soft_wrap=True)


@click.command()
@click.argument("number", metavar="NUMBER", type=WholeNumber(1, 2**63 - 1))
@click.option("--note", metavar="TEXT", required=True, help="Why starts may go on.")
@as_person
@asynchronous
async def thaw(context: Context, number: int, *, note: str, person: str | None) -> None:
    """End a freeze before its time. NUMBER is its number: 'tminus freeze' lists what is frozen."""
    from tminus.store.pool import statement

    async with context.connect() as connection:
        await connection.fetchval(statement("thaw"), number, note, person)
    click.echo(f"freeze {number} is over; what is due and still in time starts at once")


COMMANDS = (freeze, thaw)
