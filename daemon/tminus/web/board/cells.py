"""The sites of a launch as one text, a letter each, and what differs between two such texts.

statement launch_cells writes the letters. Ten thousand sites are ten kilobytes, which are compared in a millisecond.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

RUNNING = "cbkxv"
"""connecting, backing up, checking, executing, verifying"""

WORDS: Mapping[str, str] = {
    "p": "pending",
    "c": "running: connecting",
    "b": "running: backing up",
    "k": "running: checking",
    "x": "running: executing",
    "v": "running: verifying",
    "C": "completed",
    "W": "completed with warnings",
    "F": "failed",
    "U": "unknown",
    "S": "skipped",
    "R": "ready",
}
OUTCOMES = ("running", "failed", "unknown", "completed", "skipped", "pending")
_OUTCOME_OF = {
    **dict.fromkeys(RUNNING, "running"),
    "p": "pending",
    "C": "completed",
    "W": "completed",
    "F": "failed",
    "U": "unknown",
    "S": "skipped",
    "R": "skipped",
}
_STRIDE = 256


def counts(cells: str) -> dict[str, int]:
    """Return how many sites are in which outcome; all of OUTCOMES are there."""
    found = dict.fromkeys(OUTCOMES, 0)
    for letter, count in Counter(cells).items():
        found[_OUTCOME_OF[letter]] += count
    return found


def ready(cells: str) -> int:
    """Return how many sites a rehearsal found ready."""
    return cells.count("R")


def ended(cells: str) -> int:
    """Return how many sites have ended, whatever they came to."""
    return sum(count for outcome, count in counts(cells).items() if outcome not in ("running", "pending"))


def changed(before: str, after: str) -> list[int]:
    """Return where two texts of the same length differ."""
    found: list[int] = []
    for start in range(0, len(after), _STRIDE):
        old, new = before[start : start + _STRIDE], after[start : start + _STRIDE]
        if old != new:
            found += [start + n for n, (one, other) in enumerate(zip(old, new, strict=True)) if one != other]
    return found


def patch(cells: str, places: list[int]) -> dict[str, list[int]]:
    """Return what now stands at these places: letter -> places, each but the first as the distance to the one before."""
    by_letter: dict[str, list[int]] = {}
    last: dict[str, int] = {}
    for place in sorted(places):
        letter = cells[place]
        by_letter.setdefault(letter, []).append(place - last.get(letter, 0))
        last[letter] = place
    return by_letter
