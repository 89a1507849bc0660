"""Simulated fleets, and a plain asyncssh client that knows nothing of tminus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import asyncssh

from tminus.simulator import DEFAULT, Behaviour, Fault, Fleet, FleetSpec, SiteSpec, simulate

Start = Callable[..., AbstractAsyncContextManager[Fleet]]
SITE = "a"


def one(
    *faults: Fault, version: str = "7.24.4", behaviour: Behaviour = DEFAULT, **options: object
) -> AbstractAsyncContextManager[Fleet]:
    """A fleet of one site, ``a``."""
    site = SiteSpec(id=SITE, version=version, faults=frozenset(faults))
    return simulate(FleetSpec(site_specs=(site,), behaviour=behaviour, **options))


@asynccontextmanager
async def connected(fleet: Fleet, **options: object) -> AsyncIterator[asyncssh.SSHClientConnection]:
    site = fleet.site(SITE)
    given = {"username": site.username, "client_keys": [fleet.client_key], "known_hosts": None, **options}
    if site.ssh_profile == "legacy":
        given |= {
            "server_host_key_algs": ["ssh-rsa"],
            "kex_algs": ["diffie-hellman-group14-sha1"],
            "mac_algs": ["hmac-sha1"],
            "encryption_algs": ["aes128-cbc"],
        }
    async with asyncssh.connect(
        site.address, site.port, config=None, agent_path=None, encoding=None, connect_timeout=10, **given
    ) as connection:
        yield connection


async def run(connection: asyncssh.SSHClientConnection, line: str, **options: object) -> tuple[bytes, int | None]:
    """Output and exit status of one exec; stderr must be empty."""
    result = await connection.run(line, timeout=20, **options)
    assert result.stderr == b""
    assert isinstance(result.stdout, bytes)
    return result.stdout, result.exit_status


async def upload(connection: asyncssh.SSHClientConnection, name: str, content: bytes) -> None:
    async with connection.start_sftp_client() as sftp, sftp.open(name, "wb") as file:
        await file.write(content)
