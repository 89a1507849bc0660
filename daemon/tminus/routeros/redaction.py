"""Known secrets in what a router says: their values are replaced before anything of it is stored or shown.

RouterOS leaves secrets out of its exports (6.x where it is told to), but not out of what a script prints, nor out of the source of a
script that stands in the configuration, nor is the name of an SNMP community a secret to it.

What is known is `name=value` with the names below, as RouterOS writes them in exports, in `print detail` and in commands, also
within quoted sources; `name: value` on a line of its own, as `print` shows it; and PEM blocks of private keys. A long line
of an export is wrapped with a backslash, a line feed and blanks (public record), anywhere: it is read as if it were not. A
value that a script works out ($variable, [command]) is none. A secret that stands alone, without its name, cannot be told
from other text.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from tminus.routeros.wraps import WRAP, pieces, unwrap

HIDDEN = "*****"

_NAMES = (
    "password",
    "passphrase",
    "secret",
    "private-key",
    "preshared-key",
    "pre-shared-key",
    "shared-key",
    "auth-key",
    "authentication-key",
    "encryption-key",
    "md5-key",
    "sta-private-key",
    "static-key-0",
    "static-key-1",
    "static-key-2",
    "static-key-3",
    "sim-pin",
)
_HINTS = ("pass", "secret", "-key", "sim-pin")  # one of them is in each name, and is found fast
# Quoted (in a quoted source its quotes are escaped, however often), else up to a blank or what ends a command. A value
# that was cut off goes to the end of its line, or of the text that it stands in. What is quoted n times deep has 2**n - 1
# backslashes before its quotes, and twice 2**n for each of its own; nothing of it is read twice (possessive), since what a
# router says is hostile. A quote before `. $variable` ends a text that a script puts together, and begins no value.
_VALUE = (
    r"""(?P<quote>(?P<depth>\\{0,31})")(?![ ]*\.[ ]*(?P=depth)\$)"""
    r"""(?:(?:\\(?P=depth)){2}|\\(?P=depth)\\*+"|\\*+[^\\"\n])*+(?P=quote)?"""
    r"""|[^\s";\]})\\$\[(]+"""
)
_NAME = "|".join(map(re.escape, _NAMES))
_SECRET = re.compile(rf"(?:{_NAME})=(?P<value>{_VALUE})")
# `print` writes the name to the right of its column, and no quotes: the value goes to the end of the line.
_PRINTED = re.compile(rf"[ ]*+[\w.-]*?(?:{_NAME}):[ ]++(?P<value>[^\n]+)")
_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----")
_PEM_EDGE = "-----"
# What a key is made of and nothing else, so that a mere mention of one in a script does not cost the rest of an export.
_KEY = re.compile(r"[A-Za-z0-9+/=\s\\:,_-]*")
_LEAST_OF_KEY = 16  # characters of one whose end is missing
_COMMUNITIES = re.compile(r"^/snmp[ /]community\b", re.MULTILINE)
_COMMUNITY = re.compile(r'(?<![\w-])(name=)("(?:\\.|[^"\\\n])*"|[^\s"]+)')
_NO_SECRETS = frozenset({"yes", "no", "public", HIDDEN, '""', f'"{HIDDEN}"'})


# From where to where something is to be replaced, and by what.
_Change = tuple[int, int, str]


def redact(text: str) -> str:
    """Return `text` with each known secret replaced. Doing it twice hides no less, and of what no router writes at times more."""
    plain = unwrap(text)
    for find in (_secrets, _keys, _communities):
        changes = find(plain)
        if changes:
            text = _change(text, changes)
            plain = unwrap(text)
    return text


def _change(text: str, changes: list[_Change]) -> str:
    """Change in `text` what was found in it without its wraps. A wrap within what is replaced goes with it."""
    # Where each piece between wraps begins, without them and with them.
    begins, places = [0], [0]
    place = 0
    for piece in pieces(text):
        stripped = piece.lstrip(" ") if place else piece
        places[-1] = place + len(piece) - len(stripped)
        begins.append(begins[-1] + len(stripped))
        place += len(piece) + len(WRAP)
        places.append(place)

    def placed(index: int) -> int:
        piece = bisect_right(begins, index, hi=len(begins) - 1) - 1
        return places[piece] + index - begins[piece]

    parts: list[str] = []
    kept = 0
    for begin, end, instead in changes:
        parts += (text[kept : placed(begin)], instead)
        kept = max(placed(begin), placed(end - 1) + 1)
    return "".join((*parts, text[kept:]))


def _secrets(text: str) -> list[_Change]:
    changes: list[_Change] = []
    # Of a large export a few lines are concerned, and no value goes beyond its line.
    for begin, end in _lines_with_hints(text):
        if (printed := _PRINTED.match(text, begin, end)) is not None:
            found = [(printed, "")]
        else:
            found = [(each, each["quote"] or "") for each in _SECRET.finditer(text, begin, end)]
        changes += (
            (*each.span("value"), f"{quote}{HIDDEN}{quote}")
            for each, quote in found
            if each["value"] not in _NO_SECRETS
        )
    return changes


def _keys(text: str) -> list[_Change]:
    if "PRIVATE KEY-----" not in text:
        return []
    changes: list[_Change] = []
    for begin in _PEM_BEGIN.finditer(text):
        # Not one pattern: Python 3.11.2 (Debian 12) matches no possessive group that looks ahead.
        edge = text.find(_PEM_EDGE, begin.end())
        key = _KEY.match(text, begin.end(), edge if edge >= 0 else len(text))
        assert key is not None  # noqa: S101 - it may be empty
        is_whole = key.end() == edge and _PEM_END.match(text, edge) is not None
        if is_whole or len(key[0]) >= _LEAST_OF_KEY:
            changes.append((*key.span(), f"\n{HIDDEN}\n"))
    return changes


def _communities(text: str) -> list[_Change]:
    if "/snmp" not in text:
        return []
    changes: list[_Change] = []
    for menu in _COMMUNITIES.finditer(text):
        # To the next menu, which begins on a line of its own. Not by a pattern: it would remember each line that it passed.
        end = text.find("\n/", menu.end())
        changes += (
            (*found.span(2), HIDDEN)
            for found in _COMMUNITY.finditer(text, menu.end(), end if end >= 0 else len(text))
            if found[2] not in _NO_SECRETS
        )
    return changes


def _lines_with_hints(text: str) -> list[tuple[int, int]]:
    """Return from where to where each line goes that may hold a secret."""
    found = {}
    for hint in _HINTS:
        place = text.find(hint)
        while place >= 0:
            end = text.find("\n", place)
            end = len(text) if end < 0 else end
            found[text.rfind("\n", 0, place) + 1] = end
            place = text.find(hint, end)
    return sorted(found.items())
