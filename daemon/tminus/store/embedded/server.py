"""The daemon's own PostgreSQL, used when no `database_url` is set.

It owns, in the state directory:

    server.lock      who runs the server, and where its socket is; held for as long as anything of the server lives
    postgres/        the cluster: database and superuser are both called tminus
    postgres.log     what the server says (postgres.log.1 is the one before)
    run/             the socket, unless the path is too long for one
    postgresql-*/    copies of the binaries, only where root has to make them

Any number of processes may use one state directory. The one that gets the lock starts the server, stops it, and takes
it along when it dies; every other attaches to it and never stops it. The server inherits the lock's descriptor, so that
the lock is free only when its last process is gone: a successor waits for a server that is still shutting down, and no
two servers ever run on one cluster.

It never listens on TCP, never changes the permissions of a folder that is not its own, and never deletes a cluster.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import threading
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from tminus.errors import EmbeddedError
from tminus.store.embedded import layout
from tminus.store.embedded.access import answers, create_database, dsn, read_lock, try_lock
from tminus.store.embedded.layout import DATABASE, SUPERUSER, Account
from tminus.store.embedded.processes import clear_away, end, essence, reachable, spawn, status_of

_LOG_LIMIT = 10 * 1024 * 1024  # bytes; a larger log is put aside at the next start


class EmbeddedServer:
    """The PostgreSQL of one state directory, started or attached to.

    `run_as` counts for root alone (None: the owner of the cluster, else user tminus, else nobody). Members of
    `socket_group` may connect as the role of their own name. `durable=False` gives up safety for speed: for tests.
    With `may_start=False` there must be a server already. `start_timeout` is in seconds and covers crash recovery.
    Everything raises EmbeddedError.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        run_as: str | None = None,
        socket_group: str | None = None,
        durable: bool = True,
        may_start: bool = True,
        start_timeout: float = 60.0,
    ) -> None:
        self.state_dir = state_dir.resolve()
        self._run_as = run_as
        self._socket_group = socket_group
        self._durable = durable
        self._may_start = may_start
        self._start_timeout = start_timeout
        self._socket_dir: Path | None = None
        self._process: Process | None = None
        self._lock: int | None = None
        self._log_start = 0

    @property
    def log_file(self) -> Path:
        return self.state_dir / "postgres.log"

    @property
    def socket_dir(self) -> Path:
        if self._socket_dir is None:
            raise RuntimeError("the embedded server was not started")
        return self._socket_dir

    @property
    def dsn(self) -> str:
        """The database as its superuser, for asyncpg and libpq."""
        return self.dsn_as(SUPERUSER)

    def dsn_as(self, role: str) -> str:
        """The database as one of its roles, which the operating system's user of this process may be."""
        return dsn(self.socket_dir, DATABASE, role)

    @property
    def started_here(self) -> bool:
        """Whether this object started the server, and so stops it."""
        return self._process is not None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Return when the server answers; start it if no other process did."""
        if self._socket_dir is not None:
            raise RuntimeError("the embedded server was started before")
        try:
            lock = await self._lock_or_attach()
            if lock is not None:
                try:
                    async with asyncio.timeout(self._start_timeout):
                        await self._start_server(lock)
                except BaseException:
                    os.close(lock)
                    raise
        except TimeoutError:
            raise EmbeddedError(
                f"PostgreSQL of {self.state_dir} was not ready within {self._start_timeout:g} s: {self._last_words()}"
            ) from None
        except OSError as error:
            raise EmbeddedError(f"PostgreSQL of {self.state_dir} cannot be started: {error}") from error

    async def stop(self) -> None:
        """Stop the server if it was started here, and return when its last process is gone; else only let go of it."""
        process, lock, socket_dir = self._process, self._lock, self._socket_dir
        self._process = self._lock = self._socket_dir = None
        try:
            if process is not None:
                await end(process)
        finally:
            if lock is not None:
                os.close(lock)
            if process is not None and socket_dir is not None and socket_dir.parent != self.state_dir:
                with contextlib.suppress(OSError):  # a successor's socket may lie there already
                    socket_dir.rmdir()

    async def watch(self) -> NoReturn:
        """Raise EmbeddedError when the server ends although nobody called `stop`; a task to run beside the services."""
        if self._process is not None:
            code = await self._process.wait()
            raise EmbeddedError(
                f"PostgreSQL of {self.state_dir} ended by itself (exit code {code}): {self._last_words()};"
                " it recovers at the next start"
            )
        while self._held_by_somebody():  # noqa: ASYNC110  another process's lock sets no event of ours
            await asyncio.sleep(1.0)
        raise EmbeddedError(f"the process that ran PostgreSQL of {self.state_dir} has ended; start this one again")

    # ---- who starts -------------------------------------------------------------------------------------------------

    async def _lock_or_attach(self) -> int | None:
        """Return the lock, or None when the server of another process answers."""
        with contextlib.ExitStack() as opened:
            lock = self._open_lock()
            opened.callback(os.close, lock)
            try:
                async with asyncio.timeout(self._start_timeout):
                    while not try_lock(lock):
                        socket_dir = read_lock(lock)
                        if socket_dir is not None and await answers(socket_dir):
                            self._socket_dir = socket_dir
                            return None
                        await asyncio.sleep(0.05)
            except TimeoutError:
                raise EmbeddedError(
                    f"another process has locked {self.state_dir}, but its PostgreSQL did not answer within"
                    f" {self._start_timeout:g} s: {self._last_words()}"
                ) from None
            if not self._may_start:
                raise EmbeddedError(f"no tminus runs on {self.state_dir}; start 'tminus serve' first")
            opened.pop_all()
        return lock

    def _open_lock(self) -> int:
        if not self.state_dir.exists():
            if not self._may_start:
                raise EmbeddedError(
                    f"no tminus runs on {self.state_dir}, it does not exist; start 'tminus serve' first"
                )
            self.state_dir.mkdir(parents=True, exist_ok=True)  # two may come here at once
            # Root's server runs as somebody else, who may pass here, but not look.
            self.state_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)
        try:
            return self._open_own("server.lock", os.O_RDWR)
        except PermissionError:
            raise EmbeddedError(
                f"{self.state_dir} belongs to another user; start tminus as that user, or connect to its server with"
                f" 'psql \"host={self.state_dir}/run dbname={DATABASE} user=ROLE\"'"
            ) from None

    def _held_by_somebody(self) -> bool:
        lock = self._open_lock()
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(lock)

    # ---- start ------------------------------------------------------------------------------------------------------

    async def _start_server(self, lock: int) -> None:
        """Make the cluster at need and start the server on it; we hold the lock, so nothing of an older one lives."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(
                "the kernel ends the server together with the thread that started it: use the main thread"
            )
        data = self.state_dir / "postgres"
        account = layout.choose_account(self._run_as, data)
        gid = None if self._socket_group is None else layout.group_id(self._socket_group, account)
        if gid is not None:
            self._let_pass(gid)
        socket_dir = layout.socket_folder(self.state_dir, gid)
        program = layout.binaries_for(account, self.state_dir)

        if not (data / "PG_VERSION").exists():
            await self._make_cluster(program, data, account, lock)
        made_by = (data / "PG_VERSION").read_text(encoding="ascii").strip()
        if made_by != layout.major_version():
            raise EmbeddedError(
                f"{data} was made by PostgreSQL {made_by}, this tminus brings {layout.major_version()}; dump it with"
                " the tminus that made it, move the folder away and load the dump into a new one"
            )

        with contextlib.ExitStack() as opened:
            data_fd = layout.open_private(data, account)
            opened.callback(os.close, data_fd)
            socket_fd = layout.open_private(socket_dir, account, gid=gid)
            opened.callback(os.close, socket_fd)
            for name, text in layout.our_files(account, self._socket_group, durable=self._durable).items():
                layout.write_file(data_fd, name, text, account)
            clear_away(data, data_fd, socket_fd)
            log = self._open_log()
            opened.callback(os.close, log)
            command = [str(program / "bin/postgres"), "-D", reachable(data, data_fd, account)]
            command += ["-k", reachable(socket_dir, socket_fd, account)]
            keep = (lock, data_fd, socket_fd)
            process = await spawn(account, command, keep=keep, output=log, extra_groups=[] if gid is None else [gid])
            try:
                await self._until_ready(process, data_fd)
                await create_database(socket_dir)
                os.pwrite(lock, os.fsencode(f"{socket_dir}\n"), 0)
            except BaseException:
                await end(process)
                raise
        self._process, self._lock, self._socket_dir = process, lock, socket_dir

    def _let_pass(self, gid: int) -> None:
        """Let the socket's group through our own state directory, but not look into it."""
        info = self.state_dir.stat()
        if info.st_uid == os.geteuid() and layout.closed_at(self.state_dir, -1, frozenset({gid})) == self.state_dir:
            self.state_dir.chmod(info.st_mode | 0o001)

    async def _make_cluster(self, program: Path, data: Path, account: Account, lock: int) -> None:
        """Run initdb beside the final place, so that a cluster there is always a whole one."""
        new = data.with_name("postgres.new")
        if new.exists():
            shutil.rmtree(new)
        with contextlib.ExitStack() as opened:
            folder = layout.open_private(new, account)
            opened.callback(os.close, folder)
            command = [
                str(program / "bin/initdb"),
                "-D",
                reachable(new, folder, account),
                "-U",
                SUPERUSER,
                "-A",
                "peer",
            ]
            # The built-in provider sorts alike on every machine: no index breaks with an update of the C library.
            command += ["-E", "UTF8", "--locale=C.UTF-8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            command += ["--data-checksums"] if self._durable else ["--data-checksums", "--no-sync"]
            process = await spawn(account, command, keep=(lock, folder), output=PIPE, extra_groups=[])
            try:
                said, _ = await process.communicate()
            except BaseException:
                await end(process)
                raise
            if process.returncode != 0:
                raise EmbeddedError(f"initdb could not make {data}: {essence(said)}")
            for name, text in layout.OPERATORS_FILES.items():
                layout.write_file(folder, name, text, account)
        new.rename(data)
        parent = os.open(self.state_dir, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)

    async def _until_ready(self, process: Process, data_fd: int) -> None:
        while status_of(data_fd, process.pid) != "ready":
            if process.returncode is not None:
                raise EmbeddedError(f"PostgreSQL of {self.state_dir} did not start: {self._last_words()}")
            await asyncio.sleep(0.01)

    # ---- files of the state directory -------------------------------------------------------------------------------

    def _open_own(self, name: str, flags: int) -> int:
        """Open or make a file of the state directory; made by root it belongs to the directory's owner."""
        file = os.open(self.state_dir / name, flags | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        if os.geteuid() == 0:
            owner = self.state_dir.stat()
            os.fchown(file, owner.st_uid, owner.st_gid)
        return file

    def _open_log(self) -> int:
        if self.log_file.exists() and self.log_file.stat().st_size > _LOG_LIMIT:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        log = self._open_own(self.log_file.name, os.O_WRONLY | os.O_APPEND)
        self._log_start = os.fstat(log).st_size
        return log

    def _last_words(self) -> str:
        """Return the end of what the server wrote since we started it, on one line."""
        try:
            with self.log_file.open("rb") as log:
                log.seek(max(self._log_start, os.fstat(log.fileno()).st_size - 16_384))
                return essence(log.read())
        except OSError as error:
            return f"its log cannot be read ({error.strerror})"
