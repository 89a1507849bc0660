"""How long an offline site is tried: within its time, and its last moment is used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.domain.timing import retry_at

TURN = datetime(2027, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 15), (2, 30), (3, 60), (4, 120), (5, 240), (6, 300), (9, 300)])
def test_the_wait_doubles_from_15_seconds_to_5_minutes(attempts: int, seconds: int) -> None:
    again = retry_at(now=TURN, turn_at=TURN, start_within=HOUR, attempts=attempts)
    assert again == TURN + timedelta(seconds=seconds)


def test_the_last_try_lies_at_the_end_of_the_time_of_the_site() -> None:
    now = TURN + timedelta(minutes=58)
    assert retry_at(now=now, turn_at=TURN, start_within=HOUR, attempts=7) == TURN + HOUR - timedelta(seconds=0.5)


@pytest.mark.parametrize("late", [timedelta(0), timedelta(seconds=-0.9), timedelta(microseconds=1), timedelta(days=1)])
def test_there_is_no_try_when_the_time_is_over_or_almost(late: timedelta) -> None:
    assert retry_at(now=TURN + HOUR + late, turn_at=TURN, start_within=HOUR, attempts=1) is None


@given(
    late=st.timedeltas(timedelta(0), timedelta(days=8)),
    within=st.timedeltas(timedelta(seconds=1), timedelta(days=7)),
    attempts=st.integers(0, 10_000),
)
def test_a_next_try_always_comes_later_and_within_the_time_of_the_site(
    late: timedelta, within: timedelta, attempts: int
) -> None:
    now = TURN + late
    again = retry_at(now=now, turn_at=TURN, start_within=within, attempts=attempts)
    if again is None:
        assert TURN + within - now < timedelta(seconds=1)
    else:
        assert now < again < TURN + within
        assert again - now <= timedelta(minutes=5)


@given(st.timedeltas(timedelta(seconds=1), timedelta(days=7)))
def test_trying_ends(within: timedelta) -> None:
    now, tries = TURN, 0
    while (again := retry_at(now=now, turn_at=TURN, start_within=within, attempts=tries + 1)) is not None:
        now, tries = again, tries + 1
    assert tries <= within // timedelta(minutes=5) + 7
    assert now >= TURN + within - timedelta(seconds=1)
