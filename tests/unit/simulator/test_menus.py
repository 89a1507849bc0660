"""Every described menu: add, get, find, print, set, disable, export and remove agree, and an export gives the same again."""

from __future__ import annotations

import re

import pytest

from tests.unit.simulator.machine import machine
from tests.unit.simulator.samples import arguments, changes
from tminus.simulator.config.menus import MENUS
from tminus.simulator.config.schema import Menu, Shape

LISTS = [menu for menu in MENUS if menu.shape is Shape.LIST and menu.path != ("file",)]
SINGLES = [menu for menu in MENUS if menu.shape is Shape.SINGLE]


def head(menu: Menu) -> str:
    return "/" + " ".join(menu.path)


def section(body: str, menu: Menu) -> str:
    """What an export says of a menu, wrapped lines joined."""
    joined = re.sub(r"\\\n +", "", body)
    found = re.search(rf"^{re.escape(head(menu))}\n((?:(?!/).*\n)*)", joined, re.MULTILINE)
    return found[1] if found else ""


@pytest.mark.parametrize("menu", LISTS, ids=head)
async def test_a_list_from_add_to_remove(menu: Menu) -> None:
    router = machine()
    count = int(await router.put(f"[{head(menu)} print count-only]"))
    before = router.body(secrets=True)
    given = arguments(menu)
    words = " ".join(f"{name}={value}" for name, value in given.items())
    printed = await router.put(f"[{head(menu)} add {words}]")
    assert re.fullmatch(r"\*[0-9A-F]+", printed), printed
    assert await router.put(f"[{head(menu)} print count-only]") == str(count + 1)
    for name in given:
        assert await router.put(f"[:len [{head(menu)} get {printed} {name}]]") != "0"
        expected = await router.put(f"[{head(menu)} get {printed} {name}]")
        found = await router.run(f":foreach i in=[{head(menu)} find] do={{ :put [{head(menu)} get $i {name}] }}")
        assert expected in found.splitlines()
    if menu.exported:
        assert len(section(router.body(secrets=True), menu).splitlines()) == (
            len(section(before, menu).splitlines()) + 1
        )
        assert await router.again() == router.body(secrets=True)
    for form in ("", "detail", "terse", "brief", "value-list"):
        assert await router.run(f"{head(menu)} print {form}")
    assert printed in await router.put(f"[{head(menu)} print as-value]")
    if "disabled" in menu.fields:
        await router.run(f"{head(menu)} disable {printed}")
        assert await router.put(f"[{head(menu)} get {printed} disabled]") == "true"
        await router.run(f"{head(menu)} enable {printed}")
    if "comment" in menu.fields:
        await router.run(f'{head(menu)} comment {printed} "was here"')
        assert await router.put(f'[{head(menu)} find comment="was here"]') == printed
    assert await router.run(f"{head(menu)} remove {printed}") == ""
    assert router.body(secrets=True) == before
    assert await router.run(f"{head(menu)} remove {printed}") == f"no such item ({menu.text}/remove; line 1)\n"


@pytest.mark.parametrize("menu", LISTS, ids=head)
async def test_what_add_needs_is_missed_by_its_name(menu: Menu) -> None:
    router = machine()
    required = [field.name for field in menu.fields.values() if field.required]
    for name in required:
        words = " ".join(f"{key}={value}" for key, value in arguments(menu).items() if key != name)
        printed = await router.run(f"{head(menu)} add {words}")
        if name == "slaves":
            assert printed.startswith("failure: need at least one slave interface")
        else:
            assert printed.startswith("missing value(s) of argument(s) ")
            assert name in printed


@pytest.mark.parametrize("menu", [menu for menu in LISTS if menu.unique], ids=head)
async def test_the_same_item_twice_is_refused(menu: Menu) -> None:
    router = machine()
    words = " ".join(f"{name}={value}" for name, value in arguments(menu).items())
    assert await router.run(f"{head(menu)} add {words}") == ""
    before = router.body(secrets=True)
    printed = await router.run(f"{head(menu)} add {words}")
    assert printed.startswith("failure: ")
    assert f"({menu.text}/add; line 1)" in printed
    assert router.body(secrets=True) == before


@pytest.mark.parametrize("menu", LISTS + SINGLES, ids=head)
async def test_a_change_is_exported_and_taken_back_is_not(menu: Menu) -> None:
    router = machine()
    target = ""
    if menu.shape is Shape.LIST:
        words = " ".join(f"{name}={value}" for name, value in arguments(menu).items())
        target = await router.put(f"[{head(menu)} add {words}]")
    before = router.body(secrets=True)
    lacking = router.router.version.missing_arguments(menu.path, "set")
    for name, (value, default) in changes(menu).items():
        if name in lacking:  # a property of other versions
            continue
        assert await router.run(f"{head(menu)} set {target} {name}={value}") == ""
        exported = section(router.body(secrets=True), menu)
        if menu.exported:
            assert re.search(rf"(^| ){re.escape(name)}=", exported, re.MULTILINE), exported
            assert await router.again() == router.body(secrets=True)
        assert await router.run(f"{head(menu)} set {target} {name}={default}") == ""
        assert router.body(secrets=True) == before, name


async def test_items_that_came_with_the_router_are_changed_but_not_removed() -> None:
    router = machine()
    lines = {
        "/ppp profile set default dns-server=1.1.1.1": "/ppp profile\nset *0 dns-server=1.1.1.1\n",
        "/snmp community set public name=x": "/snmp community\nset [ find default=yes ] name=x\n",
        "/system logging set 0 topics=info,!firewall": "/system logging\nset 0 topics=info,!firewall\n",
        "/system logging action set 3 remote=10.0.0.9": "/system logging action\nset 3 remote=10.0.0.9\n",
        "/user group set read comment=x": "/user group\nset read comment=x\n",
        "/ip firewall service-port set sip disabled=yes": "/ip firewall service-port\nset sip disabled=yes\n",
    }
    for line, exported in lines.items():
        assert await router.run(line) == ""
        assert exported in router.body()
    assert await router.again() == router.body(secrets=True)
    assert (await router.run("/ppp profile remove default")).startswith("failure: can not remove")
    assert (await router.run("/interface list remove all")).startswith("failure: can not remove")


async def test_a_menu_without_a_description_keeps_what_it_is_given() -> None:
    router = machine()
    line = "/routing ospf interface-template add area=backbone networks=10.0.0.0/8 disabled=yes"
    assert await router.run(line) == ""
    assert await router.run("/tool graphing interface add interface=ether1") == ""
    assert await router.run("/ip hotspot walled-garden add dst-host=a.example") == ""
    assert await router.run("/ip ipsec mode-config add name=m1") == ""
    assert "failure: already have such entry" in await router.run("/ip ipsec mode-config add name=m1")
    assert await router.run("/certificate settings set crl-store=system") == ""
    assert await router.run("/certificate settings set crl-use=yes") == ""
    assert await router.put("[/routing ospf interface-template get 0 area]") == "backbone"
    assert router.body().endswith(
        "/certificate settings\nset crl-store=system crl-use=yes\n"
        "/ip hotspot walled-garden\nadd dst-host=a.example\n"
        "/ip ipsec mode-config\nadd name=m1\n"
        "/routing ospf interface-template\nadd area=backbone disabled=yes networks=10.0.0.0/8\n"
        "/tool graphing interface\nadd interface=ether1\n"
    )
    assert await router.again() == router.body(secrets=True)


async def test_what_the_simulator_does_not_do_fails_instead_of_passing_for_done() -> None:
    router = machine()
    assert "failure: /tool/torch is not simulated" in await router.run("/tool torch interface=ether1")


async def test_a_property_that_no_table_mentions_is_kept_as_text() -> None:
    router = machine()
    await router.run("/ip dns set mdns-repeat-ifaces=bridge")
    assert "/ip dns\nset mdns-repeat-ifaces=bridge\n" in router.body()
    assert await router.put("[/ip dns get mdns-repeat-ifaces]") == "bridge"
