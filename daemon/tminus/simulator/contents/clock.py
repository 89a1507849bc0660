"""The date and time of a router as ``/system clock`` reads and sets them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from tminus.simulator.errors import RunError
from tminus.simulator.router import Router

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TIME = re.compile(r"(\d\d?):(\d\d):(\d\d)")
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_OLD = re.compile(r"([a-z]{3})/(\d\d)/(\d{4})")


def ticking(router: Router) -> dict[str, str]:
    """The properties that change by themselves. The zone is UTC whatever its name says."""
    now = router.now()
    return {"date": router.version.date(now), "time": now.strftime("%H:%M:%S"), "gmt-offset": "+00:00"}


def set_clock(router: Router, given: Mapping[str, str]) -> dict[str, str]:
    """Move the clock to the date and time among the arguments; the rest of them is left to keep."""
    now = router.now()
    year, month, day = _date(given["date"]) if "date" in given else (now.year, now.month, now.day)
    hour, minute, second = _time(given["time"]) if "time" in given else (now.hour, now.minute, now.second)
    try:
        moment = datetime(year, month, day, hour, minute, second, now.microsecond, UTC)
    except ValueError:
        raise RunError("invalid value for argument date", argument="date") from None
    router.clock_error += moment - now
    return {name: text for name, text in given.items() if name not in ("date", "time")}


def _date(text: str) -> tuple[int, int, int]:
    if found := _ISO.fullmatch(text):
        return int(found[1]), int(found[2]), int(found[3])
    found = _OLD.fullmatch(text.lower())
    if found is None or found[1] not in _MONTHS:
        raise RunError("invalid value for argument date", argument="date")
    return int(found[3]), _MONTHS.index(found[1]) + 1, int(found[2])


def _time(text: str) -> tuple[int, int, int]:
    found = _TIME.fullmatch(text)
    if found is None or int(found[1]) > 23 or int(found[2]) > 59 or int(found[3]) > 59:
        raise RunError("invalid value for argument time", argument="time")
    return int(found[1]), int(found[2]), int(found[3])
