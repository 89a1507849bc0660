"""Finds out what a run did whose session proves nothing: after a lost connection, a timeout, a dead daemon; and how a
detached script ended, which has no session.

The uploaded file is the fence. Whoever resolves deletes it first and has the router confirm that it is gone, and only
then looks: a late /import, of a process that was frozen with the command in its hand, finds no file. That a script was
never started is concluded only after that; where the file could not be deleted, the run stays unknown. Only where the
router has said that it started the script as a job is the file left to that job.

It starts nothing on a router, and stops nothing, ever.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from tminus.device.connection import Connection
from tminus.domain.endings import Effect, Ending, Reason, State, unknown
from tminus.domain.variables import named_values
from tminus.errors import (
    AnotherDevice,
    ConfigError,
    ConnectionLost,
    DeviceError,
    DeviceTimeout,
    HostKeyChanged,
    LoginRefused,
    UploadFailed,
)
from tminus.routeros import commands
from tminus.routeros.export import Export
from tminus.routeros.facts import Version
from tminus.routeros.outcome import judge_output
from tminus.routeros.post_checks import Rendered, render
from tminus.routeros.remains import (
    Before,
    Expected,
    Fence,
    Remains,
    describe_remains,
    judge_remains,
    may_be_running,
)
from tminus.routeros.rendering import RenderingRefused
from tminus.routeros.text import clean
from tminus.services import post_checks
from tminus.services.contact import SMALL, Contact, find_remains, remove_files, remove_script
from tminus.services.exports import file_size, take_export, with_secrets
from tminus.services.run_settings import RunSettings
from tminus.services.whereabouts import Sought, find_again, moved_to, told_address
from tminus.store.site_runs import Orphan

_BETWEEN_TRIES = 5.0  # seconds
_FIRST_TRY_AFTER = 1.0
_BETWEEN_LOOKS = 2.0
_SHOWN = 6000  # characters of a listing

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A run whose outcome is not known.

    `identified_at` is the loop time at which `uptime_before` was read. `counted`: by this process, which sent the script; else
    it is worked out from the database's clock.
    """

    sought: Sought
    script: bytes
    reason: Reason
    message: str
    uptime_before: timedelta | None
    identified_at: float
    counted: bool = True
    version: Version | None
    take_export: bool  # once it is decided
    with_secrets: bool = False  # as well, in that export
    # Loop time at which the site's time is over: until then a script that may be running is watched.
    deadline: float
    # Its session is open, silently or beyond its time: the script is not stopped by a close.
    session_open: bool = False
    # Before its start a line was left in the log, and it begins by leaving another one.
    stamped: bool = True
    detached: bool = False
    job_started: bool = False  # the router said so
    answered: bool = False  # something came from the session that the script was started in
    closed: bool = False  # which the router ended, with an exit status
    expects_disconnect: bool = False
    post_checks: tuple[bytes, ...] = ()  # of a run that is found to have come to its end

    @property
    def nonce(self) -> commands.Nonce:
        return self.sought.nonce

    @property
    def before(self) -> Before:
        """How the router was before the script, seen from now."""
        ago = timedelta(seconds=asyncio.get_running_loop().time() - self.identified_at)
        return Before(uptime=self.uptime_before, ago=ago, certain=self.counted)


def _rendered(orphan: Orphan) -> Rendered:
    """The script and its post-checks as its site was given them: who asks has seen that the digest of the site, variables
    included, is the same.
    """
    values = named_values(orphan.names, orphan.script_variables, orphan.site.variables)
    try:
        return render(orphan.script, orphan.post_checks, values)
    except RenderingRefused:
        return Rendered(script=orphan.script, checks=orphan.post_checks)  # of which less can be told


def question_about(orphan: Orphan, reason: Reason, message: str) -> Question:
    """Ask about a run of which only the database knows: its daemon is gone, or its ending is written."""
    now = asyncio.get_running_loop().time()
    # Never negative, whatever was set: nobody waits for longer than the site's time.
    executing_for = max(orphan.executing_for.total_seconds(), 0.0)
    rendered = _rendered(orphan)
    return Question(
        sought=Sought(
            site=orphan.site,
            host_key=None,
            covered=orphan.site_now,
            nonce=commands.Nonce.of_run(orphan.nonce, orphan.started_under),
            serial=orphan.site.serial,
            may_have_moved=orphan.expects_disconnect,
        ),
        script=rendered.script,
        post_checks=rendered.checks,
        reason=reason,
        message=message,
        uptime_before=orphan.uptime_before,
        identified_at=now - executing_for,
        counted=False,
        version=None,
        take_export=False,
        deadline=now - executing_for + orphan.site_timeout.total_seconds(),
        detached=orphan.detached,
        expects_disconnect=orphan.expects_disconnect,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    ending: Ending
    file_gone: bool
    may_be_running: bool = False
    export: Export | None = None
    output: bytes = b""  # of a detached script
    moved_to: str | None = None  # where it answers, if that is not the site's address


class _NotChecked(Exception):
    """The script ran to its end, and the connection did not last for the post-checks."""

    def __init__(self, ending: Ending, error: Exception) -> None:
        super().__init__(str(error))
        self.ending = ending


async def resolve(question: Question, contact: Contact, settings: RunSettings) -> Answer:
    """Look on the router, for `resolve_within` at most, or as long as a script that ends its session has to come back.

    Never raises for what a router does.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + settings.resolve_within
    if question.expects_disconnect or question.job_started:
        until = max(until, question.deadline)
    last = "no answer"
    proved: Ending | None = None  # that it came to its end; its post-checks could not be made yet
    pause = 0.0 if question.job_started else _FIRST_TRY_AFTER
    while True:
        await asyncio.sleep(min(pause, max(until - loop.time(), 0)))
        pause = _BETWEEN_TRIES
        try:
            connection = await find_again(question.sought, contact, deadline=settings.command_timeout)
        except AnotherDevice as error:
            # The router may still run it, wherever it is.
            ending = unknown(question.reason, _after(question.message, str(error)))
            return Answer(ending=ending, file_gone=False, may_be_running=True)
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
        except (ConnectionLost, DeviceTimeout, _NotChecked) as error:
            if isinstance(error, _NotChecked):
                proved = error.ending
            last = str(error)
            connection.abort()
            if loop.time() >= until:
                break
            continue
        except BaseException:
            connection.abort()
            raise
        await connection.close()
        return _where(question, connection, answer)
    if proved is not None:
        return Answer(ending=post_checks.unchecked(proved, last), file_gone=False)
    why = f"The router could not be asked about it: {last.rstrip('.')}."
    return Answer(ending=unknown(question.reason, _after(question.message, why)), file_gone=False, may_be_running=True)


async def _look(question: Question, connection: Connection, settings: RunSettings) -> Answer:
    """The fence; then the log, the jobs and the uptime; then the configuration as it is now."""
    fence = await _fence(question, connection, settings)
    remains = await _watch(question, connection, settings, fence)
    output = await _output(question, connection, settings)
    ending = _judge(question, remains, output, settings, username=connection.username)
    if fence is Fence.LISTED and ending.effect in (Effect.NONE, Effect.UNKNOWN):
        why = "Our file could not be removed, so a late start cannot be ruled out."
        ending = unknown(question.reason, _after(question.message, why))
    running = False
    if ending.state is State.COMPLETED and question.post_checks:
        try:
            ending = await post_checks.judge(connection, question.nonce, question.post_checks, ending, settings)
        except (ConnectionLost, DeviceTimeout) as error:
            raise _NotChecked(ending, error) from error
    if ending.state is State.UNKNOWN:
        running = remains is None or fence is Fence.LISTED or _may_be_running(question, remains)
        ending = replace(ending, evidence=await _evidence(connection, settings, remains, question.before, fence))
    gone = fence is not Fence.LISTED
    if question.detached or not question.counted:
        # A job that still runs writes its output when it ends: that is taken away later. And a daemon that died may have been
        # in the middle of an export to a file.
        removed = not running and await remove_files(connection, question.nonce, deadline=settings.command_timeout)
        # A job that is over and whose output is not there may still write it.
        is_owed = question.detached and not output and ending.effect is not Effect.NONE
        gone = removed and not is_owed
    answer = Answer(ending=ending, file_gone=gone, may_be_running=running, output=output)
    return await _with_export(question, connection, settings, answer)


async def _fence(question: Question, connection: Connection, settings: RunSettings) -> Fence:
    """Remove the file, and see that it is gone: how soon a router lists it no more is not recorded."""
    if question.job_started:
        return Fence.LEFT
    loop = asyncio.get_running_loop()
    until = loop.time() + settings.settle_for
    while not await remove_script(connection, question.nonce, deadline=settings.command_timeout):
        if connection.closed:
            raise ConnectionLost("the connection was lost again")
        if loop.time() >= until:
            return Fence.LISTED
        await asyncio.sleep(_BETWEEN_LOOKS)
    return Fence.GONE


def _may_be_running(question: Question, remains: Remains) -> bool:
    return may_be_running(remains, question.before, detached=question.detached)


def _where(question: Question, connection: Connection, answer: Answer) -> Answer:
    """Add where it was found, if it was expected to move."""
    if not question.expects_disconnect:
        return answer
    site = question.sought.site
    message = " ".join(filter(None, (answer.ending.message, told_address(connection, site))))
    return replace(answer, ending=replace(answer.ending, message=message), moved_to=moved_to(connection, site))


async def _watch(question: Question, connection: Connection, settings: RunSettings, fence: Fence) -> Remains | None:
    """Look until it is decided, or nothing more is to be expected; return what was seen last."""
    loop = asyncio.get_running_loop()
    settled_at = loop.time() + (0 if fence is Fence.LISTED else settings.settle_for)  # that was waited for already
    ended_at: float | None = None
    begun = question.job_started or question.answered
    # While the file is there it may be started after this line; and where it was begun, nothing is read from one.
    stamp = settings.stamp_log and question.stamped and fence is Fence.GONE and not begun
    while True:
        remains = await find_remains(connection, question.nonce, deadline=settings.command_timeout, stamp=stamp)
        if remains is None:
            return None
        stamp = False  # one line is enough, also if it is seen later
        remains = replace(remains, begun=begun)
        if remains.log & {"done", "failed"}:
            # A job writes its output when it ends, which is a moment after its last line in the log.
            ended_at = ended_at or loop.time()
            give_up_at = ended_at + settings.settle_for if question.detached else ended_at
        elif not _may_be_running(question, remains):
            return remains
        elif _goes_on(question, remains):
            give_up_at = max(question.deadline, settled_at)
        else:
            give_up_at = settled_at  # its last lines may still be on their way
        if loop.time() >= give_up_at:
            return remains
        if question.detached and not remains.jobs and await _has_output(question, connection, settings):
            return remains
        await asyncio.sleep(_BETWEEN_LOOKS)


def _goes_on(question: Question, remains: Remains) -> bool:
    """What the router lists, or has an open session, or is to come back, may go on until the site's time is over."""
    return bool(remains.jobs) or question.session_open or question.job_started or question.expects_disconnect


def _judge(
    question: Question, remains: Remains | None, output: bytes, settings: RunSettings, *, username: str
) -> Ending:
    printed = judge_output(output, question.nonce, question.script) if output else None
    if printed is not None and printed.state is not State.UNKNOWN:
        return replace(printed, message=_after(question.message, printed.message))
    if remains is None:
        return unknown(question.reason, _after(question.message, "The router's log could not be read."))
    expected = Expected(script=question.script, username=username, version=question.version)
    found = judge_remains(
        remains,
        question.before,
        reason=question.reason,
        stamped=settings.stamp_log and question.stamped,
        detached=question.detached,
        closed=question.closed,
        expected=expected if question.expects_disconnect else None,
    )
    return replace(found, message=_after(question.message, found.message))


def _after(before: str, message: str) -> str:
    return f"{before} {message}" if before else message


async def _has_output(question: Question, connection: Connection, settings: RunSettings) -> bool:
    return bool(await file_size(connection, question.nonce, question.nonce.output_file, settings))


async def _output(question: Question, connection: Connection, settings: RunSettings) -> bytes:
    """Return what a detached script printed: all of it, or its end; nothing where it is not to be had."""
    if not question.detached:
        return b""
    size = await file_size(connection, question.nonce, question.nonce.output_file, settings)
    if not size:
        return b""
    cap = max(settings.output_cap * 4, SMALL)
    skipped = max(size - cap, 0)
    try:
        content = await connection.download(
            question.nonce.output_file, deadline=settings.command_timeout, cap=cap, offset=skipped
        )
    except UploadFailed as error:
        log.warning("output_not_read", message=str(error))
        return b""
    return b"[... %d bytes left out ...]\n%s" % (skipped, content) if skipped else content


async def _evidence(
    connection: Connection, settings: RunSettings, remains: Remains | None, before: Before, fence: Fence
) -> str:
    """Gather what helps a person to judge. None of it decides anything: what it means differs between versions."""
    found = ["log: could not be read"]
    if remains is not None:
        found = [describe_remains(remains, before, fence=fence)]
    for heading, command in (("jobs", commands.jobs()), ("history", commands.history())):
        try:
            said = await connection.run(command, deadline=settings.command_timeout, cap=SMALL)
        except (ConnectionLost, DeviceTimeout) as error:
            found.append(f"{heading}: could not be read: {error}")
            break  # a connection that hangs or is lost tells nothing more
        found.append(f"{heading}:\n{clean(said.output, cap=_SHOWN).rstrip() or 'none'}")
    return "\n".join(found)


async def _with_export(question: Question, connection: Connection, settings: RunSettings, answer: Answer) -> Answer:
    """Add the export as it is now. What was found out stands, whether that succeeds or not."""
    if not question.take_export or question.version is None:
        return answer
    try:
        taken = await take_export(connection, question.nonce, question.version, settings)
        if question.with_secrets:
            taken = await with_secrets(connection, question.nonce, question.version, settings, taken)
    except (ConnectionLost, DeviceTimeout) as error:
        # It may have been written to a file by then.
        return replace(_warned(answer, f"The export afterwards failed: {error}."), file_gone=False)
    if taken.export is None:
        answer = _warned(answer, f"The export afterwards is incomplete: {taken.why.rstrip('.')}.")
    if taken.note:
        answer = _warned(answer, f"Afterwards: {taken.note}")
    return replace(answer, export=taken.export, file_gone=answer.file_gone and not taken.left)


def _warned(answer: Answer, warning: str) -> Answer:
    ending = answer.ending
    return replace(answer, ending=replace(ending, warnings=(*ending.warnings, warning)))
