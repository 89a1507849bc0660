"""The latest start of this daemon, remembered beside the database: so that a database which went back in time is noticed.

A restored dump, a copy that is put back, and a failover to a replica that was behind have one thing in common: a start that
was committed is gone, and what vanished would run a second time. Neither the server's identity nor its timeline tells
(a dump has another identity and lost nothing; a failover has another timeline and, mostly, lost nothing). So the start
itself is what is asked for: commits vanish from the newest backwards, and where the latest is there, all are.

It is asked for on each new connection, before anything else is said on it: a server that comes back as another one has
cut all that we had. Where it is missing, the database itself holds back every daemon (`tminus.is_paused`) until a person
resumes.

A state_dir that is restored together with its database remembers no more than that; a start by another daemon that
vanished is noticed by that other daemon only.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self
from uuid import UUID

import asyncpg

from tminus.errors import ConfigError
from tminus.store.pool import Database, statement

_FILE = "last-start.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class LastStart:
    run: int
    nonce: str
    launch: UUID
    site: str
    at: datetime

    @classmethod
    def of(cls, row: asyncpg.Record) -> Self:
        """Make one of a row of start_executing."""
        return cls(
            run=row["id"], nonce=row["nonce"], launch=row["launch_id"], site=row["site_id"], at=row["executing_at"]
        )

    def written(self) -> bytes:
        value = {
            "site_run": self.run,
            "nonce": self.nonce,
            "launch_id": str(self.launch),
            "site_id": self.site,
            "started_at": self.at.isoformat(),
        }
        return json.dumps(value, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Read what `written` returned. Raises ValueError, KeyError or TypeError."""
        value = json.loads(data)
        return cls(
            run=int(value["site_run"]),
            nonce=str(value["nonce"]),
            launch=UUID(value["launch_id"]),
            site=str(value["site_id"]),
            at=datetime.fromisoformat(value["started_at"]),
        )


def remembered(state_dir: Path) -> LastStart | None:
    """Return what the daemon of an existing `state_dir` started last, if anything. Changes nothing.

    Raises ConfigError where the file cannot be read, or another could not be written.
    """
    file = state_dir / _FILE
    try:
        if not state_dir.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        last = LastStart.read(file.read_bytes()) if file.exists() else None
    except OSError as error:
        raise _unusable(state_dir, error) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{file} is damaged, so it is not known whether the database was set back;"
            " if you are sure that it was not, delete the file"
        ) from error
    if not os.access(state_dir, os.W_OK | os.X_OK):
        raise ConfigError(f"state_dir {state_dir} cannot be written; the daemon remembers there what it started last")
    return last


def _unusable(state_dir: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"state_dir {state_dir} cannot be used: {error.strerror}; the daemon remembers there what it started last"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LostStart:
    """A start that a daemon remembers and the database does not know."""

    site_run_id: int
    launch_id: UUID
    site_id: str
    started_at: datetime
    noticed_at: datetime
    noticed_by: str


async def lost_starts(db: Database) -> list[LostStart]:
    """Return what nobody accepted yet; while there is any, nothing is started."""
    return [LostStart(**dict(row)) for row in await db.fetch("lost_starts")]


class StartMemory:
    """The file in `state_dir`, and the question to the database. `instance` is who asks."""

    def __init__(self, state_dir: Path, instance: UUID) -> None:
        """Raises ConfigError where the file cannot be read, or another could not be written."""
        self._file = state_dir / _FILE
        self.instance = instance
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="last-start")
        try:
            state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable(state_dir, error) from error
        self._last = remembered(state_dir)

    async def keep(self, start: LastStart) -> None:
        """Remember `start`; returns once it is on the disk. Raises OSError."""
        # A thread of its own, and one: look-ups of names may take all of the others.
        await asyncio.get_running_loop().run_in_executor(self._thread, _replace, self._file, start.written())
        self._last = start

    async def compare(self, connection: asyncpg.Connection) -> None:
        """Have the database note, and pause all, if it does not know our latest start."""
        last = self._last
        if last is not None:
            await connection.fetchval(
                statement("knows_start"), last.run, last.nonce, last.launch, last.site, last.at, str(self.instance)
            )


def _replace(file: Path, data: bytes) -> None:
    """Write a file so that after a crash it is the old one or the new one, whole."""
    partial = file.with_suffix(".part")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    partial.replace(file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # some file systems cannot
            os.fsync(folder)
    finally:
        os.close(folder)
