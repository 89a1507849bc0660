"""Values and expressions: strings, variables, ``[ ]``, ``( )``, ``{ }``, operators, conditions.

Facts behind the rules (observed on 7.23, and in agreement with the verdicts of 7.22.1): ``,`` binds last, after values
side by side; an operand that is missing before the closing bracket is reported behind that bracket, elsewhere where it
should be; ``{}`` is a value inside an expression but not an argument, ``()`` is none at all; a ``#`` never begins a comment
between ``( )`` or the items of an array; an id (``*1``) cannot be written in an expression.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal as Choice

from . import ast
from .braces import Braces
from .cursor import LINE_BLANK, MAX_DEPTH, VARIABLE_NAME, WORD, Cursor, text_of
from .problem import NO_BRACE, SYNTAX
from .variables import Scope

# How tightly operators bind and group, as measured on 7.23 over all pairs of them.
_LEVELS = (
    (b",",),
    (b"",),  # values side by side
    (b"||", b"or"),
    (b"&&", b"and"),
    (b"in",),
    (b"=", b"!=", b"<", b">", b"<=", b">=", b"~"),
    (b".",),
    (b"<<", b">>"),
    (b"|",),
    (b"^",),
    (b"&",),
    (b"+", b"-"),
    (b"*", b"/", b"%"),
    (b"<%%",),
    (b"->",),
)
_PRECEDENCE = {operator: level for level, operators in enumerate(_LEVELS) for operator in operators}
_BESIDE = _PRECEDENCE[b""]
_UNARY = len(_LEVELS)  # also tighter than "->"
_RIGHT = frozenset({b"<<", b">>", b"<%%"})  # these group to the right, all others to the left
_SPELLED = {b"and": "&&", b"or": "||"}
_COMPARES = frozenset({"=", "!=", "<", ">", "<=", ">=", "~", "in"})
_OPERATOR = re.compile(
    rb"->|<%%|&&|\|\||<<|>>|<=|>=|!=|[-+*/%<>=~&|^.,]|(?:and|or|in)(?![A-Za-z0-9_])",
)
_PREFIX = re.compile(rb"[!~>-]|any(?![A-Za-z0-9_-])")
# An address with a prefix keeps its slash; between other operands it divides.
_LITERAL = re.compile(
    rb"[0-9]+(?:\.[0-9]+)+/[0-9]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*/[0-9]+|/[A-Za-z0-9_:.]*|[A-Za-z0-9_:.]+"
)
_CONDITION_WORD = re.compile(rb"[#%*+,./0-9:@A-Z^_a-z-][!#%*+,./0-9:@A-Z^_a-z-]*")
_KEY = re.compile(rb"[A-Za-z0-9./-]+(?==)")  # of an item of an array; with a blank before "=" it is none
_QUOTED_KEY = re.compile(rb'"(?:[^"\\$]|\\.)*"(?==)', re.DOTALL)
_PLAIN_STRING = re.compile(rb'"[^"\\$]*"')
_ENDS = frozenset({b"", b")", b"]", b"}", b";", b"\r", b"\n"})
_PREFIX_STARTS = frozenset({b"!", b"~", b">", b"-", b"a"})
_OPERAND_STARTS = frozenset({b'"', b"$", b"[", b"(", b"{", b"!", b"~"})
_CONDITION_STARTS = _OPERAND_STARTS - {b"{"}
_VALUE_STARTS = frozenset({b'"', b"$", b"["})
_CODE_START = re.compile(rb"[ \t\r\n]*[:/]")

PLACEHOLDER = re.compile(rb"\$\(([A-Za-z][A-Za-z0-9_-]{0,63})\)")
"""Ours, not RouterOS's: it is read as a variable whose name has the parentheses, and only where that is asked for."""

Mode = Choice["group", "element", "condition"]


_CODE_SCOPES = {Braces.CODE: Scope.BLOCK, Braces.FUNCTION: Scope.FUNCTION, Braces.TEXT: Scope.TEXT}


class ValueParser(Cursor, ABC):
    placeholders = False  # read $(name) as a value

    @abstractmethod
    def code(self, closer: bytes, scope: Scope = Scope.BLOCK) -> tuple[ast.Statement, ...]:
        """Commands up to the closer, which is taken too. The cursor is behind the opening bracket."""

    def value(self, braces: Braces = Braces.ARRAY) -> ast.Value | None:
        """A value as arguments have them; None if none starts here."""
        start = self.pos
        raw = self.match(WORD)
        if raw is not None:
            return ast.Literal(at=self.position(start), text=text_of(raw))
        match self.here:
            case b'"':
                return self.string()
            case b"$":
                return self._placeholder() or self.variable()
            case b"[":
                return self.substitution()
            case b"(":
                return self.group()
            case b"{":
                return self._braces(braces)
        return None

    def _placeholder(self) -> ast.Variable | None:
        start = self.pos
        raw = self.match(PLACEHOLDER) if self.placeholders else None
        return None if raw is None else ast.Variable(at=self.position(start), name=raw[1:].decode())

    def variable(self) -> ast.Variable:
        start = self.pos
        self.pos += 1
        if self.here == b'"':
            name = self.string().plain
            if name is None:
                self.fail(SYNTAX, start + 1)
            return ast.Variable(at=self.position(start), name=name)
        raw = self.match(VARIABLE_NAME)
        if raw is None:
            self.fail(SYNTAX)
        return ast.Variable(at=self.position(start), name=raw.decode())

    def string(self) -> ast.String:
        start = self.pos
        raw = self.match(_PLAIN_STRING)
        if raw is not None:
            return ast.String(at=self.position(start), parts=(text_of(raw[1:-1]),) if raw != b'""' else ())
        self.pos += 1
        parts: list[str | ast.Variable | ast.Substitution | ast.Group] = []
        texts: list[str] = []
        while self.here != b'"':
            text = self.plain_text()
            if text is not None:
                texts.append(text)
                continue
            if not self.here:
                self.fail(SYNTAX)
            if texts:
                parts.append(_join(texts))
                texts = []
            parts.append(self._interpolation())
        self.pos += 1
        if texts:
            parts.append(_join(texts))
        return ast.String(at=self.position(start), parts=tuple(parts))

    def _interpolation(self) -> ast.Variable | ast.Substitution | ast.Group:
        start = self.pos
        placeholder = self._placeholder()
        if placeholder is not None:
            return placeholder
        self.pos += 1
        match self.here:
            case b"(":
                return self.group()
            case b"[":
                return self.substitution()
        raw = self.match(VARIABLE_NAME)
        if raw is None:
            self.fail(SYNTAX)
        return ast.Variable(at=self.position(start), name=raw.decode())

    def substitution(self, scope: Scope = Scope.BLOCK) -> ast.Substitution:
        start = self.pos
        self.pos += 1
        self.enter()
        statements = self.code(b"]", scope)
        self.leave()
        return ast.Substitution(at=self.position(start), statements=statements)

    def group(self, *, condition: bool = False) -> ast.Group:
        start = self.pos
        self.pos += 1
        self.enter()
        inner = self.expression("condition" if condition else "group", closer=b")")
        self.leave()
        if self.here != b")":
            self.fail(SYNTAX)
        self.pos += 1
        return ast.Group(at=self.position(start), inner=inner)

    def _braces(self, braces: Braces) -> ast.Block | ast.Array:
        if braces is Braces.REFUSED:
            self.fail(SYNTAX)
        if braces is Braces.EITHER and _CODE_START.match(self.source, self.pos + 1):
            braces = Braces.CODE
        scope = _CODE_SCOPES.get(braces)
        if scope is not None:
            return self.block(scope)
        array = self._array()
        if not array.items:
            self.fail(SYNTAX)
        return array

    def block(self, scope: Scope = Scope.BLOCK) -> ast.Block:
        start = self.pos
        self.pos += 1
        self.enter()
        statements = self.code(b"}", scope)
        self.leave()
        text = text_of(self.source[start + 1 : self.pos - 1])
        return ast.Block(at=self.position(start), statements=statements, text=text)

    def _array(self) -> ast.Array:
        start = self.pos
        self.pos += 1
        self.enter()
        items: list[ast.ArrayItem] = []
        while True:
            self.match(LINE_BLANK)
            if self.here == b"}":
                break
            items.append(self._item())
            lines = b"\n" in (self.match(LINE_BLANK) or b"")
            if self.here == b";":
                self.pos += 1
            elif self.here != b"}" and not lines:
                self.fail(SYNTAX if self.here else NO_BRACE)
        self.pos += 1
        self.leave()
        return ast.Array(at=self.position(start), items=tuple(items))

    def _item(self) -> ast.ArrayItem:
        if not self.here:
            self.fail(NO_BRACE)
        start = self.pos
        raw = self.match(_KEY)
        key: ast.Value
        if raw is not None:
            key = ast.Literal(at=self.position(start), text=text_of(raw))
        elif _QUOTED_KEY.match(self.source, start):
            key = self.string()
        else:
            return ast.ArrayItem(key=None, value=self.expression("element", closer=b"}"))
        self.pos += 1
        self.match(LINE_BLANK)
        if self.here in (b";", b"}"):  # "a=" is the same as "a" in quotes
            return ast.ArrayItem(key=None, value=key)
        return ast.ArrayItem(key=key, value=self.expression("element", closer=b"}"))

    def expression(self, mode: Mode, *, closer: bytes = b"") -> ast.Value:
        """Operands and operators, grouped by precedence with two stacks, so that a long chain costs no depth.

        In a condition, side by side means "and", and a name that is not compared to is a property. ``closer`` is the
        bracket behind the expression.
        """
        condition = mode == "condition"
        lines = mode == "element"  # a new line is a blank, but what follows it is the next item
        skip = self._skip_lines if lines else self.skip_blank
        operands: list[ast.Value] = []
        pending: list[tuple[int, str, ast.Position]] = []  # precedence, operator, place; _UNARY marks a prefix
        while True:
            compared = bool(pending) and pending[-1][0] != _UNARY and pending[-1][1] in _COMPARES
            self._prefixes(pending, skip)
            operands.append(self._operand(closer, condition=condition, names=condition and not compared))
            end = self.pos
            skip()
            start = self.pos
            raw = self.match(_OPERATOR)
            if raw is not None:
                level, symbol = _PRECEDENCE[raw], _SPELLED.get(raw, raw.decode())
                skip()
            elif self._operand_follows(condition=condition) and not (lines and b"\n" in self.source[end:start]):
                level, symbol = _BESIDE, "&&" if condition else ""
            else:
                if lines:
                    self.pos = end
                break
            _reduce(operands, pending, level + (raw in _RIGHT))
            pending.append((level, symbol, self.position(start)))
        _reduce(operands, pending, 0)
        return operands[0]

    def _skip_lines(self) -> bool:
        return bool(self.match(LINE_BLANK))

    def _prefixes(self, pending: list[tuple[int, str, ast.Position]], skip: Callable[[], bool]) -> None:
        count = 0
        skip()
        while self.source[self.pos : self.pos + 1] in _PREFIX_STARTS:
            start = self.pos
            raw = self.match(_PREFIX)
            if raw is None:
                return
            count += 1
            if count > MAX_DEPTH:
                self.fail(f"more than {MAX_DEPTH} prefix operators in a row")
            pending.append((_UNARY, raw.decode(), self.position(start)))
            skip()

    def _operand_follows(self, *, condition: bool) -> bool:
        here = self.here
        if here in _ENDS:
            return False
        if condition:
            return here in _CONDITION_STARTS or _CONDITION_WORD.match(self.source, self.pos) is not None
        return here in _OPERAND_STARTS or _LITERAL.match(self.source, self.pos) is not None

    def _operand(self, closer: bytes, *, condition: bool, names: bool) -> ast.Value:
        start = self.pos
        here = self.here
        if here == b"(":
            return self.group(condition=names)
        if here == b"{" and not condition:
            return self._array()
        if here in _VALUE_STARTS:
            value = self.value()
            if names and isinstance(value, ast.Variable) and value.name[0] == "(":
                self.fail(SYNTAX, start)  # a placeholder is no name of a property
            if value is not None:
                return value
        raw = self.match(_CONDITION_WORD if condition else _LITERAL)
        if raw is None:
            self.fail(SYNTAX, start + (here != b"" and here == closer))
        if names:
            return ast.Property(at=self.position(start), name=text_of(raw))
        return ast.Literal(at=self.position(start), text=text_of(raw))


def _join(texts: list[str]) -> str:
    """Pieces of one text; an escaped byte may be a part of a character, so they are decoded together."""
    return "".join(texts).encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def _reduce(operands: list[ast.Value], pending: list[tuple[int, str, ast.Position]], level: int) -> None:
    """Build the nodes of the waiting operators that bind at least as tightly as ``level``."""
    while pending and pending[-1][0] >= level:
        precedence, symbol, at = pending.pop()
        right = operands.pop()
        if precedence == _UNARY:
            operands.append(ast.Unary(at=at, op=symbol, operand=right))
            continue
        left = operands.pop()
        if symbol:
            operands.append(ast.Binary(at=at, op=symbol, left=left, right=right))
        else:
            operands.append(ast.Joined(at=at, parts=(left, right)))
