"""How values are written for a person, on a terminal and on a page alike. Whatever text is shown, it is shown as text."""

from __future__ import annotations

import re
from datetime import UTC, datetime

# Controls but line feed and tab, and what turns text around, hides it or ends a line unseen.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e0fff]"
)


def visible(text: str) -> str:
    r"""Return `text` with everything that would not be seen, or would do something, written as \x1b or \u202e.

    An approver must see that a script holds such a thing, so it is neither sent to the terminal nor left out.
    """
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


def hides_something(text: str) -> bool:
    return _UNSEEN.search(text) is not None


def one_line(value: str, length: int) -> str:
    """Return the beginning of a text in one line of at most `length` characters."""
    line = visible(" ".join(value.split()))
    return line if len(line) <= length else line[: length - 1] + "…"


def moment(value: datetime | None) -> str:
    return "" if value is None else value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def seconds(value: float | None) -> str:
    """Return a length as 42 s, 3:07 or 1:02:03."""
    if value is None:
        return ""
    minutes, rest = divmod(round(max(value, 0)), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def countdown(until: float) -> str:
    """Return T-00:04:59 for the seconds until a launch, T+00:00:03 once its time has passed."""
    sign = "-" if until > 0 else "+"
    # The clock shows 00:00:01 during the last second, so that it reads zero when it is zero.
    whole = -int(-until // 1) if until > 0 else int(-until)
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    clock = f"{hours:02}:{rest // 60:02}:{rest % 60:02}"
    return f"T{sign}{f'{days}d ' if days else ''}{clock}"


def plural(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
