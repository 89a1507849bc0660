"""The values of the console language: what they are in Python, how they read as text, how they compare and combine."""

from __future__ import annotations

import ipaddress
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from .errors import RunError

if TYPE_CHECKING:
    from tminus.routeros.language.ast import Block
    from tminus.simulator.console.binding import Bindings


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    seconds: float

    def __str__(self) -> str:
        whole = int(self.seconds)
        days, rest = divmod(whole, 86400)
        weeks, days = divmod(days, 7)
        clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
        fraction = f"{self.seconds - whole:.3f}"[1:].rstrip("0").rstrip(".")
        return (f"{weeks}w" if weeks else "") + (f"{days}d" if days else "") + clock + fraction

    def short(self) -> str:
        """``6w5d11h55m45s``, as ``print`` and exports write it."""
        whole = int(self.seconds)
        units = (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
        text = ""
        for unit, size in units:
            count, whole = divmod(whole, size)
            text += f"{count}{unit}" if count else ""
        return text or "0s"

    def exact(self) -> str:
        """Like ``short``, with the milliseconds that ``short`` leaves out."""
        millis = round((self.seconds - int(self.seconds)) * 1000)
        return f"{self.short() if self.seconds >= 1 else ''}{millis}ms" if millis else self.short()


@dataclass(frozen=True, slots=True)
class Nil:
    """What a search gives that found nothing; an unset variable is ``nothing`` instead."""

    def __str__(self) -> str:
        return ""


NIL = Nil()


@dataclass(frozen=True, slots=True)
class ItemId:
    number: int

    def __str__(self) -> str:
        return f"*{self.number:X}"


@dataclass(frozen=True, slots=True)
class Code:
    """A ``{ ... }`` that was given as a value: a function, or text that nobody runs."""

    block: Block
    bindings: Bindings


@dataclass(frozen=True, slots=True)
class Array:
    """In the order of ``keyed``; a key is None for an element without one."""

    items: tuple[tuple[str | None, Value], ...] = ()

    @property
    def values(self) -> list[Value]:
        return [value for _, value in self.items]

    def get(self, key: Value) -> Value:
        if isinstance(key, int) and not isinstance(key, bool):
            return self.items[key][1] if 0 <= key < len(self.items) else None
        wanted = text_of(key)
        return next((value for name, value in self.items if name == wanted), None)

    def put(self, key: Value, value: Value) -> Array:
        """With an element more or changed; the place behind the last one appends."""
        items = list(self.items)
        if isinstance(key, int) and not isinstance(key, bool):
            if not 0 <= key <= len(items):
                raise RunError("no such item")
            if key == len(items):
                return keyed([*items, (None, value)])
            items[key] = (items[key][0], value)
            return Array(tuple(items))
        return keyed([*items, (text_of(key), value)])

    def without(self, key: Value) -> Array:
        """Without an element; nothing happens if there is none."""
        if isinstance(key, int) and not isinstance(key, bool):
            return Array(tuple(item for place, item in enumerate(self.items) if place != key))
        name = text_of(key)
        return Array(tuple(item for item in self.items if item[0] != name))


Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Prefix = ipaddress.IPv4Network | ipaddress.IPv6Network
Value = None | Nil | bool | int | str | Duration | ItemId | Address | Prefix | Array | Code

_TIME = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)(?:s|$))?(?:(\d+)ms)?")
_CLOCK = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(\d+):(\d\d)(?::(\d\d(?:\.\d+)?))?")


def keyed(items: Iterable[tuple[str | None, Value]]) -> Array:
    """An array as RouterOS orders it: elements without a key first, then the others by their keys (documented)."""
    plain: list[tuple[str | None, Value]] = []
    named: dict[str, Value] = {}
    for key, value in items:
        if key is None:
            plain.append((None, value))
        else:
            named[key] = value  # a key that comes twice has its last value
    return Array((*plain, *((key, named[key]) for key in sorted(named))))


# Bounds of ours: a script that doubles a value in an endless loop must not take the memory of the whole fleet.
MAX_TEXT = 1 << 24
MAX_ELEMENTS = 1 << 18
Sized = TypeVar("Sized", str, Array)


def bounded(value: Sized) -> Sized:
    """The value; RunError if it is larger than a router could hold."""
    if len(value.items) > MAX_ELEMENTS if isinstance(value, Array) else len(value) > MAX_TEXT:
        raise RunError("failure: out of memory")
    return value


def array_of(values: Iterable[Value]) -> Array:
    return Array(tuple((None, value) for value in values))


def parse_duration(text: str) -> Duration | None:
    """``5``, ``1d2h``, ``100ms`` or ``1d02:03:04``; None if it is no time."""
    found = _CLOCK.fullmatch(text)
    if found:
        weeks, days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
        return Duration(weeks * 604800 + days * 86400 + hours * 3600 + minutes * 60 + seconds)
    found = _TIME.fullmatch(text)
    if not text or found is None or not any(found.groups()):
        return None
    weeks, days, hours, minutes, seconds, millis = (float(part or 0) for part in found.groups())
    return Duration(weeks * 604800 + days * 86400 + hours * 3600 + minutes * 60 + seconds + millis / 1000)


def literal(text: str) -> Value:
    """The value of an unquoted word."""
    if text in ("yes", "true"):
        return True
    if text in ("no", "false"):
        return False
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    if re.fullmatch(r"0x[0-9a-fA-F]+", text):
        return int(text, 16)
    if re.fullmatch(r"\*[0-9a-fA-F]+", text):
        return ItemId(int(text[1:], 16))
    if text[:1].isdigit():
        return _address(text) or _prefix(text) or parse_duration(text) or text
    if ":" in text:
        return _address(text) or _prefix(text) or text
    return text


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _prefix(text: str) -> Prefix | None:
    try:
        return ipaddress.ip_network(text) if "/" in text else None
    except ValueError:
        return None


def text_of(value: Value) -> str:
    """What ``:tostr`` and ``.`` make of a value."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case Array():
            return ";".join((f"{key}=" if key is not None else "") + text_of(item) for key, item in value.items)
        case Code():
            return f"(evl {value.block.text.strip()})"
        case _:
            return str(value)


def argument_text(value: Value) -> str:
    """A value as the text of a property: booleans are ``yes`` and ``no``, lists are joined by commas."""
    match value:
        case bool():
            return "yes" if value else "no"
        case Array():
            return ",".join(argument_text(item) for item in value.values)
        case Code():
            return value.block.text
        case _:
            return text_of(value)


def type_of(value: Value) -> str:  # noqa: PLR0912 - a branch a type
    match value:
        case None:
            return "nothing"
        case Nil():
            return "nil"
        case bool():
            return "bool"
        case int():
            return "num"
        case str():
            return "str"
        case Duration():
            return "time"
        case ItemId():
            return "id"
        case ipaddress.IPv4Address():
            return "ip"
        case ipaddress.IPv6Address():
            return "ip6"
        case ipaddress.IPv4Network():
            return "ip-prefix"
        case ipaddress.IPv6Network():
            return "ip6-prefix"
        case Array():
            return "array"
        case Code():
            return "code"


def number_of(value: Value) -> int | None:
    """The number that a value is or says; None where there is none."""
    match value:
        case bool():
            return int(value)
        case int():
            return value
        case Duration():
            return int(value.seconds)
        case ipaddress.IPv4Address():
            return int(value)
        case str():
            found = literal(value)
            return found if isinstance(found, int) and not isinstance(found, bool) else None
        case _:
            return None


def truth(value: Value) -> bool:
    """A condition; RouterOS refuses what is no boolean."""
    if isinstance(value, bool):
        return value
    if value in ("true", "yes"):
        return True
    if value in ("false", "no"):
        return False
    raise RunError("conditional not boolean")


def same(left: Value, right: Value) -> bool:
    if type(left) is type(right):
        return left == right
    if left is None or right is None:
        return text_of(left) == text_of(right)
    if isinstance(left, bool) or isinstance(right, bool):
        return argument_text(left) == argument_text(right) or text_of(left) == text_of(right)
    return text_of(left) == text_of(right)


_CLASSES = {
    "alpha": "A-Za-z", "digit": "0-9", "alnum": "A-Za-z0-9", "upper": "A-Z", "lower": "a-z", "space": r"\s", "blank": r" \t",
    "xdigit": "0-9A-Fa-f", "punct": r"!-/:-@\[-`{-~", "word": r"\w",
}  # fmt: skip


@lru_cache(maxsize=256)
def _expression(pattern: str) -> re.Pattern[str]:
    """POSIX names of classes are written out: Python's expressions do not know them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python announces that it may read "[[" otherwise some day
        return re.compile(re.sub(r"\[:(\w+):\]", lambda found: _CLASSES.get(found[1], found[0]), pattern))


def matches(value: Value, pattern: str) -> bool:
    """``~``: a POSIX regular expression found anywhere in the text; a list matches if one of its elements does."""
    if isinstance(value, Array):
        return any(matches(item, pattern) for item in value.values)
    try:
        return _expression(pattern).search(text_of(value)) is not None
    except re.error as exc:
        raise RunError("bad regular expression") from exc
