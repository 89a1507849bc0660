"""What somebody who authorizes a script should know, as values that can be stored and shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from tminus.routeros.text import clean_line


class Severity(StrEnum):
    ERROR = "error"
    """A router would refuse the script."""
    DANGER = "danger"
    """It may cut the way by which we reach the router, destroy something, or end without proof."""
    WARNING = "warning"
    """It is probably not what was meant, or it concerns who may get in."""
    NOTE = "note"
    """Good to know."""


_ORDER = {severity: rank for rank, severity in enumerate(Severity)}
_SAYINGS_OF_A_CODE = 5
_SHOWN = 60
_LONGEST_MESSAGE = 600  # characters


class Place(NamedTuple):
    """Where in the script, as RouterOS counts: bytes from 1, a tab goes to a multiple of 8."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing, found `count` times; the place is that of the first. `code` is stable, `message` is one sentence."""

    code: str
    severity: Severity
    line: int
    column: int
    message: str
    count: int = 1

    def as_json(self) -> dict[str, str | int]:
        return asdict(self)


def finding(code: str, severity: Severity, at: Place, message: str) -> Finding:
    # A message quotes the script, in which a single word may have a mebibyte.
    message = clean_line(message, cap=_LONGEST_MESSAGE)
    return Finding(code=code, severity=severity, line=at.line, column=at.column, message=message)


def grouped(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Fold what says the same into one with a count; the worst first, then in the order of the script.

    A long script must not drown what matters in repetitions: of one code at most a few sentences stay, and the rest is
    counted in one more; and of all there is a bounded number.
    """
    first: dict[tuple[str, Severity, str], Finding] = {}
    counts: Counter[tuple[str, Severity, str]] = Counter()
    for each in found:
        key = (each.code, each.severity, each.message)
        counts[key] += each.count
        known = first.get(key)
        if known is None or (each.line, each.column) < (known.line, known.column):
            first[key] = each
    same = [replace(each, count=counts[key]) for key, each in first.items()]
    kept: dict[tuple[str, Severity], list[Finding]] = {}
    for each in sorted(same, key=lambda f: (f.line, f.column, f.message)):
        kept.setdefault((each.code, each.severity), []).append(each)
    folded = [one for several in kept.values() for one in _folded(several)]
    folded.sort(key=lambda f: (_ORDER[f.severity], f.line, f.column, f.code, f.message))
    return tuple(folded[:_SHOWN])


def _folded(several: list[Finding]) -> list[Finding]:
    if len(several) <= _SAYINGS_OF_A_CODE + 1:
        return several
    first, rest = several[:_SAYINGS_OF_A_CODE], several[_SAYINGS_OF_A_CODE:]
    count = sum(each.count for each in rest)
    return [*first, replace(rest[0], count=count, message=f"{count} more of the kind '{rest[0].code}', from here on.")]


def from_json(values: Iterable[Mapping[str, object]]) -> tuple[Finding, ...]:
    """Read findings that were stored. What is no finding (a later version's, or not ours) is left out."""
    read = []
    for value in values:
        match value:
            case {
                "code": str(code),
                "severity": str(severity),
                "line": int(line),
                "column": int(column),
                "message": str(message),
            } if severity in _ORDER:
                count = value.get("count", 1)
                read.append(
                    Finding(
                        code=code,
                        severity=Severity(severity),
                        line=line,
                        column=column,
                        message=message,
                        count=count if isinstance(count, int) else 1,
                    )
                )
            case _:
                pass
    return tuple(read)
