"""The folder in which a daemon keeps what its host remembers: of one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tminus.errors import ConfigError

_FILE = "daemon.lock"


@contextmanager
def alone_in(state_dir: Path) -> Iterator[None]:
    """Have the folder for this process alone, until it ends, however it ends. Raises ConfigError if another one has it.

    Two that write there would each forget what the other has started.
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(state_dir / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"state_dir {state_dir} cannot be used: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = os.pread(handle, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise ConfigError(
                f"another daemon (process {pid}) uses state_dir {state_dir}: stop it, or give each one of its own"
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)
