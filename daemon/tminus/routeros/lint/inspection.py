"""Look at a script as a whole: would a router read it, what is there to know about it, what does it do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from tminus.routeros.language import Program, ScriptSyntaxError, parse
from tminus.routeros.language.problem import SYNTAX
from tminus.routeros.rendering import RenderingRefused, template

from .access import changes_access
from .destruction import destroys
from .encoding import bytes_of_note, offset_of
from .finding import Finding, Place, Severity, finding, grouped
from .names import unknown_names
from .pitfalls import delays, pitfalls, troubles
from .post_checks import of_post_checks
from .reachability import cuts
from .steps import Reading
from .summary import summary
from .variables import variable_pitfalls

SITE_TIMEOUT = timedelta(minutes=10)
"""What a scheduled script gets that does not say otherwise."""

_TRIES = 12  # how often what is wrong is left out
_BUDGET = 4 * 1024 * 1024  # bytes that are read again for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """``message``, ``line`` and ``column`` are RouterOS's own refusal; None where it would read the script."""

    valid: bool
    message: str | None
    line: int | None
    column: int | None
    findings: tuple[Finding, ...]
    summary: str


def inspect(source: bytes, *, site_timeout: timedelta = SITE_TIMEOUT, post_checks: Sequence[str] = ()) -> Inspection:
    """Look at a script and its post-checks. The same bytes give the same answer; nothing is raised for any bytes."""
    refusal, program = _read(source)
    found: list[Finding] = []
    refused = None
    if refusal is not None:
        readable = "Is not readable by every router" if refusal.by_name else "Is not readable as RouterOS"
        refused = f"{readable}: {refusal.message} (line {refusal.line} column {refusal.column})"
        found.extend(_refused(source, refusal, program))
    else:
        found.extend(_not_rendered(source))
    reading = Reading(program.program)
    found.extend(bytes_of_note(source))
    found.extend(_of_steps(reading, site_timeout))
    found.extend(variable_pitfalls(program.program, reading.assigned))
    found.extend(of_post_checks(source, post_checks))
    return Inspection(
        valid=refusal is None,
        message=refusal.message if refusal else None,
        line=refusal.line if refusal else None,
        column=refusal.column if refusal else None,
        findings=grouped(found),
        summary=summary(reading, refusal=refused, unseen=program.unseen),
    )


@dataclass(frozen=True, slots=True)
class _Read:
    program: Program
    unseen: str | None  # what could not be read; None: nothing


def _read(source: bytes) -> tuple[ScriptSyntaxError | None, _Read]:
    """The router's refusal, if it would refuse, and the program as far as it can be read."""
    try:
        program = parse(source, placeholders=True)
    except ScriptSyntaxError as refusal:
        return refusal, _as_far_as_possible(source)
    if not program.unknown:
        return None, _Read(program, None)
    try:
        return None, _Read(
            parse(source, tolerant=True, placeholders=True), None
        )  # it follows paths through menus that we do not know
    except ScriptSyntaxError:
        return None, _Read(program, None)


def _as_far_as_possible(source: bytes) -> _Read:
    """A device may know more names than we do; where that does not help, without the commands that are wrong.

    Each is blanked out, so that all others keep their places: from one semicolon to the next, then its whole line.
    """
    text, lost = source, dict[int, int]()  # lines that something was taken from, to how often
    for _ in range(1 + min(_TRIES, _BUDGET // max(len(source), 1))):
        try:
            program = parse(text, tolerant=True, placeholders=True)
        except ScriptSyntaxError as error:
            tries = lost[error.line] = lost.get(error.line, 0) + 1
            text = _without(text, error, whole_line=tries > 1)
            continue
        return _Read(program, _listed(sorted(lost)) if lost else None)
    return _Read(Program(statements=(), unknown=()), "nothing of it")


def _without(text: bytes, error: ScriptSyntaxError, *, whole_line: bool) -> bytes:
    lines = text.split(b"\n")
    line = lines[error.line - 1]
    at = offset_of(line, error.column)
    start = 0 if whole_line else line.rfind(b";", 0, at) + 1
    end = len(line) if whole_line else line.find(b";", at)
    piece = line[start : end if end >= 0 else len(line)]
    blank = bytes(byte if byte in b"\t\r" else 0x20 for byte in piece)
    lines[error.line - 1] = line[:start] + blank + line[start + len(piece) :]
    return b"\n".join(lines)


def _listed(lines: list[int]) -> str:
    if len(lines) == 1:
        return f"all of line {lines[0]}"
    return f"all of lines {', '.join(map(str, lines[:-1]))} and {lines[-1]}"


_SET = re.compile(rb":set[ \t]+\"?$")


def _refused(source: bytes, refusal: ScriptSyntaxError, read: _Read) -> Iterator[Finding]:
    at = Place(refusal.line, refusal.column)
    maybe = " unless it has the package or version that knows this name" if refusal.by_name else ""
    yield finding(
        "syntax-error",
        Severity.ERROR,
        at,
        f"{refusal.message} (line {refusal.line} column {refusal.column}): a router refuses the whole script and runs none of"
        f" it{maybe}; mend this place.",
    )
    line = source.split(b"\n")[refusal.line - 1]
    if refusal.message == SYNTAX and _SET.search(line[: offset_of(line, refusal.column)]):
        yield finding(
            "set-of-undeclared",
            Severity.ERROR,
            at,
            "':set' of a variable that is declared neither here nor in a block around it is a syntax error to RouterOS; declare it with"
            " :local or :global before, and :global again inside of a function.",
        )
    if read.unseen is not None:
        looked = read.unseen if read.unseen.startswith("nothing") else f"not {read.unseen}"
        yield finding(
            "not-looked-at",
            Severity.WARNING,
            at,
            f"Because of the syntax error {looked} was looked at for hazards; a router that reads more than we do may do more.",
        )


def _not_rendered(source: bytes) -> Iterator[Finding]:
    try:
        template(source)
    except RenderingRefused as refused:
        yield finding("placeholder-refused", Severity.ERROR, Place(refused.line, refused.column), str(refused))


def _of_steps(reading: Reading, site_timeout: timedelta) -> Iterator[Finding]:
    for step in reading.steps:
        yield from cuts(step)
        yield from changes_access(step)
        yield from destroys(step)
        yield from pitfalls(step)
        yield from unknown_names(step)
    yield from delays(reading.steps, site_timeout)
    yield from troubles(reading)
