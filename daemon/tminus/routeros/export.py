"""Exports: whether one is complete, and what of it can be compared."""

from __future__ import annotations

import difflib
import hashlib
import re
from dataclasses import dataclass

from tminus.routeros.messages import is_error_line
from tminus.routeros.text import clean, clean_line, lines

# "# nov/14/2022 17:12:03 by RouterOS 6.49.7" until 7.9, "# 2023-06-01 12:16:16 by RouterOS 7.10rc1" since.
_DATED = re.compile(r"^# (?:[a-z]{3}/\d{2}/\d{4}|\d{4}-\d{2}-\d{2}) \d{2}:\d{2}:\d{2} by RouterOS \S+", re.IGNORECASE)
_SERIAL = re.compile(r"^# serial number = (\S+)$")
_MODEL = re.compile(r"^# model = (.+)$")
_BROKEN = re.compile(r"^#\s*(?:error exporting|interrupted)\b", re.IGNORECASE)
# Comments about the moment, not the configuration (what oxidized leaves out, too).
_TRANSIENT = re.compile(
    r"^# (?:inactive time$|received packet from .* bad format|poe-out status: |\S+ not ready$|Firmware upgraded successfully, please reboot"
    r"|.*please restart the device in order to apply the new setting)"
)
_CONTEXT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A complete export. `text` is normalised (LF, joined lines, no dated first line); `sha256` is over its UTF-8."""

    header: str
    text: str
    sha256: bytes
    raw_bytes: int
    serial: str | None
    model: str | None


@dataclass(frozen=True, slots=True)
class Incomplete:
    """An export that proves nothing; `why` is the end of a sentence."""

    why: str


def read_export(output: bytes, end_marker: str) -> Export | Incomplete:
    """Read the answer to commands.export. Complete only with its header, no error in it, and our marker as its last line.

    RouterOS drops what does not fit into the receiver's window and says exit status 0 all the same, so nothing less than
    a marker printed after the export proves that it is whole.
    """
    said = lines(output)
    while said and not said[-1]:
        said.pop()
    if not said or said[-1] != end_marker:
        tail = clean_line(said[-1], cap=120) if said and is_error_line(said[-1]) else ""
        return Incomplete(f"it ended before its end marker{': ' + tail if tail else ''}")
    said.pop()
    while said and not said[0]:
        said.pop(0)
    if not said or not _DATED.match(said[0]):
        return Incomplete("its first line is not RouterOS's export header")
    for line in said:
        if _BROKEN.match(line):
            return Incomplete(f"RouterOS reported '{clean_line(line, cap=120)}'")
    last = next((line for line in reversed(said) if line), "")
    if is_error_line(last):
        return Incomplete(f"it ended with '{clean_line(last, cap=120)}'")
    header, body = said[0], _normalise(said[1:])
    text = clean("\n".join(body) + "\n", cap=1 << 30)
    return Export(
        header=clean_line(header),
        text=text,
        sha256=hashlib.sha256(text.encode()).digest(),
        raw_bytes=len(output),
        serial=_first(_SERIAL, said[1:12]),
        model=_first(_MODEL, said[1:12]),
    )


def _normalise(said: list[str]) -> list[str]:
    body: list[str] = []
    joining = False
    for line in said:
        if joining:
            body[-1] += line.lstrip()
        elif _TRANSIENT.match(line):
            continue
        else:
            body.append(line)
        # A line that RouterOS wrapped ends with a single backslash; an escaped one is two.
        last = body[-1]
        joining = (len(last) - len(last.rstrip("\\"))) % 2 == 1
        if joining:
            body[-1] = last[:-1]
    while body and not body[-1]:
        body.pop()
    return body


def diff_exports(before: str, after: str) -> str:
    """Return the unified diff of two normalised exports; empty if they are the same."""
    if before == after:
        return ""
    a, b = before.splitlines(), after.splitlines()
    # difflib costs a look at every line; what both begin and end with need not be looked at.
    head = 0
    while head < min(len(a), len(b)) and a[head] == b[head]:
        head += 1
    tail = 0
    while tail < min(len(a), len(b)) - head and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    skipped, kept = max(head - _CONTEXT, 0), max(tail - _CONTEXT, 0)
    found = difflib.unified_diff(
        a[skipped : len(a) - kept], b[skipped : len(b) - kept], "before", "after", n=_CONTEXT, lineterm=""
    )
    return "\n".join(_moved(line, skipped) for line in found) + "\n"


_HUNK = re.compile(r"^@@ -(\d+)((?:,\d+)?) \+(\d+)((?:,\d+)?) @@$")


def _moved(line: str, by: int) -> str:
    found = _HUNK.match(line)
    return f"@@ -{int(found[1]) + by}{found[2]} +{int(found[3]) + by}{found[4]} @@" if found else line


def _first(pattern: re.Pattern[str], said: list[str]) -> str | None:
    return next((clean_line(found[1], cap=64) for line in said if (found := pattern.match(line))), None)
