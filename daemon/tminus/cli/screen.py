"""How things look on a terminal and in a pipe. Whatever text is shown, it is shown as text."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

# Controls but line feed and tab, and what turns text around, hides it or ends a line unseen.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e0fff]"
)
_PIPE_WIDTH = 250
STYLES = {
    "completed": "green",
    "failed": "red",
    "unknown": "bold magenta",
    "skipped": "yellow",
    "running": "cyan",
    "pending": "dim",
    "scheduled": "green",
    "unauthorized": "yellow",
    "launched": "cyan",
    "finished": "green",
    "missed": "red",
    "cancelled": "yellow",
    "halted": "red",
}


def visible(text: str) -> str:
    r"""Return `text` with everything that would not be seen, or would do something, written as \x1b or \u202e.

    An approver must see that a script holds such a thing, so it is neither sent to the terminal nor left out.
    """
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


def hides_something(text: str) -> bool:
    return _UNSEEN.search(text) is not None


def console(*, stderr: bool = False) -> Console:
    """Return a console on stdout or stderr that takes no markup. In a pipe it has no escape codes, and room for long lines."""
    from rich.console import Console

    width = None if (sys.stderr if stderr else sys.stdout).isatty() or os.environ.get("COLUMNS") else _PIPE_WIDTH
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False, width=width)


def text(value: object, style: str = "") -> Text:
    """Return a value as text of a table; nothing for None."""
    from rich.text import Text

    return Text("" if value is None else visible(str(value)), style=style)


def state(value: str) -> Text:
    return text(value, STYLES.get(value, ""))


def no_daemon() -> Text:
    """Return what a person has to know who waits for a launch while no instance is alive."""
    return text("No daemon is alive: nothing is started until 'tminus serve' runs.", "bold red")


def coloured_diff(diff: str) -> Text:
    from rich.text import Text

    whole = Text()
    for line in visible(diff).splitlines(keepends=True):
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
        whole.append(line, style)
    return whole


def table(*columns: str, right: Iterable[str] = ()) -> Table:
    """Return an empty table whose columns fold rather than lose text; those of `right` hold numbers."""
    from rich import box
    from rich.table import Table

    numbers = set(right)
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        made.add_column(name, overflow="fold", justify="right" if name in numbers else "left")
    return made


def facts() -> Table:
    """Return an empty table of names and values."""
    from rich.table import Table

    made = Table.grid(padding=(0, 2))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    return made


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
