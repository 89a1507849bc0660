"""Keys of a file, or the shared secret: read again when the file has changed, so that a key is taken back at once.

A file that is gone, or is none any more, proves nothing: who takes a secret away wants just that.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from tminus.errors import ConfigError
from tminus.web.problems import Code, Problem
from tminus.web.tokens import Key

log = structlog.get_logger()

_LOOK_EVERY = 1.0  # seconds


class KeyFile:
    def __init__(self, file: Path, read: Callable[[Path], tuple[Key, ...]]) -> None:
        """`read` returns the keys, or raises ConfigError, as this does for a file that is not good to begin with."""
        self._file = file
        self._read = read
        self._seen = self._mark()
        self._keys: tuple[Key, ...] | None = read(file)
        self._looked = time.monotonic()

    async def keys(self, wanted: str | None) -> tuple[Key, ...]:  # noqa: ARG002 - there are no others
        if time.monotonic() - self._looked >= _LOOK_EVERY:
            self._look()
        if self._keys is None:
            raise Problem(Code.KEYS_UNAVAILABLE, "what proves tokens cannot be read at present")
        return self._keys

    def _look(self) -> None:
        self._looked = time.monotonic()
        mark = self._mark()
        # One that was not good is looked at again: it may have been in the middle of being written.
        if mark == self._seen and self._keys is not None:
            return
        try:
            self._keys = self._read(self._file)
        except ConfigError as error:
            if mark != self._seen or self._keys is not None:
                log.warning("api_keys_not_read", error=str(error))
            self._keys = None
        else:
            log.info("api_keys_read", file=str(self._file), keys=len(self._keys))
        self._seen = mark

    def _mark(self) -> tuple[int, ...] | None:
        try:
            found = os.stat(self._file)
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
