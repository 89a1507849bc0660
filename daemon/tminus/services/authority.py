"""Decides whether this host lets a launch start anything: with `require_signature` only what an approver has signed.

It owns the comparison of what is about to be sent (script, options, time, and each site's address, key and credential, as they
lie in memory and are used) with a signature that this host verifies by files of its own. It must never take the database's
word for any of it. Nothing is read from the database between its answer and the start; what a started launch may still
do is asked again for each site, and the signature at least every half minute.

What people do with a launch that is under way (it is paused, halted or cancelled; it goes on, its next wave goes) is kept on this
host as well: what the database says of that counts only where it holds something back.

It fails closed: where signatures cannot be verified (a file cannot be read), `trouble` says so and nothing is claimed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from tminus.domain.authorization import (
    NAMESPACE,
    Authorization,
    FurtherAct,
    Occasion,
    Statement,
    may_start,
    over_at,
    why_not_acted,
    why_not_covered,
    why_not_now,
    why_outlives,
)
from tminus.domain.digest import SitePart, site_digest
from tminus.domain.occurrence import Occurrence
from tminus.domain.timing import next_occurrence
from tminus.services.mandate import NOT_CONFIRMED, Mandate, Refusal
from tminus.signatures import CannotVerify, Signers
from tminus.store import authorizations, launches
from tminus.store.act_log import Act, ActLog, Did, Standing
from tminus.store.launches import DueScript, LaunchContent
from tminus.store.pool import Database

_VERIFIED_FOR = 30.0  # seconds
_REMEMBERED = 200  # launches
_STOPPED = 50  # launches that are looked at together
_STOPPED_FOR = 2 * 86400.0  # seconds; see stopped_by_people.sql, which looks back for one day

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class _Known:
    content: LaunchContent
    answer: Mandate | Refusal
    until: float  # loop time
    stamp: tuple[object, ...]


class Authority:
    """`distinct`: an approver may not sign what they wrote. `now` is this host's clock. `is_spent`: of the intent log.

    `remembered`: for how long this host knows what was spent (None: for ever). What would count for longer does not count.
    """

    def __init__(
        self,
        db: Database,
        signers: Signers,
        *,
        distinct: bool,
        longest_launch: timedelta,
        acts: ActLog,
        is_spent: Callable[[int], bool],
        remembered: timedelta | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._db = db
        self._signers = signers
        self._distinct = distinct
        self._longest_launch = longest_launch
        self._acts = acts
        self._is_spent = is_spent
        self._remembered = remembered
        self._now = now
        self._unkept: str | None = None  # why something could not be written to this host's disk
        # Launches of which that is kept, and since when they are paused; with the loop time at which it was.
        self._stopped: dict[tuple[UUID, datetime | None], float] = {}
        self._admitted: OrderedDict[Occurrence, set[str]] = (
            OrderedDict()
        )  # sites that may be started, of launches in waves
        self._held: set[tuple[UUID, str]] = set()  # that was told
        self._known: OrderedDict[UUID, _Known] = OrderedDict()
        self._vouched: set[str] = set()  # digests of sites
        self._told: set[tuple[UUID, datetime]] = set()
        self.trouble: str | None = None

    def look_for_trouble(self) -> bool:
        """Notice that signatures cannot be verified, or can be again. True if they can."""
        try:
            self._signers.stamp()
        except CannotVerify as error:
            self._tell(str(error))
        else:
            self._tell(self._unkept)
        return self.trouble is None

    async def is_ready(self) -> bool:
        """Whether anything may be claimed: signatures can be verified, and what people stopped is known here."""
        if self._unkept is not None:
            with contextlib.suppress(OSError):
                await self._acts.probe()
                self._unkept = None
        if self.look_for_trouble():
            await self._look_at_stopped()
        return self.trouble is None

    async def may_launch(self, script: DueScript) -> Mandate | Refusal | None:
        """Say whether a launch may be made of `script`; None: not at this moment, by this host's clock or its files."""
        occasion = script.occasion
        answer = await self._judge(occasion)
        if answer is None or isinstance(answer, Refusal):
            return answer
        # Its time has come, says the database. (What expired is refused, so that a person hears of it.)
        now = self._now()
        expires = script.authorization.expires
        if expires is not None and now > expires:
            return Refusal(why=why_not_now(occasion, now, longest_launch=self._longest_launch) or "it expired")
        why = why_not_now(occasion, now, longest_launch=timedelta(seconds=30))
        if why is None:
            return answer
        if (script.id, script.launch_at) not in self._told:
            self._told = {(script.id, script.launch_at)} | (self._told if len(self._told) < _REMEMBERED else set())
            log.warning(
                "launch_waits",
                script_id=str(script.id),
                message=f"The database says that its time has come; {why}.",
                todo="compare the clocks of both hosts; a launch that cannot start in time is missed",
            )
        return None

    async def why_unsigned(self, script: DueScript) -> str | None:
        """Say why the authorization of `script` will not count when its time comes; None if it does as far as can be told."""
        occasion = script.occasion
        if script.row.cron is not None:
            try:
                due_at = next_occurrence(script.row.cron, script.row.timezone or "UTC", script.now)
            except ValueError:
                return None  # planning says what is wrong with it
            occasion = replace(occasion, due_at=due_at or script.now)
        answer = await self._judge(occasion)
        return answer.why if isinstance(answer, Refusal) else None

    async def mandate(self, content: LaunchContent) -> Mandate | Refusal | None:
        """Say what was signed of a launch; None where signatures cannot be verified now."""
        loop = asyncio.get_running_loop()
        known = self._known.get(content.id)
        if not self.look_for_trouble():
            return None
        stamp = self._signers.stamp()
        if known is None or known.content is not content or known.until < loop.time() or known.stamp != stamp:
            answer = await self._judge(content.occasion)
            if answer is None:
                return None
            if isinstance(answer, Refusal) and (known is None or known.answer != answer):
                log.error(
                    "launch_not_signed",
                    launch_id=str(content.id),
                    script_id=str(content.script_id),
                    reason=answer.why,
                    todo="nothing is started; find out who made this launch, and whether the database is still yours",
                )
            known = _Known(content=content, answer=answer, until=loop.time() + _VERIFIED_FOR, stamp=stamp)
            self._known[content.id] = known
            self._known.move_to_end(content.id)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        if isinstance(known.answer, Mandate):
            return await self._as_it_stands(content, known.answer)
        return known.answer

    def why_not(self, mandate: Mandate, site: SitePart) -> str | None:
        """Say why nothing may be started on `site` now; None if it may."""
        if mandate.occurrence is not None and (why := _why_held(self._acts.standing(mandate.occurrence))) is not None:
            return why  # it was stopped since the mandate was looked at
        return mandate.why_not(site, self._now()) or self._why_not_admitted(mandate, site.id)

    async def covers(self, content: LaunchContent, site: SitePart) -> bool:
        """Whether an approver signed for what a launch does on this site, whatever became of the launch since."""
        answer = await self._judge(content.occasion)
        return isinstance(answer, Mandate) and not answer.names_another(site)

    async def _look_at_stopped(self) -> None:
        """Keep, on this host, which launches were paused, halted or cancelled: it counts until somebody signs."""
        now = asyncio.get_running_loop().time()
        for known in [known for known, at in self._stopped.items() if now > at + _STOPPED_FOR]:
            del self._stopped[known]
        for launch, since in await authorizations.stopped_by_people(self._db, self._stopped.keys(), limit=_STOPPED):
            try:
                content = await launches.launch_content(self._db, launch)
            except (LookupError, ValueError, TypeError):
                self._stopped[launch, since] = now  # nothing of what cannot be read is started
                continue
            answer = await self._judge(content.occasion)
            if answer is None:
                return  # signatures cannot be verified now; nothing is started meanwhile
            if isinstance(answer, Mandate):  # of what nobody signed nothing is started anyway
                did = Did.OVER if since is None else Did.PAUSED
                if not await self._keep(content, Act(occurrence=content.occurrence, did=did, since=since)):
                    return
            self._stopped[launch, since] = now

    async def _as_it_stands(self, content: LaunchContent, mandate: Mandate) -> Mandate | Refusal | None:
        """Hold a launch back as this host saw people do it, or let it go on where that is signed. None: not now."""
        standing = self._acts.standing(content.occurrence)
        try:
            waits = may_start(content.occasion, standing.confirmed) not in (None, len(mandate.sites))
        except ValueError as error:
            return Refusal(why=f"its waves make no sense: {error}")
        if not standing.is_over and (standing.paused or waits):
            try:
                further = await authorizations.further_acts(self._db, content.id)
            except (ValueError, TypeError):
                further = []
            for act in further:
                if not (act.act == "resume" and act.since in standing.paused) and not (
                    act.act == "confirm" and act.wave is not None and act.wave > standing.confirmed
                ):
                    continue
                why = await self._why_not_acted(content.occasion, act)
                if self.trouble is not None:
                    return None
                if why is not None:
                    self._tell_held(content, f"the act '{act.act}' by {act.approver} does not count: {why}")
                    continue
                did = Did.RESUMED if act.act == "resume" else Did.CONFIRMED
                if not await self._keep(
                    content, Act(occurrence=content.occurrence, did=did, since=act.since, wave=act.wave)
                ):
                    return None
                log.info("act_verified", launch_id=str(content.id), act=act.act, by=act.approver, wave=act.wave)
                standing = self._acts.standing(content.occurrence)
        if (held := _why_held(standing)) is not None:
            self._tell_held(content, held)
            return Refusal(why=held)
        return replace(mandate, occurrence=content.occurrence, confirmed=standing.confirmed)

    async def _why_not_acted(self, occasion: Occasion, act: FurtherAct) -> str | None:
        try:
            now = self._now()
            why = why_not_acted(occasion, act, now, distinct=self._distinct)
            return (why or why_outlives(act.expires, now, self._remembered)) or await self._signers.why_invalid(
                occasion.statement_of(act).text(), act.signature, signer=act.approver, namespace=NAMESPACE
            )
        except CannotVerify as error:
            self._tell(str(error))
            return str(error)
        except ValueError as error:
            return str(error)

    async def _keep(self, content: LaunchContent, act: Act) -> bool:
        """Write it to this host's disk. False: nothing may be started, since it would be forgotten."""
        try:
            await self._acts.keep(act, until=over_at(content.occasion, longest_launch=self._longest_launch))
        except OSError as error:
            self._unkept = f"what people did with a launch cannot be kept in state_dir: {error.strerror}"
            self._tell(self._unkept)
            return False
        return True

    def _why_not_admitted(self, mandate: Mandate, site: str) -> str | None:
        """Hold the number of sites that a launch may start against those that it started from this host, or is about to."""
        count, occurrence = mandate.may_start, mandate.occurrence
        if count is None or occurrence is None:
            return None
        if occurrence not in self._admitted:
            self._admitted[occurrence] = {each for each in mandate.sites if self._is_spent(occurrence.key(each))}
            while len(self._admitted) > _REMEMBERED:
                self._admitted.popitem(last=False)
        admitted = self._admitted[occurrence]
        if site not in admitted and len(admitted) >= count:
            return NOT_CONFIRMED
        admitted.add(site)
        return None

    def _tell_held(self, content: LaunchContent, why: str) -> None:
        if (content.id, why) not in self._held:
            self._held = {(content.id, why)} | (self._held if len(self._held) < _REMEMBERED else set())
            log.error(
                "act_not_signed",
                launch_id=str(content.id),
                script_id=str(content.script_id),
                reason=why,
                todo="nothing of it is started; have an approver sign, or find out who changed the database",
            )

    async def vouches_for(self, site: SitePart) -> bool:
        """Whether an approver ever signed for exactly this site: only to such a one is a password sent."""
        digest = site_digest(site)
        if site.host_key is None:
            return False
        if digest not in self._vouched:
            for stated, authorization in await authorizations.signed_for_site(self._db, digest):
                if not authorization.contradicts_itself() and await self._is_signed(stated, authorization):
                    self._vouch(authorization)
                    break
        if digest not in self._vouched:
            return False
        # Variables or none: it is the same router, reached in the same way.
        self._vouched.add(site_digest(replace(site, variables=None)))
        return True

    async def _is_signed(self, stated: Statement, authorization: Authorization) -> bool:
        signature = authorization.signature
        if signature is None:
            return False
        try:
            return await self._signers.why_invalid(
                stated.text(), signature, signer=authorization.approver, namespace=NAMESPACE
            ) is None  # fmt: skip
        except (CannotVerify, ValueError):
            return False

    async def _judge(self, occasion: Occasion) -> Mandate | Refusal | None:
        try:
            refusal = why_not_covered(occasion, distinct=self._distinct)
            if refusal is not None or occasion.authorization is None:
                return Refusal(why=refusal or "nobody authorized it")
            authorization = occasion.authorization
            # What has a time of its own is over with that; what has not is remembered until it expires, or does not count.
            if not occasion.at_its_time and (why := why_outlives(authorization.expires, self._now(), self._remembered)):
                return Refusal(why=why)
            invalid = await self._signers.why_invalid(
                occasion.statement().text(),
                authorization.signature or "",
                signer=authorization.approver,
                namespace=NAMESPACE,
            )
        except CannotVerify as error:
            self._tell(str(error))
            return None
        except ValueError as error:
            return Refusal(why=f"what was authorized makes no sense: {error}")
        if invalid is not None:
            return Refusal(why=f"the signature is not one of {authorization.approver} that counts here: {invalid}")
        self._vouch(authorization)
        return Mandate(occasion=occasion, sites=dict(authorization.sites), longest_launch=self._longest_launch)

    def _vouch(self, authorization: Authorization) -> None:
        self._vouched.update(digest for _, digest in authorization.sites)

    def _tell(self, trouble: str | None) -> None:
        if trouble != self.trouble:
            if trouble is None:
                log.info("signatures_verifiable")
            else:
                log.error("signatures_not_verifiable", error=trouble, todo="nothing is started until they are")
        self.trouble = trouble


def _why_held(standing: Standing) -> str | None:
    if standing.is_over:
        return "this host saw that its launch was halted or cancelled"
    if standing.paused:
        since = min(standing.paused).astimezone(UTC)
        return f"its launch was paused at {since:%Y-%m-%d %H:%M:%S} UTC, and nobody signed for it to go on"
    return None
