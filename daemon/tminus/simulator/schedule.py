"""When a schedule fires: a rule of values, without a clock of its own.

Public manual: with an interval of 0 a schedule runs at its start time only; without a start time it begins when it is
added, so that its first run is one interval later. ``startup`` is 3 seconds after the console started, once a boot, and
never in the boot in which it was added; with an interval it does not run at the start itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from .values import parse_duration

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_OLD_DATE = re.compile(r"([a-zA-Z]{3})/(\d{1,2})/(\d{4})")
_NEW_DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})")
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
STARTUP = "startup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """``start`` is None for ``startup``."""

    start: datetime | None
    interval: timedelta

    @classmethod
    def of(cls, values: Mapping[str, str], added: datetime) -> Schedule:
        """From the properties of an item; ``added`` stands in for a start that cannot be read."""
        interval = parse_duration(values.get("interval", "0s"))
        seconds = interval.seconds if interval is not None else 0.0
        time = values.get("start-time", "")
        start = None if time == STARTUP else moment(values.get("start-date", ""), time) or added
        return cls(start=start, interval=timedelta(seconds=max(seconds, 0.0)))

    def next_run(self, after: datetime, *, console_started: datetime, known_at_boot: bool) -> datetime | None:
        """The first moment later than ``after``; None if there is none.

        ``console_started`` is the moment that ``startup`` means, ``known_at_boot`` whether the item was there by then.
        """
        start = console_started if self.start is None else self.start
        if self.interval > timedelta():
            turns = max(math.floor((after - start) / self.interval) + 1, 1 if self.start is None else 0)
            return start + turns * self.interval
        if start <= after or (self.start is None and not known_at_boot):
            return None
        return start


def moment(date: str, time: str) -> datetime | None:
    """A date and a time as RouterOS 6 or 7 writes them; None if they are no such thing."""
    clock = _TIME.fullmatch(time or "00:00:00")
    old, new = _OLD_DATE.fullmatch(date), _NEW_DATE.fullmatch(date)
    try:
        if clock is None:
            return None
        hour, minute, second = int(clock[1]), int(clock[2]), int(clock[3] or 0)
        if old is not None:
            month = _MONTHS.index(old[1].lower()) + 1
            return datetime(int(old[3]), month, int(old[2]), hour, minute, second, tzinfo=UTC)
        if new is not None:
            return datetime(int(new[1]), int(new[2]), int(new[3]), hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return None
