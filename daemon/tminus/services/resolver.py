"""Finds out what a run did whose session proves nothing: after a lost connection, a timeout, or a dead daemon.

The uploaded file is the fence. Whoever resolves deletes it first and has the router confirm that it is gone, and only
then looks: a late /import, of a process that was frozen with the command in its hand, finds no file. That a script was
never started is concluded only after that; where the file could not be deleted, the run stays unknown.

It starts nothing on a router, ever.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from tminus.device.connection import Connection
from tminus.domain.endings import Ending, Reason, State, unknown
from tminus.errors import ConfigError, ConnectionLost, DeviceError, DeviceTimeout, HostKeyChanged, LoginRefused
from tminus.routeros import commands
from tminus.routeros.export import Export, read_export
from tminus.routeros.facts import Version
from tminus.routeros.outcome import Remains, describe_remains, judge_remains, read_remains
from tminus.routeros.text import clean
from tminus.services.contact import SMALL, Contact, remove_file
from tminus.services.run_settings import RunSettings
from tminus.store.site_runs import Site

_BETWEEN_TRIES = 5.0  # seconds
_FIRST_TRY_AFTER = 1.0
_SHOWN = 6000  # characters of a listing

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A run whose outcome is not known. `identified_at` is the loop time at which `uptime_before` was read."""

    site: Site
    host_key: str | None
    nonce: commands.Nonce
    reason: Reason
    message: str
    uptime_before: timedelta | None
    identified_at: float
    version: Version | None
    # Loop time until which a script that may still be running is watched, once the router is reached.
    watch_until: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    ending: Ending
    file_gone: bool
    export: Export | None = None


async def resolve(question: Question, contact: Contact, settings: RunSettings) -> Answer:
    """Look on the router, for `resolve_within` at most. Never raises for what a router does."""
    loop = asyncio.get_running_loop()
    until = loop.time() + settings.resolve_within
    last = "no answer"
    pause = _FIRST_TRY_AFTER
    while True:
        await asyncio.sleep(min(pause, max(until - loop.time(), 0)))
        pause = _BETWEEN_TRIES
        try:
            connection = await contact.connect(question.site, host_key=question.host_key)
        except (LoginRefused, HostKeyChanged, ConfigError) as error:
            last = str(error)
            break
        except DeviceError as error:
            last = str(error)
            if loop.time() >= until:
                break
            continue
        try:
            answer = await _look(question, connection, settings)
        except (ConnectionLost, DeviceTimeout) as error:
            last = str(error)
            connection.abort()
            if loop.time() >= until:
                break
            continue
        except BaseException:
            connection.abort()
            raise
        await connection.close()
        return answer
    message = f"{question.message} The router could not be asked about it: {last}."
    return Answer(ending=unknown(question.reason, message), file_gone=False)


async def _look(question: Question, connection: Connection, settings: RunSettings) -> Answer:
    """The fence first; then the log and the uptime; then the configuration as it is now."""
    loop = asyncio.get_running_loop()
    if not await remove_file(connection, question.nonce, deadline=settings.command_timeout):
        if connection.closed:
            raise ConnectionLost("the connection was lost again")
        message = f"{question.message} Our file could not be removed, so a late start cannot be ruled out."
        return Answer(ending=unknown(question.reason, message), file_gone=False)
    watch_until = max(loop.time() + settings.settle_for, question.watch_until)
    while True:
        result = await connection.run(commands.evidence(question.nonce), deadline=settings.command_timeout, cap=SMALL)
        remains = read_remains(result.output, question.nonce)
        if remains is None:
            ending = unknown(question.reason, "The router's log could not be read.")
        else:
            ending = judge_remains(
                remains,
                uptime_before=question.uptime_before,
                since=timedelta(seconds=loop.time() - question.identified_at),
                reason=question.reason,
                stamped=settings.stamp_log,
            )
        running_still = ending.state is State.UNKNOWN and remains is not None and "start" in remains.log
        if not running_still or loop.time() >= watch_until:
            break
        await asyncio.sleep(2.0)
    ending = replace(ending, message=f"{question.message} {ending.message}")
    if ending.state is State.UNKNOWN:
        ending = replace(ending, evidence=await _evidence(question, connection, settings, remains))
    return await _with_export(question, connection, settings, ending)


async def _evidence(question: Question, connection: Connection, settings: RunSettings, remains: Remains | None) -> str:
    """Gather what helps a person to judge. None of it decides anything: what it means differs between versions."""
    found = ["log: could not be read"]
    if remains is not None:
        since = timedelta(seconds=asyncio.get_running_loop().time() - question.identified_at)
        found = [describe_remains(remains, uptime_before=question.uptime_before, since=since)]
    for heading, command in (("jobs", commands.jobs()), ("history", commands.history())):
        try:
            said = await connection.run(command, deadline=settings.command_timeout, cap=SMALL)
        except (ConnectionLost, DeviceTimeout) as error:
            found.append(f"{heading}: could not be read: {error}")
            break  # a connection that hangs or is lost tells nothing more
        found.append(f"{heading}:\n{clean(said.output, cap=_SHOWN).rstrip() or 'none'}")
    return "\n".join(found)


async def _with_export(question: Question, connection: Connection, settings: RunSettings, ending: Ending) -> Answer:
    """Add the export as it is now. What was found out stands, whether that succeeds or not."""
    if question.version is None:
        return Answer(ending=ending, file_gone=True)
    try:
        taken = await connection.run(
            commands.export(question.nonce, question.version), deadline=settings.export_timeout, cap=settings.export_cap
        )
    except (ConnectionLost, DeviceTimeout) as error:
        why = f"The export afterwards failed: {error}."
        return Answer(ending=replace(ending, warnings=(*ending.warnings, why)), file_gone=True)
    read = read_export(taken.output, question.nonce.marker("END"))
    if isinstance(read, Export):
        return Answer(ending=ending, file_gone=True, export=read)
    why = f"The export afterwards is incomplete: {read.why}."
    return Answer(ending=replace(ending, warnings=(*ending.warnings, why)), file_gone=True)
