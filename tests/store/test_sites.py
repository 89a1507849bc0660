"""The inventory: what a site may look like, what an upsert does to it, and what is written down of a change."""

from __future__ import annotations

import asyncio
import json

import asyncpg
import pytest

from tests.store.stage import HOST_KEY, WarmDb, authorize, insert, refused, until_waiting
from tests.support import Db
from tminus.store.pool import statement

pytestmark = pytest.mark.asyncio(loop_scope="module")

SITE = "insert into tminus.sites (id, name, address, {columns}) values ('new', 'New', '192.0.2.200', {values})"

BAD_SITES: dict[str, tuple[str, object, str]] = {
    "a host key that is none": ("host_key", "not a key at all!", "site new: host_key is not an OpenSSH public key"),
    "the type of a host key alone": ("host_key", "ssh-ed25519", "host_key is not an OpenSSH public key"),
    "an empty host key": ("host_key", " ", "host_key is not an OpenSSH public key"),
    "a private key": ("host_key", "-----BEGIN OPENSSH PRIVATE KEY-----", "host_key is not an OpenSSH public key"),
    "a user name that is an option": ("username", "-fadmin", "site new: a RouterOS user name"),
    "a user name with console options": ("username", "admin+ct", "site new: a RouterOS user name"),
    "a user name with a blank": ("username", "ad min", "site new: a RouterOS user name"),
    "an empty user name": ("username", "", "site new: a RouterOS user name"),
    "port 0": ("port", 0, "site new: port 0 does not lie between 1 and 65535"),
    "port 65536": ("port", 65536, "site new: port 65536"),
    "a secret as credential": ("credential", "pass word!", "site new: credential is the name of one"),
    "an unknown profile": ("ssh_profile", "ancient", "site new: ssh_profile is modern or legacy"),
    "a jump host that is an option": ("jump_host", "-oProxyCommand=x", "site new: jump_host must not begin with '-'"),
    "a runner with a line break": ("runner", "a\nb", "site 'new': id, name and runner are 1 to 200 printable"),
    "a zone that does not exist": ("timezone", "Mars/Olympus", "site new: there is no time zone 'Mars/Olympus'"),
    "variables that are a list": ("variables", "[]", "site new: variables is a JSON object"),
}


@pytest.mark.parametrize("case", BAD_SITES)
async def test_a_bad_site_is_refused_with_a_sentence(shared: WarmDb, case: str) -> None:
    column, value, sentence = BAD_SITES[case]
    assert sentence in await refused(shared, "api", SITE.format(columns=column, values="$1"), value)
    text = await refused(shared, "api", f"update tminus.sites set {column} = $1 where id = 'a'", value)
    assert sentence.replace("new", "a", 1) in text


@pytest.mark.parametrize(
    "address",
    ["127.1", "127.83.1", "2130706433", "0x7f000001", "0X7F.1", "010.0.0.1", "192.0.2.256", "192.0.2.1.", "1.2.3.4.5"],
)
async def test_an_ipv4_address_is_written_in_one_way(shared: WarmDb, address: str) -> None:
    text = await refused(shared, "api", "insert into tminus.sites (id, name, address) values ('new', 'n', $1)", address)
    assert "four decimal numbers" in text


@pytest.mark.parametrize(
    "address", ["192.0.2.201", "0x7f.example.net", "10.example", "fe80::1%ether1", "1-2.3", "router-1"]
)
async def test_any_other_address_or_name_is_taken(shared: WarmDb, address: str) -> None:
    insert = "insert into tminus.sites (id, name, address) values ('new ' || $1, 'n', $1) returning address"
    assert await shared.value(insert, address, role="api") == address


@pytest.mark.parametrize("address", ["", "-oProxyCommand", "10.0.0.1 10.0.0.2", "host\nname", "a/b", "x" * 254])
async def test_an_address_is_an_address(shared: WarmDb, address: str) -> None:
    text = await refused(shared, "api", "insert into tminus.sites (id, name, address) values ('new', 'n', $1)", address)
    assert "is not an address" in text


@pytest.mark.parametrize("site", ["", "a\nb", "x" * 201])
async def test_an_id_is_printable(shared: WarmDb, site: str) -> None:
    sql = "insert into tminus.sites (id, name, address) values ($1, 'n', '192.0.2.1')"
    assert "id, name and runner are 1 to 200 printable characters" in await refused(shared, "api", sql, site)


async def test_the_id_of_a_site_never_changes(shared: WarmDb) -> None:
    text = await refused(shared, None, "update tminus.sites set id = 'z' where id = 'a'")
    assert "the id of site a never changes (Insert another site and disable this one.)" in text
    await refused(shared, "api", "update tminus.sites set id = 'z' where id = 'a'", clear=False)


@pytest.mark.parametrize(("runner", "jump_host"), [(None, None), ("east", None), (None, "jump"), ("east", "jump")])
async def test_one_router_is_one_site(shared: WarmDb, runner: str | None, jump_host: str | None) -> None:
    sql = "insert into tminus.sites (id, name, address, port, runner, jump_host) values ($1, 'n', '192.0.2.77', 8022, $2, $3)"
    first = f"one-{runner}-{jump_host}"
    await shared.fetch(sql, first, runner, jump_host, role="api")
    text = await refused(shared, "api", sql, "another", runner, jump_host)
    assert f"site another would be a second name for site {first}: both are 192.0.2.77 port 8022" in text
    move = "update tminus.sites set address = '192.0.2.77', port = 8022, runner = $1, jump_host = $2 where id = 'a'"
    assert f"a second name for site {first}" in await refused(shared, "api", move, runner, jump_host)


SPELLINGS = {
    "core.example.net": ("CORE.Example.net", "core.example.net.", "Core.example.NET."),
    "2001:db8::1": ("2001:DB8::1", "2001:db8:0:0:0:0:0:1", "2001:0db8::0001"),
    "fe80::1%ether1": ("FE80::1%ether1", "fe80:0::1%ether1"),
    "192.0.2.78": ("::ffff:192.0.2.78", "::FFFF:c000:24e"),
}


@pytest.mark.parametrize(("address", "other"), [(a, other) for a, others in SPELLINGS.items() for other in others])
async def test_one_router_is_one_site_in_whatever_spelling(clean: Db, address: str, other: str) -> None:
    sql = "insert into tminus.sites (id, name, address) values ($1, 'n', $2)"
    await clean.fetch(sql, "first", address, role="api")
    text = await refused(clean, "api", sql, "second", other)
    assert f"site second would be a second name for site first: both are {address} port 22" in text
    [place] = await clean.fetch(
        statement("place_sites"), json.dumps([{"id": "second", "address": other}]), ["id", "address"], role="api"
    )
    assert (place["holder"], place["address"]) == ("first", address)
    # It is written as people write it, and may be written otherwise.
    await clean.fetch("update tminus.sites set address = $1", other, role="api")
    assert await clean.value("select address from tminus.sites") == other


async def test_other_routers_stay_other_sites(clean: Db) -> None:
    addresses = ["a.example", "b.example", "fe80::1%ether1", "fe80::1%ether2", "fe80::1%Ether1", "fe80::1", "192.0.2.1"]
    for address in [*addresses, "::192.0.2.1", "a:b", "1:2"]:
        await clean.fetch("insert into tminus.sites (id, name, address) values ($1, 'n', $1)", address, role="api")


async def test_two_who_add_one_router_at_once_add_one_site(clean: Db) -> None:
    """The guard of neither sees what the other has not committed; the index does."""
    sql = "insert into tminus.sites (id, name, address) values ($1, 'n', $2)"
    async with clean.connect("api") as one, clean.connect("api") as other:
        transaction = one.transaction()
        await transaction.start()
        await one.execute(sql, "one", "edge.example.net")
        second = asyncio.create_task(other.execute(sql, "other", "EDGE.example.net."))
        await until_waiting(clean, sql)
        await transaction.commit()
        with pytest.raises(asyncpg.UniqueViolationError):
            await second
    assert await clean.value("select array_agg(id) from tminus.sites") == ["one"]


async def test_a_site_that_a_script_names_does_not_vanish(shared: WarmDb) -> None:
    await insert(shared, sites=["c"])
    for role in ("api", "alice", "tminus_serve"):
        assert "permission denied" in await refused(
            shared, role, "delete from tminus.sites where id = 'c'", clear=False
        )
    await refused(shared, None, "delete from tminus.sites where id = 'c'", clear=False)


async def test_a_host_key_is_stored_without_its_comment(shared: WarmDb) -> None:
    await shared.fetch(
        "update tminus.sites set host_key = $1 where id = 'b'",
        f"  {HOST_KEY.replace(' ', '   ')} root@host x\n",
        role="api",
    )
    assert await shared.value("select host_key from tminus.sites where id = 'b'") == HOST_KEY
    await shared.fetch("update tminus.sites set host_key = null where id = 'b'", role="api")
    assert await shared.value("select host_key from tminus.sites where id = 'b'") is None


async def test_an_upsert_that_changes_nothing_resets_nothing(shared: WarmDb) -> None:
    sql = (
        "insert into tminus.sites (id, name, address, port, host_key, tags) values ('up', 'Up', '192.0.2.9', 22, $1, '{x}')"
        " on conflict (id) do update set name = excluded.name, address = excluded.address, port = excluded.port,"
        " host_key = excluded.host_key, tags = excluded.tags"
    )
    await shared.fetch(sql, HOST_KEY + " comment", role="api")
    await shared.fetch(
        "update tminus.sites set identity = 'r1', serial = 'S', last_seen_at = now() where id = 'up'",
        role="tminus_serve",
    )
    before = await shared.fetch("select * from tminus.sites where id = 'up'")
    events = "select count(*) from tminus.events where site_id = 'up'"
    assert await shared.value(events) == 1
    await shared.fetch(sql, HOST_KEY + " another comment", role="api")
    assert await shared.fetch("select * from tminus.sites where id = 'up'") == before
    assert await shared.value(events) == 1


async def test_a_change_is_written_down_with_who_made_it(shared: WarmDb) -> None:
    await shared.fetch("update tminus.sites set address = '192.0.2.55', tags = '{y}' where id = 'c'", role="api")
    event = (await shared.fetch("select * from tminus.events where site_id = 'c' order by id desc limit 1"))[0]
    assert (event["kind"], event["principal"], event["session"]) == ("site_changed", "api", "api")
    assert '"to": "192.0.2.55"' in event["detail"]
    assert "port" not in event["detail"]


async def test_what_says_where_scripts_may_run_is_written_down_too(shared: WarmDb) -> None:
    """Without its tag a site is in no freeze and no window of that tag."""
    add = "insert into tminus.sites (id, name, address, tags) values ('tagged', 'n', '192.0.2.56', '{core}')"
    await shared.fetch(add, role="api")
    changes = {
        "tags": ("'{}'", ["core"], [], "api"),
        "timezone": ("'Asia/Tokyo'", "UTC", "Asia/Tokyo", "api"),
        "allow_tests": ("true", False, True, None),
    }
    for column, (value, was, now, role) in changes.items():
        await shared.fetch(f"update tminus.sites set {column} = {value} where id = 'tagged'", role=role)
        event = (await shared.fetch("select * from tminus.events where site_id = 'tagged' order by id desc limit 1"))[0]
        assert event["kind"] == "site_changed"
        assert json.loads(event["detail"])[column] == {"from": was, "to": now}
        assert role is None or event["principal"] == role
    added = await shared.value("select detail from tminus.events where site_id = 'tagged' and kind = 'site_added'")
    assert json.loads(added)["tags"] == ["core"]


async def test_what_the_daemon_learns_is_no_change_of_the_site(shared: WarmDb) -> None:
    before = await shared.fetch(
        "select updated_at, (select count(*) from tminus.events) from tminus.sites where id = 'a'"
    )
    await shared.fetch(
        "update tminus.sites set version = '7.99', last_seen_at = now() where id = 'a'", role="tminus_serve"
    )
    assert (
        await shared.fetch("select updated_at, (select count(*) from tminus.events) from tminus.sites where id = 'a'")
        == before
    )


async def test_authors_approvers_and_readers_keep_their_hands_off_the_inventory(shared: WarmDb) -> None:
    for role in ("alice", "bob", "rita"):
        await refused(
            shared, role, "insert into tminus.sites (id, name, address) values ('q', 'q', '192.0.2.99')", clear=False
        )
        await refused(shared, role, "update tminus.sites set address = '192.0.2.99' where id = 'a'", clear=False)
    await refused(shared, "tminus_serve", "update tminus.sites set address = '192.0.2.99' where id = 'a'", clear=False)
    await refused(shared, "api", "update tminus.sites set serial = 'mine' where id = 'a'", clear=False)


async def test_a_serial_number_belongs_to_one_site(shared: WarmDb) -> None:
    await shared.fetch("update tminus.sites set serial = 'HC1' where id = 'a'", role="tminus_serve")
    await refused(shared, "tminus_serve", "update tminus.sites set serial = 'HC1' where id = 'b'", clear=False)


UPSERT = (
    "insert into tminus.sites (id, name, address, host_key, tags, runner, enabled)"
    " select id, name, address, host_key, tags, runner, enabled"
    " from jsonb_to_recordset($1::jsonb) as n (id text, name text, address text, host_key text, tags text[], runner text, enabled boolean)"
    " on conflict (id) do update set name = excluded.name, address = excluded.address, host_key = excluded.host_key,"
    " tags = excluded.tags, runner = excluded.runner, enabled = excluded.enabled"
)


async def test_an_upsert_of_an_inventory_tool_keeps_what_its_changes_do_not_concern(shared: WarmDb) -> None:
    """A whole inventory is written again; an authorization covers how a router is reached, and nothing else of it."""
    sites = [
        {"id": f"nb_{n}", "name": "x", "address": f"198.51.100.{n}", "host_key": HOST_KEY, "tags": [], "enabled": True}
        for n in (1, 2)
    ]

    async def write() -> int:
        """Write all of them, and return how many sites of authorized scripts are not covered any more."""
        await shared.fetch(UPSERT, json.dumps(sites), role="api")
        outdated = await shared.fetch(statement("outdated_authorizations"), ["nb_1", "nb_2"], role="api")
        return sum(row["sites"] for row in outdated)

    await write()
    script = await insert(shared, sites=["nb_1", "nb_2"])
    await authorize(shared, script)
    assert await write() == 0
    for change in ({"name": "y"}, {"tags": ["core"]}, {"runner": "north"}, {"enabled": False}):
        sites[0].update(change)
        assert await write() == 0, change
    sites[1]["address"] = "198.51.100.3"
    assert await write() == 1
    assert await shared.value("select status from tminus.scheduled_scripts where id = $1", script) == "scheduled"
    sites[1]["address"] = "198.51.100.2"
    assert await write() == 0, "as it was authorized again"
