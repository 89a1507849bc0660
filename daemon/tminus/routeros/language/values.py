"""Values and expressions: strings, variables, ``[ ]``, ``( )``, ``{ }``, operators, conditions."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import Literal as Choice

from . import ast
from .cursor import MAX_DEPTH, SEPARATOR, VARIABLE_NAME, WORD, Cursor, text_of
from .problem import NO_BRACE, SYNTAX

_UNARY = 9
_PRECEDENCE = {
    b"->": 10,
    b"<%%": 8,
    b"*": 7,
    b"/": 7,
    b"%": 7,
    b"+": 6,
    b"-": 6,
    b".": 5,
    b",": 5,
    b"<<": 4,
    b">>": 4,
    b"&": 4,
    b"|": 4,
    b"^": 4,
    b"=": 3,
    b"!=": 3,
    b"<": 3,
    b">": 3,
    b"<=": 3,
    b">=": 3,
    b"<>": 3,
    b"~": 3,
    b"in": 3,
    b"&&": 2,
    b"and": 2,
    b"||": 1,
    b"or": 1,
}
_BESIDE = 0  # values side by side bind last
_SPELLED = {b"and": "&&", b"or": "||"}
_COMPARES = frozenset({"=", "!=", "<", ">", "<=", ">=", "<>", "~", "in"})
_OPERATOR = re.compile(
    rb"->|<%%|&&|\|\||<<|>>|<=|>=|!=|<>|[-+*/%<>=~&|^.,]|(?:and|or|in)(?![A-Za-z0-9_])",
)
_PREFIX = re.compile(rb"[!~>-]|any(?![A-Za-z0-9_-])")
# An address with a prefix keeps its slash; between other operands it divides.
_LITERAL = re.compile(
    rb"[0-9]+(?:\.[0-9]+)+/[0-9]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*/[0-9]+|\*[0-9A-Fa-f]+|[A-Za-z0-9_:.]+",
)
_CONDITION_WORD = re.compile(rb"[#%*+,./0-9:@A-Z^_a-z-][!#%*+,./0-9:@A-Z^_a-z-]*")
_VALUE_STARTS = frozenset({b'"', b"$", b"[", b"{"})
_LINE_BLANK = re.compile(rb"[ \t\r\n]*")
_CODE_START = re.compile(rb"[:/]")

Mode = Choice["group", "element", "condition"]


class ValueParser(Cursor, ABC):
    @abstractmethod
    def code(self, closer: bytes, *, function: bool = False) -> tuple[ast.Statement, ...]:
        """Commands up to the closer, which is taken too. The cursor is behind the opening bracket."""

    def value(self, *, code: bool = False, function: bool = False) -> ast.Value | None:
        """A value as arguments have them; None if none starts here. ``code``: braces hold commands, not an array."""
        start = self.pos
        match self.here:
            case b'"':
                return self.string()
            case b"$":
                return self.variable()
            case b"[":
                return self.substitution()
            case b"(":
                return self.group()
            case b"{":
                return self.braces(code=code, function=function)
        raw = self.match(WORD)
        return None if raw is None else ast.Literal(at=self.position(start), text=text_of(raw))

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

    def substitution(self) -> ast.Substitution:
        start = self.pos
        self.pos += 1
        self.enter()
        statements = self.code(b"]")
        self.leave()
        return ast.Substitution(at=self.position(start), statements=statements)

    def group(self, *, condition: bool = False) -> ast.Group:
        start = self.pos
        self.pos += 1
        self.enter()
        inner = self.expression("group", property_names=condition)
        self.leave()
        if self.here != b")":
            self.fail(SYNTAX)
        self.pos += 1
        return ast.Group(at=self.position(start), inner=inner)

    def braces(self, *, code: bool, function: bool = False) -> ast.Block | ast.Array:
        start = self.pos
        self.pos += 1
        if not code:
            self.match(_LINE_BLANK)
            code = _CODE_START.match(self.source, self.pos) is not None
            self.pos = start + 1
        if code:
            return self.block(start, function=function)
        self.enter()
        items = self._items()
        self.leave()
        return ast.Array(at=self.position(start), items=tuple(items))

    def block(self, start: int, *, function: bool = False) -> ast.Block:
        """The cursor is behind the brace."""
        self.enter()
        statements = self.code(b"}", function=function)
        self.leave()
        text = text_of(self.source[start + 1 : self.pos - 1])
        return ast.Block(at=self.position(start), statements=statements, text=text)

    def _items(self) -> list[ast.ArrayItem]:
        items: list[ast.ArrayItem] = []
        while True:
            self.match(SEPARATOR)
            if not self.here:
                self.fail(NO_BRACE)
            if self.here == b"}":
                self.pos += 1
                return items
            items.append(self._item())
            self.skip_blank()
            if self.here not in b";\r\n}":
                self.fail(SYNTAX)

    def _item(self) -> ast.ArrayItem:
        value = self.expression("element")
        if isinstance(value, ast.Binary) and value.op == "=":
            return ast.ArrayItem(key=value.left, value=value.right)
        return ast.ArrayItem(key=None, value=value)

    def expression(self, mode: Mode, *, property_names: bool = False) -> ast.Value:
        """Operands and operators, grouped by precedence with two stacks, so that a long chain costs no depth.

        In a condition, side by side means "and", and a name that is not compared to is a property.
        """
        condition = mode == "condition"
        operands: list[ast.Value] = []
        pending: list[tuple[int, str, ast.Position]] = []  # precedence, operator, place; _UNARY marks a prefix
        while True:
            compared = bool(pending) and pending[-1][0] != _UNARY and pending[-1][1] in _COMPARES
            self._prefixes(pending)
            operands.append(self._operand(condition=condition, names=(condition or property_names) and not compared))
            self.skip_blank()
            start = self.pos
            raw = self.match(_OPERATOR)
            if raw is not None:
                level, symbol = _PRECEDENCE[raw], _SPELLED.get(raw, raw.decode())
                self.skip_blank()
            elif self._operand_follows(condition=condition):
                level, symbol = _BESIDE, "&&" if condition else ""
            else:
                break
            _reduce(operands, pending, level)
            pending.append((level, symbol, self.position(start)))
        _reduce(operands, pending, _BESIDE)
        return operands[0]

    def _prefixes(self, pending: list[tuple[int, str, ast.Position]]) -> None:
        count = 0
        self.skip_blank()
        while True:
            start = self.pos
            raw = self.match(_PREFIX)
            if raw is None:
                return
            count += 1
            if count > MAX_DEPTH:
                self.fail(f"more than {MAX_DEPTH} prefix operators in a row")
            pending.append((_UNARY, raw.decode(), self.position(start)))
            self.skip_blank()

    def _operand_follows(self, *, condition: bool) -> bool:
        here = self.here
        word = _CONDITION_WORD if condition else _LITERAL
        return here != b"" and (here in b'"$[({!~' or word.match(self.source, self.pos) is not None)

    def _operand(self, *, condition: bool, names: bool) -> ast.Value:
        start = self.pos
        if self.here == b"(":
            return self.group(condition=names)
        if self.here in _VALUE_STARTS:
            value = self.value()
            if value is not None:
                return value
        raw = self.match(_CONDITION_WORD if condition else _LITERAL)
        if raw is None:
            self.fail(SYNTAX)
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
