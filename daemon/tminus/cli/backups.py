"""Commands on stored exports."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from uuid import UUID

import click

from tminus.cli import screen
from tminus.cli.common import Context, as_json_option, asynchronous, print_json
from tminus.cli.inputs import WholeNumber
from tminus.errors import UsageError

_BACKUP = WholeNumber(1, 2**63 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Backup:
    id: int
    site_id: str
    phase: str
    taken_at: datetime
    sha256: bytes  # of `text` in UTF-8
    header: str  # the dated first line, which is no part of `text`
    raw_bytes: int
    launch_id: UUID
    site_run_id: int
    sensitive: bool  # there is a text with secrets besides
    text: str


@click.group()
def backup() -> None:
    """Look at the exports that were stored before and after launches."""


@backup.command("list")
@click.argument("site_id", metavar="[SITE]", required=False)
@click.option("--limit", type=WholeNumber(1, 1000000), default=100, show_default=True, help="How many, newest first.")
@as_json_option
@asynchronous
async def list_(context: Context, site_id: str | None, *, limit: int, as_json: bool) -> None:
    """List backups, of one site or of all, newest first."""
    from tminus.store.pool import statement

    async with context.connect() as connection:
        if site_id is not None and not await connection.fetchval(statement("site_exists"), site_id):
            raise UsageError(f"there is no site {site_id!r}; 'tminus site list' lists them")
        rows = await connection.fetch(statement("list_backups"), site_id, None, limit)
    if as_json:
        print_json([dict(row) for row in rows])
        return
    if not rows:
        click.echo("there are no backups yet", err=True)
        return
    shown = screen.table(
        "id", "site", "phase", "taken", "bytes", "sha256", "scheduled script", "", right=("id", "bytes")
    )
    for row in rows:
        shown.add_row(
            str(row["id"]),
            screen.text(row["site_id"]),
            row["phase"],
            screen.moment(row["taken_at"]),
            str(row["raw_bytes"]),
            row["sha256"].hex()[:12],
            str(row["script_id"]),
            "with secrets" if row["sensitive"] else "",
        )
    screen.console().print(shown)
    if len(rows) == limit:
        click.echo(f"there may be more than these {limit}: see --limit", err=True)


@backup.command()
@click.argument("number", metavar="BACKUP", type=_BACKUP)
@click.option(
    "--sensitive",
    is_flag=True,
    help="With its secrets, where they are stored. For members of tminus_secret_reader; it is kept in the events.",
)
@as_json_option
@asynchronous
async def show(context: Context, number: int, *, sensitive: bool, as_json: bool) -> None:
    """Print one export, ready to be redirected to a file."""
    (found,) = await _read(context, number)
    if sensitive:
        found = replace(found, text=await _with_secrets(context, number))
    if as_json:
        print_json({name: getattr(found, name) for name in _Backup.__dataclass_fields__})
        return
    click.echo(screen.visible(f"{found.header}\n{found.text}"), nl=not found.text.endswith("\n"))


@backup.command()
@click.argument("before", metavar="A", type=_BACKUP)
@click.argument("after", metavar="B", type=_BACKUP)
@asynchronous
async def diff(context: Context, before: int, after: int) -> None:
    """Print what differs between two exports, as a unified diff; nothing if they are the same."""
    from tminus.routeros.differ import diff_exports

    a, b = await _read(context, before, after)
    text = diff_exports(a.text, b.text)
    if text:
        screen.console().print(screen.coloured_diff(text), soft_wrap=True, end="")
    else:
        but = ", but for secrets perhaps, which are not compared" if a.sensitive and b.sensitive else ""
        click.echo(f"backups {before} and {after} are the same{but}", err=True)


@backup.command()
@click.option(
    "--git",
    "folder",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path),
    help="A git repository of its own, made where there is none.",
)
@asynchronous
async def export(context: Context, folder: Path) -> None:
    """Write all backups that are not there yet into a git repository.

    One file a site below sites/, their history as commits, a launch and phase at a time.
    """
    from tminus.cli.backup_export import export as write

    async with context.connect() as connection:
        summary = await write(connection, folder)
    if not summary.backups:
        click.echo(f"{folder} has all backups already", err=True)
        return
    backups, commits = screen.plural(summary.backups, "backup"), screen.plural(summary.commits, "commit")
    click.echo(f"exported {backups} in {commits} to {folder}")


async def _with_secrets(context: Context, number: int) -> str:
    from tminus.store.pool import statement

    async with context.connect() as connection:
        text: str | None = await connection.fetchval(statement("read_sensitive_text"), number)
    if text is None:
        raise UsageError(f"backup {number} is stored without secrets; 'tminus backup list' shows which are not")
    return text


async def _read(context: Context, *numbers: int) -> list[_Backup]:
    from tminus.store.pool import statement

    found = []
    async with context.connect() as connection:
        for number in numbers:
            row = await connection.fetchrow(statement("read_backup"), number)
            if row is None:
                raise UsageError(f"there is no backup {number}; 'tminus backup list' lists them")
            found.append(_Backup(**dict(row)))
    return found


COMMANDS = (backup,)
