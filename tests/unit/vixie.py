"""Vixie's rule for cron, as slowly and plainly as it can be written: every minute is looked at. The oracle for timing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
MONTHS = dict(
    zip(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], range(1, 13), strict=True)
)
DAYS = dict(zip(["sun", "mon", "tue", "wed", "thu", "fri", "sat"], range(7), strict=True))


def numbers(text: str, low: int, high: int, names: dict[str, int]) -> frozenset[int]:
    """Read one field: numbers or names, ranges, steps and lists."""

    def number(word: str) -> int:
        return names[word.lower()] if word.lower() in names else int(word)

    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        start = low if span == "*" else number(first)
        end = high if span == "*" else number(last or first)
        if last.lower() == "sun":
            end = 7
        found.update(range(start, end + 1, int(step or 1)))
    return frozenset(found)


@dataclass(frozen=True)
class Rule:
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool
    fixed: bool

    @classmethod
    def read(cls, cron: str) -> Rule:
        minute, hour, day, month, weekday = cron.split()
        return cls(
            minutes=numbers(minute, 0, 59, {}),
            hours=numbers(hour, 0, 23, {}),
            days=numbers(day, 1, 31, {}),
            months=numbers(month, 1, 12, MONTHS),
            weekdays=frozenset(number % 7 for number in numbers(weekday, 0, 7, DAYS)),
            either_day=not day.startswith("*") and not weekday.startswith("*"),
            fixed=not minute.startswith("*") and not hour.startswith("*"),
        )

    def names(self, wall: datetime) -> bool:
        if wall.minute not in self.minutes or wall.hour not in self.hours or wall.month not in self.months:
            return False
        day, weekday = wall.day in self.days, wall.isoweekday() % 7 in self.weekdays
        return day or weekday if self.either_day else day and weekday


@dataclass(frozen=True, slots=True)
class Minute:
    moment: datetime
    wall: datetime
    is_second: bool  # the clock on the wall showed it before
    skipped: tuple[datetime, ...]  # what it jumped over since the minute before


def minutes(timezone: str, start: datetime, end: datetime) -> list[Minute]:
    """Return every minute from `start` until before `end`. Both are whole minutes."""
    zone, found = ZoneInfo(timezone), []
    moment, previous = start, wall_clock(start - MINUTE, zone)
    while moment < end:
        local = moment.astimezone(zone)
        wall = local.replace(tzinfo=None, fold=0)
        skipped, over = [], previous + MINUTE
        while over < wall:
            skipped.append(over)
            over += MINUTE
        is_second = local.utcoffset() != local.replace(fold=0).utcoffset()
        found.append(Minute(moment, wall, is_second, tuple(skipped)))
        previous, moment = wall, moment + MINUTE
    return found


def due(rule: Rule, scanned: Iterable[Minute]) -> list[datetime]:
    """Return when `rule` runs: of a fixed time what was jumped over counts, and its second pass does not."""
    return [
        minute.moment
        for minute in scanned
        if (rule.names(minute.wall) and not (rule.fixed and minute.is_second))
        or (rule.fixed and any(map(rule.names, minute.skipped)))
    ]


def occurrences(cron: str, timezone: str, start: datetime, end: datetime) -> list[datetime]:
    """Return every minute from `start` until before `end` at which `cron` runs in `timezone`. Both are whole minutes."""
    return due(Rule.read(cron), minutes(timezone, start, end))


def wall_clock(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def transitions(timezone: str, start: datetime, end: datetime) -> list[datetime]:
    """Return the changes of the clock of `timezone`, to the hour before which each lies. (No zone sets its clock twice a day.)"""
    zone, day, found = ZoneInfo(timezone), start, []
    following = offset(day, zone)
    while day < end:
        before, following = following, offset(day + 24 * HOUR, zone)
        if before != following:
            hours = [day + number * HOUR for number in range(25)]
            found += [after for at, after in pairwise(hours) if offset(at, zone) != offset(after, zone)]
        day += 24 * HOUR
    return found


def offset(moment: datetime, zone: ZoneInfo) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()
