"""What is found in a script reaches whoever writes, submits or authorizes it: by command, and by nothing but SQL."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_cli import SITES, Answer, Cli, call, on_terminal
from tests.acceptance.test_readme import run_psql
from tests.support import Db, run_daemon, until
from tminus.cli.findings import caret

REBOOT = "/system reboot\n"
BROKEN = ":put a\n:put )\n"


async def lint(*arguments: str, stdin: str | bytes = b"") -> Answer:
    return await asyncio.to_thread(call, None, ("lint", *arguments), stdin)


def objects(answer: Answer) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.out.splitlines()]


@pytest.fixture
async def cli(database: Db) -> Cli:
    answer = await asyncio.to_thread(call, database.dsn_as("api"), ("site", "import", "-"), SITES)
    assert answer.code == 0, answer.err
    return Cli(database)


async def test_lint_prints_an_object_a_file_with_the_routers_own_refusal(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.rsc", tmp_path / "bad.rsc"
    good.write_text(REBOOT)
    bad.write_text(BROKEN)
    answer = await lint("--json", str(good), str(bad))
    assert answer.code == 1
    first, second = objects(answer)
    assert list(first)[:6] == ["file", "valid", "message", "line", "column", "findings"]
    assert (first["file"], first["valid"], first["message"], first["line"], first["column"]) == (
        str(good), True, None, None, None,
    )  # fmt: skip
    assert [(each["code"], each["severity"], each["line"], each["column"]) for each in first["findings"]] == [
        ("reboot", "danger", 1, 1)
    ]
    assert (second["valid"], second["message"], second["line"], second["column"]) == (
        False,
        "expected end of command",
        2,
        6,
    )


async def test_lint_shows_a_person_the_place_with_a_caret_and_says_what_may_happen(tmp_path: Path) -> None:
    file = tmp_path / "script.rsc"
    file.write_text(BROKEN + REBOOT)
    answer = await lint(str(file))
    assert answer.code == 1
    lines = answer.out.splitlines()
    assert lines[0] == f"{file}:2:6: expected end of command"
    assert lines[1:3] == ["    :put )", "         ^"]
    assert "expects_disconnect" in answer.out


async def test_lint_is_content_with_a_script_that_is_fine(tmp_path: Path) -> None:
    file = tmp_path / "script.rsc"
    file.write_text(":put hello\n")
    answer = await lint(str(file))
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == f"{file}: a router would read it\nChanges no configuration: it only reads and prints.\n"


async def test_lint_reads_stdin_and_any_encoding() -> None:
    answer = await lint("--json", "-", stdin="# Привет\n/ip address print\n".encode("cp1251"))
    assert answer.code == 0
    [seen] = objects(answer)
    assert (seen["file"], seen["valid"]) == ("-", True)
    assert [each["code"] for each in seen["findings"]] == ["not-utf-8"]


async def test_a_file_that_cannot_be_read_does_not_keep_lint_from_the_others(tmp_path: Path) -> None:
    file = tmp_path / "script.rsc"
    file.write_text(BROKEN)
    answer = await lint("--json", str(tmp_path / "none"), str(tmp_path), str(file))
    assert answer.code == 2
    assert [seen["file"] for seen in objects(answer)] == [str(file)]
    assert answer.err.splitlines() == [
        f"tminus: {tmp_path}/none cannot be read: No such file or directory",
        f"tminus: {tmp_path} cannot be read: Is a directory",
    ]


async def test_lint_holds_delays_against_the_site_timeout_that_is_given() -> None:
    for timeout, codes in (("30s", ["delay-too-long"]), ("2m", [])):
        answer = await lint("--json", "--site-timeout", timeout, "-", stdin=":delay 60")
        assert [each["code"] for each in objects(answer)[0]["findings"]] == codes


async def test_a_script_that_is_too_long_is_refused_by_lint_as_by_the_database() -> None:
    answer = await lint("-", stdin=b"#" * (1024 * 1024 + 1))
    assert answer.code == 2
    assert "longer than 1048576 bytes" in answer.err


async def test_submit_shows_what_is_found_and_does_not_forbid_a_syntax_error(cli: Cli) -> None:
    answer = await cli.ok("submit", "-", "--site", "site_a", "--in", "1h", login="alice", stdin=BROKEN + REBOOT)
    assert "a router would refuse this script: expected end of command (line 2 column 6)" in answer.out
    assert "    :put )\n         ^\n" in answer.out
    assert "expects_disconnect" in answer.out
    assert "Next, somebody other than alice runs" in answer.out
    as_json = await cli.ok(
        "submit", "-", "--site", "site_a", "--in", "1h", "--json", login="alice", stdin=BROKEN
    )  # fmt: skip
    assert "a router would refuse this script: expected end of command (line 2 column 6)" in as_json.err


async def test_submit_shows_the_summary(cli: Cli) -> None:
    answer = await cli.ok("submit", "-", "--site", "site_a", "--in", "1h", login="alice", stdin=REBOOT)
    assert "Reboots the router; changes no addresses, users, services or routes." in answer.out


async def test_authorize_shows_what_was_found_before_it_asks(cli: Cli, tmp_path: Path) -> None:
    script = await cli.submit(script=REBOOT)
    async with on_terminal(cli.db, "bob", "authorize", script) as terminal:
        await terminal.shows("Authorize exactly this?")
        assert "The daemon has not looked at this script yet; this was found here, just now" in terminal.shown
        assert "expects_disconnect" in terminal.shown
        terminal.type("n\n")
        await terminal.end()
    async with run_daemon(cli.db, tmp_path):
        await looked_at(cli.db, script)
    async with on_terminal(cli.db, "bob", "authorize", script, "--json") as terminal:
        await terminal.shows("Authorize exactly this?")
        assert "has not looked" not in terminal.shown
        assert "Reboots the router" in terminal.shown
        assert "expects_disconnect" in terminal.shown
        terminal.type("y\n")
        assert await terminal.end() == 0
    document = json.loads(terminal.shown[terminal.shown.index('{"id"') :].splitlines()[0])
    assert [each["code"] for each in document["findings"]] == ["reboot"]
    assert document["summary"].startswith("Reboots the router")


async def test_authorize_does_not_take_the_findings_of_the_database_on_trust(cli: Cli) -> None:
    script = await cli.submit(script=REBOOT)
    await cli.db.fetch(
        "update tminus.scheduled_scripts set findings = '[]', summary = 'Harmless.', summary_generated = true where id = $1",
        script,
        role="tminus_serve",
    )
    async with on_terminal(cli.db, "bob", "authorize", script) as terminal:
        await terminal.shows("Authorize exactly this?")
        assert "What the daemon stored differs from what is found here" in terminal.shown
        assert "Reboots the router; changes no addresses, users, services or routes." in terminal.shown
        assert "expects_disconnect" in terminal.shown
        terminal.type("n\n")
        await terminal.end()


async def looked_at(db: Db, script: object) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        shown = await db.script(script)
        return shown if shown["findings"] is not None else None

    shown = await until(look)
    assert shown is not None
    return shown


async def test_an_insert_by_psql_gets_findings_and_an_edit_new_ones(cli: Cli, tmp_path: Path) -> None:
    mine, other = "018f5bda-4690-4432-8472-358b2734f19b", "018f5bda-4690-4432-8472-358b2734f19c"
    insert = "insert into tminus.scheduled_scripts (id, script, summary, sites, launch_at) values"
    async with run_daemon(cli.db, tmp_path) as daemon:
        await run_psql(
            cli.db.dsn_as("alice"),
            f"{insert} ('{mine}', '/ip address remove [find]', null, array['site_a'], now() + interval '1 hour'),"
            f" ('{other}', '/system reboot', 'Our reboot.', array['site_a'], now() + interval '1 hour');",
        )
        shown = await looked_at(cli.db, mine)
        assert [each["code"] for each in shown["findings"]] == ["address-changed", "selects-everything"]
        assert shown["summary"] == "Removes all addresses; changes no users, services or routes."
        given = await looked_at(cli.db, other)
        assert ([each["code"] for each in given["findings"]], given["summary"]) == (["reboot"], "Our reboot.")

        await run_psql(cli.db.dsn_as("bob"), f"select tminus.authorize('{mine}', tminus.digest('{mine}'));")
        await run_psql(
            cli.db.dsn_as("alice"), f"update tminus.scheduled_scripts set script = ':put x' where id = '{mine}';"
        )
        shown = await looked_at(cli.db, mine)
        assert shown["findings"] == []
        assert shown["summary"] == "Changes no configuration: it only reads and prints."
        assert shown["status"] == "unauthorized"

        looked = [event for event in daemon.log() if event["event"] == "findings_stored"]
        assert {event["script_id"] for event in looked} == {mine, other}
        assert await daemon.stop() == 0


async def test_a_long_script_is_looked_at_while_the_daemon_goes_round(cli: Cli, tmp_path: Path) -> None:
    script = "/ip firewall address-list\n" + "\n".join(
        f":do {{ add list=blacklist address=10.{n >> 16}.{n >> 8 & 255}.{n & 255} }} on-error={{ :log error $nowhere }}"
        for n in range(10_000)
    )
    async with run_daemon(cli.db, tmp_path) as daemon:
        number = await cli.submit(script=script)
        shown = await looked_at(cli.db, number)
        assert shown["summary"].startswith("Adds 10000 address list entries (list blacklist)")
        metrics = await daemon.metrics()
        lag = "tminus_event_loop_lag_seconds"
        assert metrics[f'{lag}_bucket{{le="1.0"}}'] == metrics[f"{lag}_count"], "the loop was never held up"
        assert (await daemon.get("/readyz"))[0] == 200
        assert await daemon.stop() == 0


@pytest.mark.parametrize(
    ("line", "column", "shown"),
    [
        (b":put )", 6, (":put )", "     ^")),
        (b"\t\t:put )", 21, ("        :put )", "             ^")),
        ("/a \xe9\xe9 )".encode(), 9, ("/a \xe9\xe9 )", "      ^")),
        (":put \"你\" )".encode(), 12, (":put \"你\" )", "          ^")),
        (b":put \x1b )", 8, (r":put \x1b )", "          ^")),
        (b":put", 5, (":put", "    ^")),
        (b"x" * 200 + b")" + b"y" * 100, 201, ("…" + "x" * 59 + ")" + "y" * 38 + "…", " " * 60 + "^")),
    ],
)  # fmt: skip
def test_the_caret_is_below_the_place_that_the_router_counts(line: bytes, column: int, shown: tuple[str, str]) -> None:
    assert tuple(each[4:] for each in caret(b"first\n" + line + b"\r\nlast", 2, column)) == shown
