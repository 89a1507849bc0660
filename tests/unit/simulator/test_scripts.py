"""Scripts as strangers write them, run as a whole: what they print, and what they leave behind."""

from __future__ import annotations

import pytest

DONE = "Script file loaded and executed successfully\n"


async def imported(router, script: str) -> str:
    router.router.files.put("s.rsc", script.encode())
    return await router.run("/import file-name=s.rsc")


async def test_hardening(router) -> None:
    printed = await imported(
        router,
        """
/ip service disable telnet,ftp,www,api,api-ssl
/ip service set ssh port=2200 address=10.0.0.0/8
/ip ssh set strong-crypto=yes
/tool mac-server set allowed-interface-list=none
/ip neighbor discovery-settings set discover-interface-list=!WAN
/system ntp client set enabled=yes
/system ntp client servers add address=pool.ntp.org
:foreach s in=[/ip service find where disabled=no] do={
    :put ("open: " . [/ip service get $s name] . " " . [/ip service get $s port])
}
""",
    )
    assert printed == "open: ssh 2200\nopen: www-ssl 443\nopen: winbox 8291\n" + DONE
    assert "set telnet disabled=yes\nset ftp disabled=yes\nset www disabled=yes\n" in router.body()
    assert await router.again() == router.body(secrets=True)


async def test_an_address_list_brought_to_what_is_wanted(router) -> None:
    script = """
:local wanted {"10.1.0.0/16";"10.2.0.0/16";"192.0.2.7"}
:local name "mgmt"
:foreach id in=[/ip firewall address-list find where list=$name] do={
  :local a [:tostr [/ip firewall address-list get $id address]]
  :if ([:typeof [:find $wanted $a]] = "nil") do={ /ip firewall address-list remove $id; :put "gone $a" }
}
:foreach a in=$wanted do={
  :if ([:len [/ip firewall address-list find where list=$name and address=$a]] = 0) do={
    /ip firewall address-list add list=$name address=$a comment=("added " . $a)
    :put "new $a"
  } else={ :put "kept $a" }
}
"""
    await router.run(
        "/ip firewall address-list add list=mgmt address=10.9.9.9; /ip firewall address-list add list=mgmt address=10.2.0.0/16"
    )
    assert await imported(router, script) == (
        "gone 10.9.9.9\nnew 10.1.0.0/16\nkept 10.2.0.0/16\nnew 192.0.2.7\n" + DONE
    )
    before = router.body()
    assert await imported(router, script) == "kept 10.1.0.0/16\nkept 10.2.0.0/16\nkept 192.0.2.7\n" + DONE
    assert router.body() == before


async def test_vlans_on_a_bridge(router) -> None:
    printed = await imported(
        router,
        """
/interface bridge
add name=br-core protocol-mode=rstp comment=core
/interface bridge port
:foreach p in={"ether3";"ether4"} do={
  /interface bridge port remove [find interface=$p]
  add bridge=br-core interface=$p pvid=20
}
/interface vlan
:for v from=10 to=11 do={ add name=("vlan" . $v) vlan-id=$v interface=br-core }
/interface bridge vlan
add bridge=br-core tagged=br-core,ether2 vlan-ids=10,11
/ip address
:for v from=10 to=11 do={ add address=("10.0." . $v . ".1/24") interface=("vlan" . $v) }
/interface list add name=VLANS
/interface list member
:foreach v in=[/interface vlan find where interface=br-core] do={
  add list=VLANS interface=[/interface vlan get $v name]
}
/interface bridge set br-core vlan-filtering=yes
""",
    )
    assert printed == DONE
    body = router.body()
    for text in (
        "add comment=core name=br-core vlan-filtering=yes\n",
        "add bridge=br-core interface=ether4 pvid=20\n",
        "add interface=br-core name=vlan11 vlan-id=11\n",
        "add bridge=br-core tagged=br-core,ether2 vlan-ids=10,11\n",
        "add address=10.0.11.1/24 interface=vlan11 network=10.0.11.0\n",
        "add interface=vlan11 list=VLANS\n",
    ):
        assert text in body
    assert await router.again() == router.body(secrets=True)


async def test_two_uplinks(router) -> None:
    printed = await imported(
        router,
        """
/routing table add name=to_isp2 fib
/ip route
add dst-address=0.0.0.0/0 gateway=198.51.100.1 check-gateway=ping comment=isp1
add dst-address=0.0.0.0/0 gateway=203.0.113.1 distance=2 comment=isp2 routing-table=to_isp2
set [find comment=isp2] distance=5
:put [get [find comment=isp2] distance]
disable [find where distance>3 and dst-address=0.0.0.0/0]
:put [print count-only where static and disabled]
/routing rule add action=lookup table=to_isp2 src-address=10.2.0.0/16
/ip firewall mangle add chain=prerouting action=mark-routing new-routing-mark=to_isp2 passthrough=no
:if ([/ping 198.51.100.1 count=1 interval=10ms] = 0) do={ /ip route disable [find comment=isp1]; :put "isp1 down" }
:if ([:len [/ip route find where dst-address=0.0.0.0/0 and active]] = 0) do={ :put "no way out" }
""",
    )
    lines = [line for line in printed.splitlines() if not line.startswith(" ") and line]
    assert lines == ["5", "1", "isp1 down", "no way out", DONE.strip()]
    assert "/routing table\nadd fib name=to_isp2\n" in router.body()
    assert await router.again() == router.body(secrets=True)


async def test_what_fails_is_caught_and_the_script_goes_on(router) -> None:
    printed = await imported(
        router,
        """
:onerror e in={
  /interface bridge add name=bridge
} do={ :put "failed: $e" }
:do { /ip address add address=1.2.3.4/24 interface=ether99 } on-error={ :put "no ether99" }
:onerror Err { :error "boom" } do={ :put $Err }
:retry { :put "try"; :error "again" } delay=1ms max=2 on-error={ :put "gave up" }
:if ([:len [/system script find name="x"]] > 0) do={ /system script remove x }
/tool fetch url="https://example.com/list.rsc" mode=https
:put "never"
""",
    )
    assert printed == (
        "failed: failure: already have interface with name bridge (/interface/bridge/add; line 3)\n"
        "no ether99\nboom (:error; line 6)\ntry\ntry\ngave up\n"
        "Script Error: failure: resolve failed (/tool/fetch; line 9) (:import; line 1)\n"
    )


async def test_an_export_under_a_name_of_the_day(router) -> None:
    printed = await imported(
        router,
        """
:local d [/system clock get date]
:local t [/system clock get time]
:local name ([/system identity get name] . "-" . [:pick $d 0 4] . [:pick $d 5 7] . "-" . [:pick $t 0 2] . [:pick $t 3 5])
/export file=$name
:put [:len $name]
:foreach f in=[/file find where name~"^MikroTik-.*\\\\.rsc\\$"] do={
  :put [:typeof [/file get $f size]]
  /file remove $f
}
/ip address print file=addresses
/ip address print file=addresses append
:put [:len [/file find]]
""",
    )
    assert printed == "20\nnum\n2\n" + DONE  # the script itself is a file, too
    assert router.router.files.get("addresses.txt").content.count(b"192.168.88.1/24") == 2


async def test_numbers_mean_what_the_session_printed(router) -> None:
    await router.run(
        "/ip firewall address-list add list=x address=10.0.0.1; /ip firewall address-list add list=x address=10.0.0.2;"
        "/ip firewall address-list add list=x address=10.0.0.3"
    )
    printed = await imported(
        router,
        """
/ip firewall address-list
print
remove 0
set 1 comment=second
:put [get 1 address]
""",
    )
    assert printed.endswith("10.0.0.2\n" + DONE)
    assert "add address=10.0.0.2 comment=second list=x\n" in router.body()


@pytest.mark.parametrize(
    ("before", "line", "added"),
    [
        ("", "/ip dns set servers=9.9.9.9", "/ip dns\nset servers=9.9.9.9\n"),
        ("", "/system identity set name=r1", "/system identity\nset name=r1\n"),
        ("", '/system note set note="a\\nb"', '/system note\nset note="a\\nb"\n'),
        ("", "/snmp set enabled=yes", "/snmp\nset enabled=yes\n"),
        ("/ip dns set servers=9.9.9.9", '/ip dns set servers=""', ""),
    ],
)
async def test_an_export_differs_by_what_a_script_changed(router, before: str, line: str, added: str) -> None:
    clean = router.body()
    if before:
        await router.run(before)
    assert await router.run(line) == ""
    after = router.body()
    assert after.replace(added, "") == clean if added else after == clean


async def test_forms_of_print(router) -> None:
    assert await router.put('[/interface print as-value proplist=name where default-name="ether2"]') == "name=ether2"
    assert (
        await router.run("/ip address print proplist=address")
        == "Columns: ADDRESS\n# ADDRESS        \n;;; defconf\n0 192.168.88.1/24\n"
    )
    assert "chain=input action=drop" in await router.run("/ip firewall filter print where action=drop")
    assert "address: 192.168.88.1/24" in await router.run("/ip address print value-list")
    assert await router.put("[/system clock print as-value]") != ""
    assert await router.put('([/system resource print as-value]->"board-name")') == "hEX"
    assert "0 R ether1" in await router.run("/interface print")
    assert len((await router.run("/export verbose")).splitlines()) > len(router.export().splitlines()) * 2
    assert "/ip firewall nat" not in await router.run("/ip firewall filter export")
