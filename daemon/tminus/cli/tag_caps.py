"""`tminus cap`: on how many sites with a tag something may run at the same time; approvers and gateways keep that."""

from __future__ import annotations

import click

from tminus.cli import screen
from tminus.cli.common import Context, as_json_option, as_person, asynchronous, print_json
from tminus.cli.inputs import WholeNumber
from tminus.errors import UsageError


@click.group()
def cap() -> None:
    """Cap on how many sites with a tag something runs at once."""


@cap.command("list")
@as_json_option
@asynchronous
async def list_(context: Context, *, as_json: bool) -> None:
    """List the caps, and how many of their places are taken."""
    from tminus.store.pool import statement

    async with context.connect() as connection:
        rows = await connection.fetch(statement("list_caps"))
    if as_json:
        print_json([dict(row) for row in rows])
        return
    if not rows:
        click.echo("no tag is capped", err=True)
        return
    shown = screen.table("tag", "at once", "running", "sites", "set by", "at", right=("at once", "running", "sites"))
    for row in rows:
        full = row["running"] >= row["max_running"]
        shown.add_row(
            screen.text(row["tag"]),
            str(row["max_running"]),
            screen.text(row["running"], "yellow" if full else ""),
            str(row["sites"]),
            screen.text(row["set_by"]),
            screen.moment(row["set_at"]),
        )
    screen.console().print(shown)


@cap.command("set")
@click.argument("tag", metavar="TAG")
@click.argument("number", type=WholeNumber(0, 100000))
@as_person
@asynchronous
async def set_(context: Context, tag: str, number: int, *, person: str | None) -> None:
    """Let something run on at most NUMBER sites with this tag at the same time, over all launches and daemons.

    0 lets nothing start there. What runs goes on.
    """
    from tminus.store.pool import statement

    async with context.connect() as connection:
        row = await connection.fetchrow(statement("cap_tag"), tag, number, person)
    assert row is not None  # noqa: S101 - the function always answers
    click.echo(f"at most {number} at once on {screen.plural(row['sites'], 'site')} with the tag {screen.visible(tag)}")
    if row["sites"] == 0:
        click.echo(f"tminus: no site has the tag {tag!r} now", err=True)


@cap.command()
@click.argument("tag", metavar="TAG")
@as_person
@asynchronous
async def remove(context: Context, tag: str, *, person: str | None) -> None:
    """Lift the cap of a tag."""
    from tminus.store.pool import statement

    async with context.connect() as connection:
        caps = await connection.fetch(statement("list_caps"))
        if tag not in {row["tag"] for row in caps}:
            raise UsageError(f"there is no cap on the tag {tag!r}; 'tminus cap list' shows them")
        await connection.fetchrow(statement("cap_tag"), tag, None, person)
    click.echo(f"no cap on the tag {screen.visible(tag)} any more")


COMMANDS = (cap,)
