"""Claims site runs for this instance, as many as it has free sessions, and runs each in a task of its own.

It must never claim while this instance cannot prove that it lives, nor while it drains. When trust is lost it aborts
what is before the point of no return; what is past it goes on. It fails by ending the process; a bug in the run on one
site ends that run alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID

import structlog

from tminus.errors import Refused, StoreError
from tminus.services.heartbeat import Trust
from tminus.services.loop import Hint, repeat
from tminus.services.observer import Observer
from tminus.services.site_runner import Run, SiteRunner
from tminus.store import launches, site_runs
from tminus.store.launches import LaunchContent
from tminus.store.pool import Database
from tminus.store.site_runs import Claim

_BATCH = 100
_GATHER = 0.05  # seconds that freed sessions are gathered before the next claim
_CONTENTS = 50  # launches whose content is kept in memory

log = structlog.get_logger()


class Dispatcher:
    def __init__(
        self,
        db: Database,
        instance: UUID,
        trust: Trust,
        runner: SiteRunner,
        *,
        max_sessions: int,
        poll_interval: float,
        observer: Observer,
    ) -> None:
        self._db = db
        self._instance = instance
        self._trust = trust
        self._runner = runner
        self._max_sessions = max_sessions
        self._poll_interval = poll_interval
        self._observer = observer
        self._contents: dict[UUID, LaunchContent] = {}
        self._running: dict[asyncio.Task[None], Run] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self.draining = False
        self.hint = Hint()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(repeat("dispatcher", lambda: self._work(tasks), hint=self.hint, observer=self._observer))
            tasks.create_task(self._watch_trust())

    async def drain(self, seconds: float) -> bool:
        """Claim nothing more and wait for what runs. True if all of it ended; else what was not started is given back."""
        self.draining = True
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            log.warning("drain_timed_out", running=len(self._running))
            self._cancel(lambda run: not run.past_no_return)
            unstarted = [task for task, run in self._running.items() if not run.past_no_return]
            if unstarted:
                await asyncio.wait(unstarted, timeout=5)
            return not self._running
        return True

    async def _work(self, tasks: asyncio.TaskGroup) -> float:
        free = self._max_sessions - len(self._running)
        if self.draining or free <= 0 or not self._trust.lives():
            return self._poll_interval
        claims = await self._claim(min(free, _BATCH))
        claimed_at = asyncio.get_running_loop().time()
        for claim in claims:
            self._begin(tasks, Run(claim=claim, content=self._contents[claim.launch_id], claimed_at=claimed_at))
        # A full batch says that more may be waiting; sessions that were freed meanwhile are claimed together.
        return 0.0 if len(claims) == min(free, _BATCH) and free > _BATCH else self._poll_interval

    def _begin(self, tasks: asyncio.TaskGroup, run: Run) -> None:
        task = tasks.create_task(self._run(run), name=f"site-run-{run.claim.id}")
        self._running[task] = run
        self._idle.clear()
        self._observer.sessions(len(self._running))
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._observer.sessions(len(self._running))
        if not self._running:
            self._idle.set()
        if not self.draining:
            asyncio.get_running_loop().call_later(_GATHER, self.hint.give)

    async def _run(self, run: Run) -> None:
        try:
            await self._runner.run(run)
        except asyncio.CancelledError:
            raise  # given back, or left to the reaper
        except Exception:
            log.exception(
                "site_run_broke", site_id=run.claim.site.id, site_run=run.claim.id, past_no_return=run.past_no_return
            )
            try:
                await self._runner.give_up(run)
            except StoreError:
                # The row stays open and tminus_site_run_overrun_seconds tells; the other sites go on.
                log.exception("site_run_left_open", site_id=run.claim.site.id, site_run=run.claim.id)

    async def _claim(self, capacity: int) -> list[Claim]:
        """Claim, and have the content of every launch that is concerned."""
        try:
            claims = await site_runs.claim_site_runs(self._db, self._instance, capacity=capacity)
        except Refused:
            # Two instances took the same router for two launches at the same moment: the index let one of them win.
            log.info("claim_collided")
            return []
        for launch in {claim.launch_id for claim in claims} - self._contents.keys():
            self._contents[launch] = await launches.launch_content(self._db, launch)
        for launch in list(self._contents)[: max(len(self._contents) - _CONTENTS, 0)]:
            if all(launch != claim.launch_id for claim in claims):
                del self._contents[launch]
        return claims

    async def _watch_trust(self) -> None:
        """The moment trust is lost, abort what has not started."""
        while True:
            left = self._trust.seconds_left()
            if left > 0:
                await asyncio.sleep(min(left, 0.5))
                continue
            self._cancel(lambda run: not run.past_no_return)
            await asyncio.sleep(0.5)

    def _cancel(self, which: Callable[[Run], bool]) -> None:
        for task, run in self._running.items():
            if which(run):
                task.cancel()
