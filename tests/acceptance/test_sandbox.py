"""The daemon, with an embedded database, and the HTTP API live under the system calls that their units leave them.

systemd cannot be started in a test, but what it would load can: the same sets of system calls, by the same library.
"""

from __future__ import annotations

import asyncio
import ctypes
import ctypes.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from tests.signing import Approver
from tests.support import FAST, Db, clean_environment, skip_without, until, write_config
from tminus.errors import ConfigError
from tminus.simulator import FleetSpec, simulate
from tminus.web.tokens import mint, read_secret

_UNITS = Path(__file__).parents[2] / "systemd"
_NEEDED_BY_ROOT = ["setgroups", "setregid", "setreuid"]
"""To run the database as another user, which the unit's user need not and must not do."""

# Refuses as systemd does, then becomes the daemon. Calls come as JSON in the first argument. One filter refuses to make
# memory executable that is or was writable, and odd address families; the other lets through what is listed.
_LAUNCHER = """
import ctypes, errno, json, os, sys

seccomp = ctypes.CDLL("libseccomp.so.2")
ALLOW, REFUSE, EQUAL, GREATER, MASKED = 0x7FFF0000, 0x00050000 | errno.EPERM, 4, 6, 7

class Compare(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]

seccomp.seccomp_init.restype = ctypes.c_void_p
seccomp.seccomp_init.argtypes = [ctypes.c_uint32]
seccomp.seccomp_load.argtypes = [ctypes.c_void_p]
seccomp.seccomp_rule_add_array.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p]

def rule(context, action, name, *compare):
    number = seccomp.seccomp_syscall_resolve_name(name.encode())
    if number >= 0:  # else this architecture has no such call
        array = (Compare * len(compare))(*compare)
        assert seccomp.seccomp_rule_add_array(context, action, number, len(compare), array) == 0, name

memory = seccomp.seccomp_init(ALLOW)
READ, WRITE, EXECUTE = 1, 2, 4
rule(memory, REFUSE, "mmap", Compare(2, MASKED, EXECUTE | WRITE, EXECUTE | WRITE))
rule(memory, REFUSE, "mprotect", Compare(2, MASKED, EXECUTE, EXECUTE))
rule(memory, REFUSE, "pkey_mprotect", Compare(2, MASKED, EXECUTE, EXECUTE))
for family in (3, 4, 5, 6, 7, 8, 9):  # AF_UNIX is 1, AF_INET 2 and AF_INET6 10
    rule(memory, REFUSE, "socket", Compare(0, EQUAL, family, 0))
rule(memory, REFUSE, "socket", Compare(0, GREATER, 10, 0))
assert seccomp.seccomp_load(memory) == 0

calls = seccomp.seccomp_init(REFUSE)
for name in json.loads(sys.argv[1]):
    rule(calls, ALLOW, name)
assert seccomp.seccomp_load(calls) == 0
try:
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
except PermissionError:
    os.execv(sys.argv[2], sys.argv[2:])
sys.exit("the filter filters nothing")
"""

pytestmark = [
    skip_without("systemd-analyze", unless="REQUIRE_SYSTEMD"),
    pytest.mark.skipif(
        ctypes.util.find_library("seccomp") is None and not os.environ.get("REQUIRE_SYSTEMD"),
        reason="libseccomp is not installed",
    ),
]


def _members(group: str) -> set[str]:
    """The system calls of one of systemd's sets."""
    done = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True)
    found: set[str] = set()
    for line in done.stdout.splitlines()[1:]:
        name = line.strip()
        if name.startswith("@"):
            found |= _members(name)
        elif name and not name.startswith("#"):
            found.add(name)
    return found


def _allowed(unit: str) -> set[str]:
    """What the lines of the unit leave, read as systemd reads them: one after the other."""
    allowed = _members("@default")
    for line in re.findall(r"^SystemCallFilter=(.*)$", (_UNITS / unit).read_text(), re.MULTILINE):
        named = {call for group in line.lstrip("~").split() for call in _members(group)}
        allowed = allowed - named if line.startswith("~") else allowed | named
    return allowed


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the server's user can reach where the tests are root."""
    made = Path(tempfile.mkdtemp(prefix="tminus-sandbox-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


async def test_a_launch_with_an_embedded_database_needs_no_more_than_the_unit_leaves(folder: Path) -> None:
    allowed = _allowed("tminus.service")
    assert "fchown" in allowed
    assert not allowed & {"setuid", "mount", "ptrace", "bpf", "reboot", "init_module"}
    if os.geteuid() == 0:
        allowed.update(_NEEDED_BY_ROOT)
    async with simulate(FleetSpec(sites=1)) as fleet:
        key = folder / "id_ed25519"
        key.write_bytes(fleet.client_key.export_private_key())
        key.chmod(0o600)
        config = write_config(folder, key_file=key, state_dir=str(folder / "state"), http_listen="127.0.0.1:0", **FAST)
        bob = Approver.make(folder / "approver", "bob")
        (folder / "allowed_signers").write_text(bob.signs_for())
        log = folder / "log"
        with log.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", _LAUNCHER, json.dumps(sorted(allowed)),
                sys.executable, "-m", "tminus", "--config", str(config), "serve",
                stderr=stderr, env=clean_environment() | {
                    "TMINUS_AUTHORIZATION__REQUIRE_SIGNATURE": "true",
                    "TMINUS_AUTHORIZATION__ALLOWED_SIGNERS": str(folder / "allowed_signers"),
                },
            )  # fmt: skip
        try:

            async def ready() -> bool:
                assert process.returncode is None, log.read_text()
                return '"event": "ready"' in log.read_text()

            await until(ready, within=60)
            db = Db(f"postgresql:///tminus?host={folder}/state/run&port=5432&user=tminus")
            await db.run("create role alice login in role tminus_author; create role bob login in role tminus_approver")
            await db.run(fleet.inventory_sql("default"))
            # Signed, so that ssh-keygen has to be run, too.
            script = await db.value(
                "insert into tminus.scheduled_scripts (script, sites, launch_at)"
                " values (':put 1', array['sim-0000'], now() + interval '3 seconds') returning id",
                role="alice",
            )
            await bob.authorize(db, script, role="bob")
            runs = await db.finished(script)
            assert runs["sim-0000"]["state"] == "completed", runs["sim-0000"]["message"]

            async def looked_at() -> bool:  # in a process that the daemon starts for it
                return (await db.script(script))["findings"] == []

            await until(looked_at)
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            code = await asyncio.wait_for(process.wait(), 30)
        assert code == 0, log.read_text()
        assert "PermissionError" not in log.read_text()


async def test_a_migration_needs_no_more_than_its_unit_leaves(folder: Path) -> None:
    allowed = _allowed("tminus-migrate.service")
    if os.geteuid() == 0:
        allowed.update(_NEEDED_BY_ROOT)
    config = write_config(folder, key_file=None, state_dir=str(folder / "state"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _LAUNCHER, json.dumps(sorted(allowed)),
        sys.executable, "-m", "tminus", "--config", str(config), "migrate",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=clean_environment(),
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, out.decode()
    assert b"PermissionError" not in out
    assert b"0001_" in out, "the embedded database was made, and filled"
    assert (folder / "state/postgres/PG_VERSION").is_file()


async def test_the_api_needs_no_more_than_its_unit_leaves_and_what_it_is_handed_over(
    database: Db, folder: Path
) -> None:
    """As systemd lays it out: all files in one folder that only it can read, and a socket for what it has to say."""
    unit = (_UNITS / "tminus-api.service").read_text()
    handed = dict(re.findall(r"^LoadCredential=(\S+):(\S+)$", unit, re.MULTILINE))
    assert handed == {name: f"/etc/tminus/{name}" for name in ("api.toml", "api.secret")}
    (fallback,) = re.findall(r"^SetCredential=api\.secret:(.*)$", unit, re.MULTILINE)
    secret = folder / "api.secret"
    secret.write_text(fallback)
    secret.chmod(0o400)
    with pytest.raises(ConfigError, match="needs 32"):
        read_secret(secret)  # what everybody knows is no secret
    secret.chmod(0o600)
    secret.write_text("0123456789abcdef" * 2)
    secret.chmod(0o400)
    settings = {"api_listen": "127.0.0.1:0", "api_secret_file": "api.secret", "log_format": "json"}
    written = write_config(folder, key_file=None, database_url=database.dsn_as("api"), **settings)
    config = written.rename(folder / "api.toml")
    config.chmod(0o400)
    log = folder / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(folder / "notify"))
        listener.setblocking(False)
        heard: list[bytes] = []

        def hears(line: bytes) -> bool:
            with suppress(BlockingIOError):
                while True:
                    heard.extend(listener.recv(4096).splitlines())
            return line in heard

        (command,) = re.findall(r"^ExecStart=\S+ (.*)$", unit, re.MULTILINE)
        arguments = command.replace("${CREDENTIALS_DIRECTORY}", str(folder)).split()
        with log.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", _LAUNCHER, json.dumps(sorted(_allowed("tminus-api.service"))),
                sys.executable, "-m", "tminus", *arguments, cwd="/", stderr=stderr, env=clean_environment() | {
                    "CREDENTIALS_DIRECTORY": str(folder), "NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "200000",
                },
            )  # fmt: skip
        try:

            async def fed() -> bool:
                assert process.returncode is None, log.read_text()
                return hears(b"READY=1") and hears(b"WATCHDOG=1")

            await until(fed, within=30)
            (ready,) = [line for line in map(json.loads, log.read_text().splitlines()) if line["event"] == "api_ready"]
            made = mint(
                secret.read_bytes(), name="alice", scopes=("script:view",), issuer="tminus", audience="tminus",
                valid=timedelta(minutes=5),
            )  # fmt: skip
            async with (
                aiohttp.ClientSession(headers={"Authorization": f"Bearer {made}"}) as session,
                session.get(f"http://{ready['listening']}/sites") as response,
            ):
                assert (response.status, await response.json()) == (200, [])
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            code = await asyncio.wait_for(process.wait(), 30)
        assert hears(b"STOPPING=1")
        assert code == 0, log.read_text()
        assert "PermissionError" not in log.read_text()
