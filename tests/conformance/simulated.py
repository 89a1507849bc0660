"""Simulated routers for the replay."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.conformance.player import Address, Player, Result
from tests.conformance.transcript import Transcript
from tminus.device.profiles import SshProfile
from tminus.simulator import DEFAULT, Behaviour, Fleet, FleetSpec, SiteSpec, simulate
from tminus.simulator.setup import Setup

SITE = "MikroTik"
SIMULATED_QUIET_S = 0.1  # a simulated router paints its prompt at once


# The routers on which transcripts are replayed that want a device of this kind.
ORDINARY = "routerboard"
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    ORDINARY: {},
    "chr": {"chr": True},
    "home": {"setup": Setup(device_mode="home")},
    "may-not-write": {"setup": Setup(lacks=("write",))},
    "takes-passwords": {"setup": Setup(password_login=True)},
}


@asynccontextmanager
async def simulated(
    version: str, variant: str = ORDINARY, *, behaviour: Behaviour = DEFAULT
) -> AsyncIterator[tuple[Fleet, Address]]:
    """One router, and how to reach it."""
    site_spec = SiteSpec(id=SITE, version=version, **VARIANTS[variant])
    spec = FleetSpec(site_specs=(site_spec,), username="admin", behaviour=behaviour, base="127.52.0.1")
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


async def replay(version: str, transcripts: Sequence[Transcript]) -> list[Result]:
    """All transcripts on simulated routers of one version, each on one of the kind that it wants."""
    played: dict[str, Result] = {}
    for variant in VARIANTS:
        wanted = [one for one in transcripts if (one.device or ORDINARY) == variant]
        if wanted:
            async with simulated(version, variant) as (_, address):
                player = Player(address, quiet_s=SIMULATED_QUIET_S)
                for result in await player.play(wanted, await player.look(), changes=True):
                    played[result.transcript.id] = result
    return [played[one.id] for one in transcripts]
