"""Which items a command works on, as far as it is written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from tminus.routeros.language import Program, ast, walk

from .values import Constants, constant, could_match

CHANGES = frozenset({"set", "remove", "disable", "enable", "move", "unset", "reset", "edit"})
CUTS = CHANGES - {"enable", "move"}
"""Of these, what may take something away."""


class Which(Enum):
    """How the items that a command works on were chosen."""

    NOTHING = "the menu has one item, or none was named"
    ALL = "every item"
    SOME = "those that fulfil a condition"
    NAMED = "by name"
    NUMBERED = "by its number in a list, or by its internal id"
    COMPUTED = "known only when the script runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    which: Which
    names: tuple[str, ...] = ()
    where: ast.Value | None = None

    def could_be(self, item: Mapping[str, str]) -> bool:
        """False only if an item with these properties is surely not among them. ``name`` is what it may be called by."""
        match self.which:
            case Which.NOTHING | Which.ALL | Which.NUMBERED | Which.COMPUTED:
                return True
            case Which.SOME:
                return could_match(self.where, item)
            case Which.NAMED:
                return "name" not in item or item["name"] in self.names


def named(text: str | None) -> Selection:
    if text is None:
        return Selection(which=Which.COMPUTED)
    names = tuple(name for name in text.split(",") if name)
    if not names:
        return Selection(which=Which.NOTHING)
    if all(re.fullmatch(r"\*[0-9A-Fa-f]+|\d+", name) for name in names):
        return Selection(which=Which.NUMBERED)
    return Selection(which=Which.NAMED, names=names)


class Find(NamedTuple):
    where: ast.Value | None


def only_find(value: ast.Substitution) -> Find | None:
    """The condition of ``[find ...]``; None of anything else."""
    match value.statements:
        case (ast.Command(name="find", menu=menu, args=(), where=where) as command,) if menu or not command.colon:
            return Find(where)
        case _:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bindings:
    """What is known of the variables of a script, which have one name space here."""

    constants: Constants  # those that only ever get texts that are written out
    found: Mapping[str, Find]  # those that hold what one ``[find]`` found
    assigned: frozenset[str]  # all that get a value


def bindings(program: Program) -> Bindings:
    """Look at each assignment. One to a name that is computed spoils all that would be known."""
    assigned: set[str] = set()
    texts: dict[str, list[str]] = {}
    found: dict[str, list[Find | None]] = {}
    spoilt: set[str] = set()
    nothing_known = False
    for command in walk(program):
        if command.callee is not None:
            spoilt.update(arg.name for arg in command.args if arg.name)  # variables of the function that is called
        if command.menu or command.callee is not None:
            continue
        match command.name:
            case "local" | "global" | "set":
                target, value = _assignment(command)
                name = _target(target)
                if name is None:
                    nothing_known = True
                    continue
                if value is None and command.name != "set":
                    continue  # declared without a value
                assigned.add(name)
                text = constant(value)
                if (
                    text is None
                    or not isinstance(value, ast.String | ast.Group)
                    or not isinstance(target, ast.Literal | ast.String)
                ):
                    spoilt.add(name)
                else:
                    texts.setdefault(name, []).append(text)
                found.setdefault(name, []).append(_found(value))
            case "foreach" | "for" | "onerror":
                target = next((arg.value for arg in command.args if arg.name in (None, "counter", "error")), None)
                source = next((arg.value for arg in command.args if arg.name == "in"), None)
                for name in (constant(target) or "").split(","):
                    spoilt.add(name)
                    assigned.add(name)
                    found.setdefault(name, []).append(_found(source))
            case _:
                pass
    only = {name: several[0] for name, several in found.items() if len(several) == 1}
    return Bindings(
        constants={} if nothing_known else {name: tuple(all_) for name, all_ in texts.items() if name not in spoilt},
        found={} if nothing_known else {name: one for name, one in only.items() if one is not None},
        assigned=frozenset(assigned),
    )


def _target(target: ast.Value | None) -> str | None:
    """The variable that is set: ``x``, ``$x``, or that of ``($x->"key")``; None if its name is computed."""
    while True:
        match target:
            case ast.Group(inner=inner):
                target = inner
            case ast.Binary(op="->", left=left):
                target = left
            case ast.Variable(name=name):
                return name
            case ast.Literal() | ast.String():
                return constant(target)
            case _:
                return None


def _found(value: ast.Value | None) -> Find | None:
    return only_find(value) if isinstance(value, ast.Substitution) else None


def _assignment(command: ast.Command) -> tuple[ast.Value | None, ast.Value | None]:
    """The name and the value of ``:local``, ``:global`` or ``:set``."""
    values = [arg.value for arg in command.args if arg.name in (None, "value", "do")]
    for arg in command.args:
        if arg.name == "name":
            return arg.value, values[0] if values else None
    return (values[0] if values else None, values[1] if len(values) > 1 else None)
