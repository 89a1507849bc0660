"""Commands and parameters that the table of names lacks, and menus that only another version or package has."""

from __future__ import annotations

from collections.abc import Iterator

from tminus.routeros.language import ast
from tminus.routeros.language.names import base, complete

from .finding import Finding, Place, Severity, finding
from .paths import up_to_unknown
from .steps import Step


def unknown_names(step: Step) -> Iterator[Finding]:
    """A device may know more, and then it is right; one that does not stops at such a name, or refuses the script."""
    command = step.command
    if (
        step.around.partial
        or command.callee is not None
        or (command.name in ("break", "continue") and not command.menu)
    ):
        return
    here = base().at(command.menu)
    shown = "" if command.known else up_to_unknown((*step.menu, *([step.verb] if step.verb else [])))
    if step.elsewhere:
        yield finding(
            "not-on-every-router",
            Severity.NOTE,
            step.at,
            f"{shown} is not on every router (a CHR lacks it); one without it says 'bad command name'.",
        )
        return
    if not command.known:
        yield finding(
            "unknown-command",
            Severity.WARNING,
            _place(step),
            f"{shown} is not known here; a router that does not know it either says 'bad command name {shown.rsplit('/', 1)[-1]}' and does"
            " not run the rest; check the spelling, and which package has it.",
        )
        return
    signature = here.commands.get(command.name) if here is not None and command.name is not None else None
    if signature is None or not command.menu:
        return
    for arg in command.args:
        if arg.name is None or arg.name == "where" or isinstance(arg.value, ast.Property):
            continue
        if complete(arg.name, signature.values | signature.flags) is None:
            yield finding(
                "unknown-parameter",
                Severity.WARNING,
                step.at,
                f"{'/'.join(('', *command.menu, command.name or ''))} has no parameter {arg.name!r} that is known here; a router that does"
                " not know it either refuses the whole script; check the spelling and the version.",
            )


def _place(step: Step) -> Place:
    """The word that the table lacks, as RouterOS points at it; of code in a string, the string."""
    if step.around.place is not None:
        return step.at
    unknown = step.reading.unknown
    at = next((word.at for word in step.command.words if word.at.offset in unknown), None)
    return step.at if at is None else Place(at.line, at.column)
