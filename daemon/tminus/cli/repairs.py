"""What a person does after a bad night: judge unknown runs, see to what lies on routers."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import click

from tminus.cli import screen
from tminus.cli.common import Context, as_json_option, as_person, asynchronous, print_json
from tminus.cli.inputs import WholeNumber, find_script
from tminus.cli.site_run import find_site_run, print_site_run
from tminus.domain.endings import VERDICTS
from tminus.errors import UsageError

if TYPE_CHECKING:
    import asyncpg
    from rich.console import Console

_LISTED = 1000
_DEBTS = 10  # of one site run that are shown
_STOPPED = 20
_MEANING = {
    "completed": "it ran to its end",
    "failed/partial": "it did a part, which stays applied",
    "failed/none": "it did nothing",
}


class _VerdictOption(click.ParamType[str]):
    name = "verdict"

    def convert(self, value: object, _: click.Parameter | None, __: click.Context | None) -> str:
        if value not in VERDICTS:
            choice = ", ".join(f"{verdict} ({_MEANING[verdict]})" for verdict in VERDICTS)
            raise UsageError(f"{str(value)!r} is no verdict; give one of {choice}")
        return str(value)


# -- unknown runs ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evidence:
    """All that is known of a site run whose outcome is not."""

    run: asyncpg.Record
    late: list[asyncpg.Record]
    debts: list[asyncpg.Record]
    backups: list[asyncpg.Record]

    def as_json(self) -> dict[str, object]:
        return {
            **dict(self.run),
            "late_evidence": [dict(row) for row in self.late],
            "cleanup_debts": [dict(row) for row in self.debts],
            "backups": [dict(row) for row in self.backups],
        }


@click.command()
@click.argument("script", metavar="[ID]", required=False)
@click.argument("site_ids", metavar="[SITE]...", nargs=-1)
@click.option(
    "--verdict", type=_VerdictOption(), help="completed, failed/partial or failed/none: what it did, as you found."
)
@click.option("--note", metavar="TEXT", help="How you know; kept with the verdict for ever.")
@click.option(
    "--stop-job",
    is_flag=True,
    help="Have the daemon stop the job that still runs the script on the router; also of a run that was resolved before.",
)
@as_person
@as_json_option
@asynchronous
async def resolve(
    context: Context,
    script: str | None,
    site_ids: tuple[str, ...],
    *,
    verdict: str | None,
    note: str | None,
    stop_job: bool,
    person: str | None,
    as_json: bool,
) -> None:
    """Say what a run did whose outcome is unknown.

    Without SITE: list such runs. With it: show the evidence, and take your verdict, which counts from then on. Nothing is
    run again. Without a terminal, or to say it at once, give --verdict and --note.

    A router is busy for as long as it lists a job that runs the script. Where that never ends, --stop-job has the daemon stop
    this job at its next contact, and no other; 'tminus cleanup' shows what came of it.
    """
    if (verdict is None) != (note is None):
        raise UsageError("--verdict and --note go together: what it did, and how you know")
    if stop_job and verdict is None:
        raise UsageError("--stop-job goes with --verdict and --note: a job is stopped by a person's verdict alone")
    async with context.connect() as connection:
        script_id = await find_script(connection, script) if script is not None else None
        if script_id is None or not site_ids:
            if verdict is not None:
                raise UsageError("say which runs: tminus resolve ID SITE... --verdict V --note TEXT")
            await _list_unresolved(connection, script_id, as_json=as_json)
            return
        found = [await _evidence(connection, script_id, site) for site in site_ids]
    if verdict is not None and note is not None:
        verdicts = [(e.run["id"], verdict, note) for e in found]
        await _resolve_all(context, verdicts, person, stop_job=stop_job, as_json=as_json)
    elif as_json:
        print_json([evidence.as_json() for evidence in found])
    else:
        await _ask_for_each(context, found, person)


async def _list_unresolved(connection: asyncpg.Connection, script_id: object, *, as_json: bool) -> None:
    from tminus.store.pool import statement

    rows = await connection.fetch(statement("unresolved_runs"), script_id, _LISTED)
    if as_json:
        print_json([dict(row) for row in rows])
        return
    if not rows:
        click.echo("no run is unresolved", err=True)
        return
    shown = screen.table("id", "site", "started", "reason", "message")
    for row in rows:
        shown.add_row(
            str(row["script_id"]),
            screen.text(row["site_id"]),
            screen.moment(row["executing_at"]),
            row["reason"],
            screen.one_line(row["message"] or "", 200),
        )
    screen.console().print(shown)
    click.echo("Next: tminus resolve ID SITE", err=True)


async def _evidence(connection: asyncpg.Connection, script_id: UUID, site_id: str) -> _Evidence:
    from tminus.store.pool import statement

    run, backups = await find_site_run(connection, script_id, site_id, unresolved_first=True)
    return _Evidence(
        run=run,
        late=await connection.fetch(statement("late_evidence"), run["id"]),
        debts=await connection.fetch(statement("open_debts"), run["id"], _DEBTS),
        backups=backups,
    )


async def _resolve_all(
    context: Context,
    verdicts: list[tuple[int, str, str]],
    person: str | None,
    *,
    stop_job: bool = False,
    as_json: bool,
) -> None:
    """Resolve all of these runs, or, where one is refused, none."""
    from tminus.store.pool import statement

    async with context.connect() as connection, connection.transaction():
        answers = [
            json.loads(await connection.fetchval(statement("resolve"), run, verdict, note, person, stop_job))
            for run, verdict, note in verdicts
        ]
    if as_json:
        print_json(answers[-1])
        return
    for run, verdict, _ in verdicts:
        click.echo(f"site run {run} now counts as {verdict}")
    if stop_job:
        click.echo("the daemon stops what still runs; 'tminus cleanup' shows what came of it")


async def _ask_for_each(context: Context, found: list[_Evidence], person: str | None) -> None:
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    for evidence in found:
        run = evidence.run
        _print_evidence(screen.console(), evidence)
        if run["state"] != "unknown" or run["resolved_at"] is not None:
            continue
        if not on_terminal:
            click.echo("Next: the same with --verdict and --note", err=True)
            continue
        for verdict, meaning in _MEANING.items():
            click.echo(f"  {verdict:15} {meaning}")
        verdict = click.prompt("Your verdict (Ctrl-C leaves it as it is)", type=click.Choice(list(VERDICTS)))
        note = click.prompt("How you know")
        await _resolve_all(context, [(run["id"], verdict, note)], person, as_json=False)


def _print_evidence(console: Console, evidence: _Evidence) -> None:
    run = evidence.run
    router = ", ".join(str(part) for part in (run["identity"], run["model"], run["version"]) if part)
    late = [
        f"{screen.moment(row['at'])}  {row['verdict']} ({row['effect']}): {row['message']}" for row in evidence.late
    ]
    debts = [
        f"{row['file_name']}: {screen.plural(row['attempts'], 'attempt')} to remove it; {row['last_error'] or 'not tried yet'}"
        for row in evidence.debts
    ]
    print_site_run(
        console,
        run,
        evidence.backups,
        facts=(
            ("router", screen.text(f"{run['address']}{f' ({router})' if router else ''}")),
            ("last seen", screen.moment(run["last_seen_at"])),
            ("end marker", _marker(run)),
        ),
        parts=(("Came to light later", "\n".join(late)), ("Still on the router", "\n".join(debts))),
    )
    console.print()


def _marker(run: asyncpg.Record) -> str:
    if run["state"] != "unknown":
        return ""
    from tminus.routeros.commands import Nonce

    nonce = Nonce.of_run(run["nonce"], run["started_under"])
    return (
        f"{nonce.marker('OK')} was not proved; the router's log has lines with 'tminus {nonce.value}', if it kept them:"
        f" '{nonce.log_line('done')}' is written after the script's last statement, and by nobody who does not know it"
    )


# -- what lies on routers ----------------------------------------------------------------------------------------------


@click.group(invoke_without_command=True)
@as_json_option
@click.pass_context
def cleanup(click_context: click.Context, *, as_json: bool) -> None:
    """List files of ours that could not be removed from routers yet, and jobs that are to be stopped there.

    The daemon goes on trying for as long as they are listed. Jobs that were stopped in the last week are named below.
    """
    if click_context.invoked_subcommand is None:
        asynchronous(_list_debts)(as_json=as_json)
    elif as_json:
        raise UsageError("--json is for the list: tminus cleanup --json")


async def _list_debts(context: Context, *, as_json: bool) -> None:
    from tminus.store.pool import statement

    async with context.connect() as connection:
        rows = await connection.fetch(statement("open_debts"), None, _LISTED)
        stopped = [] if as_json else await connection.fetch(statement("stopped_jobs"), _STOPPED)
    if as_json:
        print_json([dict(row) for row in rows])
        return
    if rows:
        _print_debts(rows)
    else:
        click.echo("nothing of ours lies on a router", err=True)
    for row in stopped:
        jobs = screen.plural(row["jobs_stopped"], "job") if row["jobs_stopped"] else "no job, since none ran any more,"
        told = (
            f"Stopped: {jobs} on {screen.visible(row['site_id'])} at {screen.moment(row['job_stopped_at'])}, as"
            f" {screen.visible(row['stop_job_by'])} asked (site run {row['site_run_id']})."
        )
        screen.console().print(screen.text(told), soft_wrap=True)


def _print_debts(rows: list[asyncpg.Record]) -> None:
    with_jobs = any(row["stop_job_by"] is not None for row in rows)
    job = ("job",) if with_jobs else ()
    shown = screen.table(
        "number", "site", "file", *job, "age", "attempts", "next try", "last error", right=("number", "age", "attempts")
    )
    for row in rows:
        shown.add_row(
            str(row["id"]),
            screen.text(row["site_id"]),
            row["file_name"],
            *((_job(row),) if with_jobs else ()),
            screen.seconds(row["age_seconds"]),
            str(row["attempts"]),
            screen.moment(row["next_try_at"]),
            screen.one_line(row["last_error"] or "", 200),
        )
    screen.console().print(shown)


def _job(row: asyncpg.Record) -> str:
    if row["stop_job_by"] is None:
        return ""
    return "stopped" if row["job_stopped_at"] is not None else f"to be stopped ({screen.visible(row['stop_job_by'])})"


@cleanup.command()
@click.argument("site_ids", metavar="[SITE]...", nargs=-1)
@as_person
@asynchronous
async def now(context: Context, site_ids: tuple[str, ...], *, person: str | None) -> None:
    """Have the daemon try again at once, on these sites or on all."""
    from tminus.store.pool import statement

    async with context.connect() as connection:
        count = await connection.fetchval(statement("hasten_cleanup"), list(site_ids) or None, person)
    click.echo(f"{screen.plural(count, 'file')} to be looked for at once; 'tminus cleanup' shows what is left")


@cleanup.command()
@click.argument("debt", metavar="NUMBER", type=WholeNumber(1, 2**63 - 1))
@click.option("--note", metavar="TEXT", required=True, help="Why nobody need look for the file any more.")
@as_person
@asynchronous
async def forgive(context: Context, debt: int, *, note: str, person: str | None) -> None:
    """Give a file up: the router is gone, or was reset. NUMBER is its number in the list."""
    from tminus.store.pool import statement

    async with context.connect() as connection:
        await connection.fetchval(statement("forgive_cleanup"), debt, note, person)
    click.echo(f"cleanup debt {debt} is forgiven")


# -- after the daemon died again and again -------------------------------------------------------------------------------


@click.command()
@click.argument("script", metavar="ID")
@click.option("--note", metavar="TEXT", required=True, help="Why it will not end the daemon again.")
@as_person
@asynchronous
async def readmit(context: Context, script: str, *, note: str, person: str | None) -> None:
    """Let a scheduled script run again that was set aside.

    The daemon died three times while it ran that script, the last time with nothing else in hand. An edit readmits it, too.
    """
    from tminus.store.pool import statement

    async with context.connect() as connection:
        script_id = await find_script(connection, script)
        await connection.fetchval(statement("readmit"), script_id, note, person)
    click.echo(f"{script_id} is readmitted; what is due and still in time starts at once")


COMMANDS = (resolve, cleanup, readmit)
