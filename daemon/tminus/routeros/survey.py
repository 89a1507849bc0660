"""Questions to a router long before a script: is there anything that would stop a run, or spoil it?

Each question is a line of its own, since a menu that a version does not have makes the whole line fail. What a router does
not answer, or not as expected, is None: unknown, which is never taken for good or bad.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tminus.routeros.facts import Facts, Version
from tminus.routeros.text import lines

POLICIES = ("ssh", "ftp", "read", "write", "test")
"""What the user of a run needs (documented): log in, SFTP, export, change, and reach other hosts."""
OLDEST = (6, 49)
"""The oldest version whose behaviour is recorded."""
CLOCK_TOLERANCE = timedelta(minutes=5)
SPACE = 2 * 1024 * 1024
"""Bytes: a script may have 1 MiB, and the router needs some to work with."""


def short_of_space(free: int) -> str:
    """Say what is wrong with so many bytes of storage, where they are less than SPACE."""
    return f"only {free // 1024} KiB of storage are free, less than {SPACE // 1024} KiB"


# A name that needs no quoting in RouterOS's language.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_POLICY_LIST = re.compile(r"!?[a-z-]+(?:[;,]!?[a-z-]+)*")
_ISO_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_OLD_DATE = re.compile(r"([a-z]{3})/(\d\d)/(\d{4})")
_TIME = re.compile(r"(\d\d):(\d\d):(\d\d)")
_OFFSET = re.compile(r"([+-]?)(\d\d):(\d\d)(?::(\d\d))?")
_SIZE = re.compile(r"(\d{1,15})(?:\.(\d))?(KiB|MiB|GiB)?")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_UNITS = {None: 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a router answered; None is what it did not."""

    facts: Facts
    model: str | None
    serial: str | None
    policies: frozenset[str] | None
    clock: datetime | None
    asked_at: datetime
    free_space: int | None
    device_mode: str | None
    # Why SFTP is refused; empty where it is not.
    sftp_refusal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """`problems` would stop a run or spoil it, `notes` are good to know, `unknown` could not be found out."""

    problems: tuple[str, ...]
    notes: tuple[str, ...]
    unknown: tuple[str, ...]


def model() -> str:
    """On a CHR it fails, like the serial number."""
    return ":put [/system routerboard get model]"


def policies(username: str) -> str | None:
    """Ask for the policies of a user's group; None if the name would have to be quoted. One of RADIUS is not found."""
    if not _PLAIN_NAME.fullmatch(username):
        return None
    group = f'[/user get [/user find where name="{username}"] group]'
    return f":put [/user group get [/user group find where name={group}] policy]"


def clock() -> str:
    return ":put [/system clock get date]; :put [/system clock get time]; :put [/system clock get gmt-offset]"


def free_space() -> str:
    return ":put [/system resource get free-hdd-space]"


def device_mode(version: Version) -> str | None:
    """Since 7.17 (documented); the menu is missing before."""
    return ":put [/system device-mode get mode]" if (version.major, version.minor) >= (7, 17) else None


def parse_model(output: bytes) -> str | None:
    said = _one(output)
    return (
        said
        if said is not None and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9+^. _-]{1,63}", said) and _named(said)
        else None
    )


def _named(text: str) -> bool:
    """A name of hardware has a digit or a capital letter in it; 'no such item' has not."""
    return any(character.isdigit() or character.isupper() for character in text)


def parse_policies(output: bytes) -> frozenset[str] | None:
    """Read `local;ssh;read;!ftp`; what is negated is not granted. Lists are seen with commas and with semicolons."""
    said = _one(output)
    if said is None or not _POLICY_LIST.fullmatch(said):
        return None
    return frozenset(word for word in re.split("[;,]", said) if not word.startswith("!"))


def parse_clock(output: bytes) -> datetime | None:
    """Read date (`2026-11-24` since 7.10, `nov/24/2026` before), time and offset from UTC; return the moment in UTC."""
    said = [line.strip() for line in lines(output) if line.strip()]
    if len(said) != 3:
        return None
    date, time, offset = _date(said[0]), _TIME.fullmatch(said[1]), _offset(said[2])
    if date is None or time is None or offset is None:
        return None
    try:
        hour, minute, second = (int(part) for part in time.groups())
        return datetime(*date, hour, minute, second, tzinfo=UTC) - offset
    except (ValueError, OverflowError):
        return None


def _date(text: str) -> tuple[int, int, int] | None:
    if found := _ISO_DATE.fullmatch(text):
        return int(found[1]), int(found[2]), int(found[3])
    found = _OLD_DATE.fullmatch(text.lower())
    if found is None or found[1] not in _MONTHS:
        return None
    return int(found[3]), _MONTHS.index(found[1]) + 1, int(found[2])


def _offset(text: str) -> timedelta | None:
    """Read `+01:00`, `01:00:00` or seconds; the record does not say which `get` gives, nor whether they have a sign."""
    if re.fullmatch(r"-?\d{1,10}", text):
        seconds = int(text)
        if seconds > 1 << 31:  # a negative number that was printed without its sign
            seconds -= 1 << 32
    elif found := _OFFSET.fullmatch(text):
        seconds = (int(found[2]) * 60 + int(found[3])) * 60 + int(found[4] or 0)
        seconds = -seconds if found[1] == "-" else seconds
    else:
        return None
    return timedelta(seconds=seconds) if abs(seconds) <= 18 * 3600 else None


def parse_space(output: bytes) -> int | None:
    """Read bytes, as `get` prints them (seen on 7.22), or `3428.0KiB`."""
    found = _SIZE.fullmatch(_one(output) or "")
    if found is None:
        return None
    return int((int(found[1]) + int(found[2] or 0) / 10) * _UNITS[found[3]])


def parse_device_mode(output: bytes) -> str | None:
    said = _one(output)
    return said if said is not None and re.fullmatch(r"[a-z]{2,20}", said) else None


def _one(output: bytes) -> str | None:
    said = [line.strip() for line in lines(output) if line.strip()]
    return said[0] if len(said) == 1 else None


def judge(survey: Survey, *, wants_secrets: bool = False) -> Readiness:
    """Say what would stop a run on this router, or spoil it. `wants_secrets`: its exports are to hold them."""
    problems, notes, unknown = [], [], []
    version = survey.facts.version
    if (version.major, version.minor) < OLDEST:
        problems.append(f"RouterOS {version.text} is older than {OLDEST[0]}.{OLDEST[1]}, the oldest that is known")
    elif not version.has_dry_run:
        notes.append("cannot check a script before it runs it (before RouterOS 7.16)")
    if survey.policies is None:
        unknown.append("policies of the user")
    elif missing := [policy for policy in POLICIES if policy not in survey.policies]:
        problems.append(f"the user lacks the {'policies' if len(missing) > 1 else 'policy'} {', '.join(missing)}")
    if wants_secrets and survey.policies is not None and "sensitive" not in survey.policies:
        notes.append("the user lacks the policy sensitive, so exports have no secrets, which the site asks for")
    if survey.sftp_refusal:
        problems.append(f"no SFTP: {survey.sftp_refusal}")
    if survey.clock is None:
        unknown.append("clock")
    elif abs(survey.clock - survey.asked_at) > CLOCK_TOLERANCE:
        problems.append(f"the clock is wrong: it says {survey.clock:%Y-%m-%d %H:%M} UTC")
    if survey.free_space is None:
        unknown.append("free storage")
    elif survey.free_space < SPACE:
        problems.append(short_of_space(survey.free_space))
    if survey.device_mode == "home":
        notes.append("device-mode is home: the router refuses what adds schedulers, among others")
    elif survey.device_mode is None and device_mode(version) is not None:
        unknown.append("device-mode")
    return Readiness(problems=tuple(problems), notes=tuple(notes), unknown=tuple(unknown))
