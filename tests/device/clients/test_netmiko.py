"""netmiko's ``mikrotik_routeros``, a client of shells that reads prompts, against simulated routers."""

from __future__ import annotations

import asyncio
from dataclasses import fields, replace

import pytest
from netmiko import ConnectHandler

from tests.device.simulator.client import SITE, one
from tminus.simulator import DEFAULT, WORST, Behaviour, Fleet, Kind, Setup, flipped
from tminus.simulator.terminal import Terminal

ADD = "/ip address add address=10.9.0.1/24 interface=bridge"
FLIPPED = [pytest.param(one, id=name) for name, one in flipped().items() if name.startswith("terminal_")]
WORST_TERMINAL = replace(DEFAULT, **{field.name: getattr(WORST, field.name) for field in fields(Terminal)})
PASSWORDS = Setup(password_login=True)
TERMINALS = [pytest.param(DEFAULT, id="default"), *FLIPPED, pytest.param(WORST_TERMINAL, id="worst")]


def use(fleet: Fleet) -> tuple[str, str, str]:
    """What it makes of a print, a change and an export."""
    site = fleet.site(SITE)
    with ConnectHandler(
        device_type="mikrotik_routeros",
        host=site.address,
        port=site.port,
        username=site.username,
        password=fleet.spec.password,
        conn_timeout=10,
    ) as connection:
        return tuple(connection.send_command(line, read_timeout=20) for line in ("/ip address print", ADD, "/export"))


@pytest.mark.parametrize("behaviour", TERMINALS)
async def test_logs_in_prints_changes_and_exports(behaviour: Behaviour) -> None:
    async with one(behaviour=behaviour, setup=PASSWORDS) as fleet:
        printed, changed, exported = await asyncio.to_thread(use, fleet)
        assert "192.168.88.1/24  192.168.88.0  bridge" in printed
        assert "failure" not in changed
        assert "add address=10.9.0.1/24 interface=bridge" in exported
        assert "add address=10.9.0.1/24 interface=bridge" in fleet.export(SITE)
        typed = [event.facts["command"] for event in fleet.journal.events(SITE, Kind.TYPED)]
        assert typed[:3] == ["/ip address print", ADD, "/export"]


async def test_what_it_returns_has_neither_prompt_nor_echo_where_a_line_feed_paints_nothing() -> None:
    async with one(behaviour=Behaviour(terminal_newline_pause_s=0.0), setup=PASSWORDS) as fleet:
        printed, changed, exported = await asyncio.to_thread(use, fleet)
        assert changed == ""
        assert "tminus@" not in printed
        body = "".join(f"{line}\n" for line in exported.splitlines() if not line.startswith("#"))
        assert body == fleet.export(SITE)
