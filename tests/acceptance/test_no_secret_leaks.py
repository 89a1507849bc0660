"""Canaries in every place where a secret is, and a search of every place where none may be, after a launch with every failure."""

from __future__ import annotations

import os
import secrets
import traceback
from datetime import timedelta
from pathlib import Path

import asyncssh
import pytest

from tests.acceptance.test_rehearsal import tminus
from tests.support import Db, run_daemon, until
from tminus.configured import load_credentials, load_jump_hosts, load_mail, load_webhooks
from tminus.errors import ConfigError
from tminus.settings import load_settings
from tminus.simulator import Fault, Fleet, FleetSpec, Setup, SiteSpec, simulate

# What a script of an operator's brings to light on a router: in print, in an error, in a change that the diff shows.
SCRIPT = """\
/ppp secret print detail
/system script print detail
/interface wireguard print detail
:put ("password=" . [/ppp secret get [find name=canary] password])
/system script set [find name=canary] comment="seen"
/snmp community set [find name!="public"] addresses=10.0.0.0/8
:error ("refused, password=" . [/ppp secret get [find name=canary] password])
"""
TAKES_PASSWORDS = Setup(password_login=True)
_SLOW = {Fault.SILENT_MID_SCRIPT}


def canary(what: str) -> str:
    return f"canary{what}{secrets.token_hex(8)}"


class Canaries(dict[str, str]):
    """What is looked for, by what it is."""

    def new(self, what: str) -> str:
        self[what] = canary(what)
        return self[what]

    def found_in(self, *texts: str) -> list[str]:
        return [what for what, value in self.items() if any(value in text for text in texts)]


async def plant(fleet: Fleet, site: str, canaries: Canaries) -> None:
    """Give a router secrets, as somebody who is logged in does."""
    there = fleet.site(site)
    async with asyncssh.connect(
        there.address,
        there.port,
        username=there.username,
        client_keys=[fleet.client_key],
        known_hosts=None,
        config=None,
    ) as connection:
        source = f'/ppp secret set 0 password={canaries["source"]}; /x set secret=\\"{canaries["quoted"]}\\"'
        for line in (
            f"/ppp secret add name=canary password={canaries['ppp']}",
            f'/system script add name=canary source="{source}"',
            f'/interface wireguard add name=canary private-key="{canaries["wireguard"]}="',
            f"/snmp community add name={canaries['community']}",
            f"/interface wifi security add name=canary passphrase={canaries['wifi']}",
        ):
            said = await connection.run(line, timeout=10)
            # Routers of 6.x have neither WireGuard nor wifi; the simulator has no wifi.
            assert not said.stdout or line.startswith("/interface wi"), f"{line}: {said.stdout!r}"


async def every_row(database: Db) -> str:
    names = await database.fetch(
        "select c.oid::regclass::text as name from pg_class c"
        " where c.relnamespace = 'tminus'::regnamespace and c.relkind = 'r'"
    )
    texts = [await database.value(f"select string_agg(t::text, e'\\n') from {row['name']} t") or "" for row in names]
    assert len(texts) > 20
    return "\n".join(texts)


@pytest.mark.timeout(150)
async def test_no_secret_is_in_database_log_metrics_arguments_errors_or_repr(database: Db, tmp_path: Path) -> None:
    canaries = Canaries()
    folder = tmp_path / "serve"
    folder.mkdir()
    for what in ("jump", "webhook", "mail", "api", "login", "spare"):
        (folder / what).write_text(canaries.new(what) + "\n")
        (folder / what).chmod(0o600)
    for what in ("ppp", "source", "quoted", "wireguard", "community", "wifi"):
        canaries.new(what)
    faults = [fault for fault in Fault if fault not in _SLOW]
    specs = (
        SiteSpec(id="sound", version="7.20.8"),
        SiteSpec(id="old", version="6.49.10"),
        SiteSpec(id="refused", version="7.20.8"),
        SiteSpec(id="behind", version="7.20.8"),
        *(SiteSpec(id=f"with-{fault}", version="7.20.8") for fault in faults),
    )
    async with simulate(
        FleetSpec(site_specs=specs, base="127.45.11.1", password=canaries["login"], setup=TAKES_PASSWORDS)
    ) as fleet:
        for site in ("sound", "old", *(f"with-{fault}" for fault in faults)):
            await plant(fleet, site, canaries)
        for fault in faults:
            await fleet.set_faults(f"with-{fault}", {fault})
        await database.run(fleet.inventory_sql(None))
        await database.run(
            "update tminus.sites set credential = 'login' where id = 'sound';"
            " update tminus.sites set credential = 'spare' where id = 'refused';"
            " update tminus.sites set jump_host = 'far' where id = 'behind';"
            " insert into tminus.contacts (person, channel, address, news) values ('nina', 'mail', 'nina@example.net', '{finished}'),"
            " ('nina', 'webhook', 'chat', '{launched,finished}')"
        )
        environment = {
            "TMINUS_CREDENTIALS__LOGIN__USERNAME": "tminus",
            "TMINUS_CREDENTIALS__LOGIN__PASSWORD_FILE": str(folder / "login"),
            "TMINUS_CREDENTIALS__SPARE__USERNAME": "tminus",
            "TMINUS_CREDENTIALS__SPARE__PASSWORD_FILE": str(folder / "spare"),
            "TMINUS_JUMP_HOSTS__FAR__ADDRESS": "127.45.11.250",
            "TMINUS_JUMP_HOSTS__FAR__USERNAME": "jump",
            "TMINUS_JUMP_HOSTS__FAR__PASSWORD_FILE": str(folder / "jump"),
            "TMINUS_JUMP_HOSTS__FAR__HOST_KEYS": f'["{fleet.client_key.export_public_key().decode().strip()}"]',
            "TMINUS_WEBHOOKS__CHAT__URL": f"http://127.0.0.1:9/{canaries.new('url')}",
            "TMINUS_WEBHOOKS__CHAT__SECRET_FILE": str(folder / "webhook"),
        }
        settings: dict[str, object] = {
            "database_url": database.dsn_as("tminus_serve") + f"&password={canaries.new('database')}",
            "log_level": "debug",
            "mail_server": "127.0.0.1",
            "mail_port": 9,
            "mail_security": "tls",
            "mail_username": "tminus",
            "mail_password_file": str(folder / "mail"),
            "mail_sender": "tminus@example.net",
            "api_secret_file": str(folder / "api"),
            "connect_timeout": 2.0,
        }
        async with run_daemon(database, folder, fleet, environment=environment, executed=True, **settings) as daemon:
            key = (folder / "id_ed25519").read_text().splitlines()
            canaries["key"], canaries["end of key"] = key[2], key[-2]
            script = await database.submit(
                SCRIPT, start_within=timedelta(seconds=6), site_timeout=timedelta(seconds=20), notify=["nina"]
            )
            runs = await database.finished(script, within=100)
            await until(
                lambda: database.value("select exists (select from tminus.letters where last_error is not null)")
            )

            # It was there to be found: the values were printed, and in an error, and in what the diff and the export show.
            sound = runs["sound"]
            assert (sound["reason"], sound["effect"]) == ("script_error", "partial"), sound["message"]
            for shown in (sound["output"], sound["message"]):
                assert "password=*****" in shown, shown
            assert "password=*****" in (sound["diff"] or ""), sound["diff"]
            assert {run["reason"] for run in runs.values()} >= {
                "auth_failed",
                "connection_lost",
                "offline",
                "script_error",
            }

            arguments = Path(f"/proc/{daemon.process.pid}/cmdline").read_text()
            metrics = (
                (await daemon.get("/metrics"))[1] + (await daemon.get("/readyz"))[1] + (await daemon.get("/healthz"))[1]
            )
            rows = await every_row(database)
            said = ""
            for command in ("status", f"status {script}", f"review {script}", "site list", "audit export"):
                said += str(await tminus(database, *command.split(), login="rita"))
            await daemon.stop()
        written = (folder / "serve.log").read_text()
    assert len(said) > 2000
    assert canaries.found_in(rows) == []
    assert canaries.found_in(written) == []
    assert canaries.found_in(arguments, metrics, said) == []
    for file in folder.joinpath("state").rglob("*"):
        if file.is_file():
            assert canaries.found_in(file.read_text(errors="replace")) == [], file

    os.environ.update(environment)
    try:
        loaded = load_settings(folder / "tminus.toml")
    finally:
        for name in environment:
            del os.environ[name]
    credentials = load_credentials(loaded, folder)
    objects = (
        loaded,
        credentials,
        load_mail(loaded, folder),
        load_webhooks(loaded, folder),
        load_jump_hosts(loaded, folder, credentials),
    )
    assert canaries.found_in(*map(repr, objects), *map(str, objects)) == []


def test_an_error_about_a_secret_does_not_tell_it(tmp_path: Path) -> None:
    """Files that hold something, but not what is needed."""
    value = canary("x")
    (tmp_path / "secret").write_text(f"{value}\n{value}\n")
    (tmp_path / "secret").chmod(0o600)
    told = []
    for text in (
        '[credentials.a]\nusername = "u"\npassword_file = "secret"',
        '[credentials.a]\nusername = "u"\nprivate_key_file = "secret"',
        f'[webhooks.a]\nurl = "{value}"\nsecret_file = "secret"',
        f'database_url = ["{value}"]',
        f'database_url = "{value}"\nport = "{value}"',
        'mail_server = "a"\nmail_sender = "a@b"\nmail_username = "u"\nmail_password_file = "secret"',
    ):
        (tmp_path / "tminus.toml").write_text(text)
        try:
            settings = load_settings(tmp_path / "tminus.toml")
            load_credentials(settings, tmp_path)
            load_mail(settings, tmp_path)
            load_webhooks(settings, tmp_path)
        except ConfigError as error:
            told.append("".join(traceback.format_exception(error)))
    assert len(told) == 6
    assert not [text for text in told if value in text]
