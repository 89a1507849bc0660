"""`tminus contact`: adding, changing and disabling how people are reached."""

from __future__ import annotations

from tests.acceptance.test_cli import Cli
from tests.support import Db


async def test_a_contact_is_added_changed_and_disabled(database: Db) -> None:
    cli = Cli(database)
    assert "no contacts" in (await cli.ok("contact", "list", login="api")).err
    added = await cli.ok("contact", "set", "nina", "mail", "nina@example.net", login="api")
    assert added.out == "contact 1\n"
    again = ("contact", "set", "nina", "mail", "nina@example.net", "--news", "finished", "--digest", "1h")
    assert (await cli.ok(*again, login="api")).out == "contact 1\n"
    (shown,) = (await cli.ok("contact", "list", "nina", "--json", login="api")).json()
    assert (shown["news"], shown["digest_every"], shown["enabled"]) == (["finished"], 3600.0, True)
    await database.fetch(
        "insert into tminus.letters (contact_id, state, ended_at, last_error) values (1, 'failed', now(), 'no such \x1b person')"
    )
    listed = (await cli.ok("contact", "list", login="api")).out
    assert "no such" in listed
    assert "\x1b" not in listed
    await cli.ok("contact", "disable", "1", login="api")
    assert "disabled" in (await cli.ok("contact", "list", login="api")).out
    (await cli("contact", "disable", "1", login="api")).refused("no contact 1", code=2)
    assert (await cli.ok("contact", "list", "nobody", "--json", login="api")).json() == []


async def test_what_makes_no_contact_and_who_keeps_none_is_one_sentence(database: Db) -> None:
    cli = Cli(database)
    (await cli("contact", "set", "nina", "webhook", "http://192.0.2.1/", login="api")).refused(
        "the name of its [webhooks.NAME]", code=1
    )
    (await cli("contact", "set", "nina", "mail", "nina", login="api")).refused(
        "no mail address that can be written to", code=1
    )
    (await cli("contact", "set", "nina", "mail", "nina@example.net", login="alice")).refused("permission denied")
    (await cli("contact", "list", login="rita")).refused("permission denied")
