"""Turns wishes into launches: at its time, an authorized scheduled script becomes a launch with its site runs.

It must never launch content that differs from what was authorized: it computes the digest again from the row that it has
locked, and refuses what does not match. It opens no connection to a router. While the database is away it waits; what
could not start within `start_within` is settled as missed by the janitor.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import structlog

from tminus.domain.digest import row_digest
from tminus.domain.timing import latest_occurrence, next_occurrence
from tminus.kill_points import Point, reach
from tminus.services.authority import Authority
from tminus.services.heartbeat import Trust
from tminus.services.loop import Hint, repeat
from tminus.services.mandate import Refusal
from tminus.services.observer import Observer
from tminus.services.story import tell_launched
from tminus.store import authorizations, launches
from tminus.store.launches import DueScript, DueTransaction, Unplanned
from tminus.store.pool import Database

_BATCH = 20

log = structlog.get_logger()


class Launcher:
    def __init__(
        self,
        db: Database,
        instance: UUID,
        trust: Trust,
        *,
        may_start: Callable[[], bool],
        poll_interval: float,
        observer: Observer,
        launched: Hint,
        authority: Authority | None = None,
    ) -> None:
        self._db = db
        self._instance = instance
        self._trust = trust
        self._may_start = may_start
        self._poll_interval = poll_interval
        self._observer = observer
        self._launched = launched
        self._authority = authority
        self._looked_at: int | None = None  # the latest authorization whose signature was looked at, see begin
        self._waiting = False  # something that is due may not be launched yet
        self.draining = False
        self.hint = Hint()

    async def begin(self) -> None:
        """Note which authorizations are from before this process. Raises StoreError."""
        if self._authority is not None:
            self._looked_at = await authorizations.latest_authorization(self._db)

    async def run(self) -> None:
        await repeat("launcher", self._work, hint=self.hint, observer=self._observer)

    async def _work(self) -> float:
        if self.draining or not self._trust.lives() or not self._may_start():
            return self._poll_interval
        if self._authority is not None and not self._authority.look_for_trouble():
            return self._poll_interval
        self._waiting = False
        async with launches.due_scripts(self._db, limit=_BATCH) as transaction:
            for script_id, problem in transaction.unreadable:
                await self._refuse(transaction, script_id, f"what was authorized cannot be read: {problem}")
            made = [(due, await self._launch(transaction, due)) for due in map(_newest, transaction.due)]
            if made:
                reach(Point.LAUNCHING)
        # Committed: only now it is true.
        if made:
            reach(Point.LAUNCHED)
        for script, launch in made:
            if launch is not None:
                tell_launched(script, launch, self._observer)
        if transaction.due:
            self._launched.give()
        # Last: trouble with what comes later keeps nothing waiting that is due.
        await self._look_at_signatures()
        await self._plan()
        if self._waiting:
            return self._poll_interval
        if len(transaction.due) + len(transaction.unreadable) == _BATCH:
            return 0.0
        wait = await launches.seconds_to_next_due(self._db)
        return self._poll_interval if wait is None else min(max(wait, 0.01), self._poll_interval)

    async def _launch(self, transaction: DueTransaction, script: DueScript) -> UUID | None:
        try:
            refusal = _differs(script)
            if refusal is None and self._authority is not None:
                match await self._authority.may_launch(script):
                    case None:
                        self._waiting = True  # it is looked at again
                        return None
                    case Refusal() as refused:
                        refusal = refused.why
        except Exception:
            # A bug of ours must not end the process, and with it all other launches, at every look.
            log.exception(
                "launch_broke", script_id=str(script.id), todo="a bug of the daemon; report it with this traceback"
            )
            refusal = "the daemon met an error of its own when it compared it with what was authorized; see its log"
        if refusal:
            await self._refuse(
                transaction,
                script.id,
                refusal,
                created_by=script.created_by,
                authorized_by=script.authorized_by,
            )
            return None
        next_at = None
        if script.row.cron is not None and script.row.timezone is not None and script.run_now_by is None:
            # From the occurrence that is due, never from now alone, or a late start would lose or repeat one. A rule
            # that cannot be read any more (another zone database) launches this once; planning then says what is wrong.
            with contextlib.suppress(ValueError):
                next_at = _not_after(
                    next_occurrence(script.row.cron, script.row.timezone, max(script.launch_at, script.now)),
                    script.row.until,
                )
            if script.row.missed_policy == "run_latest":
                await transaction.overtake(script, script.launch_at)
        launch = await transaction.launch(script, self._instance, next_at=next_at)
        if launch is None:
            log.warning(
                "launch_not_made",
                script_id=str(script.id),
                due_at=script.launch_at.isoformat(),
                message="a launch of it still runs, or this occurrence was launched already, or this instance is not heard of",
            )
        return launch

    async def _look_at_signatures(self) -> None:
        """Tell at once, and not at its time, of a new authorization whose signature does not count here.

        Those from before this process are left to their time: a file that was spoilt meanwhile must not undo them all.
        """
        if self._authority is None or self._looked_at is None:
            return
        found = await authorizations.new_authorizations(self._db, after=self._looked_at, limit=_BATCH)
        for authorization, script, script_id in found:
            why = script if isinstance(script, str) else await self._authority.why_unsigned(script)
            if why is not None:
                await authorizations.refuse_authorization(self._db, script_id, authorization, why)
                self._observer.launch_refused()
                log.error(
                    "authorization_refused",
                    script_id=str(script_id),
                    reason=why,
                    todo="have it signed by an approver whom allowed_signers names, with a key that counts",
                )
            self._looked_at = authorization

    async def _refuse(self, transaction: DueTransaction, script: UUID, reason: str, **people: str) -> None:
        await transaction.refuse(script, reason)
        self._observer.launch_refused()
        log.error(
            "launch_refused",
            script_id=str(script),
            reason=reason,
            **people,
            todo="nothing was run; find out who changed it past the schema's rules, review it, and authorize it again",
        )

    async def _plan(self) -> None:
        for row in await launches.unplanned_scripts(self._db, limit=_BATCH):
            try:
                next_at, reason = _plan_of(row)
            except ValueError as error:
                next_at, reason = None, str(error)
            await launches.plan(self._db, row.id, next_at, reason=reason)
            log.info("planned", script_id=str(row.id), launch_at=next_at.isoformat() if next_at else None)


def _plan_of(row: Unplanned) -> tuple[datetime | None, str | None]:
    """Return when a cron row is launched next, or why it never is again. Raises ValueError."""
    if row.is_spent:
        return None, f"it has made all its launches (max_launches {row.max_launches})"
    next_at = None
    if row.after is not None:
        next_at = latest_occurrence(row.cron, row.timezone, row.after, min(row.now, row.until or row.now))
    if next_at is None:
        next_at = next_occurrence(row.cron, row.timezone, row.now)
    if next_at is None:
        return None, f"cron '{row.cron}' names no date that will come"
    if _not_after(next_at, row.until) is None:
        return None, f"it was to end ({row.until:%Y-%m-%d %H:%M:%S%z})"
    return next_at, None


def _not_after(moment: datetime | None, until: datetime | None) -> datetime | None:
    return None if moment is not None and until is not None and moment > until else moment


def _newest(script: DueScript) -> DueScript:
    """Return it with the occurrence that is launched: the latest that is due, where that makes up for those before it."""
    row = script.row
    if (
        script.run_now_by is None
        and row.missed_policy == "run_latest"
        and row.cron is not None
        and row.timezone is not None
    ):
        # A rule that cannot be read any more: see _launch.
        with contextlib.suppress(ValueError):
            newest = min(script.now, row.until or script.now)
            latest = latest_occurrence(row.cron, row.timezone, script.launch_at, newest)
            return script if latest is None else replace(script, launch_at=latest)
    return script


def _differs(script: DueScript) -> str | None:
    """Say how the content differs from what was authorized. (Each site's part is compared when the site is run.)"""
    authorized = script.authorization
    if row_digest(script.row) != authorized.row_digest:
        return "the content is not what was authorized"
    if tuple(site for site, _ in authorized.sites) != script.sites:
        return "the sites are not those that were authorized"
    if authorized.contradicts_itself():
        return "the authorization does not agree with itself"
    return None
