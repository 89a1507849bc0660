"""The ground truth: what the simulated routers really did, in the order in which they did it."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TextIO

Fact = str | int | float | bool | None


class Kind(StrEnum):
    LOGIN = "login"
    LOGIN_REFUSED = "login_refused"
    CONNECTION_LOST = "connection_lost"
    EXEC = "exec"  # command
    EXEC_INTERRUPTED = "exec_interrupted"  # command
    UPLOAD = "upload"  # name, size, sha256
    FILE_REMOVED = "file_removed"  # name
    DRY_RUN = "dry_run"  # name, errors
    IMPORT_STARTED = "import_started"  # name, sha256: its first statement is about to run
    IMPORT_FINISHED = "import_finished"  # name, sha256, outcome ok|error, message
    IMPORT_REJECTED = "import_rejected"  # name, sha256, message: a syntax error, nothing ran
    IMPORT_INTERRUPTED = "import_interrupted"  # name, sha256, statements that ran
    EXPORT = "export"  # bytes
    CHANGED = "changed"  # menu, verb, item: one change of the configuration
    REBOOT = "reboot"
    SHELL = "shell"  # terminal: whether one was asked for
    TYPED = "typed"  # command: a line of a shell
    RESTORED = "restored"  # name: a backup took the place of the configuration
    UNROLLED = "unrolled"  # menus: safe mode was not released, and what changed in them was undone
    RESET = "reset"  # back to the factory's configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    site: str
    kind: Kind
    monotonic: float  # seconds of time.monotonic()
    wall: float  # seconds since 1970
    facts: Mapping[str, Fact]

    def line(self) -> str:
        moment = datetime.fromtimestamp(self.wall, UTC).isoformat()
        head = {"site": self.site, "kind": self.kind, "at": moment, "monotonic": round(self.monotonic, 6)}
        return json.dumps(head | dict(self.facts), ensure_ascii=True)


class Journal:
    """Append-only, in memory and, when a path is given, as JSON lines that are flushed one by one."""

    def __init__(self, path: Path | None = None) -> None:
        self._by_site: defaultdict[str, list[Event]] = defaultdict(list)
        self._news = asyncio.Event()
        self._file: TextIO | None = None
        if path is not None:
            self._file = path.open("a", encoding="ascii", buffering=1)

    def record(self, site: str, kind: Kind, **facts: Fact) -> None:
        event = Event(site=site, kind=kind, monotonic=time.monotonic(), wall=time.time(), facts=facts)
        self._by_site[site].append(event)
        self._news.set()
        if self._file is not None:
            self._file.write(event.line() + "\n")

    def events(self, site: str | None = None, kind: Kind | None = None) -> list[Event]:
        """Events of one site in their order, or of all sites by time."""
        if site is not None:
            found = list(self._by_site.get(site, ()))
        else:
            found = sorted((e for events in self._by_site.values() for e in events), key=lambda e: e.monotonic)
        return [event for event in found if kind is None or event.kind is kind]

    async def wait(self, site: str, kind: Kind, *, count: int = 1) -> Event:
        """Wait until a site has so many events of a kind; the last of them. The caller sets the deadline."""
        while len(found := self.events(site, kind)) < count:
            self._news.clear()
            await self._news.wait()
        return found[count - 1]

    def starts(self, site: str) -> list[Event]:
        """The imports whose statements began to run on this site."""
        return self.events(site, Kind.IMPORT_STARTED)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
