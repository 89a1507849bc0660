"""What has to be true on a router after the script: expressions such as `[:len [/ip route find gateway=10.0.0.1]] > 0`.

A post-check becomes a part of a line of ours, between parentheses. So it has to be one expression: a text that closes what
it has not opened could get out of them, and what is only to be parsed, before anybody has authorized it, would be run.
What is looked at here is less than RouterOS's grammar, and on purpose: brackets, quotes and what could be taken for them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tminus.routeros.rendering import template

MAX_BYTES = 3000
"""Of a rendered post-check: it goes into one line."""
_CLOSES = {ord(")"): ord("("), ord("]"): ord("["), ord("}"): ord("{")}
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_GLUED = re.compile(rb"[A-Za-z0-9_./:-][(\[{]")
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_COMPUTES = re.compile(rb"(?<!\\)(?:\\\\)*\$[\[(]")
_OUTSIDE = {
    b'"': "a string in it is not closed",
    b"\\": "a backslash stands outside of a string",
    b"#": "it has a comment",
}
_OPEN, _CLOSE = b":local tminus (", b")\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    script: bytes
    checks: tuple[bytes, ...]


def render(script: bytes, checks: Sequence[bytes], values: dict[str, str | int | bool]) -> Rendered:
    """Put a site's values into a script and its post-checks. Raises RenderingRefused.

    They are looked at together: a value could get from the one into the other through a global variable.
    """
    if checks:
        template(b"".join((script, b"\n", *(framed(check) for check in checks))))
    rendered = tuple(
        template(framed(check)).render(values).removeprefix(_OPEN).removesuffix(_CLOSE) for check in checks
    )
    return Rendered(script=template(script).render(values), checks=rendered)


def framed(check: bytes) -> bytes:
    """Return a post-check as a script that evaluates it and does nothing with it."""
    return _OPEN + check + _CLOSE


def written(check: bytes) -> str:
    """Return a check as it goes into a line: in strings, where alone they may stand, bytes that are not ASCII as `\\XX`."""
    return _NOT_ASCII.sub(lambda found: b"\\%02X" % found[0][0], check).decode("ascii")


def why_no_expression(check: bytes) -> str | None:
    """Say why a rendered post-check cannot be put into a line of ours, as a part of a sentence; None if it can."""
    if (size := len(written(check))) > MAX_BYTES:
        return f"it has {size} bytes, and at most {MAX_BYTES} go into a line"
    if not check.strip():
        return "it is empty"
    if _CONTROL.search(check):
        return "it has more than one line, or a control character"
    if any(_COMPUTES.search(string) for string in _STRING.findall(check)):
        return "a string in it computes something ($[ or $( in quotes); join the parts with a dot"
    outside = _STRING.sub(b" ", check)
    if not outside.isascii():
        return "a character outside of quotes is not ASCII"
    for byte, why in _OUTSIDE.items():
        if byte in outside:
            return why
    if _GLUED.search(outside):
        # RouterOS could take it for a part of the word, and then what closes it here closes something else there.
        return "a bracket stands right behind a word; put a blank between them"
    return _why_unbalanced(outside)


def _why_unbalanced(outside: bytes) -> str | None:
    opened: list[int] = []
    for byte in outside:
        if byte == ord(";") and not opened:
            return "it is more than one statement"
        if byte in _CLOSES.values():
            opened.append(byte)
        elif byte in _CLOSES and (not opened or opened.pop() != _CLOSES[byte]):
            return f"'{chr(byte)}' closes what was not opened"
    return f"'{chr(opened[-1])}' is not closed" if opened else None
