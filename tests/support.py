"""Real things for tests: a PostgreSQL, databases in it, a daemon process, and waiting for conditions."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import asyncpg
import pytest

from tests.fork_server import ForkedProcess, fork
from tminus.simulator import Fleet
from tminus.store.embedded import EmbeddedServer
from tminus.store.migrate import migrate

# A login of each kind. The tests' server lets us be any of them.
LOGINS = {
    "alice": "tminus_author",
    "arthur": "tminus_author",
    "bob": "tminus_approver",
    "api": "tminus_gateway",
    "rita": "tminus_reader",
    "rosa": "tminus_reader, tminus_secret_reader",
    "tminus_serve": "tminus_daemon",
}
SLOWNESS = float(os.environ.get("FAULTS_SLOWNESS", "1"))
"""By what the time is multiplied that is allowed for the machine's own work, a heartbeat's among it, where it has much else to do."""

# Quick enough for tests, with every proportion of the real thing.
FAST = {
    "poll_interval": 0.2,
    "heartbeat_interval": 0.5 * SLOWNESS,
    "heartbeat_ttl": 4.0 * SLOWNESS,
    "heartbeat_margin": 1.0 * SLOWNESS,
    "reap_interval": 0.5,
    "drain_timeout": 30.0,
    "connect_timeout": 3.0,
    "resolve_within": 8.0,
}
T = TypeVar("T")
_ROOM = 4 << 30  # bytes of memory for all the servers that run side by side: most of it is their logs of changes
_DSN = re.compile(r"^postgresql:///(?P<database>[^?]*)\?(?P<rest>.*)$")


async def until(condition: Callable[[], Awaitable[T]], *, within: float = 60.0, every: float = 0.05) -> T:
    """Return the first true answer of `condition`; fail after `within` seconds."""
    end = time.monotonic() + within
    while True:
        answer = await condition()
        if answer:
            return answer
        assert time.monotonic() < end, f"did not become true within {within} s; last answer: {answer!r}"
        await asyncio.sleep(every)


@contextmanager
def _locked(folder: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold the lock of a folder, which ends with the process whatever happens."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _folder_of_a_server() -> Iterator[Path]:
    """Yield a folder in memory where there is room, and remove it.

    A database is 500 files, and each test has one: ext4, which does not give an inode out again for some seconds, searches 0.4 s
    for those of each, and memory takes 0.05 s.
    """
    memory = Path("/dev/shm")
    has_room = os.access(memory, os.R_OK | os.W_OK | os.X_OK) and shutil.disk_usage(memory).free >= _ROOM
    with contextlib.ExitStack() as held:
        if has_room:
            with _locked(memory):
                # Of runs that were killed: nobody else would take them out of memory. Who lives holds the lock of its own.
                for left in memory.glob("tminus-test-*"):
                    with contextlib.suppress(OSError), _locked(left, fcntl.LOCK_EX | fcntl.LOCK_NB):
                        shutil.rmtree(left, ignore_errors=True)
                folder = Path(tempfile.mkdtemp(prefix="tminus-test-", dir=memory))
                held.enter_context(_locked(folder))
        else:
            folder = Path(tempfile.mkdtemp(prefix="tminus-test-", dir="/tmp"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def start_postgres() -> Iterator[str]:
    """An embedded server in a folder of its own, without the cost of durability."""
    with _folder_of_a_server() as folder:
        folder.chmod(0o755)  # root runs the server as another user
        loop = asyncio.new_event_loop()
        server = EmbeddedServer(folder, durable=False)
        try:
            loop.run_until_complete(server.start())
            yield server.dsn
        finally:
            loop.run_until_complete(server.stop())
            loop.close()


@dataclass(frozen=True)
class Db:
    """A fresh, migrated database. `dsn` is its owner's; `dsn_as` that of a login of LOGINS.

    `idle` holds connections by role (None: the owner) that are open for the next statement; None: each has its own.
    """

    dsn: str
    idle: dict[str | None, list[asyncpg.Connection]] | None = field(default=None, compare=False)

    def dsn_as(self, role: str) -> str:
        return re.sub(r"user=[^&]*", f"user={role}", self.dsn)

    @asynccontextmanager
    async def connect(self, role: str | None = None) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(self.dsn if role is None else self.dsn_as(role), timeout=10)
        try:
            yield connection
        finally:
            await connection.close(timeout=30)  # a machine may be busy with other things

    @asynccontextmanager
    async def for_one_statement(self, role: str | None = None) -> AsyncIterator[asyncpg.Connection]:
        """As `connect`, and kept. Who waits asks twenty times a second, and to connect takes 10 ms of both processors."""
        if self.idle is None:
            async with self.connect(role) as connection:
                yield connection
            return
        idle = self.idle.setdefault(role, [])
        dsn = self.dsn if role is None else self.dsn_as(role)
        connection = idle.pop() if idle else await asyncpg.connect(dsn, timeout=10)
        try:
            yield connection
        except BaseException:
            connection.terminate()
            raise
        idle.append(connection)

    async def fetch(self, sql: str, *arguments: object, role: str | None = None) -> list[asyncpg.Record]:
        async with self.for_one_statement(role) as connection:
            return await connection.fetch(sql, *arguments)

    async def value(self, sql: str, *arguments: object, role: str | None = None) -> Any:
        async with self.for_one_statement(role) as connection:
            return await connection.fetchval(sql, *arguments)

    async def run(self, sql: str, *, role: str | None = None) -> None:
        """Run several statements."""
        async with self.connect(role) as connection:
            await connection.execute(sql)

    async def move_clock(self, by: timedelta) -> None:
        await self.fetch("update public.moved_clock set by = by + $1", by)

    async def script(self, script_id: object) -> dict[str, Any]:
        """The API's object."""
        return json.loads(await self.value("select tminus.scheduled_script($1)", script_id))

    async def submit(
        self, script: str, sites: list[str] | None = None, *, due_in: float = 0.0, **columns: object
    ) -> Any:
        """Insert as alice and authorize as bob, due `due_in` seconds from now; without `sites` on all. Returns its id."""
        columns = {"make_backup": True, "sites": sites or await self.site_ids(), "script": script, **columns}
        names = ", ".join(columns)
        marks = ", ".join(f"${number}" for number in range(2, len(columns) + 2))
        script_id = await self.value(
            f"insert into tminus.scheduled_scripts (launch_at, {names})"
            f" values (tminus.clock() + make_interval(secs => $1) + interval '0.3 seconds', {marks}) returning id",
            due_in,
            *columns.values(),
            role="alice",
        )
        await self.authorized(
            script_id,
            lambda: self.value("select tminus.authorize($1, tminus.digest($1))", script_id, role="bob"),
            due_in=due_in,
        )
        return script_id

    async def authorized(self, script_id: object, authorize: Callable[[], Awaitable[object]], *, due_in: float) -> None:
        """Have alice's script authorized that is due in `due_in` seconds: later, where that passes on a machine that has much to do."""
        for grace in (0.5, 1, 2, 4):
            with contextlib.suppress(asyncpg.ObjectNotInPrerequisiteStateError):
                await authorize()
                return
            await self.value(
                "update tminus.scheduled_scripts set launch_at = tminus.clock() + make_interval(secs => $2) where id = $1",
                script_id,
                due_in + grace,
                role="alice",
            )
        raise AssertionError("no launch could be authorized before its time")

    async def site_ids(self) -> list[str]:
        return [row["id"] for row in await self.fetch("select id from tminus.sites order by id")]

    async def site_runs(self, script_id: object) -> dict[str, asyncpg.Record]:
        rows = await self.fetch(
            "select r.* from tminus.site_runs r join tminus.launches l on l.id = r.launch_id where l.script_id = $1",
            script_id,
        )
        return {row["site_id"]: row for row in rows}

    async def finished(self, script_id: object, *, within: float = 60.0) -> dict[str, asyncpg.Record]:
        """Wait until a scheduled script has finished, and return its site runs."""

        async def look() -> bool:
            return await self.value(
                "select finished_at is not null from tminus.scheduled_scripts where id = $1", script_id
            )

        await until(look, within=within)
        return await self.site_runs(script_id)


async def make_template(dsn: str) -> None:
    """Migrate the database `template_tminus`, give it logins and a clock that can be moved."""
    assert _DSN.match(dsn), f"{dsn} is to be of the form postgresql:///postgres?host=FOLDER&user=SUPERUSER"
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("drop database if exists template_tminus")
        await connection.execute("create database template_tminus")
    finally:
        await connection.close()
    template = _DSN.sub(r"postgresql:///template_tminus?\g<rest>", dsn)
    await migrate(template)
    connection = await asyncpg.connect(template)
    try:
        for login, role in LOGINS.items():
            if not await connection.fetchval("select true from pg_roles where rolname = $1", login):
                await connection.execute(f"create role {login} login in role {role}")
        await connection.execute(
            """
            create table public.moved_clock (by interval not null);
            insert into public.moved_clock values ('0');
            grant select on public.moved_clock to public;
            create or replace function tminus.clock() returns timestamptz language sql stable parallel safe
            as 'select pg_catalog.statement_timestamp() + (select by from public.moved_clock)';
            """
        )
    finally:
        await connection.close()


@asynccontextmanager
async def fresh_database(dsn: str, name: str) -> AsyncIterator[Db]:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"create database {name} template template_tminus strategy file_copy")
        database = Db(_DSN.sub(rf"postgresql:///{name}?\g<rest>", dsn), idle={})
        yield database
        for each in itertools.chain(*(database.idle or {}).values()):
            each.terminate()
    finally:
        await connection.execute(f"drop database if exists {name} with (force)")
        await connection.close()


@dataclass
class Daemon:
    """A real `tminus serve` process."""

    process: asyncio.subprocess.Process | ForkedProcess
    log_file: Path
    url: str = ""
    extra: dict[str, str] = field(default_factory=dict)
    begins_at: int = 0  # in the log file, which earlier lives have written to as well

    def log(self) -> list[dict[str, Any]]:
        """The events so far; a line that is not an event is a failure of the test."""
        return [json.loads(line) for line in self.log_file.read_text().splitlines() if line.strip()]

    async def ready(self) -> None:
        """Wait until it says that it is; fail if it ends instead."""

        async def look() -> bool:
            written = self.log_file.read_bytes()[self.begins_at :]
            assert self.process.returncode is None, f"the daemon ended: {written.decode(errors='replace')}"
            for line in written.split(b"\n")[:-1]:
                if b'"ready"' in line and json.loads(line)["event"] == "ready":
                    self.url = f"http://{json.loads(line)['listening']}"
            return bool(self.url)

        await until(look)

    async def get(self, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as response:
            return response.status, await response.text()

    async def metrics(self) -> dict[str, float]:
        _, text = await self.get("/metrics")
        lines = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, value in lines}

    async def stop(self, *, within: float = 30.0) -> int:
        """SIGTERM, and return the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), within)

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


def write_config(folder: Path, *, key_file: Path | None, **settings: object) -> Path:
    """Write a configuration file with the credential `default`."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    if key_file is not None:
        lines += ["[credentials.default]", 'username = "tminus"', f"private_key_file = {json.dumps(str(key_file))}"]
    file = folder / "tminus.toml"
    file.write_text("\n".join(lines) + "\n")
    return file


@asynccontextmanager
async def run_daemon(
    db: Db,
    folder: Path,
    fleet: Fleet | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    arguments: tuple[str, ...] = (),
    executed: bool = False,
    **settings: object,
) -> AsyncIterator[Daemon]:
    """Run a daemon against a database until the block ends; it is killed if it still runs then."""
    daemon = await start_daemon(
        db, folder, fleet, environment=environment, arguments=arguments, executed=executed, **settings
    )
    try:
        await daemon.ready()
        yield daemon
    finally:
        await daemon.kill()


async def start_daemon(
    db: Db,
    folder: Path,
    fleet: Fleet | None = None,
    *,
    program: Sequence[str] = ("tminus",),
    environment: Mapping[str, str] | None = None,
    arguments: tuple[str, ...] = (),
    executed: bool = False,
    **settings: object,
) -> Daemon:
    """Start a daemon process, of a module with the arguments before its own; the caller kills it.

    `executed`: by the operating system, as systemd does, and not forked from one that has imported it (see fork_server).
    """
    folder.mkdir(parents=True, exist_ok=True)
    key_file = None
    if fleet is not None:
        key_file = folder / "id_ed25519"
        key_file.write_bytes(fleet.client_key.export_private_key())
        key_file.chmod(0o600)
    merged = {
        "database_url": db.dsn_as("tminus_serve"),
        "state_dir": str(folder / "state"),
        "http_listen": "127.0.0.1:0",
        **FAST,
        **settings,
    }
    config = write_config(folder, key_file=key_file, **merged)
    log_file = folder / "serve.log"
    with log_file.open("ab") as log:
        begins_at = log.tell()
        words = (*program, "--config", str(config), "serve", *arguments)
        env = clean_environment() | dict(environment or {})
        process = (
            await asyncio.create_subprocess_exec(sys.executable, "-m", *words, stderr=log, env=env)
            if executed
            else await fork(*words, stderr=log.fileno(), env=env)
        )
    return Daemon(process, log_file, begins_at=begins_at)


def skip_without(program: str, *, unless: str) -> pytest.MarkDecorator:
    """Skip where a program is not installed; where the variable `unless` is set, run, and fail for want of it."""
    lacks = shutil.which(program) is None and not os.environ.get(unless)
    return pytest.mark.skipif(lacks, reason=f"{program} is not installed")


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("TMINUS_", "PG"))}
