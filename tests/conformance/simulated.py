"""Simulated routers for the replay."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.conformance.player import Address
from tminus.device.profiles import SshProfile
from tminus.simulator import DEFAULT, Behaviour, Fleet, FleetSpec, SiteSpec, simulate

SITE = "MikroTik"
SIMULATED_QUIET_S = 0.1  # a simulated router paints its prompt at once


@asynccontextmanager
async def simulated(
    version: str,
    *,
    chr: bool = False,
    behaviour: Behaviour = DEFAULT,  # noqa: A002 - the name of the product
) -> AsyncIterator[tuple[Fleet, Address]]:
    """One router, and how to reach it."""
    spec = FleetSpec(
        site_specs=(SiteSpec(id=SITE, version=version, chr=chr),),
        username="admin",
        behaviour=behaviour,
        base="127.45.0.1",
    )
    async with simulate(spec) as fleet:
        site = fleet.site(SITE)
        yield (
            fleet,
            Address(
                host=site.address,
                port=site.port,
                username=site.username,
                profile=SshProfile(site.ssh_profile),
                host_key=site.host_key,
                key=fleet.client_key,
            ),
        )
