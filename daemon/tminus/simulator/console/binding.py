"""From the shape of a script to its commands: which menu, which verb, which arguments.

This is done for a whole line or file before anything runs, so an unknown name anywhere means that nothing is applied.
The parser knows the names of one real device; a name that the simulated one does not have is found here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NoReturn, assert_never

from tminus.routeros.language import ScriptSyntaxError, ast, names, parse
from tminus.routeros.language.names import complete
from tminus.simulator.config import menus
from tminus.simulator.config.kinds import accepts_literal
from tminus.simulator.config.schema import Path
from tminus.simulator.versions import Version

from . import signatures
from .signatures import Signature
from .wording import reworded


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One command, understood."""

    path: Path
    verb: str  # empty: nothing to run, the command only changed the menu; "$" calls a function
    builtin: bool
    named: Mapping[str, ast.Value | None]  # values without a name have got the name of their place
    flags: frozenset[str]
    extra: tuple[ast.Value, ...] = ()  # unnamed arguments of a function call

    @property
    def label(self) -> str:
        """As error messages name it: ``/ip/address/add``, ``:put``."""
        return f":{self.verb}" if self.builtin else "/" + "/".join((*self.path, self.verb))


@dataclass(frozen=True, slots=True, eq=False)
class Bindings:
    """The commands of one parsed text by the identity of their nodes."""

    program: ast.Program
    version: Version
    _bound: dict[int, Bound] = field(default_factory=dict)

    def of(self, command: ast.Command) -> Bound:
        return self._bound[id(command)]


@lru_cache(maxsize=256)
def load(source: bytes, version: Version) -> Bindings:
    """Parse and bind; ScriptSyntaxError with RouterOS's message and place. Routers run much the same text: cached."""
    try:
        bindings = Bindings(parse(source, names=menus.device(version)), version)
        _Binder(bindings).statements(bindings.program.statements)
    except ScriptSyntaxError as error:
        raise reworded(error, source, version) from None
    return bindings


class _Binder:
    def __init__(self, bindings: Bindings) -> None:
        self._bound = bindings._bound
        self._version = bindings.version
        self._names = menus.device(bindings.version)

    def statements(self, statements: Iterable[ast.Statement]) -> None:
        for statement in statements:
            match statement:
                case ast.Scope():
                    if statement.menu and self._names.at(statement.menu) is None:
                        word = statement.words[-1]
                        _fail(f"bad command name {word.text}", word.at)
                    self.statements(statement.block.statements)
                case ast.Command():
                    self._bound[id(statement)] = self._command(statement)
                case _:
                    assert_never(statement)

    def _command(self, command: ast.Command) -> Bound:
        if command.callee is not None:
            return self._call(command, command.callee)
        command = _reread(command, self._names)
        path, verb = command.menu, command.name
        if path and self._names.at(path) is None:
            word = command.words[_missing(command, self._names)]
            _fail(f"bad command name {word.text}", word.at)
        if verb is None:
            return Bound(path=path, verb="", builtin=False, named={}, flags=frozenset())
        signature = signatures.builtin(verb) if path == () else signatures.signature(path, verb)
        if signature is None or not command.known:
            word = command.words[-1]
            _fail(f"bad command name {word.text}", word.at)
        return self._arguments(command, signature, path, verb)

    def _call(self, command: ast.Command, callee: ast.Value) -> Bound:
        named: dict[str, ast.Value | None] = {}
        extra: list[ast.Value] = []
        self._value(callee)
        for arg in command.args:
            self._value(arg.value)
            if arg.name is not None:
                named[arg.name] = arg.value
            elif arg.value is not None:
                extra.append(arg.value)
        return Bound(path=command.menu, verb="$", builtin=True, named=named, flags=frozenset(), extra=tuple(extra))

    def _arguments(self, command: ast.Command, signature: Signature, path: Path, verb: str) -> Bound:
        builtin = path == ()
        missing = self._version.missing_arguments(path, verb)
        if missing:
            signature = replace(signature, named=signature.named - missing, flags=signature.flags - missing)
        named: dict[str, ast.Value | None] = {}
        flags: set[str] = set()
        for arg in command.args:
            if arg.name is None and isinstance(arg.value, ast.Literal) and arg.value.text in signature.flags:
                flags.add(arg.value.text)
                continue
            if arg.name is None and isinstance(arg.value, ast.Literal) and arg.value.text.startswith("!"):
                unset = complete(arg.value.text[1:], signature.named)
                if unset is not None and verb == "set" and not builtin:
                    flags.add(f"!{unset}")
                    continue
            name = self._name(arg, signature, named)
            if arg.name is not None:
                self._check(path, verb, name, arg.value)
            named[name] = arg.value
            self._value(arg.value, code=builtin)
        if command.where is not None:
            self._value(command.where)
            named["where"] = command.where
        if verb in ("set", "remove") and "numbers" in signature.positional and "numbers" not in named:
            _fail("expected item id", command.at)
        return Bound(path=path, verb=verb, builtin=builtin, named=named, flags=frozenset(flags))

    def _name(self, arg: ast.Arg, signature: Signature, taken: Mapping[str, object]) -> str:
        """Which parameter an argument is for: the one it names, or the next one in its place."""
        if arg.name is None:
            name = next((place for place in signature.positional if place not in taken), None)
            return name if name is not None else _fail(self._surplus(arg, signature), arg.at)
        name = complete(arg.name, signature.named)
        return name if name is not None else _fail(self._unwanted(arg.name, signature), arg.at)

    @staticmethod
    def _surplus(arg: ast.Arg, signature: Signature) -> str:
        if isinstance(arg.value, ast.Literal) and not signature.positional:
            return f"bad parameter {arg.value.text}"
        return "expected end of command"

    @staticmethod
    def _unwanted(name: str, signature: Signature) -> str:
        return "expected end of command" if name in signature.flags else f"bad parameter {name}"

    def _check(self, path: Path, verb: str, name: str, value: ast.Value | None) -> None:
        """A constant outside the words that a property allows is a syntax error."""
        menu = menus.find(path)
        if menu is None or verb not in ("add", "set") or name not in menu.fields:
            return
        match value:
            case ast.Literal(text=text):
                constant: str | None = text
            case ast.String():
                constant = value.plain
            case _:
                constant = None
        if value is not None and constant is not None and not accepts_literal(menu.fields[name], constant):
            _fail("syntax error", value.at)

    def _value(self, value: ast.Value | None, *, code: bool = True) -> None:  # noqa: PLR0912 - a branch a kind
        while isinstance(value, ast.Binary):  # a long chain is a tree as deep as the chain
            self._value(value.right)
            value = value.left
        match value:
            case None | ast.Literal() | ast.Variable() | ast.Property():
                pass
            case ast.String() | ast.Joined():
                for part in value.parts:
                    if not isinstance(part, str):
                        self._value(part)
            case ast.Substitution():
                self.statements(value.statements)
            case ast.Block():
                if code:  # the text of a script or an event is checked when it is run
                    self.statements(value.statements)
            case ast.Array():
                for item in value.items:
                    self._value(item.key)
                    self._value(item.value)
            case ast.Unary():
                self._value(value.operand)
            case ast.Group():
                self._value(value.inner)
            case _:
                assert_never(value)


def _reread(command: ast.Command, known: names.Menu) -> ast.Command:
    """A menu that the parser's device lacks looks like an unknown command with values: read those as words."""
    if command.known or command.name is None:
        return command
    path, words, args = (*command.menu, command.name), command.words, command.args
    verb = None
    while known.at(path) is not None:
        if not (args and args[0].name is None and isinstance(args[0].value, ast.Literal)):
            return replace(command, menu=path, name=None, known=True, words=words, args=args)
        word, args = ast.Word(at=args[0].value.at, text=args[0].value.text), args[1:]
        words = (*words, word)
        if known.at((*path, word.text)) is None:
            verb = word.text
            break
        path = (*path, word.text)
    return command if verb is None else replace(command, menu=path, name=verb, known=True, words=words, args=args)


def _missing(command: ast.Command, known: names.Menu) -> int:
    """Which word names the first menu that the simulator does not have."""
    depth = next(depth for depth in range(1, len(command.menu) + 1) if known.at(command.menu[:depth]) is None)
    surplus = len(command.menu) - depth + (command.name is not None)  # words behind it
    return max(len(command.words) - 1 - surplus, 0)


def _fail(message: str, at: ast.Position) -> NoReturn:
    raise ScriptSyntaxError(message, at.line, at.column)
