"""``:convert``, ``:serialize`` and ``:deserialize``: values as other notations. Forms as documented, unless marked."""

from __future__ import annotations

import base64
import binascii
import codecs
import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import quote, unquote

from tminus.simulator.errors import RunError
from tminus.simulator.values import Array, Code, Value, array_of, keyed, literal, number_of, text_of

Arguments = Mapping[str, Value]

_DIGESTS = frozenset({"md5", "sha1", "sha256", "sha384", "sha512"})
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_DEPTH = 64  # of nested JSON


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def _padded(text: str, block: int) -> str:
    return text + "=" * (-len(text) % block)


def _bits(content: bytes, *, low_first: bool) -> Array:
    return array_of(byte >> (place if low_first else 7 - place) & 1 for byte in content for place in range(8))


def _number_bytes(value: Value) -> bytes:
    number = number_of(value)
    if number is None or number < 0:
        raise RunError("invalid value for argument value", argument="value")
    return number.to_bytes(max((number.bit_length() + 7) // 8, 1), "big")


def _byte_array(value: Value) -> bytes:
    numbers = [number_of(item) for item in value.values] if isinstance(value, Array) else []
    return bytes(number & 0xFF for number in numbers if number is not None)


_DECODE: Mapping[str, Callable[[Value], bytes]] = {
    "raw": lambda value: _bytes(text_of(value)),
    "hex": lambda value: bytes.fromhex(text_of(value).removeprefix("0x")),
    "base64": lambda value: base64.b64decode(_padded(text_of(value), 4), validate=True),
    "base32": lambda value: base64.b32decode(_padded(text_of(value), 8)),
    "url": lambda value: unquote(text_of(value), errors="surrogateescape").encode("utf-8", "surrogateescape"),
    "rot13": lambda value: _bytes(codecs.encode(text_of(value), "rot13")),
    "num": _number_bytes,
    "byte-array": _byte_array,
}
_ENCODE: Mapping[str, Callable[[bytes], Value]] = {
    "raw": _text,
    "hex": lambda content: content.hex(),
    "base64": lambda content: base64.b64encode(content).decode(),
    "base32": lambda content: base64.b32encode(content).decode(),
    "url": lambda content: quote(content, safe=""),
    "rot13": lambda content: codecs.encode(_text(content), "rot13"),
    "num": lambda content: int.from_bytes(content[:8], "big"),
    "byte-array": array_of,
    "bit-array-lsb": lambda content: _bits(content, low_first=True),
    "bit-array-msb": lambda content: _bits(content, low_first=False),
}


def _case(change: Callable[[str], str]) -> Callable[[bytes], bytes]:
    return lambda content: _bytes(change(_text(content)))


_TRANSFORM: Mapping[str, Callable[[bytes], bytes]] = {
    "none": lambda content: content,
    "lc": bytes.lower,
    "uc": bytes.upper,
    "lcfirst": _case(lambda text: text[:1].lower() + text[1:]),
    "ucfirst": _case(lambda text: text[:1].upper() + text[1:]),
    "reverse": lambda content: content[::-1],
    "rot13": _case(lambda text: codecs.encode(text, "rot13")),
    "crlf": lambda content: content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
    "lf": lambda content: content.replace(b"\r\n", b"\n"),
}


def convert(args: Arguments) -> Value:
    """From one notation to another. A digest without ``to=`` is given as hex digits [uncertain: no transcript]."""
    source, transform = text_of(args.get("from")) or "raw", text_of(args.get("transform")) or "none"
    target = text_of(args.get("to")) or ("hex" if transform in _DIGESTS else "raw")
    for name, text, known in (("from", source, _DECODE), ("to", target, _ENCODE)):
        if text not in known:
            raise RunError(f"input does not match any value of {name}", argument=name)
    try:
        content = _DECODE[source](args.get("value"))
    except (ValueError, binascii.Error):
        raise RunError("invalid value for argument value", argument="value") from None
    if transform in _DIGESTS:
        content = hashlib.new(transform, content, usedforsecurity=False).digest()
    elif transform in _TRANSFORM:
        content = _TRANSFORM[transform](content)
    else:
        raise RunError("input does not match any value of transform", argument="transform")
    return _ENCODE[target](content)


def _options(args: Arguments) -> frozenset[str]:
    given = args.get("options")
    return (
        frozenset(text_of(item) for item in given.values)
        if isinstance(given, Array)
        else frozenset(text_of(given).split(","))
    )


def serialize(args: Arguments) -> Value:
    options = _options(args)
    match text_of(args.get("to")):
        case "json":
            plain = _plain(args.get("value"), convert_numbers="json.no-string-conversion" not in options)
            return _json(plain, pretty="json.pretty" in options)
        case "dsv":
            return _dsv(args, options)
        case _:
            raise RunError("input does not match any value of to", argument="to")


class _Float(float):
    """A text that looked like a number: written with six decimals."""


def _plain(value: Value, *, convert_numbers: bool) -> object:
    match value:
        case None:
            return None
        case bool() | int():
            return value
        case Array() if any(key is not None for key, _ in value.items):
            return {
                key if key is not None else str(place): _plain(item, convert_numbers=convert_numbers)
                for place, (key, item) in enumerate(value.items)
            }
        case Array():
            return [_plain(item, convert_numbers=convert_numbers) for item in value.values]
        case str() if convert_numbers and _NUMBER.fullmatch(value):
            return _Float(value)
        case Code():
            return text_of(value)
        case _:
            return text_of(value)


def _json(value: object, *, pretty: bool, depth: int = 0) -> str:
    """Like ``json.dumps`` without blanks, but for the decimals of what was a text; bytes that are no UTF-8 survive."""
    gap = "\n" + "    " * (depth + 1) if pretty else ""
    end = "\n" + "    " * depth if pretty else ""
    match value:
        case dict() if value:
            pairs = (
                f"{_json(str(key), pretty=pretty)}:{' ' if pretty else ''}{_json(item, pretty=pretty, depth=depth + 1)}"
                for key, item in value.items()
            )
            return "{" + gap + f",{gap}".join(pairs) + end + "}"
        case list() if value:
            return "[" + gap + f",{gap}".join(_json(item, pretty=pretty, depth=depth + 1) for item in value) + end + "]"
        case _Float():
            return f"{value:.6f}"
        case _:
            return json.dumps(value, ensure_ascii=False)


def _dsv(args: Arguments, options: frozenset[str]) -> str:
    """Columns with the keys on top; a list of rows becomes columns with ``dsv.remap``."""
    value, delimiter = args.get("value"), text_of(args.get("delimiter"))
    if len(delimiter) != 1:
        raise RunError("missing value(s) of argument(s) delimiter", argument="delimiter")
    rows = value.values if isinstance(value, Array) else [value]
    written = io.StringIO()
    wrap = "dsv.wrap-strings" in options
    writer = csv.writer(
        written, delimiter=delimiter, quoting=csv.QUOTE_ALL if wrap else csv.QUOTE_MINIMAL, lineterminator="\n"
    )
    if isinstance(value, Array) and any(key is not None for key, _ in value.items):
        columns = {str(key): item.values if isinstance(item, Array) else [item] for key, item in value.items}
        names = _order(args, list(columns))
        height = max((len(columns.get(name, [])) for name in names), default=0)
        table = [[columns.get(name, [])[line : line + 1] for name in names] for line in range(height)]
        writer.writerow(names)
        writer.writerows([[text_of(cell[0]) if cell else "" for cell in line] for line in table])
    elif "dsv.remap" in options:
        found = [row for row in rows if isinstance(row, Array)]
        names = _order(args, sorted({str(key) for row in found for key, _ in row.items if key is not None}))
        writer.writerow(names)
        writer.writerows([[text_of(row.get(name)) for name in names] for row in found])
    else:
        writer.writerows(
            [[text_of(cell) for cell in (row.values if isinstance(row, Array) else [row])] for row in rows]
        )
    return written.getvalue().removesuffix("\n")


def _order(args: Arguments, names: list[str]) -> list[str]:
    given = args.get("order")
    if isinstance(given, Array):
        return [text_of(name) for name in given.values]
    return text_of(given).split(",") if given else names


def deserialize(args: Arguments) -> Value:
    options, text = _options(args), text_of(args.get("value"))
    match text_of(args.get("from")):
        case "json":
            try:
                return _value(json.loads(text), infer="json.no-string-conversion" not in options, depth=0)
            except (ValueError, RecursionError):
                raise RunError("failure: json parsing failed") from None  # [uncertain: no transcript]
        case "dsv":
            delimiter = text_of(args.get("delimiter")) or ","
            try:
                rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
            except (TypeError, csv.Error):
                raise RunError("invalid value for argument delimiter", argument="delimiter") from None
            return array_of(array_of(_inferred(cell, infer="dsv.plain" not in options) for cell in row) for row in rows)
        case _:
            raise RunError("input does not match any value of from", argument="from")


def _inferred(text: str, *, infer: bool) -> Value:
    """A text that reads like a number, an address or a time becomes one."""
    return literal(text) if infer and text[:1].isdigit() else text


def _value(found: object, *, infer: bool, depth: int) -> Value:
    if depth > _DEPTH:
        raise RunError("failure: json parsing failed")
    match found:
        case None:
            return None
        case bool():
            return found
        case int():
            return found
        case float():
            return int(found) if found.is_integer() else repr(found)
        case str():
            return _inferred(found, infer=infer)
        case list():
            return array_of(_value(item, infer=infer, depth=depth + 1) for item in found)
        case dict():
            return keyed((str(key), _value(item, infer=infer, depth=depth + 1)) for key, item in found.items())
        case _:
            raise RunError("failure: json parsing failed")
