"""The processes of the embedded PostgreSQL: how they are started, asked, cleared up after, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import re
import signal
from asyncio.subprocess import DEVNULL, STDOUT, Process
from functools import partial
from pathlib import Path

from tminus.errors import EmbeddedError
from tminus.store.embedded import layout
from tminus.store.embedded.layout import PORT, Account

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)

# Fast shutdown; at once, with recovery at the next start; at any price. Each with the seconds that it may take.
_WAYS_TO_STOP = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))


def reachable(path: Path, folder: int, account: Account) -> str:
    """Return a name of the opened folder that the account can use although a folder above may be closed to it.

    The links in /proc lead to the folder itself and ask nothing of those above; the child must inherit the descriptor.
    """
    shut = layout.closed_at(path, account.uid, frozenset({account.gid})) if account.foreign else None
    if shut is None:
        return str(path)
    if not Path("/proc/self/fd").is_dir():
        raise EmbeddedError(
            f"user {account.name}, who runs PostgreSQL for root, cannot pass {shut}; use /var/lib/tminus as state_dir"
        )
    return f"/proc/self/fd/{folder}"


def status_of(data_fd: int, pid: int) -> str | None:
    """Return what the server with this pid says of itself in its pid file: starting, ready or stopping."""
    try:
        with open(os.open("postmaster.pid", os.O_RDONLY | os.O_NOFOLLOW, dir_fd=data_fd), encoding="utf-8") as file:
            lines = file.read().split("\n")
    except FileNotFoundError:
        return None
    return lines[7].strip() if len(lines) > 7 and lines[0] == str(pid) else None


def clear_away(data: Path, data_fd: int, socket_fd: int) -> None:
    """Remove the pid files of a killed server: their number may be another process's by now, which PostgreSQL minds."""
    try:
        with open(os.open("postmaster.pid", os.O_RDONLY | os.O_NOFOLLOW, dir_fd=data_fd), encoding="utf-8") as file:
            pid = file.readline().strip()
    except FileNotFoundError:
        pid = ""
    with contextlib.suppress(OSError):  # no such process, or one of a user who cannot run a server here
        if pid and os.path.samestat(os.stat(f"/proc/{pid}/cwd"), os.fstat(data_fd)):
            raise EmbeddedError(f"a PostgreSQL that tminus did not start (process {pid}) runs on {data}; stop it first")
    for folder, name in ((data_fd, "postmaster.pid"), (socket_fd, f".s.PGSQL.{PORT}.lock")):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)


async def spawn(
    account: Account, command: list[str], *, keep: tuple[int, ...], output: int, extra_groups: list[int]
) -> Process:
    """Run a program as the account; it gets SIGINT when this thread's process dies, however that happens."""
    parent = os.getpid()

    def die_with_parent() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    start = partial(
        asyncio.create_subprocess_exec,
        *command,
        stdin=DEVNULL,
        stdout=output,
        stderr=STDOUT,
        cwd="/",
        env=environment,
        pass_fds=keep,
        start_new_session=True,  # a Ctrl-C in the terminal is for us
        preexec_fn=die_with_parent,
    )
    if account.foreign:
        return await start(user=account.uid, group=account.gid, extra_groups=extra_groups)
    return await start()


async def end(process: Process) -> None:
    """Stop a server, or an initdb, and wait for it."""
    for way, patience in _WAYS_TO_STOP:
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(way)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await process.wait()


def essence(said: bytes) -> str:
    lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    lines = [re.sub(r"^\d{4}-\S+ \S+ \S+ \[\d+\] ", "", line) for line in lines]
    return "; ".join(lines[-3:])[-500:] or "it said nothing"
