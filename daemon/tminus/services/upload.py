"""Brings the script onto the router, and has the router check it. It starts nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum

from tminus.device import output
from tminus.device.connection import Connection
from tminus.domain.endings import Effect, Ending, Reason, not_started
from tminus.errors import ConnectionLost, UploadFailed
from tminus.routeros import commands, messages
from tminus.routeros.facts import Version
from tminus.routeros.outcome import judge_dry_run
from tminus.routeros.text import clean_line, lines
from tminus.services.beside import EXPORTS
from tminus.services.contact import SMALL
from tminus.services.run import Ended, Run, StartedItself, sentence
from tminus.services.run_settings import RunSettings

_LONG = 64 * 1024  # bytes of an answer that is not read on the event loop


async def upload_script(run: Run, connection: Connection, settings: RunSettings) -> None:
    await _upload(run, connection, settings, run.script)


async def _upload(run: Run, connection: Connection, settings: RunSettings, content: bytes) -> None:
    run.uploaded = run.may_appear = True  # from the first byte on there may be something to remove
    try:
        await connection.upload(run.nonce.file, content, deadline=settings.command_timeout)
    except UploadFailed as error:
        raise Ended(not_started(Reason.UPLOAD_FAILED, sentence(error))) from error


class DryRun(Enum):
    """What a router does that is asked for a dry run."""

    LOOKS = "only looked at it"
    RUNS = "ran it"
    UNCLEAR = "did not say that it only looked at it"


async def try_dry_run(run: Run, connection: Connection, settings: RunSettings) -> DryRun:
    """Find out on a harmless file what the router does. One that does not know the word runs no line that has it."""
    assert run.facts is not None  # noqa: S101
    if not run.facts.version.has_dry_run:
        return DryRun.LOOKS
    harmless = commands.harmless(run.nonce)
    await _upload(run, connection, settings, harmless)
    looked = await _look_at(run, connection, settings, harmless)
    if not looked.dry_run or judge_dry_run(looked.answer, harmless) == ():
        return DryRun.LOOKS
    said = lines(looked.answer)
    return DryRun.RUNS if commands.has_run(run.nonce, said) or messages.SUCCESS in said else DryRun.UNCLEAR


async def check_upload(run: Run, connection: Connection, settings: RunSettings) -> None:
    """Wait until the router lists the whole file, and have it parse it, where its version can; find out what it can catch."""
    assert run.facts is not None  # noqa: S101
    looked = await _look_at(run, connection, settings, run.script)
    run.catches = looked.caught
    if run.facts.version.has_dry_run and not looked.dry_run:
        # Beta versions of 7.16, and what only says that it is a later one. The import itself parses it whole, too.
        run.warnings.append("The router does not know a dry run, so the script was not checked before it.")
    if run.facts.version.has_onerror and not looked.caught:
        _go_on_without_catching(run)
    if looked.dry_run:
        verdict = await _judge(looked.answer, run.script)
        if isinstance(verdict, Ending):
            raise Ended(verdict) if verdict.effect is Effect.NONE else StartedItself(verdict)
        run.warnings += verdict


async def _judge(answer: bytes, script: bytes) -> Ending | tuple[str, ...]:
    return (await EXPORTS.run(judge_dry_run, answer, script)) if len(answer) > _LONG else judge_dry_run(answer, script)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    answer: bytes  # to the dry run
    dry_run: bool  # whether the router knows it
    caught: bool


async def _look_at(run: Run, connection: Connection, settings: RunSettings, content: bytes) -> _Looked:
    """Have the router look at a file of this content, as soon as it lists the whole of it; at most once at the whole."""
    assert run.facts is not None  # noqa: S101
    loop = asyncio.get_running_loop()
    size = len(content)
    ways = _ways(run.facts.version)
    catch, dry_run = ways.pop(0)
    # A dry run repeats the script, and numbers its lines.
    cap = min(settings.export_cap, SMALL + 4 * size + 20 * content.count(b"\n"))
    until = loop.time() + settings.upload_visible_within
    pause = 0.1
    waits = False  # it is listed late: nothing but its size is asked for until it is whole
    while True:
        looks = dry_run and not waits
        command = commands.check_file(run.nonce, catch=catch, dry_run=looks)
        result = await connection.run(command, deadline=settings.command_timeout, cap=cap)
        if result.ended is output.Ended.OVERFLOW:
            raise ConnectionLost(
                f"{run.claim.site.id} sent more than {cap} bytes when it was asked about the uploaded file"
            )
        if looks and result.exit_status is None and not result.output.strip():
            raise ConnectionLost(f"{run.claim.site.id} ended the session of a dry run without an answer")
        said = lines(result.output)
        listed = commands.listed_size(run.nonce, said)
        caught = commands.has_caught(run.nonce, said)
        run.may_appear = run.may_appear and listed is None
        if listed == size:
            if looks or not dry_run:
                break
            waits = False
            continue
        # Nothing but what is not known keeps the first part from its marker.
        not_taken = messages.is_error_line if catch else messages.is_refused_line
        if ways and listed is None and not caught and any(not_taken(line) for line in said):
            catch, dry_run = ways.pop(0)
            continue
        if looks and listed is not None:
            verdict = await _judge(commands.after_size(run.nonce, result.output), content)  # of a part of it
            if isinstance(verdict, Ending) and verdict.effect is not Effect.NONE:
                raise StartedItself(verdict)
        waits = True
        if loop.time() >= until:
            message = f"The uploaded file did not arrive whole: the router lists {listed} instead of {size} bytes."
            if listed is None:
                shown = clean_line(result.output, cap=160) or "nothing"
                message = f"The uploaded file does not show on the router: asked for its size, it said '{shown}'."
            raise Ended(not_started(Reason.UPLOAD_FAILED, message))
        await asyncio.sleep(pause)
        pause = min(pause * 2, 1.0)
    return _Looked(answer=commands.after_size(run.nonce, result.output), dry_run=dry_run, caught=caught)


def _ways(version: Version) -> list[tuple[bool, bool]]:
    """Return how to ask, with what and without what a version says that it has: catching an error, and a dry run."""
    catching = (True, False) if version.has_onerror else (False,)
    dry_runs = (True, False) if version.has_dry_run else (False,)
    return [(catch, dry_run) for catch in catching for dry_run in dry_runs]


def _go_on_without_catching(run: Run) -> None:
    """What says that it is 7.13 or later and does not know :onerror is given the line that earlier versions get."""
    if run.content.detached:
        message = (
            "The router does not know :onerror, so the end of a detached script could not be proved; nothing was run."
        )
        raise Ended(not_started(Reason.GUARD_FAILED, message))
    run.warnings.append(
        "The router does not know :onerror, so an error of the script would be told from the last line of its output alone."
    )
