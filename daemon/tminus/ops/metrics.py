"""Prometheus metrics. No label ever names a site or a launch: a fleet of thousands must not become thousands of series."""

from __future__ import annotations

from dataclasses import asdict

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tminus import __version__
from tminus.domain.endings import TABLE, Ending, Step
from tminus.ops.health import Health
from tminus.store.gauges import StoreGauges

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)


class Metrics:
    """Implements services.observer.Observer, and lets `health` know who goes round."""

    def __init__(self, registry: CollectorRegistry, *, max_sessions: int, health: Health) -> None:
        self._health = health
        self._launches = Counter("tminus_launches", "Launches made", registry=registry)
        self._refused = Counter(
            "tminus_launches_refused", "Launches refused: content not as authorized", registry=registry
        )
        self._sites = Counter("tminus_launch_sites", "Sites of the launches made", registry=registry)
        self._lag = Histogram(
            "tminus_dispatch_lag_seconds",
            "From the time a launch was due to the start command sent to one of its sites",
            buckets=_SECONDS,
            registry=registry,
        )
        self._sessions = Gauge("tminus_sessions", "Site runs under way in this process", registry=registry)
        Gauge("tminus_sessions_max", "The cap of this process", registry=registry).set(max_sessions)
        self._steps = Histogram(
            "tminus_step_seconds", "Duration of the steps of a site run", ["step"], buckets=_SECONDS, registry=registry
        )
        self._ended = Counter("tminus_site_runs", "Site runs ended", ["state", "effect", "reason"], registry=registry)
        self._put_off = Counter(
            "tminus_site_runs_put_off", "Site runs given back to be tried again", ["reason"], registry=registry
        )
        self._backup_bytes = Counter(
            "tminus_backup_bytes", "Bytes of complete exports taken before a run", registry=registry
        )
        self._store_errors = Counter("tminus_store_errors", "Database trouble met", ["service"], registry=registry)
        self._ticks = Counter(
            "tminus_service_ticks", "Rounds of a service with the database answering", ["service"], registry=registry
        )
        self._trusted = Gauge(
            "tminus_heartbeat_trusted", "1 while this instance can prove that it lives", registry=registry
        )
        self._reaped = Counter("tminus_instances_reaped", "Instances declared dead by this one", registry=registry)
        self._recovered = Counter(
            "tminus_site_runs_recovered", "Site runs settled for a dead instance", registry=registry
        )
        self._from_store = {
            "running_launches": Gauge("tminus_launches_running", "Launches that are not finished", registry=registry),
            "pending_sites": Gauge("tminus_site_runs_pending", "Site runs that wait", registry=registry),
            "unknown_sites": Gauge(
                "tminus_site_runs_unknown", "Site runs whose outcome a person has to find out", registry=registry
            ),
            "cleanup_debts": Gauge(
                "tminus_cleanup_debts", "Files of ours that still lie on routers", registry=registry
            ),
            "longest_overrun_seconds": Gauge(
                "tminus_site_run_overrun_seconds",
                "How far the oldest running site run is past its time; negative while within",
                registry=registry,
            ),
        }
        Gauge("tminus_info", "This program", ["version"], registry=registry).labels(__version__).set(1)
        for (state, effect), reasons in TABLE.items():
            for reason in reasons:
                self._ended.labels(str(state), str(effect), str(reason or ""))

    def launched(self, sites: int) -> None:
        self._launches.inc()
        self._sites.inc(sites)

    def launch_refused(self) -> None:
        self._refused.inc()

    def dispatched(self, lag: float) -> None:
        self._lag.observe(lag)

    def sessions(self, running: int) -> None:
        self._sessions.set(running)

    def step_ended(self, step: Step, seconds: float) -> None:
        self._steps.labels(str(step)).observe(seconds)

    def site_ended(self, ending: Ending) -> None:
        self._ended.labels(str(ending.state), str(ending.effect), str(ending.reason or "")).inc()

    def site_put_off(self, reason: str) -> None:
        self._put_off.labels(reason).inc()

    def backup_stored(self, size: int) -> None:
        self._backup_bytes.inc(size)

    def store_failed(self, service: str) -> None:
        self._health.went_round(service, answered=False)
        self._store_errors.labels(service).inc()

    def ticked(self, service: str) -> None:
        self._health.went_round(service, answered=True)
        self._ticks.labels(service).inc()

    def heartbeat(self, trusted: bool) -> None:
        self._trusted.set(trusted)

    def reaped(self, instances: int, runs: int) -> None:
        self._reaped.inc(instances)
        self._recovered.inc(runs)

    def from_store(self, gauges: StoreGauges) -> None:
        for name, value in asdict(gauges).items():
            self._from_store[name].set(value)
