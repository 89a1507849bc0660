"""Menus: what changes a configuration, what is refused, and what print, get, find and export say about it."""

from __future__ import annotations

import pytest

from tminus.simulator import Kind


async def test_success_is_silent_and_add_gives_an_id(router) -> None:
    assert await router.run("/ip address add address=10.0.0.1/24 interface=bridge") == ""
    assert (await router.put("[/ip address add address=10.0.1.1/24 interface=bridge]")).startswith("*")


async def test_add_set_disable_remove_agree_with_get_find_and_export(router) -> None:
    await router.run('/ip address add address=10.0.0.1/24 interface=bridge comment="a b"')
    assert await router.put('[/ip address get [find comment="a b"] address]') == "10.0.0.1/24"
    assert 'add address=10.0.0.1/24 comment="a b" interface=bridge network=10.0.0.0\n' in router.body()
    await router.run('/ip address set [find comment="a b"] interface=ether1 comment=c')
    assert "add address=10.0.0.1/24 comment=c interface=ether1 network=10.0.0.0\n" in router.body()
    await router.run("/ip address disable [find comment=c]")
    assert await router.put("[/ip address print count-only where disabled]") == "1"
    assert "comment=c disabled=yes interface=ether1" in router.body()
    await router.run("/ip address remove [find comment=c]")
    assert "10.0.0.1/24" not in router.body()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "/interface bridge add name=bridge",
            "failure: already have interface with name bridge (/interface/bridge/add; line 1)",
        ),
        (
            "/interface vlan add name=bridge vlan-id=5 interface=ether1",
            "failure: already have interface with name bridge",
        ),
        ("/ip address add address=192.168.88.1/24 interface=bridge", "failure: already have such address"),
        (
            "/ip address add address=10.0.0.1/24 interface=nowhere",
            "input does not match any value of interface (/ip/address/add (interface); line 1)",
        ),
        (
            "/interface list member add interface=ether3 list=nolist",
            "input does not match any value of list (/interface/list/member/add (list); line 1)",
        ),
        (
            "/ip pool add name=p ranges=foo-10.0.0.5",
            "value of range must have ip address before '-' (/ip/pool/add (range); line 1)",
        ),
        ("/interface bridge add name=x mtu=15x", "value of mtu contains invalid trailing characters"),
        ("/ip firewall address-list add address=1.2.3.4", "missing value(s) of argument(s) list"),
        (":put", "missing value(s) of argument(s) message (:put; line 1)"),
        (":return", "missing value(s) of argument(s) value (:return; line 1)"),
        ("/ip address add address=10.9.9.9/24 interface=nowhere; :put", "input does not match any value of interface"),
        ("/ip address set *FF comment=x", "no such item (/ip/address/set; line 1)"),
        ("/ip dhcp-client add interface=ether1; /ip dhcp-client add interface=ether1", "failure: dhcp-client on that"),
    ],
)
async def test_refusals(router, line: str, message: str) -> None:
    before = router.body()
    printed = await router.run(line)
    assert printed.startswith(message)
    if "dhcp-client" not in line:
        assert router.body() == before


async def test_a_word_that_a_property_does_not_allow_is_a_syntax_error(router) -> None:
    assert "(line 1 column" in await router.run("/interface bridge add name=x protocol-mode=nonsense")


async def test_set_of_nothing_found_is_silent(router) -> None:
    assert await router.run('/ip address set [find comment="nobody"] disabled=yes') == ""
    assert await router.run('/ip address remove [find comment="nobody"]') == ""


async def test_singletons(router) -> None:
    await router.run("/ip dns set servers=1.1.1.1,9.9.9.9 allow-remote-requests=yes")
    assert await router.put("[/ip dns get servers]") == "1.1.1.1;9.9.9.9"
    assert "/ip dns\nset allow-remote-requests=yes servers=1.1.1.1,9.9.9.9\n" in router.body()
    await router.run('/system identity set name="Branch 7"')
    assert await router.put("[/system identity get name]") == "Branch 7"
    assert '/system identity\nset name="Branch 7"\n' in router.body()


async def test_items_that_are_always_there_are_exported_only_where_they_differ(router) -> None:
    assert "/ip service" not in router.body()
    await router.run("/ip service disable telnet; /ip service set ssh port=2222")
    assert "/ip service\nset telnet disabled=yes\nset ssh port=2222\n" in router.body()
    await router.run('/interface ethernet set ether3 comment="to switch"')
    assert '/interface ethernet\nset [ find default-name=ether3 ] comment="to switch"\n' in router.body()


async def test_secrets_are_hidden_by_7_and_shown_by_6(make_router) -> None:
    line = "/ppp secret add name=joe password=hunter2; /export"
    assert "hunter2" not in await make_router("7.24.4").run(line)
    assert "hunter2" in await make_router("7.24.4").run(line + " show-sensitive")
    assert "hunter2" in await make_router("6.49.10").run(line)
    assert "hunter2" not in await make_router("6.49.10").run(line + " hide-sensitive")


async def test_users_are_not_exported(router) -> None:
    await router.run("/user add name=eve group=full password=x")
    assert "eve" not in router.body()
    assert await router.put("[/user print count-only]") == "2"


async def test_interface_shows_and_changes_those_of_the_menus_below(router) -> None:
    await router.run("/interface vlan add name=vlan5 vlan-id=5 interface=bridge")
    assert await router.put("[/interface get vlan5 type]") == "vlan"
    await router.run("/interface disable vlan5")
    assert await router.put("[/interface vlan get vlan5 disabled]") == "true"


async def test_where_filters(router) -> None:
    assert await router.put("[:len [/ip firewall filter find where chain=input and action=drop]]") == "2"
    assert await router.put('[:len [/ip firewall filter find where comment~"^defconf" && chain=forward]]') == "3"
    assert await router.put("[:len [/ip firewall filter find chain=input]]") == "4"
    assert await router.put("[:len [/ip firewall filter find where !disabled]]") == "7"


async def test_rules_can_be_placed_and_moved(router) -> None:
    await router.run("/ip firewall filter add chain=input action=drop comment=first place-before=0")
    assert await router.put("[/ip firewall filter get 0 comment]") == "first"
    await router.run("/ip firewall filter move [find comment=first]")
    assert await router.put("[/ip firewall filter get 7 comment]") == "first"


async def test_a_menu_line_is_the_current_menu_of_the_following_lines(router) -> None:
    await router.run(
        "/ip address\nadd address=10.0.0.1/24 interface=bridge\nadd address=10.0.1.1/24 interface=bridge\n"
    )
    assert await router.put("[/ip address print count-only]") == "3"


async def test_every_change_is_in_the_journal_the_log_and_the_history(router) -> None:
    await router.run("/ip address add address=10.0.0.1/24 interface=bridge")
    [event] = router.journal.events("site", Kind.CHANGED)
    assert (event.facts["menu"], event.facts["verb"]) == ("/ip/address", "add")
    assert await router.put('[:len [/log find where message="address added by ops"]]') == "1"
    assert "address added" in await router.run("/system history print")


async def test_print_forms(router) -> None:
    table = await router.run("/ip address print")
    assert table.splitlines()[0] == "Columns: ADDRESS, NETWORK, INTERFACE"
    assert "0 192.168.88.1/24  192.168.88.0  bridge   \n" in table  # padded with blanks
    terse = await router.run("/ip address print terse")
    assert terse == " 0   comment=defconf address=192.168.88.1/24 network=192.168.88.0 interface=bridge \n"
    assert "address=192.168.88.1/24" in await router.run("/ip address print detail")
    assert await router.run("/ip address print count-only") == "1\n"
    assert await router.run(":if (true) do={ /ip address print count-only }") == "1\n"
    assert await router.run(":local n [/ip address print count-only]") == ""
    assert await router.run("/ip address print as-value") == ""
    assert "address=192.168.88.1/24" in await router.put("[/ip address print as-value]")
    assert await router.run("/system identity print") == "  name: MikroTik\n\n"


async def test_identification_commands(router, make_router) -> None:
    assert await router.put("[/system resource get version]") == "7.24.4 (stable)"
    assert await router.put("[/system resource get uptime]") == "1d02:03:04"
    assert await router.put("[/system resource get total-memory]") == "268435456"
    assert await router.put("[/system routerboard get serial-number]") == "HC0000000AA"
    virtual = make_router(chr=True)
    assert await virtual.run("/system routerboard print") == "  routerboard: no\n\n"
    assert "HC" not in await virtual.run(":put [/system routerboard get serial-number]")


async def test_file_menu(router) -> None:
    await router.run('/file add name=a.txt contents="hello"')
    assert await router.put('[/file get [find name="a.txt"] size]') == "5"
    await router.run('/file set a.txt contents="hello world"')
    assert router.router.files.get("a.txt").content == b"hello world"
    await router.run('/file remove [find name="a.txt"]')
    assert await router.put('[:len [/file find name="a.txt"]]') == "0"


async def test_contents_of_more_than_60_kb_are_refused(router) -> None:
    await router.run("/file add name=a.txt")
    assert "failure: contents too long" in await router.run(f'/file set a.txt contents="{"x" * 61440}"')


async def test_an_item_can_be_a_copy(router) -> None:
    await router.run('/ip firewall filter add copy-from=1 comment=copy place-before=[find comment~"ICMP"]')
    assert await router.put("[/ip firewall filter get 2 comment]") == "copy"
    assert await router.put("[/ip firewall filter get 2 connection-state]") == "invalid"
    assert "no such item" in await router.run("/ip firewall filter add copy-from=[find comment=none]")
