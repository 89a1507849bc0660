"""Claims site runs for this instance, as many as it has free sessions, and runs each in a task of its own.

A site behind a jump host is claimed only when that has a place for it: it waits while it is pending, before its own time
begins, and takes no session from a site that needs no jump host.

It must never claim while this instance cannot prove that it lives or cannot remember what it starts, nor while it
drains. When trust is lost it aborts what is before the point of no return, and so it does with that of a launch that was
cancelled, halted or paused; what is past it goes on. It fails by claiming nothing until it can again; a bug in the run on one
site ends that run alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from uuid import UUID

import structlog

from tminus.domain.endings import LaunchKind
from tminus.errors import StoreError
from tminus.kill_points import Point, reach
from tminus.services.authority import Authority
from tminus.services.contact import Contact
from tminus.services.heartbeat import Trust
from tminus.services.holdings import Holdings
from tminus.services.loop import Hint, repeat
from tminus.services.mandate import Mandate, Refusal
from tminus.services.observer import Observer
from tminus.services.run import Run
from tminus.services.site_runner import SiteRunner
from tminus.store import launches, rollout, site_runs
from tminus.store.launches import LaunchContent
from tminus.store.pool import Database
from tminus.store.site_runs import Claim

_BATCH = 100
_SWEEP = 5.0  # seconds between looks for runs that nobody here knows
_CLAIMING = 5.0  # seconds that a drain waits for the answer to a claim
_GATHER = 0.1  # seconds that freed sessions are gathered before the next claim,
_GATHERED = 20  # or so many, or a tenth of all if that is more
_LEFT = 0.25  # seconds after which is claimed what other instances have left of what waits
_CONTENTS = 50  # launches whose content is kept in memory

log = structlog.get_logger()


class Dispatcher:
    def __init__(
        self,
        db: Database,
        instance: UUID,
        trust: Trust,
        runner: SiteRunner,
        holdings: Holdings,
        *,
        contact: Contact,
        may_start: Callable[[], bool],
        max_sessions: int,
        poll_interval: float,
        observer: Observer,
        ended: Hint,
        stopped: Hint,
        authority: Authority | None = None,
    ) -> None:
        self._db = db
        self._site_ended = ended
        self._stopped_ended = stopped
        self._instance = instance
        self._trust = trust
        self._may_start = may_start
        self._runner = runner
        self._holdings = holdings
        self._contact = contact
        self._release: dict[asyncio.Task[None], Callable[[], None]] = {}  # gives back the place on a jump host
        self._swept_at = float("-inf")
        self._max_sessions = max_sessions
        self._poll_interval = poll_interval
        self._observer = observer
        self._authority = authority
        self._contents: dict[UUID, LaunchContent] = {}
        self._running: dict[asyncio.Task[None], Run] = {}
        self._open: set[int] = set()  # those of them whose ending is not written yet
        self._sessions: set[int] = set()  # those of them whose router is not done with: they take a session
        self._freed_since = 0  # sessions, since the latest claim
        self._gathering: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self.draining = False
        self.hint = Hint()

    async def run(self) -> None:
        """Claim and run, until cancelled. The runs are not ended by that: see `drain`."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(repeat("dispatcher", self._work, hint=self.hint, observer=self._observer))
            tasks.create_task(self._watch_trust())

    async def drain(self, seconds: float, *, unstarted_now: bool = False) -> bool:
        """Claim nothing more and wait for what runs. True if all of it ended; what was not started in time is given back.

        With `unstarted_now` that is done at once, and only what is past its point of no return is waited for.
        """
        self.draining = True
        # A claim that is under way is known here first; what it took is given back.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLAIMING), self._holdings.lock:
                pass
        if unstarted_now:
            self._cancel(lambda run: run.abortable)
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            log.warning(
                "drain_timed_out",
                running=len(self._open),
                message="What was not started is given back; what was is resolved later.",
            )
            self._cancel(lambda run: run.abortable)
            unstarted = [task for task, run in self._running.items() if run.abortable]
            if unstarted:
                await asyncio.wait(unstarted, timeout=5)
        return not self._open

    async def _work(self) -> float:
        await self._abort_stopped()
        if self.draining or not self._trust.lives() or not self._may_start():
            return self._poll_interval
        if self._authority is not None and not await self._authority.is_ready():
            return self._poll_interval
        async with self._holdings.lock:
            await self._sweep()
            places = self._contact.places()
            free = self._count_free()
            claims = await self._claim(min(free, _BATCH), places) if free > 0 else []
            if claims:
                reach(Point.CLAIMED)
            if claims and not self._trust.lives():
                # The database answered too late: they would end for that alone. Nobody knows them, so a sweep gives them back.
                self._swept_at = float("-inf")
                return self._poll_interval
            claimed_at = asyncio.get_running_loop().time()
            mandates = await self._mandates({claim.launch_id for claim in claims})
            # All this took its time, and what was stopped meanwhile must not so much as be connected to.
            stopped = await self._stopped({claim.launch_id for claim in claims})
            for claim in claims:
                content, mandate = self._contents[claim.launch_id], mandates.get(claim.launch_id)
                run = Run(claim=claim, content=content, claimed_at=claimed_at, mandate=mandate)
                self._begin(run, self._give_back if self.draining or claim.launch_id in stopped else self._runner.run)
        # A full batch says that more may be waiting; sessions that were freed meanwhile are claimed together. A jump host
        # that has just become full may have hidden sites that need none.
        now = self._contact.places()
        filled = len(claims) < free and any(count > 0 and now[name] == 0 for name, count in places.items())
        if filled or (len(claims) == min(free, _BATCH) and free > _BATCH):
            return 0.0
        return min(_LEFT, self._poll_interval) if claims and len(claims) < free else self._poll_interval

    def _count_free(self) -> int:
        """Return how many sessions are free, for a claim; those that are freed from now on are gathered for the next."""
        self._freed_since = 0
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        # A session is free once its router is done with; but endings that cannot be written do not pile up for ever.
        return self._max_sessions - max(len(self._sessions), len(self._open) - self._max_sessions)

    async def _abort_stopped(self) -> None:
        """Give back what has not started of launches that were cancelled, halted or paused."""
        stopped = await self._stopped({run.claim.launch_id for run in self._running.values() if run.abortable})
        if stopped:
            self._cancel(lambda run: run.abortable and run.claim.launch_id in stopped)

    async def _stopped(self, unstarted: set[UUID]) -> set[UUID]:
        return await rollout.stopped_launches(self._db, unstarted) if unstarted else set()

    async def _sweep(self) -> None:
        """Settle, every few seconds, what is ours by the database and known to nobody here."""
        now = asyncio.get_running_loop().time()
        if now < self._swept_at + _SWEEP:
            return
        released, orphaned = await site_runs.sweep(self._db, self._instance, self._holdings.known())
        self._swept_at = now
        if released or orphaned:
            log.warning(
                "strays_swept",
                released=released,
                orphaned=orphaned,
                message="Claimed by this instance and unknown to it, after database trouble: given back, or resolved.",
            )

    def _begin(self, run: Run, handle: Callable[[Run], Awaitable[None]]) -> None:
        # A task of its own: a service that breaks must not take a running script along.
        task = asyncio.create_task(self._run(run, handle), name=f"site-run-{run.claim.id}")
        self._running[task] = run
        self._release[task] = self._contact.hold_place(run.claim.site)
        self._holdings.add(run.claim.id)
        self._open.add(run.claim.id)
        self._sessions.add(run.claim.id)
        self._idle.clear()
        self._observer.sessions(len(self._sessions))
        task.add_done_callback(self._ended)
        run.hung_up.add_done_callback(lambda _: self._freed(run))
        run.written.add_done_callback(lambda _: self._written(run))

    def _ended(self, task: asyncio.Task[None]) -> None:
        run = self._running.pop(task)
        self._release.pop(task)()
        self._holdings.remove(run.claim.id)
        self._freed(run)
        self._written(run)

    def _freed(self, run: Run) -> None:
        """Nothing more is asked of a router: its session is free, while the ending is written or its script is listened to."""
        if run.claim.id not in self._sessions:
            return
        self._sessions.remove(run.claim.id)
        self._observer.sessions(len(self._sessions))
        if self.draining:
            return
        self._freed_since += 1
        if self._freed_since >= max(_GATHERED, self._max_sessions // 10):
            self.hint.give()
        elif self._gathering is None:
            self._gathering = asyncio.get_running_loop().call_later(_GATHER, self.hint.give)

    def _written(self, run: Run) -> None:
        """A run ended, or its ending was written while its script is still listened to."""
        self._open.discard(run.claim.id)
        self._site_ended.give()
        if not self._open:
            self._idle.set()

    async def _give_back(self, run: Run) -> None:
        await self._runner.give_back(run)
        self._stopped_ended.give()

    async def _run(self, run: Run, handle: Callable[[Run], Awaitable[None]]) -> None:
        try:
            await handle(run)
        except asyncio.CancelledError:
            self._stopped_ended.give()
            raise  # given back, or left to the reaper
        except Exception:
            log.exception(
                "site_run_broke",
                launch_id=str(run.claim.launch_id),
                site_id=run.claim.site.id,
                site_run=run.claim.id,
                past_no_return=run.past_no_return,
                todo="a bug of the daemon; the run on this site is ended, the others go on; report it with this traceback",
            )
            try:
                await self._runner.give_up(run)
            except StoreError:
                # The row stays open until the next sweep makes it somebody's again; the other sites go on.
                log.exception(
                    "site_run_left_open",
                    launch_id=str(run.claim.launch_id),
                    site_id=run.claim.site.id,
                    site_run=run.claim.id,
                )

    async def _claim(self, capacity: int, places: dict[str, int]) -> list[Claim]:
        """Claim, and have the content of every launch that is concerned. What is claimed of one that cannot be read is ended."""
        claims = await site_runs.claim_site_runs(self._db, self._instance, capacity=capacity, places=places)
        for launch in {claim.launch_id for claim in claims} - self._contents.keys():
            try:
                content = self._contents[launch] = await launches.launch_content(self._db, launch)
            except (LookupError, ValueError, TypeError) as error:
                log.error(  # noqa: TRY400 - a traceback would add nothing
                    "launch_unreadable",
                    launch_id=str(launch),
                    error=str(error),
                    todo="nothing of it is started; find out who changed this launch past the schema's rules",
                )
                refused = [claim for claim in claims if claim.launch_id == launch]
                claims = [claim for claim in claims if claim.launch_id != launch]
                await asyncio.gather(*(self._runner.refuse(claim, str(error)) for claim in refused))
                continue
            if content.rehearsal:
                log.info("rehearsal_started", launch_id=str(launch), script_id=str(content.script_id))
            elif content.kind is LaunchKind.TEST:
                log.info("test_started", launch_id=str(launch), script_id=str(content.script_id))
            elif content.kind is LaunchKind.RETRY:
                log.info("retry_started", launch_id=str(launch), script_id=str(content.script_id))
        for launch in list(self._contents)[: max(len(self._contents) - _CONTENTS, 0)]:
            if all(launch != claim.launch_id for claim in claims):
                del self._contents[launch]
        return claims

    async def _mandates(self, claimed: set[UUID]) -> dict[UUID, Mandate | Refusal | None]:
        """Where signatures are required, have those of the launches verified over the very content that will be sent."""
        if self._authority is None:
            return {}
        contents = [self._contents[launch] for launch in claimed if not self._contents[launch].rehearsal]
        return {content.id: await self._authority.mandate(content) for content in contents}

    async def _watch_trust(self) -> None:
        """The moment trust is lost, abort what has not started."""
        while True:
            left = self._trust.seconds_left()
            if left > 0:
                await asyncio.sleep(min(left, 0.5))
                continue
            self._cancel(lambda run: run.abortable)
            await asyncio.sleep(0.5)

    def _cancel(self, which: Callable[[Run], bool]) -> None:
        for task, run in self._running.items():
            if which(run):
                task.cancel()
