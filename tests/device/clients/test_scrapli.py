"""scrapli with scrapli-community's ``mikrotik_routeros``, another client of shells, against simulated routers.

It waits for two prompts on one line, and answers no questions before the first one.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from scrapli import AsyncScrapli, Scrapli

from tests.device.simulator.client import SITE, one
from tminus.simulator import Behaviour, Fleet
from tminus.simulator.terminal import QUIET, Terminal

ADD = "/ip address add address=10.9.0.1/24 interface=bridge"
LINES = ("/ip address print", ADD, "/export")
TERMINALS = [
    pytest.param(terminal, id=name)
    for name, terminal in (
        ("quiet", QUIET),
        ("repaints-no-keys", replace(QUIET, repaints_keys=False)),
        ("pads-nothing", replace(QUIET, pads=False)),
        ("ignores-line-feeds", replace(QUIET, newline_pause_s=None)),
    )
]


def options(fleet: Fleet) -> dict[str, object]:
    site = fleet.site(SITE)
    return {
        "platform": "mikrotik_routeros",
        "host": site.address,
        "port": site.port,
        "auth_username": site.username,
        "auth_password": fleet.spec.password,
        "auth_strict_key": False,
        "ssh_config_file": False,
        "timeout_socket": 10,
        "timeout_ops": 20,
    }


def by_threads(fleet: Fleet) -> list[str]:
    with Scrapli(transport="paramiko", **options(fleet)) as connection:
        return [connection.send_command(line).result for line in LINES]


def check(fleet: Fleet, results: list[str]) -> None:
    printed, changed, exported = results
    assert "192.168.88.1/24  192.168.88.0  bridge" in printed
    assert "failure" not in changed
    assert "add address=10.9.0.1/24 interface=bridge" in exported
    body = "".join(f"{line}\n" for line in exported.splitlines() if line and not line.startswith("#"))
    assert body == fleet.export(SITE)


@pytest.mark.parametrize("terminal", TERMINALS)
async def test_logs_in_prints_changes_and_exports(terminal: Terminal) -> None:
    async with one(behaviour=Behaviour(terminal=terminal)) as fleet:
        check(fleet, await asyncio.to_thread(by_threads, fleet))


async def test_the_same_over_its_asyncssh_transport() -> None:
    async with one() as fleet:
        async with AsyncScrapli(transport="asyncssh", **options(fleet)) as connection:
            results = [(await connection.send_command(line)).result for line in LINES]
        check(fleet, results)
