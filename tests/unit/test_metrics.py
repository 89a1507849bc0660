"""Whatever can be counted is there from the start: an increase from nothing would not be seen as one."""

from __future__ import annotations

import re
from importlib.resources import files

from prometheus_client import CollectorRegistry, generate_latest

from tminus.domain.endings import Reason
from tminus.ops.health import Health
from tminus.ops.metrics import Metrics


def _metrics() -> str:
    registry = CollectorRegistry()
    Metrics(registry, max_sessions=1, health=Health(lives=lambda: True), heartbeat_age=lambda: 0.0)
    return generate_latest(registry).decode()


def _in_services(pattern: str) -> set[str]:
    """What a pattern finds in the sources of the services."""
    texts = [entry.read_text() for entry in files("tminus.services").iterdir() if entry.name.endswith(".py")]
    return {found for text in texts for found in re.findall(pattern, text)}


def test_each_service_that_goes_round_is_counted_from_the_start() -> None:
    names = _in_services(r'await repeat\("(\w+)"|create_task\(repeat\("(\w+)"')
    services = {name for pair in names for name in pair if name}
    assert len(services) > 10
    text = _metrics()
    for counter in ("service_ticks", "service_failures", "store_errors"):
        there = set(re.findall(rf'tminus_{counter}_total{{service="(\w+)"}}', text))
        assert services <= there, counter


def test_each_reason_to_put_a_site_off_is_counted_from_the_start() -> None:
    reasons = {str(Reason[name]) for name in _in_services(r"TryLater\(\s*Reason\.(\w+)")}
    assert str(Reason.BUSY) in reasons
    assert reasons <= set(re.findall(r'tminus_site_runs_put_off_total{reason="(\w+)"}', _metrics()))
