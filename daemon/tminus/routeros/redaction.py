"""Known secrets in what a router says: their values are replaced before anything of it is stored or shown.

RouterOS leaves secrets out of its exports (6.x where it is told to), but not out of what a script prints, nor out of the source of a
script that stands in the configuration, nor is the name of an SNMP community a secret to it.

What is known is `name=value` with the names below, as RouterOS writes them in exports, in `print detail` and in commands, also
within quoted sources; and PEM blocks of private keys. A value that a script works out ($variable, [command]) is none. A secret
that stands alone, without its name, cannot be told from other text.
"""

from __future__ import annotations

import re

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
_HINTS = ("pass", "secret=", "-key", "sim-pin=")  # one of them is in each name, and is found fast
# Quoted (in a quoted source its quotes are escaped, however often), else up to a blank or what ends a command. A value
# that was cut off goes to the end of its line, or of the text that it stands in. What is quoted n times deep has 2**n - 1
# backslashes before its quotes, and twice 2**n for each of its own; nothing of it is read twice (possessive), since what a
# router says is hostile. A quote before `. $variable` ends a text that a script puts together, and begins no value.
_VALUE = (
    r"""(?P<quote>(?P<depth>\\{0,31})")(?![ ]*\.[ ]*(?P=depth)\$)"""
    r"""(?:(?:\\(?P=depth)){2}|\\(?P=depth)\\*+"|\\*+[^\\"\n])*+(?P=quote)?"""
    r"""|[^\s";\]})\\$\[(]+"""
)
_SECRET = re.compile(rf"(?P<name>(?:{'|'.join(map(re.escape, _NAMES))})=)(?:{_VALUE})")
# What a key is made of and nothing else, so that a mere mention of one in a script does not cost the rest of an export.
_KEY = r"(?:(?!-----)[A-Za-z0-9+/=\s\\:,_-])"
_PEM = re.compile(
    rf"(-----BEGIN [A-Z0-9 ]{{0,40}}PRIVATE KEY-----)(?:{_KEY}*+(-----END [A-Z0-9 ]{{0,40}}PRIVATE KEY-----)|{_KEY}{{16,}}+)"
)
_COMMUNITIES = re.compile(r"^/snmp[ /]community\b.*(?:\n(?!/).*)*", re.MULTILINE)
_COMMUNITY = re.compile(r'(?<![\w-])(name=)("(?:\\.|[^"\\\n])*"|[^\s"]+)')
_NO_SECRETS = frozenset({"yes", "no", "public", HIDDEN, '""', f'"{HIDDEN}"'})


def redact(text: str) -> str:
    """Return `text` with each known secret replaced. Doing it twice changes nothing."""
    concerned = _lines_with_hints(text)
    if concerned:
        # Of a large export a few lines are concerned, and no value goes beyond its line.
        parts: list[str] = []
        kept = 0
        for begin, end in concerned:
            parts += (text[kept:begin], _SECRET.sub(_hide, text[begin:end]))
            kept = end
        text = "".join((*parts, text[kept:]))
    if "PRIVATE KEY-----" in text:
        text = _PEM.sub(rf"\1\n{HIDDEN}\n\2", text)
    if "/snmp" in text:
        text = _COMMUNITIES.sub(lambda found: _COMMUNITY.sub(_hide_community, found[0]), text)
    return text


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


def _hide(found: re.Match[str]) -> str:
    value = found[0][len(found["name"]) :]
    if value in _NO_SECRETS:
        return found[0]
    quote = found["quote"] or ""
    return f"{found['name']}{quote}{HIDDEN}{quote}"


def _hide_community(found: re.Match[str]) -> str:
    return found[0] if found[2] in _NO_SECRETS else f"{found[1]}{HIDDEN}"
