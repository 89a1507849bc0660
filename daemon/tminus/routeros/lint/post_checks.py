"""Post-checks, each looked at as a script of its own: is it one expression, and does it do more than look?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tminus.routeros.language import ScriptSyntaxError, parse
from tminus.routeros.language.values import PLACEHOLDER
from tminus.routeros.post_checks import framed, why_no_expression
from tminus.routeros.rendering import RenderingRefused, template

from .finding import Finding, Place, Severity, finding
from .names import unknown_names
from .steps import Reading
from .variables import variable_pitfalls

_LOOKS = frozenset({"find", "get", "print", "export", "check", "ping"})
_ACTS = frozenset({"set", "execute", "import", "global", "undo", "redo"})  # without a menu


def of_post_checks(script: bytes, checks: Sequence[str]) -> Iterator[Finding]:
    """Look at each check. The line of a finding is the number of its check; the place within is in its sentence."""
    for number, check in enumerate(checks, 1):
        at = Place(number, 1)
        why = why_no_expression(PLACEHOLDER.sub(rb"$\1", check.encode()))
        if why is not None:
            yield finding(
                "post-check-refused",
                Severity.ERROR,
                at,
                f"Post-check {number} is no expression: {why}; no router is given the script.",
            )
            continue
        yield from _of_one(number, framed(check.encode()), at)
    if checks:
        try:
            template(b"".join((script, b"\n", *(framed(check.encode()) for check in checks))))
        except RenderingRefused as refused:
            yield finding("placeholder-refused", Severity.ERROR, Place(refused.line, refused.column), str(refused))


def _of_one(number: int, source: bytes, at: Place) -> Iterator[Finding]:
    try:
        program = parse(source, placeholders=True)
    except ScriptSyntaxError as refusal:
        maybe = ", unless it has the package or version that knows this name" if refusal.by_name else ""
        yield finding(
            "post-check-refused",
            Severity.ERROR,
            at,
            f"Post-check {number}: {refusal.message}; a router refuses it, and then the script is not started{maybe}.",
        )
        return
    reading = Reading(program)
    for step in reading.steps[1:]:  # the first is our own
        called = f"/{' '.join(step.menu)} {step.verb}" if step.menu else f":{step.verb or 'a function'}"
        if step.verb is None or (step.verb not in _LOOKS if step.menu else step.verb in _ACTS):
            yield finding(
                "post-check-acts",
                Severity.WARNING,
                at,
                f"Post-check {number} does more than look ({called}); it may be evaluated more than once.",
            )
        for each in unknown_names(step):
            yield _of_check(number, each)
    for each in variable_pitfalls(program, reading.assigned):
        yield _of_check(number, each)


def _of_check(number: int, each: Finding) -> Finding:
    return replace(each, line=number, column=1, message=f"Post-check {number}: {each.message}")
