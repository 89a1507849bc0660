"""The one place where the duties of the daemon are wired, with each other and with what `app` has opened."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from prometheus_client import CollectorRegistry, Gauge, GCCollector, PlatformCollector, ProcessCollector

from tminus.ops.health import Health
from tminus.ops.metrics import Metrics
from tminus.ops.store_numbers import StoreNumbers
from tminus.services.authority import Authority
from tminus.services.busy_sites import BusySites
from tminus.services.cleanup import Cleanup
from tminus.services.contact import Contact
from tminus.services.dispatcher import Dispatcher
from tminus.services.heartbeat import Heartbeat, Trust
from tminus.services.holdings import Holdings
from tminus.services.janitor import Janitor
from tminus.services.launcher import Launcher
from tminus.services.linter import Linter
from tminus.services.notifier import Lane, Notifier
from tminus.services.pause import PauseWatch
from tminus.services.reaper import Reaper
from tminus.services.resumption import HeldHost
from tminus.services.retention import Keep, Retention
from tminus.services.rollout import Rollout
from tminus.services.run_settings import RunSettings
from tminus.services.sealer import Sealer
from tminus.services.site_runner import SiteRunner
from tminus.services.window_planner import WindowPlanner
from tminus.settings import Settings
from tminus.signatures import Signers
from tminus.store.act_log import ActLog
from tminus.store.audit import TrailMemory
from tminus.store.history import History
from tminus.store.hold_log import HoldLog
from tminus.store.intent_log import IntentLog
from tminus.store.pool import Database
from tminus.store.writer import Writer


class Parts:
    """The services of one daemon and what they share, each made once and handed to those that need it."""

    def __init__(
        self,
        *,
        settings: Settings,
        db: Database,
        writing: Database,
        heart: Database,
        contact: Contact,
        intents: IntentLog,
        history: History,
        trail: TrailMemory,
        holds: HoldLog | None,
        holdings: Holdings,
        signers: Signers | None,
        lanes: list[Lane],
    ) -> None:
        self.db = db
        self.instance = intents.instance
        self.intents = intents
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        loop = asyncio.get_running_loop()
        tasks = Gauge(
            "tminus_tasks", "Tasks of the event loop: what grows without work is a leak", registry=self.registry
        )
        tasks.set_function(lambda: len(asyncio.all_tasks(loop)))
        self.trust = Trust(ttl=settings.heartbeat_ttl, margin=settings.heartbeat_margin)
        authority = self.authority = _authority(settings, db, signers, intents)
        if authority is not None:
            contact.vouches_for = authority.vouches_for
        self.health = Health(
            lives=self.trust.lives,
            trouble=lambda: intents.trouble or (authority.trouble if authority is not None else None),
        )
        self.metrics = Metrics(
            self.registry,
            max_sessions=settings.max_sessions,
            health=self.health,
            heartbeat_age=self.trust.age,
        )
        self.numbers = StoreNumbers(db, failed=lambda: self.metrics.store_failed("metrics"))
        self.registry.register(self.numbers)
        self.writer = Writer(
            writing, self.instance, intents=intents, failed=lambda: self.metrics.store_failed("writer")
        )
        run = RunSettings(
            stamp_log=settings.stamp_log,
            command_timeout=settings.command_timeout,
            export_timeout=settings.export_timeout,
            resolve_within=settings.resolve_within,
            export_cap=settings.export_cap,
            output_cap=settings.output_cap,
            settle_for=min(20.0, settings.resolve_within),
            test_sites=frozenset(settings.test_sites),
            allow_sensitive_exports=settings.allow_sensitive_exports,
        )
        runner = SiteRunner(
            db=db,
            writer=self.writer,
            instance=self.instance,
            trust=self.trust,
            contact=contact,
            settings=run,
            observer=self.metrics,
            refused_logins=settings.max_refused_logins,
            authority=authority,
        )
        self.holdings = holdings
        self.heartbeat = Heartbeat(
            heart, self.instance, self.trust, interval=settings.heartbeat_interval, observer=self.metrics
        )
        self.rollout = Rollout(db, self.trust, poll_interval=settings.poll_interval, observer=self.metrics)
        self.janitor = Janitor(db, self.trust, poll_interval=settings.poll_interval, observer=self.metrics)
        self.busy_sites = BusySites(
            db,
            self.instance,
            self.trust,
            contact,
            poll_interval=settings.poll_interval,
            command_timeout=settings.command_timeout,
            stamp_log=settings.stamp_log,
            observer=self.metrics,
        )
        self.cleanup = Cleanup(
            db,
            self.instance,
            self.trust,
            contact,
            poll_interval=settings.poll_interval,
            command_timeout=settings.command_timeout,
            observer=self.metrics,
        )
        self.dispatcher = Dispatcher(
            db,
            self.instance,
            self.trust,
            runner,
            holdings,
            contact=contact,
            may_start=intents.may_start,
            max_sessions=settings.max_sessions,
            poll_interval=settings.poll_interval,
            observer=self.metrics,
            ended=self.rollout.hint,
            stopped=self.janitor.hint,
            authority=authority,
        )
        self.launcher = Launcher(
            db,
            self.instance,
            self.trust,
            may_start=intents.may_start,
            poll_interval=settings.poll_interval,
            observer=self.metrics,
            launched=self.dispatcher.hint,
            authority=authority,
        )
        self.reaper = Reaper(
            db,
            self.writer,
            self.instance,
            self.trust,
            contact=contact,
            holdings=holdings,
            interval=settings.reap_interval,
            settings=run,
            observer=self.metrics,
            released=self.dispatcher.hint,
            authority=authority,
        )

        self.pause = PauseWatch(
            db,
            intents,
            history,
            interval=settings.reap_interval,
            tell=self.health.pause,
            recalled=self.reaper.hint,
            observer=self.metrics,
            host=None
            if signers is None or holds is None
            else HeldHost(
                db,
                holds,
                signers,
                instance=self.instance,
                resumed=self.dispatcher.hint,
            ),
        )
        keep = Keep(
            backups_per_site=settings.backups_per_site,
            backups=timedelta(days=settings.backups_days),
            outputs=timedelta(days=settings.outputs_days),
            events=timedelta(days=settings.events_days),
        )
        self.retention = Retention(db, self.trust, keep, observer=self.metrics)
        self.window_planner = WindowPlanner(db, poll_interval=settings.poll_interval, observer=self.metrics)
        self.sealer = Sealer(
            db, self.trust, trail, instance=self.instance, interval=settings.poll_interval, observer=self.metrics
        )
        self.metrics.watch_trust(
            signatures=lambda: authority is None or authority.trouble is None,
            audit_trail=lambda: not self.sealer.changed,
        )
        self.notifier = Notifier(
            db,
            lanes,
            before=timedelta(seconds=settings.tell_before) if settings.tell_before else None,
            within=timedelta(seconds=settings.tell_within),
            review_url=settings.review_url,
            poll_interval=settings.poll_interval,
            observer=self.metrics,
        )
        self.linter = Linter(db, self.instance, poll_interval=settings.poll_interval, observer=self.metrics)


def _authority(settings: Settings, db: Database, signers: Signers | None, intents: IntentLog) -> Authority | None:
    if signers is None:
        return None
    spec = settings.authorization
    return Authority(
        db,
        signers,
        distinct=spec.approval == "distinct",
        longest_launch=timedelta(seconds=spec.longest_launch),
        acts=ActLog(settings.state_dir, keep=settings.remembered),
        is_spent=intents.is_spent,
        remembered=settings.remembered,
    )
