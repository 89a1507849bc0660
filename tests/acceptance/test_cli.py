"""The commands of a person, against a real database and, for a whole launch, a real daemon and simulated routers."""

from __future__ import annotations

import asyncio
import base64
import fcntl
import json
import os
import pty
import re
import struct
import sys
import termios
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.support import Db, clean_environment, run_daemon, until
from tminus.cli import cli as group
from tminus.cli import main, screen
from tminus.cli.submit import submit
from tminus.simulator import Fault, FleetSpec, SiteSpec, simulate
from tminus.store.pool import statement

SITES = "id,name,address,port,tags\nsite_a,Alpha,192.0.2.1,22,core;north\nsite_b,,192.0.2.2,,north\nsite_c,,192.0.2.3,2222,\n"
SCRIPT = ":put hello\n"
NEXT_YEAR = datetime.now(UTC).year + 1
_KEY_BLOB = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"
KEY = "ssh-ed25519 " + base64.b64encode(_KEY_BLOB + bytes(range(32))).decode()
OTHER_KEY = "ssh-ed25519 " + base64.b64encode(_KEY_BLOB + bytes(32)).decode()
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    def refused(self, *words: str, code: int | None = None) -> None:
        """One sentence on stderr that has these words in it, nothing on stdout, and an exit code that says so."""
        assert self.code == code if code is not None else self.code in (1, 2, 3, 4), (self.code, self.err)
        assert re.fullmatch(r"tminus: [^\n]+\n", self.err), self.err
        assert self.out == ""
        for word in words:
            assert word in self.err, self.err


@dataclass(frozen=True)
class Cli:
    """Calls commands in this process, as a login of the database."""

    db: Db

    async def __call__(self, *arguments: str, login: str | None = None, stdin: str | bytes = b"") -> Answer:
        dsn = self.db.dsn if login is None else self.db.dsn_as(login)
        return await asyncio.to_thread(call, dsn, arguments, stdin)

    async def ok(self, *arguments: str, login: str | None = None, stdin: str | bytes = b"") -> Answer:
        answer = await self(*arguments, login=login, stdin=stdin)
        assert answer.code == 0, answer.err
        return answer

    async def submit(self, *options: str, login: str = "alice", script: str | bytes = SCRIPT) -> str:
        """Submit a script, on site_a in an hour unless the options say other things; return its id."""
        where = () if {"--site", "--tag", "--sites-file"} & set(options) else ("--site", "site_a")
        when = () if {"--at", "--in", "--cron", "--local-time"} & set(options) else ("--in", "1h")
        answer = await self.ok("submit", "-", *where, *when, *options, login=login, stdin=script)
        return UUID.findall(answer.out)[0]

    async def state(self) -> list[Any]:
        """All that a command could have changed."""
        return [
            await self.db.fetch(f"select * from tminus.{table} order by 1")
            for table in ("sites", "scheduled_scripts", "authorizations", "launches", "site_runs", "events")
        ]


_one_at_a_time = threading.Lock()


def call(dsn: str | None, arguments: tuple[str, ...], stdin: str | bytes) -> Answer:
    ours: dict[str, str | None] = {name: None for name in os.environ if name not in clean_environment()}
    if dsn is not None:
        ours["TMINUS_DATABASE_URL"] = dsn
    with _one_at_a_time, CliRunner().isolation(input=stdin, env=ours) as (out, err, _):
        before, sys.argv = sys.argv, ["tminus", *arguments]
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            sys.argv = before
        sys.stdout.flush()
        return Answer(code, out.getvalue().decode(), err.getvalue().decode())


@pytest.fixture
async def cli(database: Db) -> Cli:
    """With three sites: site_a and site_b have the tag north, site_a and site_c a name or port of their own."""
    answer = await asyncio.to_thread(call, database.dsn_as("api"), ("site", "import", "-"), SITES)
    assert answer.code == 0, answer.err
    return Cli(database)


@asynccontextmanager
async def on_terminal(db: Db, login: str, *arguments: str) -> AsyncIterator[Terminal]:
    """Run a real `tminus` on a terminal of its own."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 150, 0, 0))
    environment = {**clean_environment(), "TMINUS_DATABASE_URL": db.dsn_as(login), "TERM": "xterm-256color"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tminus", *arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    os.set_blocking(ours, False)
    try:
        yield Terminal(ours, process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)


@dataclass
class Terminal:
    descriptor: int
    process: asyncio.subprocess.Process
    shown: str = ""

    async def shows(self, words: str) -> None:
        async def look() -> bool:
            self._read()
            return words in self.shown

        await until(look)

    async def end(self) -> int:
        async def look() -> bool:
            self._read()  # a full terminal would stop it
            return self.process.returncode is not None

        await until(look)
        self._read()
        return self.process.returncode or 0

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def _read(self) -> None:
        try:
            while data := os.read(self.descriptor, 65536):
                self.shown += data.decode(errors="replace")
        except (BlockingIOError, OSError):  # nothing there yet; EIO once the other side is closed
            return


# --- the inventory ---


async def test_an_import_adds_changes_and_leaves_alone_what_is_as_given(cli: Cli) -> None:
    before = {row["id"]: row for row in await cli.db.fetch("select xmin::text, s.* from tminus.sites s")}
    answer = await cli.ok(
        "site",
        "import",
        "-",
        stdin="\ufeffid,name,address\r\nsite_a,Alpha,192.0.2.1\r\nsite_b,Bravo,192.0.2.2\r\nsite_d,,192.0.2.4\r\n",
    )
    assert answer.out == "1 added, 1 changed, 1 unchanged\n"
    after = {row["id"]: row for row in await cli.db.fetch("select xmin::text, s.* from tminus.sites s")}
    assert after["site_a"] == before["site_a"]  # not even written again: xmin is the same
    assert after["site_b"]["name"] == "Bravo"
    assert after["site_b"]["tags"] == ["north"]  # no column of the file
    assert (after["site_d"]["name"], after["site_d"]["port"], after["site_d"]["enabled"]) == ("site_d", 22, True)


async def test_an_import_takes_every_column(cli: Cli) -> None:
    header = "id,name,address,port,username,credential,host_key,ssh_profile,jump_host,runner,tags,timezone,enabled,sensitive_export"
    header += ",return_address"
    line = (
        f"site_x,Xray,2001:db8::1,2222,ops,branch,{KEY} root@x,legacy,gate,dc1,a b;c;a,Europe/Berlin,no,yes,2001:db8::2"
    )
    answer = await cli.ok("site", "import", "-", "--json", stdin=f"{header}\n{line}\n")
    assert answer.json() == {"added": ["site_x"], "changed": [], "unchanged": 0, "dry_run": False}
    row = (await cli.db.fetch("select * from tminus.sites where id = 'site_x'"))[0]
    expected = (
        "Xray",
        "2001:db8::1",
        2222,
        "ops",
        "branch",
        KEY,
        "legacy",
        "gate",
        "dc1",
        ["a", "b", "c"],
        "Europe/Berlin",
        False,
        True,
        "2001:db8::2",
    )
    assert tuple(row[name] for name in header.split(",")[1:]) == expected
    again = await cli.ok("site", "import", "-", stdin=f"{header}\n{line}\n")
    assert again.out == "0 added, 0 changed, 1 unchanged\n"  # the comment of the key is not part of it


async def test_a_json_array_is_imported_like_a_csv(cli: Cli) -> None:
    sites = [
        {"id": 7, "name": "Seven", "address": "192.0.2.7", "port": 2222, "jump_host": "gate", "tags": ["a b", "c"], "enabled": True},
        {"id": "site_b", "name": None, "address": "192.0.2.2", "port": None, "jump_host": None, "tags": [], "enabled": False},
    ]  # fmt: skip
    answer = await cli.ok("site", "import", "-", "--json", stdin=json.dumps(sites))
    assert answer.json() == {"added": ["7"], "changed": ["site_b"], "unchanged": 0, "dry_run": False}
    rows = await cli.db.fetch(
        "select id, name, port, jump_host, tags, enabled from tminus.sites where id in ('7', 'site_b') order by id"
    )
    assert [tuple(row) for row in rows] == [
        ("7", "Seven", 2222, "gate", ["a b", "c"], True),
        ("site_b", "site_b", 22, None, [], False),
    ]
    again = await cli.ok("site", "import", "-", stdin="\ufeff" + json.dumps(sites, indent=2))
    assert again.out == "0 added, 0 changed, 2 unchanged\n"


async def test_an_empty_cell_of_a_column_takes_the_default_back(cli: Cli) -> None:
    await cli.ok("site", "import", "-", stdin="id,address,port\nsite_c,192.0.2.3,\n")
    assert await cli.db.value("select port from tminus.sites where id = 'site_c'") == 22


async def test_a_dry_run_counts_and_writes_nothing(cli: Cli) -> None:
    before = await cli.state()
    answer = await cli.ok("site", "import", "-", "--dry-run", stdin="id,address\nsite_a,192.0.2.77\nsite_d,192.0.2.4\n")
    assert answer.out == "1 added, 1 changed, 0 unchanged (dry run: nothing was written)\n"
    assert await cli.state() == before


async def test_a_site_may_take_the_address_that_another_one_of_the_file_leaves(cli: Cli) -> None:
    await cli.ok("site", "import", "-", stdin="id,address\nsite_a,192.0.2.2\nsite_b,192.0.2.9\n")
    rows = await cli.db.fetch("select id, address from tminus.sites where id in ('site_a', 'site_b') order by id")
    assert [tuple(row) for row in rows] == [("site_a", "192.0.2.2"), ("site_b", "192.0.2.9")]


@pytest.mark.parametrize(
    ("csv", "words"),
    [
        ("", ["stdin is empty"]),
        ("id,address\n", ["no sites"]),
        ("id,adress\nx,192.0.2.9\n", ["line 1", "'adress'", "address"]),
        ("id,name\nx,y\n", ["line 1", "'address' is missing"]),
        ("id,id,address\nx,x,192.0.2.9\n", ["line 1", "'id' is there twice"]),
        ("id,address\nx,192.0.2.9\n\n,192.0.2.10\n", ["line 4", "the id is missing"]),
        ("id,address\nx,\n", ["line 2", "the address is missing"]),
        ("id,address\nx\n", ["line 2", "1 cells", "2"]),
        ("id,address\nx,192.0.2.9\nx,192.0.2.10\n", ["line 3", "'x'", "line 2"]),
        ("id,address,port\nx,192.0.2.9,22a\n", ["line 2", "port '22a'"]),
        ("id,address,port\nx,192.0.2.9,65536\n", ["line 2", "65536"]),
        ("id,address,enabled\nx,192.0.2.9,perhaps\n", ["line 2", "'perhaps'"]),
        ("id,address,sensitive_export\nx,192.0.2.9,perhaps\n", ["line 2", "sensitive_export 'perhaps'"]),
        ("id,address\nx,not an address\n", ["line 2", "'not an address'"]),
        ("id,address,return_address\nx,192.0.2.9,127.1\n", ["line 2", "return_address '127.1'"]),
        ("id,address,username\nx,192.0.2.9,-froot\n", ["line 2", "'-froot'"]),
        ("id,address,ssh_profile\nx,192.0.2.9,old\n", ["line 2", "'old'"]),
        ("id,address,host_key\nx,192.0.2.9,ssh-ed25519 AAAA\n", ["line 2", "host_key"]),
        ("id,address,timezone\nx,192.0.2.9,Mars/Base\n", ["x", "'Mars/Base'", "IANA"]),
        ('id,address\n"x,192.0.2.9\n', ["CSV"]),
        ("id,address\nx\x00y,192.0.2.9\n", ["NUL"]),
        (b"id,address\n\xe9,192.0.2.9\n", ["UTF-8", "0xe9", "line 2"]),
        ("id,address\nx,192.0.2.1\n", ["line 2", "192.0.2.1", "'site_a'"]),
        ("id,address\nx,192.0.2.9\ny,192.0.2.9\n", ["line 3", "192.0.2.9", "'x'", "line 2"]),
        ("id,address\nsite_a,192.0.2.2\nsite_b,192.0.2.1\n", ["site_a", "site_b", "free address"]),
        ("id,address,jump_host\nx,192.0.2.9,-gate\n", ["line 2", "'-gate'"]),
        ("[", ["line 1", "not JSON"]),
        ('{"id": "x", "address": "192.0.2.9"}', ["not an array"]),
        ("[]", ["not an array"]),
        ("[" * 100_000, ["nested too deeply"]),
        ('["x"]', ["object 1", "is an object"]),
        ('[{"id": "x", "adress": "192.0.2.9"}]', ["object 1", "'adress'", "address"]),
        ('[{"id": "x"}]', ["object 1", "'address' is missing"]),
        ('[{"id": "x", "id": "y", "address": "192.0.2.9"}]', ["'id' is there twice"]),
        (
            '[{"id": "x", "address": "a", "port": 1}, {"id": "y", "address": "b"}]',
            ["object 1 has the key 'port'", "object 2 has not"],
        ),
        (
            '[{"id": "x", "address": "a"}, {"id": "y", "address": "b", "port": 1}]',
            ["object 2 has the key 'port'", "object 1 has not"],
        ),
        ('[{"id": "x", "address": "a"}, {"id": "x", "address": "b"}]', ["object 2", "'x'", "object 1 already"]),
        ('[{"id": "x", "address": ["a"]}]', ["object 1", 'address ["a"] is no text']),
        ('[{"id": "x", "address": "a", "name": true}]', ["object 1", "name true is no text"]),
        ('[{"id": "x", "address": "a", "port": true}]', ["object 1", "port true is no text"]),
        ('[{"id": "x", "address": "a", "port": 70000}]', ["object 1", "port '70000'"]),
        ('[{"id": "x", "address": "a", "tags": "b"}]', ["object 1", "no array"]),
        ('[{"id": "x", "address": "a", "tags": [1]}]', ["object 1", "the tag 1"]),
        ('[{"id": "x", "address": "192.0.2.1"}]', ["object 1", "192.0.2.1", "'site_a'"]),
    ],
)
async def test_a_bad_inventory_is_refused_with_its_line_and_changes_nothing(
    cli: Cli, csv: str | bytes, words: list[str]
) -> None:
    before = await cli.state()
    (await cli("site", "import", "-", stdin=csv)).refused(*words)
    assert await cli.state() == before


async def test_only_an_inventory_tool_may_import(cli: Cli) -> None:
    before = await cli.state()
    (await cli("site", "import", "-", login="alice", stdin="id,address\nx,192.0.2.9\n")).refused(
        "permission denied", code=1
    )
    assert await cli.state() == before


async def test_sites_are_listed_for_people_and_machines(cli: Cli) -> None:
    listed = (await cli.ok("site", "list", "--json", login="rita")).json()
    assert [site["id"] for site in listed] == ["site_a", "site_b", "site_c"]
    assert listed[2]["port"] == 2222
    tagged = (await cli.ok("site", "list", "--tag", "north", login="rita")).out
    assert "site_b" in tagged
    assert "site_c" not in tagged


async def test_pin_says_the_fingerprint_and_which_key_it_replaces(cli: Cli) -> None:
    answer = await cli.ok("site", "pin", "site_a", "--key", f"{KEY} comment")
    assert re.search(r"site_a: pinned ssh-ed25519 SHA256:[A-Za-z0-9+/]{43}\n", answer.out)
    assert await cli.db.value("select host_key from tminus.sites where id = 'site_a'") == KEY
    fingerprint = answer.out.split()[-1]
    assert f"before: ssh-ed25519 {fingerprint}" in (await cli.ok("site", "pin", "site_a", "--key", OTHER_KEY)).out
    assert "already" in (await cli.ok("site", "pin", "site_a", "--key", OTHER_KEY)).out


async def test_pin_takes_the_key_that_was_seen_first_but_never_instead_of_a_pinned_one(cli: Cli) -> None:
    await cli.db.run(f"update tminus.sites set seen_host_key = '{KEY}' where id = 'site_a'")
    await cli.ok("site", "pin", "site_a")
    assert await cli.db.value("select host_key from tminus.sites where id = 'site_a'") == KEY
    before = await cli.state()
    (await cli("site", "pin", "site_a")).refused("pinned key already", "SHA256:", "--key", code=2)
    (await cli("site", "pin", "site_b")).refused("no key of site site_b was seen", "--key", code=2)
    (await cli("site", "pin", "nowhere", "--key", KEY)).refused("'nowhere'", code=2)
    (await cli("site", "pin", "site_a", "--key", "ssh-rsa nonsense!")).refused("--key", code=2)
    (await cli("site", "pin", "site_a", "--key", OTHER_KEY, login="alice")).refused("permission denied", code=1)
    assert await cli.state() == before


async def test_a_change_that_an_authorization_does_not_cover_is_told(cli: Cli) -> None:
    script = await cli.submit("--tag", "north")
    await cli.ok("authorize", script, "--digest", await cli.db.value("select tminus.digest($1)", script), login="bob")
    harmless = await cli.ok("site", "import", "-", stdin="id,address,tags\nsite_a,192.0.2.1,other\n")
    assert harmless.err == ""
    pinned = await cli.ok("site", "pin", "site_a", "--key", KEY)
    assert script in pinned.err
    assert "site_changed" in pinned.err
    assert "1 site " in pinned.err


# --- submit ---


async def test_submit_writes_exactly_what_was_asked(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "change.rsc"
    file.write_bytes('\ufeff:put "grüße"\r\n:put 2\r\n'.encode())
    answer = await cli.ok(
        "submit", str(file), "--site", "site_b", "--site", "site_a", "--at", f"{NEXT_YEAR}-03-01T12:30+02:00", "--description", "why",
        "--no-backup", "--abort-if-offline", "--notify", "u1", "--notify", "u2", "--test-site", "site_c", "--start-within", "1h30m",
        "--site-timeout", "90s", "--max-concurrency", "7", login="alice",
    )  # fmt: skip
    row = (await cli.db.fetch("select * from tminus.scheduled_scripts"))[0]
    expected = {
        "script": ':put "grüße"\n:put 2\n',
        "sites": ["site_b", "site_a"],
        "description": "why",
        "make_backup": False,
        "abort_if_offline": True,
        "notify": ["u1", "u2"],
        "test_site_id": "site_c",
        "start_within": timedelta(minutes=90),
        "site_timeout": timedelta(seconds=90),
        "max_concurrency": 7,
        "cron": None,
        "created_by": "alice",
        "status": "unauthorized",
    }
    assert {name: row[name] for name in expected} == expected
    assert row["launch_at"].isoformat() == f"{NEXT_YEAR}-03-01T10:30:00+00:00"
    digest = await cli.db.value("select tminus.digest($1)", row["id"])
    assert f"tminus authorize {row['id']} --digest {digest}" in answer.out
    assert f"{NEXT_YEAR}-03-01 10:30:00 UTC" in answer.out
    assert "somebody other than alice" in answer.out


NOT_A_CLIENTS = {
    *("created_by", "created_at", "updated_by", "updated_at", "status", "status_reason", "started_at", "finished_at"),
    *("authorization_id", "authorized_at", "authorized_by", "authorization_expires_at", "cancelled_at", "cancelled_by"),
    *("findings", "summary_generated", "run_now_at", "run_now_by", "run_now_launch"),
}


async def test_submit_has_an_option_for_each_column_that_is_a_clients(cli: Cli) -> None:
    await cli.db.run("insert into tminus.windows (name, weekly) values ('nights', '{daily 22:00-04:00}')")
    options = (
        *(
            "--description",
            "why",
            "--summary",
            "what it does",
            "--notify",
            "u1",
            "--test-site",
            "site_c",
            "--no-backup",
        ),
        *("--abort-if-offline", "--start-within", "2h", "--site-timeout", "3m", "--max-concurrency", "4", "--detached"),
        *("--waves", "1, 10,25%", "--wave-order", "edge,core", "--wave-pause", "15m", "--wave-confirm"),
        *("--confirm-within", "4h", "--max-failures", "2%", "--max-failures-in-wave", "1", "--max-offline", "0"),
        *("--guard-version", ">=7.12", "--guard-free-space", "5", "--guard-uptime", "10m", "--guard-cpu-load", "80"),
        *("--var", "n=5", "--window", "nights"),
        *("--cron", "@weekly", "--timezone", "Europe/Berlin", "--run-latest", "--until", f"{NEXT_YEAR}-07-01T02:00"),
        *("--max-launches", "9", "--post-check", "1 = 1", "--post-check", "true"),
    )
    script = await cli.submit(*options, "--id", "018f5bda-4690-4432-8472-358b2734f19b")
    ended = await cli.submit("--expects-disconnect", "--local-time", f"{NEXT_YEAR}-03-01T03:00")
    once = await cli.ok(
        *(
            "submit",
            "-",
            "--site-query",
            '{"tags": ["north"]}',
            "--at",
            f"{NEXT_YEAR}-03-01T03:00",
            "--timezone",
            "Europe/Berlin",
        ),
        *("--stop-starting-at", f"{NEXT_YEAR}-03-01T06:00"),
        login="alice",
        stdin=SCRIPT,
    )
    expected = {
        "summary": "what it does",
        "max_concurrency": 4,
        "detached": True,
        "wave_sizes": ["1", "10", "25%"],
        "wave_order": ["edge", "core"],
        "wave_pause": timedelta(minutes=15),
        "wave_confirm": True,
        "confirm_within": timedelta(hours=4),
        "max_failures": "2%",
        "max_failures_in_wave": "1",
        "max_offline": "0",
        "guard_version": ">=7.12",
        "guard_free_space": 5,
        "guard_uptime": timedelta(minutes=10),
        "guard_cpu_load": 80,
        "variables": '{"n": 5}',
        "windows": ["nights"],
        "cron": "0 0 * * 0",
        "missed_policy": "run_latest",
        "max_launches": 9,
        "post_checks": ["1 = 1", "true"],
        # A local time beside a rule is one of the rule's zone, unless it says its offset.
        "until": datetime(NEXT_YEAR, 7, 1, tzinfo=UTC),
    }
    rows = await cli.db.fetch("select * from tminus.scheduled_scripts")
    row = next(row for row in rows if str(row["id"]) == script)
    assert {name: row[name] for name in expected} == expected
    stops = {str(row["id"]): row["stop_starting_at"] for row in rows}
    assert stops == {script: None, ended: None, UUID.findall(once.out)[0]: datetime(NEXT_YEAR, 3, 1, 5, tzinfo=UTC)}
    # What a client may say, one of these three says otherwise than the column by itself.
    plain = (await cli.db.fetch("select * from tminus.scheduled_scripts where id = $1::uuid", await cli.submit()))[0]
    same = {name for name in plain.keys() if all(row[name] == plain[name] for row in rows)}  # noqa: SIM118 - a Record
    assert same <= NOT_A_CLIENTS | {"script"}, "tminus submit has no option for these"
    again = await cli.ok("submit", "-", *options, "--id", script, "--site", "site_a", login="alice", stdin=SCRIPT)
    assert "already" in again.out
    for changed in (("--wave-pause", "16m"), ("--max-offline", "1"), ("--summary", "something else")):
        refused = await cli("submit", "-", *options, *changed, "--id", script, "--site", "site_a", login="alice", stdin=SCRIPT)  # fmt: skip
        refused.refused("other content", code=2)


async def test_the_help_of_submit_is_in_groups(cli: Cli) -> None:
    shown = (await cli.ok("submit", "--help")).out
    headings = [line for line in shown.splitlines() if line and line[0] != " "][1:]
    assert headings[0].startswith("On which sites")
    assert headings[-1] == "Other:"
    assert len(headings) == 9
    for option in submit.params:
        if option.param_type_name == "option":
            assert re.search(rf"^  (-h, )?{option.opts[-1]}\b", shown, re.MULTILINE), option.opts


async def test_submit_counts_from_the_clock_of_the_database(cli: Cli) -> None:
    await cli.db.move_clock(timedelta(days=400))
    script = await cli.submit("--in", "5m")
    left = await cli.db.value(
        "select launch_at - tminus.clock() from tminus.scheduled_scripts where id = $1::text::uuid", script
    )
    assert timedelta(minutes=4) < left <= timedelta(minutes=5)


async def test_submit_reads_local_time_and_cron_in_a_zone(cli: Cli) -> None:
    local = await cli.submit("--at", f"{NEXT_YEAR}-07-01 02:00", "--timezone", "Europe/Berlin")
    assert (await cli.db.script(local))["launch_at"] == f"{NEXT_YEAR}-07-01T00:00:00.000000Z"
    shown = await cli.db.script(await cli.submit("--cron", "@daily", "--timezone", "Europe/Berlin"))
    assert (shown["cron"], shown["timezone"]) == ("0 0 * * *", "Europe/Berlin")


async def test_submit_takes_sites_by_tag_and_from_a_file(cli: Cli, tmp_path: Path) -> None:
    await cli.db.run(
        "insert into tminus.sites (id, name, address, tags, enabled) values ('off', 'off', '192.0.2.99', '{north}', false)"
    )
    assert (await cli.db.script(await cli.submit("--tag", "north")))["sites"] == ["site_a", "site_b"]
    file = tmp_path / "sites.txt"
    file.write_text("site_c\n\n  site_a \r\n")
    assert (await cli.db.script(await cli.submit("--sites-file", str(file))))["sites"] == ["site_c", "site_a"]


async def test_submit_prints_the_object_of_the_api(cli: Cli) -> None:
    answer = await cli.ok("submit", "-", "--site", "site_a", "--in", "1h", "--json", login="alice", stdin=SCRIPT)
    assert answer.json() == await cli.db.script(answer.json()["id"])


async def test_submitting_the_same_with_its_id_again_is_one_wish(cli: Cli) -> None:
    mine = "018f5bda-4690-4432-8472-358b2734f19b"
    for options in (("--in", "1h"), ("--in", "1h")):
        assert await cli.submit("--id", mine, *options) == mine
    before = await cli.state()
    again = await cli.ok("submit", "-", "--site", "site_a", "--in", "1h", "--id", mine, login="alice", stdin=SCRIPT)
    assert "already" in again.out
    other = await cli("submit", "-", "--site", "site_b", "--in", "1h", "--id", mine, login="alice", stdin=SCRIPT)
    other.refused(mine, "other content", code=2)
    assert await cli.state() == before


async def test_a_gateway_submits_for_a_person_and_nobody_else_does(cli: Cli) -> None:
    script = await cli.submit("--as", "carol@example.net", login="api")
    assert (await cli.db.script(script))["created_by"] == "carol@example.net"
    before = await cli.state()
    refused = await cli("submit", "-", "--site", "site_a", "--in", "1h", "--as", "carol", login="alice", stdin=SCRIPT)
    refused.refused("alice may not act for carol", code=1)
    (await cli("submit", "-", "--site", "site_a", "--in", "1h", login="rita", stdin=SCRIPT)).refused(
        "permission denied", code=1
    )
    assert await cli.state() == before


MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("options", "script", "words"),
    [
        pytest.param(("--site", "nowhere", "--in", "1h"), SCRIPT, ["unknown site: nowhere"], id="unknown site"),
        pytest.param(
            ("--site", "site_a", "--site", "site_a", "--in", "1h"),
            SCRIPT,
            ["site_a", "more than once"],
            id="site twice",
        ),
        pytest.param(("--in", "1h"), SCRIPT, ["which sites", "--tag"], id="no site"),
        pytest.param(
            ("--site", "site_a", "--tag", "north", "--in", "1h"), SCRIPT, ["in one way"], id="sites in two ways"
        ),
        pytest.param(("--tag", "south", "--in", "1h"), SCRIPT, ["'south'"], id="tag of nothing"),
        pytest.param(
            ("--sites-file", "/dev/null", "--in", "1h"), SCRIPT, ["/dev/null", "no site"], id="empty list of sites"
        ),
        pytest.param(("--sites-file", "/nowhere", "--in", "1h"), SCRIPT, ["/nowhere"], id="no list of sites"),
        pytest.param(("--sites-file", "-", "--in", "1h"), SCRIPT, ["stdin"], id="stdin for both"),
        pytest.param(("--site", "site_a", "--at", "2020-01-01T00:00Z"), SCRIPT, ["launch_at", "past"], id="past"),
        pytest.param(("--site", "site_a"), SCRIPT, ["when", "--cron"], id="no time"),
        pytest.param(("--site", "site_a", "--in", "1h", "--cron", "@daily"), SCRIPT, ["in one way"], id="two times"),
        pytest.param(
            ("--site", "site_a", "--at", "2100-01-01T00:00Z", "--cron", "@daily"),
            SCRIPT,
            ["in one way"],
            id="at and cron",
        ),
        pytest.param(
            ("--site", "site_a", "--at", "2100-01-01T00:00"), SCRIPT, ["no offset", "2100-01-01T00:00Z"], id="naive"
        ),
        pytest.param(("--site", "site_a", "--at", "2100-01-01"), SCRIPT, ["day only"], id="a day"),
        pytest.param(("--site", "site_a", "--at", "tomorrow"), SCRIPT, ["'tomorrow'", "ISO 8601"], id="no time at all"),
        pytest.param(("--site", "site_a", "--at", "0001-01-01T00:00+05:00"), SCRIPT, ["0001"], id="out of range"),
        pytest.param(
            ("--site", "site_a", "--at", "2100-01-01T00:00Z", "--timezone", "UTC"),
            SCRIPT,
            ["offset"],
            id="offset and zone",
        ),
        pytest.param(
            ("--site", "site_a", "--at", "2100-01-01T00:00", "--timezone", "Mars"),
            SCRIPT,
            ["'Mars'"],
            id="no such zone",
        ),
        pytest.param(
            ("--site", "site_a", "--at", "2030-03-31T02:30", "--timezone", "Europe/Berlin"),
            SCRIPT,
            ["does not exist"],
            id="gap",
        ),
        pytest.param(
            ("--site", "site_a", "--at", "2030-10-27T02:30", "--timezone", "Europe/Berlin"),
            SCRIPT,
            ["twice"],
            id="fold",
        ),
        pytest.param(
            ("--site", "site_a", "--in", "1h", "--timezone", "UTC"), SCRIPT, ["--timezone"], id="in with zone"
        ),
        pytest.param(("--site", "site_a", "--in", "soon"), SCRIPT, ["--in", "'soon'", "90s"], id="no duration"),
        pytest.param(("--site", "site_a", "--in", "999999999w"), SCRIPT, ["ten years"], id="endless"),
        pytest.param(("--site", "site_a", "--cron", "0 0 * *"), SCRIPT, ["cron", "five"], id="short cron"),
        pytest.param(("--site", "site_a", "--cron", "61 0 * * *"), SCRIPT, ["minute", "61"], id="bad cron"),
        pytest.param(
            ("--site", "site_a", "--cron", "@daily", "--timezone", "Mars"), SCRIPT, ["Mars"], id="cron without zone"
        ),
        pytest.param(
            ("--site", "site_a", "--in", "1h", "--start-within", "8d"), SCRIPT, ["start_within"], id="start_within"
        ),
        pytest.param(
            ("--site", "site_a", "--in", "1h", "--site-timeout", "1s"), SCRIPT, ["site_timeout"], id="site_timeout"
        ),
        pytest.param(
            ("--site", "site_a", "--in", "1h", "--max-concurrency", "0"),
            SCRIPT,
            ["--max-concurrency", "'0'"],
            id="concurrency",
        ),
        pytest.param(
            ("--site", "site_a", "--in", "1h", "--test-site", "nowhere"), SCRIPT, ["nowhere"], id="unknown test site"
        ),
        pytest.param(("--site", "site_a", "--in", "1h", "--id", "12"), SCRIPT, ["--id", "'12'"], id="no uuid"),
        *(
            pytest.param(("--site", "site_a", "--in", "1h", *options), SCRIPT, words, id=" ".join(options))
            for options, words in [
                (("--waves", "1,,2"), ["--waves", "'1,,2'", "missing"]),
                (("--waves", "1,ten"), ["--waves", "'ten'", "10%"]),
                (("--waves", "1,101%"), ["--waves", "'101%'"]),
                (("--waves", "0,5"), ["wave_sizes", "'0'"]),
                (("--wave-order", "edge"), ["wave_order", "go with wave_sizes"]),
                (("--wave-pause", "5m"), ["wave_pause", "go with wave_sizes"]),
                (("--wave-confirm",), ["wave_confirm", "go with wave_sizes"]),
                (("--waves", "1", "--wave-pause", "8d"), ["wave_pause", "7 days"]),
                (("--confirm-within", "5s"), ["confirm_within", "1 minute"]),
                (("--max-failures", "lots"), ["--max-failures", "'lots'"]),
                (("--max-offline", "-1"), ["--max-offline", "'-1'"]),
                (("--max-failures-in-wave", "5 %"), ["--max-failures-in-wave", "'5 %'"]),
                (("--until", "2130-01-01T00:00Z"), ["until", "go with cron"]),
                (("--until", "2130-01-01T00:00"), ["--until", "no offset"]),
                (("--run-latest",), ["missed_policy", "cron"]),
                (("--stop-starting-at", "2130"), ["--stop-starting-at", "no ISO 8601 time"]),
                (("--stop-starting-at", "2020-01-01T00:00Z"), ["stop_starting_at"]),
                (("--window", "nowhere"), ["no window 'nowhere'"]),
                (("--summary", "x" * 10001), ["--summary", "10000"]),
            ]
        ),
        pytest.param(
            ("--site", "site_a", "--in", "1h", "--description", "x" * 2001), SCRIPT, ["--description"], id="description"
        ),
        pytest.param(
            ("--site", "site_a", "--in", "1h"), ":put 1\n:put 2\x00\n", ["NUL", "offset 13", "line 2"], id="NUL"
        ),
        pytest.param(
            ("--site", "site_a", "--in", "1h"),
            b":put 1\n# \xe9\n",
            ["UTF-8", "0xe9", "offset 9", "line 2"],
            id="latin-1",
        ),
        pytest.param(("--site", "site_a", "--in", "1h"), " \r\n\t\n", ["empty"], id="empty script"),
        pytest.param(("--site", "site_a", "--in", "1h"), "#" * (MIB + 1), ["1048577 bytes", "1 MiB"], id="long script"),
        pytest.param(
            ("--site", "site_a", "--in", "1h"), "#" * (3 * MIB), ["more than 1048576 bytes"], id="very long script"
        ),
    ],
)
async def test_a_bad_submission_is_one_sentence_and_changes_nothing(
    cli: Cli, options: tuple[str, ...], script: str | bytes, words: list[str]
) -> None:
    before = await cli.state()
    (await cli("submit", "-", *options, login="alice", stdin=script)).refused(*words)
    assert await cli.state() == before


async def test_a_script_of_exactly_a_mebibyte_is_taken_whatever_its_line_ends(cli: Cli) -> None:
    script = await cli.submit(script=b"#\r\n" * (MIB // 2))
    assert (
        await cli.db.value(
            "select octet_length(script) from tminus.scheduled_scripts where id = $1::text::uuid", script
        )
        == MIB
    )


async def test_a_missing_script_is_named(cli: Cli, tmp_path: Path) -> None:
    for file in (tmp_path / "none.rsc", tmp_path):
        (await cli("submit", str(file), "--site", "site_a", "--in", "1h")).refused(str(file), "cannot be read", code=2)


# --- authorize and cancel ---


async def test_authorize_with_the_digest_that_was_reviewed(cli: Cli) -> None:
    script = await cli.submit()
    digest = await cli.db.value("select tminus.digest($1)", script)
    answer = await cli.ok("authorize", script[:8], "--digest", digest, login="bob")
    assert f"authorized {script} as bob" in answer.out
    shown = await cli.db.script(script)
    assert (shown["status"], shown["authorized_by"]) == ("scheduled", "bob")


async def test_a_gateway_authorizes_for_a_person(cli: Cli) -> None:
    script = await cli.submit("--as", "carol", login="api")
    digest = await cli.db.value("select tminus.digest($1)", script)
    (await cli("authorize", script, "--digest", digest, "--as", "carol", login="api")).refused(
        "carol is the author", code=1
    )
    answer = await cli.ok("authorize", script, "--digest", digest, "--as", "dave", "--json", login="api")
    assert answer.json()["authorized_by"] == "dave"


async def test_a_bad_authorization_is_one_sentence_and_changes_nothing(cli: Cli) -> None:
    script = await cli.submit(login="api")
    digest = await cli.db.value("select tminus.digest($1)", script)
    stale = "tminus1:" + "0" * 64
    before = await cli.state()
    (await cli("authorize", script, login="bob")).refused("--digest", "terminal", code=2)
    (await cli("authorize", script, "--yes", login="bob")).refused("--digest", "terminal", code=2)
    (await cli("authorize", script, "--digest", stale, login="bob")).refused(
        "digest does not match", "tminus.digest(id)", code=1
    )
    (await cli("authorize", script, "--digest", digest, login="alice")).refused("not an approver", code=1)
    (await cli("authorize", script, "--digest", digest, login="api")).refused("api is the author", code=1)
    (await cli("authorize", "018f5bda-4690-4432-8472-358b2734f19b", "--digest", digest, login="bob")).refused(
        "018f5bda", code=2
    )
    await cli.db.move_clock(timedelta(hours=2))
    (await cli("authorize", script, "--digest", digest, login="bob")).refused("has passed", "launch_at", code=1)
    assert await cli.state() == before


async def test_an_id_may_be_the_beginning_of_one(cli: Cli) -> None:
    first, second = "aaaa1111-0000-4000-8000-000000000001", "aaaa2222-0000-4000-8000-000000000002"
    for script in (first, second):
        await cli.submit("--id", script)
    assert (await cli.ok("status", "AAAA1", "--json")).json()["id"] == first
    assert (await cli.ok("status", second.replace("-", ""), "--json")).json()["id"] == second
    (await cli("status", "aaaa")).refused(first, second, "more than one", code=2)
    (await cli("status", "aaab")).refused("no scheduled script aaab", code=2)
    (await cli("status", "aaa")).refused("'aaa'", "first 4 digits", code=2)
    (await cli("status", "aaaa%")).refused("'aaaa%'", code=2)


async def test_on_a_terminal_the_whole_content_is_shown_before_it_is_authorized(cli: Cli) -> None:
    script = await cli.submit("--tag", "north", "--description", "a \x1b[31mwhy", script=':put "\x1b[2J\u202ehidden"\n')
    digest = await cli.db.value("select tminus.digest($1)", script)
    async with on_terminal(cli.db, "bob", "authorize", script) as terminal:
        await terminal.shows("Authorize exactly this?")
        for words in (
            digest,
            "site_a  192.0.2.1",
            "site_b  192.0.2.2",
            "alice",
            "UTC (in 59 minutes)",
            r"\x1b[2J\u202ehidden",
            r"a \x1b[31mwhy",
        ):
            assert words in terminal.shown
        assert "\x1b[2J" not in terminal.shown
        assert "\u202e" not in terminal.shown
        assert "characters that are not seen" in terminal.shown
        terminal.type("n\n")
        assert await terminal.end() == 1
    assert "was not authorized; nothing was changed" in terminal.shown
    assert (await cli.db.script(script))["status"] == "unauthorized"
    async with on_terminal(cli.db, "bob", "authorize", script) as terminal:
        await terminal.shows("Authorize exactly this?")
        terminal.type("y\n")
        assert await terminal.end() == 0
    assert (await cli.db.script(script))["status"] == "scheduled"


async def test_an_edit_during_the_review_is_never_authorized(cli: Cli) -> None:
    script = await cli.submit()
    async with on_terminal(cli.db, "bob", "authorize", script) as terminal:
        await terminal.shows("Authorize exactly this?")
        await cli.db.run(
            f"update tminus.scheduled_scripts set script = ':put other' where id = '{script}'", role="alice"
        )
        terminal.type("y\n")
        assert await terminal.end() == 1
    assert "digest does not match" in terminal.shown
    assert (await cli.db.script(script))["status"] == "unauthorized"


async def test_cancel_stops_what_was_not_launched(cli: Cli) -> None:
    script = await cli.submit()
    assert (await cli.ok("cancel", script, login="alice")).out == f"cancelled {script}\n"
    assert (await cli.db.script(script))["status"] == "cancelled"
    before = await cli.state()
    (await cli("cancel", script, login="alice")).refused("cancelled already", "alice", code=1)
    assert await cli.state() == before


async def test_cancel_is_refused_to_others_and_asks_on_a_terminal(cli: Cli) -> None:
    script = await cli.submit("--description", "mine")
    before = await cli.state()
    (await cli("cancel", script, login="arthur")).refused("belongs to alice", code=1)
    async with on_terminal(cli.db, "alice", "cancel", script) as terminal:
        await terminal.shows("mine; unauthorized; 1 site)?")
        terminal.type("n\n")
        assert await terminal.end() == 1
    assert await cli.state() == before
    async with on_terminal(cli.db, "alice", "cancel", script, "--yes") as terminal:
        assert await terminal.end() == 0
    assert (await cli.db.script(script))["status"] == "cancelled"


# --- reading ---


async def test_status_lists_what_comes_in_order_and_says_that_no_daemon_lives(cli: Cli) -> None:
    later, sooner = (
        await cli.submit("--in", "2h", "--description", "later"),
        await cli.submit("--in", "1h", "--description", "sooner"),
    )
    await cli.ok("authorize", later, "--digest", await cli.db.value("select tminus.digest($1)", later), login="bob")
    shown = (await cli.ok("status", login="rita")).out
    assert "No daemon is alive" in shown
    assert shown.index(sooner) < shown.index(later)
    assert "in 59 minutes" in shown
    listed = (await cli.ok("status", "--json", login="rita")).json()
    assert [(script["id"], script["status"]) for script in listed["upcoming"]] == [
        (sooner, "unauthorized"),
        (later, "scheduled"),
    ]
    assert (listed["instances"], listed["running"], listed["recent"]) == ([], [], [])
    assert len((await cli.ok("status", "--json", "--limit", "1")).json()["upcoming"]) == 1


async def test_status_says_why_a_launch_was_missed_and_how_far_a_rehearsal_is(cli: Cli) -> None:
    late = await cli.submit("--in", "1h", "--description", "late")
    await cli.ok("authorize", late, "--digest", await cli.db.value("select tminus.digest($1)", late), login="bob")
    await cli.db.move_clock(timedelta(days=1))
    await cli.db.fetch(statement("housekeeping"))
    await cli.db.value("select tminus.rehearse($1)", await cli.submit("--tag", "north"), role="alice")
    shown = (await cli.ok("status", login="rita")).out
    (missed,) = (await cli.ok("status", "--json")).json()["recent"]
    assert missed["reason"]
    assert f"missed ({missed['reason']})" in shown
    assert "rehearsal: 0 of 2 ready, 2 pending (2 that no living daemon can serve)" in shown


async def test_status_of_one_that_has_not_been_launched(cli: Cli) -> None:
    script = await cli.submit("--tag", "north", "--description", "why\x1b]0;title\x07")
    shown = (await cli.ok("status", script)).out
    assert r"why\x1b]0;title\x07" in shown
    assert "\x1b" not in shown
    assert "nobody yet" in shown
    assert "site_b" in shown
    read = (await cli.ok("status", script, "--json")).json()
    assert read.pop("site_runs") == []
    assert read == await cli.db.script(script)


async def test_status_counts_down_to_nothing_that_will_not_come(cli: Cli) -> None:
    script = await cli.submit()
    assert "(in " in (await cli.ok("status", script)).out
    await cli.ok("cancel", script, login="alice")
    assert "(in " not in (await cli.ok("status", script)).out


async def test_status_says_who_ran_it_now_instead_of_at_its_time(cli: Cli) -> None:
    script = await cli.submit("--start-within", "10m")
    digest = await cli.db.value("select tminus.digest($1::uuid)", script)
    await cli.ok("authorize", script, "--digest", digest, login="bob")
    await cli.ok("run-now", script, login="bob")
    instance = await cli.db.value(
        "insert into tminus.instances (id, name, host, pid, version, max_sessions, ttl)"
        " values (gen_random_uuid(), 'one', 'h', 1, '1', 10, '1 hour') returning id"
    )
    await cli.db.value("select tminus.launch($1::uuid, $2)", script, instance)
    [launch] = [line for line in (await cli.ok("status", script)).out.splitlines() if line.startswith("launch ")]
    assert launch.strip().endswith("UTC; run now instead by bob")


async def test_reading_what_is_not_there_is_one_sentence(cli: Cli) -> None:
    script = await cli.submit()
    for command in ("show", "resolve"):
        (await cli(command, script, "site_a")).refused("has not been launched", "site_a", "shows when", code=2)
        (await cli(command, script, "site_b")).refused("'site_b' is not one of the sites", ": site_a", code=2)
    (await cli("backup", "show", "12")).refused("no backup 12", code=2)
    (await cli("backup", "show", "twelve")).refused("'twelve'", code=2)
    (await cli("backup", "diff", "1", "9223372036854775808")).refused("9223372036854775808", code=2)
    (await cli("backup", "list", "nowhere")).refused("'nowhere'", code=2)
    assert (await cli.ok("backup", "list", "site_a", "--json")).json() == []


async def test_watch_gives_up_after_its_timeout_and_ends_with_a_cancelled_one(cli: Cli) -> None:
    script = await cli.submit("--description", "long ago")
    waited = await cli("watch", script, "--timeout", "1s")
    assert waited.code == 1
    assert waited.out.startswith("not authorized yet; launch ")
    assert re.fullmatch(r"tminus: .*--timeout.*\n", waited.err)
    await cli.ok("cancel", script, login="alice")
    ended = await cli("watch", script)
    assert (ended.code, ended.err) == (1, "")
    assert "long ago" in ended.out
    assert "cancelled by alice" in ended.out


async def test_watch_counts_down_on_a_terminal(cli: Cli) -> None:
    script = await cli.submit("--in", "1h")
    async with on_terminal(cli.db, "rita", "watch", script) as terminal:
        await terminal.shows("T-00:59:")
        await terminal.shows("No daemon is alive")
        # A database that restarts ends no watch.
        await cli.db.fetch("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'rita'")
        await terminal.shows("; trying again")
        await cli.ok("cancel", script, login="alice")
        assert await terminal.end() == 1
    assert "cancelled by alice" in terminal.shown


@pytest.mark.parametrize(
    ("until_launch", "shown"),
    [
        (299.2, "T-00:05:00"),
        (299.0, "T-00:04:59"),
        (0.1, "T-00:00:01"),
        (0.0, "T+00:00:00"),
        (-3.9, "T+00:00:03"),
        (90061.0, "T-1d 01:01:01"),
        (-86400.0, "T+1d 00:00:00"),
    ],
)
def test_the_countdown_reads_zero_when_it_is_zero(until_launch: float, shown: str) -> None:
    assert screen.countdown(until_launch) == shown


def test_what_is_not_seen_is_written_out() -> None:
    assert screen.visible("a\tb\nc é 漢 ✓") == "a\tb\nc é 漢 ✓"
    assert screen.visible("\x1b[31m\r\x9b\u200b\u2066\x00") == r"\x1b[31m\r\x9b\u200b\u2066\x00"


# --- a whole launch ---


async def test_a_launch_from_submit_to_backup_diff(database: Db, tmp_path: Path) -> None:
    specs = (
        SiteSpec(id="good-1", version="7.20.8"),
        SiteSpec(id="good-2", version="7.20.8"),
        SiteSpec(id="gone", version="7.20.8", faults=frozenset({Fault.OFFLINE})),
    )
    cli = Cli(database)
    async with simulate(FleetSpec(site_specs=specs)) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        ids = ("--site", "good-1", "--site", "good-2")
        script = '/ip firewall filter add chain=input action=drop src-address=192.0.2.1 comment="from tminus"\n:put "[bold]done"\n'
        good = await cli.submit(*ids, "--in", "8s", script=script)
        await cli.ok("authorize", good, "--digest", await database.value("select tminus.digest($1)", good), login="bob")
        async with on_terminal(database, "rita", "watch", good) as terminal:
            await terminal.shows("T-00:00:0")
            assert await terminal.end() == 0
        assert "finished: 2 completed" in terminal.shown
        (await cli("cancel", good)).refused("has finished", "nothing left to cancel", code=1)

        bad = await cli.submit(*ids, "--site", "gone", "--in", "4s", "--abort-if-offline", script=script)
        await cli.ok("authorize", bad, "--digest", await database.value("select tminus.digest($1)", bad), login="bob")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tminus", "watch", bad, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={**clean_environment(), "TMINUS_DATABASE_URL": database.dsn_as("rita")},
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert (process.returncode, err) == (1, b"")
        assert b"\x1b" not in out
        last = out.decode()
        assert "finished: 2 completed, 1 failed" in last
        assert re.search(r"^gone +failed +offline", last, re.MULTILINE)

        status = (await cli.ok("status")).out
        assert "0 of 200" in status
        assert "2 completed, 1 failed" in status
        listed = (await cli.ok("status", "--json")).json()
        assert [instance["state"] for instance in listed["instances"]] == ["alive"]
        assert [(launch["script_id"], launch["failed"]) for launch in listed["recent"]] == [(bad, 1), (good, 0)]
        runs = (await cli.ok("status", bad, "--json")).json()["site_runs"]
        assert [(run["site_id"], run["state"]) for run in runs] == [
            ("gone", "failed"),
            ("good-1", "completed"),
            ("good-2", "completed"),
        ]

        run = (await cli.ok("show", good, "good-1", "--json")).json()
        assert (run["state"], run["effect"]) == ("completed", "applied")
        before, after = sorted((backup["id"], backup["phase"]) for backup in run["backups"])
        assert (before[1], after[1]) == ("before", "after")
        shown = (await cli.ok("show", good, "good-1")).out
        assert "[bold]done" in shown  # text, not markup
        assert '+add action=drop chain=input comment="from tminus" src-address=192.0.2.1' in shown
        assert "offline" in (await cli.ok("show", bad, "gone")).out

        stored = (await cli.ok("backup", "list", "good-1", "--json", "--limit", "10")).json()
        assert {backup["site_id"] for backup in stored} == {"good-1"}
        assert str(before[0]) in (await cli.ok("backup", "list", "good-1")).out
        text = (await cli.ok("backup", "show", str(after[0]))).out
        assert text.startswith("# ")
        assert 'comment="from tminus"' in text
        as_json = (await cli.ok("backup", "show", str(after[0]), "--json")).json()
        assert text == f"{as_json['header']}\n{as_json['text']}"
        diff = (await cli.ok("backup", "diff", str(before[0]), str(after[0]))).out
        assert diff == run["diff"]
        same = await cli.ok("backup", "diff", str(after[0]), str(after[0]))
        assert (same.out, same.err) == ("", f"backups {after[0]} and {after[0]} are the same\n")


# --- the program itself ---


async def test_a_wrong_database_or_setting_is_one_sentence(cli: Cli, tmp_path: Path) -> None:
    nowhere = f"postgresql:///tminus?host={tmp_path}&user=nobody"
    (await asyncio.to_thread(call, nowhere, ("status",), b"")).refused(
        "could not connect", "host and port in database_url", code=4
    )
    for wrong, words in (
        (re.sub("user=[^&]*", "user=nobody_here", cli.db.dsn), "login and password in database_url"),
        (cli.db.dsn.replace("postgresql:///", "postgresql:///no"), "correct the database in database_url"),
    ):
        (await asyncio.to_thread(call, wrong, ("status",), b"")).refused("could not connect", words, code=4)
    for command in ("status", "serve", "check", "migrate"):
        for url in ("postgresql://tminus:hunter2/x@db/t", "postgres:/bogus hunter2"):
            said = await asyncio.to_thread(call, url, (command,), b"")
            told = said.out + said.err
            assert (said.code, "'database_url'" in told, "no PostgreSQL URL" in told) == (3, True, True), told
            assert "hunter2" not in told
    typo = tmp_path / "tminus.toml"
    typo.write_text('databse_url = "x"\n')
    (await asyncio.to_thread(call, None, ("--config", str(typo), "status"), b"")).refused(
        "databse_url", "database_url", code=3
    )


async def test_the_installed_command_prints_one_json_document(cli: Cli) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tminus", "site", "list", "--json", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**clean_environment(), "TMINUS_DATABASE_URL": cli.db.dsn_as("rita")},
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, err) == (0, b"")
    assert [site["id"] for site in json.loads(out)] == ["site_a", "site_b", "site_c"]


async def printing_to(descriptor: int, cli: Cli, *arguments: str) -> tuple[int | None, str]:
    """Run a real `tminus` with this as standard output; return its exit code, and what it says on stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tminus", *arguments, stdout=descriptor, stderr=asyncio.subprocess.PIPE,
        env={**clean_environment(), "TMINUS_DATABASE_URL": cli.db.dsn_as("rita")},
    )  # fmt: skip
    os.close(descriptor)
    _, err = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, err.decode()


# By click before a command begins, without a database, within a connection to one, and by rich.
PRINTING = (("--help",), ("lint", __file__), ("audit", "export"), ("site", "list", "--json"), ("site", "list"))


async def test_output_that_nobody_reads_any_more_is_nothing_to_complain_of(cli: Cli) -> None:
    await cli.submit()
    assert await cli.db.value("select tminus.seal_events(100)")
    for arguments in PRINTING:
        reads, writes = os.pipe()
        os.close(reads)
        assert await printing_to(writes, cli, *arguments) == (141, ""), arguments


async def test_output_that_cannot_be_written_is_one_sentence_and_not_blamed_on_the_database(cli: Cli) -> None:
    await cli.submit()
    assert await cli.db.value("select tminus.seal_events(100)")
    for arguments in PRINTING:
        said = "tminus: could not write the output: No space left on device; it is not complete\n"
        full = os.open("/dev/full", os.O_WRONLY)
        assert await printing_to(full, cli, *arguments) == (74, said), arguments


async def test_help_has_every_command_once_in_a_section(cli: Cli) -> None:
    shown = (await cli.ok("--help")).out.split("Options:")[1]
    listed = re.findall(r"^  ([a-z][a-z-]*)  ", shown, re.MULTILINE)
    assert sorted(listed) == sorted(group.commands)
    assert "..." not in shown


async def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['tminus', '--help']\n"
        "from tminus.__main__ import main\n"
        "try:\n    main()\nfinally:\n"
        "    heavy = {'rich', 'asyncpg', 'asyncssh', 'aiohttp', 'pydantic', 'croniter'} & set(sys.modules)\n"
        "    assert not heavy, heavy\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, env=clean_environment()
    )
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
    for command in (b"submit", b"authorize", b"cancel", b"status", b"watch", b"show", b"site", b"backup"):
        assert command in out
