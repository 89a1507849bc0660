"""What comes before the point of no return: reach the router, know it, clean up, back it up, upload the script, have it
checked. It starts nothing, and may be stopped at any moment.

It must never leave a run to be started without a complete export where one is asked for, on another device than the one
that is meant, or beside a script of ours that still runs. Every doubt ends the run, or puts it off.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import structlog

from tminus.device.connection import Connection
from tminus.domain.digest import site_digest
from tminus.domain.endings import LaunchKind, Reason, Step, not_started, skipped, unknown
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
)
from tminus.kill_points import Point, reach
from tminus.routeros.facts import Version
from tminus.routeros.post_checks import render
from tminus.routeros.rendering import RenderingRefused
from tminus.services import post_checks
from tminus.services.authority import Authority
from tminus.services.beside import RENDERING, TRIALS
from tminus.services.contact import Contact, remove_files
from tminus.services.exports import Taken, take_plausible_export, with_secrets
from tminus.services.identification import Identification
from tminus.services.logins import Logins, NotAsked
from tminus.services.mandate import NOT_AS_SIGNED, Mandate, Refusal
from tminus.services.run import Ended, Run, StartedItself, TryLater, sentence
from tminus.services.run_settings import RunSettings
from tminus.services.upload import DryRun, check_upload, try_dry_run, upload_script
from tminus.store import site_runs
from tminus.store.pool import Database
from tminus.store.writer import Writer

_ATTEMPTS = 3  # where the connection was made and then lost
_LEAST_TIME = 15.0  # seconds that a script is given at least, or half of the site's time if that is less
_READY = "Ready: logged in, exported, uploaded and checked; the script was not run."
_NO_SECRETS_HERE = (
    "The export was taken without its secrets: the site asks for them (sensitive_export), and this daemon's"
    " allow_sensitive_exports does not allow it."
)
_REMEMBERED = 1000  # sites of which it is known why their secrets were missed
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
        self._contact = contact
        self._authority = authority
        self._logins = logins
        self._settings = settings
        self._step = step
        self._secrets_missed: dict[tuple[UUID, str], str] = {}  # by launch and site, why
        self._identification = Identification(db=db, writer=writer, instance=instance, settings=settings)
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
            await self._identification.introduce(run, connection)
            if run.content.make_backup:
                await self._back_up(run, connection)
            await self._identification.check(run, connection)
            await self._clean_up(run, connection)
            self._step(run, Step.CHECKING)
            if content.rehearsal or run.claim.attempts > 1:
                await self._try_dry_run(run, connection)
            await upload_script(run, connection, self._settings)
            reach(Point.UPLOADED)
            await check_upload(run, connection, self._settings)
            await self._try_post_checks(run, connection)
            self._check_readiness(run, connection)
            if run.content.rehearsal:
                raise Ended(skipped(Reason.REHEARSED, _ready(run), warnings=tuple(run.warnings)))
        except ConnectionLost as error:
            raise self._lost(run, Reason.CONNECTION_LOST, error) from error
        except DeviceTimeout as error:
            raise self._lost(run, Reason.TIMED_OUT, error) from error

    async def _try_dry_run(self, run: Run, connection: Connection) -> None:
        """A router that runs what it is asked to look at must not be asked to look at a script that nobody may run yet, nor at
        one of which an earlier attempt was lost, perhaps while it was run.
        """
        does = await try_dry_run(run, connection, self._settings)
        asked = f"The router was asked for a dry run of a harmless file and {does.value}"
        if run.content.rehearsal and does is not DryRun.LOOKS:
            raise Ended(not_started(Reason.GUARD_FAILED, f"{asked}, so it was not given the script."))
        if does is DryRun.RUNS:
            message = f"{asked}, so it may have run the script in an earlier attempt, which was lost."
            raise StartedItself(unknown(Reason.CONNECTION_LOST, message))

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
            thread = TRIALS if content.on_trial else RENDERING
            run.rendered = await thread.run(render, content.script, content.post_checks, values)
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
            message = sentence(error)
            if (moved := run.claim.site.part.return_address) is not None:
                message += f" If it has moved to its return address already, make {moved} its address."
            if run.content.abort_if_offline:
                raise Ended(not_started(Reason.OFFLINE, message)) from error
            raise TryLater(Reason.OFFLINE, message) from error
        except JumpHostFailed as error:
            # Nobody looked at the site, so it is not offline; but what abort_if_offline asks for is a start now or never.
            if run.content.abort_if_offline:
                raise Ended(not_started(Reason.CONNECTION_LOST, sentence(error))) from error
            raise TryLater(Reason.CONNECTION_LOST, sentence(error)) from error
        except LoginRefused as error:
            raise Ended(not_started(Reason.AUTH_FAILED, sentence(error))) from error
        except HostKeyChanged as error:
            await self._identification.tell("host_key_refused", run, {"message": str(error)})
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

    async def _back_up(self, run: Run, connection: Connection) -> None:
        """No backup, no run."""
        assert run.facts is not None  # noqa: S101 - it was identified
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
            while len(self._secrets_missed) > _REMEMBERED:
                del self._secrets_missed[next(iter(self._secrets_missed))]
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


def _ready(run: Run) -> str:
    free = run.free_space
    return _READY if free is None else f"{_READY} {free} bytes of its space are free."


def check_time(run: Run, now: float) -> None:
    """Late is worse than never. Raises Ended if less is left of the site's time than a script is given at least."""
    left, whole = run.deadline - now, run.content.site_timeout.total_seconds()
    if left < min(_LEAST_TIME, whole / 2):
        message = f"Not started: only {left:.0f} s of {run.content.site_timeout} were left for the script."
        raise Ended(not_started(Reason.TIMED_OUT, message))
