"""Every launch that is to come, in order: those of one time, and the next occurrences of each cron rule."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from tminus.cli import screen
from tminus.cli.common import Context, as_json_option, asynchronous, print_json
from tminus.cli.inputs import WholeNumber

if TYPE_CHECKING:
    import asyncpg


@click.command()
@click.option("--limit", type=WholeNumber(1, 10000), default=20, show_default=True, help="How many launches.")
@as_json_option
@asynchronous
async def upcoming(context: Context, *, limit: int, as_json: bool) -> None:
    """Show what will be launched when, by which authorization, and what holds it back."""
    from tminus.store.pool import statement

    async with context.connect() as connection:
        rows = await connection.fetch(statement("upcoming"), limit)
    planned = (_occurrences(row, limit) for row in rows if row["launch_at"] is not None)
    coming = list(islice(merge(*planned, key=lambda launch: launch["launch_at"]), limit))
    unplanned = [dict(row) for row in rows if row["launch_at"] is None]
    if as_json:
        print_json([_as_json(launch) for launch in coming + unplanned])
        return
    if not coming and not unplanned:
        click.echo("nothing is to come", err=True)
        return
    shown = screen.table(
        "id", "launch", "in its zone", "sites", "authorized", "held back by", "description", right=("sites",)
    )
    for launch in coming + unplanned:
        shown.add_row(
            str(launch["script_id"]),
            screen.moment(launch["launch_at"]) or "not planned yet",
            screen.text(_in_zone(launch)),
            str(launch["sites"]),
            screen.text(f"by {screen.visible(launch['authorized_by'])}")
            if launch["authorized"]
            else screen.text("no", "red"),
            screen.text(_held_back(launch)),
            screen.one_line(launch["description"], 60),
        )
    screen.console().print(shown)


def _occurrences(row: asyncpg.Record, limit: int) -> Iterator[dict[str, Any]]:
    """Yield the launches of one scheduled script, at most `limit`; those after the planned one only where a rule names them."""
    from tminus.domain.timing import next_occurrence

    left = limit if row["launches_left"] is None else min(limit, row["launches_left"])
    at: datetime | None = row["launch_at"]
    while at is not None and left > 0 and (row["until"] is None or at <= row["until"]):
        frozen = row["frozen_until"] is not None and row["frozen_until"] > at
        yield dict(row) | {"launch_at": at, "frozen": row["frozen"] if frozen else None}
        if row["cron"] is None:
            return
        left -= 1
        try:
            at = next_occurrence(row["cron"], row["timezone"], at)
        except ValueError:  # another zone database than the daemon's
            return


def _as_json(launch: dict[str, Any]) -> dict[str, Any]:
    local = launch["local_time"]
    hidden = ("t_minus", "launches_left", "frozen_until")
    rest = {name: value for name, value in launch.items() if name not in hidden}
    return rest | {"local_time": None if local is None else local.isoformat()}


def _in_zone(launch: dict[str, Any]) -> str:
    if launch["local_time"] is not None:
        return f"{launch['local_time']:%Y-%m-%d %H:%M} of each site; this is the first"
    if launch["cron"] is None:
        return ""
    if launch["launch_at"] is None:
        return str(launch["timezone"])
    try:
        zone = ZoneInfo(launch["timezone"])
    except (ZoneInfoNotFoundError, ValueError, OSError):  # another zone database than the server's
        return str(launch["timezone"])
    local = launch["launch_at"].astimezone(zone)
    return f"{local:%a %H:%M} {launch['timezone']}"


def _held_back(launch: dict[str, Any]) -> str:
    windows = [f"window {screen.visible(name)}" for name in launch["windows"]]
    named = [" or ".join(windows)] if windows else []
    return "; ".join([*named, *([screen.visible(launch["frozen"])] if launch["frozen"] else [])])


COMMANDS = (upcoming,)
