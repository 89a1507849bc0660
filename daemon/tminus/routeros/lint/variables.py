"""Which variables are read where they hold nothing, and which stay on the router.

The rules are those of ``/import``, as we run it: a file is one scope, so ``:local`` at its top level lives to its end. A
block sees what is declared around it; what is declared in a block ends with it. The body of a function, and code that is
stored for an event, see nothing of what is around them; a function also has its arguments as variables.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tminus.routeros.language import Program, ast, walk
from tminus.routeros.language.walk import parts
from tminus.routeros.text import clean_line

from .finding import Finding, Place, Severity, finding
from .steps import CODE
from .values import constant

_NAMES_SHOWN = 5
_ARGUMENT = ("for", "foreach", "onerror")


@dataclass(slots=True)
class _Scope:
    function: bool = False
    event: bool = False  # RouterOS gives the code of an event variables of its own
    names: dict[str, int] = field(default_factory=dict)  # to the line of the declaration


@dataclass(frozen=True, slots=True)
class _Leave:
    """On the stack of nodes: here a scope ends."""


@dataclass(frozen=True, slots=True)
class _Declare:
    command: ast.Command
    scope: _Scope


_Todo = ast.Statement | ast.Value | _Leave | _Scope | _Declare


class _Looker:
    def __init__(self, program: Program) -> None:
        self._scopes: list[_Scope] = [_Scope()]
        self._ended: dict[str, int] = {}  # local variables of blocks that are over, to the line of the declaration
        self._anywhere: set[str] = set()  # declared somewhere, perhaps further down
        self._arguments: set[str] = set()  # names of arguments of any call: a function may have been given them
        self._globals: set[str] = set()
        self._pasted: set[str] = set()
        self.found: list[Finding] = []
        for command in walk(program):
            if command.callee is not None:
                self._arguments.update(arg.name for arg in command.args if arg.name)
            elif not command.menu and command.name in ("local", "global", *_ARGUMENT):
                self._anywhere.update(_declared(command))
        self._go(program)

    def _go(self, program: Program) -> None:
        todo: list[_Todo] = list(reversed(program.statements))
        while todo:
            node = todo.pop()
            match node:
                case _Leave():
                    self._leave()
                case _Scope():
                    self._scopes.append(node)
                case _Declare():
                    self._declare(node.command, node.scope)
                case ast.Variable():
                    self._used(node)
                case _:
                    todo.extend(reversed(list(self._below(node))))

    def _leave(self) -> None:
        ended = self._scopes.pop()
        if not (ended.function or ended.event):
            self._ended.update({name: line for name, line in ended.names.items() if name not in self._globals})

    def _below(self, node: ast.Statement | ast.Value) -> Iterator[_Todo]:
        match node:
            case ast.Command():
                yield from self._command(node)
            case ast.Scope():
                yield from self._in_scope(node.block, _Scope())
            case ast.Substitution() | ast.Block():
                yield from self._in_scope(node, _Scope())
            case _:
                yield from parts(node)

    def _in_scope(self, node: ast.Block | ast.Substitution, scope: _Scope) -> Iterator[_Todo]:
        yield scope
        yield from node.statements
        yield _Leave()

    def _command(self, command: ast.Command) -> Iterator[_Todo]:
        builtin = command.name if not command.menu and command.callee is None else None
        if command.callee is not None:
            yield command.callee
        here = self._scopes[-1]
        if builtin in _ARGUMENT:
            here = _Scope()
            yield here
            yield _Declare(command, here)
        elif builtin == "global":  # a function may call itself
            yield _Declare(command, here)
        for number, arg in enumerate(command.args):
            names = (number == 0 and arg.name is None) or arg.name in ("name", "counter", "error")
            if arg.value is None or (builtin in ("local", "global", *_ARGUMENT) and names):
                continue
            yield from self._argument(builtin, arg)
        if builtin in _ARGUMENT:
            yield _Leave()
        elif builtin == "local":  # its value is computed before it is there
            yield _Declare(command, here)
        if command.where is not None:
            yield command.where

    def _argument(self, builtin: str | None, arg: ast.Arg) -> Iterator[_Todo]:
        value = arg.value
        if value is None:
            return
        if builtin in ("local", "global", "set") and arg.name == "do" and isinstance(value, ast.Block):
            yield from self._in_scope(value, _Scope(function=True))
        elif isinstance(value, ast.Block) and (builtin == "execute" or (builtin is None and arg.name in CODE)):
            yield from self._in_scope(value, _Scope(event=True))
        else:
            yield value

    def _declare(self, command: ast.Command, scope: _Scope) -> None:
        for name in _declared(command):
            scope.names[name] = command.at.line
            if command.name == "global":
                self._globals.add(name)

    def _used(self, variable: ast.Variable) -> None:
        name = variable.name
        if name[0] == "(":
            return  # a placeholder, which is gone when the script runs
        outer = False
        for number, scope in enumerate(reversed(self._scopes)):
            if name in scope.names:
                self._seen(name, variable, scope.names[name], top=number == len(self._scopes) - 1)
                return
            if scope.event:
                return
            if scope.function:
                outer = True
                break
        if name.isdigit() or (outer and (name in self._arguments or not self._outside(name))):
            return
        at = Place(variable.at.line, variable.at.column)
        name = clean_line(name, cap=40)
        if outer:
            self._say(
                "outside-of-function", at, f"The body of a function does not see ${name}, which is declared outside of it, and reads"
                " nothing; declare it :global in both places, or hand it over as an argument.",
            )  # fmt: skip
        elif name in self._ended:
            self._say(
                "local-out-of-scope", at, f"${name} is local to a block that is over (line {self._ended[name]}) and holds nothing here;"
                " declare it before that block.",
            )  # fmt: skip
        elif name in self._globals:
            return  # declared in a block that is over; what is read then is not on the record
        elif name in self._anywhere:
            self._say(
                "used-before-declared",
                at,
                f"${name} is read before it is declared, and holds nothing here; declare it first.",
            )
        else:
            self._say(
                "undeclared-variable", at, f"${name} is not declared in this script, so it holds nothing here; declare it with :local or"
                " :global, or mend its name.",
            )  # fmt: skip

    def _outside(self, name: str) -> bool:
        return any(name in scope.names for scope in self._scopes)

    def _seen(self, name: str, variable: ast.Variable, line: int, *, top: bool) -> None:
        if top and line != variable.at.line and name not in self._globals and name not in self._pasted:
            self._pasted.add(name)
            self._say(
                "local-across-lines",
                Place(variable.at.line, variable.at.column),
                "A :local of the top level is read on a later line, which works as the script is run here (one file is one scope);"
                " pasted into a terminal, each line is a scope of its own.",
                Severity.NOTE,
            )

    def _say(self, code: str, at: Place, message: str, severity: Severity = Severity.WARNING) -> None:
        self.found.append(finding(code, severity, at, message))


def variable_pitfalls(program: Program, assigned: frozenset[str]) -> Iterator[Finding]:
    """Variables that hold nothing where they are read, and globals that stay. ``assigned``: what gets a value at all."""
    yield from _Looker(program).found
    kept: dict[str, Place] = {}
    unset: set[str] = set()
    for command in walk(program):
        if command.menu or command.callee is not None:
            continue
        if command.name == "global":
            for name in assigned.intersection(_declared(command)):
                kept.setdefault(name, Place(command.at.line, command.at.column))
        elif command.name == "set" and len(command.args) == 1:  # :set x without a value takes the variable away
            unset.update(_declared(command))
    left = sorted((name for name in kept if name not in unset), key=lambda name: (kept[name], name))
    if left:
        names = ", ".join(clean_line(name, cap=40) for name in left[:_NAMES_SHOWN])
        more = f" and {len(left) - _NAMES_SHOWN} more" if len(left) > _NAMES_SHOWN else ""
        yield Finding(
            code="global-stays",
            severity=Severity.NOTE,
            line=kept[left[0]].line,
            column=kept[left[0]].column,
            message=f"Global variables ({names}{more}) stay on the router until it"
            " reboots, and other scripts see them; make them :local, or end with ':set NAME'.",
            count=len(left),
        )


def _declared(command: ast.Command) -> list[str]:
    for number, arg in enumerate(command.args):
        if (number == 0 and arg.name is None) or arg.name in ("name", "counter", "error"):
            text = constant(arg.value)
            return [] if text is None else [name for name in text.split(",") if name]
    return []
