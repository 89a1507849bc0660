"""`tminus window`: the times at which starts are allowed; a gateway or the owner of the schema keeps them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from tminus.cli import screen
from tminus.cli.common import Context, as_json_option, asynchronous, print_json
from tminus.cli.inputs import parse_end
from tminus.errors import UsageError

if TYPE_CHECKING:
    import asyncpg


@click.group()
def window() -> None:
    """Keep the times at which starts are allowed."""


@window.command("list")
@as_json_option
@asynchronous
async def list_(context: Context, *, as_json: bool) -> None:
    """List the windows: for which sites, by which rules, and when each is open next."""
    from tminus.store.pool import statement

    async with context.connect() as connection:
        rows = await connection.fetch(statement("list_windows"))
    if as_json:
        print_json([_as_json(row) for row in rows])
        return
    if not rows:
        click.echo("there are no windows: starts are allowed at any time", err=True)
        return
    shown = screen.table("name", "for", "rules", "zone", "opens", "closes", "")
    for row in rows:
        spans = [f"{screen.moment(span.lower)} to {screen.moment(span.upper)}" for span in row["spans"]]
        shown.add_row(
            screen.text(row["name"]),
            screen.text(_for_whom(row)),
            screen.text("; ".join([*row["weekly"], *spans])),
            screen.text(row["timezone"]),
            screen.moment(row["opens_at"]),
            screen.moment(row["closes_at"]),
            screen.text("open", "green") if row["is_open"] else screen.text(_why_shut(row), "yellow"),
        )
    screen.console().print(shown)


@window.command("set")
@click.argument("name", metavar="NAME")
@click.option("--weekly", multiple=True, metavar="RULE", help="'mon-thu 22:00-04:00', 'daily 02:00-05:00'; repeat it.")
@click.option("--span", "spans", multiple=True, metavar="FROM/TO", help="Once: 2030-12-24T12:00Z/2030-12-26T20:00Z.")
@click.option("--timezone", metavar="ZONE", default="UTC", show_default=True, help="Whose clock the rules go by.")
@click.option("--tag", help="For all sites that have this tag, whoever names it or not.")
@click.option("--all-sites", is_flag=True, help="For all sites, whoever names it or not.")
@asynchronous
async def set_(
    context: Context,
    name: str,
    *,
    weekly: tuple[str, ...],
    spans: tuple[str, ...],
    timezone: str,
    tag: str | None,
    all_sites: bool,
) -> None:
    """Make a window, or put these rules in place of those that it has.

    It is for the scheduled scripts that name it (--window of 'tminus submit'), unless --tag or --all-sites is given: then it
    binds everybody on these sites, at once.
    """
    from tminus.store.pool import statement

    if tag is not None and all_sites:
        raise UsageError("give either --tag or --all-sites")
    if not weekly and not spans:
        raise UsageError("say when it is open: --weekly RULE or --span FROM/TO; a window without either never opens")
    scope = "all" if all_sites else "named" if tag is None else "tag"
    begins, ends = zip(*[_span(text, timezone) for text in spans], strict=True) if spans else ((), ())
    async with context.connect() as connection:
        row = await connection.fetchrow(
            statement("set_window"), name, timezone, list(weekly), list(begins), list(ends), scope, tag
        )
    assert row is not None  # noqa: S101 - it inserts, or replaces
    click.echo(
        f"{'made' if row['is_new'] else 'replaced'} window {screen.visible(name)}, {_for_whom(row)};"
        " it is closed until a daemon has planned it, which takes seconds"
    )
    if tag is not None and not row["has_sites"]:
        click.echo(f"tminus: no site has the tag {tag!r} now", err=True)


@window.command()
@click.argument("name", metavar="NAME")
@asynchronous
async def remove(context: Context, name: str) -> None:
    """Remove a window: what it held back may start. Refused while a scheduled script that is to come names it."""
    from tminus.store.pool import statement

    async with context.connect() as connection:
        if await connection.fetchval(statement("remove_window"), name) is None:
            raise UsageError(f"there is no window {name!r}; 'tminus window list' shows them")
    click.echo(f"removed window {screen.visible(name)}")


def _span(text: str, timezone: str) -> tuple[datetime, datetime]:
    begins, slash, ends = text.partition("/")
    first, last = parse_end(begins, timezone, "--span"), parse_end(ends, timezone, "--span") if slash else None
    if first is None or last is None:
        raise UsageError(f"--span {text!r} is not FROM/TO; give two times such as 2030-12-24T12:00Z/2030-12-26T20:00Z")
    if last <= first:
        raise UsageError(f"--span {text!r} ends before it begins")
    return first, last


def _for_whom(row: asyncpg.Record) -> str:
    match row["scope"]:
        case "all":
            return "all sites"
        case "tag":
            return f"sites with the tag {screen.visible(row['tag'])}"
        case _:
            return "scripts that name it"


def _why_shut(row: asyncpg.Record) -> str:
    if row["planned_at"] is None:
        return "closed: not planned yet"
    return "closed" if row["opens_at"] is not None else "closed: opens no more"


def _as_json(row: asyncpg.Record) -> dict[str, Any]:
    return dict(row) | {"spans": [{"from": span.lower, "to": span.upper} for span in row["spans"]]}


COMMANDS = (window,)
