"""What this host has seen people do with launches, for where the database is not trusted (`require_signature`).

Whoever owns the database can undo a pause or a halt there. So that a launch was paused, halted or cancelled is kept here, too,
and with it which signed acts were taken: an act counts once. It is a file in `state_dir`, a JSON object a line, the newest last:

    acts.jsonl
        digest occurrence    which launch, as in the intent log
        did                  paused, resumed, confirmed or over
        since                of paused and resumed: the pause
        wave                 of confirmed: up to which wave it may go
        at                   by this host's clock
        until                when the last of its launch could be started; null: it is never forgotten

A line is appended, and what was over long ago is left out when the file is written anew, whole or not at all. A last line that
is not whole was never acted on, and is passed over.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Self

from tminus.domain.occurrence import Occurrence
from tminus.errors import ConfigError
from tminus.store import memory_file

_FILE = "acts.jsonl"
_LOOK_EVERY = 200  # lines


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """An act as it was kept. `at` and `until`: see above; absent: it is never forgotten."""

    act: Act
    at: datetime | None
    until: datetime | None

    def written(self) -> bytes:
        value = {
            "digest": self.act.occurrence.digest,
            "occurrence": self.act.occurrence.name,
            "did": str(self.act.did),
            "since": _written(self.act.since),
            "wave": self.act.wave,
            "at": _written(self.at),
            "until": _written(self.until),
        }
        return json.dumps(value, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Self:
        """Read what `written` returned. Raises ValueError, KeyError or TypeError."""
        value = json.loads(line)
        act = Act(
            occurrence=Occurrence(digest=str(value["digest"]), name=str(value["occurrence"])),
            did=Did(value["did"]),
            since=_read_moment(value["since"]),
            wave=None if value["wave"] is None else int(value["wave"]),
        )
        return cls(act=act, at=_read_moment(value["at"]), until=_read_moment(value.get("until")))


class ActLog:
    """`keep`: for how long what can be forgotten is kept; None: for ever. Raises ConfigError where it cannot be read."""

    def __init__(self, state_dir: Path, *, keep: timedelta | None = None) -> None:
        self._file = state_dir / _FILE
        self._keep = keep
        self._standings: dict[Occurrence, Standing] = {}
        self._lines: dict[Occurrence, list[_Line]] = {}
        self._lock = asyncio.Lock()
        for line in memory_file.read_lines(self._file, holds="which launches are held back"):
            try:
                self._take(_Line.read(line))
            except (ValueError, KeyError, TypeError):
                continue  # it was being written when its process or its host died, and was never acted on
        if self._forget():
            try:
                memory_file.rewrite(self._file, self._content())
            except OSError as error:
                raise ConfigError(f"{self._file} cannot be written anew: {error.strerror}") from error
        self._fresh = 0  # lines since it was looked for what can be forgotten

    def standing(self, occurrence: Occurrence) -> Standing:
        return self._standings.get(occurrence, Standing())

    async def probe(self) -> None:
        """Raise OSError where nothing could be kept. (An empty line says nothing.)"""
        async with self._lock:
            await asyncio.to_thread(memory_file.append, self._file, b"\n")

    async def keep(self, act: Act, *, until: datetime | None = None) -> None:
        """Return once it is on the disk; what is known already is not written again. Raises OSError.

        `until`: after that moment nothing of its launch can be started, so that it can be forgotten; None: there is none.
        """
        async with self._lock:
            if self.standing(act.occurrence).after(act) == self.standing(act.occurrence):
                return
            line = _Line(act=act, at=datetime.now(UTC), until=until)
            await asyncio.to_thread(memory_file.append, self._file, line.written())
            self._take(line)
            self._fresh += 1
            if self._fresh >= _LOOK_EVERY:
                self._fresh = 0
                if self._forget():
                    await asyncio.to_thread(memory_file.rewrite, self._file, self._content())

    def _take(self, line: _Line) -> None:
        occurrence = line.act.occurrence
        self._standings[occurrence] = self.standing(occurrence).after(line.act)
        self._lines.setdefault(occurrence, []).append(line)

    def _forget(self) -> bool:
        """Forget occurrences of which nothing can be started any more, since long. True if there were any.

        By this host's clock, and by the latest line: a clock that runs ahead makes it forget nothing.
        """
        moments = [line.at for lines in self._lines.values() for line in lines if line.at is not None]
        if self._keep is None or not moments:
            return False
        before = min(max(moments), datetime.now(UTC)) - self._keep
        gone = [
            occurrence
            for occurrence, lines in self._lines.items()
            if all(line.until is not None and line.until < before for line in lines)
        ]
        for occurrence in gone:
            del self._lines[occurrence], self._standings[occurrence]
        return bool(gone)

    def _content(self) -> bytes:
        return b"".join(line.written() for lines in self._lines.values() for line in lines)


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()


def _read_moment(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)
