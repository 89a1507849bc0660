"""Prometheus metrics. No label ever names a site or a launch: a fleet of thousands must not become thousands of series."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from tminus import __version__
from tminus.domain.endings import TABLE, Ending, LaunchState, Reason, Step
from tminus.ops.health import Health

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
_LAGS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SERVICES = (
    "launcher",
    "dispatcher",
    "heartbeat",
    "reaper",
    "janitor",
    "busy_sites",
    "cleanup",
    "pause",
    "retention",
    "linter",
    "sealer",
    "notifier",
    "rollout",
    "window_planner",
)
_PUT_OFF = (Reason.OFFLINE, Reason.CONNECTION_LOST, Reason.TIMED_OUT, Reason.BUSY)

# A series with the time at which each counter was made would double the scrape, and nothing here reads it.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the package annotates most of itself


class Metrics:
    """Implements services.observer.Observer, and lets `health` know who goes round.

    Whatever can be counted is there from the start, as 0: an increase from nothing would not be seen as one.
    """

    def __init__(
        self, registry: CollectorRegistry, *, max_sessions: int, health: Health, heartbeat_age: Callable[[], float]
    ) -> None:
        self._health = health
        self._registry = registry
        self._launches = Counter("tminus_launches", "Launches made", registry=registry)
        self._refused = Counter(
            "tminus_launches_refused", "Launches refused: content not as authorized", registry=registry
        )
        self._launches_ended = Counter(
            "tminus_launches_ended",
            "Launches that are over, each counted by one instance",
            ["state"],
            registry=registry,
        )
        self._sites = Counter("tminus_launch_sites", "Sites of the launches made", registry=registry)
        self._lag = Histogram(
            "tminus_dispatch_lag_seconds",
            "From the time a launch was due until the start command was sent to one of its sites",
            buckets=_SECONDS,
            registry=registry,
        )
        self._sessions = Gauge("tminus_sessions", "Site runs under way in this process", registry=registry)
        Gauge("tminus_sessions_max", "The cap of this process", registry=registry).set(max_sessions)
        self._steps = Histogram(
            "tminus_step_seconds", "Duration of the steps of a site run", ["step"], buckets=_SECONDS, registry=registry
        )
        self._ended = Counter(
            "tminus_site_runs",
            "Site runs ended, each counted by one instance; those that no daemon ran are counted when their launch ends",
            ["state", "effect", "reason"],
            registry=registry,
        )
        self._put_off = Counter(
            "tminus_site_runs_put_off", "Site runs given back to be tried again", ["reason"], registry=registry
        )
        self._backup_bytes = Counter(
            "tminus_backup_bytes", "Bytes of complete exports taken before a run", registry=registry
        )
        self._letters = Counter(
            "tminus_letters",
            "Letters to people: sent, put off to be tried again, or failed for good",
            ["result"],
            registry=registry,
        )
        self._store_errors = Counter(
            "tminus_store_errors",
            "Questions that the database did not answer, or refused",
            ["service"],
            registry=registry,
        )
        self._broke = Counter(
            "tminus_service_failures",
            "Rounds of a service that met a bug of the daemon; each is tried again",
            ["service"],
            registry=registry,
        )
        self._ticks = Counter(
            "tminus_service_ticks", "Rounds of a service with the database answering", ["service"], registry=registry
        )
        self._trusted = Gauge(
            "tminus_heartbeat_trusted", "1 while this instance can prove that it lives", registry=registry
        )
        Gauge(
            "tminus_heartbeat_age_seconds",
            "Since the last heartbeat that the database confirmed was sent",
            registry=registry,
        ).set_function(heartbeat_age)
        Gauge(
            "tminus_ready", "1 while this instance can start launches, as /readyz says", registry=registry
        ).set_function(lambda: health.why_not_ready() is None)
        self._loop_lag = Histogram(
            "tminus_event_loop_lag_seconds",
            "How late the event loop woke up, four times a second",
            buckets=_LAGS,
            registry=registry,
        )
        self._reaped = Counter("tminus_instances_reaped", "Instances declared dead by this one", registry=registry)
        self._recovered = Counter(
            "tminus_site_runs_recovered", "Site runs settled for a dead instance", registry=registry
        )
        Gauge("tminus_info", "This program", ["version"], registry=registry).labels(__version__).set(1)
        for (state, effect), reasons in TABLE.items():
            for reason in sorted(str(reason or "") for reason in reasons):
                self._ended.labels(str(state), str(effect), reason)
        for launch_state in LaunchState:
            if launch_state is not LaunchState.RUNNING:
                self._launches_ended.labels(str(launch_state))
        for step in Step:
            self._steps.labels(str(step))
        for why in _PUT_OFF:
            self._put_off.labels(str(why))
        for result in ("sent", "put_off", "failed"):
            self._letters.labels(result)
        for service in _SERVICES:
            self._ticks.labels(service)
            self._broke.labels(service)
        for service in (*_SERVICES, "writer", "metrics"):
            self._store_errors.labels(service)

    def watch_trust(self, *, signatures: Callable[[], bool], audit_trail: Callable[[], bool]) -> None:
        """Export whether signatures can be verified, and whether the audit trail is the one that is known here."""
        Gauge(
            "tminus_signatures_verifiable",
            "1 while this host can verify signatures, or needs none; else nothing is started",
            registry=self._registry,
        ).set_function(signatures)
        Gauge(
            "tminus_audit_trail_unchanged",
            "0 once the audit trail was found not to be the one that this host remembers",
            registry=self._registry,
        ).set_function(audit_trail)

    def launched(self, sites: int) -> None:
        self._launches.inc()
        self._sites.inc(sites)

    def launch_refused(self) -> None:
        self._refused.inc()

    def launch_ended(self, state: LaunchState) -> None:
        self._launches_ended.labels(str(state)).inc()

    def dispatched(self, lag: float) -> None:
        self._lag.observe(lag)

    def sessions(self, running: int) -> None:
        self._sessions.set(running)

    def step_ended(self, step: Step, seconds: float) -> None:
        self._steps.labels(str(step)).observe(seconds)

    def site_ended(self, ending: Ending, count: int = 1) -> None:
        self._ended.labels(str(ending.state), str(ending.effect), str(ending.reason or "")).inc(count)

    def site_put_off(self, reason: str) -> None:
        self._put_off.labels(reason).inc()

    def backup_stored(self, size: int) -> None:
        self._backup_bytes.inc(size)

    def letters(self, result: str, count: int) -> None:
        self._letters.labels(result).inc(count)

    def store_failed(self, service: str) -> None:
        self._health.went_round(service, answered=False)
        self._store_errors.labels(service).inc()

    def broke(self, service: str) -> None:
        self._health.went_round(service, answered=False)
        self._broke.labels(service).inc()

    def ticked(self, service: str) -> None:
        self._health.went_round(service, answered=True)
        self._ticks.labels(service).inc()

    def loop_was_late(self, seconds: float) -> None:
        self._loop_lag.observe(seconds)

    def heartbeat(self, trusted: bool) -> None:
        self._trusted.set(trusted)

    def reaped(self, instances: int, runs: int) -> None:
        self._reaped.inc(instances)
        self._recovered.inc(runs)
