"""What cuts a router off from its management, and what does not."""

from __future__ import annotations

import ipaddress

import pytest

from tests.unit.simulator.machine import Machine
from tminus.simulator.config import defaults
from tminus.simulator.config.reach import Answer, answer, loopback_addresses

HOME = defaults.uplink(0)
JUMP = "/ip firewall filter add chain=input action=jump place-before=0"
DROP = "/ip firewall filter add chain=input action=drop place-before=0"


@pytest.fixture
def reached(router: Machine) -> Machine:
    defaults.personal(router.router.config, identity="a", number=0, username="tminus")
    return router


def answers(router: Machine) -> tuple[Answer, Answer]:
    """For an open connection, and for a new one."""
    config = router.router.config
    return answer(config, HOME, established=True), answer(config, HOME, established=False)


def test_the_default_configuration_answers(reached: Machine) -> None:
    assert answers(reached) == (Answer.YES, Answer.YES)
    assert ipaddress.IPv4Address("172.20.0.1") == HOME


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (DROP, (Answer.SILENCE, Answer.SILENCE)),
        (f"{DROP} protocol=tcp dst-port=20-25", (Answer.SILENCE, Answer.SILENCE)),
        (f"{DROP} in-interface=ether1", (Answer.SILENCE, Answer.SILENCE)),
        (f"{DROP} in-interface-list=WAN", (Answer.SILENCE, Answer.SILENCE)),
        (f"{DROP} src-address=!10.0.0.0/8", (Answer.SILENCE, Answer.SILENCE)),
        (f"{DROP} connection-state=new", (Answer.YES, Answer.SILENCE)),
        (f"{DROP} connection-state=!established", (Answer.YES, Answer.SILENCE)),
        (
            f"{DROP} src-address-list=x; /ip firewall address-list add list=x address=172.20.0.0/16",
            (Answer.SILENCE,) * 2,
        ),
        ("/ip firewall filter add chain=input action=reject place-before=0", (Answer.REFUSAL, Answer.REFUSAL)),
        (f"{JUMP} jump-target=c; /ip firewall filter add chain=c action=drop", (Answer.SILENCE, Answer.SILENCE)),
        ("/ip firewall filter remove [find comment=management]", (Answer.YES, Answer.SILENCE)),
        ("/ip firewall filter remove [find]", (Answer.YES, Answer.YES)),
        ("/ip address remove [find interface=ether1]", (Answer.SILENCE, Answer.SILENCE)),
        ("/ip address set [find interface=ether1] address=172.20.0.9/16", (Answer.SILENCE, Answer.SILENCE)),
        ("/ip address disable [find interface=ether1]", (Answer.SILENCE, Answer.SILENCE)),
        ("/interface disable ether1", (Answer.SILENCE, Answer.SILENCE)),
        ("/interface ethernet disable ether1", (Answer.SILENCE, Answer.SILENCE)),
        ("/ip service disable ssh", (Answer.YES, Answer.REFUSAL)),
        ("/ip service set ssh port=2222", (Answer.YES, Answer.REFUSAL)),
        ("/ip service set ssh address=10.0.0.0/8", (Answer.YES, Answer.REFUSAL)),
        # These do not concern us.
        (f"{DROP} protocol=udp", (Answer.YES, Answer.YES)),
        (f"{DROP} src-address=192.0.2.1", (Answer.YES, Answer.YES)),
        (f"{DROP} src-address=192.0.2.1-192.0.2.9", (Answer.YES, Answer.YES)),
        (f"{DROP} dst-port=23,80-90 protocol=tcp", (Answer.YES, Answer.YES)),
        (f"{DROP} in-interface-list=LAN", (Answer.YES, Answer.YES)),
        (f"{DROP} disabled=yes", (Answer.YES, Answer.YES)),
        (f"{DROP} layer7-protocol=x", (Answer.YES, Answer.YES)),
        (f"{DROP} src-address-list=x; /ip firewall address-list add list=x address=203.0.113.0/24", (Answer.YES,) * 2),
        ("/ip firewall filter add chain=forward action=drop place-before=0", (Answer.YES, Answer.YES)),
        ("/ip service set ssh address=172.20.0.0/16", (Answer.YES, Answer.YES)),
        (f"{JUMP} jump-target=input", (Answer.YES, Answer.YES)),
    ],
)
async def test_changes(reached: Machine, line: str, expected: tuple[Answer, Answer]) -> None:
    assert await reached.run(line) == ""
    assert answers(reached) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", set()),
        ("/ip address add interface=ether1 address=127.45.7.1/16", {"127.45.7.1"}),
        ("/ip address add interface=ether1 address=127.45.7.1/16 disabled=yes", set()),
        ("/ip address add interface=ether1 address=127.45.7.1/16; /interface disable ether1", set()),
        ("/ip address add interface=ether1 address=127.0.0.1/8", set()),
        ("/ip address set [find interface=ether1] address=127.45.7.2/16", {"127.45.7.2"}),
        ("/ip address add interface=ether1 address=192.0.2.1/24", set()),
    ],
)
async def test_addresses_of_this_machine_are_those_that_a_router_listens_on(
    reached: Machine, line: str, expected: set[str]
) -> None:
    assert await reached.run(line) == ""
    assert {str(address) for address in loopback_addresses(reached.router.config)} == expected
