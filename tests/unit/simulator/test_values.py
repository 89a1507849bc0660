"""What properties accept: the forms that are kept, and the refusals, in RouterOS's words."""

from __future__ import annotations

from datetime import timedelta

import pytest

KEPT = [
    # what is given, and what an export shows of it
    ("/ip address add interface=bridge address", "10.0.0.1", "address=10.0.0.1/32"),
    ("/ip address add interface=bridge netmask=255.255.255.0 address", "10.0.0.1", "address=10.0.0.1/24"),
    ("/ip route add gateway=10.0.0.1 dst-address", "10.1.2.3/16", "dst-address=10.1.0.0/16"),
    ("/ip route add gateway=10.0.0.1 dst-address", "10.1.2.3", "dst-address=10.1.2.3/32"),
    ("/ip firewall address-list add list=x address", "10.1.2.3/32", "address=10.1.2.3 "),
    ("/ip firewall address-list add list=x address", "10.1.2.3/24", "address=10.1.2.0/24"),
    ("/ip firewall address-list add list=x address", "10.1.2.3-10.1.2.9", "address=10.1.2.3-10.1.2.9"),
    ("/ip firewall address-list add list=x address", "www.example.com", "address=www.example.com"),
    ("/ip firewall filter add chain=input src-address", "!10.1.2.3/8", "src-address=!10.0.0.0/8"),
    ("/ip firewall filter add chain=input protocol=tcp dst-port", "80,1000-2000", "dst-port=80,1000-2000"),
    ("/ip firewall filter add chain=input connection-state", "new,invalid", "connection-state=new,invalid"),
    ("/ip firewall filter add chain=input connection-state", "!new", "connection-state=!new"),
    ("/ip firewall filter add chain=input in-interface", "!ether1", "in-interface=!ether1"),
    ("/ip dhcp-server lease add address=10.0.0.1 mac-address", "aa-bb-cc-dd-ee-0f", "mac-address=AA:BB:CC:DD:EE:0F"),
    ("/system scheduler add name=x interval", "90m", "interval=1h30m"),
    ("/system scheduler add name=x interval", "1d02:03:04", "interval=1d2h3m4s"),
    ("/radius add address=10.0.0.1 secret=x timeout", "1500ms", "timeout=1s500ms"),
    ("/queue simple add name=q target=10.0.0.1/32 max-limit", "10000000/512000", "max-limit=10M/512k"),
    ("/interface bridge add name=b protocol-mode", "ms", "protocol-mode=mstp"),  # the console completes a value
    ("/interface vlan add name=v vlan-id=0x0A interface", "brid", "interface=bridge name=v vlan-id=10"),
    ("/ip service set www address", "10.0.0.1,10.1.0.0/16", "set www address=10.0.0.1/32,10.1.0.0/16"),
    ("/user group add name=g policy", "rea,!ftp,ssh", "policy=read,!ftp,ssh"),
    ("/ip dns set cache-size", "4096", "cache-size=4096KiB"),
    ("/ip dns set servers", "1.1.1.1,2606:4700::1111", "servers=1.1.1.1,2606:4700::1111"),
    ("/ip dhcp-server network add gateway=10.0.0.1 address", "10.0.0.7/24", "address=10.0.0.0/24"),
    ("/interface vrrp add name=v interface=ether1 vrid", "7", "vrid=7"),
    ("/interface bridge vlan add bridge=bridge tagged=bridge,ether2 vlan-ids", "10,20-30", "vlan-ids=10,20-30"),
]


@pytest.mark.parametrize(("line", "value", "shown"), KEPT)
async def test_a_value_is_kept_as_an_export_shows_it(router, line: str, value: str, shown: str) -> None:
    assert await router.run(f"{line}={value}") == ""
    joined = router.body().replace("\\\n    ", "").replace("\n", " ")
    assert shown in joined
    assert await router.again() == router.body(secrets=True)


REFUSED = [
    ("/ip address add address=10.0.0.1/33 interface=bridge", "invalid value for argument address"),
    ("/ip address add address=foo interface=bridge", "invalid value for argument address"),
    ("/ip address add address=10.0.0.1/24 interface=e", "ambiguous value of interface, more than one possible value"),
    ("/ip address add address=10.0.0.1/24 interface=x", "input does not match any value of interface"),
    ("/interface vlan add name=v interface=bridge vlan-id=0", "value of vlan-id out of range (1..4094)"),
    ("/interface vlan add name=v interface=bridge vlan-id=4095", "value of vlan-id out of range (1..4094)"),
    ("/interface bridge port add interface=ether1 bridge=bridge pvid=5000", "value of pvid out of range (1..4094)"),
    ("/interface bridge port add interface=ether1 bridge=ether2", "input does not match any value of bridge"),
    ("/interface bridge port add interface=ether2 bridge=bridge", "failure: device already added as bridge port"),
    ("/interface bridge add name=x mtu=15x", "value of mtu contains invalid trailing characters"),
    ("/interface bridge add name=x mtu=big", "invalid value for argument mtu"),
    ("/interface bonding add name=x", "failure: need at least one slave interface"),
    ("/ip arp add address=10.0.0.1 interface=ether1 mac-address=12", "invalid value of mac-address, mac address required"),
    ("/ip dhcp-server add name=d interface=ether1 address-pool=nope", "input does not match any value of address-pool"),
    ("/ip pool add name=p ranges=10.0.0.5", None),
    ("/ip pool add name=p ranges=foo", "value of range expects range of ip addresses"),
    ("/ip pool add name=p ranges=foo-10.0.0.5", "value of range must have ip address before '-'"),
    ("/ip pool add name=p ranges=10.0.0.5-foo", "value of range must have ip address after '-'"),
    ("/ip firewall filter add chain=input dst-port=99999 protocol=tcp", "value of dst-port out of range (0..65535)"),
    ("/ip firewall filter add chain=input dst-port=http protocol=tcp", "invalid value for argument dst-port"),
    ("/ip firewall filter add chain=input connection-state=old", "input does not match any value of connection-state"),
    ("/ip firewall filter add chain=input in-interface-list=X", "input does not match any value of in-interface-list"),
    ("/ip firewall filter add chain=input place-before=[find comment=none]", "no such item"),
    ("/ip firewall address-list add list=x address=-bad-", "invalid value for argument address"),
    ("/ip route add dst-address=10.0.0.0/8 gateway=1.1.1.1 distance=0", "value of distance out of range (1..255)"),
    ("/ip route add gateway=1.1.1.1 routing-table=nope", "input does not match any value of routing-table"),
    ("/ip dns set servers=1.1.1.1,999.1.1.1", "invalid value for argument servers"),
    ("/ip dns set cache-max-ttl=soon", "invalid value for argument cache-max-ttl"),
    ("/ppp secret add name=x profile=nope", "input does not match any value of profile"),
    ("/ppp secret add name=x profile=default service=l2tp; /ppp secret add name=x service=l2tp", "failure: secret with"),
    ("/user add name=x password=y group=nope", "input does not match any value of group"),
    ("/user group add name=x policy=everything", "input does not match any value of policy"),
    ("/queue simple add name=q target=10.0.0.1 max-limit=fast", "invalid value for argument max-limit"),
    ("/queue simple add name=q target=a; /queue simple add name=q target=b", "failure: already have such name"),
    ("/system clock set time=25:00:00", "invalid value for argument time"),
    ("/system clock set date=feb/31/2026", "invalid value for argument date"),
    ("/snmp set trap-version=9", "value of trap-version out of range (1..3)"),
    ("/ip route remove [find dynamic]", "failure: can not remove dynamic route"),
    ("/ip route set [find dynamic] distance=5", "failure: can not change dynamic route"),
    ("/interface bridge set bridge name=ether1", "failure: already have interface with name ether1"),
    ("/interface bridge set bridge name=\"\"", "invalid value for argument name"),
    ("/ip address get 0 colour", "input does not match any value of value-name"),
    ("/ip firewall filter unset 0 colour", "input does not match any value of value-name"),
    ("/interface get [find] name", "can not get value of several items"),
    ("/ip address get [find comment=nobody] address", "no such item"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), REFUSED)
async def test_a_refusal_is_in_the_words_of_a_router(router, line: str, message: str | None) -> None:
    printed = await router.run(line)
    if message is None:
        assert printed == ""
        return
    assert printed.startswith(message)
    assert "; line 1)\n" in printed


async def test_a_refused_change_changes_nothing(router) -> None:
    before = router.body(secrets=True)
    for line, message in REFUSED:
        if message is not None and ";" not in line:
            await router.run(line)
    assert router.body(secrets=True) == before


async def test_what_an_enum_does_not_have_is_found_before_anything_runs(router) -> None:
    printed = await router.run(":put before; /ip firewall filter add chain=input action=explode")
    assert printed == "syntax error (line 1 column 57)\n"


async def test_a_rename_is_seen_wherever_the_item_is_named(router) -> None:
    await router.run("/ip firewall filter add chain=input in-interface=!ether1")
    await router.run("/interface bridge vlan add bridge=bridge tagged=bridge,ether2,ether1 vlan-ids=7")
    await router.run("/interface set [find default-name=ether1] name=uplink")
    await router.run("/interface bridge set bridge name=lan")
    await router.run("/interface list set WAN name=outside")
    await router.run("/ip pool set default-dhcp name=pool9")
    await router.run("/ppp profile add name=p1; /ppp secret add name=u profile=p1; /ppp profile set p1 name=p2")
    body = router.body()
    for text in (
        "set [ find default-name=ether1 ] name=uplink\n",
        "in-interface=!uplink\n",
        "tagged=lan,ether2,uplink",
        "add bridge=lan comment=defconf interface=ether2\n",
        "interface=uplink list=outside\n",
        "out-interface-list=outside\n",
        "address-pool=pool9 interface=lan name=defconf\n",
        "add name=u profile=p2\n",
    ):
        assert text in body
    assert "ether1 " not in body.replace("default-name=ether1 ", "")
    assert await router.again() == router.body(secrets=True)


async def test_what_refers_to_a_removed_item_shows_its_bare_id(router) -> None:
    await router.run(
        "/interface vlan add name=v7 vlan-id=7 interface=bridge; /ip address add address=10.7.0.1/24 interface=v7"
    )
    number = await router.put("[/interface vlan find name=v7]")
    await router.run("/interface vlan remove v7")
    assert f"interface={number} network=10.7.0.0" in router.body()
    assert await router.put("[:len [/ip route find dst-address=10.7.0.0/24]]") == "0"
    assert await router.put("[/ip address print count-only where invalid]") == "1"


async def test_items_without_a_name_are_named_by_their_kind(router) -> None:
    await router.run("/interface bridge add; /interface bridge add; /ip pool add ranges=10.0.0.1-10.0.0.9")
    assert await router.put("[/interface bridge get bridge2 name]") == "bridge2"
    assert await router.put("[/ip pool get pool1 ranges]") == "10.0.0.1-10.0.0.9"


async def test_an_address_list_entry_with_a_timeout_is_dynamic(router) -> None:
    await router.run("/ip firewall address-list add list=t address=10.0.0.1 timeout=1h")
    await router.run("/ip firewall address-list add list=t address=10.0.0.2 timeout=none-static")
    assert await router.put("[/ip firewall address-list print count-only where list=t dynamic]") == "1"
    assert "10.0.0.1 " not in router.body()
    assert "10.0.0.2 " in router.body()
    assert await router.run("/ip firewall address-list remove [find list=t]") == ""


async def test_an_address_list_entry_ends_with_its_timeout(router) -> None:
    await router.run(
        "/ip firewall address-list add list=t address=10.0.0.1 timeout=1h; /ip firewall address-list add list=t address=10.0.0.2"
    )
    router.router.clock_error += timedelta(minutes=20)
    left = await router.put("[/ip firewall address-list get [find address=10.0.0.1] timeout]")
    assert left.startswith("00:39:")
    router.router.clock_error += timedelta(minutes=41)
    assert await router.put("[/ip firewall address-list print count-only where list=t]") == "1"
    assert await router.run("/ip firewall address-list add list=t address=10.0.0.1 timeout=1h") == ""
    await router.run("/ip firewall address-list set [find address=10.0.0.1] timeout=2d")
    router.router.clock_error += timedelta(hours=30)
    assert await router.put("[/ip firewall address-list print count-only where list=t]") == "2"


async def test_wireguard_makes_the_keys_that_it_was_not_given(router) -> None:
    await router.run("/interface wireguard add name=wg1; /interface wireguard add name=wg2")
    first, second = [await router.put(f"[/interface wireguard get {name} public-key]") for name in ("wg1", "wg2")]
    assert len(first) == len(second) == 44
    assert first != second
    assert "key" not in router.body()
    # The pair of RFC 7748, section 6.1.
    await router.run('/interface wireguard set wg1 private-key="dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo="')
    assert (
        await router.put("[/interface wireguard get wg1 public-key]") == "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
    )
    assert "invalid value for argument private-key" in await router.run("/interface wireguard set wg1 private-key=abc")
    assert await router.again() == router.body(secrets=True)


async def test_an_emptied_property_is_gone(router) -> None:
    await router.run('/ip firewall filter set 1 connection-state="" comment=""')
    assert "add action=drop chain=input\n" in router.body()
    await router.run("/ip firewall filter set 2 !protocol")
    assert 'add action=accept chain=input comment="defconf: accept ICMP"\n' in router.body()
    await router.run("/ip firewall filter unset 2 comment")
    assert "add action=accept chain=input\n" in router.body()


async def test_an_enabled_address_makes_a_connected_route(router) -> None:
    assert await router.put("[/ip route get [find dst-address=192.168.88.0/24] gateway]") == "bridge"
    assert "DAc" in await router.run("/ip route print")
    await router.run("/ip address disable 0")
    assert await router.put("[/ip route print count-only]") == "0"
    await router.run("/ip route add dst-address=10.0.0.0/8 blackhole")
    assert "/ip route\nadd blackhole dst-address=10.0.0.0/8\n" in router.body()


async def test_the_clock_can_be_set(router) -> None:
    await router.run("/system clock set date=jan/02/2031 time=03:04:05 time-zone-name=Europe/Riga")
    assert await router.put("[/system clock get date]") == "2031-01-02"
    assert (await router.put("[/system clock get time]")).startswith("03:04:0")
    assert await router.put("[:typeof [/system clock get time]]") == "time"
    assert "/system clock\nset time-zone-name=Europe/Riga\n" in router.body()
    assert "2031-01-02" in router.export().splitlines()[0]
    assert "date: 2031-01-02" in await router.run("/system clock print")


async def test_every_interface_has_an_address_of_its_own_or_of_what_it_stands_on(router) -> None:
    await router.run("/interface bridge add name=b2; /interface vlan add name=v2 vlan-id=2 interface=b2")
    assert await router.put("[/interface bridge get bridge mac-address]") == "48:8F:5A:00:00:01"
    mac = await router.put("[/interface bridge get b2 mac-address]")
    assert mac.startswith("02:00:5E:")
    assert await router.put("[/interface get v2 mac-address]") == mac
    await router.run("/interface vlan add name=v3 vlan-id=3 interface=v2; /interface vlan set v2 interface=v3")
    assert await router.put("[:len [/interface vlan get v2 mac-address]]") == "17"
