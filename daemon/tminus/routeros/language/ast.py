"""What a RouterOS script says, as frozen values.

Text is ``str`` decoded as UTF-8 with ``surrogateescape``, so that any bytes survive a round trip. Positions count bytes,
as RouterOS does. Names are resolved as far as the parser's table of names goes (``names.py``): a command that it does
not know keeps its words, and what they mean is for someone who knows the device to say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Position(NamedTuple):
    offset: int  # bytes from the start of the source, from 0
    line: int  # from 1
    column: int  # as RouterOS counts: bytes from the start of the line, from 1; a tab goes to a multiple of 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """An unquoted value: a number, time, address, prefix, id, boolean or plain text."""

    at: Position
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """``$name`` or ``$"name with blanks"``; ``name`` is without the dollar. ``$1`` is the first unnamed argument."""

    at: Position
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class String:
    """A quoted string; escapes are already replaced. Parts in order; an empty string has none."""

    at: Position
    parts: tuple[str | Variable | Substitution | Group, ...]

    @property
    def plain(self) -> str | None:
        """The text, or None if it contains variables, commands or expressions."""
        texts = [part for part in self.parts if isinstance(part, str)]
        return "".join(texts) if len(texts) == len(self.parts) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Values written next to each other inside ``( )`` without an operator, as in ``("a" "b")``."""

    at: Position
    parts: tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Substitution:
    """``[ command; command ]``: the value is what the last command returns."""

    at: Position
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """``{ ... }`` holding code: a scope of its own, a function body, the argument of ``do=`` and the like."""

    at: Position
    statements: tuple[Statement, ...]
    text: str = field(repr=False)  # the source between the braces, for arguments that keep the text (source=, script=)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayItem:
    key: Value | None
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """``{a; b; key=value}``."""

    at: Position
    items: tuple[ArrayItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """The name of an item's property inside a ``where`` condition, as in ``[find where name=x and !disabled]``."""

    at: Position
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unary:
    """``op`` is one of ``! - ~ > any``; ``>`` keeps its operand as code instead of its value."""

    at: Position
    op: str
    operand: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """``op`` is the operator's symbol; ``and`` is given as ``&&``, ``or`` as ``||``. ``->`` indexes an array.

    ``,`` makes or extends an array, ``.`` joins texts, ``in`` asks whether an address lies in a prefix,
    ``<%%`` calls a function with an array of arguments. ``at`` is the place of the operator. Most operators group to the
    left, so a long chain is a tree as deep as the chain: walk the left side in a loop, not by recursion.
    """

    at: Position
    op: str
    left: Value
    right: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """``( expression )``; ``inner`` is None for ``()``, the empty value."""

    at: Position
    inner: Value | None


Value = Literal | Variable | String | Joined | Substitution | Block | Array | Property | Unary | Binary | Group


@dataclass(frozen=True, slots=True, kw_only=True)
class Arg:
    """``name=value`` (both), ``name=`` (value None), a bare flag or value (name None)."""

    at: Position
    name: str | None
    value: Value | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    at: Position
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command. Examples (words | args):

    ``/ip firewall filter add chain=input`` and ``/ip/firewall/filter/add chain=input``: ip firewall filter add | chain=input
    ``:put "x"``: put | "x" (colon is true)     ``set 0 name=x``: set | 0 name=x      ``/ip address``: ip address |
    ``$f 1 a=2``: no words, callee is ``$f`` | 1 a=2          ``:set x 5``: set | x 5

    ``words`` are the menus and the command as written, ``menu`` and ``name`` what they mean. ``name`` is None where there is
    no command: a line that only names a menu (it becomes the current menu of what follows), a call, or a value in brackets.
    Where the table of names does not list the command or its menu, ``known`` is false, and ``name`` is the word as written.
    ``where`` is the condition of ``find``, ``print where`` and the like. ``missing`` names the required parameters that
    were not given: RouterOS reads the command and refuses to run it (``missing value(s) of argument(s) ...``).
    """

    at: Position
    absolute: bool  # begins with "/": starts at the root menu, else at the current menu
    colon: bool  # begins with ":": a command of the root menu, whatever the current menu is
    words: tuple[Word, ...]
    menu: tuple[str, ...]  # full names from the root; for a call, the current menu
    name: str | None
    known: bool
    callee: Variable | Substitution | Group | None
    args: tuple[Arg, ...]
    where: Value | None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """``{ ... }`` as a statement, or ``/interface { ... }``, whose commands start at that menu."""

    at: Position
    absolute: bool
    words: tuple[Word, ...]
    menu: tuple[str, ...]
    block: Block


Statement = Command | Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownName:
    """A command that the table of names does not list. RouterOS says ``bad command name`` when it runs the script."""

    at: Position
    name: str
    menu: tuple[str, ...]

    @property
    def message(self) -> str:
        return f"bad command name {self.name} (line {self.at.line} column {self.at.column})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    statements: tuple[Statement, ...]
    unknown: tuple[UnknownName, ...]  # in the order of the source
