"""Variables that a line typed at a prompt reads without anybody having declared them.

Documented: each typed line is a scope of its own, and a variable of an earlier line is a syntax error in the next. Inside
a quoted string it is nothing instead (seen on 7.23). What a script's own parser says of them, the language decides.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import fields, is_dataclass

from tminus.routeros.language import Command, Program, ScriptSyntaxError, ast

_DECLARE = frozenset({"local", "global", "for", "foreach", "onerror"})
_FUNCTIONS = frozenset({"local", "global", "set"})  # their do= is a body whose caller may name any argument


def refuse(program: Program, known: Container[str]) -> None:
    """Raise ScriptSyntaxError at the first variable that neither the line declares nor ``known`` has."""
    declared = {name for node in _nodes(program) if isinstance(node, Command) for name in _declared(node)}
    for node in _nodes(program):
        if isinstance(node, ast.Variable) and node.name not in declared and node.name not in known:
            raise ScriptSyntaxError("syntax error", node.at.line, node.at.column + 1)


def _declared(command: Command) -> list[str]:
    if command.name not in _DECLARE or command.menu or not command.args:
        return []
    value = command.args[0].value
    match value:
        case ast.Literal():
            return value.text.split(",")
        case ast.String():
            return [value.plain or ""]
        case _:
            return []


def _nodes(root: object) -> Iterator[object]:
    """The parts of a program in the order of the source, without strings, function bodies, and the text of scripts."""
    pending = [root]
    while pending:
        node = pending.pop()
        if isinstance(node, tuple):
            pending.extend(reversed(node))
        elif is_dataclass(node) and not isinstance(node, ast.String | ast.Position):
            yield node
            parts = [getattr(node, field.name) for field in fields(node)]
            if isinstance(node, Command):
                parts = [node.callee, _now(node), node.where]
            pending.extend(part for part in reversed(parts) if isinstance(part, tuple) or is_dataclass(part))


def _now(command: Command) -> tuple[ast.Arg, ...]:
    """The arguments of a command without those that are code for later."""
    later = bool(command.menu) or command.name in _FUNCTIONS
    return tuple(arg for arg in command.args if not (later and isinstance(arg.value, ast.Block)))
