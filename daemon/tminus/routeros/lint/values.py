"""What can be known of a value without running the script."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from tminus.routeros.language import ast

Constants = Mapping[str, tuple[str, ...]]
"""The texts that the script gives to each variable; a variable that gets anything else, too, is missing."""

_MOST_PARTS = 2000


class Text(NamedTuple):
    """`whole` is false where a part is only known when the script runs; it is written as 0 in `text`."""

    text: str
    whole: bool


def constant(value: ast.Value | None, known: Constants | None = None) -> str | None:
    """The text of a value that does not depend on anything but constants; None of all others."""
    text = text_of(value, known or {})
    return text.text if text is not None and text.whole else None


def text_of(value: ast.Value | None, known: Constants) -> Text | None:
    """The text as far as it is written in the script; None if nothing of it is."""
    pieces: list[str] = []
    whole, written = True, False
    pending: list[ast.Value | str] = [value] if value is not None else []
    for _ in range(_MOST_PARTS):
        if not pending:
            break
        part = pending.pop()
        match part:
            case str():
                pieces.append(part)
                written = True
            case ast.Literal():
                pieces.append(part.text)
                written = True
            case ast.String():
                written = written or not part.parts
                pending.extend(reversed(part.parts))
            case ast.Variable() if len(known.get(part.name, ())) == 1:
                pieces.append(known[part.name][0])
                written = True
            case ast.Group() if part.inner is not None:
                pending.append(part.inner)
            case ast.Joined():
                pending.extend(reversed(part.parts))
            case ast.Binary() if part.op == ".":
                pending.extend((part.right, part.left))
            case _:
                pieces.append("0")
                whole = False
    if pending or not written:
        return None
    return Text("".join(pieces), whole)


def could_match(where: ast.Value | None, item: Mapping[str, str]) -> bool:
    """False only if the condition surely excludes an item with these properties."""
    return where is None or _holds(where, item) is not False


def _holds(node: ast.Value, item: Mapping[str, str]) -> bool | None:
    """Three-valued: None is 'it depends'."""
    match node:
        case ast.Group() if node.inner is not None:
            return _holds(node.inner, item)
        case ast.Unary(op="!"):
            inner = _holds(node.operand, item)
            return None if inner is None else not inner
        case ast.Binary(op="&&" | "||"):
            return _joined(node, item)
        case ast.Binary(op="=", left=ast.Property(name=name)) if name.endswith("!") and name[:-1] in item:
            return _compared("!=", item[name[:-1]], constant(node.right))
        case ast.Binary(left=ast.Property(name=name)) if name in item:
            return _compared(node.op, item[name], constant(node.right))
        case _:
            return None


def _joined(node: ast.Binary, item: Mapping[str, str]) -> bool | None:
    op, sides = node.op, [node.right]
    left: ast.Value = node.left
    while isinstance(left, ast.Binary) and left.op == op:
        sides.append(left.right)
        left = left.left
    results = [_holds(side, item) for side in (left, *sides)]
    decisive = op == "||"
    if decisive in results:
        return decisive
    return None if None in results else not decisive


def _compared(op: str, actual: str, wanted: str | None) -> bool | None:
    if wanted is None:
        return None
    match op:
        case "=":
            return actual == wanted
        case "!=" | "<>":
            return actual != wanted
        case "~" if re.fullmatch(r"\^?[\w|-]+\$?", wanted):  # what every dialect of regular expressions reads alike
            return re.search(wanted, actual) is not None
        case _:
            return None


_UNITS = {"w": 604800.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "ns": 1e-9}
_PARTS = re.compile(r"(\d+(?:\.\d+)?)(ms|us|ns|[wdhms])")
_CLOCK = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(\d+):(\d+):(\d+(?:\.\d+)?)")


def seconds(text: str) -> float | None:
    """A time as RouterOS writes it: 10, 1m30s, 00:10:00, 500ms; None of anything else."""
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        return float(text)
    if clock := _CLOCK.fullmatch(text):
        weeks, days, hours, minutes, rest = (float(part or 0) for part in clock.groups())
        return weeks * 604800 + days * 86400 + hours * 3600 + minutes * 60 + rest
    parts = _PARTS.findall(text)
    if not parts or "".join(amount + unit for amount, unit in parts) != text:
        return None
    return sum(float(amount) * _UNITS[unit] for amount, unit in parts)
