"""Cron against an oracle that looks at every minute, around changes of the clock of every kind."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.vixie import MINUTE, occurrences, transitions
from tminus.domain.timing import next_occurrence

YEARS = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC))
ZONES = {
    "Europe/London": "the usual hour",
    "America/New_York": "the usual hour, west of UTC",
    "Australia/Lord_Howe": "half an hour",
    "Europe/Dublin": "winter time is the daylight saving, and negative",
    "Africa/Casablanca": "negative during Ramadan",
    "Antarctica/Troll": "two hours",
    "America/Havana": "midnight does not exist, or exists twice",
    "Africa/Cairo": "midnight does not exist",
    "America/Santiago": "the day before midnight comes twice",
    "Asia/Kathmandu": "no change, and no whole hour from UTC",
}
TRANSITIONS = [(zone, moment) for zone in ZONES for moment in transitions(zone, *YEARS)]
RULES = [
    "30 1 * * *",
    "0 2 * * *",
    "15 2 * * *",
    "0,30 1,2 * * *",
    "30 0 * * *",
    "59 23 * * *",
    "0 1-3/2 * * *",
    "*/15 * * * *",
    "0 * * * *",
    "*/20 0-3 * * *",
    "* 2 * * *",
    "45 */1 * * sun",
    "10 2 */2 * */3",
    "0 3 1,15 * mon",
]


def run(cron: str, zone: str, start: datetime, end: datetime) -> list[datetime]:
    """What a daemon would do: from each occurrence to the next."""
    found, moment = [], start - MINUTE
    while (moment_or_none := next_occurrence(cron, zone, moment)) is not None and moment_or_none < end:
        assert moment_or_none > moment
        moment = moment_or_none
        found.append(moment)
    return found


def test_the_zones_bring_the_changes_that_they_are_here_for() -> None:
    counts = {zone: sum(name == zone for name, _ in TRANSITIONS) for zone in ZONES}
    assert counts.pop("Asia/Kathmandu") == 0
    assert min(counts.values()) >= 5


@pytest.mark.parametrize("cron", RULES)
def test_around_every_change_of_the_clock_it_is_vixies_rule(cron: str) -> None:
    for zone, moment in TRANSITIONS:
        start, end = moment - timedelta(hours=5), moment + timedelta(hours=5)
        assert run(cron, zone, start, end) == occurrences(cron, zone, start, end), (zone, moment)


@pytest.mark.parametrize("zone", ["Europe/London", "Australia/Lord_Howe", "America/Havana"])
@pytest.mark.parametrize("cron", ["30 1 * * *", "15 0,2 * * *", "*/20 0-3 * * *", "50 * * * *"])
def test_a_restart_at_any_minute_neither_loses_nor_repeats_an_occurrence(zone: str, cron: str) -> None:
    for moment in transitions(zone, YEARS[0], datetime(2027, 1, 1, tzinfo=UTC)):
        start, end = moment - timedelta(hours=3), moment + timedelta(hours=27)
        expected = occurrences(cron, zone, start, end)
        for minutes in range(360):
            after = start + minutes * MINUTE
            following = next(found for found in expected if found > after)
            assert next_occurrence(cron, zone, after) == following, (moment, after)


field = st.sampled_from(["*", "*/7", "0", "30", "5-50/9", "1,2,3"])
hour = st.sampled_from(["*", "*/2", "0", "1", "2", "1-3", "23"])
day = st.sampled_from(["*", "*/2", "1", "25-31", "15,29"])
weekday = st.sampled_from(["*", "*/2", "0", "7", "sun", "mon-fri", "5-7"])


@settings(max_examples=150, deadline=None)
@given(
    cron=st.builds("{} {} {} * {}".format, field, hour, day, weekday),
    at=st.sampled_from(TRANSITIONS),
    offset=st.timedeltas(timedelta(hours=-6), timedelta(hours=6)),
)
def test_from_any_moment_the_next_occurrence_is_later_and_is_the_oracles(
    cron: str, at: tuple[str, datetime], offset: timedelta
) -> None:
    zone, after = at[0], at[1] + offset
    found = next_occurrence(cron, zone, after)
    start = after.replace(second=0, microsecond=0) + MINUTE
    end = start + timedelta(hours=8)
    expected = next(iter(occurrences(cron, zone, start, end)), None)
    assert found is not None
    assert found > after
    assert found.tzinfo is UTC
    if expected is None:
        assert found >= end
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("30 2 * * *", ["2027-03-28T01:00"]),  # 02:30 does not exist: at the jump, 03:00 in summer
        ("0,15,30 2 * * *", ["2027-03-28T01:00"]),  # three that do not exist: once
        ("*/30 2 * * *", []),  # a wildcard: nothing in an hour that does not exist
        ("30 * * * *", ["2027-03-28T00:30", "2027-03-28T01:30"]),  # 01:30, 03:30
    ],
)
def test_in_spring(cron: str, expected: list[str]) -> None:
    start, end = datetime(2027, 3, 28, 0, tzinfo=UTC), datetime(2027, 3, 28, 2, tzinfo=UTC)
    found = [moment.isoformat()[:16] for moment in run(cron, "Europe/Berlin", start, end)]
    assert found == expected


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("30 2 * * *", ["2027-10-31T00:30"]),  # 02:30 exists twice: at its first
        ("30 * * * *", ["2027-10-31T00:30", "2027-10-31T01:30"]),  # both
        ("*/30 2 * * *", ["2027-10-31T00:00", "2027-10-31T00:30", "2027-10-31T01:00", "2027-10-31T01:30"]),
    ],
)
def test_in_autumn(cron: str, expected: list[str]) -> None:
    start, end = datetime(2027, 10, 31, 0, tzinfo=UTC), datetime(2027, 10, 31, 2, tzinfo=UTC)
    found = [moment.isoformat()[:16] for moment in run(cron, "Europe/Berlin", start, end)]
    assert found == expected


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 3 1 * 1", ["2027-02-01", "2027-02-08", "2027-02-15"]),  # both given: either
        ("0 3 */14 * 1", ["2027-02-01", "2027-02-15", "2027-03-01"]),  # one begins with *: both
        ("0 3 5,* * 1", ["2027-02-01", "2027-02-02", "2027-02-03"]),  # a * further back is no such beginning
        ("0 3 5 * 1,*/3", ["2027-02-01", "2027-02-03", "2027-02-05"]),
        ("0 3 10-12 * */5", ["2027-02-12", "2027-03-12", "2027-04-11"]),
        ("0 3 * * 5-7", ["2027-02-05", "2027-02-06", "2027-02-07"]),  # 7 is Sunday
        ("0 3 * * fri-sun", ["2027-02-05", "2027-02-06", "2027-02-07"]),
        ("0 3 29 2 *", ["2028-02-29", "2032-02-29", "2036-02-29"]),
        ("0 3 31 * *", ["2027-03-31", "2027-05-31", "2027-07-31"]),
        ("0 3 31 feb mon", ["2027-02-01", "2027-02-08", "2027-02-15"]),  # an impossible day beside a possible one
    ],
)
def test_days(cron: str, expected: list[str]) -> None:
    found, moment = [], datetime(2027, 1, 31, 12, tzinfo=UTC)
    for _ in expected:
        following = next_occurrence(cron, "UTC", moment)
        assert following is not None
        moment = following
        found.append(f"{moment:%Y-%m-%d}")
    assert found == expected


@pytest.mark.parametrize("cron", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "* * 31 feb *", "0 0 30 2 */2"])
def test_an_impossible_date_is_found_out_quickly(cron: str) -> None:
    begin = time.perf_counter()
    assert next_occurrence(cron, "Europe/Berlin", YEARS[0]) is None
    assert time.perf_counter() - begin < 1.0


@pytest.mark.parametrize(
    "cron", ["", "* * * *", "60 * * * *", "* * * * mond", "a b c d e", "*/0 * * * *", "0 0 1 1 * 0"]
)
def test_a_cron_that_cannot_be_read_is_said_in_one_kind_of_error(cron: str) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        next_occurrence(cron, "UTC", YEARS[0])


@pytest.mark.parametrize("zone", ["Mars/Olympus", "America", "", "../../etc/passwd", "EST5EDT,M3.2.0", "\0"])
def test_an_unknown_time_zone_is_said_in_one_kind_of_error(zone: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        next_occurrence("0 0 * * *", zone, YEARS[0])
