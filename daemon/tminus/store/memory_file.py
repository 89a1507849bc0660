"""Files of JSON lines in `state_dir`, in which a host remembers what it must not take the database's word for.

A line is on the disk when `append` returns. A last line that is not whole was being written when its process or its host died:
it was never acted on, and whoever reads passes it over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tminus.errors import ConfigError

_LARGEST = 64 * 1024 * 1024  # bytes


def append(file: Path, line: bytes) -> None:
    """Raises OSError where it could not be kept; what is on the disk then is not whole."""
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


def read_lines(file: Path, *, holds: str) -> Iterator[bytes]:
    """Yield what was kept, if anything was. Raises ConfigError where it cannot be read; `holds` is what it says."""
    try:
        if file.stat().st_size > _LARGEST:
            raise ConfigError(f"{file} is larger than {_LARGEST} bytes; move it away, and look at what was held back")
        content = file.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}; it says {holds}") from error
    yield from content.split(b"\n")


def rewrite(file: Path, content: bytes) -> None:
    """Put `content` in the place of a file, whole or not at all, whenever the host dies. Raises OSError."""
    new = file.with_name(file.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    new.replace(file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
