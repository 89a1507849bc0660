"""What a person does with a launch that is under way: hold it, let it go on, let its next wave go."""

from __future__ import annotations

import json

import click

from tminus.cli import screen
from tminus.cli.common import Context, as_json_option, as_person, asynchronous, print_json
from tminus.cli.inputs import WholeNumber, find_script
from tminus.errors import UsageError


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
@as_person
@as_json_option
@asynchronous
async def resume_launch(context: Context, script: str, *, person: str | None, as_json: bool) -> None:
    """Let a launch that was paused go on. (After a restore of the database it is 'tminus resume'.)"""
    await _act(context, script, "resume_launch", person, as_json=as_json, done="resumed the launch of")


@click.command()
@click.argument("script", metavar="ID")
@click.argument("wave", type=WholeNumber(2, 1000))
@as_person
@as_json_option
@asynchronous
async def confirm_wave(context: Context, script: str, wave: int, *, person: str | None, as_json: bool) -> None:
    """Let the next wave of a launch go, which waits for a person.

    WAVE is its number, as 'tminus status ID' tells: said twice, it does not let the one after it go too.
    """
    await _act(context, script, "confirm_wave", wave, person, as_json=as_json, done=f"wave {wave} may go:")


@click.command()
@click.argument("script", metavar="ID")
@click.option("--site", "sites", multiple=True, metavar="SITE", help="This site, whatever it did there; repeat it.")
@as_person
@as_json_option
@asynchronous
async def retry(context: Context, script: str, *, sites: tuple[str, ...], person: str | None, as_json: bool) -> None:
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
        launch_id = await connection.fetchval(statement("retry"), frame["launch_id"], list(sites) or None, person)
        made = await connection.fetchrow(statement("progress_frame"), script_id)
    assert made is not None  # noqa: S101 - rows of scheduled scripts are never deleted
    if as_json:
        print_json({"script_id": script_id, "launch_id": launch_id, "sites": made["total"]})
    else:
        click.echo(
            f"retrying {script_id} on {screen.plural(made['total'], 'site')}; 'tminus watch {script_id}' shows it"
        )


COMMANDS = (pause_launch, resume_launch, confirm_wave, retry)
