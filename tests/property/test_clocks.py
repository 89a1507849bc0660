"""A sample of what scripts/clocks looks at: one change of the clock of each zone, another one each day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.property.clocks import ZONES, Change, changes, check, sample
from tests.unit.vixie import HOUR, offset
from tminus.domain import timing


def test_the_zones_bring_the_changes_that_they_are_here_for() -> None:
    assert len(ZONES) >= 40
    assert len(changes()) > 2000
    shifts = {offset(change.at, zone := ZoneInfo(change.zone)) - offset(change.at - HOUR, zone) for change in changes()}
    assert {timedelta(hours=24), timedelta(hours=3), timedelta(hours=2), HOUR / 2, -HOUR / 2, -2 * HOUR} <= shifts


def test_around_a_change_of_the_clock_of_each_zone_rules_and_windows_are_those_of_the_oracles() -> None:
    chosen = sample(len(ZONES), seed=datetime.now(UTC).toordinal())
    assert {change.zone for change in chosen} == set(ZONES)
    wrong = [problem for change in chosen for problem in check(change)]
    assert wrong == [], "\n".join(wrong[:20])


@pytest.mark.parametrize(
    ("zone", "at"),
    [
        ("Pacific/Apia", "2011-12-30T10:00"),
        ("America/Sao_Paulo", "2018-11-04T03:00"),
        ("America/Sao_Paulo", "2018-02-18T02:00"),
        ("Antarctica/Troll", "2026-03-29T01:00"),
        ("Antarctica/Troll", "2026-10-25T01:00"),
        ("Antarctica/Casey", "2010-03-04T15:00"),
        ("Africa/Casablanca", "2026-02-15T02:00"),
        ("Australia/Lord_Howe", "2026-04-04T15:00"),
    ],
)
def test_the_oddest_changes_are_looked_at_each_time(zone: str, at: str) -> None:
    change = Change(zone, datetime.fromisoformat(at).replace(tzinfo=UTC))
    assert change in changes()
    assert list(check(change)) == []


def test_a_mistake_of_a_minute_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check can fail: a fixed time that is left out is taken a minute too late."""
    right = timing._jump
    monkeypatch.setattr(timing, "_jump", lambda *given: right(*given) + timedelta(minutes=1))
    assert list(check(Change("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC))))
