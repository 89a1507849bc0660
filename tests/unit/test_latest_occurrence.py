"""The latest occurrence of a span, found backwards, is the last of those that are counted through."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tminus.domain.timing import latest_occurrence, next_occurrence

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("cron", ["* * * * *", "*/7 3 * * *", "30 2 29 2 *", "0 0 1 * *", "15 1 * * sun"])
def test_the_latest_occurrence_is_the_last_of_those_that_are_counted_through(cron: str) -> None:
    zone = ZoneInfo("Europe/Berlin")
    for hours in (0.01, 1, 30):
        for until in (datetime(2026, 3, 29, 4, tzinfo=zone), datetime(2026, 10, 25, 2, 30, tzinfo=zone, fold=1)):
            after = until - hours * HOUR
            counted, at = None, next_occurrence(cron, "Europe/Berlin", after)
            while at is not None and at <= until:
                counted, at = at, next_occurrence(cron, "Europe/Berlin", at)
            assert latest_occurrence(cron, "Europe/Berlin", after, until) == counted
