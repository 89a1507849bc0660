"""Windows: the times at which a launch may start sites, by the clock on the wall of a zone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_SECOND = timedelta(seconds=1)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LOOK_AHEAD = 16  # days: two weeks, as the only hour of a week may be left out in spring, and a day on both sides


@dataclass(frozen=True, slots=True, kw_only=True)
class Weekly:
    """Open on these weekdays (Monday is 0) from `begins` until `ends`, of the next day where that is not later.

    Whether it is open at an instant is said by what the clock on the wall shows then: an hour that comes twice in autumn
    counts twice, one that is left out in spring does not come.
    """

    days: frozenset[int]
    begins: time
    ends: time


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """From `begins` until just before `ends`."""

    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Open while any of its rules says so. One without rules is never open."""

    zone: ZoneInfo
    weekly: tuple[Weekly, ...] = ()
    spans: tuple[Span, ...] = ()


def parse_weekly(text: str) -> Weekly:
    """Read a rule such as `mon-thu 22:00-04:00`, `sat,sun 00:00-24:00` or `daily 02:00-05:00`.

    A range of days may go over the end of the week (`fri-mon`). Raises ValueError for what tminus.is_weekly_rule refuses.
    """
    match = re.fullmatch(r"(\S+) ([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2})", text, re.ASCII)
    if match is None:
        raise ValueError(f"the weekly rule {text!r} is not understood")
    named, *digits = match.groups()
    hour, minute, end_hour, end_minute = map(int, digits)
    days = frozenset(range(7)) if named == "daily" else frozenset(_days(named))
    # Until 24:00 is until 00:00 of the next day.
    ends = time() if (end_hour, end_minute) == (24, 0) else time(end_hour, end_minute)
    return Weekly(days=days, begins=time(hour, minute), ends=ends)


def _days(named: str) -> Iterator[int]:
    for part in named.split(","):
        names = part.split("-")
        if len(names) > 2 or not set(names) <= set(_DAYS):
            raise ValueError(f"{part!r} names no days of the week")
        first, last = _DAYS.index(names[0]), _DAYS.index(names[-1])
        yield from ((first + offset) % 7 for offset in range((last - first) % 7 + 1))


def next_opening(window: Window, now: datetime) -> Span | None:
    """Return the time for which `window` is open that goes on at `now` or begins after it, or None if it opens no more.

    Openings that touch are one. Where a window is open all week, the end is that of what was looked at: two weeks ahead.
    """
    merged: list[Span] = []
    for span in sorted(_openings(window, now)):
        if merged and span.begins <= merged[-1].ends:
            merged[-1] = Span(merged[-1].begins, max(merged[-1].ends, span.ends))
        else:
            merged.append(span)
    found = next((span for span in merged if span.ends > now), None)
    return None if found is None else Span(found.begins.astimezone(UTC), found.ends.astimezone(UTC))


def _openings(window: Window, now: datetime) -> Iterator[Span]:
    yield from (span for span in window.spans if span.begins < span.ends)
    first = now.astimezone(window.zone).date() - _DAY
    for offset in range(_LOOK_AHEAD):
        day = first + offset * _DAY
        for rule in window.weekly:
            if day.weekday() in rule.days:
                yield from _on_day(day, rule.begins, rule.ends if rule.ends > rule.begins else time.max, window.zone)
            if rule.ends <= rule.begins and (day - _DAY).weekday() in rule.days:
                yield from _on_day(day, time.min, rule.ends, window.zone)


def _on_day(day: date, begins: time, ends: time, zone: ZoneInfo) -> Iterator[Span]:
    """Yield when the clock on the wall shows a time of `day` from `begins` until `ends` (`time.max`: its end)."""
    wall_begins = datetime.combine(day, begins)
    wall_ends = datetime.combine(day + _DAY, time.min) if ends == time.max else datetime.combine(day, ends)
    for piece, offset in _pieces(day, zone):
        span = Span(
            max(piece.begins, (wall_begins - offset).replace(tzinfo=UTC)),
            min(piece.ends, (wall_ends - offset).replace(tzinfo=UTC)),
        )
        if span.begins < span.ends:
            yield span


def _pieces(day: date, zone: ZoneInfo) -> Iterator[tuple[Span, timedelta]]:
    """Yield the time around `day`, cut where the clock is set, each piece with its distance from UTC."""
    # 15 hours: no zone is further from UTC, or was.
    moment = datetime.combine(day, time.min, UTC) - 15 * _HOUR
    end = datetime.combine(day + _DAY, time.min, UTC) + 15 * _HOUR
    begins, offset = moment, _offset(moment, zone)
    while moment < end:
        following = moment + _HOUR
        if _offset(following, zone) != offset:
            change = _change(moment, following, zone)
            yield Span(begins, change), offset
            begins, offset = change, _offset(change, zone)
        moment = following
    yield Span(begins, end), offset


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Return the first second with the distance from UTC that `after` has."""
    target = _offset(after, zone)
    while after - before > _SECOND:
        middle = before + (after - before) // _SECOND // 2 * _SECOND
        if _offset(middle, zone) == target:
            after = middle
        else:
            before = middle
    return after


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None  # noqa: S101 - it was given a zone
    return offset
