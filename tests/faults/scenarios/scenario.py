"""What a scenario is, and what several kinds of them need."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

from tests.faults.invariants import NO_EXCUSE, TOLD, Excuses
from tests.faults.rig import BOUND, Rig
from tminus.kill_points import Point
from tminus.simulator import Kind

RUN_POINTS = (
    Point.CLAIMED, Point.CONNECTED, Point.EXPORTING, Point.BACKED_UP, Point.UPLOADED, Point.READY, Point.START_WRITING,
    Point.START_COMMITTING, Point.START_WRITTEN, Point.SENDING, Point.SENT, Point.ANSWERED, Point.ENDING, Point.ENDING_WRITING,
    Point.ENDING_WRITTEN,
)  # fmt: skip
WRITTEN = (Point.START_WRITTEN, Point.SENDING)
"""Points between the commit of the point of no return and the command: nothing may have been started."""


@dataclass(slots=True)
class Measured:
    """What one run of a fault showed. Seconds: until the dead instance was noticed, until every site had ended."""

    noticed: float | None = None
    recovered: float | None = None
    violations: list[str] = field(default_factory=list)
    said: str = ""  # figures of its own, for a line below the table

    def demand(self, holds: object, sentence: str) -> None:
        if not holds:
            self.violations.append(sentence)


Act = Callable[[Rig, random.Random], Awaitable[Measured]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    fault: str
    name: str
    act: Act
    routers_by_proxy: bool = False
    sites: int = 4
    told: frozenset[str] = TOLD
    own_network: bool = False  # it takes away routes, which can be done in a network namespace alone

    @property
    def id(self) -> str:
        return f"{self.fault}-{self.name.replace(' ', '-')}"


async def settle(
    rig: Rig,
    measured: Measured,
    *scripts: object,
    since: float,
    excuses: Excuses = NO_EXCUSE,
    within: float = BOUND,
    footprints: bool = True,
) -> Measured:
    """Wait for the endings and for everybody to live again, and ask the oracle."""
    if await rig.ended(*scripts, within=within) is None:
        measured.demand(False, f"A3: not all sites ended within {within:.0f} s")
    measured.recovered = time.time() - since
    try:
        await rig.everybody_lives()
    except AssertionError:
        measured.demand(False, "A9: /readyz did not return to 200")
    measured.violations += await rig.violations(*scripts, excuses=excuses, footprints=footprints)
    rig.forget_plans()
    return measured


async def nonces_of(rig: Rig, pid: int, script: object) -> set[str]:
    """What names the attempts that are that process's now. Drawn at each claim."""
    return {run["nonce"] for run in (await rig.runs_of(pid, script)).values()}


def demand_no_start_since(rig: Rig, measured: Measured, moment: float, nonces: Collection[str]) -> None:
    """Nothing of these was started after `moment` (time.monotonic()), nor was any router asked to."""
    names = {f"tminus-{nonce}.rsc" for nonce in nonces}
    for event in rig.fleet.journal.events(kind=Kind.IMPORT_STARTED):
        late = event.facts["name"] in names and event.monotonic > moment
        measured.demand(not late, f"A1: {event.facts['name']} was started on {event.site} by a process that was over")
    for event in rig.fleet.journal.events(kind=Kind.EXEC):
        command = event.facts["command"]
        starts = "/import" in command and "dry-run" not in command
        late = starts and event.monotonic > moment and any(name in command for name in names)
        measured.demand(not late, f"A3: {event.site} was told to start by a process that was over: {command}")
