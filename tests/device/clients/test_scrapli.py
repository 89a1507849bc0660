"""scrapli with scrapli-community's ``mikrotik_routeros``, another client of shells, against simulated routers.

It waits for two prompts on one line, and answers no questions before the first one.
"""

from __future__ import annotations

import asyncio

import pytest
from scrapli import AsyncScrapli, Scrapli

from tests.device.simulator.client import SITE, one
from tminus.simulator import DEFAULT, Behaviour, Fleet, Setup

ADD = "/ip address add address=10.9.0.1/24 interface=bridge"
LINES = ("/ip address print", ADD, "/export")
PASSWORDS = Setup(password_login=True)
TERMINALS = [
    pytest.param(behaviour, id=name)
    for name, behaviour in (
        ("default", DEFAULT),
        ("repaints-no-keys", Behaviour(terminal_repaints_keys=False)),
        ("pads-nothing", Behaviour(terminal_pads=False)),
        ("ignores-line-feeds", Behaviour(terminal_newline_pause_s=0.0)),
    )
]

OLD = {
    "server_host_key_algs": ["ssh-rsa"],
    "kex_algs": ["diffie-hellman-group14-sha1"],
    "encryption_algs": ["aes128-ctr"],
    "mac_algs": ["hmac-sha1"],
}  # what RouterOS 6 speaks, and asyncssh does not offer unasked


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


@pytest.mark.parametrize("behaviour", TERMINALS)
async def test_logs_in_prints_changes_and_exports(behaviour: Behaviour) -> None:
    async with one(behaviour=behaviour, setup=PASSWORDS) as fleet:
        check(fleet, await asyncio.to_thread(by_threads, fleet))


@pytest.mark.parametrize("version", ["6.49.10", "7.24.4"])
async def test_the_same_over_its_asyncssh_transport(version: str) -> None:
    async with one(version=version, setup=PASSWORDS) as fleet:
        given = {"transport_options": {"asyncssh": OLD if version < "7" else {}}, **options(fleet)}
        async with AsyncScrapli(transport="asyncssh", **given) as connection:
            results = [(await connection.send_command(line)).result for line in LINES]
        check(fleet, results)
