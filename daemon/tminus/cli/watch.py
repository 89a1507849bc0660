"""`tminus watch`: a launch as it happens. On a terminal a picture that is drawn twice a second; in a pipe lines, then the end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import click

from tminus.cli import screen
from tminus.cli.common import Context, asynchronous
from tminus.cli.inputs import Duration, find_script
from tminus.cli.status import counts, rollout, site_runs_table
from tminus.errors import StoreUnavailable, TminusError

if TYPE_CHECKING:
    import asyncpg
    from rich.console import Console, RenderableType

EVERY = 0.5  # seconds between two looks
PATIENCE = 60.0  # seconds without the database until we give up
_AROUND = 9  # lines of the picture that are no site runs
_ROWS_IN_PIPE = 50
_WORTH_A_LINE = ("running", "unknown", "failed", "skipped")


class Patience:
    """How long the database may be away before a command that waits for a launch gives up."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._seen_at = self._clock()

    def seen(self) -> None:
        """Begin anew: the database answered."""
        self._seen_at = self._clock()

    def note(self, error: StoreUnavailable) -> str:
        """Return what to tell the person who waits. Raises `error` once the database has been away for too long."""
        if self._clock() - self._seen_at > PATIENCE:
            raise error
        return f"{error}; trying again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What there is to see at one moment."""

    script: asyncpg.Record  # a row of progress_frame
    launched: bool  # the launch in it is the one that is watched, not an earlier one of a cron row
    runs: tuple[asyncpg.Record, ...]  # rows of site_runs_by_urgency, as many as there is room for
    note: str = ""

    @property
    def ended(self) -> bool:
        if self.launched:
            return self.script["finished_at"] is not None
        return bool(self.script["status"] == "cancelled")

    @property
    def succeeded(self) -> bool:
        return self.ended and self.launched and self.script["completed"] == self.script["total"] > 0

    @property
    def summary(self) -> str:
        """One line that changes only when something begins or ends."""
        if not self.launched:
            return self._waiting()
        state, reason = self.script["launch_state"], self.script["launch_reason"]
        if self.ended:
            return f"{state}{f' ({reason})' if reason else ''}: {counts(self.script)}"
        sites = screen.plural(self.script["total"], "site")
        if state in ("cancelled", "halted"):
            return f"{'halted: ' if state == 'halted' else ''}{reason}; what was started goes on"
        words = rollout(self.script)
        return f"launched on {sites}{f'; {words}' if words else ''}"

    def _waiting(self) -> str:
        at = screen.moment(self.script["launch_at"]) or "not planned yet"
        sites = screen.plural(self.script["sites"], "site")
        match self.script["status"]:
            case "cancelled":
                return self.script["status_reason"] or "cancelled"
            case "unauthorized":
                return f"not authorized yet; launch {at} on {sites}"
            case _:
                return f"authorized by {self.script['authorized_by']}; launch {at} on {sites}"


@click.command()
@click.argument("script", metavar="ID")
@click.option("--timeout", type=Duration(), help="Give up after this long.")
@asynchronous
async def watch(context: Context, script: str, *, timeout: timedelta | None) -> None:
    """Watch a scheduled script until its launch has finished. The exit code is 0 if it completed on all sites.

    Of a cron rule this is the launch that runs, or the next one.
    """
    console = screen.console()
    paint_on = _on_terminal if console.is_terminal else _in_pipe
    frame: Frame | None = None
    seconds = None if timeout is None else timeout.total_seconds()
    try:
        async with (
            asyncio.timeout(seconds),
            aclosing(_frames(context, script, console)) as frames,
        ):
            with paint_on(console) as paint:
                async for frame in frames:
                    paint(frame)
                    if frame.ended:
                        break
    except TimeoutError:
        raise TminusError(
            f"scheduled script {script} had not finished when --timeout was over; it goes on without us"
        ) from None
    sys.exit(0 if frame is not None and frame.succeeded else 1)


async def _frames(context: Context, wanted: str, console: Console) -> AsyncGenerator[Frame]:
    """Yield what is seen, twice a second. A database that goes away is waited for: a launch does not end because we cannot look."""
    patience = Patience()
    script_id: UUID | None = None
    earlier: UUID | None = None
    frame: Frame | None = None
    while True:
        try:
            async with context.connect() as connection:
                script_id = script_id or await find_script(connection, wanted)
                while True:
                    row = await _look(connection, script_id)
                    if frame is None and row["cron"] is not None and row["finished_at"] is not None:
                        earlier = row["launch_id"]
                    launched = row["launch_id"] not in (None, earlier)
                    runs = await _look_at_runs(connection, row["launch_id"], _room(console)) if launched else ()
                    frame = Frame(script=row, launched=launched, runs=runs)
                    patience.seen()
                    yield frame
                    await asyncio.sleep(EVERY)
        except StoreUnavailable as error:
            if frame is None:
                raise
            yield replace(frame, note=patience.note(error))
            await asyncio.sleep(EVERY)


async def _look(connection: asyncpg.Connection, script_id: UUID) -> asyncpg.Record:
    from tminus.store.pool import statement

    row = await connection.fetchrow(statement("progress_frame"), script_id)
    if row is None:
        raise TminusError(f"scheduled script {script_id} is not there any more")
    return row


async def _look_at_runs(connection: asyncpg.Connection, launch: UUID, room: int) -> tuple[asyncpg.Record, ...]:
    from tminus.store.pool import statement

    rows = await connection.fetch(statement("site_runs_by_urgency"), launch, room)
    return tuple(row for row in rows if row["outcome"] in _WORTH_A_LINE)


def _room(console: Console) -> int:
    """Return how many site runs are worth reading: at most a screenful."""
    return max(console.size.height - _AROUND, 3) if console.is_terminal else _ROWS_IN_PIPE


@contextmanager
def _on_terminal(console: Console) -> Iterator[Callable[[Frame], None]]:
    from rich.live import Live

    with Live(console=console, auto_refresh=False) as live:
        yield lambda frame: live.update(draw(frame), refresh=True)


@contextmanager
def _in_pipe(console: Console) -> Iterator[Callable[[Frame], None]]:
    said = ""

    def paint(frame: Frame) -> None:
        nonlocal said
        line = frame.note or frame.summary
        if frame.ended:
            console.print(draw(frame))
        elif line != said:
            console.print(screen.text(line), soft_wrap=True)
            said = line

    yield paint


def draw(frame: Frame) -> RenderableType:
    """Return the picture of one moment."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    row = frame.script
    title = screen.text(screen.one_line(row["description"], 100) or row["id"], "bold")
    parts: list[RenderableType] = [title, screen.text(f"{_clock(frame)}  {frame.summary}".strip())]
    if not frame.ended and not row["instances"]:
        parts.append(screen.no_daemon())
    if frame.note:
        parts.append(screen.text(frame.note, "yellow"))
    if frame.launched:
        done = row["total"] - row["running"] - row["pending"]
        bar = Table.grid(padding=(0, 2))
        bar.add_row(ProgressBar(total=row["total"], completed=done, width=50), f"{done} of {row['total']}")
        parts.append(bar)
        if not frame.ended:
            parts.append(screen.text(counts(row)))
    if frame.runs:
        parts += ["", site_runs_table(list(frame.runs))]
        more = sum(row[state] for state in _WORTH_A_LINE) - len(frame.runs)
        if more > 0:
            parts.append(screen.text(f"… and {more} more: tminus status {row['id']}", "dim"))
    return Group(*parts)


def _clock(frame: Frame) -> str:
    row = frame.script
    if frame.launched:
        return "" if row["seconds_since_start"] is None else screen.countdown(-row["seconds_since_start"])
    if frame.ended or row["seconds_to_launch"] is None:
        return ""
    return screen.countdown(row["seconds_to_launch"])


COMMANDS = (watch,)
