"""`tminus check`: each thing that can be wrong is named with its remedy, and looking changes nothing."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from tests.acceptance.test_cli import Answer, call, on_terminal
from tests.store.stage import HOST_KEY
from tests.support import Db, clean_environment, run_daemon, write_config
from tminus.domain.resumption import RememberedStart
from tminus.store.history import History
from tminus.store.hold_log import HoldLog
from tminus.store.intent_files import Intent
from tminus.store.intent_log import IntentLog

CHECKS = [
    "configuration",
    "credential default",
    "state",
    "open files",
    "listener",
    "database",
    "login",
    "schema",
    "clock",
    "pause",
    "fleet",
]


@dataclass(frozen=True)
class Host:
    """A folder with a configuration and a key, against a database."""

    db: Db
    folder: Path

    @property
    def key(self) -> Path:
        return self.folder / "id_ed25519"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def add(self, text: str) -> None:
        """Add tables to the configuration."""
        with (self.folder / "tminus.toml").open("a") as config:
            config.write(text)

    def configure(self, **settings: object) -> Path:
        ours = {
            "database_url": self.db.dsn_as("tminus_serve"),
            "state_dir": str(self.state),
            "http_listen": "127.0.0.1:0",
        }
        merged = ours | settings
        kept = {name: value for name, value in merged.items() if value is not None}
        return write_config(self.folder, key_file=Path("id_ed25519"), **kept)

    async def check(self, *options: str) -> Answer:
        config = str(self.folder / "tminus.toml")
        return await asyncio.to_thread(call, None, ("--config", config, "check", *options), b"")

    async def found(self, code: int = 0) -> dict[str, tuple[str, str]]:
        """Each check with its grade and what it said, from a call that ends with `code`."""
        answer = await self.check("--json")
        assert (answer.code, answer.err) == (code, ""), answer
        document = json.loads(answer.out)
        assert document["ok"] == (code == 0)
        return {entry["check"]: (entry["grade"], entry["said"]) for entry in document["checks"]}


@pytest.fixture
def host(database: Db, tmp_path: Path) -> Host:
    made = Host(database, tmp_path)
    made.key.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    made.key.chmod(0o600)
    made.configure()
    return made


async def test_a_good_host_is_ok_on_every_line(host: Host) -> None:
    found = await host.found()
    assert list(found) == CHECKS
    grades = {check: grade for check, (grade, _) in found.items()}
    if await host.db.value("show fsync") == "off":  # as the tests' own server has it, for their speed
        assert grades.pop("database") == "warning"
        assert "fsync is off" in found["database"][1]
    assert set(grades.values()) == {"ok"}
    assert re.match(r"PostgreSQL 1\d\S*.*, connected as tminus_serve", found["database"][1])
    shown = (await host.check()).out.splitlines()
    # What the clock differs by is another each time.
    assert [line for line in shown if ": clock: " not in line] == [
        f"{verdict}: {check}: {said}" for check, (verdict, said) in found.items() if check != "clock"
    ]


async def test_looking_changes_nothing(host: Host) -> None:
    def listing() -> dict[str, tuple[int, int]]:
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_mode) for path in host.folder.rglob("*")}

    async def content() -> list[Any]:
        tables = await host.db.fetch("select tablename from pg_tables where schemaname = 'tminus' order by 1")
        return [await host.db.fetch(f"select * from tminus.{row['tablename']}") for row in tables]

    assert not host.state.exists()
    before = (listing(), await content(), await host.db.fetch("select rolname from pg_roles order by 1"))
    await host.check()
    assert (listing(), await content(), await host.db.fetch("select rolname from pg_roles order by 1")) == before


async def test_on_a_terminal_it_is_a_table(host: Host) -> None:
    config = host.configure(database_url=None)  # the environment names it
    async with on_terminal(host.db, "tminus_serve", "--config", str(config), "check") as terminal:
        assert await terminal.end() == 0
        assert "connected as tminus_serve" in terminal.shown
        assert "\x1b[" in terminal.shown
        assert "ok: database:" not in terminal.shown


async def test_without_a_valid_configuration_the_rest_is_skipped(host: Host) -> None:
    host.configure(max_session=5)
    found = await host.found(3)
    assert found.pop("configuration") == (
        "failed",
        f"there is no setting 'max_session' (in {host.folder / 'tminus.toml'} or the environment); did you mean 'max_sessions'?",
    )
    assert set(found.values()) == {("skipped", "needs a valid configuration")}
    assert {"state", "database", "login", "schema", "clock", "pause", "fleet"} < found.keys()


def _open_the_key(host: Host) -> None:
    host.key.chmod(0o644)


def _remove_the_key(host: Host) -> None:
    host.key.unlink()


def _break_the_key(host: Host) -> None:
    host.key.write_text("no key")


def _open_a_password(host: Host) -> None:
    (host.folder / "secret").write_text("swordfish\n")
    (host.folder / "secret").chmod(0o644)
    host.add('[credentials.old]\npassword_file = "secret"\n')


def _open_the_password_of_the_database(host: Host) -> None:
    host.configure(database_url=host.db.dsn_as("tminus_serve") + "&password=swordfish").chmod(0o644)


def _name_no_address(host: Host) -> None:
    host.configure(http_listen="192.0.2.1:9468")


def _damage_the_memory(host: Host) -> None:
    host.state.mkdir()
    (host.state / "intents").mkdir()
    (host.state / "intents/000001-x.jsonl").write_text('what?\n{"key": "0000000000000001", "at": "x"}\n')


def _put_a_file_for_the_state(host: Host) -> None:
    host.state.touch()


def _put_a_file_above_the_state(host: Host) -> None:
    (host.folder / "file").touch()
    host.configure(state_dir=str(host.folder / "file/state"))


def _jump_host(**changed: str) -> Callable[[Host], None]:
    """Give the configuration the jump host `berlin`, with lines that are changed."""
    lines = {
        "address": '"192.0.2.7"',
        "host_keys": f'["{asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()}"]',
        "credential": '"default"',
    } | changed
    text = "\n".join(f"{name} = {value}" for name, value in lines.items() if value)
    return lambda host: host.add(f"[jump_hosts.berlin]\n{text}\n")


def _share_the_password_of_a_jump_host(host: Host) -> None:
    (host.folder / "secret").write_text("swordfish\n")
    (host.folder / "secret").chmod(0o640)
    _jump_host(credential="", username='"jump"', password_file='"secret"')(host)


def _break_the_key_of_a_jump_host(host: Host) -> None:
    host.key.write_text("no key")
    _jump_host()(host)


def _webhook(secret: str | None) -> Callable[[Host], None]:
    def spoil(host: Host) -> None:
        if secret is not None:
            (host.folder / "chat.secret").write_text(secret)
        host.add('[webhooks.chat]\nurl = "https://chat.example.net"\nsecret_file = "chat.secret"\n')

    return spoil


def _mail(host: Host) -> None:
    host.configure(mail_server="mail.example.net", mail_sender="tminus@example.net")


@pytest.mark.parametrize(
    ("spoil", "check", "verdict", "said", "code"),
    [
        (_mail, "mail", "ok", "mail.example.net port 587 (starttls), to example.net", 0),
        (_webhook("swordfish, swordfish"), "webhook chat", "ok", "its secret can be read", 0),
        (_webhook("swordfish"), "webhook chat", "failed", "shorter than 16 bytes", 3),
        (_webhook(None), "webhook chat", "failed", "does not exist", 3),
        # A daemon would refuse such a key, so it is no mere warning.
        (_open_the_key, "credential default", "failed", "is open to other users; run 'chmod 600", 3),
        (_remove_the_key, "credential default", "failed", "does not exist", 3),
        (_break_the_key, "credential default", "failed", "ssh-keygen -t ed25519", 3),
        (_open_a_password, "credential old", "warning", "is open to other users; run 'chmod 600", 0),
        (_open_the_password_of_the_database, "configuration", "warning", "run 'chmod 640", 0),
        (_name_no_address, "listener", "failed", "set http_listen to a free address", 3),
        (_damage_the_memory, "state", "failed", "000001-x.jsonl is damaged", 3),
        (_put_a_file_for_the_state, "state", "failed", "Not a directory", 3),
        (_put_a_file_above_the_state, "state", "failed", "does not exist and cannot be made in", 3),
        (_jump_host(), "jump host berlin", "ok", "credential default, user tminus, 192.0.2.7 port 22", 0),
        (_jump_host(host_keys='["none"]'), "jump host berlin", "failed", "is no OpenSSH public key", 3),
        (_jump_host(credential='"other"'), "jump host berlin", "failed", "no such [credentials.…]", 3),
        (_jump_host(credential=""), "jump host berlin", "failed", "has no secret", 3),
        (_jump_host(credential="", password_file='"none"'), "jump host berlin", "failed", "does not exist", 3),
        (
            _share_the_password_of_a_jump_host,
            "jump host berlin",
            "warning",
            "is open to other users; run 'chmod 600",
            0,
        ),
        (_break_the_key_of_a_jump_host, "jump host berlin", "skipped", "needs the credential default", 3),
    ],
)
async def test_what_is_wrong_with_a_host_is_named(
    host: Host, spoil: Callable[[Host], None], check: str, verdict: str, said: str, code: int
) -> None:
    spoil(host)
    found = await host.found(code)
    assert found[check][0] == verdict
    assert said in found[check][1]
    assert found["schema"][0] == "ok", "what is wrong with one thing says nothing about another"
    assert "swordfish" not in str(found)


@pytest.mark.parametrize(
    "spoil",
    [
        _damage_the_memory,
        _put_a_file_above_the_state,
        _jump_host(host_keys='["none"]'),
        _jump_host(credential='"other"'),
    ],
)
async def test_what_a_daemon_refuses_is_refused_in_its_words(host: Host, spoil: Callable[[Host], None]) -> None:
    spoil(host)
    config = str(host.folder / "tminus.toml")
    served = await asyncio.to_thread(call, None, ("--config", config, "serve"), b"")
    checked = await host.check()
    assert served.code == checked.code == 3
    if spoil is not _put_a_file_above_the_state:  # of which the daemon tries to make a folder first
        (said,) = [line.split(": ", 2)[2] for line in checked.out.splitlines() if line.startswith("failed: ")]
        assert said in served.err


async def test_what_systemd_keeps_may_be_open_to_a_group_and_named_in_full(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = host.folder / "kept"
    kept.mkdir()
    host.key.rename(kept / "id_ed25519")
    (kept / "id_ed25519").chmod(0o440)
    host.add(f'[credentials.full]\nprivate_key_file = "{kept}/id_ed25519"\n')
    assert (await host.found(3))["credential full"][0] == "failed"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(kept))
    found = await host.found()
    assert found["credential default"] == ("ok", f"key in {kept}/id_ed25519, user tminus")
    assert found["credential full"] == ("ok", f"key in {kept}/id_ed25519, user names are the sites'")


async def test_too_few_open_files_are_named(host: Host) -> None:
    config = str(host.configure(max_sessions=150))
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", 'ulimit -n 300 && exec "$@"', "sh", sys.executable, "-m", "tminus", "--config", config, "check",
        stdout=asyncio.subprocess.PIPE, env=clean_environment(),
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 3
    assert "failed: open files: max_sessions = 150 needs 350 open files and the limit here is 300" in out.decode()


async def test_a_busy_address_is_named_unless_a_daemon_of_ours_has_it(host: Host, tmp_path: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        host.configure(http_listen=f"127.0.0.1:{busy.getsockname()[1]}")
        found = await host.found(3)
    assert found["listener"][0] == "failed"
    assert "set http_listen to a free address" in found["listener"][1]
    async with run_daemon(host.db, tmp_path / "daemon") as daemon:
        host.configure(http_listen=daemon.url.removeprefix("http://"))
        found = await host.found()
    assert found["listener"][0] == "ok"
    assert "a running daemon listens" in found["listener"][1]


# ---- the database -----------------------------------------------------------------------------------------------------


async def test_a_database_that_cannot_be_reached_is_named_without_its_password(host: Host) -> None:
    host.configure(database_url="postgresql://tminus_serve:swordfish@127.0.0.1:1/tminus")
    found = await host.found(4)
    assert found["database"][0] == "failed"
    assert {found[check] for check in ("login", "schema", "clock", "pause", "fleet")} == {
        ("skipped", "needs the database")
    }
    assert "swordfish" not in str(found)


async def test_a_login_without_or_with_other_rights_is_named(host: Host) -> None:
    host.configure(database_url=host.db.dsn_as("alice"))
    found = await host.found(4)
    assert found["login"] == ("failed", "alice has not the rights of tminus_daemon; run 'grant tminus_daemon to alice'")
    assert found["schema"][0] == found["clock"][0] == found["pause"][0] == found["fleet"][0] == "skipped"

    host.configure(database_url=host.db.dsn)
    verdict, said = (await host.found())["login"]
    assert (verdict, "is a superuser" in said) == ("warning", True)

    login = f"both_{os.getpid()}"
    await host.db.run(f"create role {login} login in role tminus_daemon, tminus_approver")
    try:
        host.configure(database_url=host.db.dsn_as(login))
        verdict, said = (await host.found())["login"]
        assert verdict == "warning"
        assert f"run 'revoke tminus_approver from {login}'" in said
    finally:
        await host.db.run(f"drop role {login}")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "insert into tminus.schema_migrations (version, name, sha256) values (9999, '9999_later.sql', '')",
            "install the newer",
        ),
        (
            "delete from tminus.schema_migrations where version = 10",
            "older than this program (0010_grants.sql is missing); run",
        ),
        ("update tminus.schema_migrations set sha256 = '' where version = 8", "differs from what was applied"),
        ("drop schema tminus cascade", "run 'tminus migrate'"),
    ],
)
async def test_another_schema_than_the_programs_is_named(host: Host, change: str, said: str) -> None:
    await host.db.run(change)
    found = await host.found(5)
    assert found["schema"][0] == "failed"
    assert said in found["schema"][1]
    assert found["clock"] == found["pause"] == found["fleet"] == ("skipped", "needs this program's schema")


@pytest.mark.parametrize(
    ("by", "verdict", "said", "code"),
    [
        (0.5, "ok", "differs", 0),
        (3.0, "warning", "3.0 s ahead of this host's", 0),
        (-3.0, "warning", "3.0 s behind this host's", 0),
        (60.0, "failed", "60.0 s ahead of this host's", 1),
    ],
)
async def test_a_clock_that_goes_wrong_is_named(host: Host, by: float, verdict: str, said: str, code: int) -> None:
    await host.db.move_clock(timedelta(seconds=by))
    found = await host.found(code)
    assert found["clock"][0] == verdict
    assert said in found["clock"][1]
    assert ("NTP" in found["clock"][1]) == (verdict != "ok")


async def test_what_the_fleet_needs_and_the_configuration_lacks_is_named(host: Host) -> None:
    await host.db.run(
        "insert into tminus.sites (id, name, address, credential, enabled) values"
        " ('a', 'a', '192.0.2.1', null, true), ('b', 'b', '192.0.2.2', 'branch', true), ('c', 'c', '192.0.2.3', 'off', false)"
    )
    verdict, said = (await host.found())["fleet"]
    assert (verdict, said) == (
        "warning",
        "1 of 2 enabled sites name a credential that is not configured; add [credentials.branch]",
    )
    await host.db.run("update tminus.sites set credential = 'default', jump_host = 'berlin' where id <> 'a'")
    assert (await host.found())["fleet"] == (
        "warning",
        "1 of 2 enabled sites name a jump host that is not configured; add [jump_hosts.berlin]",
    )
    _jump_host()(host)
    assert (await host.found())["fleet"][0] == "ok"
    await host.db.submit(":put 1", ["a"], due_in=3600, site_timeout=timedelta(minutes=20))
    verdict, said = (await host.found())["fleet"]
    assert verdict == "warning"
    assert "may run 1200 s" in said
    assert "TimeoutStopSec" in said


async def test_sites_of_other_runners_are_not_this_daemons(host: Host) -> None:
    host.configure(instance_name="ops1", runner_tags=["west"])
    await host.db.run(
        "insert into tminus.sites (id, name, address, credential, jump_host, runner) values"
        " ('a', 'a', '192.0.2.1', null, null, null), ('b', 'b', '192.0.2.2', null, null, 'west'),"
        " ('c', 'c', '192.0.2.3', 'theirs', 'theirs', 'east')"
    )
    verdict, said = (await host.found())["fleet"]
    assert (verdict, said.startswith("2 enabled sites for this daemon")) == ("ok", True)
    for runner in ("ops1", "west"):
        await host.db.fetch("update tminus.sites set runner = $1 where id = 'c'", runner)
        assert (await host.found())["fleet"] == (
            "warning",
            (
                "1 of 3 enabled sites name a credential that is not configured; add [credentials.theirs]."
                " 1 of 3 enabled sites name a jump host that is not configured; add [jump_hosts.theirs]"
            ),
        )


async def test_a_database_that_was_set_back_is_named_before_and_after_a_daemon_noticed(host: Host) -> None:
    launch, instance = uuid.uuid4(), str(uuid.uuid4())
    at = datetime(2026, 7, 1, 4, 0, tzinfo=UTC)
    intents = IntentLog(host.state, uuid.UUID(instance))
    await intents.write(
        [Intent(key=1, at=at, run=7, nonce="0123456789abcdef", launch=launch, site="s1", occurrence="once", digest="d")]
    )
    found = await host.found()
    assert found["state"] == ("ok", f"{host.state}; the latest start was on s1 at 2026-07-01 04:00:00+00:00")
    assert found["pause"] == (
        "warning",
        (
            "this database was set back: it does not know of the script that was started on s1 at 2026-07-01 04:00:00+00:00;"
            " the daemon will start paused; cancel what ran already and must not run again, then 'tminus resume --note WHY'"
        ),
    )
    assert not await host.db.value("select tminus.is_paused()"), "looking changes nothing"
    async with host.db.connect("tminus_serve") as connection:
        await History(intents, in_hand=list).compare(connection)
    verdict, said = (await host.found())["pause"]
    assert (verdict, said.startswith("all is paused, ")) == ("warning", True)
    assert "does not know of a script that was started; cancel" in said
    assert "tminus resume --note" in said
    await host.db.value("select tminus.resume('noon is back')", role="bob")
    assert (await host.found())["pause"] == ("ok", "nothing is held back")


# ---- the embedded one -------------------------------------------------------------------------------------------------


async def test_an_embedded_database_that_does_not_run_is_not_started(host: Host, tmp_path: Path) -> None:
    """One that runs is looked at in test_install_guide."""
    state = tmp_path / "state"
    host.configure(database_url=None, state_dir=str(state))
    verdict, said = (await host.found())["database"]
    assert (verdict, "was not started" in said) == ("skipped", True)
    assert not state.exists()
    state.mkdir()
    (state / "server.lock").write_text("/what/an/older/one/left\n")
    before = (state / "server.lock").stat()
    assert (await host.found())["database"][0] == "skipped"
    assert [path.name for path in state.iterdir()] == ["server.lock"]
    assert (state / "server.lock").stat().st_mtime_ns == before.st_mtime_ns


async def test_where_signatures_are_required_it_says_whether_they_can_be_verified(host: Host) -> None:
    allowed = host.folder / "allowed_signers"
    with (host.folder / "tminus.toml").open("a") as config:
        config.write('[authorization]\nrequire_signature = true\nallowed_signers = "allowed_signers"\n')
    verdict, said = (await host.found(code=3))["signatures"]
    assert (verdict, said) == (
        "failed",
        f"{allowed} cannot be read: No such file or directory; signatures cannot be verified",
    )
    allowed.write_text("# nobody\n")
    assert (await host.found(code=1))["signatures"][0] == "failed"
    allowed.write_text("bob ssh-ed25519 AAAA\n")
    assert (await host.found())["signatures"] == ("ok", f"required; 1 line in {allowed}")


async def test_what_proves_tokens_of_the_api_is_looked_at(host: Host) -> None:
    secret = host.folder / "api.secret"
    host.configure(api_secret_file="api.secret")
    verdict, said = (await host.found(code=3))["api secret"]
    assert (verdict, f"the secret {secret} (api_secret_file) cannot be read" in said) == ("failed", True)
    secret.write_text("0123456789abcdef" * 4)
    secret.chmod(0o644)
    assert (await host.found(code=3))["api secret"] == (
        "failed",
        f"everybody may read the secret {secret}: chmod o= {secret}",
    )
    secret.chmod(0o600)
    assert (await host.found())["api secret"] == ("ok", f"in {secret}")
    secret.write_text("short")
    assert "openssl rand -hex 32" in (await host.found(code=3))["api secret"][1]
    host.configure(api_jwks_file="jwks.json")
    (host.folder / "jwks.json").write_text('{"keys": []}')
    verdict, said = (await host.found(code=3))["api keys"]
    assert (verdict, "(api_jwks_file)" in said) == ("failed", True)


async def test_sites_for_tests_are_looked_up_in_the_database(host: Host) -> None:
    assert "test sites" not in await host.found()
    host.configure(test_sites=["lab"])
    assert (await host.found())["test sites"] == (
        "warning",
        "no test runs on lab: it is not in the database; mend it there, or correct test_sites",
    )
    await host.db.run("insert into tminus.sites (id, name, address) values ('lab', 'lab', '192.0.2.9')", role="api")
    for change, why in (
        (None, "is not there for tests"),
        ("allow_tests = true", "has no pinned host key"),
        (f"host_key = '{HOST_KEY}'", "is not there for tests"),  # it is another router
        ("allow_tests = true, runner = 'elsewhere'", "reached by 'elsewhere' alone"),
        ("enabled = false", "is disabled"),
    ):
        if change is not None:
            await host.db.run(f"update tminus.sites set {change} where id = 'lab'")
        verdict, said = (await host.found())["test sites"]
        assert (verdict, why in said) == ("warning", True), said
    await host.db.run("update tminus.sites set enabled = true, runner = null where id = 'lab'")
    assert (await host.found())["test sites"] == ("ok", "tests may run on lab")


async def test_a_host_that_waits_for_a_signature_is_named(host: Host) -> None:
    (host.folder / "allowed_signers").write_text("bob ssh-ed25519 AAAA\n")
    host.add('[authorization]\nrequire_signature = true\nallowed_signers = "allowed_signers"\n')
    host.state.mkdir(mode=0o700)
    lost = RememberedStart(nonce="0123456789abcdef", launch=uuid.uuid4(), site="s1", at=datetime.now(UTC))
    await HoldLog(host.state).hold([lost])
    verdict, said = (await host.found())["pause"]
    assert (verdict, "'tminus resume --note WHY --sign KEY'" in said) == ("warning", True)
