"""Cron rules and windows against oracles that look at every minute, around every change of the clock in 40 zones and 30 years.

scripts/clocks does all of it and takes minutes; test_clocks.py takes a sample at each run.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from tests.unit.vixie import MINUTE, Minute, Rule, due, minutes, transitions
from tests.unit.wall import is_open
from tminus.domain.timing import latest_occurrence, next_occurrence
from tminus.domain.windows import Weekly, Window, next_opening

YEARS = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))
AROUND = timedelta(hours=6)
ZONES = {
    "Europe/Berlin": "the usual hour",
    "Europe/London": "the usual hour, at UTC",
    "Europe/Dublin": "winter time is the daylight saving, and negative",
    "Europe/Lisbon": "the usual hour",
    "Europe/Moscow": "summer time for ever, then winter time for ever",
    "Europe/Istanbul": "stayed in summer; once changed late because of an election",
    "Europe/Volgograd": "changed its zone twice in three years",
    "Europe/Chisinau": "changes at another hour than its neighbours",
    "Africa/Casablanca": "negative during Ramadan",
    "Africa/El_Aaiun": "as Casablanca",
    "Africa/Cairo": "midnight does not exist; four changes in a year",
    "Africa/Tripoli": "came and went",
    "Africa/Juba": "half a day's work of one change",
    "Africa/Sao_Tome": "an hour forward, and a year later back",
    "America/New_York": "the usual hour, west of UTC",
    "America/St_Johns": "changed at one past midnight, half an hour from its neighbours",
    "America/Havana": "midnight does not exist, or exists twice",
    "America/Sao_Paulo": "midnight does not exist, and 23:00 exists twice",
    "America/Santiago": "the day before midnight comes twice",
    "America/Asuncion": "midnight, and then never again",
    "America/Caracas": "half an hour back, and nine years later forward",
    "America/Argentina/San_Luis": "its own summers",
    "America/Scoresbysund": "moved its zone at the same moment as its clock",
    "America/Nuuk": "on Saturday evenings",
    "America/Metlakatla": "its own mind",
    "Antarctica/Troll": "two hours",
    "Antarctica/Casey": "three hours, and back",
    "Antarctica/Macquarie": "as Hobart, but not in one year",
    "Australia/Lord_Howe": "half an hour",
    "Australia/Adelaide": "half an hour from its neighbours",
    "Asia/Kathmandu": "no change, and no whole hour from UTC",
    "Asia/Tehran": "midnight, by another calendar",
    "Asia/Amman": "midnight, on a Thursday",
    "Asia/Gaza": "several times a year, at one minute past midnight",
    "Asia/Jerusalem": "on a Friday",
    "Asia/Pyongyang": "half an hour back, and forward",
    "Asia/Dhaka": "at 23:00, and back at 24:00",
    "Pacific/Apia": "skipped a whole day",
    "Pacific/Fakaofo": "skipped a whole day, and no other change",
    "Pacific/Chatham": "three quarters of an hour from whole ones",
    "Pacific/Norfolk": "moved its zone, and then began with summers",
}  # fmt: skip
RULES = (
    "30 1 * * *",
    "0 2 * * *",
    "15 2 * * *",
    "0,30 1,2 * * *",
    "0 0 * * *",
    "30 0 * * *",
    "59 23 * * *",
    "45 23,0 * * sun",
    "0 1-3/2 * * *",
    "*/15 * * * *",
    "0 * * * *",
    "*/20 0-3 * * *",
    "* 2 * * *",
    "*/20 1 * * *",
    "*/10 23 * * *",
    "45 */1 * * sun",
    "10 2 */2 * */3",
    "0 3 1,15 * mon",
    "0 12 30 12 *",
)
_ALL_DAYS = frozenset(range(7))
WINDOWS = (
    (Weekly(days=_ALL_DAYS, begins=time(2), ends=time(3)),),
    (Weekly(days=_ALL_DAYS, begins=time(0), ends=time(1)), Weekly(days=_ALL_DAYS, begins=time(23, 30), ends=time())),
    (Weekly(days=frozenset({4, 5, 6}), begins=time(22), ends=time(2, 15)),),
    (Weekly(days=frozenset({5, 6}), begins=time(), ends=time()),),
)


@dataclass(frozen=True, slots=True)
class Change:
    """A moment around which to look: to the hour before which the clock of the zone is set."""

    zone: str
    at: datetime


@cache
def changes() -> tuple[Change, ...]:
    """Return all changes of the clock, and for each zone a moment of every other year at which there is none, perhaps."""
    found = [Change(zone, at) for zone in ZONES for at in transitions(zone, *YEARS)]
    quiet = [Change(zone, datetime(year, 12, 31, 23, tzinfo=UTC)) for zone in ZONES for year in range(2000, 2030, 2)]
    return (*found, *quiet)


def check(change: Change, rules: Sequence[str] = RULES) -> Iterator[str]:
    """Yield what differs from the oracles around one change."""
    start, end = change.at - AROUND, change.at + AROUND
    scanned = minutes(change.zone, start, end)
    for cron in rules:
        expected = due(Rule.read(cron), scanned)
        found = list(_followed(cron, change.zone, start, end))
        if found != expected:
            yield f"{change.zone} {change.at:%Y-%m-%dT%H:%MZ} '{cron}': {_texts(found)} and not {_texts(expected)}"
        latest = latest_occurrence(cron, change.zone, start - MINUTE, end - MINUTE)
        if latest != (expected[-1] if expected else None):
            yield f"{change.zone} {change.at:%Y-%m-%dT%H:%MZ} '{cron}': the latest is {latest}"
    for weekly in WINDOWS:
        yield from _check_window(Window(zone=ZoneInfo(change.zone), weekly=weekly), change, scanned)


def _followed(cron: str, zone: str, start: datetime, end: datetime) -> Iterator[datetime]:
    """What a daemon would do: from each occurrence to the next."""
    moment = next_occurrence(cron, zone, start - MINUTE)
    while moment is not None and moment < end:
        yield moment
        following = next_occurrence(cron, zone, moment)
        assert following is None or following > moment, (cron, zone, moment)
        moment = following


def _check_window(window: Window, change: Change, scanned: Sequence[Minute]) -> Iterator[str]:
    """Follow the openings from one end to the next, as the planner does, and compare with each minute."""
    opening = next_opening(window, scanned[0].moment)
    for minute in scanned:
        if opening is not None and minute.moment >= opening.ends:
            opening = next_opening(window, minute.moment)
        shown = opening is not None and opening.begins <= minute.moment
        if shown != is_open(window, minute.moment):
            yield f"{change.zone} {minute.moment:%Y-%m-%dT%H:%MZ} {window.weekly}: open is {shown}"
            return


def _texts(moments: Sequence[datetime]) -> str:
    return " ".join(f"{moment:%dT%H:%M}" for moment in moments[:20]) or "nothing"


def sample(count: int, seed: int) -> list[Change]:
    """Return some changes of every zone, `count` in all or a few more."""
    chance = random.Random(seed)
    by_zone = {zone: [change for change in changes() if change.zone == zone] for zone in ZONES}
    each = max(1, count // len(by_zone))
    return [change for of in by_zone.values() for change in chance.sample(of, min(each, len(of)))]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/clocks",
        description="Compare cron rules and windows with every minute around every change of a clock.",
    )
    parser.add_argument("--zone", metavar="PART", default="", help="zones whose name contains this")
    options = parser.parse_args()
    wrong = looked = 0
    for zone, why in ZONES.items():
        if options.zone.lower() not in zone.lower():
            continue
        of = [change for change in changes() if change.zone == zone]
        found = [problem for change in of for problem in check(change)]
        print(f"{zone:30} {len(of):4} moments, {len(found)} differences  ({why})", flush=True)
        print("".join(f"    {problem}\n" for problem in found[:10]), end="")
        wrong, looked = wrong + len(found), looked + len(of)
    print(f"{looked} moments, each with {len(RULES)} rules and {len(WINDOWS)} windows: {wrong} differences")
    return 1 if wrong or not looked else 0


if __name__ == "__main__":
    sys.exit(main())
