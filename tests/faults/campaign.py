"""Runs faults, several rigs side by side, and tells of them in one table."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.faults.invariants import Excuses
from tests.faults.rig import Rig, open_rig
from tests.faults.scenarios.scenario import Measured, Scenario
from tminus.simulator import FleetSpec

_PATIENCE = 600.0  # seconds for one run of a fault, however slow the machine
_ON_ONE_RIG = 12  # runs, before a new one is built
_rigs = itertools.count(1)


@dataclass(slots=True)
class Row:
    """What all runs of one fault came to. Times in seconds, the worst of all; `took` is that of a whole run."""

    runs: int = 0
    took: float = 0.0
    noticed: float = 0.0
    recovered: float = 0.0
    violations: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def add(self, measured: Measured, took: float = 0.0) -> None:
        self.runs += 1
        self.took = max(self.took, took)
        self.noticed = max(self.noticed, measured.noticed or 0.0)
        self.recovered = max(self.recovered, measured.recovered or 0.0)
        self.violations += measured.violations
        self.said += filter(None, [measured.said])


Report = dict[str, Row]


async def run_scenario(rig: Rig, scenario: Scenario, seed: str) -> Measured:
    """Run it once. An error of the rig itself counts as a violation: what was not seen to hold does not hold."""
    try:
        async with asyncio.timeout(_PATIENCE):
            await rig.everybody_lives()
            await rig.all_routers_are_free()
            await rig.take_footprints()
            return await scenario.act(rig, random.Random(seed))
    except (Exception, TimeoutError) as error:  # noqa: BLE001 - told below, and counted
        rig.forget_plans()
        return Measured(violations=[f"rig: {error!r}\n{''.join(traceback.format_tb(error.__traceback__)[-3:])}"])


async def run_campaign(
    postgres: str,
    folder: Path,
    scenarios: Iterable[Scenario],
    *,
    runs: int,
    seed: int,
    side_by_side: int,
    seconds: float = float("inf"),
    own_network: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """Run each scenario so many times, as far as they can be begun within `seconds`.

    `own_network`: all addresses are ours, and each rig has its own. A rig serves one fault class, and is made anew after a violation.
    """
    end = time.monotonic() + seconds
    by_rig: defaultdict[tuple[str, bool, int, bool], list[Scenario]] = defaultdict(list)
    for scenario in scenarios:
        by_rig[scenario.fault, scenario.routers_by_proxy, scenario.sites, scenario.own_network].append(scenario)
    report: Report = {scenario.id: Row() for group in by_rig.values() for scenario in group}
    work: list[Sequence[tuple[Scenario, int]]] = []
    for group in by_rig.values():
        todo = [(scenario, number) for number in range(runs) for scenario in group]
        work += [todo[at : at + _ON_ONE_RIG] for at in range(0, len(todo), _ON_ONE_RIG)]
    queue = iter(work)

    async def worker() -> None:
        for batch in queue:
            if time.monotonic() > end:
                return
            number = next(_rigs)
            spec = FleetSpec(sites=batch[0][0].sites, export_ms=150)
            if own_network:
                spec = replace(spec, base=f"127.{100 + number % 100}.0.1")
            left = list(batch)
            try:
                await _run_batch(postgres, folder / f"rig-{number}", spec, left, seed, report, tell)
            except Exception as error:  # noqa: BLE001 - told and counted: no rig, nothing shown; the others go on
                for scenario, _ in left:
                    report[scenario.id].add(Measured(violations=[f"rig: it could not be set up: {error!r}"]))
                tell(f"{len(left)} runs had no rig: {error!r} ({folder / f'rig-{number}'})")

    async with asyncio.TaskGroup() as workers:
        for _ in range(side_by_side):
            workers.create_task(worker())
    return report


async def _run_batch(
    postgres: str,
    folder: Path,
    spec: FleetSpec,
    left: list[tuple[Scenario, int]],
    seed: int,
    report: Report,
    tell: Callable[[str], None],
) -> None:
    """Run them, and take each out of the list when it was run."""
    told = frozenset().union(*(scenario.told for scenario, _ in left))
    first = left[0][0]
    for attempt in itertools.count(1):
        async with open_rig(postgres, folder / str(attempt), spec=spec, routers_by_proxy=first.routers_by_proxy) as rig:
            while left:
                scenario, number = left[0]
                begun = time.monotonic()
                measured = await run_scenario(rig, scenario, f"{seed} {scenario.id} {number}")
                logs = rig.log_violations(Excuses(told=told))
                measured.violations += logs
                took = time.monotonic() - begun
                report[scenario.id].add(measured, took)
                left.pop(0)
                tell(f"{scenario.id} run {number + 1}: {took:.1f} s, {len(measured.violations)} violations")
                for violation in measured.violations:
                    tell(f"  {violation} (seed {seed}, {folder})")
                if measured.violations:
                    break
        if not left:
            return


def table(report: Report) -> str:
    """One line a fault: what, runs, in how many nothing was violated, the worst times."""
    head = f"{'fault':34} {'runs':>5} {'violations':>10} {'noticed, s':>10} {'recovered, s':>12} {'took, s':>8}"
    lines = [head, "-" * len(head)]
    for name, row in report.items():
        noticed, recovered = (f"{seconds:.1f}" if seconds else "-" for seconds in (row.noticed, row.recovered))
        lines.append(
            f"{name[:34]:34} {row.runs:5} {len(row.violations):10} {noticed:>10} {recovered:>12} {row.took:8.1f}"
        )
    total = sum(row.runs for row in report.values())
    broken = sum(len(row.violations) for row in report.values())
    worst = max((row.recovered for row in report.values()), default=0)
    longest = max((row.took for row in report.values()), default=0)
    lines.append(f"{'all':34} {total:5} {broken:10} {'':10} {worst:12.1f} {longest:8.1f}")
    lines += [f"{name}: {said}" for name, row in report.items() for said in row.said]
    return "\n".join(lines)
