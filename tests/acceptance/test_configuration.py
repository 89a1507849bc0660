"""What a wrong configuration gets: one sentence that names the thing and the remedy, and its own exit code."""

from __future__ import annotations

import asyncio
import socket
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support import Db, clean_environment, run_daemon, write_config
from tminus.simulator import FleetSpec, simulate


async def tminus(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run the command line as a process; return exit code, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tminus", *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=clean_environment() | environment,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def is_one_sentence(text: str) -> bool:
    return text.startswith("tminus: ") and text.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_session = 5\n", "did you mean 'max_sessions'?"),
        ("max_sessions = 0\n", "max_sessions"),
        ("max_sessions = [\n", "not valid TOML"),
        ('http_listen = "9468"\n', "HOST:PORT"),
        ("heartbeat_ttl = 20.0\n", "4 times heartbeat_interval"),
        ("heartbeat_margin = 30.0\n", "less than half of heartbeat_ttl"),
        ("heartbeat_ttl = 40.0\nheartbeat_interval = 5.0\nreap_interval = 50.0\n", "reap_interval must not exceed"),
        ('[credentials.default]\npasword_file = "x"\n', "password_file"),
        ('[credentials.default]\nusername = "a"\nprivate_key_file = "nowhere"\n', "nowhere"),
        ('[credentials.default]\nusername = "-a"\npassword_file = "secret"\n', "begins with '-'"),
        ('[credentials.default]\nusername = "a"\n', "private_key_file or a password_file"),
    ],
)
async def test_a_wrong_setting_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "secret").write_text("swordfish\n")
    config = tmp_path / "tminus.toml"
    config.write_text(f'state_dir = "{tmp_path / "state"}"\n' + text if not text.startswith("[") else text)
    code, _, err = await tminus("--config", str(config), "serve")
    assert code == 3
    assert is_one_sentence(err), err
    assert said in err
    assert "swordfish" not in err
    assert not (tmp_path / "state").exists(), "something was done with a wrong configuration"


async def test_a_missing_file_and_an_unknown_variable_are_named(tmp_path: Path) -> None:
    code, _, err = await tminus("--config", str(tmp_path / "none.toml"), "serve")
    assert (code, is_one_sentence(err)) == (3, True)
    code, _, err = await tminus("serve", TMINUS_MAX_SESSION="5")
    assert (code, is_one_sentence(err)) == (3, True)
    assert "TMINUS_MAX_SESSION" in err


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("postgresql://nobody:swordfish@127.0.0.1:1/x", 4),
        ("postgresql:///x?host=/nonexistent", 4),
        ("postgresql://nobody:swordfish/x@127.0.0.1/x", 3),
        ("no dsn at all", 3),
    ],
)
async def test_a_wrong_dsn_is_one_sentence_without_its_password(dsn: str, expected: int) -> None:
    code, _, err = await tminus("serve", TMINUS_DATABASE_URL=dsn)
    assert code == expected
    assert is_one_sentence(err), err
    assert "database_url" in err
    assert "swordfish" not in err


async def test_a_busy_port_is_named(database: Db, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        address = f"127.0.0.1:{busy.getsockname()[1]}"
        config = write_config(
            tmp_path, key_file=None, database_url=database.dsn_as("tminus_serve"), http_listen=address
        )
        code, _, err = await tminus("--config", str(config), "serve")
    assert code == 3
    assert address in err
    assert "http_listen" in err


async def test_a_database_without_or_with_a_newer_schema_is_refused(database: Db, tmp_path: Path) -> None:
    await database.run(
        "insert into tminus.schema_migrations (version, name, sha256) values (9999, '9999_later.sql', '')"
    )
    config = write_config(tmp_path, key_file=None, database_url=database.dsn_as("tminus_serve"))
    code, _, err = await tminus("--config", str(config), "serve")
    assert (code, is_one_sentence(err)) == (5, True)
    assert "newer than this program" in err

    await database.run("drop schema tminus cascade")
    code, _, err = await tminus("--config", str(config), "serve")
    assert (code, is_one_sentence(err)) == (5, True)
    assert "tminus migrate" in err


async def test_a_site_whose_credential_is_not_configured_is_never_tried_and_says_which(
    database: Db, tmp_path: Path
) -> None:
    async with simulate(FleetSpec(sites=1)) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql("branch-offices"))
        script = await database.submit(":put 1", start_within=timedelta(seconds=2))
        run = (await database.finished(script))["sim-0000"]
        assert (run["state"], run["effect"], run["reason"]) == ("skipped", "none", "missed")
        assert "no living daemon has in its configuration the credential 'branch-offices'" in run["message"]
        assert not fleet.journal.events("sim-0000")
