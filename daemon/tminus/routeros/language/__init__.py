"""The RouterOS console language as pure code: parse a script, or get the router's own refusal of it.

``parse`` gives a ``Program`` or raises ``ScriptSyntaxError``; ``verdict`` never raises for a script; ``walk`` gives every
command. A name that our table lacks is no error but a finding (``Program.unknown``), since devices differ.
"""

from __future__ import annotations

from dataclasses import dataclass

from .ast import Command, Program, Statement, UnknownName
from .parser import parse
from .problem import ScriptSyntaxError
from .walk import walk

__all__ = [
    "Command",
    "Program",
    "ScriptSyntaxError",
    "Statement",
    "UnknownName",
    "Verdict",
    "parse",
    "verdict",
    "walk",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a router's parser says about a script."""

    valid: bool
    message: str | None = None  # the three are None where valid
    line: int | None = None  # from 1
    column: int | None = None  # bytes, from 1
    by_name: bool = False  # another version or package may know the name that the parser stumbled over


def verdict(source: bytes, *, tolerant: bool = False) -> Verdict:
    """Would a router read this script? ``tolerant`` as in ``parse``."""
    try:
        parse(source, tolerant=tolerant)
    except ScriptSyntaxError as error:
        return Verdict(valid=False, message=error.message, line=error.line, column=error.column, by_name=error.by_name)
    return Verdict(valid=True)
