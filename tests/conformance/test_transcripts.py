"""Each transcript of the public record on each simulated version to which it applies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from tests.conformance.player import Player
from tests.conformance.simulated import ORDINARY, SIMULATED_QUIET_S, SITE, simulated
from tests.conformance.transcript import Device, Transcript, load, version_of
from tminus.simulator import TESTED, Fleet, Kind

TRANSCRIPTS = load()


def cases() -> list[object]:
    """Those that apply, as far as the version decides it."""
    return [
        pytest.param(version, transcript, id=f"{version}-{transcript.id}")
        for version in TESTED
        for transcript in TRANSCRIPTS
        if transcript.since <= version_of(version)
        and not (transcript.until and version_of(version) >= transcript.until)
    ]


@dataclass
class Routers:
    """Simulated routers by version and variant, started when first asked for."""

    stack: AsyncExitStack
    running: dict[tuple[str, str], tuple[Fleet, Player, Device]] = field(default_factory=dict)

    async def one(self, version: str, variant: str) -> tuple[Fleet, Player, Device]:
        if (version, variant) not in self.running:
            fleet, address = await self.stack.enter_async_context(simulated(version, variant))
            player = Player(address, quiet_s=SIMULATED_QUIET_S)
            self.running[version, variant] = (fleet, player, await player.look())
        return self.running[version, variant]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def routers() -> AsyncIterator[Routers]:
    async with AsyncExitStack() as stack:
        yield Routers(stack)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("version", "transcript"), cases())
async def test_the_simulator_agrees_and_is_left_as_it_was(
    version: str, transcript: Transcript, routers: Routers
) -> None:
    fleet, player, device = await routers.one(version, transcript.device or ORDINARY)
    assert transcript.applies(device)
    before = (fleet.export(SITE), fleet.files(SITE))
    changes = len(fleet.journal.events(SITE, Kind.CHANGED))
    result = await player.one(transcript, device)
    assert result.verdict == "agrees", result.detail
    assert (fleet.export(SITE), fleet.files(SITE)) == before
    if not transcript.changes:  # without --accept-changes it is sent to routers that carry people's traffic
        assert len(fleet.journal.events(SITE, Kind.CHANGED)) == changes


def test_every_transcript_is_replayed_on_some_version() -> None:
    replayed = {case.values[1].id for case in cases()}  # type: ignore[attr-defined]
    assert replayed == {transcript.id for transcript in TRANSCRIPTS}
