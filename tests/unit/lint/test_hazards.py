"""What may cut the way to a router, destroy, or end a script without proof: found where it is, and only there."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tminus.routeros.lint import Finding, Severity, inspect

DANGER, WARNING, NOTE = Severity.DANGER, Severity.WARNING, Severity.NOTE


def found(script: str | bytes, **options: timedelta) -> dict[str, Finding]:
    source = script.encode() if isinstance(script, str) else script
    return {each.code: each for each in inspect(source, **options).findings}


def serious(script: str) -> dict[str, Severity]:
    return {code: each.severity for code, each in found(script).items() if each.severity is not NOTE}


HAZARDS: list[tuple[str, str, Severity]] = [
    # The firewall, on the way to the router itself.
    ("/ip firewall filter add chain=input action=drop", "firewall-input-drop", DANGER),
    ("/ip/firewall/filter/add action=reject chain=input", "firewall-input-drop", DANGER),
    ("/ip fire fi add chain=input action=drop", "firewall-input-drop", DANGER),
    ("/ip firewall filter add chain=output action=drop", "firewall-input-drop", DANGER),
    ("/ip firewall filter add chain=input action=drop src-address-list=blacklist", "firewall-input-drop", WARNING),
    ("/ip firewall filter add chain=input action=drop in-interface=ether1", "firewall-input-drop", WARNING),
    ("/ip firewall filter add chain=input action=drop connection-nat-state=!dstnat", "firewall-input-drop", WARNING),
    ("/ip firewall filter add chain=input action=drop protocol=tcp", "firewall-input-drop", DANGER),
    ("/ip firewall filter add chain=input action=drop connection-state=new log=yes", "firewall-input-drop", DANGER),
    (":global c; /ip firewall filter add chain=$c action=drop", "firewall-input-drop", DANGER),
    ("/ip firewall filter add chain=input", "firewall-input-open", WARNING),
    ("/ip firewall filter add chain=input action=jump jump-target=mine", "firewall-input-jump", WARNING),
    ("/ip firewall filter add chain=forward action=drop", "firewall-forward-drop", WARNING),
    ("/ip ipsec peer disable [find]", "vpn-changed", WARNING),
    ("/ppp secret remove [find name=x]", "vpn-changed", WARNING),
    ("/ip hotspot add interface=ether1 name=h", "hotspot-changed", WARNING),
    ("/system watchdog set watch-address=1.2.3.4", "watchdog-changed", WARNING),
    ("/system logging disable [find topics~error]", "logging-changed", NOTE),
    ("/system ssh-exec address=1.2.3.4 user=x command=y", "other-device", WARNING),
    ("/system scheduler add name=x interval=1d on-event=y", "stored-for-later", NOTE),
    ("/ip firewall raw add chain=prerouting action=drop", "firewall-input-drop", DANGER),
    ("/ipv6 firewall filter add chain=input action=drop", "firewall-input-drop", DANGER),
    ("/interface bridge filter add chain=input action=drop", "firewall-input-drop", DANGER),
    ("/ip firewall filter remove 0", "firewall-rule-changed", DANGER),
    ("/ip firewall filter remove [find]", "firewall-rule-changed", DANGER),
    ("/ip firewall filter disable [find comment=x]", "firewall-rule-changed", WARNING),
    ("/ip firewall filter enable [find comment=x]", "firewall-rule-changed", WARNING),
    ("/ip firewall filter move 3 0", "firewall-rule-changed", DANGER),
    ("/ip firewall filter set [find chain=input] action=drop", "firewall-rule-changed", DANGER),
    ("/ip firewall raw remove [find]", "firewall-rule-changed", DANGER),
    ("/interface bridge settings set use-ip-firewall=yes", "firewall-rule-changed", WARNING),
    ("/ip firewall nat add chain=dstnat action=dst-nat to-addresses=10.0.0.2", "nat-redirect", WARNING),
    ("/ip firewall nat add chain=dstnat action=redirect protocol=tcp dst-port=22,80", "nat-redirect", WARNING),
    # Addresses, interfaces, routes.
    ("/ip address set [find address=1.2.3.4/24] address=1.2.3.5/24", "address-changed", DANGER),
    ("/ip address remove [find interface=ether1]", "address-changed", DANGER),
    ("/ip address disable 0", "address-changed", DANGER),
    ("/ipv6 address remove [find]", "address-changed", DANGER),
    ("/ip dhcp-client release ether1", "address-changed", DANGER),
    ("/interface disable ether1", "interface-changed", DANGER),
    ("/interface set ether1 disabled=yes", "interface-changed", DANGER),
    ("/interface ethernet set ether1 mtu=1400", "interface-changed", WARNING),
    ("/interface vlan remove [find name=mgmt]", "interface-changed", DANGER),
    ("/interface wireguard peers remove [find comment=x]", "interface-changed", DANGER),
    ("/interface wireless set wlan1 ssid=x", "interface-changed", WARNING),
    ("/interface bridge port add bridge=b interface=ether1", "bridge-port-changed", WARNING),
    ("/interface bridge port remove [find interface=ether1]", "bridge-port-changed", DANGER),
    ("/interface bridge port set 0 pvid=20", "bridge-port-changed", DANGER),
    ("/interface bridge set bridge vlan-filtering=yes", "vlan-filtering-changed", DANGER),
    ("/interface bridge add name=b vlan-filtering=yes", "vlan-filtering-changed", WARNING),
    ("/interface bridge vlan remove [find vlan-ids=10]", "vlan-changed", DANGER),
    ("/interface list member remove [find list=LAN]", "interface-list-changed", DANGER),
    ("/ip route add gateway=10.0.0.1", "default-route-changed", DANGER),
    ("/ip route add dst-address=0.0.0.0/0 gateway=10.0.0.1", "default-route-changed", DANGER),
    ("/ip route add dst-address=10.1.0.0/16 gateway=10.0.0.1", "route-changed", WARNING),
    ("/ip route remove [find dst-address=10.1.0.0/16]", "route-changed", DANGER),
    ("/routing ospf instance disable 0", "route-changed", DANGER),
    ("/routing table add name=x fib; /routing rule add dst-address=1.2.3.0/24 action=drop", "route-changed", WARNING),
    ("/ip route rule add dst-address=1.2.3.0/24 action=drop", "route-changed", WARNING),
    ("/ip settings set rp-filter=strict", "route-changed", WARNING),
    ("/ip firewall mangle add chain=output action=mark-routing new-routing-mark=x", "route-changed", WARNING),
    # The SSH service, keys and users.
    ("/ip service set ssh disabled=yes", "ssh-service-changed", DANGER),
    ("/ip service set ssh port=2222", "ssh-service-changed", DANGER),
    ("/ip service disable telnet,ssh", "ssh-service-changed", DANGER),
    ("/ip service set [find name=ssh] address=10.0.0.0/8", "ssh-service-changed", DANGER),
    ("/ip service set [find] address=10.0.0.0/8", "ssh-service-changed", DANGER),
    ("/ip service set numbers=2 disabled=yes", "ssh-service-changed", DANGER),
    ('/ip service disable [find name~"telnet|ssh"]', "ssh-service-changed", DANGER),
    ("/ip ssh set strong-crypto=yes", "ssh-settings-changed", DANGER),
    ("/ip ssh regenerate-host-key", "host-key-changed", DANGER),
    ("/user add name=x group=full password=y", "user-changed", WARNING),
    ("/user set admin password=y", "user-changed", DANGER),
    ("/user remove [find name=x]", "user-changed", DANGER),
    ("/user group set full policy=read", "user-changed", DANGER),
    ("/user ssh-keys import public-key-file=x user=admin", "user-key-changed", DANGER),
    ("/password old-password=a new-password=b confirm-new-password=b", "user-changed", DANGER),
    # What ends it, or destroys.
    ("/system reboot", "reboot", DANGER),
    ("/sys reb", "reboot", DANGER),
    ("/system shutdown", "shutdown", DANGER),
    ("/system reset-configuration no-defaults=yes", "reset-configuration", DANGER),
    ("/system package update install", "upgrade", DANGER),
    ("/system package downgrade", "upgrade", DANGER),
    ("/system routerboard upgrade", "firmware-upgrade", DANGER),
    ("/sys routerb upg", "firmware-upgrade", DANGER),
    ("/system routerboard settings set boot-device=flash-boot", "firmware-settings", WARNING),
    ('/system backup load name=x password=""', "backup-load", DANGER),
    ("/import file-name=other.rsc", "imports-file", DANGER),
    ("/file remove [find]", "file-removed", DANGER),
    ("/file remove backup.rsc", "file-removed", WARNING),
    ("/certificate remove [find name=x]", "certificate-removed", DANGER),
    ("/system device-mode update mode=enterprise", "device-mode", DANGER),
    ("/quit", "ends-without-marker", DANGER),
    (":exit", "ends-without-marker", DANGER),
    ("/undo", "undo", DANGER),
    ("/system script run other", "runs-stored-script", WARNING),
    (":global f; $f 1", "runs-stored-function", WARNING),
]


@pytest.mark.parametrize(("script", "code", "severity"), HAZARDS, ids=[row[0] for row in HAZARDS])
def test_a_hazard_is_found(script: str, code: str, severity: Severity) -> None:
    assert found(script)[code].severity is severity


HARMLESS = [
    ":put hello",
    "/ip firewall filter add chain=forward action=drop connection-state=invalid",
    "/ppp secret add name=x password=y",
    "/ip firewall filter add chain=input action=accept connection-state=established,related",
    "/ip firewall filter add chain=input action=drop disabled=yes",
    "/ip firewall filter remove [find chain=forward comment=x]",
    "/ip firewall filter set [find chain=input] comment=x",
    "/ip firewall address-list add list=blacklist address=1.2.3.4",
    "/ip firewall nat add chain=srcnat action=masquerade out-interface=ether1",
    "/ip firewall nat add chain=dstnat action=dst-nat protocol=tcp dst-port=443 to-addresses=10.0.0.2",
    "/ip address add address=1.2.3.4/24 interface=ether1",
    "/ip address set [find interface=ether1] comment=x",
    "/ip address print",
    "/interface set ether1 comment=uplink name=wan",
    "/interface vlan add name=v10 vlan-id=10 interface=ether1",
    "/interface list member add list=WAN interface=ether1",
    "/interface print",
    "/ip route print where gateway=10.0.0.1",
    "/ip service disable telnet,ftp,www",
    "/ip service set [find name=telnet] disabled=yes",
    "/ip service set [find name!=ssh] disabled=yes",
    "/ip service enable ssh",
    "/user print",
    ":put [/user get admin group]",
    "/system identity set name=x",
    "/system scheduler add name=x interval=1d on-event=nightly",
    "/system backup save name=x",
    "/file print",
    "/export",
    ':log info "system reboot"',
    '# /system reboot\n:put "/system reboot"',
    ":local f do={ :put $1 }; $f 1",
]  # fmt: skip


@pytest.mark.parametrize("script", HARMLESS)
def test_what_is_harmless_is_not_told_of(script: str) -> None:
    assert serious(script) == {}


WRAPPED = [
    ":do { /system reboot } on-error={ :put x }",
    ":if (true) do={ :put a } else={ /system reboot }",
    ":local f do={ /system reboot }; $f",
    ":foreach i in={1;2} do={ /system reboot }",
    ":onerror e in={ /system reboot } do={ :put $e }",
    ":put [/system reboot]",
    ':put "now $[/system reboot]"',
    ':execute "/system reboot"',
    ":execute script={ /system reboot }",
    ':execute ("/system " . "reboot")',
    ':local c "/system reboot"; :execute $c',
    ':local c ("/system " . "reboot"); :execute $c',
    ':local f [:parse "/system reboot"]; $f',
    '[:parse "/system reboot"]',
    ':local n 5; :execute "/system reboot; :put $n"',
    "/system\nreboot",
    "/system {\nreboot\n}",
    "/ip address\n/system reboot",
    "/ip address\n.. .. system reboot",
    ':execute ":execute \\"/system reboot\\""',
]


@pytest.mark.parametrize("script", WRAPPED)
def test_a_hazard_is_found_inside_of_what_is_around_it(script: str) -> None:
    assert "reboot" in found(script)


STORED = [
    '/system script add name=x source="/system reboot"',
    "/system script add name=x source={ /system reboot }",
    '/system scheduler add name=x on-event="/system reboot" interval=1d',
    '/tool netwatch add host=1.2.3.4 down-script="/system reboot"',
    '/ip dhcp-server add name=x interface=ether1 lease-script="/system reboot"',
]


@pytest.mark.parametrize("script", STORED)
def test_code_that_is_stored_for_later_is_read_too_and_told_as_such(script: str) -> None:
    assert "not now" in found(script)["reboot"].message


def test_code_in_a_string_is_placed_at_the_string() -> None:
    reboot = found(':put x\n/system script add name=x source=":put 1; /system reboot"')["reboot"]
    assert (reboot.line, reboot.column) == (2, 34)


def test_a_place_is_where_the_command_begins() -> None:
    reboot = found(":put x;\n\t:do {\n    /system reboot }")["reboot"]
    assert (reboot.line, reboot.column) == (3, 5)


def test_code_that_is_made_at_run_time_is_said_to_be_unseen() -> None:
    for script in (
        ":global x; :execute $x",
        ":local x [/file get a contents]; :execute $x",
        ':local c ":put 1"; :set c [/file get a contents]; :execute $c',
        ':local c ":put 1"; :local f do={ :execute $c }; $f c="/system reboot"',
        ':execute "/system $x"',
    ):
        assert "code-made-at-run-time" in found(script), script


def test_a_reboot_and_a_change_of_address_name_the_option_for_expected_disconnects() -> None:
    for script in ("/system reboot", ':execute "/system reboot"', "/ip address remove [find]"):
        assert any("expects_disconnect" in each.message for each in found(script).values()), script
    said = found("/ip address set [find address=1.2.3.4/24] address=1.2.3.5/24").values()
    assert any("the site's return_address" in each.message for each in said)


def test_a_command_that_asks_on_a_terminal_says_how_to_run_it_without() -> None:
    for script in ("/system reboot", "/system reset-configuration", "/system shutdown"):
        assert any(":execute" in each.message for each in found(script).values()), script
    assert "on a terminal" not in found('/system backup load name=x password=""')["backup-load"].message


def test_many_of_a_kind_are_one_finding_with_a_count_and_the_first_place() -> None:
    lines = [f"add list=blacklist address=10.0.{n // 250}.{n % 250}" for n in range(300)]
    lines += ["/interface bridge port", *(f"add bridge=b interface=ether{n}" for n in range(30))]
    lines += ["/ip route", *(f"add dst-address=10.{n}.0.0/16 gateway=10.0.0.1" for n in range(200))]
    findings = inspect("\n".join(["/ip firewall address-list", *lines]).encode()).findings
    assert [(each.code, each.line, each.count) for each in findings] == [
        ("bridge-port-changed", 303, 30),
        ("route-changed", 334, 200),
    ]


def test_different_sayings_of_one_kind_are_few() -> None:
    findings = inspect("\n".join(f":put $a{n}" for n in range(100)).encode()).findings
    undeclared = [each for each in findings if each.code == "undeclared-variable"]
    assert len(undeclared) == 6
    assert sum(each.count for each in undeclared) == 100
    assert undeclared[-1].message.startswith("95 more")


def test_the_worst_comes_first() -> None:
    severities = [each.severity for each in inspect(b":global x 1\n:put $y\n/system reboot\n:put )").findings]
    assert severities == sorted(severities, key=list(Severity).index)
    assert severities[0] is Severity.ERROR
