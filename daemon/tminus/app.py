"""The one place where the parts are wired, and where the process begins, drains and ends."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Gauge, GCCollector, PlatformCollector, ProcessCollector

from tminus import __version__
from tminus.device.connection import Connector
from tminus.device.jump_hosts import Gate
from tminus.device.target import Limits
from tminus.errors import ConfigError, EmbeddedError, StoreError, TminusError
from tminus.kill_points import Point, reach
from tminus.ops import systemd
from tminus.ops.health import Health
from tminus.ops.loop_lag import watch_loop_lag
from tminus.ops.metrics import Metrics
from tminus.ops.store_numbers import StoreNumbers
from tminus.place import Place, database_of
from tminus.services.authority import Authority
from tminus.services.contact import Contact
from tminus.services.dispatcher import Dispatcher
from tminus.services.heartbeat import DeclaredDead, Heartbeat, Trust
from tminus.services.holdings import Holdings
from tminus.services.janitor import Janitor
from tminus.services.launcher import Launcher
from tminus.services.linter import Linter
from tminus.services.notifier import Lane, Notifier
from tminus.services.pause import PauseWatch
from tminus.services.reaper import Reaper
from tminus.services.retention import Keep, Retention
from tminus.services.rollout import Rollout
from tminus.services.run_settings import RunSettings
from tminus.services.sealer import Sealer
from tminus.services.site_runner import SiteRunner
from tminus.services.window_planner import WindowPlanner
from tminus.settings import Settings
from tminus.signatures import Signers
from tminus.store import instances, launches
from tminus.store.history import History
from tminus.store.instances import Reach
from tminus.store.intent_log import IntentLog
from tminus.store.listen import listen
from tminus.store.migrate import check_schema_of, ensure_login, migrate
from tminus.store.pool import Database, open_database
from tminus.store.writer import Writer
from tminus.web.probes import serve_probes

EMBEDDED_LOGIN = "tminus_serve"
"""Whom the daemon is in an embedded server: a login that can neither author nor approve."""

_STATUS_PATIENCE = 2.0  # seconds

_OTHER_FILES = 200
"""Open files beside those of the sessions: the database, the listener, the logs."""

EXIT_DEAD = 6
"""This instance was declared dead by another; systemd starts a new one."""

log = structlog.get_logger()


class _Drained(Exception):
    """The orderly end, thrown through the task group."""


def _first(group: BaseExceptionGroup[BaseException]) -> str:
    """The sentence of the first exception of a group, however deep it lies."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)


@asynccontextmanager
async def open_contact(settings: Settings, credentials_base: Path) -> AsyncIterator[Contact]:
    """Yield all that it takes to reach sites from here. Raises ConfigError."""
    credentials = settings.load_credentials(credentials_base)
    jump_hosts = settings.load_jump_hosts(credentials_base, credentials)
    connector = _connector(settings)
    gates = {host.name: Gate(host, connector.dial, silence=connector.limits.silence) for host in jump_hosts}
    try:
        yield Contact(connector, credentials, gates=gates, runners=settings.runners)
    finally:
        for gate in gates.values():
            await gate.close()


async def serve(settings: Settings, *, credentials_base: Path, with_api: bool = False) -> int:
    """Run the daemon until it is told to stop; return the exit code."""
    signers = settings.load_signers(credentials_base)
    lanes = _lanes(settings, credentials_base)
    async with open_contact(settings, credentials_base) as contact:
        _allow_open_files(settings.max_sessions)
        async with database_of(settings, role=EMBEDDED_LOGIN) as place:
            if place.server is not None:
                await migrate(place.server.dsn)
                await ensure_login(place.server.dsn, EMBEDDED_LOGIN, member_of="tminus_daemon")
            await check_schema_of(place.dsn)
            intents = IntentLog(settings.state_dir, uuid.uuid4(), keep_days=settings.intents_days)
            holdings = Holdings()
            history = History(intents, in_hand=holdings.known)
            async with (
                # Each connection is asked first whether this database still knows what we started.
                open_database(
                    place.dsn,
                    size=8,
                    application="tminus",
                    greet=history.compare,
                    idle_within=settings.heartbeat_ttl,  # who is declared dead must not hold its runs for longer
                ) as db,
                # The heartbeat waits for nobody; and who lives on a server has told it what it started.
                open_database(place.dsn, size=1, application="tminus heartbeat", greet=history.compare) as heart,
                AsyncExitStack() as beside,
            ):
                if with_api:
                    from tminus.api import open_api  # noqa: PLC0415 - without it nothing of the web is loaded

                    await beside.enter_async_context(
                        open_api(settings, place, base=credentials_base, beside_daemon=True)
                    )
                return await _Daemon(
                    settings=settings,
                    place=place,
                    db=db,
                    heart=heart,
                    contact=contact,
                    intents=intents,
                    history=history,
                    holdings=holdings,
                    signers=signers,
                    lanes=lanes,
                ).run()


def _lanes(settings: Settings, credentials_base: Path) -> list[Lane]:
    """Return the ways to people that are configured here. Raises ConfigError."""
    mail = settings.load_mail(credentials_base)
    lanes = [] if mail is None else [Lane(kind="mail", address=None, channel=mail)]
    webhooks = settings.load_webhooks(credentials_base)
    return [*lanes, *(Lane(kind="webhook", address=hook.name, channel=hook) for hook in webhooks)]


def check_open_files(max_sessions: int) -> tuple[int, int]:
    """Return how many open files a daemon needs for so many sessions, and how many it may have (the hard limit).

    Raises ConfigError where it may not have so many.
    """
    wanted = max_sessions + _OTHER_FILES
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise ConfigError(
            f"max_sessions = {max_sessions} needs {wanted} open files and the limit here is {hard}; lower it, or raise the"
            " limit (LimitNOFILE in the unit)"
        )
    return wanted, hard


def _allow_open_files(max_sessions: int) -> None:
    """Raise our own limit of open files as far as we may. Raises ConfigError if the sessions do not fit."""
    wanted, hard = check_open_files(max_sessions)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _connector(settings: Settings) -> Connector:
    limits = Limits(
        connect_timeout=settings.connect_timeout,
        login_timeout=settings.login_timeout,
        # RouterOS drops what does not fit into the window, so every cap has to lie well below it.
        window=max(2 * settings.export_cap, 16 * 1024 * 1024),
    )
    return Connector(limits=limits, policy=settings.host_key_policy)


def _authority(settings: Settings, db: Database, signers: Signers | None) -> Authority | None:
    if signers is None:
        return None
    spec = settings.authorization
    return Authority(
        db, signers, distinct=spec.approval == "distinct", longest_launch=timedelta(seconds=spec.longest_launch)
    )


class _Daemon:
    def __init__(
        self,
        *,
        settings: Settings,
        place: Place,
        db: Database,
        heart: Database,
        contact: Contact,
        intents: IntentLog,
        history: History,
        holdings: Holdings,
        signers: Signers | None,
        lanes: list[Lane],
    ) -> None:
        self._settings = settings
        self._place = place
        self._db = db
        self._instance = intents.instance
        self._intents = intents
        self._clean = True
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        loop = asyncio.get_running_loop()
        tasks = Gauge(
            "tminus_tasks", "Tasks of the event loop: what grows without work is a leak", registry=self._registry
        )
        tasks.set_function(lambda: len(asyncio.all_tasks(loop)))
        self._trust = Trust(ttl=settings.heartbeat_ttl, margin=settings.heartbeat_margin)
        authority = self._authority = _authority(settings, db, signers)
        if authority is not None:
            contact.vouches_for = authority.vouches_for
        self._health = Health(
            lives=self._trust.lives,
            trouble=lambda: intents.trouble or (authority.trouble if authority is not None else None),
        )
        self._metrics = Metrics(
            self._registry,
            max_sessions=settings.max_sessions,
            health=self._health,
            heartbeat_age=self._trust.age,
        )
        self._numbers = StoreNumbers(db, failed=lambda: self._metrics.store_failed("metrics"))
        self._registry.register(self._numbers)
        self._writer = Writer(db, self._instance, intents=intents, failed=lambda: self._metrics.store_failed("writer"))
        run = RunSettings(
            stamp_log=settings.stamp_log,
            command_timeout=settings.command_timeout,
            export_timeout=settings.export_timeout,
            resolve_within=settings.resolve_within,
            export_cap=settings.export_cap,
            output_cap=settings.output_cap,
            settle_for=min(20.0, settings.resolve_within),
            test_sites=frozenset(settings.test_sites),
        )
        runner = SiteRunner(
            db=db,
            writer=self._writer,
            instance=self._instance,
            trust=self._trust,
            contact=contact,
            settings=run,
            observer=self._metrics,
            authority=authority,
        )
        self._holdings = holdings
        self._heartbeat = Heartbeat(
            heart, self._instance, self._trust, interval=settings.heartbeat_interval, observer=self._metrics
        )
        self._rollout = Rollout(db, self._trust, poll_interval=settings.poll_interval, observer=self._metrics)
        self._dispatcher = Dispatcher(
            db,
            self._instance,
            self._trust,
            runner,
            holdings,
            contact=contact,
            may_start=lambda: intents.trouble is None,
            max_sessions=settings.max_sessions,
            poll_interval=settings.poll_interval,
            observer=self._metrics,
            ended=self._rollout.hint,
            authority=authority,
        )
        self._launcher = Launcher(
            db,
            self._instance,
            self._trust,
            may_start=lambda: intents.trouble is None,
            poll_interval=settings.poll_interval,
            observer=self._metrics,
            launched=self._dispatcher.hint,
            authority=authority,
        )
        self._reaper = Reaper(
            db,
            self._writer,
            self._instance,
            self._trust,
            contact=contact,
            holdings=holdings,
            interval=settings.reap_interval,
            settings=run,
            observer=self._metrics,
            released=self._dispatcher.hint,
        )
        self._janitor = Janitor(
            db,
            self._instance,
            self._trust,
            contact,
            poll_interval=settings.poll_interval,
            command_timeout=settings.command_timeout,
            stamp_log=settings.stamp_log,
            observer=self._metrics,
        )

        self._pause = PauseWatch(
            db,
            intents,
            history,
            interval=settings.reap_interval,
            tell=self._health.pause,
            recalled=self._reaper.hint,
            observer=self._metrics,
        )
        keep = Keep(
            backups_per_site=settings.backups_per_site,
            backups=timedelta(days=settings.backups_days),
            outputs=timedelta(days=settings.outputs_days),
            events=timedelta(days=settings.events_days),
        )
        self._retention = Retention(db, self._trust, keep, observer=self._metrics)
        self._window_planner = WindowPlanner(db, poll_interval=settings.poll_interval, observer=self._metrics)
        self._sealer = Sealer(
            db, self._trust, settings.state_dir, interval=settings.poll_interval, observer=self._metrics
        )
        self._notifier = Notifier(
            db,
            lanes,
            before=timedelta(seconds=settings.tell_before) if settings.tell_before else None,
            within=timedelta(seconds=settings.tell_within),
            review_url=settings.review_url,
            poll_interval=settings.poll_interval,
            observer=self._metrics,
        )
        self._linter = Linter(db, self._instance, poll_interval=settings.poll_interval, observer=self._metrics)

    async def run(self) -> int:
        settings = self._settings
        await instances.register(
            self._db,
            instance=self._instance,
            name=settings.instance_name,
            reach=Reach(
                runner_tags=settings.runner_tags,
                credentials=tuple(settings.credentials),
                jump_hosts=tuple(settings.jump_hosts),
                test_sites=settings.test_sites,
            ),
            max_sessions=settings.max_sessions,
            ttl=settings.heartbeat_ttl,
            memory=self._intents.identity,
            requires_signature=self._authority is not None,
        )
        await self._heartbeat.beat()
        await self._pause.look()
        async with serve_probes(
            settings.listen_address,
            self._registry,
            why_not_ready=self._health.why_not_ready,
            refresh=self._numbers.refresh,
        ) as bound:
            log.info(
                "ready",
                instance=str(self._instance),
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
                        self._heartbeat.run(),
                        self._writer.run(),
                        systemd.feed_watchdog(self._health.goes_round),
                        systemd.tell_status(self._status, every=settings.poll_interval),
                    )
                ]
                try:
                    code = await self._serve()
                finally:
                    self._health.ending = True
                    systemd.notify("STOPPING=1", f"STATUS={await self._status()}")
                    # After a drain there is nothing left to wait for; after anything else, what has started may end.
                    await self._dispatcher.drain(
                        0 if self._health.draining else settings.drain_timeout, unstarted_now=True
                    )
                    for task in carrying:
                        task.cancel()
            return code

    async def _serve(self) -> int:
        """Run the services until something ends them, and return the exit code."""
        why: tuple[str, str] | None = None
        try:
            async with asyncio.TaskGroup() as services:
                for duty in (
                    self._launcher.run(),
                    self._dispatcher.run(),
                    self._reaper.run(),
                    self._janitor.run(),
                    self._rollout.run(),
                    self._pause.run(),
                    self._retention.run(),
                    self._linter.run(),
                    self._window_planner.run(),
                    self._sealer.run(),
                    self._notifier.run(),
                    self._heartbeat.until_dead(),
                    watch_loop_lag(self._metrics.loop_was_late),
                    listen(self._place.dsn, self._heard),
                    self._watch_server(),
                    self._stop_on_signal(),
                ):
                    services.create_task(duty)
        except* _Drained:
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
        for service in (
            self._launcher,
            self._dispatcher,
            self._rollout,
            self._janitor,
            self._pause,
            self._linter,
            self._window_planner,
            self._notifier,
        ):
            service.hint.give()

    async def _status(self) -> str:
        """Say in one line what is going on, for `systemctl status`: launches of all instances, sites of this one."""
        sites = len(self._holdings.known())
        if reason := self._health.why_not_ready():
            return f"{reason}, {systemd.running(sites)}"
        try:
            async with asyncio.timeout(_STATUS_PATIENCE):
                outlook = await launches.outlook(self._db)
        except (StoreError, TimeoutError):
            return f"no answer from the database, {systemd.running(sites)}"
        return systemd.working(launches=outlook.running, sites=sites, next_in=outlook.next_in)

    async def _stop_on_signal(self) -> None:
        """SIGTERM and SIGINT drain: nothing new is claimed, what runs may finish. A second one ends the waiting."""
        loop = asyncio.get_running_loop()
        first, second = asyncio.Event(), asyncio.Event()

        def signalled() -> None:
            (second if first.is_set() else first).set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, signalled)
        await first.wait()
        log.info("draining", seconds=self._settings.drain_timeout)
        self._health.draining = True
        reach(Point.DRAINING)
        systemd.notify("STOPPING=1", f"STATUS={await self._status()}")
        self._launcher.draining = True
        self._linter.draining = True
        self._heartbeat.draining = True
        self._heartbeat.hint.give()
        drain = asyncio.create_task(self._dispatcher.drain(self._settings.drain_timeout))
        impatience = asyncio.create_task(second.wait())
        await asyncio.wait({drain, impatience}, return_when=asyncio.FIRST_COMPLETED)
        impatience.cancel()
        if drain.done():
            self._clean = drain.result()
        else:
            drain.cancel()
            self._clean = await self._dispatcher.drain(0)
        raise _Drained

    async def _disclaim_crashes(self) -> None:
        """We were taken for dead, and live: no script is to be suspected for it."""
        try:
            await instances.disclaim_crashes(self._db, self._instance)
        except StoreError as error:
            log.warning("crashes_not_disclaimed", error=str(error))

    async def _say_goodbye(self) -> None:
        """Close our row, so that what was left is taken over at once and not after a heartbeat's ttl."""
        reach(Point.SAYING_GOODBYE)
        try:
            await instances.stop(self._db, self._instance)
        except StoreError as error:
            log.warning("goodbye_not_said", error=str(error))
