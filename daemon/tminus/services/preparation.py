"""What comes before the point of no return: reach the router, know it, clean up, back it up, upload the script, have it
checked. It starts nothing, and may be stopped at any moment.

It must never leave a run to be started without a complete export where one is asked for, on another device than the one
that is meant, or beside a script of ours that still runs. Every doubt ends the run, or puts it off.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import structlog

from tminus.device.connection import Connection
from tminus.domain.digest import site_digest
from tminus.domain.endings import Effect, Ending, LaunchKind, Reason, Step, not_started, skipped
from tminus.domain.guards import Measured, broken_guards
from tminus.domain.variables import named_values
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
from tminus.routeros import commands, messages
from tminus.routeros.facts import Version, is_version_in, parse_serial
from tminus.routeros.outcome import judge_dry_run
from tminus.routeros.post_checks import render
from tminus.routeros.rendering import RenderingRefused
from tminus.routeros.text import clean_line, lines
from tminus.services import post_checks
from tminus.services.authority import Authority
from tminus.services.contact import SMALL, Contact, introduce, remove_files
from tminus.services.exports import Taken, take_plausible_export, with_secrets
from tminus.services.logins import Logins, NotAsked
from tminus.services.mandate import NOT_AS_SIGNED, Mandate, Refusal
from tminus.services.run import Ended, Run, StartedItself, TryLater, sentence
from tminus.services.run_settings import RunSettings
from tminus.store import site_runs
from tminus.store.pool import Database
from tminus.store.writer import Learned, SerialRequest, Writer

_ATTEMPTS = 3  # where the connection was made and then lost
_LEAST_TIME = 15.0  # seconds that a script is given at least, or half of the site's time if that is less
_READY = "Ready: logged in, exported, uploaded and checked; the script was not run."
_NO_SECRETS_HERE = (
    "The export was taken without its secrets: the site asks for them (sensitive_export), and this daemon's"
    " allow_sensitive_exports does not allow it."
)
_LEFTOVERS = 20  # of which attempts are removed in one contact

log = structlog.get_logger()


class Preparation:
    def __init__(
        self,
        *,
        db: Database,
        writer: Writer,
        instance: UUID,
        contact: Contact,
        authority: Authority | None,
        logins: Logins,
        settings: RunSettings,
        step: Callable[[Run, Step], None],
    ) -> None:
        self._db = db
        self._writer = writer
        self._instance = instance
        self._contact = contact
        self._authority = authority
        self._logins = logins
        self._settings = settings
        self._step = step
        self._secrets_missed: dict[tuple[UUID, str], str] = {}  # by launch and site, why
        self._loop = asyncio.get_running_loop()

    async def prepare(self, run: Run) -> None:
        """Everything that starts nothing. Returns only with a router that is ready, its export in hand, the file on it."""
        site = run.claim.site
        self.check_mandate(run)
        if not site.enabled:
            raise Ended(skipped(Reason.SITE_DISABLED, "The site is disabled."))
        content = run.content
        self._check_test(run)
        if run.claim.authorized_site != site_digest(run.site_part):
            message = (
                "The site is not as it was authorized (its address, credential, key or a variable of the script was"
                " changed); nothing was sent."
            )
            raise Ended(not_started(Reason.SITE_CHANGED, message))
        if content.names:
            await self._render(run)
        try:
            connection = run.connection = await self._connect(run)
            reach(Point.CONNECTED)
            await self._identify(run, connection)
            if run.content.make_backup:
                await self._back_up(run, connection)
            await self._check_identity(run, connection)
            await self._clean_up(run, connection)
            self._step(run, Step.CHECKING)
            await self._upload(run, connection)
            reach(Point.UPLOADED)
            await self._check_upload(run, connection)
            await self._try_post_checks(run, connection)
            self._check_readiness(run, connection)
            if run.content.rehearsal:
                raise Ended(skipped(Reason.REHEARSED, _ready(run), warnings=tuple(run.warnings)))
        except ConnectionLost as error:
            raise self._lost(run, Reason.CONNECTION_LOST, error) from error
        except DeviceTimeout as error:
            raise self._lost(run, Reason.TIMED_OUT, error) from error

    def _check_test(self, run: Run) -> None:
        """What nobody has authorized runs where this host's own configuration allows it, on a router that is known for sure."""
        site = run.claim.site
        if run.content.kind is not LaunchKind.TEST:
            return
        if site.id not in self._settings.test_sites:
            message = f"Not started: {site.id} is none of the test_sites of this daemon's configuration."
            raise Ended(not_started(Reason.GUARD_FAILED, message))
        if site.part.host_key is None:
            raise Ended(not_started(Reason.GUARD_FAILED, f"Not started: no host key is pinned for {site.id}."))

    async def _render(self, run: Run) -> None:
        """Put the site's values into the script: in a thread, since a large script takes its time to be read."""
        content = run.content
        try:
            values = named_values(content.names, content.variables, run.claim.site.variables)
            run.rendered = await asyncio.to_thread(render, content.script, content.post_checks, values)
        except RenderingRefused as refused:
            raise Ended(not_started(Reason.SCRIPT_REJECTED, f"{refused} Nothing was sent.")) from refused

    def check_mandate(self, run: Run) -> None:
        """Where signatures are required, compare what is used with what was signed, by this host's clock."""
        authority = self._authority
        if authority is None:
            return
        if run.nonce.of_rehearsal != run.content.rehearsal:
            raise Ended(
                not_started(
                    Reason.GUARD_FAILED,
                    "Not started: its file could be taken for another's, of a rehearsal or of a launch.",
                )
            )
        if run.content.rehearsal:
            return
        why: str | None = run.mandate.why if isinstance(run.mandate, Refusal) else "its signature was not verified"
        if isinstance(run.mandate, Mandate):
            site = run.site_part
            if run.mandate.names_another(site):
                raise Ended(not_started(Reason.SITE_CHANGED, f"Not started: {NOT_AS_SIGNED}."))
            why = authority.why_not(run.mandate, site)
        if why is not None:
            raise Ended(not_started(Reason.GUARD_FAILED, f"Not started: {why}."))

    async def _connect(self, run: Run) -> Connection:
        """Log in. One lost SYN is not a verdict: two tries. A refused login is final for this launch."""
        try:
            try:
                return await self._log_in(run)
            except (Offline, JumpHostFailed):
                await asyncio.sleep(self._settings.second_try_after)
                return await self._log_in(run)
        except Offline as error:
            if run.content.abort_if_offline:
                raise Ended(not_started(Reason.OFFLINE, sentence(error))) from error
            raise TryLater(Reason.OFFLINE, sentence(error)) from error
        except JumpHostFailed as error:
            # Nobody looked at the site, so it is not offline; but what abort_if_offline asks for is a start now or never.
            if run.content.abort_if_offline:
                raise Ended(not_started(Reason.CONNECTION_LOST, sentence(error))) from error
            raise TryLater(Reason.CONNECTION_LOST, sentence(error)) from error
        except LoginRefused as error:
            raise Ended(not_started(Reason.AUTH_FAILED, sentence(error))) from error
        except HostKeyChanged as error:
            await self._tell_site("host_key_refused", run, {"message": str(error)})
            raise Ended(not_started(Reason.HOST_KEY_CHANGED, sentence(error))) from error
        except ConfigError as error:
            raise Ended(not_started(Reason.AUTH_FAILED, sentence(error))) from error

    async def _log_in(self, run: Run) -> Connection:
        """Log in once, when it is this site's turn to be asked. A refusal counts for the launch: see services/logins.py."""
        site = run.claim.site
        launch, credential = run.content.id, site.part.credential or "default"
        ticket = self._logins.ticket(launch, credential)
        try:
            connection = await self._contact.connect(site, covered=run.site_part, admit=ticket.enter)
        except LoginRefused:
            ticket.refused()
            run.login_refused = True
            raise
        except NotAsked:
            await self.look_at_logins(run)
            raise
        else:
            ticket.took()
            return connection
        finally:
            ticket.leave()

    async def look_at_logins(self, run: Run) -> None:
        """Halt the launch, if the credential is what is wrong."""
        with contextlib.suppress(StoreError):  # whoever is not asked next looks again
            await self._logins.look(run.content.id, run.claim.site.part.credential or "default")

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
        guards, rehearsal = run.content.guards, run.content.rehearsal
        resources = rehearsal or guards.ask_resources
        said = await introduce(
            connection,
            run.nonce,
            stamp=self._settings.stamp_log,
            resources=resources,
            deadline=self._settings.command_timeout,
        )
        facts = said.facts
        if facts is None:
            shown = clean_line(said.output, cap=160)
            message = f"Logged in, but what answered is not a RouterOS console{': ' + shown if shown else ''}."
            raise Ended(not_started(Reason.GUARD_FAILED, message))
        run.facts = facts
        run.identified_at = self._loop.time()
        run.stamped = said.stamped
        if self._settings.stamp_log and not said.stamped:
            run.warnings.append(
                "Nothing could be written to the router's log, so a lost session could not be resolved by it."
            )
        if not said.looked:
            run.warnings.append(
                "The router did not tell its jobs and files, so none was looked for that was left behind."
            )
        answers = lines(said.output)
        run.leftovers = commands.leftovers(run.nonce, answers)
        if commands.jobs_seen(run.nonce, answers):
            raise TryLater(Reason.BUSY, "Another script of tminus still runs on this router.")
        if run.content.detached and not facts.version.has_detached:
            message = (
                f"RouterOS {facts.version.text} cannot run a detached script so that its end is proved (7.13 can);"
                " nothing was run. Schedule it without detached."
            )
            raise Ended(not_started(Reason.GUARD_FAILED, message))
        measured = Measured(
            version=facts.version.text,
            version_in_range=guards.version is not None and is_version_in(facts.version, guards.version),
            uptime=facts.uptime,
            free_space=commands.free_space_seen(run.nonce, answers),
            cpu_load=commands.cpu_load_seen(run.nonce, answers),
        )
        run.free_space = measured.free_space
        if broken := broken_guards(guards, measured):
            message = f"The router is not as the script asks: {'; '.join(broken)}. Nothing was run."
            raise Ended(not_started(Reason.GUARD_FAILED, message))

    async def _back_up(self, run: Run, connection: Connection) -> None:
        """No backup, no run."""
        assert run.facts is not None  # noqa: S101 - _identify came first
        self._step(run, Step.BACKING_UP)
        reach(Point.EXPORTING)
        taken = await take_plausible_export(
            connection,
            run.nonce,
            run.facts.version,
            self._settings,
            last=run.claim.last_export,
            writing=run.may_leave_file,
        )
        if self._wants_secrets(run):
            taken = await self._with_secrets(run, connection, run.facts.version, taken)
        run.uploaded = taken.left
        run.warnings += [warning for warning in (taken.doubt, taken.note) if warning]
        if taken.export is None:
            message = f"The export is incomplete: {taken.why.rstrip('.')}; the script was not started."
            raise Ended(not_started(Reason.BACKUP_INCOMPLETE, message))
        run.before = taken.export
        run.with_secrets = taken.export.sensitive is not None
        reach(Point.BACKED_UP)

    async def _with_secrets(self, run: Run, connection: Connection, version: Version, taken: Taken) -> Taken:
        """Take it with its secrets as well; but not again where that cost the connection the last time."""
        key = (run.content.id, run.claim.site.id)
        if (note := self._secrets_missed.pop(key, None)) is not None:
            return replace(taken, note=note)
        taken = await with_secrets(connection, run.nonce, version, self._settings, taken, writing=run.may_leave_file)
        if connection.closed:
            self._secrets_missed[key] = taken.note
        return taken

    def _wants_secrets(self, run: Run) -> bool:
        """Whether this site's export is to have its secrets: the site says so, and this host agrees."""
        if not run.site_part.sensitive_export:
            return False
        if not self._settings.allow_sensitive_exports:
            run.warnings.append(_NO_SECRETS_HERE)
            return False
        # Where nothing happens that nobody has signed: a rehearsal is signed by nobody.
        return self._authority is None or not run.content.rehearsal

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
            raise Ended(not_started(Reason.IDENTITY_CHANGED, message))
        if serial is not None and site.serial is not None and serial != site.serial:
            message = (
                f"The router's serial number is {serial}, not {site.serial}: another device answers here;"
                f" nothing was run. {_replaced(site.id)}"
            )
            await self._tell_site("identity_changed", run, {"serial": serial, "known": site.serial})
            raise Ended(not_started(Reason.IDENTITY_CHANGED, message))
        if serial is not None and site.serial is None:
            try:
                other = await self._writer.serial_owner(SerialRequest(site=site.id, serial=serial))
            except StoreUnavailable as error:
                raise Ended(not_started(Reason.STORE_LOST, f"Not started: {error}.")) from error
            if other is not None:
                message = f"The router's serial number {serial} already runs under {other}; nothing was run."
                await self._tell_site("identity_changed", run, {"serial": serial, "other_site": other})
                raise Ended(not_started(Reason.IDENTITY_CHANGED, message))
        self._writer.note_learned(
            Learned(
                site=site.id,
                identity=run.facts.identity,
                version=run.facts.version.text,
                serial=serial,
                model=model,
            )
        )

    async def _clean_up(self, run: Run, connection: Connection) -> None:
        """Take away what earlier attempts left here, of this database; what is another's stays."""
        if not run.leftovers:
            return
        try:
            ours = await site_runs.our_leftovers(self._db, run.claim.site.id, [nonce.value for nonce in run.leftovers])
        except StoreError as error:
            log.info("leftovers_put_off", message=str(error))
            return
        others = [nonce.file for nonce in run.leftovers if nonce.value not in ours]
        if others:
            log.warning(
                "files_of_others", files=others, todo="another tminus runs scripts on this router; it removes them"
            )
        for nonce in [nonce for nonce in run.leftovers if nonce.value in ours][:_LEFTOVERS]:
            if await remove_files(connection, nonce, deadline=self._settings.command_timeout):
                with contextlib.suppress(StoreError):  # else the janitor looks, and finds nothing
                    await site_runs.settle_debts_of(self._db, run.claim.site.id, nonce.file)
                log.info("leftover_removed", file=nonce.file)

    async def _upload(self, run: Run, connection: Connection) -> None:
        run.uploaded = True  # from the first byte on there may be something to remove
        try:
            await connection.upload(run.nonce.file, run.script, deadline=self._settings.command_timeout)
        except UploadFailed as error:
            raise Ended(not_started(Reason.UPLOAD_FAILED, sentence(error))) from error

    async def _check_upload(self, run: Run, connection: Connection) -> None:
        """Wait until the router lists the whole file, and have it parse it, where its version can."""
        assert run.facts is not None  # noqa: S101
        size = len(run.script)
        can_dry_run = run.facts.version.has_dry_run
        command = commands.file_size_and_dry_run(run.nonce) if can_dry_run else commands.file_size(run.nonce)
        # A dry run repeats the script, and numbers its lines.
        cap = min(self._settings.export_cap, SMALL + 4 * size + 20 * run.script.count(b"\n"))
        until = self._loop.time() + self._settings.upload_visible_within
        pause = 0.1
        while True:
            result = await connection.run(command, deadline=self._settings.command_timeout, cap=cap)
            said = lines(result.output)
            listed = commands.listed_size(run.nonce, said)
            if listed == size:
                break
            if can_dry_run and listed is None and any(messages.is_refused_line(line) for line in said):
                # Beta versions of 7.16, and what only says that it is a later one. The import itself parses it whole, too.
                can_dry_run, command = False, commands.file_size(run.nonce)
                run.warnings.append("The router does not know a dry run, so the script was not checked before it.")
            if self._loop.time() >= until:
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

    async def _try_post_checks(self, run: Run, connection: Connection) -> None:
        """A check that the router cannot read would say nothing afterwards: then nothing is started."""
        why = await post_checks.why_refused(
            connection, run.nonce, run.post_checks, deadline=self._settings.command_timeout
        )
        if why is not None:
            raise Ended(not_started(Reason.SCRIPT_REJECTED, f"{why} Nothing was run."))

    def _check_readiness(self, run: Run, connection: Connection) -> None:
        """The last look before the point of no return: a connection to start on, and time for the script."""
        if connection.closed:
            raise ConnectionLost(f"the connection to {run.claim.site.id} ended before the start")
        check_time(run, self._loop.time())

    def _lost(self, run: Run, reason: Reason, error: Exception) -> Ended | TryLater:
        """Before the point of no return a lost connection is tried again, a few times."""
        if run.claim.attempts < _ATTEMPTS:
            return TryLater(reason, sentence(error))
        return Ended(not_started(reason, sentence(error)))

    async def _tell_site(self, kind: str, run: Run, detail: dict[str, str]) -> None:
        with contextlib.suppress(StoreUnavailable):  # it is in our log as well
            await site_runs.record_site_event(self._db, kind, self._instance, run.claim.site.id, json.dumps(detail))


def _ready(run: Run) -> str:
    free = run.free_space
    return _READY if free is None else f"{_READY} {free} bytes of its space are free."


def check_time(run: Run, now: float) -> None:
    """Late is worse than never. Raises Ended if less is left of the site's time than a script is given at least."""
    left, whole = run.deadline - now, run.content.site_timeout.total_seconds()
    if left < min(_LEAST_TIME, whole / 2):
        message = f"Not started: only {left:.0f} s of {run.content.site_timeout} were left for the script."
        raise Ended(not_started(Reason.TIMED_OUT, message))


def _replaced(site: str) -> str:
    return f"If it was replaced: 'tminus site scan {site} --accept-changed {site}', then authorize again."
