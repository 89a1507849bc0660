"""Bytes of a script that are not what they look like."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tminus.routeros.text import clean

from .finding import Finding, Place, Severity, finding

_MARK = b"\xef\xbb\xbf"
_ORDINARY = re.compile(rb"[\x20-\x7e\t\r\n]*")
_SPECIAL = re.compile(r"[^\x20-\x7e\t\r\n]")
_BAD = re.compile("[\udc80-\udcff]")


def bytes_of_note(source: bytes) -> Iterator[Finding]:
    """What is not UTF-8, and what is not seen. Positions as RouterOS counts them."""
    if source.isascii() and _ORDINARY.fullmatch(source):
        return
    text = source.decode("utf-8", "surrogateescape")
    bad = _BAD.search(text)
    if bad is not None:
        yield finding(
            "not-utf-8",
            Severity.WARNING,
            place_of(source, _offset(text, bad.start())),
            f"Byte 0x{ord(bad[0]) - 0xDC00:02x} is not UTF-8 (an old code page?); the database takes UTF-8 only, so save it as such.",
        )
    if source.startswith(_MARK):
        yield finding(
            "byte-order-mark",
            Severity.NOTE,
            Place(1, 1),
            "The script begins with a byte order mark, which is not seen; save it without one.",
        )
    if b"\0" in source:
        yield finding(
            "nul-byte",
            Severity.WARNING,
            place_of(source, source.index(b"\0")),
            "The script has a NUL byte, which the database does not take; see that it is a text file.",
        )
    told: set[str] = set()
    for found in _SPECIAL.finditer(text, 1 if text.startswith("\ufeff") else 0):
        character = found[0]
        if character not in told and character != "\0" and not _BAD.match(character) and not clean(character):
            told.add(character)
            yield finding(
                "hidden-characters",
                Severity.DANGER,
                place_of(source, _offset(text, found.start())),
                f"There is a character that is not seen (U+{ord(character):04X}) and may make it look like something else; remove it.",
            )


def _offset(text: str, index: int) -> int:
    return len(text[:index].encode("utf-8", "surrogateescape"))


def place_of(source: bytes, offset: int) -> Place:
    """The place of a byte: columns from 1, and a tab goes to the next multiple of 8."""
    start = source.rfind(b"\n", 0, offset) + 1
    column = 1
    for byte in source[start:offset]:
        column = (column + 8) & ~7 if byte == 0x09 else column + 1
    return Place(source.count(b"\n", 0, start) + 1, column)


def offset_of(line: bytes, column: int) -> int:
    """The byte of a line, from 0, at which RouterOS counts this column; the end of the line if it is beyond it."""
    at = 1
    for offset, byte in enumerate(line):
        if at >= column:
            return offset
        at = (at + 8) & ~7 if byte == 0x09 else at + 1
    return len(line)
