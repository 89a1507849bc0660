"""Device output is hostile, and may hold secrets: make it safe to store and to show."""

from __future__ import annotations

import re

from tminus.routeros.redaction import redact

# CSI and OSC sequences and other escapes of two bytes. An OSC that does not end on its line loses its beginning only, so
# that it hides nothing of what follows.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b\r\n]*(?:\x07|\x1b\\)|\x1b[@-_]?|\x9b[0-?]*[ -/]*[@-~]?"
)
_LINE_ENDS = re.compile(r"\r\n?|[\u0085\u2028\u2029\x0b\x0c]")
# Controls (line feed and tab stay), and what turns text around or hides it: bidi controls, zero-width and other
# invisible characters, byte order mark, tags; and lone surrogates, which no encoding can write.
_UNSAFE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
# What the console shows of critical lines of the log, in between anything: "10:11:12 echo: system,error,critical login failure".
_ALARM = re.compile(r"\d\d:\d\d:\d\d echo: [a-z0-9-]+(?:,[a-z0-9!-]+)* ", re.ASCII)
_PLAIN = b"\t\n" + bytes(range(0x20, 0x7F))


def clean(data: bytes | str, *, cap: int = 65536, redacted: bool = True) -> str:
    """Return `data` as text without control characters, escape sequences or bidi tricks, and without known secrets.

    Those stay where it is not to be `redacted`, which is for what is stored as an export with secrets, and for nothing else.

    `cap` is in characters: of a longer text the first two thirds and the last third stay, with a line that tells how
    much was left out. Invalid UTF-8 becomes U+FFFD. Never raises, and cleaning twice shows nothing more.
    """
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    if not _is_plain(text):
        text = _UNSAFE.sub("", _LINE_ENDS.sub("\n", _ESCAPES.sub("", text)))
    if redacted:
        text = redact(text)
    if len(text) <= cap:
        return text
    note = f"\n[{len(text) - cap} characters left out]\n"
    room = max(cap - len(note), 0)
    head = room * 2 // 3
    return (text[:head] + note + text[len(text) - (room - head) :])[:cap]


def _is_plain(text: str) -> bool:
    """Tell at the speed of memory that there is nothing to clean: most exports are printable ASCII."""
    return text.isascii() and not text.encode("ascii").translate(None, _PLAIN)


def clean_line(data: bytes | str, *, cap: int = 200) -> str:
    """Return one cleaned line: line ends and tabs become blanks, runs of them one, and `cap` characters at most."""
    return " ".join(clean(data, cap=max(cap * 8, 4096)).split())[:cap].rstrip()


def lines(data: bytes) -> list[str]:
    """Split raw output into lines without line ends or the blanks that RouterOS pads with, and without alarms.

    An alarm is a line of the log that the console shows while it does something else. Nothing else is changed.
    """
    found = [line.rstrip(" \t\r") for line in data.decode("utf-8", "replace").split("\n")]
    if b" echo: " in data:
        found = [line for line in found if not _ALARM.match(line)]
    return found
