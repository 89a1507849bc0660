"""How things look on a terminal and in a pipe. Whatever text is shown, it is shown as text."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tminus.domain.words import countdown, hides_something, moment, one_line, plural, seconds, visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

__all__ = [
    "STYLES",
    "coloured_diff",
    "console",
    "countdown",
    "facts",
    "hides_something",
    "moment",
    "no_daemon",
    "one_line",
    "plural",
    "rule",
    "seconds",
    "state",
    "table",
    "text",
    "visible",
]

_PIPE_WIDTH = 250
_RULE_WIDTH = 100
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


def rule(shown: Console, title: str = "") -> None:
    """Draw a line across, no longer than what it divides."""
    from rich.rule import Rule

    shown.print(Rule(title), width=min(shown.width, _RULE_WIDTH))


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
