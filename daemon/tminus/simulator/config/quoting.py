"""How RouterOS writes a value that holds more than plain characters."""

from __future__ import annotations

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.,:/!*@+")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "$": "\\$", "\n": "\\n", "\r": "\\r", "\t": "\\t", "?": "\\?"}


def quote(text: str) -> str:
    """A value as an export writes it, so that reading it gives the same text."""
    if text and all(char in _PLAIN for char in text):
        return text
    quoted = []
    for char in text:
        if char in _ESCAPES:
            quoted.append(_ESCAPES[char])
        elif " " <= char <= "~":
            quoted.append(char)
        else:
            quoted += [f"\\{byte:02X}" for byte in char.encode("utf-8", "surrogateescape")]
    return '"' + "".join(quoted) + '"'
