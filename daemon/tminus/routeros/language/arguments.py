"""The arguments of a command. The rules are told in ``parser.py``."""

from __future__ import annotations

import re
from typing import NamedTuple, NoReturn

from . import ast
from .braces import Braces, braces_of
from .cursor import VARIABLE_NAME, WORD, text_of
from .names import Signature
from .problem import NO_END, SYNTAX
from .values import ValueParser
from .variables import Variables

# Built-in commands whose first argument names variables, and the parameter it fills.
_DECLARES = {"local": "name", "global": "name", "for": "counter", "foreach": "counter", "onerror": "error"}
_NAMES_VARIABLE = {**_DECLARES, "set": "name"}
_VARIABLE_NAMES = re.compile(rb"[A-Za-z0-9]+(?:,[A-Za-z0-9]+)*")
_VARIABLE_STARTS = frozenset({b'"', b"$", b"(", b"["})
_ANY_PARAMETER = frozenset({"do", "time", "retry", "onerror", "recursive-print", "shell"})


class Arguments(NamedTuple):
    args: tuple[ast.Arg, ...]
    where: ast.Value | None = None
    missing: tuple[str, ...] = ()


class ArgumentParser(ValueParser):
    variables: Variables
    tolerant: bool  # commands may have parameters that we don't know
    unknown: list[ast.UnknownName]  # so far

    def unknown_arguments(self) -> tuple[ast.Arg, ...]:
        """Of a command that we don't know: anything that looks like arguments."""
        args: list[ast.Arg] = []
        while True:
            spaced = self.skip_blank()
            if self.at_end:
                return tuple(args)
            if not spaced:
                self.fail(SYNTAX, by_name=True)
            start = self.pos
            name = self._name()
            if name is None:
                value = self._guarded_value(start)
                if value is None:
                    self.fail(SYNTAX, start, by_name=True)
            else:
                equals = self.pos - 1
                value = None if self._between() else self._guarded_value(equals)
            args.append(ast.Arg(at=self.position(start), name=name, value=value))

    def _between(self) -> bool:
        """Nothing stands between the ``=`` and the next blank or the end."""
        return self.at_end or self.here in b" \t\\"

    def _guarded_value(self, fallback: int) -> ast.Value | None:
        """A value as an unknown command may have it; else the error is at ``fallback``."""
        if self.here == b"{":
            self.fail(SYNTAX, fallback, by_name=True)
        start = self.pos
        value = self.value()
        if value is None and fallback != start:
            self.fail(SYNTAX, fallback, by_name=True)
        if isinstance(value, ast.String) and value.plain is None:
            self.fail(SYNTAX, fallback, by_name=True)
        return value

    def call_arguments(self) -> tuple[ast.Arg, ...]:
        """Of a function: any names, any number."""
        args: list[ast.Arg] = []
        while True:
            spaced = self.skip_blank()
            if self.at_end:
                return tuple(args)
            if not spaced:
                self.fail(SYNTAX)
            start = self.pos
            name = self._name()
            if name is not None:
                self.skip_blank()
            value = self.value(Braces.EITHER)
            if value is None and not (name is not None and self.at_end):
                self.fail(SYNTAX)
            args.append(ast.Arg(at=self.position(start), name=name, value=value))

    def known_arguments(self, start: int, builtin: str, command: str, signature: Signature) -> Arguments:
        """Of a command with this signature; ``builtin`` is its name if it belongs to the language, else empty."""
        reader = _Reader(self, builtin, command, signature)
        while True:
            spaced = self.skip_blank()
            if self.at_end or reader.where is not None:
                break
            if not spaced:
                self.fail(NO_END)
            reader.argument()
        reader.check_variable(start)
        return Arguments(tuple(reader.args), reader.where, reader.missing())

    def _name(self) -> str | None:
        """Take ``name=`` or ``"name"=``; nothing if the next argument has no name."""
        start = self.pos
        found = _NAMED.match(self.source, start)
        if found is None:
            return None
        self.pos = found.end()
        return _spelled(found)


def _spelled(named: re.Match[bytes]) -> str:
    return text_of(named.group(1) or named.group(2))


_PLAIN = re.compile(rb"([a-z0-9.-]+)=(" + WORD.pattern + rb")(?=[ \t\r\n;\]}]|\Z)")
_NAMED = re.compile(rb"(?:(" + WORD.pattern + rb')|"([^"\\$]+)")=')


class _Reader:
    """One command's arguments so far."""

    def __init__(self, parser: ArgumentParser, builtin: str, command: str, signature: Signature) -> None:
        self.args: list[ast.Arg] = []
        self.where: ast.Value | None = None
        self._parser = parser
        self._builtin = builtin
        self._signature = signature
        self._condition = command == "find" and "where" in signature.values
        self._open = parser.tolerant or command in _ANY_PARAMETER
        self._given: set[str] = set()
        self._unnamed = 0
        self._family = ""  # of the dotted parameter given last: after "configuration.mode=ap", ".ssid=x" is of the same

    def argument(self) -> None:
        parser = self._parser
        start = parser.pos
        if self._condition:
            self._read_where(start)
            return
        if self._plain(start):
            return
        variable = self._builtin in _NAMES_VARIABLE and not self._given and not self._unnamed
        name = parser._name()
        if name is not None and not (variable and self._signature.parameter(name) is None):
            self._named(start, name)
            return
        if variable:
            parser.pos = start
            self._unnamed = 1
            self._add(start, None, self._variable())
            return
        raw = parser.match(WORD)
        if raw is not None:
            self._word(start, text_of(raw))
            return
        self._count(start)
        value = parser.value(self._braces(None))
        if value is None:
            parser.fail(NO_END, start)
        self._add(start, None, value)

    def _plain(self, start: int) -> bool:
        """``name=word`` in one step: most of a script is that. True if it was, else nothing happened."""
        parser = self._parser
        found = _PLAIN.match(parser.source, start)
        if found is None or self._builtin in _NAMES_VARIABLE:
            return False
        name = self._signature.plain.get(found.group(1))
        if name is None or name in self._given:
            return False
        self._given.add(name)
        if "." in name:
            self._family = name[: name.rindex(".")]
        parser.pos = found.end()
        value = ast.Literal(at=parser.position(found.start(2)), text=text_of(found.group(2)))
        self.args.append(ast.Arg(at=parser.position(start), name=name, value=value))
        return True

    def _braces(self, name: str | None) -> Braces:
        known = name is None or not self._open or self._signature.parameter(name) is not None
        return braces_of(self._builtin, name, known=known)

    def _add(self, start: int, name: str | None, value: ast.Value | None) -> None:
        self.args.append(ast.Arg(at=self._parser.position(start), name=name, value=value))

    def _refuse(self, start: int) -> NoReturn:
        self._parser.fail(NO_END, start, by_name=True)

    def _has_place(self) -> bool:
        """One more value without a name may stand."""
        return self._signature.any_unnamed or self._unnamed < self._signature.unnamed

    def _count(self, start: int) -> None:
        if not self._has_place():
            self._refuse(start)
        self._unnamed += 1

    def _named(self, start: int, written: str) -> None:
        parser = self._parser
        name = self._signature.parameter(written)
        if name is None and written[0] == ".":
            name = self._signature.parameter(self._family + written)
        if name is None:
            if not self._open:
                # Where a value without a name may stand, the name is read as one, and "=" is what does not belong.
                self._refuse(parser.pos - 1 if self._has_place() else start)
            name = written
        elif name in self._signature.flags:
            parser.fail(NO_END, parser.pos - 1)
        if "." in name:
            self._family = name[: name.rindex(".")]
        parser.skip_blank()
        self._read_value(start, name)

    def _read_value(self, start: int, name: str) -> None:
        """The value of a parameter; the cursor is where it begins."""
        parser = self._parser
        if name in self._given and not self._open:
            parser.fail(NO_END, start)
        self._given.add(name)
        if parser.at_end:
            if name == "where":
                parser.fail("missing value for where")
            self._add(start, name, None)
            return
        if _NAMES_VARIABLE.get(self._builtin) == name:
            self._add(start, name, self._variable())
            return
        begin = parser.pos
        value = parser.value(self._braces(name))
        if value is None:
            parser.fail(SYNTAX)
        if name in self._signature.switches and not _may_switch(value):
            parser.fail(SYNTAX, begin)
        self._add(start, name, value)

    def _word(self, start: int, word: str) -> None:
        parser, signature = self._parser, self._signature
        if word == "where" and "where" in signature.values:
            parser.pos = start
            self._read_where(start)
            return
        bare = word.removeprefix("!")
        name = signature.parameter(bare)
        if name is not None and (name in signature.flags or bare != word):
            self._given.add(name)
        elif name is not None and self._takes_next(name == word):
            self._read_value(start, name)
            return
        else:
            self._count(start)
        self._add(start, None, ast.Literal(at=parser.position(start), text=word))

    def _takes_next(self, exact: bool) -> bool:
        """``do { }`` is ``do={ }``: a parameter's name and a blank before its value. Go to the value if that is so here.

        Where a value without a name may stand, a word is a parameter only if it is spelled out and no other parameter
        follows: in ``set remote remote=10.0.0.1`` the first one is an item's name.
        """
        parser = self._parser
        end = parser.pos
        if parser.skip_blank() and not parser.at_end:
            if not self._has_place():
                return True
            following = _NAMED.match(parser.source, parser.pos)
            if exact and (following is None or self._signature.parameter(_spelled(following)) is None):
                return True
        parser.pos = end
        return False

    def _read_where(self, start: int) -> None:
        parser = self._parser
        if _WHERE.match(parser.source, start):
            parser.pos = start + len(b"where")
            if parser.here == b"=":
                parser.pos += 1
            parser.skip_blank()
            if parser.at_end and self._open:
                return  # a word like others, to a command of which we do not know everything
            if parser.at_end:
                parser.fail("missing value for where")
        self.where = parser.expression("condition")

    def _variable(self) -> ast.Value:
        """The place of a variable's name. ``:set`` wants it declared; the others declare it."""
        parser, builtin = self._parser, self._builtin
        start = parser.pos
        names: list[str] = []
        value: ast.Value | None
        raw = parser.match(_VARIABLE_NAMES if builtin == "foreach" else VARIABLE_NAME)
        if raw is not None:
            value = ast.Literal(at=parser.position(start), text=raw.decode())
            names = value.text.split(",")
        else:
            value = parser.value() if parser.here in _VARIABLE_STARTS else None
            match value:
                case ast.String():
                    if parser.placeholders and value.plain is None:
                        parser.fail(SYNTAX, start)
                    names = [value.plain] if value.plain else []
                case ast.Variable():
                    if value.name[0] == "(":
                        parser.fail(SYNTAX, start)  # a placeholder is no name of a variable
                    names = [value.name]
                case None:
                    parser.fail(SYNTAX, start)
        if builtin != "set":
            parser.variables.declare(names)
        elif not isinstance(value, ast.Variable) and not all(map(parser.variables.declared, names)):
            # Behind a menu that we don't know, "set" may be that menu's.
            parser.fail(SYNTAX, start, by_name=bool(parser.unknown))
        return value

    def missing(self) -> tuple[str, ...]:
        """Values without a name fill what is required and was not named, in order."""
        required = self._signature.required
        if not required or self.where is not None:
            return ()
        return tuple([name for name in required if name not in self._given][self._unnamed :])

    def check_variable(self, start: int) -> None:
        """A command that names a variable without naming one. Other parameters that are missing show when it runs."""
        name = _NAMES_VARIABLE.get(self._builtin)
        if name is not None and name not in self._given and not self._unnamed:
            self._parser.fail(f"expected {name} value", start)


def _may_switch(value: ast.Value) -> bool:
    """Can this be "yes" or "no", or the beginning of one? What is not written out shows when it runs."""
    match value:
        case ast.Literal(text=text):
            pass
        case ast.String():
            if value.plain is None:
                return True
            text = value.plain
        case _:
            return True
    return text == "" or "yes".startswith(text) or "no".startswith(text)


_WHERE = re.compile(rb"where(?![^ \t\\=;\r\n\]}({$\"])")
