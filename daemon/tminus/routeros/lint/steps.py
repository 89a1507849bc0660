"""A script as a flat list of what it does: each command with its menu, its arguments, and what it stands in.

Code in strings is read too where it is written out: what ``:execute`` and ``:parse`` get, ``source=`` of a script,
``on-event=`` of a scheduler and the like. Its commands are placed at the string that they are in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tminus.routeros.language import Program, ScriptSyntaxError, ast, parse
from tminus.routeros.language.walk import parts

from .finding import Finding, Place, Severity, finding
from .paths import is_elsewhere, path_of_unknown
from .selection import Selection, Which, bindings, named, only_find
from .values import Text, constant, text_of

# Parameters of menus that hold code to be run some other time.
CODE = frozenset(
    [
        "binding-script",
        "down-script",
        "lease-script",
        "on-alert",
        "on-down",
        "on-error",
        "on-event",
        "on-login",
        "on-logout",
        "on-master",
        "on-backup",
        "on-message",
        "on-up",
        "script",
        "source",
        "test-script",
        "up-script",
    ]
)
# Parameters that tell people something and change nothing else.
FOR_PEOPLE = frozenset({"comment", "log", "log-prefix", "numbers"})
EXPECTED = "if it is meant to cut its own session, set expects_disconnect"
_SCRIPT_NAME = re.compile(r"\s*[\w.-]*\s*")  # an event may name a stored script instead
_MAX_NESTING = 4
_MAX_NESTED = 4 * 1024 * 1024  # characters of code in strings, all levels together


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a command stands in."""

    place: Place | None = None  # of the outermost string that holds it
    later: bool = False  # stored on the router, to be run by an event or somebody
    detached: bool = False  # runs in a job of its own
    function: bool = False  # runs when the function is called
    loop: bool = False
    guarded: bool = False  # runs under a condition, or after an error
    partial: bool = False  # parts of the code are only known when the script runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command. ``menu`` has full names; ``verb`` is None for a call."""

    command: ast.Command
    at: Place
    menu: tuple[str, ...]
    verb: str | None
    args: Mapping[str, ast.Value | None]
    unnamed: tuple[ast.Value, ...]
    around: Around
    reading: Reading = field(repr=False)

    def has(self, *names: str) -> bool:
        return any(name in self.args for name in names)

    def value(self, name: str, default: str | None = None) -> str | None:
        """The text of an argument; None if it is only known when the script runs."""
        return constant(self.args[name], self.reading.constants) if name in self.args else default

    def only(self, names: frozenset[str]) -> bool:
        """Nothing but these parameters is given."""
        return bool(self.args) and set(self.args) <= names

    def flag(self, name: str) -> bool:
        """A parameter without a value, or one that is yes."""
        if name in self.args:
            return self.value(name) != "no"
        return any(isinstance(value, ast.Literal) and value.text == name for value in self.unnamed)

    @property
    def elsewhere(self) -> bool:
        """Known to exist, but not on a CHR, whose names the table has."""
        return not self.command.known and len(self.menu) > 1 and is_elsewhere(self.menu)

    @property
    def calls_stored(self) -> bool:
        """A call of a function that this script does not define: what it does lies on the router."""
        callee = self.command.callee
        return isinstance(callee, ast.Variable) and callee.name not in self.reading.assigned

    @property
    def selection(self) -> Selection:
        value = self.args.get("numbers") or (self.unnamed[0] if self.unnamed else None)
        return self.reading.selection(value, guarded=self.around.guarded)


def say(step: Step, code: str, severity: Severity, message: str) -> Finding:
    """A finding at the place of a step."""
    return finding(code, severity, step.at, message)


class Trouble(NamedTuple):
    """Code in a string that cannot be read; without a message it is not known what the code will be."""

    at: Place
    message: str | None


class Reading:
    """All steps of a program. ``constants`` are of the whole script: its variables have one name space here."""

    def __init__(self, program: Program) -> None:
        self.program = program
        known = bindings(program)
        self.constants, self._found, self.assigned = known.constants, known.found, known.assigned
        self.unknown = frozenset(name.at.offset for name in program.unknown)
        self.steps: list[Step] = []
        self.troubles: list[Trouble] = []
        self._nested = 0
        self._read(program, Around(), 0)

    def selection(self, value: ast.Value | None, *, guarded: bool) -> Selection:
        match value:
            case None:
                return Selection(which=Which.NOTHING)
            case ast.Literal() | ast.String():
                return named(constant(value, self.constants))
            case ast.Substitution():
                condition = only_find(value)
                if condition is None:
                    return Selection(which=Which.COMPUTED)
                return Selection(which=Which.ALL if condition.where is None else Which.SOME, where=condition.where)
            case ast.Group() if value.inner is not None:
                return self.selection(value.inner, guarded=guarded)
            case ast.Variable() if value.name in self._found and not guarded:
                where = self._found[value.name].where
                return Selection(which=Which.ALL if where is None else Which.SOME, where=where)
            case ast.Variable() if value.name in self._found:
                return Selection(which=Which.COMPUTED)
            case _:
                text = constant(value, self.constants)
                return Selection(which=Which.COMPUTED) if text is None else named(text)

    def _read(self, program: Program, around: Around, depth: int) -> None:
        pending: list[tuple[ast.Statement | ast.Value, Around]] = [(s, around) for s in reversed(program.statements)]
        while pending:
            node, here = pending.pop()
            children = list(_children(node, here))
            if isinstance(node, ast.Command):
                step = self._step(node, here)
                self.steps.append(step)
                self._code_in_strings(step, depth)
            pending.extend(reversed(children))

    def _step(self, command: ast.Command, around: Around) -> Step:
        menu, verb, args = command.menu, command.name, command.args
        if command.callee is None and not command.known:
            menu, verb, args = path_of_unknown(command)
        at = around.place or Place(command.at.line, command.at.column)
        return Step(
            command=command,
            at=at,
            menu=menu,
            verb=verb,
            args={arg.name: arg.value for arg in args if arg.name is not None},
            unnamed=tuple(arg.value for arg in args if arg.name is None and arg.value is not None),
            around=around,
            reading=self,
        )

    def _code_in_strings(self, step: Step, depth: int) -> None:
        for value, around, name in _codes(step):
            match value:
                case ast.Block() | ast.Array() | None:
                    continue  # read with the rest
                case ast.Variable() if value.name in self.constants:
                    texts: Iterable[Text] = [Text(text, whole=True) for text in self.constants[value.name]]
                case _:
                    text = text_of(value, self.constants)
                    texts = () if text is None else (text,)
            place = step.around.place or Place(value.at.line, value.at.column)
            if not all(text.whole for text in texts) or not texts:
                self.troubles.append(Trouble(place, None))
            for text in texts:
                if name in ("source", "script", "") or not _SCRIPT_NAME.fullmatch(text.text):
                    self._nest(text.text, replace(around, place=place, partial=not text.whole), depth + 1)

    def _nest(self, code: str, around: Around, depth: int) -> None:
        place = around.place or Place(1, 1)
        self._nested += len(code)
        if depth > _MAX_NESTING or self._nested > _MAX_NESTED:
            self.troubles.append(Trouble(place, None))
            return
        try:
            program = parse(code.encode("utf-8", "surrogateescape"), tolerant=True)
        except ScriptSyntaxError as error:
            if around.partial:
                return  # it is told already that this code is not seen
            self.troubles.append(Trouble(place, str(error)))
        else:
            self._read(program, around, depth)


def _codes(step: Step) -> Iterator[tuple[ast.Value | None, Around, str]]:
    """The arguments that hold code, how it will be run, and the parameter's name (empty: none)."""
    here = step.around
    if step.menu:
        for name, value in step.args.items():
            if name in CODE:
                yield value, replace(here, later=True), name
        return
    first = step.unnamed[0] if step.unnamed else None
    if step.verb == "execute":
        yield step.args.get("script", first), replace(here, detached=not step.has("as-string")), ""
    elif step.verb == "parse":
        yield step.args.get("value", first), replace(here, function=True), ""


_BRANCHES = frozenset({"if"})
_LOOPS = frozenset({"for", "foreach", "while"})
_DECLARES = frozenset({"local", "global", "set"})


def _children(node: ast.Statement | ast.Value, here: Around) -> Iterator[tuple[ast.Statement | ast.Value, Around]]:
    match node:
        case ast.Command():
            if node.callee is not None:
                yield node.callee, here
            for arg in node.args:
                if arg.value is not None:
                    yield arg.value, _inside(node, arg, here)
            if node.where is not None:
                yield node.where, here
        case ast.Scope():
            yield node.block, here
        case ast.Substitution() | ast.Block():
            for statement in node.statements:
                yield statement, here
        case _:
            for part in parts(node):
                yield part, here


def _inside(command: ast.Command, arg: ast.Arg, here: Around) -> Around:
    """What the code in an argument stands in."""
    builtin = command.name if not command.menu else None
    is_code = isinstance(arg.value, ast.Block)
    if command.menu:
        return replace(here, later=True) if is_code and arg.name in CODE else here
    if builtin in _DECLARES:
        return replace(here, function=True) if arg.name == "do" else here
    if builtin in _BRANCHES:
        return replace(here, guarded=True) if is_code else here
    if builtin in _LOOPS:
        again = is_code or builtin == "while"  # whose condition is asked again, too
        return replace(here, loop=True) if again else here
    if builtin == "do":
        if arg.name == "on-error":
            return replace(here, guarded=True)
        return replace(here, loop=True) if any(a.name == "while" for a in command.args) else here
    if builtin == "onerror":
        return replace(here, guarded=True) if arg.name == "do" else here
    if builtin == "retry":
        return replace(here, guarded=True) if arg.name == "on-error" else replace(here, loop=True)
    if builtin == "execute" and is_code:
        return replace(here, detached=all(a.name != "as-string" for a in command.args))
    return here
