"""What a person types, made into values. Every refusal is one sentence that names the thing and the remedy (UsageError)."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import click

from tminus.domain import rollout
from tminus.errors import UsageError

if TYPE_CHECKING:
    import asyncpg

MAX_SCRIPT = 1024 * 1024
"""Bytes of UTF-8 with LF line ends; the database refuses more."""
_MAX_LIST = 64 * 1024 * 1024
_TEN_YEARS = 3652 * 86400  # seconds
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_MARK = "\ufeff"


class Duration(click.ParamType[timedelta]):
    """`90s`, `5m`, `1h30m`, `1d`: at least a second."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, _: click.Context | None) -> timedelta:
        return value if isinstance(value, timedelta) else parse_duration(str(value), _called(param))


class WholeNumber(click.ParamType[int]):
    """A number with bounds that answers a wrong one in one sentence."""

    name = "number"

    def __init__(self, low: int, high: int) -> None:
        self._low = low
        self._high = high

    def convert(self, value: object, param: click.Parameter | None, _: click.Context | None) -> int:
        text = str(value)
        if not re.fullmatch(r"[0-9]{1,19}", text) or not self._low <= int(text) <= self._high:
            raise UsageError(f"{_called(param)} {text!r} is no whole number from {self._low} to {self._high}")
        return int(text)


class Amount(click.ParamType[str]):
    """A count of sites, or a percentage of all."""

    name = "amount"

    def convert(self, value: object, param: click.Parameter | None, _: click.Context | None) -> str:
        try:
            return str(rollout.Amount.parse(str(value)))
        except ValueError as error:
            raise UsageError(f"{_called(param)}: {error}") from None


class Names(click.ParamType[list[str]]):
    """A list with commas, each part of it a `part`."""

    name = "list"

    def __init__(self, part: click.ParamType[str] = click.STRING) -> None:
        self._part = part
        self.name = f"{part.name},..."

    def convert(self, value: object, param: click.Parameter | None, context: click.Context | None) -> list[str]:
        if isinstance(value, list):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        if "" in parts:
            raise UsageError(f"{_called(param)} {str(value)!r} is no list with commas; something is missing in it")
        return [str(self._part.convert(part, param, context)) for part in parts]


class Uuid(click.ParamType[UUID]):
    name = "uuid"

    def convert(self, value: object, param: click.Parameter | None, _: click.Context | None) -> UUID:
        try:
            return value if isinstance(value, UUID) else UUID(str(value))
        except ValueError:
            raise UsageError(f"{_called(param)} {str(value)!r} is no UUID; leave it out to have one made") from None


def _called(param: click.Parameter | None) -> str:
    match param:
        case click.Option():
            return param.opts[0]
        case click.Argument():
            return param.human_readable_name
        case _:
            return "the value"


def parse_duration(text: str, what: str = "the duration") -> timedelta:
    if not re.fullmatch(r"([0-9]{1,9}[smhdw])+", text):
        raise UsageError(f"{what} {text!r} is not understood; give a duration such as 90s, 5m, 1h30m or 2d")
    parts = re.findall(r"([0-9]+)([smhdw])", text)
    seconds = sum(int(amount) * _UNITS[unit] for amount, unit in parts)
    if not 1 <= seconds <= _TEN_YEARS:
        raise UsageError(f"{what} {text!r} is not between a second and ten years")
    return timedelta(seconds=seconds)


def parse_variables(given: Iterable[str]) -> dict[str, str | int | bool]:
    """Read NAME=VALUE: a whole number, true and false as such, everything else as text. The database checks the names."""
    variables: dict[str, str | int | bool] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name in variables:
            raise UsageError(f"--var {text!r} {'names a variable twice' if equals else 'is not NAME=VALUE'}")
        is_number = re.fullmatch(r"-?(?:0|[1-9][0-9]{0,17})", value) and value != "-0"
        variables[name] = value == "true" if value in ("true", "false") else int(value) if is_number else value
    return variables


def parse_moment(text: str, timezone: str | None, what: str = "--at") -> datetime:
    """Read an ISO 8601 time with an offset, or a local one of `timezone`; return it in UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{what} {text!r} is no ISO 8601 time; give one such as 2030-11-25T02:00Z") from None
    if not re.search(r"\d[Tt ]\d", text):
        raise UsageError(f"{what} {text!r} names a day only; give the time, too, such as {text}T02:00Z")
    try:
        if moment.tzinfo is not None:
            if timezone is not None:
                raise UsageError(f"{what} {text!r} has an offset of its own; leave out --timezone, or the offset")
            return moment.astimezone(UTC)
        if timezone is None:
            raise UsageError(
                f"{what} {text!r} has no offset; write {text}Z for UTC, an offset such as {text}+02:00, or give --timezone"
            )
        return _local(moment, text, timezone, what)
    except OverflowError:
        raise UsageError(f"{what} {text!r} is not a year that a router will see") from None


def parse_end(text: str | None, timezone: str | None, what: str) -> datetime | None:
    """Read a time beside others that `timezone` is for: here it counts only where the time has no offset of its own."""
    if text is None:
        return None
    has_offset = re.search(r"\d[Tt ].*(?:[Zz]|[+-]\d[\d:]*)$", text) is not None
    return parse_moment(text, None if has_offset else timezone, what)


def parse_local(text: str) -> datetime:
    """Read an ISO 8601 time without an offset, for the clock of each site."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is not None or not re.search(r"\d[Tt ]\d", text):
        raise UsageError(
            f"--local-time {text!r} is no date and time without an offset; give one such as 2030-11-25T02:00"
        )
    return moment


def _local(moment: datetime, text: str, timezone: str, what: str) -> datetime:
    from zoneinfo import ZoneInfo

    try:
        zone = ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):  # unknown, not a name, a folder
        raise UsageError(
            f"there is no time zone {timezone!r}; use a name of the IANA database, such as Europe/Berlin"
        ) from None
    first, second = (moment.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first.astimezone(zone).replace(tzinfo=None) != moment:
        raise UsageError(
            f"{what} {text!r} does not exist in {timezone}, whose clocks are moved forward then; give another time"
        )
    if first != second:
        raise UsageError(
            f"{what} {text!r} comes twice in {timezone}, whose clocks are moved back then; give a time with an offset"
        )
    return first


def _read(file: str, cap: int) -> bytes:
    """Read a file, or stdin for `-`, but never more than `cap` + 1 bytes."""
    try:
        if file == "-":
            return sys.stdin.buffer.read(cap + 1)
        with Path(file).open("rb") as source:
            return source.read(cap + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"{file} cannot be read: {why}") from None


def _decode(data: bytes, name: str) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"{name} is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}, line {line}; save it as UTF-8"
        ) from None
    nul = data.find(b"\0")
    if nul >= 0:
        line = data.count(b"\n", 0, nul) + 1
        raise UsageError(f"{name} has a NUL byte at offset {nul}, line {line}; is it a text file?")
    return text.removeprefix(_MARK)


def read_text(file: str) -> tuple[str, str]:
    """Return the text of a file, or of stdin for `-`, and what to call it. UTF-8, with or without a byte order mark."""
    name = "stdin" if file == "-" else file
    data = _read(file, _MAX_LIST)
    if len(data) > _MAX_LIST:
        raise UsageError(f"{name} is longer than {_MAX_LIST // 1024 // 1024} MiB")
    return _decode(data, name), name


def read_script(file: str) -> str:
    """Return a script with LF line ends: exactly what the digest covers and the routers get."""
    name = "the script on stdin" if file == "-" else f"the script {file}"
    # A file whose every line ends in CRLF may be twice as long as what is sent.
    data = _read(file, 2 * MAX_SCRIPT)
    length = len(data.replace(b"\r\n", b"\n"))
    if length > MAX_SCRIPT:
        so_much = f"more than {MAX_SCRIPT}" if len(data) > 2 * MAX_SCRIPT else str(length)
        raise UsageError(
            f"{name} is {so_much} bytes long; at most {MAX_SCRIPT} (1 MiB) are allowed; let it fetch large data, or split it"
        )
    text = _decode(data, name).replace("\r\n", "\n")
    if not text.strip(" \t\r\n"):
        raise UsageError(f"{name} is empty")
    return text


def read_site_ids(file: str) -> list[str]:
    """Return the site ids of a file with one a line; blank lines are left out, and repeated ids stay for the database to refuse."""
    text, name = read_text(file)
    ids = [line.strip() for line in text.splitlines() if line.strip()]
    if not ids:
        raise UsageError(f"{name} names no site; write one site id a line")
    return ids


async def find_script(connection: asyncpg.Connection, text: str) -> UUID:
    """Return the id of the scheduled script whose UUID begins with `text`. UsageError if there is none, or more than one."""
    from tminus.store.pool import statement

    digits = text.replace("-", "").lower()
    if not re.fullmatch(r"[0-9a-f]{4,32}", digits):
        raise UsageError(
            f"{text!r} is no id of a scheduled script; give its UUID, or at least the first 4 digits of it"
        )
    rows = await connection.fetch(statement("find_scripts"), UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f")))
    match [str(row["id"]) for row in rows]:
        case []:
            raise UsageError(f"there is no scheduled script {text}; 'tminus status' lists them")
        case [found]:
            return UUID(found)
        case several:
            some = ", ".join(several[:3]) + (" and more" if len(several) > 3 else "")
            raise UsageError(f"{text} is the beginning of more than one scheduled script ({some}); give more of it")
