"""When things happen: the next occurrence of a cron rule, and how long to wait before a site is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter

_FIRST_RETRY = timedelta(seconds=15)
_LONGEST_RETRY = timedelta(minutes=5)


def next_occurrence(cron: str, timezone: str, after: datetime) -> datetime | None:
    """Return the first occurrence of `cron` (five fields) in `timezone` that is later than `after`, in UTC.

    Vixie's rule for the change of clocks: a fixed time that does not exist runs once, right after the jump; one that
    exists twice runs once, at its first. Rules with a wildcard hour or minute follow real time. croniter alone gives the
    second pass of a repeated hour again, so that pass is left out here. None where the rule names no possible date.
    """
    fixed = not any(field.startswith("*") for field in cron.split()[:2])
    occurrences = croniter(cron, after.astimezone(ZoneInfo(timezone)), ret_type=datetime)
    while True:
        try:
            found: datetime = occurrences.get_next()
        except CroniterBadDateError:
            return None
        if fixed and found.utcoffset() != found.replace(fold=0).utcoffset():
            continue
        utc: datetime = found.astimezone(UTC)
        return utc


def retry_at(*, now: datetime, turn_at: datetime, start_within: timedelta, attempts: int) -> datetime | None:
    """Return when a site that was offline `attempts` times is tried again, or None once its time is over.

    The wait doubles from 15 seconds to 5 minutes; the last try lies at the end of the time that the site has.
    """
    until = turn_at + start_within
    if now >= until:
        return None
    wait = min(_FIRST_RETRY * 2 ** min(attempts - 1, 10), _LONGEST_RETRY)
    # A last try is worth making only if it is not the one that just failed.
    if until - now < timedelta(seconds=1):
        return None
    return min(now + wait, until - timedelta(seconds=0.5))
