"""The embedded database in real use, and the demonstration that stands on it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.test_configuration import tminus
from tests.support import clean_environment, until


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the server's user can reach where the tests are root."""
    made = Path(tempfile.mkdtemp(prefix="tminus-own-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


async def test_the_daemon_runs_its_own_database_and_keeps_it_over_a_restart(folder: Path) -> None:
    state = {"TMINUS_STATE_DIR": str(folder / "state"), "TMINUS_HTTP_LISTEN": "127.0.0.1:0"}

    async def serve() -> asyncio.subprocess.Process:
        with log.open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tminus", "serve", stderr=stderr, env=clean_environment() | state
            )

        async def ready() -> bool:
            assert process.returncode is None, log.read_text()
            return f'"pid": {process.pid}' in log.read_text()

        await until(ready, within=60)
        return process

    log = folder / "log"
    daemon = await serve()
    try:
        code, _, err = await tminus(
            "psql", "-qc", "insert into tminus.sites (id, name, address) values ('s1', 'one', '127.0.0.1')", **state
        )
        assert (code, err) == (0, "")
        code, out, _ = await tminus("psql", "-Atc", "select state from tminus.instances", **state)
        assert (code, out) == (0, "alive\n")
    finally:
        daemon.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(daemon.wait(), 30) == 0
    daemon = await serve()
    try:
        code, out, _ = await tminus("psql", "-Atc", "select id from tminus.sites", **state)
        assert (code, out) == (0, "s1\n")
        code, out, _ = await tminus(
            "psql",
            "--as",
            "tminus_serve",
            "-Atc",
            "select session_user, pg_has_role('tminus_approver', 'member')",
            **state,
        )
        assert (code, out) == (0, "tminus_serve|f\n")
    finally:
        daemon.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(daemon.wait(), 30) == 0


async def test_the_demonstration_agrees_with_the_journal(folder: Path) -> None:
    code, out, err = await tminus("demo", TMPDIR=str(folder))
    assert code == 0, out + err
    assert "they agree" in out
    assert len(re.findall(r"^ +sim-\d{4} .* agrees$", out, re.MULTILINE)) == 25
    # Not only what goes well is shown.
    assert "failed (offline)" in out
    assert "failed (script_error)" in out
    assert "DISAGREES" not in out
    assert os.listdir(folder) == [], "the demonstration left something behind"
