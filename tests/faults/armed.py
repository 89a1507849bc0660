"""The daemon with its kill points armed: `python -m tests.faults.armed PLANS --config FILE serve`.

A plan is a file in the folder PLANS with the name of a kill point. The first process that reaches the point takes the
plan, by renaming it to `<point>.<pid>`, and does what it says: `kill`, `stop` (SIGSTOP), `raise`, `block SECONDS` (the event loop
with it), or `hold` (block until the file `<point>.go` is there). `after SECONDS` before it has it happen that much later,
while the program goes on; not for `raise`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tminus.__main__ import main
from tminus.kill_points import Point, arm


class Injected(Exception):
    """What a plan raises: an error that no code of the daemon expects."""


def take(plans: Path, point: Point) -> None:
    taken = plans / f"{point}.{os.getpid()}"
    try:
        (plans / point).rename(taken)
    except FileNotFoundError:
        return
    words = taken.read_text().split()
    delay = 0.0
    if words[0] == "after":
        delay, words = float(words[1]), words[2:]
    act = _action(plans, point, words)
    if delay:
        timer = threading.Timer(delay, act)
        timer.daemon = True
        timer.start()
        return
    act()


def _action(plans: Path, point: Point, words: list[str]) -> Callable[[], None]:
    match words:
        case ["kill"]:
            return lambda: os.kill(os.getpid(), signal.SIGKILL)
        case ["stop"]:
            return lambda: os.kill(os.getpid(), signal.SIGSTOP)
        case ["block", seconds]:
            return lambda: time.sleep(float(seconds))
        case ["hold"]:
            return lambda: _hold(plans / f"{point}.go")
        case ["raise"]:
            return _raise
        case _:
            raise SystemExit(f"{plans / point} holds no action: {' '.join(words)}")


def _hold(go: Path) -> None:
    while not go.exists():
        time.sleep(0.01)
    with contextlib.suppress(FileNotFoundError):
        go.unlink()


def _raise() -> None:
    raise Injected("a test had this raised")


if __name__ == "__main__":
    folder = Path(sys.argv.pop(1))
    arm(lambda point: take(folder, point))
    main()
