"""Which router answers: what it is, and that it is the one that was meant."""

from __future__ import annotations

import asyncio
import contextlib
import json
from uuid import UUID

import structlog

from tminus.device.connection import Connection
from tminus.domain.endings import Reason, not_started
from tminus.domain.guards import Measured, broken_guards
from tminus.errors import StoreError, StoreUnavailable
from tminus.routeros import commands, survey
from tminus.routeros.facts import is_version_in
from tminus.routeros.remains import may_rename
from tminus.routeros.text import clean_line, lines
from tminus.services.contact import ask_serial, introduce
from tminus.services.run import Ended, Run, TryLater, sentence
from tminus.services.run_settings import RunSettings
from tminus.store import site_runs
from tminus.store.pool import Database
from tminus.store.writer import Learned, SerialRequest, Writer

log = structlog.get_logger()


class Identification:
    """Every doubt ends the run, or puts it off."""

    def __init__(self, *, db: Database, writer: Writer, instance: UUID, settings: RunSettings) -> None:
        self._db = db
        self._writer = writer
        self._instance = instance
        self._settings = settings
        self._loop = asyncio.get_running_loop()

    async def introduce(self, run: Run, connection: Connection) -> None:
        """The proof of being online: a command that prints our nonce. Tells version, identity and uptime."""
        site = run.claim.site
        if site.host_key is None:
            # Policy accept-new: never silent, and enforced from now on.
            self._writer.note_learned(Learned(site=site.id, host_key=connection.host_key))
            await self.tell("host_key_accepted", run, {"host_key": connection.host_key})
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
        if not said.jobs:
            hidden = "its jobs" if said.files else "its jobs and files"
            run.warnings.append(f"The router did not tell {hidden}, so none was looked for that was left behind.")
        answers = lines(said.output)
        run.leftovers = commands.leftovers(run.nonce, answers)
        if commands.jobs_seen(run.nonce, answers):
            raise TryLater(
                Reason.BUSY,
                "Another script of tminus still runs on this router. If it never ends, see 'tminus resolve --help'.",
            )
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
        if rehearsal and measured.free_space is not None and measured.free_space < survey.SPACE:
            run.warnings.append(f"The router is nearly full: {survey.short_of_space(measured.free_space)}.")
        if broken := broken_guards(guards, measured):
            message = f"The router is not as the script asks: {'; '.join(broken)}. Nothing was run."
            raise Ended(not_started(Reason.GUARD_FAILED, message))

    async def check(self, run: Run, connection: Connection) -> None:
        """Another device on this address stops the run."""
        assert run.facts is not None  # noqa: S101
        site, serial, model = run.claim.site, None, None
        if run.before is not None:
            serial, model = run.before.serial, run.before.model
        else:
            serial = await ask_serial(connection, run.nonce, deadline=self._settings.command_timeout)
        if serial is None and site.serial is not None and run.before is not None:
            # The export does not name it; but this site is known to have one.
            serial = await ask_serial(connection, run.nonce, deadline=self._settings.command_timeout)
        run.serial = serial
        if serial is None and site.serial is None:
            await self._check_identity(run, connection, run.facts.identity)
        if serial is None and site.serial is not None:
            message = (
                f"The router names no serial number, but {site.id} has {site.serial}: another device answers here;"
                f" nothing was run. {_replaced(site.id)}"
            )
            await self.tell("identity_changed", run, {"serial": "", "known": site.serial})
            raise Ended(not_started(Reason.IDENTITY_CHANGED, message))
        if serial is not None and site.serial is not None and serial != site.serial:
            message = (
                f"The router's serial number is {serial}, not {site.serial}: another device answers here;"
                f" nothing was run. {_replaced(site.id)}"
            )
            await self.tell("identity_changed", run, {"serial": serial, "known": site.serial})
            raise Ended(not_started(Reason.IDENTITY_CHANGED, message))
        if serial is not None and site.serial is None:
            try:
                other = await self._writer.serial_owner(SerialRequest(site=site.id, serial=serial))
            except StoreUnavailable as error:
                raise Ended(not_started(Reason.STORE_LOST, f"Not started: {error}.")) from error
            if other is not None:
                message = f"The router's serial number {serial} already runs under {other}; nothing was run."
                await self.tell("identity_changed", run, {"serial": serial, "other_site": other})
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

    async def _check_identity(self, run: Run, connection: Connection, identity: str) -> None:
        """Virtual routers are cloned with their host keys, and have no serial number: one that calls itself what another site
        does, and proves to own the same key, is that one. Unless the script that ran there last may have renamed it.
        """
        site = run.claim.site.id
        try:
            found = await site_runs.another_identity(self._db, site, identity, connection.host_key)
        except StoreError as error:
            raise Ended(not_started(Reason.STORE_LOST, f"Not started: {sentence(error)}")) from error
        if found is None or (found.last_script is not None and may_rename(found.last_script.encode())):
            return
        now, known = clean_line(identity, cap=80), clean_line(found.known, cap=80)
        if found.other is None:
            run.warnings.append(f"The router calls itself '{now}'; when it was last asked it was '{known}'.")
            return
        message = (
            f"The router calls itself '{now}' and not '{known}', as {found.other} does, which has the same host key: another"
            f" device answers here; nothing was run. If it was only renamed: 'tminus site scan {site} --accept-changed {site}'."
        )
        await self.tell("identity_changed", run, {"identity": now, "known": known, "other_site": found.other})
        raise Ended(not_started(Reason.IDENTITY_CHANGED, message))

    async def tell(self, kind: str, run: Run, detail: dict[str, str]) -> None:
        with contextlib.suppress(StoreUnavailable):  # it is in our log as well
            await site_runs.record_site_event(self._db, kind, self._instance, run.claim.site.id, json.dumps(detail))


def _replaced(site: str) -> str:
    return f"If it was replaced: 'tminus site scan {site} --accept-changed {site}', then authorize again."
