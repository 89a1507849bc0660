"""Telling people from a real daemon, which a mail server that stalls must not hold up; and its settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.mailroom import SECRET, mail_server, receiver
from tests.support import Db, run_daemon, until
from tminus.channels.webhook import sign
from tminus.configured import load_mail, load_webhooks
from tminus.errors import ConfigError
from tminus.settings import load_settings
from tminus.simulator import FleetSpec, SiteSpec, simulate


async def test_a_launch_is_told_by_mail_and_webhook_and_a_stalled_mail_server_holds_it_not_up(
    database: Db, tmp_path: Path
) -> None:
    (tmp_path / "chat.secret").write_text(f"{SECRET}\n")
    specs = (SiteSpec(id="one", version="7.20.8"), SiteSpec(id="two", version="7.20.8"))
    await database.fetch(
        "insert into tminus.contacts (person, channel, address, news) values ('nina', 'mail', 'nina@example.net', '{finished}'),"
        " ('nina', 'webhook', 'chat', '{launched,finished}')",
        role="api",
    )
    async with mail_server() as mail, receiver() as hook, simulate(FleetSpec(site_specs=specs)) as fleet:
        mail.answer = None
        hook.status = 204
        await database.run(fleet.inventory_sql(None))
        environment = {
            "TMINUS_WEBHOOKS__CHAT__URL": f"http://127.0.0.1:{hook.port}/",
            "TMINUS_WEBHOOKS__CHAT__SECRET_FILE": "chat.secret",
        }
        async with run_daemon(
            database,
            tmp_path,
            fleet,
            environment=environment,
            mail_server="127.0.0.1",
            mail_port=mail.port,
            mail_security="none",
            mail_sender="tminus@example.net",
        ) as daemon:
            first = await database.submit(":put hello", notify=["nina"])
            await database.finished(first)

            async def stalled() -> bool:
                return mail.asked > 0

            await until(stalled)
            second = await database.submit(":put hello", notify=["nina"])
            await database.finished(second, within=15)

            async def told() -> bool:
                return len(hook.calls) == 4

            await until(told)
            assert mail.letters == []
            metrics = await daemon.metrics()
            assert metrics['tminus_letters_total{result="sent"}'] == 4
            assert metrics["tminus_letters_waiting"] == 2
            assert await daemon.stop() == 0
    kinds = []
    for headers, body in hook.calls:
        signature = sign(SECRET, headers["webhook-id"], int(headers["webhook-timestamp"]), body)
        assert headers["webhook-signature"] == f"v1,{signature}"
        kinds += [each["kind"] for each in json.loads(body)["data"]["news"]]
    assert sorted(kinds) == ["finished", "finished", "launched", "launched"]
    assert len({headers["webhook-id"] for headers, _ in hook.calls}) == 4


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('mail_server = "mail.example.net"', "mail_sender"),
        ('mail_username = "tminus"', "mail_password_file"),
        ('mail_security = "none"\nmail_username = "a"\nmail_password_file = "b"', "mail_security"),
        ('mail_sender = "tminus@example.net\\nBcc: eve@example.org"', "mail_sender"),
        ('[webhooks.chat]\nurl = "https://chat.example.net"', "secret_file"),
        ('[webhooks."a b"]\nurl = "https://chat.example.net"\nsecret_file = "x"', "webhooks"),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_a_sentence(tmp_path: Path, lines: str, words: str) -> None:
    file = tmp_path / "tminus.toml"
    file.write_text(f"{lines}\n")
    with pytest.raises(ConfigError, match=words) as caught:
        load_settings(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "secret", "words"),
    [
        ("ftp://chat.example.net", SECRET, "neither https:// nor http://"),
        ("https://chat.example.net", "brief", "shorter than 16 bytes"),
        ("https://chat.example.net", "whsec_not*base64", "no base64"),
        ("https://chat.example.net", None, "does not exist"),
    ],
)
def test_a_webhook_that_cannot_be_used_is_refused_without_its_secret(
    tmp_path: Path, url: str, secret: str | None, words: str
) -> None:
    if secret is not None:
        (tmp_path / "chat.secret").write_text(secret)
    file = tmp_path / "tminus.toml"
    file.write_text(f'[webhooks.chat]\nurl = "{url}"\nsecret_file = "chat.secret"\n')
    with pytest.raises(ConfigError, match=words) as caught:
        load_webhooks(load_settings(file), tmp_path)
    assert secret is None or secret not in str(caught.value)


def test_mail_goes_to_the_senders_domain_unless_others_are_named(tmp_path: Path) -> None:
    file = tmp_path / "tminus.toml"
    for line, domains in (("", {"example.net"}), ('mail_domains = ["Example.org"]', {"example.org"})):
        file.write_text(f'mail_server = "mail.example.net"\nmail_sender = "tminus@example.net"\n{line}\n')
        mail = load_mail(load_settings(file), tmp_path)
        assert mail is not None
        assert mail.domains == domains
