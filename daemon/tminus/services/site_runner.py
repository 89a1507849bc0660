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
from dataclasses import replace
from datetime import timedelta
from functools import partial
from uuid import UUID

import structlog

from tminus.device.connection import Connection, Execution
from tminus.domain.endings import Ending, Reason, State, Step, not_started, skipped, unknown
from tminus.domain.timing import retry_at
from tminus.errors import ConnectionLost, DeviceTimeout, StoreError, StoreUnavailable
from tminus.kill_points import Point, reach
from tminus.routeros import commands
from tminus.routeros.facts import Facts
from tminus.routeros.outcome import judge_difference
from tminus.routeros.text import clean
from tminus.services import aftermath
from tminus.services.authority import Authority
from tminus.services.contact import SMALL, Contact, remove_files
from tminus.services.endings import write_ending
from tminus.services.heartbeat import Trust
from tminus.services.logins import Logins, NotAsked
from tminus.services.observer import Observer
from tminus.services.preparation import Preparation, check_time
from tminus.services.run import Ended, Paused, Run, Spent, StartedItself, TryLater, backup_of, sentence
from tminus.services.run_settings import RunSettings
from tminus.services.story import tell_site_ended
from tminus.services.verification import BUSY_FOR, Outcome, Verification
from tminus.services.whereabouts import move_warning, tell_moved
from tminus.store import site_runs
from tminus.store.export_texts import Backup
from tminus.store.pool import Database
from tminus.store.site_runs import Claim
from tminus.store.starts import Start, StartRequest
from tminus.store.writer import EndRequest, Release, Writer

_PAUSED_FOR = 30.0  # seconds until a run that met a pause may be claimed again
_NOT_ASKED_FOR = 5.0  # seconds until a site that was not asked for a login may be claimed again
_NOT_TRUSTED = not_started(Reason.STORE_LOST, "Not started: this daemon could not prove to the database that it lives.")

log = structlog.get_logger()


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
        refused_logins: int,
        authority: Authority | None = None,
    ) -> None:
        """`refused_logins`: see Logins."""
        self._db = db
        self._writer = writer
        self._instance = instance
        self._trust = trust
        self._settings = settings
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._preparation = Preparation(
            db=db,
            writer=writer,
            instance=instance,
            contact=contact,
            authority=authority,
            logins=Logins(db, bound=refused_logins),
            settings=settings,
            step=self._step,
        )
        self._verification = Verification(contact=contact, settings=settings, step=self._step)
        self._authority = authority
        self._nonces: set[str] = set()  # of the attempts that are under way: no two may share a file

    async def run(self, run: Run) -> None:
        """Take one claimed site run to its ending, or give it back. Cancel it only before its point of no return."""
        if run.nonce.value in self._nonces:
            ending = not_started(Reason.GUARD_FAILED, "Not started: another attempt has the same nonce.")
            await self._end_unstarted(run, ending)
            return
        self._nonces.add(run.nonce.value)
        try:
            await self._run(run)
        finally:
            self._nonces.discard(run.nonce.value)

    async def _run(self, run: Run) -> None:
        with structlog.contextvars.bound_contextvars(
            launch_id=str(run.content.id), site_id=run.claim.site.id, site_run=run.claim.id
        ):
            run.step_since = self._loop.time()
            log.info("site_started", attempt=run.claim.attempts)
            if self._authority is not None and run.mandate is None and not run.content.rehearsal:
                await self._give_back(run, wait=_PAUSED_FOR)  # signatures cannot be verified now
                return
            try:
                async with asyncio.timeout_at(run.deadline):
                    await self._preparation.prepare(run)
            except Ended as stop:
                await self._end_unstarted(run, stop.ending)
                if run.login_refused:
                    await self._preparation.look_at_logins(run)
                return
            except StartedItself as started:
                await self._end_started_itself(run, started.ending)
                return
            except TryLater as later:
                await self._put_off(run, later)
                return
            except NotAsked as waits:
                log.info("site_not_asked", message=str(waits))
                await self._give_back(run, wait=_NOT_ASKED_FOR)
                return
            except TimeoutError:
                ending = not_started(
                    Reason.TIMED_OUT,
                    f"Not started: {run.content.site_timeout} were over while {run.step.replace('_', ' ')}.",
                )
                await self._end_unstarted(run, ending)
                return
            except asyncio.CancelledError:
                # The daemon drains or lost its trust, or the launch was stopped. Nothing was started.
                if run.connection is not None:
                    run.connection.abort()
                log.info("site_given_back", message="Nothing was started; it is pending again.")
                run.ended = True  # a second cancel must not end the wait for what is written now
                if self._trust.lives():
                    await self._give_back(run)
                raise
            reach(Point.READY)
            await self._execute(run)

    async def give_back(self, run: Run) -> None:
        """Make a claimed run pending again that was not begun: its launch was stopped meanwhile. Nothing is sent."""
        log.info(
            "site_given_back",
            launch_id=str(run.content.id),
            site_id=run.claim.site.id,
            site_run=run.claim.id,
            message="The launch was stopped before the site was connected to; nothing was sent.",
        )
        run.ended = True
        await self._give_back(run)

    async def refuse(self, claim: Claim, why: str) -> None:
        """End a claimed run whose launch cannot be read. Nothing is sent."""
        ending = not_started(Reason.GUARD_FAILED, f"Not started: what its launch says makes no sense: {why}")
        with structlog.contextvars.bound_contextvars(
            launch_id=str(claim.launch_id), site_id=claim.site.id, site_run=claim.id
        ):
            if await write_ending(self._writer, self._trust, EndRequest(run=claim.id, ending=ending)):
                tell_site_ended(ending, self._observer, seconds=0.0)

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
        busy_for = BUSY_FOR if ending.state is State.UNKNOWN else None
        await self._end(run, ending, EndRequest(run=run.claim.id, ending=ending, left_file=left, busy_for=busy_for))

    # -- before the point of no return ---------------------------------------------------------------------------------

    async def _put_off(self, run: Run, later: TryLater) -> None:
        """Give the run back, to be tried again while its time lasts."""
        if run.connection is not None:
            run.connection.abort()
        claim = run.claim
        now = claim.now + timedelta(seconds=self._loop.time() - run.claimed_at)
        again = retry_at(now=now, turn_at=claim.turn_at, start_within=run.content.start_within, attempts=claim.attempts)
        if again is None:
            end = skipped if later.reason is Reason.BUSY else not_started
            await self._end_unstarted(run, end(later.reason, later.message))
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
                gone = await remove_files(connection, run.nonce, deadline=self._settings.command_timeout)
                # What is not listed yet is not removed, and may appear a moment later: then it is looked for again.
                left = None if gone and not run.may_appear else left
        if run.connection is not None:
            await run.connection.close()
        backups = (backup_of("before", run.before),) if run.before is not None else ()
        busy_for = BUSY_FOR if ending.state is State.UNKNOWN else None  # it may have started itself
        request = EndRequest(run=run.claim.id, ending=ending, backups=backups, left_file=left, busy_for=busy_for)
        await self._end(run, ending, request)

    async def _end_started_itself(self, run: Run, ending: Ending) -> None:
        """Write what the router did before it was asked to: as a start, or as a failure if that is not to be had."""
        assert run.facts is not None  # noqa: S101 - it was identified long before
        log.warning("script_ran_at_dry_run", message=ending.message, todo="report the version of this router's system")
        run.past_no_return = True
        try:
            refusal = await self._commit_start(run, run.facts)
        except (Paused, Ended):
            refusal = ending
        except Spent:
            if run.connection is not None:
                run.connection.abort()
            return
        if refusal is not None and not run.committed:
            # Never given back: whatever else keeps it from being written as a start, it must not be tried again.
            ending = not_started(Reason.GUARD_FAILED, ending.message)
        await self._end_unstarted(run, ending)

    # -- the point of no return, and after it --------------------------------------------------------------------------

    async def _execute(self, run: Run) -> None:
        connection, facts = run.connection, run.facts
        assert connection is not None  # noqa: S101 - it was prepared
        assert facts is not None  # noqa: S101
        self._step(run, Step.EXECUTING)
        try:
            refusal = await self._commit_start(run, facts)
            if refusal is None:
                self._last_look(run)
        except Paused:
            connection.abort()
            await self._give_back(run, wait=_PAUSED_FOR)
            return
        except Spent:
            connection.abort()
            return
        except Ended as late:
            refusal = late.ending
        if refusal is not None:
            await self._end_unstarted(run, refusal)
            return
        reach(Point.SENDING)
        try:
            execution = await self._start(run, connection)
        except (ConnectionLost, DeviceTimeout) as error:
            # Proved not sent. The row says executing all the same, so it is never started again.
            await self._end_unstarted(run, not_started(Reason.CONNECTION_LOST, sentence(error)))
            return
        except Ended as withheld:
            await self._end_unstarted(run, withheld.ending)
            return
        reach(Point.SENT)
        outcome = await self._verification.follow(run, connection, execution)
        run.verdict = outcome.ending
        outcome = await self._end_started(run, outcome)
        if outcome.busy_for is not None and not connection.closed and not run.content.detached:
            await aftermath.listen_on(run, execution, self._db, self._keep_late)
        connection.abort()

    async def _commit_start(self, run: Run, facts: Facts) -> Ending | None:
        """THE POINT OF NO RETURN. Returns None if the script may be started, else why it is not."""
        if not self._trust.lives():
            return _NOT_TRUSTED
        self._preparation.check_mandate(run)
        uptime = facts.uptime.total_seconds()
        backup = backup_of("before", run.before) if run.before is not None else None
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
            return not_started(Reason.STORE_LOST, f"Not started: {sentence(error)}")
        run.committed = start is Start.GO
        if start is Start.PAUSED:
            raise Paused
        if start is Start.SPENT:
            raise Spent
        if start is Start.CANCELLED:
            return skipped(Reason.CANCELLED, "Cancelled before it was started.")
        if start is Start.HALTED:
            return skipped(Reason.HALTED, "Not started: the launch was halted.")
        if start is Start.NOT_OURS or not self._trust.lives():
            return _NOT_TRUSTED
        if run.before is not None:
            self._observer.backup_stored(run.before.raw_bytes)
        return None

    def _last_look(self, run: Run) -> None:
        """The commit may have taken its time, and so may the router with the channel. Raises Ended if it was too much."""
        if not self._trust.lives():
            raise Ended(_NOT_TRUSTED)
        check_time(run, self._loop.time())  # late is worse than never

    async def _start(self, run: Run, connection: Connection) -> Execution:
        """Send the start command, once. An exception proves that it was not sent."""
        line = commands.start_detached if run.content.detached else commands.start
        ends = ("JOB",) if run.content.detached else ("OK", "ERR")
        execution = await connection.start(
            line(run.nonce, catches=run.catches, stamp=run.stamped),
            deadline=self._settings.command_timeout,
            cap=max(self._settings.output_cap * 4, SMALL),
            ends=tuple(run.nonce.marker(kind).encode() for kind in ends),
            last_look=partial(self._last_look, run),
        )
        lag = (run.claim.now - run.content.due_at).total_seconds() + self._loop.time() - run.claimed_at
        self._observer.dispatched(lag)
        log.info("script_started", nonce=run.nonce.value, detached=run.content.detached)
        return execution

    # -- the ending ----------------------------------------------------------------------------------------------------

    async def _end_started(self, run: Run, outcome: Outcome) -> Outcome:
        """Write how it ended, and return that: what differs on the router may make another ending of it."""
        ending, after = outcome.ending, outcome.after
        ending = replace(ending, warnings=(*run.warnings, *ending.warnings))
        diff = await aftermath.difference(run.before, after)
        if run.answers_at is not None:
            ending = replace(ending, warnings=(*ending.warnings, move_warning(run.claim.site, run.answers_at)))
            await self._tell_moved(run, run.answers_at)
        if (hidden := await aftermath.hidden_change(run.before, after, diff)) is not None:
            ending = replace(ending, warnings=(*ending.warnings, hidden))
        judged = judge_difference(ending, differs=bool(diff) or hidden is not None)
        may_run = judged.state is State.UNKNOWN and ending.state is State.FAILED
        outcome = replace(outcome, ending=judged, busy_for=BUSY_FOR if may_run else outcome.busy_for)
        run.verdict = judged
        backups: tuple[Backup, ...] = ()
        if after is not None and run.content.make_backup:
            backups = (backup_of("after", after, like=run.before),)
        run.before = None  # 50 KB and more, of which nothing is needed any longer
        shown = commands.without_markers(run.nonce, clean(outcome.output, cap=self._settings.output_cap))
        request = EndRequest(
            run=run.claim.id,
            ending=judged,
            output=shown,
            diff=diff,
            backups=backups,
            left_file=run.nonce.file if outcome.left else None,
            busy_for=outcome.busy_for,
        )
        reach(Point.ENDING)
        await self._end(run, judged, request)
        return outcome

    async def _tell_moved(self, run: Run, address: str) -> None:
        with contextlib.suppress(StoreError):  # it is a warning of the run as well
            await tell_moved(self._db, self._instance, run.claim.site, address, run.content.id)

    async def _end(self, run: Run, ending: Ending, request: EndRequest) -> None:
        """Write the ending, however long the database is away. If the run is not ours any more, keep it as evidence."""
        self._step(run, run.step)
        if not run.hung_up.done():
            run.hung_up.set_result(None)
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
            counts=not run.content.on_trial,
        )

    async def _keep_late(self, run: Run, ending: Ending) -> None:
        log.warning(
            "late_evidence", state=str(ending.state), message=f"{ending.message} Kept as an event; it changes no state."
        )
        detail = {"verdict": str(ending.state), "effect": str(ending.effect), "message": ending.message}
        with contextlib.suppress(StoreUnavailable):
            await site_runs.keep_late_evidence(self._db, run.claim.id, self._instance, json.dumps(detail))

    def _step(self, run: Run, step: Step) -> None:
        now = self._loop.time()
        self._observer.step_ended(run.step, now - run.step_since)
        run.step, run.step_since = step, now
        self._writer.note_step(run.claim.id, step)
