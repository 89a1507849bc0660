"""Runs one launch on one site: the operator's runbook, a line a step.

It must never send the start command unless the point of no return is committed and this instance can prove that it
lives; never start without a complete stored export where one is asked for; never start twice; never report `completed`
without proof. Until the point of no return every doubt aborts the connection, and the run fails or is given back. After
it nothing is aborted: the run goes on to its end, or is resolved on the router.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

import structlog

from tminus.device.connection import Connection, Execution
from tminus.device.output import Ended, ExecResult
from tminus.domain.digest import site_digest
from tminus.domain.endings import Ending, Reason, State, Step, not_started, skipped, unknown
from tminus.domain.timing import retry_at
from tminus.errors import (
    ConfigError,
    ConnectionLost,
    DeviceTimeout,
    HostKeyChanged,
    JumpHostFailed,
    LoginRefused,
    Offline,
    StoreError,
    StoreUnavailable,
    UploadFailed,
)
from tminus.kill_points import Point, reach
from tminus.routeros import commands
from tminus.routeros.export import Export, diff_exports, read_export
from tminus.routeros.facts import Facts, parse_facts, parse_serial
from tminus.routeros.outcome import Close, ImportAnswer, Unresolved, judge_dry_run, judge_import
from tminus.routeros.text import clean, clean_line, lines
from tminus.services.contact import SMALL, Contact, remove_file
from tminus.services.endings import write_ending
from tminus.services.heartbeat import Trust
from tminus.services.observer import Observer
from tminus.services.resolver import Question, resolve
from tminus.services.run_settings import RunSettings
from tminus.services.story import tell_site_ended
from tminus.store import site_runs
from tminus.store.launches import LaunchContent
from tminus.store.pool import Database
from tminus.store.site_runs import Claim
from tminus.store.writer import Backup, EndRequest, Learned, Release, SerialRequest, Start, StartRequest, Writer

_ATTEMPTS = 3  # before the point of no return, where the connection was made and then lost
_LEAST_TIME = 15.0  # seconds that a script is given at least, or half of the site's time if that is less
_READY = "Ready: logged in, exported, uploaded and checked; the script was not run."
_PAUSED_FOR = 30.0  # seconds until a run that met a pause may be claimed again
_LONG_EXPORT = 500_000  # characters

log = structlog.get_logger()


class _Ended(Exception):
    def __init__(self, ending: Ending) -> None:
        self.ending = ending


class _Paused(Exception):
    """Nothing is started now: until a person resumes, or until this host can remember what it starts."""


class _Spent(Exception):
    """This host started it here before: the run was left to whoever asks the router about that start."""


class _TryLater(Exception):
    def __init__(self, reason: Reason, message: str) -> None:
        self.reason = reason
        self.message = message


@dataclass(slots=True, kw_only=True)
class Run:
    """What is known of one attempt while it is under way."""

    claim: Claim
    content: LaunchContent
    claimed_at: float  # loop time
    connection: Connection | None = None
    facts: Facts | None = None
    identified_at: float = 0.0
    before: Export | None = None
    uploaded: bool = False
    # From here on nothing may abort this run: its point of no return may be committed; and then, it is.
    past_no_return: bool = False
    # It has ended without a start, and that is being written: a site that refused a login is not asked again.
    ended: bool = False
    committed: bool = False
    warnings: list[str] = field(default_factory=list)
    verdict: Ending | None = None
    # Done once the ending is written; the script of a run that timed out may still be listened to after that.
    written: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    step_since: float = 0.0
    step: Step = Step.CONNECTING

    @property
    def nonce(self) -> commands.Nonce:
        return commands.Nonce(self.claim.nonce)

    @property
    def abortable(self) -> bool:
        return not self.past_no_return and not self.ended

    @property
    def deadline(self) -> float:
        """Loop time at which the site's time is over."""
        return self.claimed_at + self.content.site_timeout.total_seconds()


class SiteRunner:
    def __init__(
        self,
        *,
        db: Database,
        writer: Writer,
        instance: UUID,
        trust: Trust,
        contact: Contact,
        settings: RunSettings,
        observer: Observer,
    ) -> None:
        self._db = db
        self._writer = writer
        self._instance = instance
        self._trust = trust
        self._contact = contact
        self._settings = settings
        self._observer = observer
        self._loop = asyncio.get_running_loop()

    async def run(self, run: Run) -> None:
        """Take one claimed site run to its ending, or give it back. Cancel it only before its point of no return."""
        with structlog.contextvars.bound_contextvars(
            launch_id=str(run.content.id), site_id=run.claim.site.id, site_run=run.claim.id
        ):
            run.step_since = self._loop.time()
            log.info("site_started", attempt=run.claim.attempts)
            try:
                async with asyncio.timeout_at(run.deadline):
                    await self._prepare(run)
            except _Ended as stop:
                await self._end_unstarted(run, stop.ending)
                return
            except _TryLater as later:
                await self._put_off(run, later)
                return
            except TimeoutError:
                ending = not_started(
                    Reason.TIMED_OUT,
                    f"Not started: {run.content.site_timeout} were over while {run.step.replace('_', ' ')}.",
                )
                await self._end_unstarted(run, ending)
                return
            except asyncio.CancelledError:
                # The daemon drains or lost its trust. Nothing was started.
                if run.connection is not None:
                    run.connection.abort()
                log.info("site_given_back", message="Nothing was started; it is pending again.")
                if self._trust.lives():
                    await self._give_back(run)
                raise
            reach(Point.READY)
            await self._execute(run)

    async def give_up(self, run: Run) -> None:
        """End a run whose handling met a bug of ours: it must not stay open, and must not be tried for ever.

        A connection on which a script may run is left alone; what was proved before counts.
        """
        if run.connection is not None and not run.committed:
            run.connection.abort()
        if run.verdict is not None:
            ending = run.verdict
        elif run.committed:
            ending = unknown(Reason.DAEMON_LOST, "The daemon met an error of its own during the run; see its log.")
        else:
            ending = not_started(
                Reason.GUARD_FAILED, "The daemon met an error of its own before the start; see its log."
            )
        left = run.nonce.file if run.uploaded else None
        await self._end(run, ending, EndRequest(run=run.claim.id, ending=ending, left_file=left))

    # -- before the point of no return ---------------------------------------------------------------------------------

    async def _prepare(self, run: Run) -> None:
        """Everything that starts nothing. Returns only with a router that is ready, its export in hand, the file on it."""
        site = run.claim.site
        if not site.enabled:
            raise _Ended(skipped(Reason.SITE_DISABLED, "The site is disabled."))
        if run.claim.authorized_site != site_digest(site.part):
            message = (
                "The site is not as it was authorized (its address, credential or key was changed); nothing was sent."
            )
            raise _Ended(not_started(Reason.SITE_CHANGED, message))
        try:
            connection = run.connection = await self._connect(run)
            reach(Point.CONNECTED)
            await self._identify(run, connection)
            if run.content.make_backup:
                await self._back_up(run, connection)
            await self._check_identity(run, connection)
            self._step(run, Step.CHECKING)
            await self._upload(run, connection)
            reach(Point.UPLOADED)
            await self._check_upload(run, connection)
            self._check_readiness(run, connection)
            if run.content.rehearsal:
                raise _Ended(skipped(Reason.REHEARSED, _READY, warnings=tuple(run.warnings)))
        except ConnectionLost as error:
            raise self._lost(run, Reason.CONNECTION_LOST, error) from error
        except DeviceTimeout as error:
            raise self._lost(run, Reason.TIMED_OUT, error) from error

    async def _connect(self, run: Run) -> Connection:
        """Log in. One lost SYN is not a verdict: two tries. A refused login is final for this launch."""
        site = run.claim.site
        try:
            try:
                return await self._contact.connect(site)
            except (Offline, JumpHostFailed):
                await asyncio.sleep(self._settings.second_try_after)
                return await self._contact.connect(site)
        except Offline as error:
            if run.content.abort_if_offline:
                raise _Ended(not_started(Reason.OFFLINE, _sentence(error))) from error
            raise _TryLater(Reason.OFFLINE, _sentence(error)) from error
        except JumpHostFailed as error:
            # Nobody looked at the site, so it is not offline; but what abort_if_offline asks for is a start now or never.
            if run.content.abort_if_offline:
                raise _Ended(not_started(Reason.CONNECTION_LOST, _sentence(error))) from error
            raise _TryLater(Reason.CONNECTION_LOST, _sentence(error)) from error
        except LoginRefused as error:
            raise _Ended(not_started(Reason.AUTH_FAILED, _sentence(error))) from error
        except HostKeyChanged as error:
            await self._tell_site("host_key_refused", run, {"message": str(error)})
            raise _Ended(not_started(Reason.HOST_KEY_CHANGED, _sentence(error))) from error
        except ConfigError as error:
            raise _Ended(not_started(Reason.AUTH_FAILED, _sentence(error))) from error

    async def _identify(self, run: Run, connection: Connection) -> None:
        """The proof of being online: a command that prints our nonce. Tells version, identity and uptime."""
        site = run.claim.site
        if site.host_key is None:
            # Policy accept-new: never silent, and enforced from now on.
            self._writer.note_learned(Learned(site=site.id, host_key=connection.host_key))
            await self._tell_site("host_key_accepted", run, {"host_key": connection.host_key})
            log.warning(
                "host_key_accepted",
                host_key=connection.host_key,
                todo=f"compare it with the router's, and pin it: tminus site pin {site.id}",
            )
        command = commands.identify(run.nonce, stamp=self._settings.stamp_log)
        result = await connection.run(command, deadline=self._settings.command_timeout, cap=SMALL)
        facts = parse_facts(result.output, run.nonce.marker("ID"))
        if facts is None:
            shown = clean_line(result.output, cap=160)
            message = f"Logged in, but what answered is not a RouterOS console{': ' + shown if shown else ''}."
            raise _Ended(not_started(Reason.GUARD_FAILED, message))
        run.facts = facts
        run.identified_at = self._loop.time()

    async def _back_up(self, run: Run, connection: Connection) -> None:
        """No backup, no run."""
        assert run.facts is not None  # noqa: S101 - _identify came first
        self._step(run, Step.BACKING_UP)
        reach(Point.EXPORTING)
        result = await connection.run(
            commands.export(run.nonce, run.facts.version),
            deadline=self._settings.export_timeout,
            cap=self._settings.export_cap,
        )
        if result.ended is Ended.OVERFLOW:
            message = (
                f"The export is larger than {self._settings.export_cap} bytes (export_cap); the script was not started."
            )
            raise _Ended(not_started(Reason.BACKUP_INCOMPLETE, message))
        export = read_export(result.output, run.nonce.marker("END"))
        if not isinstance(export, Export):
            message = f"The export is incomplete: {export.why}; the script was not started."
            raise _Ended(not_started(Reason.BACKUP_INCOMPLETE, message))
        run.before = export
        reach(Point.BACKED_UP)

    async def _check_identity(self, run: Run, connection: Connection) -> None:
        """Another device on this address stops the run."""
        assert run.facts is not None  # noqa: S101
        site, serial, model = run.claim.site, None, None
        if run.before is not None:
            serial, model = run.before.serial, run.before.model
        else:
            result = await connection.run(commands.serial_number(), deadline=self._settings.command_timeout, cap=SMALL)
            serial = parse_serial(result.output)
        if serial is None and site.serial is not None and run.before is not None:
            # The export does not name it; but this site is known to have one.
            result = await connection.run(commands.serial_number(), deadline=self._settings.command_timeout, cap=SMALL)
            serial = parse_serial(result.output)
        if serial is None and site.serial is not None:
            message = (
                f"The router names no serial number, but {site.id} has {site.serial}: another device answers here;"
                f" nothing was run. {_replaced(site.id)}"
            )
            await self._tell_site("identity_changed", run, {"serial": "", "known": site.serial})
            raise _Ended(not_started(Reason.IDENTITY_CHANGED, message))
        if serial is not None and site.serial is not None and serial != site.serial:
            message = (
                f"The router's serial number is {serial}, not {site.serial}: another device answers here;"
                f" nothing was run. {_replaced(site.id)}"
            )
            await self._tell_site("identity_changed", run, {"serial": serial, "known": site.serial})
            raise _Ended(not_started(Reason.IDENTITY_CHANGED, message))
        if serial is not None and site.serial is None:
            try:
                other = await self._writer.serial_owner(SerialRequest(site=site.id, serial=serial))
            except StoreUnavailable as error:
                raise _Ended(not_started(Reason.STORE_LOST, f"Not started: {error}.")) from error
            if other is not None:
                message = f"The router's serial number {serial} already runs under {other}; nothing was run."
                await self._tell_site("identity_changed", run, {"serial": serial, "other_site": other})
                raise _Ended(not_started(Reason.IDENTITY_CHANGED, message))
        self._writer.note_learned(
            Learned(
                site=site.id,
                identity=run.facts.identity,
                version=run.facts.version.text,
                serial=serial,
                model=model,
            )
        )

    async def _upload(self, run: Run, connection: Connection) -> None:
        run.uploaded = True  # from the first byte on there may be something to remove
        try:
            await connection.upload(run.nonce.file, run.content.script, deadline=self._settings.command_timeout)
        except UploadFailed as error:
            raise _Ended(not_started(Reason.UPLOAD_FAILED, _sentence(error))) from error

    async def _check_upload(self, run: Run, connection: Connection) -> None:
        """Wait until the router lists the whole file, and have it parse it, where its version can."""
        assert run.facts is not None  # noqa: S101
        size = len(run.content.script)
        can_dry_run = run.facts.version.has_dry_run
        command = commands.file_size_and_dry_run(run.nonce) if can_dry_run else commands.file_size(run.nonce)
        cap = min(self._settings.export_cap, SMALL + 4 * size)  # a dry run repeats the script
        until = self._loop.time() + self._settings.upload_visible_within
        pause = 0.1
        while True:
            result = await connection.run(command, deadline=self._settings.command_timeout, cap=cap)
            listed, _, rest = result.output.lstrip().partition(b"\n")
            if listed.strip() == str(size).encode():
                break
            if self._loop.time() >= until:
                shown = clean_line(listed, cap=160) or "nothing"
                message = f"The uploaded file did not arrive whole: the router lists {shown} instead of {size} bytes."
                raise _Ended(not_started(Reason.UPLOAD_FAILED, message))
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)
        if can_dry_run:
            verdict = judge_dry_run(rest)
            if isinstance(verdict, Ending):
                raise _Ended(verdict)
            run.warnings += verdict

    def _check_readiness(self, run: Run, connection: Connection) -> None:
        """The last look before the point of no return: a connection to start on, and time for the script."""
        if connection.closed:
            raise ConnectionLost(f"the connection to {run.claim.site.id} ended before the start")
        self._check_time(run)

    def _check_time(self, run: Run) -> None:
        left, whole = run.deadline - self._loop.time(), run.content.site_timeout.total_seconds()
        if left < min(_LEAST_TIME, whole / 2):
            message = f"Not started: only {left:.0f} s of {run.content.site_timeout} were left for the script."
            raise _Ended(not_started(Reason.TIMED_OUT, message))

    def _lost(self, run: Run, reason: Reason, error: Exception) -> _Ended | _TryLater:
        """Before the point of no return a lost connection is tried again, a few times."""
        if run.claim.attempts < _ATTEMPTS:
            return _TryLater(reason, _sentence(error))
        return _Ended(not_started(reason, _sentence(error)))

    async def _put_off(self, run: Run, later: _TryLater) -> None:
        """Give the run back, to be tried again while its time lasts."""
        if run.connection is not None:
            run.connection.abort()
        claim = run.claim
        now = claim.now + timedelta(seconds=self._loop.time() - run.claimed_at)
        again = retry_at(now=now, turn_at=claim.turn_at, start_within=run.content.start_within, attempts=claim.attempts)
        if again is None:
            await self._end_unstarted(run, not_started(later.reason, later.message))
            return
        wait = (again - now).total_seconds()
        self._observer.site_put_off(str(later.reason))
        log.info("site_put_off", reason=str(later.reason), message=later.message, seconds=round(wait, 1))
        await self._give_back(run, wait=wait, retry_reason=str(later.reason), message=later.message)

    async def _give_back(
        self, run: Run, *, wait: float = 0.0, retry_reason: str | None = None, message: str | None = None
    ) -> None:
        """Make the run pending again. Where that cannot be written, the reaper does it once this instance is dead."""
        left = run.nonce.file if run.uploaded else None
        release = Release(run=run.claim.id, wait=wait, retry_reason=retry_reason, message=message, left_file=left)
        with contextlib.suppress(StoreUnavailable):
            await self._writer.release(release)

    async def _end_unstarted(self, run: Run, ending: Ending) -> None:
        """Nothing was started: take our file away, and write why."""
        run.ended = True
        left = None
        if run.uploaded:
            left = run.nonce.file
            connection = run.connection
            if connection is not None and not connection.closed:
                gone = await remove_file(connection, run.nonce, deadline=self._settings.command_timeout)
                left = None if gone else left
        if run.connection is not None:
            await run.connection.close()
        backups = (_backup("before", run.before),) if run.before is not None else ()
        await self._end(run, ending, EndRequest(run=run.claim.id, ending=ending, backups=backups, left_file=left))

    # -- the point of no return, and after it --------------------------------------------------------------------------

    async def _execute(self, run: Run) -> None:
        connection, facts = run.connection, run.facts
        assert connection is not None  # noqa: S101 - _prepare returned
        assert facts is not None  # noqa: S101
        self._step(run, Step.EXECUTING)
        try:
            refusal = await self._commit_start(run, facts)
            if refusal is None:
                self._check_time(run)  # the commit may have taken its time, and late is worse than never
        except _Paused:
            connection.abort()
            await self._give_back(run, wait=_PAUSED_FOR)
            return
        except _Spent:
            connection.abort()
            return
        except _Ended as late:
            refusal = late.ending
        if refusal is not None:
            await self._end_unstarted(run, refusal)
            return
        command = commands.start(run.nonce, facts.version, stamp=self._settings.stamp_log)
        reach(Point.SENDING)
        try:
            execution = await connection.start(
                command, deadline=self._settings.command_timeout, cap=max(self._settings.output_cap * 4, SMALL)
            )
        except (ConnectionLost, DeviceTimeout) as error:
            # Proved not sent. The row says executing all the same, so it is never started again.
            await self._end_unstarted(run, not_started(Reason.CONNECTION_LOST, _sentence(error)))
            return
        lag = (run.claim.now - run.content.due_at).total_seconds() + self._loop.time() - run.claimed_at
        self._observer.dispatched(lag)
        log.info("script_started", nonce=run.nonce.value)
        reach(Point.SENT)
        result = await execution.wait(max(run.deadline - self._loop.time(), 1.0))
        reach(Point.ANSWERED)
        answer = ImportAnswer(output=result.output, exit_status=result.exit_status, close=_close(result))
        verdict = judge_import(answer, run.nonce, run.content.script)
        self._step(run, Step.VERIFYING)
        if isinstance(verdict, Ending):
            run.verdict = verdict
            await self._verify(run, verdict, connection, result)
        else:
            await self._resolve(run, verdict, execution, result)

    async def _commit_start(self, run: Run, facts: Facts) -> Ending | None:
        """THE POINT OF NO RETURN. Returns None if the script may be started, else why it is not."""
        if not self._trust.lives():
            return not_started(
                Reason.STORE_LOST, "Not started: this daemon could not prove to the database that it lives."
            )
        uptime = facts.uptime.total_seconds()
        backup = _backup("before", run.before) if run.before is not None else None
        run.past_no_return = True
        try:
            start = await self._writer.start(
                StartRequest(
                    run=run.claim.id,
                    nonce=run.nonce.value,
                    uptime=uptime,
                    backup=backup,
                    occurrence=run.content.occurrence,
                    site=run.claim.site.id,
                )
            )
        except StoreError as error:
            return not_started(Reason.STORE_LOST, f"Not started: {_sentence(error)}")
        run.committed = start is Start.GO
        if start is Start.PAUSED:
            raise _Paused
        if start is Start.SPENT:
            raise _Spent
        if start is Start.CANCELLED:
            return skipped(Reason.CANCELLED, "Cancelled before it was started.")
        if start is Start.NOT_OURS or not self._trust.lives():
            return not_started(
                Reason.STORE_LOST, "Not started: this daemon could not prove to the database that it lives."
            )
        if run.before is not None:
            self._observer.backup_stored(run.before.raw_bytes)
        return None

    async def _verify(self, run: Run, ending: Ending, connection: Connection, result: ExecResult) -> None:
        """Decided. Remove the file, take the export afterwards, and write it all; none of it changes the outcome."""
        warnings: list[str] = []
        after, left = await self._tidy_up(run, connection, warnings)
        await connection.close()
        await self._end_started(run, replace(ending, warnings=(*ending.warnings, *warnings)), result, after, left)

    async def _tidy_up(self, run: Run, connection: Connection, warnings: list[str]) -> tuple[Export | None, str | None]:
        """Return the export afterwards and the name of the file if it is still there. What went wrong is a warning."""
        assert run.facts is not None  # noqa: S101
        left: str | None = run.nonce.file
        try:
            taken = await connection.run(
                commands.remove_and_export(run.nonce, run.facts.version),
                deadline=self._settings.export_timeout,
                cap=self._settings.export_cap,
            )
        except (ConnectionLost, DeviceTimeout) as error:
            warnings.append(f"Cleanup and the export afterwards failed: {_sentence(error)}")
            return None, left
        if commands.says_gone(run.nonce, lines(taken.output[:SMALL])):
            left = None
        else:
            warnings.append(f"The file {run.nonce.file} could not be removed; it is tried again.")
        export = read_export(commands.after_removal(run.nonce, taken.output), run.nonce.marker("END"))
        if isinstance(export, Export):
            return export, left
        warnings.append(f"The export afterwards is incomplete: {export.why}.")
        return None, left

    async def _resolve(self, run: Run, verdict: Unresolved, execution: Execution, result: ExecResult) -> None:
        """The session proves nothing. Look on the router, over a new connection; the old one is left alone till then."""
        assert run.facts is not None  # noqa: S101
        assert run.connection is not None  # noqa: S101
        message = verdict.message
        if (problem := run.connection.jump_problem) is not None:
            message = f"{message.removesuffix('.')}: {problem}."
        log.warning("site_unresolved", reason=str(verdict.reason), message=f"{message} The router is asked about it.")
        question = Question(
            site=run.claim.site,
            host_key=run.connection.host_key,
            nonce=run.nonce,
            reason=verdict.reason,
            message=message,
            uptime_before=run.facts.uptime,
            identified_at=run.identified_at,
            version=run.facts.version,
            # A session that is cut probably stops its script; one that is merely silent does not.
            watch_until=0.0 if run.connection.closed else run.deadline,
        )
        found = await resolve(question, self._contact, self._settings)
        run.verdict = found.ending
        left = None if found.file_gone else run.nonce.file
        await self._end_started(run, found.ending, result, found.export, left)
        if found.ending.state is State.UNKNOWN and not run.connection.closed:
            await self._linger(run, execution)
        run.connection.abort()

    async def _linger(self, run: Run, execution: Execution) -> None:
        """A started import is never aborted by us: go on listening for as long again as the site had."""
        result = await execution.wait(run.content.site_timeout.total_seconds())
        answer = ImportAnswer(output=result.output, exit_status=result.exit_status, close=_close(result))
        verdict = judge_import(answer, run.nonce, run.content.script)
        if isinstance(verdict, Ending):
            await self._keep_late(run, verdict)

    async def _end_started(
        self, run: Run, ending: Ending, result: ExecResult, after: Export | None, left: str | None
    ) -> None:
        ending = replace(ending, warnings=(*run.warnings, *ending.warnings))
        diff = None
        if run.before is not None and after is not None:
            # Milliseconds mostly; seconds where two long exports have little in common.
            if max(len(run.before.text), len(after.text)) > _LONG_EXPORT:
                diff = await asyncio.to_thread(diff_exports, run.before.text, after.text)
            else:
                diff = diff_exports(run.before.text, after.text)
        run.before = None  # 50 KB and more, of which nothing is needed any longer
        shown = commands.without_markers(run.nonce, clean(result.output, cap=self._settings.output_cap))
        request = EndRequest(
            run=run.claim.id,
            ending=ending,
            output=shown,
            diff=diff,
            backups=(_backup("after", after),) if after is not None and run.content.make_backup else (),
            left_file=left,
        )
        reach(Point.ENDING)
        await self._end(run, ending, request)

    async def _end(self, run: Run, ending: Ending, request: EndRequest) -> None:
        """Write the ending, however long the database is away. If the run is not ours any more, keep it as evidence."""
        self._step(run, run.step)
        try:
            ours = await write_ending(self._writer, self._trust, request)
        except StoreError:
            await self._keep_late(run, ending)  # what was proved is not lost, whatever the database says of the row
            raise
        if not run.written.done():
            run.written.set_result(None)
        if ours is None:
            return
        if not ours:
            await self._keep_late(run, ending)
            return
        tell_site_ended(
            ending,
            self._observer,
            seconds=self._loop.time() - run.claimed_at,
            rehearsal=run.content.rehearsal,
        )

    async def _keep_late(self, run: Run, ending: Ending) -> None:
        log.warning(
            "late_evidence", state=str(ending.state), message=f"{ending.message} Kept as an event; it changes no state."
        )
        detail = {"verdict": str(ending.state), "effect": str(ending.effect), "message": ending.message}
        with contextlib.suppress(StoreUnavailable):
            await site_runs.keep_late_evidence(self._db, run.claim.id, self._instance, json.dumps(detail))

    # -- telling -------------------------------------------------------------------------------------------------------

    def _step(self, run: Run, step: Step) -> None:
        now = self._loop.time()
        self._observer.step_ended(run.step, now - run.step_since)
        run.step, run.step_since = step, now
        self._writer.note_step(run.claim.id, step)

    async def _tell_site(self, kind: str, run: Run, detail: dict[str, str]) -> None:
        with contextlib.suppress(StoreUnavailable):  # it is in our log as well
            await site_runs.record_site_event(self._db, kind, self._instance, run.claim.site.id, json.dumps(detail))


def _replaced(site: str) -> str:
    return f"If it was replaced: 'tminus site scan {site} --accept-changed {site}', then authorize again."


def _close(result: ExecResult) -> Close:
    match result.ended:
        case Ended.CLOSED | Ended.OVERFLOW:
            return Close.CLOSED
        case Ended.LOST:
            return Close.LOST
        case Ended.TIMED_OUT:
            return Close.TIMED_OUT


def _backup(phase: str, export: Export) -> Backup:
    return Backup(phase=phase, sha256=export.sha256, text=export.text, header=export.header, raw_bytes=export.raw_bytes)


def _sentence(error: Exception) -> str:
    text = clean_line(str(error), cap=800)
    return text if text.endswith(".") else text + "."
