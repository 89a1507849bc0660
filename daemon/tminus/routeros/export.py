"""Exports: whether one is complete, and what of it can be compared. `differ` compares them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from tminus.domain.likeness import common_ends
from tminus.routeros.messages import is_error_line
from tminus.routeros.text import clean, clean_line, lines
from tminus.routeros.wraps import WRAP, goes_on, unwrap

# "# nov/14/2022 17:12:03 by RouterOS 6.49.7" until 7.9, "# 2023-06-01 12:16:16 by RouterOS 7.10rc1" since.
_DATED = re.compile(
    r"^# (?:[a-z]{3}/\d{2}/\d{4}|\d{4}-\d{2}-\d{2}) \d{2}:\d{2}:\d{2} by RouterOS \S+", re.IGNORECASE | re.ASCII
)
_SERIAL = re.compile(r"^# serial number = (\S+)$")
_MODEL = re.compile(r"^# model = (.+)$")
_GREETING = 100  # lines before it, at most
_ABOUT = 11  # lines behind it that tell which router this is, at most
_BROKEN = re.compile(r"^#\s*(?:error exporting|interrupted)\b", re.IGNORECASE)
# Comments about the moment, not the configuration (what oxidized leaves out, too).
_TRANSIENT = re.compile(
    r"^# (?:inactive time$|received packet from .* bad format|poe-out status: |\S+ not ready$|Firmware upgraded successfully, please reboot"
    r"|.*please restart the device in order to apply the new setting)"
)
# Lines that mean something for others: a comment, a key over several lines, a menu in which a name is a secret, an alarm.
_DEPENDS = re.compile(r"^#|PRIVATE KEY|/snmp| echo: ", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A complete export. `text` is normalised (LF, joined lines, no dated first line); `sha256` is over its UTF-8."""

    header: str
    text: str
    sha256: bytes
    raw_bytes: int
    serial: str | None
    model: str | None
    # The text of the same export with its secrets, where it was taken as well.
    sensitive: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Incomplete:
    """An export that proves nothing; `why` is the end of a sentence. `cut`: more of it may be had as a file."""

    why: str
    cut: bool = False


def read_export(
    output: bytes, end_marker: str, *, redacted: bool = True, like: Export | None = None
) -> Export | Incomplete:
    """Read the answer to commands.export. Complete only with its header, no error in it, and our marker as its last line.

    `redacted`: known secrets are replaced in its text. `like` is one that was read so, of the same router: what is the same is
    not read again, which changes nothing but the time that it takes.

    RouterOS drops what does not fit into the receiver's window and says exit status 0 all the same, so nothing less than
    a marker printed after the export proves that it is whole.
    """
    if like is not None and redacted and (read := _read_like(output, end_marker, like)) is not None:
        return read
    said = lines(output)
    while said and not said[-1]:
        said.pop()
    if not said or said[-1] != end_marker:
        tail = clean_line(said[-1], cap=120) if said and is_error_line(said[-1]) else ""
        return Incomplete(f"it ended before its end marker{': ' + tail if tail else ''}", cut=not tail)
    said.pop()
    return _read(said, len(output), redacted=redacted)


def read_export_file(content: bytes, size: int, *, redacted: bool = True) -> Export | Incomplete:
    """Read a file that commands.export_to_file wrote and that the router lists with `size` bytes. `redacted`: as above."""
    if len(content) != size:
        return Incomplete(f"{len(content)} of its {size} bytes arrived")
    if not content.endswith(b"\n"):
        return Incomplete("its last line is not whole")
    return _read(lines(content), size, redacted=redacted)


def _read(said: list[str], raw_bytes: int, *, redacted: bool) -> Export | Incomplete:
    # What a router may show to everybody who logs in comes before its header.
    begin = next((index for index, line in enumerate(said[:_GREETING]) if _DATED.match(line)), None)
    if begin is None:
        return Incomplete("its first line is not RouterOS's export header")
    said = said[begin:]
    header, body = said[0], "\n".join(said[1:])
    comments = _comments(body)
    for line in comments:
        if _BROKEN.match(line):
            return Incomplete(f"RouterOS reported '{clean_line(line, cap=120)}'")
    last = next((line for line in reversed(said) if line), "")
    if is_error_line(last):
        return Incomplete(f"it ended with '{clean_line(last, cap=120)}'")
    if goes_on(last):
        return Incomplete("it ended within a line that goes on", cut=True)
    if any(_TRANSIENT.match(line) for line in comments):  # which is seldom
        body = "\n".join(_lasting(said[1:]))
    text = clean(unwrap(body).rstrip("\n") + "\n", cap=1 << 30, redacted=redacted)
    return Export(
        header=clean_line(header),
        text=text,
        sha256=hashlib.sha256(text.encode()).digest(),
        raw_bytes=raw_bytes,
        serial=_first(_SERIAL, said[1 : 1 + _ABOUT]),
        model=_first(_MODEL, said[1 : 1 + _ABOUT]),
    )


def _read_like(output: bytes, end_marker: str, like: Export) -> Export | None:
    """Read the lines that differ from an export that was read; None if what they mean may depend on others, or others on them."""
    if not output.isascii():
        return None
    header, _, body = "\n".join(output.decode("ascii").split("\r\n")).partition("\n")
    closing = f"\n{end_marker}\n"
    if not _DATED.match(header) or not body.endswith(closing) or "\r" in body:
        return None
    if any(_BROKEN.match(line) or _TRANSIENT.match(line) for line in _comments(body)):
        return None
    body = unwrap(body[: len(body) - len(closing) + 1])
    head, tail = common_ends(body, like.text)
    begin, end = body.rfind("\n", 0, head) + 1, body.find("\n", len(body) - tail) + 1
    # Its beginning says which router it is of, and its last line whether it is whole.
    if not end or end == len(body) or body.count("\n", 0, begin) < _ABOUT:
        return None
    said = lines(body[begin:end].encode())
    middle = "\n".join(said)
    menu = body.rfind("\n/", 0, begin) + 1
    if (
        WRAP in middle
        or "PRIVATE KEY" in like.text
        or body.startswith("/snmp", menu)
        or _DEPENDS.search(body, begin, end)
    ):
        return None
    text = body[:begin] + clean(middle, cap=1 << 30) + body[end:]
    return Export(
        header=clean_line(header),
        text=text,
        sha256=hashlib.sha256(text.encode()).digest(),
        raw_bytes=len(output),
        serial=like.serial,
        model=like.model,
    )


def _comments(body: str) -> list[str]:
    """Return the lines that begin with `#`. Of those there are few, and a single character is found at the speed of memory."""
    found: list[str] = []
    place = body.find("#")
    while place >= 0:
        end = body.find("\n", place)
        end = len(body) if end < 0 else end
        if place == 0 or body[place - 1] == "\n":
            found.append(body[place:end])
        place = body.find("#", end)
    return found


def _lasting(said: list[str]) -> list[str]:
    """Leave out comments about the moment; what goes on with the line before is none."""
    kept: list[str] = []
    for line in said:
        if (kept and goes_on(kept[-1])) or not _TRANSIENT.match(line):
            kept.append(line)
    return kept


def _first(pattern: re.Pattern[str], said: list[str]) -> str | None:
    return next((clean_line(found[1], cap=64) for line in said if (found := pattern.match(line))), None)
