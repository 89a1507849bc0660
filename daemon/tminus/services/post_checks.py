"""Post-checks on a router: have it read them before the point of no return, and evaluate them after the script.

A check counts as true only if the router prints, with our nonce, that it gave the boolean true. All else is a failure that
names the check and what it gave; only a connection that is lost, or does not answer, is no answer, and raises.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import structlog

from tminus.device.connection import Connection
from tminus.domain.endings import Ending, State, check_failed
from tminus.errors import ConnectionLost, DeviceTimeout
from tminus.routeros import commands
from tminus.routeros.commands import Nonce
from tminus.routeros.post_checks import why_no_expression, written
from tminus.routeros.text import clean_line, lines
from tminus.services.contact import SMALL
from tminus.services.run_settings import RunSettings

_SHOWN = 200  # characters of a check, and of what it gave

log = structlog.get_logger()


async def why_refused(connection: Connection, nonce: Nonce, checks: Sequence[bytes], *, deadline: float) -> str | None:
    """Say why a router could not evaluate the checks, in a sentence; None if it reads them all. Raises as `run` does."""
    for number, check in enumerate(checks, 1):
        why = why_no_expression(check)
        if why is None:
            command = commands.try_post_check(nonce, number, written(check))
            answer = await connection.run(command, deadline=deadline, cap=SMALL)
            if commands.is_post_check_read(nonce, number, lines(answer.output)):
                continue
            if connection.closed:
                raise ConnectionLost("the connection was lost while the router read the post-checks")
            why = f"RouterOS does not read it: {clean_line(answer.output, cap=_SHOWN) or 'it said nothing'}"
        return f"Post-check {number} ({_shown(check)}) is no expression: {why.rstrip('.')}."
    return None


async def judge(
    connection: Connection, nonce: Nonce, checks: Sequence[bytes], ending: Ending, settings: RunSettings
) -> Ending:
    """Return how a run ends whose script ran to its end (`ending`), by what the checks give now.

    Raises as `run` does, and DeviceTimeout if all of them together take longer than `resolve_within`.
    """
    failed = []
    try:
        async with asyncio.timeout(settings.resolve_within):
            for number, check in enumerate(checks, 1):
                why = await _why_false(connection, nonce, number, check, settings.command_timeout)
                if why is not None:
                    failed.append(f"post-check {number} ({_shown(check)}) {why.rstrip('.')}")
                    log.info("post_check_failed", number=number, message=why)
    except TimeoutError as error:
        raise DeviceTimeout(f"they took longer than {settings.resolve_within:g} s") from error
    if not failed:
        said = "The post-check is true." if len(checks) == 1 else f"All {len(checks)} post-checks are true."
        return replace(ending, message=f"{ending.message} {said}")
    return check_failed(f"{ending.message} But {'; '.join(failed)}.", warnings=ending.warnings)


def unchecked(ending: Ending, why: str) -> Ending:
    """Return how a run ends whose script ran to its end, and whose checks could not be asked for."""
    return check_failed(
        f"{ending.message} But the post-checks could not be made: {why.rstrip('.')}.", warnings=ending.warnings
    )


def not_made(ending: Ending, checks: Sequence[bytes]) -> Ending:
    """Return what is kept of a late proof: of a run whose ending is written, nobody makes the checks any more."""
    if not checks or ending.state is not State.COMPLETED:
        return ending
    return replace(ending, message=f"{ending.message} Its post-checks were not made.")


async def _why_false(connection: Connection, nonce: Nonce, number: int, check: bytes, deadline: float) -> str | None:
    if (why := why_no_expression(check)) is not None:
        return f"is no expression: {why}"
    command = commands.post_check(nonce, number, written(check))
    answer = await connection.run(command, deadline=deadline, cap=SMALL)
    said = lines(answer.output)
    given = commands.post_check_result(nonce, number, said)
    if given == ("bool", "true"):
        return None
    if given is not None:
        kind, text = given
        shown = clean_line(text, cap=_SHOWN)
        return f"gave {shown}" if kind == "bool" else f"gave '{shown}' ({clean_line(kind, cap=20)}), and not true"
    if connection.closed:
        raise ConnectionLost("the connection was lost during a post-check")
    return f"gave no answer: {clean_line(answer.output, cap=_SHOWN) or 'nothing was printed'}"


def _shown(check: bytes) -> str:
    return clean_line(check, cap=_SHOWN)
