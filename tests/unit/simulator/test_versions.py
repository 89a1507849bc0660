"""What each RouterOS version has and has not: menus, commands, and arguments."""

from __future__ import annotations

import pytest

from tminus.simulator import TESTED
from tminus.simulator.errors import Quit
from tminus.simulator.versions import _ARGUMENTS, _COMMANDS, _MENUS, Version

# What the public record says of the versions, written out: a line that a version takes whole, or not at all.
SINCE = {
    ":put [/terminal ask prompt=x]": (7, 12),
    ":onerror e in={ :put 1 }": (7, 13),
    ":grep script=a pattern=b": (7, 13),
    ":exit": (7, 22),
    ":retry command={ :put 1 } delay=1 max=2": (7, 0),
    ":put [:serialize value=1 to=json options=json.pretty]": (7, 16),
    "/file add name=a.txt contents=x": (7, 0),
    "/file add name=a type=directory": (7, 15),
    '/file read file="a" chunk-size=1': (7, 13),
    '/import file-name="a" verbose=yes dry-run': (7, 16),
    "/export show-sensitive": (7, 0),
    "/export where name=x": (7, 13),
    "/ip address export where disabled=no": (7, 13),
    "/export path=x": (7, 23),
    "/ip ssh set password-authentication=yes": (7, 21),
    "/safe-mode take": (7, 18),
    "/safe-mode": (7, 18),
    "/console settings set log-script-errors=no": (7, 18),
    "/system script run x use-script-permissions=yes": (7, 15),
    "/system scheduler add name=a days=mon": (7, 24),
    "/system scheduler set [find] days=mon": (7, 24),
    "/interface wireguard add name=wg1": (7, 1),
    "/interface wireguard": (7, 1),
    "/interface wireguard { print }": (7, 1),
    "/interface/wireguard/peers/print": (7, 1),
    ":put [/interface wireguard find]": (7, 1),
    "/interface wifi print": (7, 13),
    "/ip dhcp-server matcher print": (7, 4),
    "/ip dns adlist print": (7, 15),
    "/ip dns forwarders print": (7, 17),
    "/ip vrf print": (7, 0),
    "/routing bfd configuration print": (7, 11),
    "/routing bgp connection print": (7, 0),
    "/routing bgp session print": (7, 0),
    "/routing bgp template print": (7, 0),
    "/routing filter community-list print": (7, 0),
    "/routing filter select-rule print": (7, 0),
    "/routing ospf static-neighbor print": (7, 0),
    "/routing filter rule print": (7, 0),
    "/routing filter num-list print": (7, 0),
    "/routing ospf interface-template print": (7, 0),
    "/routing route print": (7, 0),
    "/routing rule add action=lookup table=main": (7, 0),
    "/routing table add name=t fib": (7, 0),
    "/system ntp client servers add address=192.0.2.1": (7, 0),
}


@pytest.mark.parametrize("line", SINCE)
@pytest.mark.parametrize("version", [*TESTED, "7.22.1", "7.23.1"])
async def test_each_version_has_what_its_time_had(make_router, version: str, line: str) -> None:
    router = make_router(version)
    before = router.body()
    try:
        printed = await router.run(f"/system identity set name=before; {line}")
    except Quit:  # what :exit is for
        printed = ""
    known = Version.parse(version).number >= SINCE[line]
    assert ("(line 1 column" not in printed) is known, printed
    if not known:  # all of a line is read before anything of it runs
        assert router.body() == before


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/interface wireguard add name=wg1", "bad command name wireguard (line 1 column 12)"),
        ("/interface wireguard", "bad command name wireguard (line 1 column 12)"),
        ("/routing table add name=t fib", "bad command name table (line 1 column 10)"),
        ("/system ntp client servers print", "bad command name servers (line 1 column 20)"),
        ("/ip firewall filter\nprint\n/ip vrf print", "bad command name vrf (line 3 column 5)"),
        (":exit", "bad command name exit (line 1 column 2)"),
        ("/safe-mode take", "bad command name safe-mode (line 1 column 2)"),
    ],
)
async def test_version_6_names_the_word_that_it_does_not_have(make_router, line: str, said: str) -> None:
    assert (await make_router("6.48.7").run(line)).splitlines()[-1] == said


async def test_what_a_version_lacks_is_not_in_the_way_of_a_shortened_name(make_router) -> None:
    new, old = make_router("7.24.4"), make_router("7.9.2")
    line = "/ip dns a print"  # adlist, since 7.15; else nothing begins so
    assert "bad command name" not in await new.run(line)
    assert await old.run(line) == "bad command name a (line 1 column 9)\n"
    line = "/interface wi print"  # wifi since 7.13, and wireguard
    assert await new.run(line) == "bad command name wi (line 1 column 12)\n"
    assert "bad command name" not in await old.run(line)


async def test_an_upgrade_brings_the_menus_of_the_new_version(make_router) -> None:
    router = make_router("6.49.10")
    line = "/routing table add name=t fib"
    assert "bad command name table" in await router.run(line)
    router.router.version = Version.parse("7.24.4")
    assert await router.run(line) == ""


@pytest.mark.parametrize(
    ("version", "has", "has_not"),
    [
        ("7.20.8", "always-allow-password-login", "password-authentication"),
        ("7.24.4", "password-authentication", "always-allow-password-login"),
    ],
)
async def test_what_is_shown_has_the_properties_of_its_version(make_router, version, has, has_not) -> None:
    router = make_router(version)
    exported = await router.run("/ip ssh export verbose terse")
    assert f"{has}=" in exported
    assert f"{has_not}=" not in exported
    printed = await router.run("/ip ssh print; :put [/ip ssh print as-value]; :put [/ip ssh get]")
    assert f"{has}: " in printed
    assert has_not not in printed
    assert "input does not match any value of value-name" in await router.run(f":put [/ip ssh get {has_not}]")


def test_every_gate_has_a_line_above() -> None:
    written = " ".join(line.replace("/", " ").replace(":", " ") for line in SINCE)
    for path in {*_MENUS, *_COMMANDS}:
        assert " ".join(path) in written, path
    for *_, argument in _ARGUMENTS:
        assert argument in written, argument
