"""What this host has seen people do with launches, for where the database is not trusted (`require_signature`).

Whoever owns the database can undo a pause or a halt there. So that a launch was paused, halted or cancelled is kept here, too,
and with it which signed acts were taken: an act counts once. It is a file in `state_dir`, a JSON object a line, the newest last:

    acts.jsonl
        digest occurrence    which launch, as in the intent log
        did                  paused, resumed, confirmed or over
        since                of paused and resumed: the pause
        wave                 of confirmed: up to which wave it may go
        at                   by this host's clock

A file is only ever appended to. A last line that is not whole was never acted on, and is passed over.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Self

from tminus.domain.occurrence import Occurrence
from tminus.errors import ConfigError

_FILE = "acts.jsonl"
_LARGEST = 64 * 1024 * 1024  # bytes


class Did(StrEnum):
    PAUSED = "paused"
    RESUMED = "resumed"
    CONFIRMED = "confirmed"
    OVER = "over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    occurrence: Occurrence
    did: Did
    since: datetime | None = None
    wave: int | None = None

    def line(self, at: datetime) -> bytes:
        value = {
            "digest": self.occurrence.digest,
            "occurrence": self.occurrence.name,
            "did": str(self.did),
            "since": self.since.astimezone(UTC).isoformat() if self.since else None,
            "wave": self.wave,
            "at": at.isoformat(),
        }
        return json.dumps(value, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Self:
        """Read what `line` returned. Raises ValueError, KeyError or TypeError."""
        value = json.loads(line)
        return cls(
            occurrence=Occurrence(digest=str(value["digest"]), name=str(value["occurrence"])),
            did=Did(value["did"]),
            since=None if value["since"] is None else datetime.fromisoformat(value["since"]),
            wave=None if value["wave"] is None else int(value["wave"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What this host knows of one launch. `confirmed`: up to which wave it may go, by signature."""

    is_over: bool = False
    paused: frozenset[datetime] = frozenset()  # since when; nobody has signed for it to go on
    resumed: frozenset[datetime] = frozenset()
    confirmed: int = 1

    def after(self, act: Act) -> Standing:
        match act.did:
            case Did.OVER:
                return replace(self, is_over=True)
            case Did.CONFIRMED:
                return replace(self, confirmed=max(self.confirmed, act.wave or 1))
            case Did.PAUSED:
                # A pause that was resumed from does not come back.
                if act.since is None or act.since in self.resumed:
                    return self
                return replace(self, paused=self.paused | {act.since})
            case Did.RESUMED:
                gone = frozenset() if act.since is None else frozenset({act.since})
                return replace(self, paused=self.paused - gone, resumed=self.resumed | gone)


class ActLog:
    """Raises ConfigError where what was kept cannot be read."""

    def __init__(self, state_dir: Path) -> None:
        self._file = state_dir / _FILE
        self._standings: dict[Occurrence, Standing] = {}
        for act in _read(self._file):
            self._take(act)

    def standing(self, occurrence: Occurrence) -> Standing:
        return self._standings.get(occurrence, Standing())

    async def probe(self) -> None:
        """Raise OSError where nothing could be kept. (An empty line says nothing.)"""
        await asyncio.to_thread(_append, self._file, b"\n")

    async def keep(self, act: Act) -> None:
        """Return once it is on the disk; what is known already is not written again. Raises OSError."""
        if self.standing(act.occurrence).after(act) != self.standing(act.occurrence):
            await asyncio.to_thread(_append, self._file, act.line(datetime.now(UTC)))
            self._take(act)

    def _take(self, act: Act) -> None:
        self._standings[act.occurrence] = self.standing(act.occurrence).after(act)


def _append(file: Path, line: bytes) -> None:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line  # after one that was not whole
        if os.write(descriptor, line) != len(line):
            raise OSError(28, os.strerror(28))
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def _read(file: Path) -> Iterator[Act]:
    try:
        if file.stat().st_size > _LARGEST:
            raise ConfigError(f"{file} is larger than {_LARGEST} bytes; move it away, and look at what was held back")
        content = file.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}; it says which launches are held back") from error
    for line in content.split(b"\n"):
        try:
            act = Act.read(line)
        except (ValueError, KeyError, TypeError):
            continue  # it was being written when its process or its host died, and was never acted on
        yield act
