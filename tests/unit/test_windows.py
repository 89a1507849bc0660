"""Windows against an oracle that looks at every minute, around changes of the clock of every kind."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.vixie import MINUTE, transitions
from tests.unit.wall import is_open
from tminus.domain.windows import Span, Weekly, Window, next_opening, parse_weekly

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Antarctica/Troll",
    "America/Havana",
    "America/Santiago",
    "Asia/Kathmandu",
    "Pacific/Kiritimati",
    "Pacific/Niue",
)
CHANGES = {
    zone: list(transitions(zone, datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC))) for zone in ZONES
}
NIGHTS = Weekly(days=frozenset({0, 1, 2, 3}), begins=time(22), ends=time(4))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


moments_of_day = st.times().map(lambda t: t.replace(second=0, microsecond=0))
weekly = st.builds(
    lambda days, begins, ends: Weekly(days=days, begins=begins, ends=ends),
    st.frozensets(st.integers(0, 6), min_size=1),
    moments_of_day,
    moments_of_day,
)


@given(data=st.data(), zone=st.sampled_from(ZONES), rules=st.lists(weekly, min_size=1, max_size=3).map(tuple))
@settings(max_examples=150, deadline=None)
def test_it_opens_and_closes_at_the_minutes_at_which_the_clock_on_the_wall_says_so(
    data: st.DataObject, zone: str, rules: tuple[Weekly, ...]
) -> None:
    around = data.draw(st.sampled_from([*CHANGES[zone], utc("2026-07-01T00:00")]))
    now = around + data.draw(st.integers(-2000, 2000)) * MINUTE
    spans = tuple(
        Span(now + begins * MINUTE, now + (begins + length) * MINUTE)
        for begins, length in data.draw(st.lists(st.tuples(st.integers(-500, 3000), st.integers(1, 600)), max_size=2))
    )
    window = Window(zone=ZoneInfo(zone), weekly=rules, spans=spans)
    opening = next_opening(window, now)
    assert opening is not None
    moment = now
    while moment < min(opening.begins, now + timedelta(days=3)):
        assert not is_open(window, moment), moment
        moment += MINUTE
    moment = max(now, opening.begins)
    while moment < min(opening.ends, now + timedelta(days=3)):
        assert is_open(window, moment), moment
        moment += MINUTE
    if opening.ends < now + timedelta(days=6):
        assert not is_open(window, opening.ends)


@pytest.mark.parametrize(
    ("now", "begins", "ends"),
    [
        ("2026-11-23T12:00", "2026-11-23T21:00", "2026-11-24T03:00"),
        ("2026-11-24T02:59", "2026-11-23T21:00", "2026-11-24T03:00"),
        ("2026-11-24T03:00", "2026-11-24T21:00", "2026-11-25T03:00"),
        # Thursday's night ends on Friday, and Friday's has none.
        ("2026-11-27T03:00", "2026-11-30T21:00", "2026-12-01T03:00"),
        # Not a weekday's, but the nights in which the clock is set make it an hour shorter or longer elsewhere.
        ("2026-03-30T12:00", "2026-03-30T20:00", "2026-03-31T02:00"),
    ],
)
def test_nights_of_the_working_week_in_berlin(now: str, begins: str, ends: str) -> None:
    window = Window(zone=ZoneInfo("Europe/Berlin"), weekly=(NIGHTS,))
    assert next_opening(window, utc(now)) == Span(utc(begins), utc(ends))


def test_an_hour_that_comes_twice_opens_twice_and_one_that_does_not_come_never_opens() -> None:
    window = Window(
        zone=ZoneInfo("Europe/Berlin"), weekly=(Weekly(days=frozenset({6}), begins=time(2), ends=time(2, 30)),)
    )
    assert next_opening(window, utc("2026-10-25T00:00")) == Span(utc("2026-10-25T00:00"), utc("2026-10-25T00:30"))
    assert next_opening(window, utc("2026-10-25T00:30")) == Span(utc("2026-10-25T01:00"), utc("2026-10-25T01:30"))
    assert next_opening(window, utc("2026-03-29T00:00")) == Span(utc("2026-04-05T00:00"), utc("2026-04-05T00:30"))


@pytest.mark.parametrize("now", ["2026-03-22T01:45", "2026-03-28T12:00"])
def test_a_window_whose_only_opening_of_a_week_is_left_out_in_spring_opens_in_the_week_after(now: str) -> None:
    window = Window(zone=ZoneInfo("Europe/Berlin"), weekly=(parse_weekly("sun 02:15-02:45"),))
    assert next_opening(window, utc(now)) == Span(utc("2026-04-05T00:15"), utc("2026-04-05T00:45"))


def test_rules_that_touch_are_one_opening() -> None:
    window = Window(
        zone=ZoneInfo("UTC"),
        weekly=(
            Weekly(days=frozenset({0}), begins=time(20), ends=time(0)),
            Weekly(days=frozenset({1}), begins=time(0), ends=time(6)),
        ),
        spans=(Span(utc("2026-11-24T05:00"), utc("2026-11-24T07:00")),),
    )
    assert next_opening(window, utc("2026-11-23T12:00")) == Span(utc("2026-11-23T20:00"), utc("2026-11-24T07:00"))


def test_a_window_that_is_always_open_is_open_for_more_than_a_week() -> None:
    window = Window(
        zone=ZoneInfo("Asia/Kathmandu"), weekly=(Weekly(days=frozenset(range(7)), begins=time(0), ends=time(0)),)
    )
    now = utc("2026-11-25T12:00")
    opening = next_opening(window, now)
    assert opening is not None
    assert opening.begins <= now
    assert opening.ends > now + timedelta(days=7)


def test_a_window_without_rules_or_with_spans_that_are_over_opens_no_more() -> None:
    zone = ZoneInfo("UTC")
    assert next_opening(Window(zone=zone), utc("2026-11-25T12:00")) is None
    past = Span(utc("2026-11-01T00:00"), utc("2026-11-25T12:00"))
    assert next_opening(Window(zone=zone, spans=(past,)), utc("2026-11-25T12:00")) is None


@pytest.mark.parametrize(
    ("text", "days", "begins", "ends"),
    [
        ("mon-thu 22:00-04:00", {0, 1, 2, 3}, time(22), time(4)),
        ("fri-mon 00:30-01:00", {4, 5, 6, 0}, time(0, 30), time(1)),
        ("sat,sun 00:00-24:00", {5, 6}, time(), time()),
        ("mon,wed-thu,sun 09:05-09:06", {0, 2, 3, 6}, time(9, 5), time(9, 6)),
        ("daily 02:00-05:00", set(range(7)), time(2), time(5)),
        ("tue-tue 02:00-05:00", {1}, time(2), time(5)),
    ],
)
def test_a_weekly_rule_is_read_as_people_write_it(text: str, days: set[int], begins: time, ends: time) -> None:
    assert parse_weekly(text) == Weekly(days=frozenset(days), begins=begins, ends=ends)
