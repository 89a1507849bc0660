"""Commands that read: what runs and what comes, one scheduled script, one site run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from tminus.cli import screen
from tminus.cli.common import Context, as_json_option, asynchronous, print_json
from tminus.cli.freezes import print_freezes
from tminus.cli.inputs import WholeNumber, find_script
from tminus.cli.resumption import told_of_hold, what_is_lost
from tminus.cli.site_run import find_site_run, print_site_run

if TYPE_CHECKING:
    import asyncpg
    from rich.console import Console, RenderableType

_BUSY_SHOWN = 5
_STATES = ("completed", "failed", "unknown", "skipped", "running", "pending")


@click.command()
@click.argument("script", metavar="[ID]", required=False)
@click.option("--limit", type=WholeNumber(1, 100000), default=20, show_default=True, help="Of what comes and what was.")
@as_json_option
@asynchronous
async def status(context: Context, script: str | None, *, limit: int, as_json: bool) -> None:
    """Show what runs, what comes and what was.

    With an ID: one scheduled script with all its sites.
    """
    if script is not None:
        await _status_of(context, script, as_json=as_json)
        return
    from tminus.store.pool import statement

    async with context.connect() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        instances = await connection.fetch(statement("living_instances"))
        running = await connection.fetch(statement("running_launches"))
        upcoming = await connection.fetch(statement("upcoming_scripts"), limit)
        recent = await connection.fetch(statement("recent_launches"), limit)
        lost = await connection.fetch(statement("lost_starts"))
        acts = await connection.fetch(statement("lost_acts"))
        holds = await connection.fetch(statement("open_holds"))
        aside = await connection.fetch(statement("set_aside"))
        suspects = await connection.fetch(statement("suspects"))
        frozen = await connection.fetch(statement("freezes"))
        busy = await connection.fetch(statement("busy_sites"))
    if as_json:
        parts = {
            "lost_starts": lost,
            "lost_acts": acts,
            "holds": holds,
            "set_aside": aside,
            "suspects": suspects,
            "freezes": frozen,
            "busy_sites": busy,
            "instances": instances,
            "running": running,
            "upcoming": upcoming,
            "recent": recent,
        }
        print_json({name: [dict(row) for row in rows] for name, rows in parts.items()})
        return
    console = screen.console()
    if lost or acts:
        told = f"All is paused: this database does not know of {what_is_lost(lost, acts)}. 'tminus resume --help' says how to go on."
        console.print(screen.text(told, "bold red"), soft_wrap=True)
    for row in (hold for hold in holds if not hold["silent"]):
        console.print(screen.text(told_of_hold(row), "bold red"), soft_wrap=True)
    for row in aside:
        told = (
            f"Set aside: {row['script_id']} {screen.visible(row['description'])}; the daemon died three times while it ran"
            " it. 'tminus readmit --help' says how to go on."
        )
        console.print(screen.text(told, "bold red"), soft_wrap=True)
    for row in suspects:
        console.print(screen.text(_told_of_suspect(row), "yellow"), soft_wrap=True)
    print_freezes(console, frozen)
    _print_busy(console, busy)
    _print_instances(console, instances)
    _print_launches(console, "Running", running, "started_at")
    _print_upcoming(console, upcoming)
    _print_launches(console, "Recent", recent, "finished_at")


def _told_of_suspect(row: asyncpg.Record) -> str:
    told = (
        f"Alone: {row['script_id']} {screen.visible(row['description'])}; a daemon died {row['deaths']} times while it had"
        " this in hand. Whoever runs it, asks what became of it, or waits to run it takes up nothing else meanwhile"
    )
    if not row["daemons"]:
        return f"{told}."
    return f"{told}: now {', '.join(screen.visible(name) for name in row['daemons'])}; other launches wait for that or for another daemon."


def _heading(console: Console, words: str) -> None:
    console.print()
    console.print(screen.text(words, "bold"))


def _print_instances(console: Console, rows: list[asyncpg.Record]) -> None:
    if not any(row["state"] == "alive" and not row["silent"] for row in rows):
        console.print(screen.no_daemon())
    if not rows:
        return
    shown = screen.table("daemon", "state", "sites running", "version", "since", "heard", right=("sites running",))
    for row in rows:
        shown.add_row(
            screen.text(f"{row['name']} ({row['host']} pid {row['pid']})"),
            _instance_state(row),
            f"{row['running']} of {row['max_sessions']}",
            screen.text(row["version"]),
            screen.moment(row["started_at"]),
            f"{screen.seconds(row['heard_ago'])} ago",
        )
    console.print(shown)


def _instance_state(row: asyncpg.Record) -> RenderableType:
    if row["silent"]:
        return screen.text("silent", "red")
    if row["unsettled"]:
        return screen.text("not heard of on this server yet: all wait for it", "red")
    return screen.text(row["state"])


def _print_busy(console: Console, rows: list[asyncpg.Record]) -> None:
    for row in rows[:_BUSY_SHOWN]:
        told = (
            f"Busy: on {screen.visible(row['site_id'])} the script of {row['script_id']} may still be running; nothing else"
            f" starts there, for {screen.seconds((row['now'] - row['since']).total_seconds())} now. 'tminus resolve --help'"
            " says how to end that."
        )
        console.print(screen.text(told, "yellow"), soft_wrap=True)
    if len(rows) > _BUSY_SHOWN:
        console.print(screen.text(f"{len(rows) - _BUSY_SHOWN} more routers are busy: --json shows them.", "yellow"))


def _print_launches(console: Console, heading: str, rows: list[asyncpg.Record], time_column: str) -> None:
    if not rows:
        return
    _heading(console, heading)
    shown = screen.table(
        "id", "launch", time_column.removesuffix("_at"), "sites", "progress", "description", right=("sites",)
    )
    for row in rows:
        launch = screen.state(row["state"])
        launch.append(f" ({screen.visible(row['reason'])})" if row["reason"] else "", "")
        launch.append(f" {screen.visible(words)}" if (words := rollout(row)) else "", "")
        shown.add_row(
            str(row["script_id"]),
            launch,
            screen.moment(row[time_column]),
            str(row["sites"]),
            screen.text(_progress(row)),
            screen.one_line(row["description"], 60),
        )
    console.print(shown)


def _progress(row: asyncpg.Record) -> str:
    """Return how far a launch is, as words. A site that is ready ends a rehearsal as skipped, so there we count the ready."""
    if row["kind"] == "test":
        return f"test: {counts(row)}"
    if row["kind"] != "rehearsal":
        return counts(row)
    ready = f"rehearsal: {row['ready']} of {row['sites']} ready"
    return ready if row["finished_at"] is not None else f"{ready}, {counts(row, 'running', 'pending')}"


def _print_upcoming(console: Console, rows: list[asyncpg.Record]) -> None:
    _heading(console, "Upcoming")
    if not rows:
        console.print("nothing")
        return
    shown = screen.table("id", "launch", "t-minus", "sites", "status", "by", "description", right=("sites",))
    for row in rows:
        shown.add_row(
            str(row["id"]),
            screen.moment(row["launch_at"]) or "not planned yet",
            row["t_minus"] or "",
            str(row["sites"]),
            screen.state(row["status"]),
            screen.text(row["authorized_by"] or row["created_by"]),
            screen.one_line(row["description"], 60),
        )
    console.print(shown)


def rollout(row: asyncpg.Record) -> str:
    """Return which wave a launch is in and what it waits for, as words; nothing where it has one wave and is not paused."""
    parts = []
    if (row.get("waves") or 1) > 1:
        parts.append(f"wave {row['wave']} of {row['waves']}")
    if row.get("waits_for_person"):
        parts.append(f"wave {row['wave'] + 1} waits for 'tminus confirm-wave'")
    if row.get("paused_by"):
        parts.append(f"paused by {row['paused_by']}: {row['pause_note']}")
    return "; ".join(parts)


def counts(row: asyncpg.Record, *states: str) -> str:
    """Return how many site runs of a launch are in which of these states, or of all, as words; those that are none are left out."""
    shown = ", ".join(f"{row[name]} {name}" for name in states or _STATES if row.get(name)) or "none"
    return f"{shown} ({row['unserved']} that no living daemon can serve)" if row.get("unserved") else shown


async def _status_of(context: Context, script: str, *, as_json: bool) -> None:
    from tminus.store.pool import statement

    async with context.connect() as connection:
        script_id = await find_script(connection, script)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            shown = json.loads(await connection.fetchval(statement("api_object"), script_id))
            frame = await connection.fetchrow(statement("progress_frame"), script_id)
            runs = await connection.fetch(statement("site_runs_by_urgency"), shown["launch_id"], None)
    assert frame is not None  # noqa: S101 - rows of scheduled scripts are never deleted
    if as_json:
        print_json({**shown, "site_runs": [dict(row) for row in runs]})
        return
    console = screen.console()
    facts = screen.facts()
    for name, value in _facts_of(shown, frame):
        facts.add_row(name, value)
    console.print(facts)
    if runs:
        console.print()
        console.print(site_runs_table(runs))
    else:
        console.print()
        console.print(screen.text("\n".join(shown["sites"])))


def is_to_come(shown: dict[str, str | None]) -> bool:
    """Whether anything is launched at its `launch_at` still, or would be once it is authorized."""
    return shown["status"] in ("unauthorized", "scheduled") or (shown["status"] == "launched" and bool(shown["cron"]))


def _facts_of(shown: dict[str, str | None], frame: asyncpg.Record) -> list[tuple[str, RenderableType]]:
    status_text = screen.state(str(shown["status"]))
    if shown["status_reason"]:
        status_text.append(f" ({screen.visible(shown['status_reason'])})", "")
    rule = f"cron '{shown['cron']}' in {shown['timezone']}" if shown["cron"] else ""
    at = screen.moment(frame["launch_at"]) or "not planned yet"
    if shown["launch_at"] and is_to_come(shown):
        at = f"{at} ({shown['t_minus']})"
    elif frame["run_now_by"] is not None and not shown["cron"]:
        at = f"{at}; run now instead by {frame['run_now_by']}"
    facts: list[tuple[str, RenderableType]] = [
        ("scheduled script", str(shown["id"])),
        ("description", screen.text(shown["description"])),
        ("summary", screen.text(shown["summary"] or "none yet")),
        ("status", status_text),
        ("launch", screen.text("; ".join(part for part in (rule, at) if part))),
        ("submitted by", screen.text(shown["created_by"])),
        ("authorized by", screen.text(shown["authorized_by"] or "nobody yet")),
    ]
    if frame["launch_id"] is None:
        facts.append(("sites", str(frame["sites"])))
    else:
        reason = f" ({frame['launch_reason']})" if frame["launch_reason"] else ""
        facts += [
            ("latest launch", screen.text(f"{frame['launch_state']}{reason}, due {screen.moment(frame['due_at'])}")),
            *([("rollout", screen.text(words))] if (words := rollout(frame)) else []),
            ("started", screen.moment(frame["started_at"]) or "never"),
            ("finished", screen.moment(frame["finished_at"]) or "not yet"),
            ("progress", screen.text(f"{frame['total']} sites: {counts(frame)}")),
        ]
    return facts


def site_runs_table(rows: list[asyncpg.Record]) -> RenderableType:
    """Draw site runs, a line each."""
    shown = screen.table("site", "state", "step or reason", "time", "message", right=("time",))
    for row in rows:
        detail = row["step"] if row["state"] == "running" else row["reason"]
        message = row["message"] or ""
        if row["warnings"]:
            message = f"{message} ({screen.plural(len(row['warnings']), 'warning')})".strip()
        if row["outcome"] != row["state"]:
            message = f"{message} (was {row['state']}; resolved by a person)".strip()
        shown.add_row(
            screen.text(row["site_id"]),
            screen.state(row["outcome"]),
            screen.text(detail),
            screen.seconds(row["seconds"]),
            screen.one_line(message, 200),
        )
    return shown


@click.command()
@click.argument("script", metavar="ID")
@click.argument("site_id", metavar="SITE")
@as_json_option
@asynchronous
async def show(context: Context, script: str, site_id: str, *, as_json: bool) -> None:
    """Show how it ran on one site.

    Its ending, message, output, difference and backups.
    """
    async with context.connect() as connection:
        script_id = await find_script(connection, script)
        run, backups = await find_site_run(connection, script_id, site_id)
    if as_json:
        print_json({**dict(run), "backups": [dict(row) for row in backups]})
        return
    print_site_run(screen.console(), run, backups)


COMMANDS = (status, show)
