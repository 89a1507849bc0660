"""The intent log: what this host is about to start, on its own disk, before any of it is sent.

A commit can be lost: a restored dump, a copy that is put back, a failover to a replica that was behind. What vanished from
the database would run a second time. So between the commit of `executing` and the command that starts the script, a line
goes to a file in `state_dir`, and is on the disk (one fdatasync for all that start together). After the commit and not
before it: then a line means that the command was about to be sent, and a daemon that is killed before the commit has left
nothing that a person would have to judge.

It answers two questions. Which of these starts does the database not know (store/history.py asks)? And was this occurrence
started on this site from here already, under whatever launch id? Such a key is spent, whatever the database says.

    intents/000017-3f2a9c01.jsonl    one process life, and a part of it: a JSON object a line, the newest last
        key         16 hexadecimal digits: domain/occurrence.py
        at          the moment of the commit, by the database's clock
        run nonce launch site            which site run
        occurrence digest                what was started

No script and no secret is in it, and `grep` reads it. A file is only ever appended to, by one process. A last line that is
not whole was never acted on, and is passed over; a line in the middle that is not is damage, and told. Where it cannot be
written nothing is started: `trouble` says why.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid4, uuid5

from tminus.errors import ConfigError
from tminus.store import intent_files
from tminus.store.intent_files import Intent

_FOLDER = "intents"
_WRITE_WITHIN = 10.0  # seconds
_FILE_BYTES = 8 * 1024 * 1024  # then the next file is begun
_FILE_AGE = 30 * 86400.0  # seconds; so that what nobody needs any more can go, also where little is started
_SPARE = 64 * 1024  # bytes that have to be free on the disk before anything is started

_T = TypeVar("_T")


class IntentLog:
    """The log of one process life, with all that earlier lives left beside it."""

    def __init__(
        self,
        state_dir: Path,
        instance: UUID,
        *,
        keep_days: int = 0,
        is_held: Callable[[], bool] = lambda: False,
    ) -> None:
        """`keep_days`: for how long intents are kept; 0 is for ever. Raises ConfigError where the folder is of no use.

        `is_held`: whether this host holds itself back after the database lost starts (store/hold_log.py).
        """
        self._folder = state_dir / _FOLDER
        self.instance = instance
        self.trouble: str | None = None
        self._is_held = is_held
        self._keep_days = keep_days
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="intent-log")
        self._file: int | None = None  # its descriptor; this and the next two belong to the thread
        self._size = 0
        self._opened_at = 0.0
        try:
            state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder.mkdir(mode=0o700, exist_ok=True)
            _sync_folder(state_dir)
            self.identity = _identity(self._folder)
            """Names this log, whichever process writes it."""
        except OSError as error:
            raise _unusable(state_dir, error) from error
        _check_writable(self._folder)
        self._forget_old()
        self._earlier = array("Q", sorted(intent_files.keys(self._folder)))
        self._fresh: set[int] = set()
        self.begun: set[int] = set()
        """Site runs that were started in this life."""

    def may_start(self) -> bool:
        """Whether this host can remember what it starts, and knows of nothing that was lost."""
        return self.trouble is None and not self._is_held()

    def is_spent(self, key: int) -> bool:
        if key in self._fresh:
            return True
        at = bisect_left(self._earlier, key)
        return at < len(self._earlier) and self._earlier[at] == key

    async def write(self, intents: Sequence[Intent]) -> None:
        """Return once they are on the disk. Raises OSError (TimeoutError is one); then nothing may be sent."""
        data = b"".join(intent.line() for intent in intents)
        try:
            await self._in_thread(self._append, data)
        except OSError as error:
            self.trouble = _say(self._folder, error)
            raise
        self._fresh.update(intent.key for intent in intents)
        self.begun.update(intent.run for intent in intents)

    def look_for_trouble(self) -> None:
        """Notice a disk that is full before anything is committed. Where there is trouble, `probe` alone says that it is over."""
        if self.trouble is None:
            try:
                free = os.statvfs(self._folder)
            except OSError as error:
                self.trouble = _say(self._folder, error)
                return
            if free.f_bavail * free.f_frsize < _SPARE:
                self.trouble = _say(self._folder, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    async def probe(self) -> None:
        """Write something, if there was trouble, and see whether it is over."""
        self.look_for_trouble()
        if self.trouble is None:
            return
        try:
            await self._in_thread(_try_to_write, self._folder)
        except OSError as error:
            self.trouble = _say(self._folder, error)
        else:
            self.trouble = None

    async def find(self, key: int) -> Intent | None:
        """Return the latest intent with this key, from the disk: for the rare case that it is spent. Raises ConfigError, OSError."""
        return await asyncio.to_thread(intent_files.find, self._folder, key)

    def newest_first(self) -> Iterator[Intent]:
        """Read all intents from the disk, the latest first. Raises ConfigError or OSError."""
        return intent_files.newest_first(self._folder)

    async def _in_thread(self, work: Callable[[_T], None], argument: _T) -> None:
        # A thread of its own, and one: look-ups of names may take all of the others.
        async with asyncio.timeout(_WRITE_WITHIN):
            await asyncio.get_running_loop().run_in_executor(self._thread, work, argument)

    # -- in the thread -------------------------------------------------------------------------------------------------

    def _append(self, data: bytes) -> None:
        if self._file is not None and (
            self._size > _FILE_BYTES or time.monotonic() - self._opened_at > _FILE_AGE or not self._is_there()
        ):
            self._leave_file()
            self._forget_old()
        if self._file is None:
            self._begin_file()
        assert self._file is not None  # noqa: S101 - just begun
        try:
            if os.write(self._file, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301
            os.fdatasync(self._file)
        except OSError:
            # What is not whole goes, if it can; in any case this file ends here. After an fdatasync that failed nobody
            # knows what a second one would prove.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            self._leave_file()
            raise
        self._size += len(data)

    def _is_there(self) -> bool:
        """Whether our file has a name still: what was deleted under us would remember nothing."""
        return self._file is not None and os.fstat(self._file).st_nlink > 0

    def _begin_file(self) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        name = f"{intent_files.last_number(self._folder) + 1:06}-{str(self.instance)[:8]}.jsonl"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(self._folder / name, flags, 0o600)
        self._size, self._opened_at = 0, time.monotonic()
        _sync_folder(self._folder)

    def _leave_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _forget_old(self) -> None:
        """Remove files whose last intent is older than `keep_days`, by the database's clock and by ours."""
        if not self._keep_days:
            return
        files = intent_files.files(self._folder)
        newest = next(intent_files.newest_first(self._folder), None)
        if newest is None:
            return
        before = min(newest.at, datetime.now(UTC)) - timedelta(days=self._keep_days)
        for file in files[:-1]:
            last = next(intent_files.of_file(file), None)
            written = datetime.fromtimestamp(file.stat().st_mtime, UTC)
            if max(last.at if last else written, written) < before:
                file.unlink()


def latest_intent(state_dir: Path) -> Intent | None:
    """Return what the daemon of an existing `state_dir` started last, if anything. Changes nothing.

    Raises ConfigError where it cannot be read, or more could not be written.
    """
    folder = state_dir / _FOLDER
    try:
        if not state_dir.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        for _ in intent_files.keys(folder):
            pass  # as a daemon does when it starts: damage is told
        latest = next(intent_files.newest_first(folder), None)
    except OSError as error:
        raise _unusable(state_dir, error) from error
    _check_writable(folder if folder.exists() else state_dir)
    return latest


def _identity(folder: Path) -> UUID:
    """Return what the folder calls itself, bound to this host: a copy of it on another host is another log."""
    file = folder / "identity"
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(descriptor, "w") as new:
            new.write(f"{uuid4()}\n")
    host = socket.gethostname()
    with contextlib.suppress(OSError):
        host += Path("/etc/machine-id").read_text(encoding="ascii")
    try:
        return uuid5(UUID(file.read_bytes().decode(errors="replace").strip()), host)
    except ValueError:
        return uuid4()  # it was not written whole: a log of this process alone


def _check_writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"{folder} cannot be written; the daemon remembers there what it starts")


def _try_to_write(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    trial = folder / ".trial"
    descriptor = os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        if os.write(descriptor, bytes(_SPARE)) != _SPARE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
        trial.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # some file systems cannot
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _say(folder: Path, error: OSError) -> str:
    return f"{folder} cannot be written ({error.strerror or 'it took too long'}); nothing is started without it"


def _unusable(state_dir: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"state_dir {state_dir} cannot be used: {error.strerror}; the daemon remembers there what it starts"
    )
