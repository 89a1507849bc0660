"""`tminus contact`: how people are reached, by whoever keeps that (a gateway or the owner of the schema)."""

from __future__ import annotations

from datetime import timedelta

import click

from tminus.cli import screen
from tminus.cli.common import Context, as_json_option, asynchronous, print_json
from tminus.cli.inputs import Duration, WholeNumber
from tminus.domain.news import NewsKind
from tminus.errors import UsageError


@click.group()
def contact() -> None:
    """Keep how people are told."""


@contact.command("list")
@click.argument("person", metavar="[PERSON]", required=False)
@as_json_option
@asynchronous
async def list_(context: Context, person: str | None, *, as_json: bool) -> None:
    """List contacts, with how many letters wait for each, and why the last one that failed did."""
    from tminus.store.pool import statement

    async with context.connect() as connection:
        rows = await connection.fetch(statement("list_contacts"), person)
    if as_json:
        print_json([dict(row) for row in rows])
        return
    if not rows:
        click.echo("there are no contacts; 'tminus contact set --help' says how to add one", err=True)
        return
    shown = screen.table("number", "person", "channel", "address", "news", "digest", "waiting", "last failure", "")
    for row in rows:
        shown.add_row(
            str(row["id"]),
            screen.text(row["person"]),
            row["channel"],
            screen.text(row["address"]),
            "all" if row["news"] is None else " ".join(row["news"]),
            "" if row["digest_every"] is None else screen.seconds(row["digest_every"].total_seconds()),
            str(row["waiting"]),
            screen.one_line(row["last_failure"] or "", 120),
            "" if row["enabled"] else screen.text("disabled", "yellow"),
        )
    screen.console().print(shown)


@contact.command("set")
@click.argument("person", metavar="PERSON")
@click.argument("channel", type=click.Choice(("mail", "webhook")))
@click.argument("address", metavar="ADDRESS")
@click.option(
    "--news", type=click.Choice([str(kind) for kind in NewsKind]), multiple=True, help="Only this; repeat it."
)
@click.option("--digest", type=Duration(), help="One letter of all that came within this long.")
@asynchronous
async def set_(
    context: Context, person: str, channel: str, address: str, *, news: tuple[str, ...], digest: timedelta | None
) -> None:
    """Add a contact, or change what it is told.

    ADDRESS is a mail address, or the name of a webhook in the configuration of the daemon.
    """
    from tminus.store.pool import statement

    async with context.connect() as connection:
        wanted = list(news) or None
        number = await connection.fetchval(statement("set_contact"), person, channel, address, wanted, digest)
    click.echo(f"contact {number}")


@contact.command()
@click.argument("number", type=WholeNumber(1, 2**62))
@asynchronous
async def disable(context: Context, number: int) -> None:
    """Write to a contact no more. 'tminus contact list' shows the numbers."""
    from tminus.store.pool import statement

    async with context.connect() as connection:
        if await connection.fetchval(statement("disable_contact"), number) is None:
            raise UsageError(
                f"there is no contact {number}, or it is disabled already; 'tminus contact list' shows all"
            )
    click.echo(f"disabled contact {number}")


COMMANDS = (contact,)
