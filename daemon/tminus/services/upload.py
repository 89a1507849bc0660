"""Brings the script onto the router, and has the router check it. It starts nothing."""

from __future__ import annotations

import asyncio

from tminus.device.connection import Connection
from tminus.domain.endings import Effect, Ending, Reason, not_started
from tminus.errors import UploadFailed
from tminus.routeros import commands, messages
from tminus.routeros.outcome import judge_dry_run
from tminus.routeros.text import clean_line, lines
from tminus.services.contact import SMALL
from tminus.services.run import Ended, Run, StartedItself, sentence
from tminus.services.run_settings import RunSettings


async def upload_script(run: Run, connection: Connection, settings: RunSettings) -> None:
    run.uploaded = True  # from the first byte on there may be something to remove
    try:
        await connection.upload(run.nonce.file, run.script, deadline=settings.command_timeout)
    except UploadFailed as error:
        raise Ended(not_started(Reason.UPLOAD_FAILED, sentence(error))) from error


async def check_upload(run: Run, connection: Connection, settings: RunSettings) -> None:
    """Wait until the router lists the whole file, and have it parse it, where its version can."""
    assert run.facts is not None  # noqa: S101
    loop = asyncio.get_running_loop()
    size = len(run.script)
    can_dry_run = run.facts.version.has_dry_run
    command = commands.file_size_and_dry_run(run.nonce) if can_dry_run else commands.file_size(run.nonce)
    # A dry run repeats the script, and numbers its lines.
    cap = min(settings.export_cap, SMALL + 4 * size + 20 * run.script.count(b"\n"))
    until = loop.time() + settings.upload_visible_within
    pause = 0.1
    while True:
        result = await connection.run(command, deadline=settings.command_timeout, cap=cap)
        said = lines(result.output)
        listed = commands.listed_size(run.nonce, said)
        if listed == size:
            break
        if can_dry_run and listed is None and any(messages.is_refused_line(line) for line in said):
            # Beta versions of 7.16, and what only says that it is a later one. The import itself parses it whole, too.
            can_dry_run, command = False, commands.file_size(run.nonce)
            run.warnings.append("The router does not know a dry run, so the script was not checked before it.")
        if loop.time() >= until:
            message = f"The uploaded file did not arrive whole: the router lists {listed} instead of {size} bytes."
            if listed is None:
                shown = clean_line(result.output, cap=160) or "nothing"
                message = f"The uploaded file does not show on the router: asked for its size, it said '{shown}'."
            raise Ended(not_started(Reason.UPLOAD_FAILED, message))
        await asyncio.sleep(pause)
        pause = min(pause * 2, 1.0)
    if can_dry_run:
        verdict = judge_dry_run(commands.after_size(run.nonce, result.output))
        if isinstance(verdict, Ending):
            raise Ended(verdict) if verdict.effect is Effect.NONE else StartedItself(verdict)
        run.warnings += verdict
