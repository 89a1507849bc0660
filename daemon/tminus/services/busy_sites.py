"""Finds out when a script that did not end within its time, or whose session was lost, is over: until then its router is
busy, and no other launch starts there.

It must never free a router on which the script may be running, nor change what was written of its run: what comes to light
late is kept as evidence. It starts and stops nothing on a router. It fails by looking again later.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from uuid import UUID

import structlog

from tminus.device.connection import Connection
from tminus.domain.digest import site_digest
from tminus.domain.endings import Reason
from tminus.errors import ConfigError, DeviceError, StoreError
from tminus.routeros.remains import judge_remains, why_over
from tminus.routeros.text import clean_line
from tminus.services import post_checks
from tminus.services.contact import Contact, find_remains
from tminus.services.heartbeat import Trust
from tminus.services.loop import Hint, repeat
from tminus.services.observer import Observer
from tminus.services.resolver import Question, question_about
from tminus.services.whereabouts import find_again
from tminus.store import busy_sites, site_runs
from tminus.store.busy_sites import BusySite
from tminus.store.pool import Database

_AT_ONCE = 5

log = structlog.get_logger()


class BusySites:
    def __init__(
        self,
        db: Database,
        instance: UUID,
        trust: Trust,
        contact: Contact,
        *,
        poll_interval: float,
        command_timeout: float,
        stamp_log: bool,
        observer: Observer,
    ) -> None:
        self._db = db
        self._instance = instance
        self._trust = trust
        self._contact = contact
        self._poll_interval = poll_interval
        self._command_timeout = command_timeout
        self._stamp_log = stamp_log
        self._observer = observer
        # The loop time at which this process read of each run for the first time. That its time is over is counted from
        # there, since the database's clock may have been set since the start.
        self._known_since: dict[int, float] = {}
        self.hint = Hint()

    async def run(self) -> None:
        await repeat("busy_sites", self._work, hint=self.hint, observer=self._observer)

    async def _work(self) -> float:
        """Look at those whose turn it is. The next look is already noted."""
        if not self._trust.lives():
            return self._poll_interval
        known = await busy_sites.known(self._db)
        now = asyncio.get_running_loop().time()
        self._known_since = {run: self._known_since.get(run, now) for run in known}
        taken = await busy_sites.take(self._db, self._instance, limit=_AT_ONCE)
        async with asyncio.TaskGroup() as visits:
            for busy in taken:
                visit = _Visit(
                    db=self._db,
                    instance=self._instance,
                    contact=self._contact,
                    busy=busy,
                    over_at=self._known_since.get(busy.run.id, now) + busy.run.site_timeout.total_seconds(),
                    command_timeout=self._command_timeout,
                    stamp_log=self._stamp_log,
                )
                visits.create_task(_visit(visit))
        return self._poll_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class _Visit:
    db: Database
    instance: UUID
    contact: Contact
    busy: BusySite
    over_at: float  # the loop time at which the time of the run is over
    command_timeout: float
    stamp_log: bool


async def _visit(visit: _Visit) -> None:
    run = visit.busy.run
    with structlog.contextvars.bound_contextvars(launch_id=str(run.launch_id), site_id=run.site.id, site_run=run.id):
        try:
            seen = await _look(visit)
        except (DeviceError, ConfigError) as error:
            seen = str(error)
        except StoreError as error:
            log.info("busy_site_put_off", message=str(error))
            return
        except Exception as error:
            # A bug of ours must not end the daemon, and with it what runs elsewhere.
            log.exception("busy_site_broke")
            seen = f"the daemon met an error of its own: {error!r}"
        if seen is not None:
            log.info("site_still_busy", message=seen)
            over_in = visit.over_at - asyncio.get_running_loop().time()
            with contextlib.suppress(StoreError):  # it is in our log as well
                await busy_sites.look_again(
                    visit.db, visit.busy, seen=clean_line(seen, cap=1000), within=over_in if over_in > 0 else None
                )


async def _look(visit: _Visit) -> str | None:
    """Free the router if the script is over, and return None; else return what was seen."""
    run = visit.busy.run
    if run.authorized_site != site_digest(run.site_now):
        return "The site was changed since, so it need not be the same router that answers; resolve the run to free it."
    question = question_about(run, Reason(visit.busy.reason), "")
    async with await find_again(question.sought, visit.contact, deadline=visit.command_timeout) as connection:
        return await _ask(visit, question, connection)


async def _ask(visit: _Visit, question: Question, connection: Connection) -> str | None:
    remains = await find_remains(connection, question.nonce, deadline=visit.command_timeout)
    if remains is None:
        return "The router's log could not be read."
    why = why_over(remains, question.before, time_is_over=asyncio.get_running_loop().time() >= visit.over_at)
    if why is None:
        return "The router lists a job that runs the script." if remains.jobs else "Nothing tells that it is over."
    # What the log lacks proves nothing of one that was not known to be over.
    if remains.log & {"done", "failed"}:
        verdict = judge_remains(remains, question.before, reason=question.reason, stamped=visit.stamp_log)
        verdict = post_checks.not_made(verdict, question.post_checks)
        detail = {"verdict": str(verdict.state), "effect": str(verdict.effect), "message": verdict.message}
        await site_runs.keep_late_evidence(visit.db, visit.busy.run.id, visit.instance, json.dumps(detail))
        log.warning("late_evidence", state=str(verdict.state), message=f"{verdict.message} Kept as an event.")
    await busy_sites.free(visit.db, visit.busy.run.id, why)
    log.info("site_free", message=why)
    return None
