"""What a look at one thing found: for 'tminus check'."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tminus.errors import TminusError


class Grade(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`said` is one sentence: what was found and, unless it is well, what to do. `exit_code` counts where it failed."""

    check: str
    grade: Grade
    said: str
    exit_code: int = 0


def ok(check: str, said: str) -> Finding:
    return Finding(check=check, grade=Grade.OK, said=said)


def warning(check: str, said: str) -> Finding:
    return Finding(check=check, grade=Grade.WARNING, said=said)


def skipped(check: str, said: str) -> Finding:
    return Finding(check=check, grade=Grade.SKIPPED, said=said)


def failed(check: str, said: str, kind: type[TminusError] = TminusError) -> Finding:
    return Finding(check=check, grade=Grade.FAILED, said=said, exit_code=kind.exit_code)


def refused(check: str, error: TminusError) -> Finding:
    """A check that an exception of ours failed."""
    return failed(check, str(error), type(error))
