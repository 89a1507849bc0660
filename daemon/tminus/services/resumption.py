"""Lets this host go on after its database lost starts, when an approver has signed for that (`require_signature`).

It owns the end of a hold (store/hold_log.py), and ends it only by a signature that this host verifies itself: over the very hold,
and over all starts that are missing here, as this host remembers them. It must never take the database's word that somebody
accepted them. A host that holds back starts nothing; what was started goes on. It fails closed: where signatures cannot be
verified, or the end could not be kept on this host's disk, the hold lasts.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import structlog

from tminus.domain.authorization import NAMESPACE
from tminus.domain.resumption import Hold, Resumption
from tminus.routeros.text import clean_line
from tminus.services.loop import Hint
from tminus.signatures import CannotVerify, Signers
from tminus.store import history
from tminus.store.hold_log import HoldLog
from tminus.store.pool import Database

log = structlog.get_logger()


class HeldHost:
    """`resumed` is given when this host may go on. `now` is this host's clock."""

    def __init__(
        self,
        db: Database,
        holds: HoldLog,
        signers: Signers,
        *,
        instance: UUID,
        resumed: Hint,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._db = db
        self._holds = holds
        self._signers = signers
        self._instance = instance
        self._resumed = resumed
        self._now = now
        self._unsaid = set(holds.over)  # of which the database may say that they last
        self._refused: str | None = None

    async def look(self) -> str | None:
        """Say why this host starts nothing; None if it may."""
        if self._unsaid:
            await history.release_holds(self._db, self._unsaid, self._instance)
            self._unsaid.clear()
        hold = self._holds.current
        if hold is None:
            return None
        refused: str | None = None
        for resumption, signature in await history.resumptions_of(self._db, hold.id):
            why = await self._why_not(hold, resumption, signature)
            if why is None and (why := await self._release(hold, resumption)) is None:
                return None
            refused = refused or clean_line(f"what {resumption.approver} signed does not count: {why}", cap=1000)
        if refused != self._refused and refused is not None:
            log.error(
                "resumption_refused",
                reason=refused,
                todo="nothing is started from here; sign again: tminus resume --note WHY --sign KEY",
            )
        self._refused = refused
        await history.say_held(self._db, hold, self._instance, why=refused)
        return _reason(hold, refused)

    async def _release(self, hold: Hold, resumption: Resumption) -> str | None:
        try:
            if not await self._holds.release(hold, by=resumption.approver):
                return "more starts were found missing since"
        except OSError as error:
            return f"it cannot be kept in state_dir: {error.strerror}"
        self._unsaid.add(hold.id)
        self._refused = None
        log.warning("resumption_verified", by=resumption.approver, lost_starts=len(hold.starts), hold=str(hold.id))
        self._resumed.give()
        return None

    async def _why_not(self, hold: Hold, resumption: Resumption, signature: str) -> str | None:
        if (why := resumption.why_not(hold, self._now())) is not None:
            return why
        try:
            return await self._signers.why_invalid(
                resumption.text(), signature, signer=resumption.approver, namespace=NAMESPACE
            )
        except (CannotVerify, ValueError) as error:
            return str(error)


def _reason(hold: Hold, refused: str | None) -> str:
    latest = max(hold.starts, key=lambda start: start.at)
    more = f" (and {len(hold.starts) - 1} more)" if len(hold.starts) > 1 else ""
    return (
        f"the script of launch {latest.launch} was started on {latest.site} at {latest.at.isoformat(timespec='seconds')},"
        f" and the database does not know of it{more}; this host starts nothing until an approver has signed for that"
        f" ('tminus resume --note WHY --sign KEY'){f'; {refused}' if refused else ''}"
    )
