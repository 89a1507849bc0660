"""`tminus launch show` over many sites, and the completion of commands by real shells."""

from __future__ import annotations

import asyncio
import shutil
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.acceptance.test_cli import Cli
from tests.store.stage import add_sites
from tests.support import Db, clean_environment

_TMINUS = Path(sys.executable).parent / "tminus"


async def launched(db: Db, count: int) -> tuple[str, UUID]:
    """A launch on `count` sites, all of them running; the scheduled script and the launch."""
    await add_sites(db, *(f"s{number:03}" for number in range(count)))
    script = await db.submit(":put x", description="[bold]two hundred")
    await db.move_clock(timedelta(seconds=1))
    instance = await db.value(
        "insert into tminus.instances (id, name, host, pid, version, max_sessions, ttl)"
        " values (gen_random_uuid(), 'one', 'h', 1, '1', 10, '1 hour') returning id"
    )
    launch = await db.value("select tminus.launch($1, $2)", script, instance)
    await db.fetch(
        "update tminus.site_runs set state = 'running', step = 'connecting', instance_id = $1, started_at = tminus.clock()",
        instance,
    )
    return str(script), launch


async def end(db: Db, sites: str, state: str, **columns: object) -> None:
    settings = "".join(f", {name} = ${number}" for number, name in enumerate(columns, 3))
    await db.fetch(
        f"update tminus.site_runs set state = $1, step = null, finished_at = tminus.clock(){settings}"
        " where state = 'running' and site_id ~ $2",
        state, sites, *columns.values(),
    )  # fmt: skip


async def test_sites_that_came_to_the_same_are_one_group_and_what_went_wrong_comes_first(database: Db) -> None:
    cli = Cli(database)
    script, launch = await launched(database, 200)
    await database.fetch(
        "update tminus.site_runs set step = 'executing', executing_at = started_at, nonce = '0123456789abcdef' where state = 'running'"
    )
    error = "\x1b[31mfailure: \u202ealready have such address"
    await end(
        database, "^s00[01]$", "failed", reason="script_error", effect="partial", message="It failed.", output=error
    )
    same = {"effect": "applied", "output": "done\n", "diff": "+add action=drop\n" + "+x\n" * 30}
    await end(database, ".", "completed", **same)
    await database.fetch("select tminus.finish_launches()")
    for wanted in (str(launch), str(launch)[:8], script, script[:8]):
        shown = await cli.ok("launch", "show", wanted, login="rita")
        assert shown.out.index("2 sites: failed (script_error)") < shown.out.index("198 sites: completed")
    assert shown.out.count("+add action=drop") == 1
    assert "[bold]two hundred" in shown.out
    assert "and 188 more" in shown.out
    assert "11 more lines" in shown.out
    assert "\x1b" not in shown.out
    assert "\u202e" not in shown.out
    document: dict[str, Any] = (await cli.ok("launch", "show", script, "--json")).json()
    assert [(group["outcome"], group["count"]) for group in document["groups"]] == [("failed", 2), ("completed", 198)]
    assert "198 sites in more groups" in (await cli.ok("launch", "show", script, "--groups", "1")).out


async def test_following_waits_for_the_end_and_the_exit_code_tells_how_it_was(database: Db) -> None:
    script, _ = await launched(database, 2)
    process = await asyncio.create_subprocess_exec(
        _TMINUS, "launch", "show", script, "--follow",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**clean_environment(), "TMINUS_DATABASE_URL": database.dsn_as("rita")},
    )  # fmt: skip
    assert process.stderr is not None
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stderr.readline(), 30) == b"2 running\n"
    await end(database, "s000", "failed", reason="offline", effect="none")
    assert await asyncio.wait_for(process.stderr.readline(), 30) == b"1 failed, 1 running\n"
    assert process.returncode is None
    await end(database, "s001", "failed", reason="offline", effect="none")
    await database.fetch("select tminus.finish_launches()")
    out = await asyncio.wait_for(process.stdout.read(), 30)
    assert await asyncio.wait_for(process.wait(), 30) == 1
    assert b"2 sites: failed (offline)" in out


async def test_an_id_of_nothing_is_one_sentence(cli: Cli) -> None:
    (await cli("launch", "show", "aaaa")).refused("no launch aaaa", "tminus status", code=2)
    (await cli("launch", "show", "x")).refused("'x'", code=2)


@pytest.fixture
async def cli(database: Db) -> Cli:
    return Cli(database)


async def test_bash_completes_commands_with_what_is_printed(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    script = (
        'eval "$(tminus completion bash)"; complete -p tminus;'
        ' COMP_WORDS=(tminus laun); COMP_CWORD=1; _tminus_completion tminus; echo "${COMPREPLY[@]}"'
    )
    process = await asyncio.create_subprocess_exec(
        bash, "-c", script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=clean_environment() | {"PATH": f"{_TMINUS.parent}:/usr/bin:/bin"},
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, err) == (0, b"")
    assert out.decode().split("\n")[1] == "launch"


@pytest.mark.parametrize("shell", ["zsh", "fish"])
async def test_the_other_shells_have_theirs(shell: str, cli: Cli) -> None:
    assert "_TMINUS_COMPLETE" in (await cli.ok("completion", shell)).out
