"""What a router says of itself: version, identity, uptime, serial number."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from tminus.routeros.text import clean_line, lines

_VERSION = re.compile(r"^(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?((?:alpha|beta|rc)\d{1,6})?(?:[ _-].*)?$", re.ASCII)
_STAGE = re.compile(r"(alpha|beta|rc)(\d+)", re.ASCII)
_STAGES = ("alpha", "beta", "rc")
_COMPARISON = re.compile(r"(>=|<=|>|<|=)(\d{1,3}(?:\..+)?)", re.ASCII)
# 6w5d11h55m45s from print, 00:06:48 from get, 1d00:06:48 as a mixture: the record does not settle which, so all are read.
# Six digits at most: a router may say anything, and more of them would not fit into a timedelta.
_UPTIME = re.compile(
    r"^(?:(\d{1,6})y)?(?:(\d{1,6})w)?(?:(\d{1,6})d)?"
    r"(?:(\d{1,6}):(\d\d):(\d\d)(?:\.\d+)?|(?:(\d{1,6})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,6})s)?(?:\d+ms)?)$",
    re.ASCII,
)
_LONGEST_UPTIME = timedelta(days=200 * 365)  # beyond it, it is none, and no database holds all that a router may say
# Letters and digits; a digit at least, or capitals alone, or a message of one word would be taken for a serial number.
_SERIAL = re.compile(r"(?=.*[0-9])[A-Za-z0-9/_-]{4,32}|[A-Z]{8,32}")


@dataclass(frozen=True, slots=True)
class Version:
    """A RouterOS version. The features are those that the console of real versions showed first."""

    major: int
    minor: int
    patch: int = 0
    text: str = ""

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """Read "7.22 (stable)", "6.49.10", "7.24beta1"; None for anything else."""
        found = _VERSION.match(text.strip())
        if not found:
            return None
        return cls(int(found[1]), int(found[2]), int(found[3] or 0), clean_line(text))

    @property
    def rank(self) -> tuple[int, int, int, int, int]:
        """To be compared: 7.9 before 7.12, and 7.24beta1 before 7.24rc1 before 7.24. Migration 0003 has the same in SQL."""
        found = _VERSION.match(self.text)
        stage = _STAGE.fullmatch(found[4] or "") if found else None
        behind = (_STAGES.index(stage[1]), int(stage[2])) if stage else (len(_STAGES), 0)
        return (self.major, self.minor, self.patch, *behind)

    @property
    def has_onerror(self) -> bool:
        return (self.major, self.minor) >= (7, 13)

    @property
    def has_dry_run(self) -> bool:
        return (self.major, self.minor) >= (7, 16)

    @property
    def has_detached(self) -> bool:
        """`:execute` with `file=` is older (7.9 at the latest); but before `:onerror` an error of a job is not told apart."""
        return self.has_onerror

    @property
    def exports_secrets(self) -> bool:
        """RouterOS 6 shows secrets in an export unless it is told to hide them; 7 hides them."""
        return self.major < 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    version: Version
    identity: str
    uptime: timedelta
    greeting: tuple[str, ...] = ()
    """The lines that stood before its answer: a note of /system note, perhaps. Whether an exec channel shows it is not recorded."""


def is_version_in(version: Version, version_range: str) -> bool:
    """Say whether all comparisons of a range hold, as migration 0003 writes one: ">=7.12 <8". False for what is no range."""
    comparisons = [_COMPARISON.fullmatch(part) for part in version_range.split(" ")]
    return all(found is not None and _holds(version, found[1], found[2]) for found in comparisons)


def _holds(version: Version, operator: str, text: str) -> bool:
    limit = Version.parse(text if "." in text else f"{text}.0")
    if limit is None:
        return False
    match operator:
        case ">=":
            return version.rank >= limit.rank
        case "<=":
            return version.rank <= limit.rank
        case ">":
            return version.rank > limit.rank
        case "<":
            return version.rank < limit.rank
        case _:
            return version.rank == limit.rank


def parse_uptime(text: str) -> timedelta | None:
    """Read "6w5d11h55m45s", "00:06:48" and their mixtures; None for anything else, and beyond two centuries."""
    found = _UPTIME.match(text.strip())
    if not found or not text.strip():
        return None
    years, weeks, days, clock_h, clock_m, clock_s, h, m, s = (int(part or 0) for part in found.groups())
    uptime = timedelta(days=years * 365 + weeks * 7 + days, hours=clock_h + h, minutes=clock_m + m, seconds=clock_s + s)
    return uptime if uptime < _LONGEST_UPTIME else None


def parse_facts(output: bytes, begin: str, end: str) -> Facts | None:
    """Read the answer to commands.identify: version, identity and uptime, between two markers, each alone on a line.

    None where a marker is missing (the line did not run to its end) or the answers are not RouterOS's.
    """
    said = lines(output)
    if begin not in said or end not in said:
        return None
    answers = said[said.index(begin) + 1 : said.index(end)]
    # A blank line behind an answer is no answer; but one that stands for the identity may be.
    while answers and not answers[-1]:
        answers.pop()
    while answers and not answers[0]:
        answers.pop(0)
    if len(answers) < 3:
        return None
    version, uptime = Version.parse(answers[0]), parse_uptime(answers[-1])
    if version is None or uptime is None:
        return None
    greeting = tuple(said[: said.index(begin)])
    return Facts(version=version, identity=clean_line("\n".join(answers[1:-1])), uptime=uptime, greeting=greeting)


def behind_greeting(greeting: tuple[str, ...], said: list[str]) -> list[str]:
    """Return what a router said to a later command of the same login, without the greeting that it began with."""
    return said[len(greeting) :] if tuple(said[: len(greeting)]) == greeting else said


def parse_serial(text: str) -> str | None:
    """Read a serial number; None for anything else."""
    return text if _SERIAL.fullmatch(text) else None
