"""Reading the bytes of a script from left to right: blanks, comments, words, escapes, places.

RouterOS has no tokens that mean the same everywhere: ``#`` is a comment only where a command may start, ``-`` belongs to
a word outside ``( )`` and is an operator inside. So there is no token stream, but a cursor that is asked for what the
grammar wants next.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NoReturn

from .ast import Position
from .problem import SYNTAX, ScriptSyntaxError

MAX_DEPTH = 48  # brackets in brackets; a level costs up to twelve frames of Python's stack of 1000

# A backslash at the end of a line (blanks may follow it: published scripts have them, inside of parentheses too) joins it
# with what follows: lines of blanks right after it belong to the join, then comment lines do, and neither ends the
# command. Before a blank elsewhere it is a blank, before anything else outside of a string it is refused.
_JOIN = rb"\\(?:[ \t]*\r?\n(?:[ \t\r]*\n)*(?:#[^\n]*(?:\n|\Z))*|[ \t]|\Z)"
BLANK = re.compile(rb"(?:[ \t]+|" + _JOIN + rb")*")
LINE_BLANK = re.compile(
    rb"(?:[ \t\r\n]+|" + _JOIN + rb")*"
)  # where a new line is a blank: between the items of an array
SEPARATOR = re.compile(rb"(?:[ \t\r\n;]+|#[^\n]*|" + _JOIN + rb")*")
_ENDS = frozenset({b"", b";", b"\r", b"\n", b"]", b"}"})
_BLANK_STARTS = frozenset({b" ", b"\t", b"\\"})
# All of printable ASCII but blanks and ; " $ [ ] ( ) { } = \ ? ' `
WORD = re.compile(rb"[!#%&*+,\-./0-9:<>@A-Z^_a-z|~]+")
NAME = re.compile(rb"[a-z0-9.\-]+")  # of a menu or command; "FROM" and ">" are none
VARIABLE_NAME = re.compile(rb"[A-Za-z0-9]+")
_TEXT = re.compile(rb'[^"\\$]+')
_HEX_DIGIT = re.compile(rb"[0-9A-F]")
_HEX = re.compile(rb"[0-9A-F]{2}")
_STRING_JOIN = re.compile(rb"\r?\n[ \t]*")
_ESCAPES = {
    b'"': '"',
    b"\\": "\\",
    b"$": "$",
    b"?": "?",
    b"_": " ",
    b"n": "\n",
    b"r": "\r",
    b"t": "\t",
    b"a": "\a",
    b"b": "\b",
    b"f": "\f",
    b"v": "\v",
}


def _places(source: bytes) -> list[Position]:
    """The start of each line and what follows each tab: in between, a byte is a column.

    A tab moves to the next multiple of eight (seen on 7.22.1: after four tabs column 32, after thirty blanks 31).
    """
    places = [Position(0, 1, 1)]
    for found in re.finditer(rb"[\n\t]", source):
        last = places[-1]
        if found.group() == b"\n":
            places.append(Position(found.end(), last.line + 1, 1))
        else:
            column = last.column + found.start() - last.offset
            places.append(Position(found.end(), last.line, (column + 8) & ~7))
    return places


def text_of(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


class Cursor:
    def __init__(self, source: bytes) -> None:
        self.source = source
        self.pos = 0
        self._depth = 0
        self._places = _places(source)
        self._offsets = [*(place.offset for place in self._places), len(source) + 2]
        self._place = 0  # of the position asked for last

    def position(self, offset: int) -> Position:
        index = self._place
        if not self._offsets[index] <= offset < self._offsets[index + 1]:  # mostly we stay in the line
            index = self._place = bisect_right(self._offsets, offset) - 1
        start, line, column = self._places[index]
        return tuple.__new__(Position, (offset, line, column + offset - start))  # half the cost of Position(...)

    def fail(self, message: str, offset: int | None = None, *, by_name: bool = False) -> NoReturn:
        at = self.position(self.pos if offset is None else offset)
        raise ScriptSyntaxError(message, at.line, at.column, by_name=by_name)

    @property
    def here(self) -> bytes:
        """The byte under the cursor, empty at the end."""
        return self.source[self.pos : self.pos + 1]

    @property
    def at_end(self) -> bool:
        """A command ends here."""
        return self.source[self.pos : self.pos + 1] in _ENDS

    def match(self, pattern: re.Pattern[bytes]) -> bytes | None:
        """Take what the pattern matches here."""
        found = pattern.match(self.source, self.pos)
        if found is None:
            return None
        self.pos = found.end()
        return found.group()

    def skip_blank(self) -> bool:
        """Skip blanks and joined line ends; say whether there were any."""
        if self.source[self.pos : self.pos + 1] not in _BLANK_STARTS:
            return False
        return bool(self.match(BLANK))

    def enter(self) -> None:
        """Go into a bracket. A bound of ours, not of RouterOS: it stands between us and a stack overflow."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self.fail(f"nested deeper than {MAX_DEPTH} levels")

    def leave(self) -> None:
        self._depth -= 1

    def plain_text(self) -> str | None:
        """The next piece of a string that is neither its end nor a ``$``; None if there is none."""
        raw = self.match(_TEXT)
        if raw is not None:
            return text_of(raw)
        return self._escape() if self.here == b"\\" else None

    def _escape(self) -> str:
        self.pos += 1
        simple = _ESCAPES.get(self.here)
        if simple is not None:
            self.pos += 1
            return simple
        if self.match(_STRING_JOIN) is not None:
            return ""
        code = self.match(_HEX)
        if code is None:  # the router names the first byte that does not fit
            self.fail(SYNTAX, self.pos + (_HEX_DIGIT.match(self.source, self.pos) is not None))
        return bytes.fromhex(code.decode()).decode("utf-8", "surrogateescape")
