"""When things happen: the next occurrence of a cron rule, and how long to wait before a site is tried again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import CroniterBadCronError, CroniterBadDateError, croniter

_MINUTE = timedelta(minutes=1)
_LONGEST_SHIFT = timedelta(hours=3)  # no zone sets its clocks back or forward by more
_FIRST_RETRY = timedelta(seconds=15)
_LONGEST_RETRY = timedelta(minutes=5)


def next_occurrence(cron: str, timezone: str, after: datetime) -> datetime | None:
    """Return the first occurrence of `cron` (five fields) in `timezone` that is later than `after`, in UTC.

    Vixie's rules. Change of clocks: a fixed time that does not exist runs once, right after the jump; one that exists
    twice runs once, at its first. A rule with a wildcard hour or minute (one that begins with `*`) follows the clock on
    the wall, minute by minute. Days: where both day fields are given, either is enough; where one begins with `*`, both
    must fit. None where the rule names no date of the next 50 years.

    Raises ValueError, with a text for a person, for a cron that cannot be read and for an unknown time zone.

    croniter is given the time on the wall alone and never a zone: across a change of clocks its occurrences differ from
    these rules.
    """
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: the name of a folder, such as "America"
        raise ValueError(f"there is no time zone '{timezone}' here") from error
    start = after.astimezone(zone)
    wall = start.replace(tzinfo=None, fold=0, second=0, microsecond=0)
    fixed = not any(field.startswith("*") for field in cron.split()[:2])
    found = _first_later(after, _matches(cron, wall), zone, fixed=fixed)
    back = _offset(start) - _offset((after + _LONGEST_SHIFT).astimezone(zone))
    if not fixed and back > timedelta(0):
        # The clock is about to be set back: what lies before `wall` on it comes a second time, before `found` perhaps.
        again = _first_later(after, _matches(cron, wall - back, until=wall), zone, fixed=fixed)
        found = min((moment for moment in (found, again) if moment is not None), default=None)
    return found


def latest_occurrence(cron: str, timezone: str, after: datetime, until: datetime) -> datetime | None:
    """Return the last occurrence that is later than `after` and not later than `until`, or None. Raises ValueError."""
    reach = _MINUTE
    while True:  # it is looked for backwards, since there may be very many
        start = max(after, until - reach)
        found = next_occurrence(cron, timezone, start)
        if found is not None and found <= until:
            break
        if start <= after:
            return None
        reach *= 4
    while (following := next_occurrence(cron, timezone, found)) is not None and following <= until:
        found = following
    return found


def _matches(cron: str, wall: datetime, *, until: datetime | None = None) -> Iterator[datetime]:
    """Yield the times on the wall later than `wall`, and not later than `until`, that `cron` names."""
    fields = cron.split()
    if len(fields) != 5:  # croniter takes more: seconds and years, elsewhere than others have them
        raise ValueError(f"cron '{cron}' cannot be read: it has {len(fields)} fields, not five")
    for index, everything in ((2, "1-31"), (4, "0-6")):
        if not fields[index].startswith("*"):  # croniter would take any * in it for one at its beginning
            fields[index] = fields[index].replace("*", everything)
    try:
        # implement_cron_bug: the rule for the two fields of days.
        times = croniter(" ".join(fields), wall, ret_type=datetime, implement_cron_bug=True)
    except CroniterBadCronError as error:
        raise ValueError(f"cron '{cron}' cannot be read: {error}") from error
    while True:
        try:
            found: datetime = times.get_next()
        except CroniterBadDateError:
            return
        if until is not None and found > until:
            return
        yield found


def _first_later(after: datetime, walls: Iterator[datetime], zone: ZoneInfo, *, fixed: bool) -> datetime | None:
    moments = (moment for wall in walls for moment in _moments(wall, zone, fixed=fixed))
    return next((moment for moment in moments if moment > after), None)


def _moments(wall: datetime, zone: ZoneInfo, *, fixed: bool) -> tuple[datetime, ...]:
    """Return when a rule runs that names the time `wall`, which may exist once, twice or not at all in `zone`."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first == second:
        return (first,)
    if first < second:
        return (first,) if fixed else (first, second)
    return (_jump(second, first, zone),) if fixed else ()


def _jump(before: datetime, until: datetime, zone: ZoneInfo) -> datetime:
    """Return the first minute with the offset of `until`, which is another than that of `before`."""
    while until - before > _MINUTE:
        middle = before + (until - before) // _MINUTE // 2 * _MINUTE
        if _offset(middle.astimezone(zone)) == _offset(before.astimezone(zone)):
            before = middle
        else:
            until = middle
    return until


def _offset(moment: datetime) -> timedelta:
    offset = moment.utcoffset()
    assert offset is not None  # noqa: S101 - no naive datetime comes here
    return offset


def retry_at(*, now: datetime, turn_at: datetime, start_within: timedelta, attempts: int) -> datetime | None:
    """Return when a site that was offline `attempts` times is tried again, or None once its time is over.

    The wait doubles from 15 seconds to 5 minutes; the last try lies at the end of the time that the site has.
    """
    until = turn_at + start_within
    # A last try is worth making only if it is not the one that just failed.
    if until - now < timedelta(seconds=1):
        return None
    wait = min(_FIRST_RETRY * (1 << min(max(attempts - 1, 0), 10)), _LONGEST_RETRY)
    return min(now + wait, until - timedelta(seconds=0.5))
