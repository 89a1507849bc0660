"""A script with placeholders becomes the script for one site: `$(name)` gives way to a value that can't become code.

RouterOS itself reads `$(` only inside a quoted string, as an expression, and refuses it elsewhere; `"$(name)"`, a name
alone, is of no use to it. So that form is ours, wherever the parser sees a value or the text of a string. `\\$(name)`
in a string is RouterOS's own way to write the dollar: it stays, and so does everything in a comment.

A value between quotes is text whatever it is: each byte that means something to the router, and each that is not
printable ASCII, is written as `\\XX` (public record, strings). As a value of its own it becomes such a string; a whole
number stays a number where nothing touches it. Where quoting can't be relied on, placeholders are refused: as a name of a
command, a parameter, a property or a variable; in what the router keeps or reads as code (`source=`, `on-event=`,
`:execute`, `:parse` …), where a second level of quoting would apply; and in a script that makes code of anything but
constant text, since a value could find its way there through a variable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum, auto
from functools import lru_cache

from tminus.routeros.language import ScriptSyntaxError, ast, parse
from tminus.routeros.language.values import PLACEHOLDER

MAX_RENDERED = 1024 * 1024
"""Bytes that a rendered script may have, as a script that has no placeholders."""
_SAFE = re.compile(rb"[ !#-#%->@-\[\]-~]")  # printable ASCII without " $ ? and the backslash
_READ_AGAIN = frozenset({"parse", "execute"})  # commands
_TAKE_CODE = frozenset({"do", "time", "retry", "onerror"})  # commands, without a name
_CONTROL = frozenset({"do", "else", "on-error", "command"})  # parameters
_KEPT = frozenset({"source", "script"})
_KEPT_NAMES = re.compile(r"on-(?!error$).+|.+-script")
_BEFORE_NUMBER = b" \t([{;=<>"
_BEHIND_NUMBER = b" \t\r\n)]};"


class RenderingRefused(ValueError):
    """The message is a sentence that says which placeholder, and what to do; the place is that in the script, or 1, 1."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class Place(Enum):
    VALUE = auto()  # it becomes a string of its own
    IN_STRING = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeholder:
    name: str
    start: int  # bytes
    end: int
    place: Place
    free: bool  # nothing touches it, so a number may stand there


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    script: bytes
    placeholders: tuple[Placeholder, ...]  # in their order

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted({placeholder.name for placeholder in self.placeholders}))

    def render(self, values: dict[str, str | int | bool]) -> bytes:
        """Return the script with the values in it; the same bytes where it has no placeholders. Raises RenderingRefused."""
        missing = [name for name in self.names if name not in values]
        if missing:
            named = ", ".join(f"$({name})" for name in missing)
            raise RenderingRefused(
                f"The script names {named}, and neither the site nor the scheduled script has such a variable."
            )
        pieces: list[bytes] = []
        pos = 0
        for placeholder in self.placeholders:
            pieces += (self.script[pos : placeholder.start], _written(values[placeholder.name], placeholder))
            pos = placeholder.end
        rendered = b"".join((*pieces, self.script[pos:]))
        if len(rendered) > MAX_RENDERED:
            raise RenderingRefused(
                f"With its values the script has {len(rendered)} bytes; at most {MAX_RENDERED} are run."
            )
        return rendered


def template(script: bytes) -> Template:
    """Find the placeholders of a script. Raises RenderingRefused where one stands where no value can."""
    found = _read(script)
    if isinstance(found, RenderingRefused):
        raise found.with_traceback(None)
    return found


@lru_cache(maxsize=8)
def _read(script: bytes) -> Template | RenderingRefused:
    """Read a script once for all its sites, whatever comes of it: a large one takes seconds."""
    try:
        return _find_placeholders(script)
    except RenderingRefused as refused:
        return refused


def _find_placeholders(script: bytes) -> Template:
    if PLACEHOLDER.search(script) is None:
        return Template(script=script, placeholders=())
    try:
        program = parse(script, tolerant=True, placeholders=True)
    except ScriptSyntaxError as error:
        raise RenderingRefused(
            f"The script has placeholders, and cannot be read as RouterOS: {error.message} (line {error.line} column"
            f" {error.column}). A placeholder stands for a whole value, or in the text of a string:"
            ' address=$(ip), "$(ip)/24".',
            error.line,
            error.column,
        ) from None
    found: list[Placeholder] = []
    unsafe: list[ast.Position] = []
    for variable, in_string, where in _variables(program):
        if variable.name[0] != "(":
            if where is _Where.MADE:
                unsafe.append(variable.at)
            continue
        if where is not _Where.PLAIN:
            raise RenderingRefused(
                f"The placeholder ${variable.name} in line {variable.at.line} stands in code that the router keeps or"
                " reads again (source=, on-event=, :execute, :parse …), where a value could become code.",
                variable.at.line,
                variable.at.column,
            )
        found.append(_placeholder(script, variable, in_string))
    if found and unsafe:
        at = min(unsafe)
        raise RenderingRefused(
            f"The script has placeholders, and makes code of a variable in line {at.line}: a value could become code there."
            " Give :parse, :execute, source= and the like constant text.",
            at.line,
            at.column,
        )
    return Template(script=script, placeholders=tuple(sorted(found, key=lambda each: each.start)))


def _placeholder(script: bytes, variable: ast.Variable, in_string: bool) -> Placeholder:
    name, start = variable.name[1:-1], variable.at.offset
    end = start + len(variable.name) + 1
    before, behind = script[start - 1 : start] if start else b" ", script[end : end + 1] or b"\n"
    return Placeholder(
        name=name,
        start=start,
        end=end,
        place=Place.IN_STRING if in_string else Place.VALUE,
        free=before in _BEFORE_NUMBER and behind in _BEHIND_NUMBER,
    )


class _Where(Enum):
    """How a value gets on."""

    PLAIN = auto()
    KEPT = auto()  # in the text of code that is kept or read again
    MADE = auto()  # it becomes such text, or a part of it


def _variables(program: ast.Program) -> Iterator[tuple[ast.Variable, bool, _Where]]:
    """Yield each variable, and whether it is in the text of a string. A stack: a chain of operators is a deep tree."""
    waiting: list[tuple[object, bool, _Where]] = [(program.statements, False, _Where.PLAIN)]
    while waiting:
        node, in_string, where = waiting.pop()
        match node:
            case ast.Variable():
                yield node, in_string, where
            case tuple():
                waiting.extend((each, in_string, where) for each in node)
            case ast.String():
                waiting.extend((part, True, where) for part in node.parts)
            case ast.Block():
                kept = _Where.PLAIN if where is _Where.PLAIN else _Where.KEPT
                waiting.append((node.statements, False, kept))
            case ast.Command():
                for arg in node.args:
                    made = where is _Where.PLAIN and _becomes_code(node, arg)
                    waiting.append((arg.value, False, _Where.MADE if made else where))
                waiting += [(node.where, False, where), (node.callee, False, where)]
            case _ if is_dataclass(node):
                waiting.extend((getattr(node, each.name), False, where) for each in fields(node))
            case _:
                pass


def _becomes_code(command: ast.Command, arg: ast.Arg) -> bool:
    """Whether an argument is kept as code, or read as code again. Braces that are a part of this script are neither."""
    if command.name in _READ_AGAIN or arg.name in _KEPT or (arg.name is not None and _KEPT_NAMES.fullmatch(arg.name)):
        return True
    of_control = arg.name in _CONTROL or (arg.name == "in" and command.name == "onerror")
    unnamed = arg.name is None and not command.menu and command.name in _TAKE_CODE
    return (of_control or unnamed) and not isinstance(arg.value, ast.Block)


def _written(value: str | int | bool, placeholder: Placeholder) -> bytes:
    match value:
        case bool():
            text = b"yes" if value else b"no"
        case int():
            text = str(value).encode()
            if value >= 0 and placeholder.free and placeholder.place is Place.VALUE:
                return text
        case _:
            text = b"".join(_escaped(byte) for byte in value.encode())
    return text if placeholder.place is Place.IN_STRING else b'"' + text + b'"'


def _escaped(byte: int) -> bytes:
    one = bytes((byte,))
    return one if _SAFE.fullmatch(one) else b"\\%02X" % byte
