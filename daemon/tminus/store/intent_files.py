"""The files of the intent log (store/intent_log.py): what is in them, and what is damage.

A last line that is not whole was being written when its process or its host died; it was never acted on, and is passed
over. A line in the middle that is not is damage, and told.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self
from uuid import UUID

from tminus.errors import ConfigError

_PREFIX = b'{"key": "'
_KEY = slice(len(_PREFIX), len(_PREFIX) + 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A start that was committed, and is about to be sent."""

    key: int
    at: datetime
    run: int
    nonce: str
    launch: UUID
    site: str
    occurrence: str
    digest: str

    def line(self) -> bytes:
        value = {
            "key": f"{self.key:016x}",
            "at": self.at.isoformat(),
            "run": self.run,
            "nonce": self.nonce,
            "launch": str(self.launch),
            "site": self.site,
            "occurrence": self.occurrence,
            "digest": self.digest,
        }
        return json.dumps(value, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Self:
        """Read what `line` returned. Raises ValueError, KeyError or TypeError."""
        value = json.loads(line)
        return cls(
            key=int(value["key"], 16),
            at=datetime.fromisoformat(value["at"]),
            run=int(value["run"]),
            nonce=str(value["nonce"]),
            launch=UUID(value["launch"]),
            site=str(value["site"]),
            occurrence=str(value["occurrence"]),
            digest=str(value["digest"]),
        )


def files(folder: Path) -> list[Path]:
    """Return the files of the log, the oldest first."""
    return sorted(folder.glob("[0-9]*-*.jsonl"), key=_number)


def _number(file: Path) -> int:
    digits = file.name.partition("-")[0]
    return int(digits) if digits.isdigit() else 0


def last_number(folder: Path) -> int:
    return max(map(_number, files(folder)), default=0)


def keys(folder: Path) -> Iterator[int]:
    for file in files(folder):
        for line in _whole_lines(file):
            yield int(line[_KEY], 16)


def newest_first(folder: Path) -> Iterator[Intent]:
    for file in reversed(files(folder)):
        yield from of_file(file)


def of_file(file: Path) -> Iterator[Intent]:
    for line in reversed(_whole_lines(file)):
        yield _read(line, file)


def find(folder: Path, key: int) -> Intent | None:
    """Return the latest intent with this key. Raises ConfigError or OSError."""
    wanted = f"{key:016x}".encode()
    for file in reversed(files(folder)):
        for line in reversed(_whole_lines(file)):
            if line[_KEY] == wanted:
                return _read(line, file)
    return None


def _read(line: bytes, file: Path) -> Intent:
    try:
        return Intent.read(line)
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(file) from error


def _whole_lines(file: Path) -> list[bytes]:
    """Return the lines of a file, without what was being written when its process or its host died."""
    whole: list[bytes] = []
    broken = False
    for line in file.read_bytes().split(b"\n")[:-1]:
        if not _is_whole(line):
            broken = True
        elif broken:
            raise _damaged(file)
        else:
            whole.append(line)
    return whole


def _is_whole(line: bytes) -> bool:
    if not line.startswith(_PREFIX) or not line.endswith(b'"}'):
        return False
    try:
        int(line[_KEY], 16)
    except ValueError:
        return False
    return True


def _damaged(file: Path) -> ConfigError:
    return ConfigError(
        f"{file} is damaged, so it is not known what was started from here; take a copy of it, and remove the lines that are"
        " no JSON objects: what they name could run a second time if the database was set back, so see to that first"
    )
