"""Rollout: which sites of a launch start together, when the next wave follows, and when a launch stops."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

_AMOUNT = re.compile(r"([1-9][0-9]{0,5}|0)(%?)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """How many sites: a count, or a percentage of however many there are."""

    number: int
    percent: bool = False

    @classmethod
    def parse(cls, text: str) -> Amount:
        """Read "5" or "10%". ValueError, with a text for a person, for anything else and for more than 100%."""
        found = _AMOUNT.fullmatch(text)
        if found is None or (found[2] and int(found[1]) > 100):
            raise ValueError(f"'{text}' is neither a count such as 5 nor a percentage such as 10%")
        return cls(number=int(found[1]), percent=bool(found[2]))

    def __str__(self) -> str:
        return f"{self.number}{'%' if self.percent else ''}"

    def share(self, total: int) -> int:
        """Return how many of `total` that is, a percentage rounded up: 10% of 11 are 2, of 1 it is 1."""
        return -(-total * self.number // 100) if self.percent else self.number

    def is_exceeded(self, count: int, total: int) -> bool:
        """Return whether `count` of `total` is more. A percentage is compared exactly: 1 of 11 is less than 10%."""
        return count * 100 > self.number * total if self.percent else count > self.number


def wave_sizes(sizes: Sequence[Amount], total: int) -> tuple[int, ...]:
    """Return how many sites each wave has; the last has what the others left. They add up to `total`, and none is empty.

    Percentages are of all sites of the launch. Waves that find nothing left are left out.
    """
    waves: list[int] = []
    left = total
    for size in sizes:
        wave = min(size.share(total), left)
        if wave > 0:
            waves.append(wave)
            left -= wave
    if left > 0:
        waves.append(left)
    return tuple(waves)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may go wrong before a launch is halted; None: any number.

    `failures` counts what failed or is unknown, but for sites that were offline: those are `offline`.
    """

    failures: Amount | None = None
    failures_in_wave: Amount | None = None
    offline: Amount | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Sites of one wave. What is not counted here was skipped: nothing was found out there."""

    sites: int
    open: int = 0  # pending or running
    completed: int = 0
    failed: int = 0  # or unknown
    offline: int = 0


class Move(StrEnum):
    WAIT = "wait"  # until the wave has ended, or the pause after it is over
    ASK = "ask"  # a person has to let the next wave go
    OPEN = "open"  # the next wave
    HALT = "halt"
    DONE = "done"  # the last wave is open; what is left ends by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do with a launch now. `reason` says why it is halted; `at` is when to ask again, where time alone decides."""

    move: Move
    reason: str | None = None
    at: datetime | None = None


def decide(
    waves: Sequence[Tally],
    opened: int,
    limits: Limits,
    *,
    now: datetime,
    ended_at: datetime | None,
    pause: timedelta,
    confirm: bool,
    confirmed: bool,
) -> Decision:
    """Decide about a launch of which the first `opened` waves (1 at least) were opened.

    `ended_at` is when the last site of the last opened wave ended, None while one has not. With `confirm` a person opens each
    wave but the first; `confirmed` tells that one did, for the next. The limits are looked at after every ending, so a launch
    is halted in the midst of a wave too. A wave in which no site completed proved nothing: what waits behind it is halted.
    """
    seen = waves[:opened]
    reason = _exceeded(seen, sum(wave.sites for wave in waves), limits)
    if reason is not None:
        return Decision(move=Move.HALT, reason=reason)
    if opened == len(waves):
        return Decision(move=Move.DONE)
    last = seen[-1]
    if last.open > 0 or ended_at is None:
        return Decision(move=Move.WAIT)
    if last.completed == 0:
        return Decision(move=Move.HALT, reason=f"no site of wave {opened} completed")
    if confirm:
        return Decision(move=Move.OPEN if confirmed else Move.ASK)
    if now < ended_at + pause:
        return Decision(move=Move.WAIT, at=ended_at + pause)
    return Decision(move=Move.OPEN)


def _exceeded(waves: Sequence[Tally], total: int, limits: Limits) -> str | None:
    last = waves[-1]
    failed, offline = sum(wave.failed for wave in waves), sum(wave.offline for wave in waves)
    if limits.failures_in_wave is not None and limits.failures_in_wave.is_exceeded(last.failed, last.sites):
        return f"{last.failed} of {last.sites} sites of wave {len(waves)} failed, more than {limits.failures_in_wave}"
    if limits.failures is not None and limits.failures.is_exceeded(failed, total):
        return f"{failed} of {total} sites failed, more than {limits.failures}"
    if limits.offline is not None and limits.offline.is_exceeded(offline, total):
        return f"{offline} of {total} sites were offline, more than {limits.offline}"
    return None
