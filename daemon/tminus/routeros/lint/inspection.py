"""Look at a script as a whole: would a router read it, what is there to know about it, what does it do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from tminus.routeros.language import Program, ScriptSyntaxError, parse

from .destruction import destroys
from .encoding import bytes_of_note
from .finding import Finding, Place, Severity, finding, grouped
from .names import unknown_names
from .pitfalls import delays, pitfalls, troubles
from .reachability import cuts
from .steps import Reading
from .summary import summary
from .variables import variable_pitfalls

SITE_TIMEOUT = timedelta(minutes=10)
"""What a scheduled script gets that does not say otherwise."""

_TRIES = 8
_BUDGET = 2 * 1024 * 1024  # bytes read again after a refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """``message``, ``line`` and ``column`` are RouterOS's own refusal; None where it would read the script."""

    valid: bool
    message: str | None
    line: int | None
    column: int | None
    findings: tuple[Finding, ...]
    summary: str


def inspect(source: bytes, *, site_timeout: timedelta = SITE_TIMEOUT) -> Inspection:
    """Look at a script. The same bytes give the same answer; nothing is raised for any bytes."""
    refusal, program = _read(source)
    found: list[Finding] = []
    refused = None
    if refusal is not None:
        refused = f"{refusal.message} (line {refusal.line} column {refusal.column})"
        found.extend(_refused(refusal, program))
    reading = Reading(program.program)
    found.extend(bytes_of_note(source))
    found.extend(_of_steps(reading, site_timeout))
    found.extend(variable_pitfalls(program.program))
    return Inspection(
        valid=refusal is None,
        message=refusal.message if refusal else None,
        line=refusal.line if refusal else None,
        column=refusal.column if refusal else None,
        findings=grouped(found),
        summary=summary(reading, refusal=refused, lines=program.lines),
    )


@dataclass(frozen=True, slots=True)
class _Read:
    program: Program
    lines: int | None  # how many were read; None is all


def _read(source: bytes) -> tuple[ScriptSyntaxError | None, _Read]:
    """The router's refusal, if it would refuse, and the program as far as it can be read."""
    try:
        program = parse(source)
    except ScriptSyntaxError as refusal:
        return refusal, _as_far_as_possible(source, refusal)
    if not program.unknown:
        return None, _Read(program, None)
    try:
        return None, _Read(parse(source, tolerant=True), None)  # it follows paths through menus that we do not know
    except ScriptSyntaxError:
        return None, _Read(program, None)


def _as_far_as_possible(source: bytes, refusal: ScriptSyntaxError) -> _Read:
    """A device may know more names than we do; where that does not help, the lines before the error."""
    try:
        return _Read(parse(source, tolerant=True), None)
    except ScriptSyntaxError as error:
        line = min(error.line, refusal.line)
    lines = source.split(b"\n")
    spent = 0
    for before in range(line - 1, max(line - 1 - _TRIES, 0), -1):
        part = b"\n".join(lines[:before])
        spent += len(part)
        if spent > _BUDGET:
            break
        try:
            return _Read(parse(part, tolerant=True), before)
        except ScriptSyntaxError:
            continue
    return _Read(Program(statements=(), unknown=()), 0)


def _refused(refusal: ScriptSyntaxError, read: _Read) -> Iterator[Finding]:
    at = Place(refusal.line, refusal.column)
    maybe = " unless it has the package or version that knows this name" if refusal.by_name else ""
    yield finding(
        "syntax-error",
        Severity.ERROR,
        at,
        f"{refusal.message} (line {refusal.line} column {refusal.column}): a router refuses the whole script and runs none of"
        f" it{maybe}; mend this place.",
    )
    if read.lines is not None:
        what = f"only what is before line {read.lines + 1}" if read.lines else "none of it"
        yield finding(
            "not-looked-at",
            Severity.WARNING,
            at,
            f"Because of the syntax error {what} was looked at for hazards; a router that reads more than we do may do more.",
        )


def _of_steps(reading: Reading, site_timeout: timedelta) -> Iterator[Finding]:
    for step in reading.steps:
        yield from cuts(step)
        yield from destroys(step)
        yield from pitfalls(step)
        yield from unknown_names(step)
    yield from delays(reading.steps, site_timeout)
    yield from troubles(reading)
