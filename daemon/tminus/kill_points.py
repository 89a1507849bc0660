"""Named moments at which the tests may kill, freeze or disturb a daemon.

In a daemon that was started as `tminus serve` each is a look at one global, and nothing else. They cannot be armed by a
setting, an environment variable, a row of the database or a byte that a router sends: only by a Python program that calls
`arm` before it runs the daemon itself, as tests/faults/armed.py does.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class Point(StrEnum):
    """In the order of a site run, then of the duties beside it."""

    LAUNCHING = "launching"  # launches were made, and are not committed
    LAUNCHED = "launched"  # they are committed
    CLAIMED = "claimed"  # site runs are ours, and nobody here has begun them
    CONNECTED = "connected"  # logged in
    EXPORTING = "exporting"  # the export beforehand is about to be asked for; with a delay, it is under way
    BACKED_UP = "backed_up"  # it is complete, and in memory only
    UPLOADED = "uploaded"  # the file was sent
    READY = "ready"  # all is checked; next is the point of no return
    START_WRITING = "start_writing"  # `executing` is about to be written
    START_COMMITTING = "start_committing"  # the point of no return is said to the database, and not committed
    START_WRITTEN = "start_written"  # it is committed; nobody was told yet
    SENDING = "sending"  # the command that starts the script is about to be sent
    SENT = "sent"  # it was sent; with a delay, the script runs
    ANSWERED = "answered"  # the session's answer, marker included, is here
    ENDING = "ending"  # cleaned up on the router; the ending is known and not handed over
    ENDING_WRITING = "ending_writing"  # endings are written, and not committed
    ENDING_WRITTEN = "ending_written"  # they are committed; nobody was told yet
    BEATING = "beating"  # a heartbeat is about to be sent
    REAPED = "reaped"  # the dead were declared, and what they had was settled
    ORPHAN_TAKEN = "orphan_taken"  # a dead instance's run is ours to resolve
    ORPHAN_RESOLVED = "orphan_resolved"  # the router was asked; the ending is not handed over
    HOUSEKEPT = "housekept"  # the janitor settled what time alone settles
    DEBT_PAID = "debt_paid"  # a file of ours is gone from a router; that is not written
    DRAINING = "draining"  # told to end; nothing was waited for yet
    SAYING_GOODBYE = "saying_goodbye"  # drained; our row is about to be closed
    MIGRATING = "migrating"  # a migration was applied, and is not committed


_hook: Callable[[Point], None] | None = None


def reach(point: Point) -> None:
    """Say that this process is at `point`."""
    if _hook is not None:
        _hook(point)


def arm(hook: Callable[[Point], None]) -> None:
    """Call `hook` at every point from now on; what it raises is raised there. For tests alone."""
    global _hook  # noqa: PLW0603 - one process, one hook, and a cost that cannot be measured without it
    _hook = hook
