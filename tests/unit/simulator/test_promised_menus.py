"""The menus that a script of today touches, written out: each prints, and takes an add or a set, on RouterOS 6 and 7."""

from __future__ import annotations

import pytest

# A line that changes something, and what "print" then shows; a list also loses the item again.
LISTS = {
    "/ip address": ("address=192.0.2.1/24 interface=bridge", "192.0.2.1/24"),
    "/ip route": ("dst-address=198.51.100.0/24 gateway=192.168.88.9", "198.51.100.0/24"),
    "/ip firewall filter": ("chain=forward action=drop protocol=tcp dst-port=23", "forward"),
    "/ip firewall nat": ("chain=dstnat action=dst-nat to-addresses=192.168.88.9 protocol=tcp dst-port=81", "dstnat"),
    "/ip firewall mangle": ("chain=prerouting action=mark-packet new-packet-mark=voice", "prerouting"),
    "/ip firewall address-list": ("list=blocked address=198.51.100.7", "blocked"),
    "/ip dns static": ("name=printer.lan address=192.168.88.40", "printer.lan"),
    "/ip dhcp-server": ("name=guests interface=ether4 disabled=yes", "guests"),
    "/ip dhcp-server network": ("address=198.51.100.0/24 gateway=198.51.100.1", "198.51.100.0/24"),
    "/ip dhcp-server lease": ("address=192.168.88.50 mac-address=02:00:00:00:00:01", "192.168.88.50"),
    "/ip dhcp-client": ("interface=ether5 disabled=yes", "ether5"),
    "/ip pool": ("name=guests ranges=198.51.100.10-198.51.100.20", "guests"),
    "/interface bridge": ("name=guests", "guests"),
    "/interface bridge port": ("bridge=bridge interface=vlan7", "vlan7"),
    "/interface bridge vlan": ("bridge=bridge tagged=bridge vlan-ids=7", "bridge"),
    "/interface vlan": ("name=vlan8 interface=ether2 vlan-id=8", "vlan8"),
    "/interface list": ("name=GUESTS", "GUESTS"),
    "/interface list member": ("list=LAN interface=ether3", "ether3"),
    "/ppp profile": ("name=guests local-address=10.255.0.1", "guests"),
    "/ppp secret": ("name=eve password=secret profile=default", "eve"),
    "/user": ("name=eve group=read password=secret", "eve"),
    "/user group": ("name=watchers policy=read,ssh", "watchers"),
    "/system scheduler": ("name=nightly interval=1d on-event=:beep", "nightly"),
    "/system script": ("name=beep source=:beep", "beep"),
    "/system logging": ("topics=dhcp action=memory", "dhcp"),
    "/queue simple": ("name=guests target=198.51.100.0/24 max-limit=1M/1M", "guests"),
    "/snmp community": ("name=watch addresses=192.168.88.0/24", "watch"),
    "/tool netwatch": ("host=192.0.2.99", "192.0.2.99"),
}
ON_7 = {
    "/interface wireguard": ("name=wg1 listen-port=13231", "wg1"),
    "/interface wireguard peers": (
        'interface=wg0 allowed-address=198.51.100.2/32 public-key="HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw="',
        "wg0",
    ),
    "/routing table": ("name=isp2 fib", "isp2"),
    "/system ntp client servers": ("address=192.0.2.123", "192.0.2.123"),
}
SETS = {
    "/ip dns": ("allow-remote-requests=yes", "allow-remote-requests: yes"),
    "/system identity": ("name=renamed", "name: renamed"),
    "/system clock": ("time-zone-name=Europe/Berlin", "time-zone-name: Europe/Berlin"),
    "/system ntp client": ("enabled=yes", "enabled: yes"),
    "/system note": ("note=hello", "note: hello"),
    "/snmp": ("enabled=yes contact=me", "contact: me"),
    "/ip ssh": ("strong-crypto=yes", "strong-crypto: yes"),
}
CHOSEN = {
    "/ip service": ("set telnet disabled=yes", ":put [get telnet disabled]", "true"),
    "/interface": ("set ether3 comment=desk", ":put [get ether3 comment]", "desk"),
    "/interface ethernet": ("set ether3 comment=desk", ":put [get ether3 comment]", "desk"),
}
PRINTED = {
    "/system resource": "version: ",
    "/system routerboard": "serial-number: ",
    "/system package": "routeros",
    "/system clock": "time: ",
    "/log": "",
    "/file": "",
}
CASES = [
    *[("6.49.10", menu, *LISTS[menu]) for menu in LISTS],
    *[("7.24.4", menu, *case) for menu, case in {**LISTS, **ON_7}.items()],
]


@pytest.mark.parametrize(("version", "menu", "words", "shown"), CASES)
async def test_a_list_takes_an_item_prints_it_and_gives_it_back(make_router, version, menu, words, shown) -> None:
    router = make_router(version)
    assert await router.run("/interface vlan add name=vlan7 interface=ether2 vlan-id=7") == ""
    if version != "6.49.10":
        assert await router.run("/interface wireguard add name=wg0") == ""
    before = router.body(secrets=True)
    number = await router.put(f"[{menu} add {words}]")
    assert number.startswith("*"), number
    assert shown in await router.run(f"{menu} print")
    if menu != "/system logging":  # which has no comments
        assert await router.run(f"{menu} set {number} comment=changed") == ""
        assert await router.put(f"[{menu} get {number} comment]") == "changed"
    assert await router.run(f"{menu} remove {number}") == ""
    assert router.body(secrets=True) == before


@pytest.mark.parametrize("menu", SETS)
@pytest.mark.parametrize("version", ["6.49.10", "7.24.4"])
async def test_a_menu_of_one_item_is_set_and_prints_it(make_router, version: str, menu: str) -> None:
    router = make_router(version)
    words, shown = SETS[menu]
    assert shown not in await router.run(f"{menu} print")
    assert await router.run(f"{menu} set {words}") == ""
    assert shown in await router.run(f"{menu} print")


@pytest.mark.parametrize("menu", CHOSEN)
@pytest.mark.parametrize("version", ["6.49.10", "7.24.4"])
async def test_an_item_that_came_with_the_router_is_set(make_router, version: str, menu: str) -> None:
    router = make_router(version)
    line, look, shown = CHOSEN[menu]
    assert await router.run(f"{menu}\n{look}") != f"{shown}\n"
    assert await router.run(f"{menu} {line}") == ""
    assert await router.run(f"{menu}\n{look}") == f"{shown}\n"


@pytest.mark.parametrize("menu", PRINTED)
@pytest.mark.parametrize("version", ["6.49.10", "7.24.4"])
async def test_a_menu_is_printed(make_router, version: str, menu: str) -> None:
    router = make_router(version)
    router.router.files.put("a.rsc", b":put 1\n")
    router.router.write_log("system,info", "hello")
    printed = await router.run(f"{menu} print")
    assert PRINTED[menu] in printed
    assert printed.strip()
    assert "bad command name" not in printed


@pytest.mark.parametrize("version", ["6.49.10", "7.24.4"])
async def test_a_backup_is_saved(make_router, version: str) -> None:
    router = make_router(version)
    assert await router.run("/system backup save name=b password=secret") == "Configuration backup saved\n"
    assert "b.backup" in await router.run("/file print")
