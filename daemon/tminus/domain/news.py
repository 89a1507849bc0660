"""What people are told: the kinds of news, and when a letter that could not be handed over is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

_LONGEST_PAUSE = 1800.0


class NewsKind(StrEnum):
    """Those of the column `news` of tminus.contacts."""

    AUTHORIZATION_REQUESTED = "authorization_requested"
    AUTHORIZED = "authorized"
    AUTHORIZATION_WITHDRAWN = "authorization_withdrawn"
    AUTHORIZATION_EXPIRED = "authorization_expired"
    ABOUT_TO_LAUNCH = "about_to_launch"
    RUN_NOW = "run_now"
    LAUNCHED = "launched"
    LAUNCH_REFUSED = "launch_refused"
    SITES_FAILED = "sites_failed"
    WAVE_WAITING = "wave_waiting"
    HALTED = "halted"
    FINISHED = "finished"
    MISSED = "missed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneWrong:
    """A site run that failed or is unknown."""

    site: str
    state: str
    reason: str | None
    message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One piece of news, with how it stands when it is told. `counts`: how many site runs have which outcome so far."""

    kind: NewsKind
    at: datetime
    by: str
    script: UUID
    launch: UUID | None
    description: str
    summary: str | None
    created_by: str
    authorized_by: str | None
    launch_at: datetime | None
    sites: int
    digest: str | None
    reason: str | None
    wave: str | None
    launch_state: str | None
    counts: dict[str, int]
    wrong: tuple[GoneWrong, ...]


def pause_after(attempts: int, *, first: float) -> float:
    """Return the seconds until a letter is tried again after so many attempts: twice as long each time, half an hour at most."""
    return float(min(first * 2.0 ** min(max(attempts - 1, 0), 20), _LONGEST_PAUSE))
