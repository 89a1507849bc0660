"""Whatever is done to a configuration by commands: what its export says gives, on an empty router, the same export."""

from __future__ import annotations

import asyncio

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.unit.simulator.machine import Machine, machine
from tests.unit.simulator.samples import VALUES, arguments, sample
from tminus.simulator.config.menus import MENUS
from tminus.simulator.config.references import REFERENCES
from tminus.simulator.config.schema import Field, Menu, Shape

# To remove what others may refer to leaves bare ids, which no router can import again: that has a test of its own.
REFERRED = frozenset(path for target in REFERENCES.values() for path in target.menus)
LISTS = [menu for menu in MENUS if menu.shape is Shape.LIST and menu.exported]
SINGLES = [menu for menu in MENUS if menu.shape is Shape.SINGLE and menu.exported]
TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=90
)


def quoted(text: str) -> str:
    """A string for a script, every byte that could mean something escaped."""
    plain = "abcdefghijklmnopqrstuvwxyz0123456789 "
    return '"' + "".join(c if c in plain else "".join(f"\\{b:02X}" for b in c.encode()) for c in text) + '"'


def values(menu: Menu, field: Field) -> st.SearchStrategy[str]:
    known = st.sampled_from([sample(menu, field, place) for place in (0, 1)])
    if field.kind == "text" and field.name not in ("name", "type"):
        return known | TEXT.map(quoted)
    return known


def writable(menu: Menu) -> list[Field]:
    of_other_versions = machine().router.version.missing_arguments(menu.path, "set")
    skipped = {menu.temporary, "netmask", "network", "copy-from", *of_other_versions}
    return [
        field
        for field in menu.fields.values()
        if not field.read_only and field.kind != "flag" and field.name not in skipped
    ]


@st.composite
def additions(draw: st.DrawFn) -> str:
    menu = draw(st.sampled_from(LISTS))
    given = dict(arguments(menu))
    for field in draw(st.lists(st.sampled_from(writable(menu)), max_size=4, unique_by=lambda field: field.name)):
        # Interfaces may stand on others only in the order of an export: keep to those that are always there.
        given[field.name] = draw(values(menu, field))
    if "name" in given:
        given["name"] = f"n{draw(st.integers(0, 40))}"
    place = draw(st.sampled_from(["", " place-before=0"])) if "firewall" in menu.path and menu.prose else ""
    return f"/{' '.join(menu.path)} add {' '.join(f'{name}={value}' for name, value in given.items())}{place}"


@st.composite
def settings_of_singles(draw: st.DrawFn) -> str:
    menu = draw(st.sampled_from(SINGLES))
    field = draw(st.sampled_from(writable(menu)))
    return f"/{' '.join(menu.path)} set {field.name}={draw(values(menu, field))}"


@st.composite
def edits(draw: st.DrawFn) -> str:
    menu = draw(st.sampled_from(LISTS))
    head = f"/{' '.join(menu.path)}"
    target = draw(st.integers(0, 3))
    verbs = ["set"] + [verb for verb in ("disable", "enable") if "disabled" in menu.fields]
    verbs += ["comment"] if "comment" in menu.fields else []
    verbs += ["remove"] if menu.path not in REFERRED else []
    verbs += ["move"] if menu.prose else []
    match draw(st.sampled_from(verbs)):
        case "set":
            field = draw(st.sampled_from([field for field in writable(menu) if field.name != "name"]))
            return f"{head} set {target} {field.name}={draw(values(menu, field))}"
        case "comment":
            return f"{head} comment {target} {draw(TEXT.map(quoted))}"
        case "move":
            return f"{head} move {target} {draw(st.integers(0, 3))}"
        case verb:
            return f"{head} {verb} {target}"


FIXED = st.sampled_from(
    [
        "/interface ethernet set ether1 name=wan",
        "/interface set [find default-name=ether2] name=lan2 mtu=1400",
        "/interface disable ether5",
        "/interface bridge set bridge name=br",
        "/interface list set WAN name=outside",
        "/ip service set ssh port=2222 address=10.0.0.0/8",
        "/ip service disable www",
        "/ip pool set default-dhcp name=pool",
        "/ppp profile set default dns-server=1.1.1.1",
        "/snmp community set [find default=yes] name=secret",
        "/system logging set 0 topics=info,!wireless",
        "/ip firewall filter remove [find]",
        "/ip address remove [find where comment=defconf]",
        "/ip firewall filter set [find chain=input] log=yes",
        "/ip route add dst-address=10.99.0.0/16 blackhole",
        "/routing bgp template add name=t1 as=65000",
        '/ip hotspot walled-garden add dst-host=x.example comment="a b"',
    ]
)


async def play(lines: list[str]) -> Machine:
    router = machine()
    for line in lines:
        printed = await router.run(line)
        assert "(line 1 column" not in printed, f"{line}\n{printed}"  # each is a command of the language
    return router


@given(st.lists(additions() | settings_of_singles() | edits() | FIXED, max_size=12))
@settings(max_examples=120, deadline=None)
def test_an_export_gives_the_same_export_again(lines: list[str]) -> None:
    # A pool whose next one is itself, or comes later in the export: what a router makes of that is not on record.
    assume(not any("next-pool" in line for line in lines))

    async def run() -> None:
        router = await play(lines)
        assert await router.again() == router.body(secrets=True)

    asyncio.run(run())


@given(st.lists(additions() | settings_of_singles() | edits() | FIXED, max_size=10))
@settings(max_examples=60, deadline=None)
def test_routers_do_not_see_the_changes_of_each_other(lines: list[str]) -> None:
    async def run() -> None:
        untouched, fresh = machine(), machine().body(secrets=True)
        await play(lines)
        assert untouched.body(secrets=True) == fresh == machine().body(secrets=True)

    asyncio.run(run())


def test_there_is_a_sample_of_every_kind_that_a_menu_uses() -> None:
    kinds = {field.kind for menu in MENUS for field in menu.fields.values()}
    assert kinds - VALUES.keys() <= {"enum", "words", "flag"}
