"""Transcripts: what is sent to a router and what it should answer, read from ``transcripts/*.toml``. Pure.

An expected text may hold names in double braces, which stand for what differs from router to router: ``{{version}}``,
``{{time}}`` and so on (``_KINDS``). ``{{where}}`` stands for the place at the end of a run-time error, which late versions
print and RouterOS 6 does not; it is given by the transcript's ``where``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "transcripts"
Number = tuple[int, int, int]
SUFFIX_SINCE: Number = (7, 20, 0)  # seen since then; between 7.0 and there nobody recorded whether it is printed


class Via(StrEnum):
    EXEC = "exec"  # an exec request, without a terminal
    SHELL = "shell"  # typed at a prompt
    LOGIN = "login"  # what a terminal shows before its first prompt
    BANNER = "banner"  # the server's version string


class Match(StrEnum):
    WHOLE = "whole"  # the whole output
    LINES = "lines"  # these lines, in this order, among others
    EACH = "each"  # each line of the output is like one of these
    BYTES = "bytes"  # the whole output, with its line ends and trailing blanks


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    id: str
    record: str  # section and source key in the public record
    tag: str  # D documented, O observed, U uncertain
    since: Number
    until: Number | None  # the first version for which it does not hold
    device: str | None  # what a device has to be, one of Device.kinds
    changes: bool  # whether the device is changed, and changed back
    uploads: Mapping[str, str]
    before: tuple[str, ...]
    command: str
    after: tuple[str, ...]
    via: Via
    match: Match
    output: str
    absent: tuple[str, ...]  # patterns that no line may match
    where: str | None
    status: tuple[int, ...]  # allowed exit statuses; empty: any, or none

    def applies(self, device: Device) -> bool:
        if device.version < self.since or (self.until is not None and device.version >= self.until):
            return False
        return self.device is None or self.device in device.kinds


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What is known of a router before anything is replayed."""

    name: str
    version: Number
    kinds: frozenset[str]  # "chr" or "routerboard"; "home" by its device-mode; "may-not-write" by our user's group


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    output: bytes
    status: int | None = None


_KINDS = {
    "version": r"[67]\.\d+(?:\.\d+)?(?:(?:alpha|beta|rc)\d+)?",
    "channel": r"[a-z-]+",
    "date": r"\d{4}-\d\d-\d\d",
    "old-date": r"[a-z]{3}/\d\d/\d{4}",
    "build-date": r"(?:\d{4}-\d\d-\d\d|[A-Z][a-z]{2}/\d\d/\d{4})",
    "time": r"\d\d:\d\d:\d\d",
    "uptime": r"(?:\d+w)?(?:\d+d)?(?:\d+h)?(?:\d+m)?(?:\d+s)?",
    "clock": r"(?:\d+w)?(?:\d+d)?(?:\d\d:\d\d:\d\d|(?:\d+h)?(?:\d+m)?\d+s)",
    "id": r"\*[0-9A-F]+",
    "number": r"\d+",
    "size": r"\d+(?:\.\d+)?(?:[KMGT]i?B)?",
    "word": r"\S+",
    "blanks": r" *",
    "text": r".*",
    "ending": r"(?: \(\d+\))?",  # an error number that some captures show
}


def version_of(text: str) -> Number:
    """``7.16``, ``7.24.4``, ``7.25beta1 (testing)``: as numbers."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if found is None:
        raise ValueError(f"'{text}' is no version of RouterOS")
    return int(found[1]), int(found[2]), int(found[3] or 0)


def load() -> tuple[Transcript, ...]:
    """All transcripts, by file and place. ValueError where one is not well formed."""
    found = []
    for file in sorted(FOLDER.glob("*.toml")):
        for row in tomllib.loads(file.read_text("utf-8"))["transcript"]:
            found.append(read(file.stem, row))
    ids = [transcript.id for transcript in found]
    if len(set(ids)) != len(ids):
        raise ValueError("two transcripts have the same id")
    return tuple(found)


_KINDS_OF_DEVICES = frozenset({"chr", "routerboard", "home", "may-not-write"})
_FIELDS = frozenset({
    "id", "record", "tag", "since", "until", "device", "changes", "uploads", "before", "command", "after", "via", "match",
    "output", "absent", "where", "status",
})  # fmt: skip


def read(group: str, row: Mapping[str, Any]) -> Transcript:
    """One row of a file. ValueError where it is not well formed."""
    unknown = set(row) - _FIELDS
    if unknown or row.get("tag") not in ("D", "O", "U") or not row.get("record"):
        raise ValueError(
            f"{group}.{row.get('id')}: a field is unknown ({unknown or 'none'}), or tag or record are missing"
        )
    transcript = Transcript(
        id=f"{group}.{row['id']}",
        record=row["record"],
        tag=row["tag"],
        since=version_of(row.get("since", "6.0")),
        until=version_of(row["until"]) if "until" in row else None,
        device=row.get("device"),
        changes=bool(row.get("changes") or row.get("uploads")),
        uploads=row.get("uploads", {}),
        before=tuple(row.get("before", ())),
        command=row.get("command", ""),
        after=tuple(row.get("after", ())),
        via=Via(row.get("via", "exec")),
        match=Match(row.get("match", "whole")),
        output=row.get("output", ""),
        absent=tuple(row.get("absent", ())),
        where=row.get("where"),
        status=tuple(row.get("status", ())),
    )
    if transcript.device not in (None, *_KINDS_OF_DEVICES):
        raise ValueError(f"{transcript.id} wants a device of kind '{transcript.device}', which is none")
    if (transcript.before or transcript.after) and not transcript.changes:
        raise ValueError(f"{transcript.id} prepares or cleans up, but does not say that it changes the device")
    return transcript


def difference(transcript: Transcript, device: Device, answer: Answer) -> str | None:
    """What differs from the record in one answer; None if nothing does."""
    if transcript.status and answer.status not in transcript.status:
        return f"exit status {answer.status}, not {' or '.join(map(str, transcript.status))}"
    text = answer.output.decode("utf-8", "backslashreplace")
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    for pattern in transcript.absent:
        if unwanted := next((line for line in lines if re.search(pattern, line)), None):
            return f"'{unwanted}' should not be there"
    if _matches(transcript, device, text, lines):
        return None
    return f"expected {transcript.output!r}, got {_short(text)!r}"


def _matches(transcript: Transcript, device: Device, text: str, lines: list[str]) -> bool:
    wanted = [line.rstrip() for line in transcript.output.strip("\n").split("\n")]
    patterns = [_pattern(line, transcript.where, device.version) for line in wanted]
    match transcript.match:
        case Match.BYTES:
            return bool(re.fullmatch(_pattern(transcript.output, transcript.where, device.version), text, re.DOTALL))
        case Match.WHOLE:
            if not transcript.output:
                return not lines
            return len(lines) == len(patterns) and all(map(re.fullmatch, patterns, lines))
        case Match.LINES:
            rest = iter(lines)
            return all(any(re.fullmatch(pattern, line) for line in rest) for pattern in patterns)
        case Match.EACH:
            return bool(lines) and all(any(re.fullmatch(pattern, line) for pattern in patterns) for line in lines)


def _pattern(line: str, where: str | None, version: Number) -> str:
    pieces = re.split(r"\{\{([a-z-]+)\}\}", line)
    made = []
    for place, piece in enumerate(pieces):
        if place % 2 == 0:
            made.append(re.escape(piece))
        elif piece == "where":
            made.append(_suffix(where, version))
        else:
            made.append(f"(?:{_KINDS[piece]})")
    return "".join(made)


def _suffix(where: str | None, version: Number) -> str:
    if where is None:
        raise ValueError("a transcript with {{where}} has to say where")
    if version < (7, 0, 0):
        return ""
    text = re.escape(f" ({where})")
    return text if version >= SUFFIX_SINCE else f"(?:{text})?"


def _short(text: str) -> str:
    return text if len(text) <= 400 else f"{text[:400]} ... ({len(text)} characters)"
