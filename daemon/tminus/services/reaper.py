"""Declares silent instances dead and settles what they left: gives back what had not started, resolves what had.

It must never conclude anything about a router from the death of a daemon: a run past its point of no return is resolved
on the router, file fence first. It judges by heartbeats in the database's time, never by how long something runs.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from uuid import UUID

import structlog

from tminus.domain.digest import site_digest
from tminus.domain.endings import Reason, State, unknown
from tminus.errors import StoreError
from tminus.kill_points import Point, reach
from tminus.services.authority import Authority
from tminus.services.contact import Contact
from tminus.services.endings import write_ending
from tminus.services.heartbeat import Trust
from tminus.services.holdings import Holdings
from tminus.services.loop import Hint, repeat
from tminus.services.observer import Observer
from tminus.services.post_checks import unchecked
from tminus.services.resolver import Answer, Question, question_about, resolve
from tminus.services.run_settings import RunSettings
from tminus.services.story import tell_site_ended
from tminus.services.verification import BUSY_FOR
from tminus.services.whereabouts import move_warning, tell_moved
from tminus.store import instances, launches, site_runs
from tminus.store.pool import Database
from tminus.store.site_runs import Orphan
from tminus.store.writer import EndRequest, Writer

_AT_ONCE = 100
"""Runs that are resolved side by side. Each may take a contact's time, nearly all of it waiting (and a detached script is waited
for as long as its time lasts), and whoever waits for its turn ends late by as much. Together they fit into app._OTHER_FILES."""
_SETTLED_BY = 0.2  # seconds after which the server has ended a session and let go of its rows

log = structlog.get_logger()


class Reaper:
    def __init__(
        self,
        db: Database,
        writer: Writer,
        instance: UUID,
        trust: Trust,
        *,
        contact: Contact,
        holdings: Holdings,
        interval: float,
        settings: RunSettings,
        observer: Observer,
        released: Hint,
        authority: Authority | None = None,
    ) -> None:
        self._db = db
        self._writer = writer
        self._instance = instance
        self._trust = trust
        self._contact = contact
        self._holdings = holdings
        self._interval = interval
        self._settings = settings
        self._observer = observer
        self._released = released
        self._authority = authority
        self._resolving = 0
        self.hint = Hint()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            await repeat("reaper", lambda: self._work(tasks), hint=self.hint, observer=self._observer)

    async def _work(self, tasks: asyncio.TaskGroup) -> float:
        if not self._trust.lives():
            return self._interval
        found = await instances.reap(self._db, self._instance)
        if found.dead or found.released or found.orphaned:
            reach(Point.REAPED)
            log.warning(
                "instances_reaped",
                dead=found.dead,
                released=found.released,
                orphaned=found.orphaned,
                message="What had not started is started elsewhere; what had is resolved on the routers.",
            )
            self._observer.reaped(found.dead, found.released + found.orphaned)
            self._released.give()
        if cut_off := await instances.cut_off_the_dead(self._db):
            log.warning(
                "dead_cut_off",
                sessions=cut_off,
                message="A daemon that was declared dead had transactions open, frozen; what it held is settled now.",
            )
        free = _AT_ONCE - self._resolving
        if free > 0:
            async with self._holdings.lock:
                for orphan in await site_runs.claim_orphans(self._db, self._instance, limit=free):
                    self._resolving += 1
                    self._holdings.add(orphan.id)
                    tasks.create_task(self._resolve(orphan))
        return min(self._interval, _SETTLED_BY) if cut_off else self._interval

    async def _resolve(self, orphan: Orphan) -> None:
        with structlog.contextvars.bound_contextvars(
            launch_id=str(orphan.launch_id), site_id=orphan.site.id, site_run=orphan.id
        ):
            try:
                log.warning(
                    "orphan_taken",
                    executing_seconds=round(orphan.executing_for.total_seconds(), 1),
                    message="The daemon that ran this died after the start; the router is asked what became of it.",
                )
                reach(Point.ORPHAN_TAKEN)
                question = question_about(orphan, Reason.DAEMON_LOST, "The daemon died while the script was running.")
                found = await self._find_out(orphan, question)
                if found.moved_to is not None:
                    warning = move_warning(orphan.site, found.moved_to)
                    found = replace(found, ending=replace(found.ending, warnings=(*found.ending.warnings, warning)))
                left = None if found.file_gone else question.nonce.file
                busy_for = BUSY_FOR if found.may_be_running else None
                reach(Point.ORPHAN_RESOLVED)
                request = EndRequest(run=orphan.id, ending=found.ending, left_file=left, busy_for=busy_for)
                ours = await write_ending(self._writer, self._trust, request)
                if ours:
                    if found.moved_to is not None:
                        with contextlib.suppress(StoreError):  # it is a warning of the run as well
                            await tell_moved(self._db, self._instance, orphan.site, found.moved_to, orphan.launch_id)
                    tell_site_ended(found.ending, self._observer, seconds=orphan.executing_for.total_seconds())
                else:
                    log.warning(
                        "ending_not_written",
                        state=str(found.ending.state),
                        message=f"{found.ending.message} The run is not ours any more; another instance resolves it.",
                    )
            except Exception:
                # One orphan must not end the process; the next sweep makes it an orphan again.
                log.exception("orphan_broke")
            finally:
                self._resolving -= 1
                self._holdings.remove(orphan.id)
                self.hint.give()

    async def _find_out(self, orphan: Orphan, question: Question) -> Answer:
        if orphan.authorized_site != site_digest(orphan.site_now):
            message = f"{question.message} The site was changed since, so it need not be the same router that answers."
            return Answer(ending=unknown(question.reason, message), file_gone=False, may_be_running=True)
        if not question.post_checks or await self._are_signed(orphan):
            return await resolve(question, self._contact, self._settings)
        # They are code, and all that is known of them is what the database says.
        answer = await resolve(replace(question, post_checks=()), self._contact, self._settings)
        if answer.ending.state is not State.COMPLETED:
            return answer
        return replace(
            answer,
            ending=unchecked(
                answer.ending, "this host could not verify that they were signed as they stand in the database"
            ),
        )

    async def _are_signed(self, orphan: Orphan) -> bool:
        """Whether the post-checks of a run may be evaluated: where signatures are required, if they are those that were signed."""
        if self._authority is None:
            return True
        content = await launches.launch_content(self._db, orphan.launch_id)
        is_same = (content.script, content.post_checks, content.variables) == (
            orphan.script,
            orphan.post_checks,
            orphan.script_variables,
        )
        return is_same and await self._authority.covers(content, orphan.site_now)
