"""The commands of the root menu that only compute: ``:len``, ``:pick``, ``:tostr`` and their like."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping

from tminus.simulator.errors import RunError
from tminus.simulator.values import (
    NIL,
    Array,
    Duration,
    ItemId,
    Value,
    array_of,
    literal,
    number_of,
    parse_duration,
    same,
    text_of,
    truth,
    type_of,
)

from .codec import convert, deserialize, serialize

Arguments = Mapping[str, Value]


def length(args: Arguments) -> Value:
    value = args.get("value")
    if isinstance(value, Array):
        return len(value.items)
    return len(text_of(value).encode("utf-8", "surrogateescape"))


def pick(args: Arguments) -> Value:
    """The elements or bytes from ``begin`` up to ``end``, one if there is no end."""
    value, begin = args.get("counter"), number_of(args.get("begin"))
    end = number_of(args.get("end"))
    if begin is None:
        raise RunError("missing value(s) of argument(s) begin")
    if isinstance(value, Array):
        if "end" not in args:
            return value.values[begin] if 0 <= begin < len(value.items) else None
        return Array(value.items[begin:end])
    content = text_of(value).encode("utf-8", "surrogateescape")
    picked = content[begin : begin + 1 if "end" not in args else end]
    return picked.decode("utf-8", "surrogateescape") if picked or begin < len(content) else NIL


def find(args: Arguments) -> Value:
    """The place of ``key`` in a text or array, after ``from``; nothing if it is not there."""
    value, key = args.get("in"), args.get("key")
    after = number_of(args.get("from"))
    start = 0 if after is None else after + 1
    if isinstance(value, Array):
        places = (index for index, item in enumerate(value.values) if index >= start and same(item, key))
        return next(places, NIL)
    wanted = text_of(key).encode("utf-8", "surrogateescape")
    place = text_of(value).encode("utf-8", "surrogateescape").find(wanted, max(start, 0))
    return place if place >= 0 else NIL


def to_array(args: Arguments) -> Value:
    value = args.get("value")
    if isinstance(value, Array):
        return value
    text = text_of(value)
    delimiter = text_of(args.get("delimiter")) or ","
    return array_of(literal(part) for part in text.split(delimiter)) if text else Array()


def to_bool(args: Arguments) -> Value:
    value = args.get("value")
    if isinstance(value, int):
        return value != 0
    try:
        return truth(value)
    except RunError:
        return NIL


def to_id(args: Arguments) -> Value:
    value = literal(text_of(args.get("value")))
    return value if isinstance(value, ItemId) else NIL


def to_ip(args: Arguments) -> Value:
    value = args.get("value")
    found = literal(value) if isinstance(value, str) else value
    if isinstance(found, ipaddress.IPv4Address | ipaddress.IPv6Address):
        return found
    if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 1 << 32:
        return ipaddress.IPv4Address(found)
    return NIL


def to_time(args: Arguments) -> Value:
    value = args.get("value")
    if isinstance(value, int) and not isinstance(value, bool):
        return Duration(value)
    return value if isinstance(value, Duration) else parse_duration(text_of(value)) or NIL


def to_ip6(args: Arguments) -> Value:
    found = literal(text_of(args.get("value")))
    return found if isinstance(found, ipaddress.IPv6Address) else NIL


def to_nanoseconds(args: Arguments) -> Value:
    moment = to_time(args)
    return round(moment.seconds * 1_000_000_000) if isinstance(moment, Duration) else NIL


def number_range(args: Arguments) -> Value:
    """The whole numbers from one to another, both included."""
    low, high = number_of(args.get("from")), number_of(args.get("to"))
    if low is None or high is None or abs(high - low) >= _LONGEST_RANGE:
        raise RunError("invalid value for argument to", argument="to")
    return array_of(range(low, high + 1) if low <= high else range(low, high - 1, -1))


_LONGEST_RANGE = 1_000_000  # a bound of ours, not of RouterOS


def _line_ends(end: str) -> Callable[[Arguments], Value]:
    return lambda args: text_of(args.get("input")).replace("\r\n", "\n").replace("\n", end)


FUNCTIONS: Mapping[str, Callable[[Arguments], Value]] = {
    "len": length,
    "pick": pick,
    "find": find,
    "tostr": lambda args: text_of(args.get("value")),
    "tonum": lambda args: NIL if (number := number_of(args.get("value"))) is None else number,
    "toarray": to_array,
    "tobool": to_bool,
    "toid": to_id,
    "toip": to_ip,
    "toip6": to_ip6,
    "totime": to_time,
    "tonsec": to_nanoseconds,
    "tocrlf": _line_ends("\r\n"),
    "tolf": _line_ends("\n"),
    "range": number_range,
    "convert": convert,
    "serialize": serialize,
    "deserialize": deserialize,
    "typeof": lambda args: type_of(args.get("value")),
}
