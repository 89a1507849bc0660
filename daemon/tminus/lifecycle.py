"""How the process begins, drains and ends."""

from __future__ import annotations

import asyncio
import os
import signal

import structlog

from tminus import __version__
from tminus.assembly import Parts
from tminus.errors import EmbeddedError, StoreError, TminusError
from tminus.kill_points import Point, reach
from tminus.ops import systemd
from tminus.ops.loop_lag import watch_loop_lag
from tminus.ops.memory import keep_giving_back
from tminus.place import Place
from tminus.services.heartbeat import DeclaredDead
from tminus.settings import Settings
from tminus.store import instances, launches
from tminus.store.instances import Reach
from tminus.store.listen import listen
from tminus.web.probes import serve_probes

EXIT_DEAD = 6
"""This instance was declared dead by another; systemd starts a new one."""

_STATUS_PATIENCE = 2.0  # seconds

log = structlog.get_logger()


class _Drained(Exception):
    """The orderly end, thrown through the task group."""


def _first(group: BaseExceptionGroup[BaseException]) -> str:
    """The sentence of the first exception of a group, however deep it lies."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)


class Lifecycle:
    """One life of the daemon, from the registration of its instance to its goodbye."""

    def __init__(self, parts: Parts, settings: Settings, place: Place) -> None:
        self._parts = parts
        self._settings = settings
        self._place = place
        self._clean = True
        self._drained = False
        self._told_to_drain, self._told_to_end = asyncio.Event(), asyncio.Event()

    async def run(self) -> int:
        parts = self._parts
        settings = self._settings
        await instances.register(
            parts.db,
            instance=parts.instance,
            name=settings.instance_name,
            reach=Reach(
                runner_tags=settings.runner_tags,
                credentials=tuple(settings.credentials),
                jump_hosts=tuple(settings.jump_hosts),
                test_sites=settings.test_sites,
            ),
            max_sessions=settings.max_sessions,
            ttl=settings.heartbeat_ttl,
            memory=parts.intents.identity,
            requires_signature=parts.authority is not None,
        )
        await parts.heartbeat.beat()
        await parts.pause.look()
        await parts.launcher.begin()
        async with serve_probes(
            settings.listen_address,
            parts.registry,
            why_not_ready=parts.health.why_not_ready,
            refresh=parts.numbers.refresh,
        ) as bound:
            log.info(
                "ready",
                instance=str(parts.instance),
                version=__version__,
                pid=os.getpid(),
                listening=f"{bound[0]}:{bound[1]}",
            )
            systemd.notify("READY=1", f"STATUS={await self._status()}")
            # The carriers outlive the services: a script that runs is listened to and written down whatever ends us.
            async with asyncio.TaskGroup() as carriers:
                carrying = [
                    carriers.create_task(duty)
                    for duty in (
                        parts.heartbeat.run(),
                        parts.writer.run(),
                        systemd.feed_watchdog(parts.health.goes_round),
                        systemd.tell_status(self._status, every=settings.poll_interval),
                    )
                ]
                try:
                    code = await self._serve()
                finally:
                    parts.health.ending = True
                    systemd.notify("STOPPING=1", f"STATUS={await self._status()}")
                    # After a drain nothing is left to wait for; what ended us during one was waited for long enough; after
                    # anything else, what has started may end.
                    if not self._drained:
                        patience = 0 if parts.health.draining else settings.drain_timeout
                        await self._drain(patience, unstarted_now=True)
                    for task in carrying:
                        task.cancel()
            return code

    async def _serve(self) -> int:
        """Run the services until something ends them, and return the exit code."""
        parts = self._parts
        why: tuple[str, str] | None = None
        try:
            async with asyncio.TaskGroup() as services:
                for duty in (
                    parts.launcher.run(),
                    parts.dispatcher.run(),
                    parts.reaper.run(),
                    parts.janitor.run(),
                    parts.busy_sites.run(),
                    parts.cleanup.run(),
                    parts.rollout.run(),
                    parts.pause.run(),
                    parts.retention.run(),
                    parts.linter.run(),
                    parts.window_planner.run(),
                    parts.sealer.run(),
                    parts.notifier.run(),
                    parts.heartbeat.until_dead(),
                    watch_loop_lag(parts.metrics.loop_was_late),
                    keep_giving_back(),
                    listen(self._place.dsn, self._heard),
                    self._watch_server(),
                    self._stop_on_signal(),
                ):
                    services.create_task(duty)
        except* _Drained:
            self._drained = True
            await self._say_goodbye()
            log.info("stopped", clean=self._clean)
            code = 0 if self._clean else TminusError.exit_code
        except* DeclaredDead as dead:
            why, code = ("declared_dead", _first(dead)), EXIT_DEAD
            await self._disclaim_crashes()
        except* EmbeddedError as ended:
            why, code = ("embedded_database_ended", _first(ended)), EmbeddedError.exit_code
        if why is not None:
            log.error(why[0], error=why[1])
        return code

    async def _watch_server(self) -> None:
        """An embedded server that ends takes this process along; systemd starts both again."""
        if self._place.server is not None:
            await self._place.server.watch()

    def _heard(self) -> None:
        parts = self._parts
        for service in (
            parts.launcher,
            parts.dispatcher,
            parts.rollout,
            parts.janitor,
            parts.busy_sites,
            parts.cleanup,
            parts.pause,
            parts.linter,
            parts.window_planner,
            parts.notifier,
        ):
            service.hint.give()

    async def _status(self) -> str:
        """Say in one line what is going on, for `systemctl status`: launches of all instances, sites of this one."""
        parts = self._parts
        sites = len(parts.holdings.known())
        if reason := parts.health.why_not_ready():
            return f"{reason}, {systemd.running(sites)}"
        try:
            async with asyncio.timeout(_STATUS_PATIENCE):
                outlook = await launches.outlook(parts.db)
        except (StoreError, TimeoutError):
            return f"no answer from the database, {systemd.running(sites)}"
        return systemd.working(launches=outlook.running, sites=sites, next_in=outlook.next_in)

    async def _stop_on_signal(self) -> None:
        """SIGTERM and SIGINT drain: nothing new is claimed, what runs may finish. A second one ends the waiting."""
        parts = self._parts
        loop = asyncio.get_running_loop()

        def signalled() -> None:
            (self._told_to_end if self._told_to_drain.is_set() else self._told_to_drain).set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, signalled)
        await self._told_to_drain.wait()
        log.info("draining", seconds=self._settings.drain_timeout)
        parts.health.draining = True
        reach(Point.DRAINING)
        systemd.notify("STOPPING=1", f"STATUS={await self._status()}")
        parts.launcher.draining = True
        parts.linter.draining = True
        parts.heartbeat.draining = True
        parts.heartbeat.hint.give()
        self._clean = await self._drain(self._settings.drain_timeout)
        raise _Drained

    async def _drain(self, seconds: float, *, unstarted_now: bool = False) -> bool:
        """Wait for what runs, see Dispatcher.drain; no longer than until a second signal."""
        dispatcher = self._parts.dispatcher
        drain = asyncio.create_task(dispatcher.drain(seconds, unstarted_now=unstarted_now))
        impatience = asyncio.create_task(self._told_to_end.wait())
        try:
            await asyncio.wait({drain, impatience}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            impatience.cancel()
            if not drain.done():
                drain.cancel()
        return drain.result() if drain.done() else await dispatcher.drain(0)

    async def _disclaim_crashes(self) -> None:
        """We were taken for dead, and live: no script is to be suspected for it."""
        parts = self._parts
        try:
            await instances.disclaim_crashes(parts.db, parts.instance)
        except StoreError as error:
            log.warning("crashes_not_disclaimed", error=str(error))

    async def _say_goodbye(self) -> None:
        """Close our row, so that what was left is taken over at once and not after a heartbeat's ttl."""
        parts = self._parts
        reach(Point.SAYING_GOODBYE)
        try:
            await instances.stop(parts.db, parts.instance)
        except StoreError as error:
            log.warning("goodbye_not_said", error=str(error))
