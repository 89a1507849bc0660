"""What a person does with a launch that is under way: hold it, let it go on, let its next wave go."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import click

from tminus.cli import screen
from tminus.cli.common import Context, as_json_option, as_person, asynchronous, print_json
from tminus.cli.inputs import WholeNumber, find_script
from tminus.cli.retry_plan import read_retry, show_retry
from tminus.cli.signing import expiry, sign_statement, signer, with_signature
from tminus.errors import TminusError, UsageError


async def _act(context: Context, script: str, act: str, *arguments: object, as_json: bool, done: str) -> None:
    """Call one of the functions that take a scheduled script first, and say what it did."""
    from tminus.store.pool import statement

    async with context.connect() as connection:
        script_id = await find_script(connection, script)
        answer = json.loads(await connection.fetchval(statement(act), script_id, *arguments))
    if as_json:
        print_json(answer)
    else:
        click.echo(f"{done} {screen.visible(answer['id'])}")


@click.command()
@click.argument("script", metavar="ID")
@click.option("--note", required=True, metavar="TEXT", help="Why, for whoever asks later.")
@as_person
@as_json_option
@asynchronous
async def pause_launch(context: Context, script: str, *, note: str, person: str | None, as_json: bool) -> None:
    """Hold a launch that is under way.

    Sites where nothing was started wait; where the script runs, it ends by itself. A launch that nobody resumes within its
    confirm_within is halted.
    """
    await _act(context, script, "pause_launch", note, person, as_json=as_json, done="paused the launch of")


@click.command()
@click.argument("script", metavar="ID")
@with_signature
@as_person
@as_json_option
@asynchronous
async def resume_launch(
    context: Context, script: str, *, key: Path | None, lasts: timedelta | None, person: str | None, as_json: bool
) -> None:
    """Let a launch that was paused go on. (After a restore of the database it is 'tminus resume'.)"""
    signature, expires = await _sign_act(context, script, "resume", key, lasts, person)
    await _act(
        context, script, "resume_launch", person, signature, expires, as_json=as_json, done="resumed the launch of"
    )


@click.command()
@click.argument("script", metavar="ID")
@click.argument("wave", type=WholeNumber(2, 1000))
@with_signature
@as_person
@as_json_option
@asynchronous
async def confirm_wave(
    context: Context,
    script: str,
    wave: int,
    *,
    key: Path | None,
    lasts: timedelta | None,
    person: str | None,
    as_json: bool,
) -> None:
    """Let the next wave of a launch go, which waits for a person.

    WAVE is its number, as 'tminus status ID' tells: said twice, it does not let the one after it go too.
    """
    signature, expires = await _sign_act(context, script, "confirm", key, lasts, person, wave=wave)
    await _act(
        context,
        script,
        "confirm_wave",
        wave,
        person,
        signature,
        expires,
        as_json=as_json,
        done=f"wave {wave} may go:",
    )


@click.command()
@click.argument("script", metavar="ID")
@click.option("--site", "sites", multiple=True, metavar="SITE", help="This site, whatever it did there; repeat it.")
@click.option("--yes", is_flag=True, help="With --sign: show what would be run, but do not ask.")
@with_signature
@as_person
@as_json_option
@asynchronous
async def retry(
    context: Context,
    script: str,
    *,
    sites: tuple[str, ...],
    yes: bool,
    key: Path | None,
    lasts: timedelta | None,
    person: str | None,
    as_json: bool,
) -> None:
    """Run the latest launch again where it had no effect.

    The same content goes to those sites that failed or were skipped with nothing done. Where it was applied in part, or where
    that is not known, only if you name the site. An approver decides that, who is neither the author nor the last editor.
    """
    from tminus.store.pool import statement

    async with context.connect() as connection:
        script_id = await find_script(connection, script)
        frame = await connection.fetchrow(statement("progress_frame"), script_id)
        if frame is None or frame["launch_id"] is None:
            raise UsageError(f"scheduled script {script_id} was not launched yet; there is nothing to retry")
        before = frame["launch_id"]
        plan = await read_retry(connection, before, list(sites) or None) if key is not None else None
    signature, expires, new_id = None, None, uuid4()
    if plan is not None and key is not None:
        if not yes and not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UsageError("there is no terminal to show what would be run; look at it there, or say --yes")
        show_retry(plan)
        if not yes and not click.confirm("Sign exactly this?", err=as_json):
            raise TminusError(f"launch {before} is not retried; nothing was changed")
        expires = expiry(lasts)
        stated = plan.statement(new_id, approver=await signer(context, person), expires=expires)
        signature = await sign_statement(stated, key)
    wanted = list(sites) or None if plan is None else [site.id for site in plan.sites]
    async with context.connect() as connection:
        launch_id = await connection.fetchval(statement("retry"), before, wanted, person, new_id, signature, expires)
        made = await connection.fetchrow(statement("progress_frame"), script_id)
    assert made is not None  # noqa: S101 - rows of scheduled scripts are never deleted
    if as_json:
        print_json({"script_id": script_id, "launch_id": launch_id, "sites": made["total"]})
    else:
        click.echo(
            f"retrying {script_id} on {screen.plural(made['total'], 'site')}; 'tminus watch {script_id}' shows it"
        )


async def _sign_act(
    context: Context,
    script: str,
    act: str,
    key: Path | None,
    lasts: timedelta | None,
    person: str | None,
    *,
    wave: int | None = None,
) -> tuple[str | None, datetime | None]:
    """Sign that the launch that is under way goes on. Without a key: nothing, which the database refuses where it is needed."""
    from tminus.domain.authorization import FurtherAct
    from tminus.store.launches import read_content
    from tminus.store.pool import statement

    if key is None:
        if lasts is not None:
            raise UsageError("--expires goes with --sign")
        return None, None
    who, expires = await signer(context, person), expiry(lasts)
    async with context.connect() as connection:
        script_id = await find_script(connection, script)
        row = await connection.fetchrow(statement("launch_under_way"), script_id)
        if row is None:
            raise UsageError(f"no launch of scheduled script {script_id} is under way; there is nothing to {act}")
        found = await connection.fetchrow(statement("launch_content"), row["id"])
    assert found is not None  # noqa: S101 - rows of launches are never deleted
    content = read_content(found)
    if content.authorization is None:
        raise UsageError(f"nobody authorized launch {content.id}; there is nothing to sign")
    if act == "resume" and row["paused_at"] is None:
        raise UsageError(f"the launch of scheduled script {script_id} is not paused")
    further = FurtherAct(
        act=act,
        wave=wave,
        since=row["paused_at"] if act == "resume" else None,
        approver=who,
        expires=expires,
        signature="",
    )
    return await sign_statement(content.occasion.statement_of(further), key), expires


COMMANDS = (pause_launch, resume_launch, confirm_wave, retry)
