"""The way to the embedded PostgreSQL: the lock file that says where its socket is, and its database."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from urllib.parse import quote

import asyncpg

from tminus.errors import EmbeddedError
from tminus.store.embedded import layout
from tminus.store.embedded.layout import DATABASE, PORT, SUPERUSER

_CONNECT_TIMEOUT = 5.0  # seconds, for one attempt on a local socket


def psql() -> Path:
    """Return the psql that comes with the server."""
    return layout.binaries() / "bin/psql"


def dsn_of_running(state_dir: Path, role: str = SUPERUSER) -> str | None:
    """Return the database of the server that runs on a state directory, as a role; None if none runs, or not yet.

    Starts nothing, waits for nothing and changes nothing. Raises EmbeddedError where it may not look.
    """
    state_dir = state_dir.resolve()
    try:
        lock = os.open(state_dir / "server.lock", os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EmbeddedError(
            f"{state_dir} cannot be looked at ({error.strerror}); run this as root, or as the user of the daemon"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        socket_dir = read_lock(lock)
        return None if socket_dir is None else dsn(socket_dir, DATABASE, role)
    else:
        return None
    finally:
        os.close(lock)


def dsn(socket_dir: Path, database: str, role: str = SUPERUSER) -> str:
    return f"postgresql:///{database}?host={quote(os.fsencode(socket_dir))}&port={PORT}&user={quote(role)}"


def try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    os.ftruncate(lock, 0)  # what an older server left
    return True


def read_lock(lock: int) -> Path | None:
    """Return the socket's folder, None while the server starts."""
    said = os.pread(lock, 4096, 0)
    return Path(os.fsdecode(said[:-1])) if said.endswith(b"\n") else None


async def answers(socket_dir: Path) -> bool:
    try:
        connection = await asyncpg.connect(dsn(socket_dir, DATABASE), timeout=_CONNECT_TIMEOUT)
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        raise EmbeddedError(f"PostgreSQL at {socket_dir} does not let this user in as {SUPERUSER}: {error}") from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False  # it starts, or it shuts down
    await connection.close(timeout=_CONNECT_TIMEOUT)
    return True


async def create_database(socket_dir: Path) -> None:
    try:
        connection = await asyncpg.connect(dsn(socket_dir, "postgres"), timeout=_CONNECT_TIMEOUT)
        try:
            if not await connection.fetchval("select exists (select from pg_database where datname = $1)", DATABASE):
                await connection.execute(f"create database {DATABASE}")
        finally:
            await connection.close(timeout=_CONNECT_TIMEOUT)
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise EmbeddedError(
            f"PostgreSQL at {socket_dir} started, but database {DATABASE} is not there: {error}"
        ) from error
