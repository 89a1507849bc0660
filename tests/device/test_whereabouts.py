"""A router that may have moved, looked for at both of its addresses."""

from __future__ import annotations

from dataclasses import replace

import asyncssh
import pytest

from tests.device.servers import QUICK
from tests.support import until
from tminus.device.connector import Connector
from tminus.device.credentials import Credential
from tminus.device.hostkeys import HostKeyPolicy
from tminus.domain.digest import SitePart
from tminus.errors import AnotherDevice, HostKeyChanged, LoginRefused, Offline
from tminus.routeros.commands import Nonce
from tminus.routeros.remains import may_rename
from tminus.services.contact import Contact
from tminus.services.whereabouts import Sought, find_again, moved_to
from tminus.simulator import Fault, Fleet, FleetSpec, SiteSpec, simulate
from tminus.store.site_runs import Site

ROUTERS = FleetSpec(site_specs=tuple(SiteSpec(id=name, version="7.20.8") for name in ("old", "new")))


def contact_to(fleet: Fleet, key: asyncssh.SSHKey | None = None) -> Contact:
    credential = Credential(name="default", username="tminus", key=key or fleet.client_key)
    return Contact(Connector(limits=QUICK, policy=HostKeyPolicy.PINNED), {"default": credential})


def sought(fleet: Fleet, *, key_of: str, serial_of: str) -> Sought:
    """A router that was at the address of `old` and may be at that of `new`."""
    part = SitePart(
        id="r1",
        jump_host=None,
        address=fleet.site("old").address,
        port=fleet.site("old").port,
        username=None,
        credential=None,
        host_key=fleet.site(key_of).host_key,
        return_address=fleet.site("new").address,
    )
    return Sought(
        site=Site(part=part, seen_host_key=None, runner=None, enabled=True, serial=None),
        host_key=None,
        covered=part,
        nonce=Nonce("0123456789abcdef"),
        serial=fleet.router(serial_of).hardware.serial,
        may_have_moved=True,
    )


async def test_it_is_found_at_either_address_by_its_key() -> None:
    async with simulate(ROUTERS) as fleet:
        for name, moved in (("new", fleet.site("new").address), ("old", None)):
            it = sought(fleet, key_of=name, serial_of=name)
            async with await find_again(it, contact_to(fleet), deadline=10) as connection:
                assert moved_to(connection, it.site) == moved


async def test_one_address_with_a_stranger_is_no_last_word_while_the_other_is_silent() -> None:
    """It may be on its way to it: whoever looks for it looks again."""
    async with simulate(ROUTERS) as fleet:
        await fleet.set_faults("old", (Fault.OFFLINE,))
        it = sought(fleet, key_of="old", serial_of="old")
        with pytest.raises(Offline) as told:
            await find_again(it, contact_to(fleet), deadline=10)
        assert fleet.site("new").address in str(told.value)
        assert fleet.site("old").address in str(told.value)


async def test_strangers_at_both_addresses_are_the_last_word() -> None:
    async with simulate(ROUTERS) as fleet:
        it = sought(fleet, key_of="old", serial_of="new")
        with pytest.raises((AnotherDevice, HostKeyChanged)):
            await find_again(it, contact_to(fleet), deadline=10)

        async def left() -> bool:
            return fleet.connections("old") + fleet.connections("new") == 0

        await until(left, within=10)


async def test_a_router_that_refuses_the_login_is_not_asked_at_its_other_address() -> None:
    async with simulate(ROUTERS) as fleet:
        it = sought(fleet, key_of="new", serial_of="new")
        stranger = asyncssh.generate_private_key("ssh-ed25519")
        with pytest.raises(LoginRefused) as told:
            await find_again(it, contact_to(fleet, stranger), deadline=10)
        assert fleet.site("old").address not in str(told.value)


async def test_a_router_of_which_nothing_but_its_key_is_known_is_looked_for_at_its_own_address_alone() -> None:
    """A virtual router that was copied from the same image has the same key."""
    async with simulate(ROUTERS) as fleet:
        copy = replace(sought(fleet, key_of="new", serial_of="new"), serial=None)
        assert copy.places == (copy.site,)
        with pytest.raises(HostKeyChanged):
            await find_again(copy, contact_to(fleet), deadline=10)
        assert fleet.connections("new") == 0
        for known in (replace(copy, serial="HC0ANY0SERIAL"), replace(copy, identity="new")):
            assert [place.part.address for place in known.places] == [
                fleet.site("new").address,
                fleet.site("old").address,
            ]


@pytest.mark.parametrize(
    ("script", "may"),
    [
        (b"/system reboot", False),
        (b"/ip dns static add name=valid.example address=192.0.2.1", False),
        (b"/system identity set name=x", True),
        (b"/system/identity/set name=x", True),
        (b"/sy id set name=x", True),
        (b"/import other.rsc", True),
        (b":execute script=$x", True),
        (b"[:parse $x]", True),
        (b"/system script run x", True),
        (b"/system backup load name=x", True),
        # A function that was written elsewhere, called in any place where a statement may begin.
        (b":global setup; $setup new-name", True),
        (b":global setup\n$setup new-name", True),
        (b":global setup\r\n \t$setup new-name", True),
        (b"$setup", True),
        (b":put [$setup new-name]", True),
        (b":put [ $setup new-name ]", True),
        (b':put "it is $[$setup new-name]"', True),
        (b":if (true) do={$setup new-name}", True),
        (b":if (true) do={ :put 1 } else={\n  $setup new-name\n}", True),
        (b':put [($functions->"setup") new-name]', True),
        (b":global setup; :if (true) do=$setup", True),
        (b":onerror e in={ :put 1 } do=$setup", True),
        (b":do $setup", True),
        (b":retry command=$setup delay=1 max=3", True),
        (b"/system script\nrun x", True),
        (b"/sy sc ru x", True),
        (b"/system scheduler add name=x interval=1s on-event=x", True),
        # A value is no call, and a property is none.
        (b"/queue tree add name=x parent=global", False),
        (b":local x 1; :put $x", False),
        (b':put "$x and $(x)"', False),
        (b":if ($x = 1) do={ :put (1 + $x) }", False),
        (b":foreach each in=$list do={ :put $each }", False),
        (b"/ip dns set servers=$x", False),
    ],
)
def test_what_may_change_the_name_of_a_router(script: bytes, may: bool) -> None:
    assert may_rename(script) is may
