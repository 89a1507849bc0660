"""Faults that each are a test of their own, since a rig is not enough: a server that is killed or put back, a small disk.

Such a test is marked with its class and name, `@pytest.mark.fault("F5", "server crashes")`. scripts/faults runs it in a pytest of its
own, whose simulated routers have a network of their own; scripts/test runs it as any other test.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from tests.faults.campaign import Report, Row
from tests.faults.scenarios.scenario import Measured
from tests.support import SLOWNESS

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_PATIENCE = 600.0 * SLOWNESS  # seconds for one test, and for its server
_END_WITHIN = 30.0  # seconds for an interrupted one to end what it has started
_networks = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    fault: str
    name: str
    test: str  # as pytest calls it

    @property
    def id(self) -> str:
        return f"{self.fault}-{self.name.replace(' ', '-')}"


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What pytest said of one run. `not_run` is why it could not be: no right to mount, say."""

    violations: list[str] = field(default_factory=list)
    not_run: str = ""


def find_trials() -> dict[str, Trial]:
    """All tests of this folder that are marked as faults, by their ids."""
    found = [trial for file in sorted(_HERE.glob("test_*.py")) for trial in _marked(file)]
    by_id = {trial.id: trial for trial in found}
    assert len(by_id) == len(found), "two faults have one name"
    return by_id


def _marked(file: Path) -> Iterator[Trial]:
    module = importlib.import_module(f"tests.faults.{file.stem}")
    for name, test in vars(module).items():
        if getattr(test, "__module__", None) == module.__name__:
            for mark in getattr(test, "pytestmark", ()):
                if mark.name == "fault":
                    yield Trial(fault=mark.args[0], name=mark.args[1], test=f"{file.relative_to(_ROOT)}::{name}")


async def run_trials(
    folder: Path,
    trials: Iterable[Trial],
    *,
    runs: int,
    side_by_side: int,
    seconds: float = float("inf"),
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[Report, dict[str, str]]:
    """Run each so many times, as far as they can be begun within `seconds`; also returns which could not be run, and why."""
    end = time.monotonic() + seconds
    chosen = list(trials)
    report: Report = {trial.id: Row() for trial in chosen}
    not_run: dict[str, str] = {}
    queue = iter([(trial, number) for number in range(runs) for trial in chosen])

    async def worker() -> None:
        for trial, number in queue:
            if time.monotonic() > end:
                return
            if trial.id in not_run:
                continue
            begun = time.monotonic()
            verdict = await run_trial(folder / f"{trial.id}-{number + 1}", trial)
            took = time.monotonic() - begun
            if verdict.not_run:
                not_run[trial.id] = verdict.not_run
                continue
            report[trial.id].add(Measured(violations=verdict.violations), took)
            tell(f"{trial.id} run {number + 1}: {took:.1f} s, {len(verdict.violations)} violations")
            for violation in verdict.violations:
                tell(f"  {violation} ({folder})")

    async with asyncio.TaskGroup() as workers:
        for _ in range(side_by_side):
            workers.create_task(worker())
    return {name: row for name, row in report.items() if name not in not_run}, not_run


async def run_trial(folder: Path, trial: Trial) -> Verdict:
    """Run it once. A test that says nothing, or takes too long, has not shown that anything holds."""
    folder.mkdir(parents=True)
    report, said = folder / "report.xml", folder / "pytest.log"
    command = (
        sys.executable,
        "-m",
        "pytest",
        trial.test,
        f"--junitxml={report}",
        f"--basetemp={folder / 'tmp'}",
        f"--timeout={120 * SLOWNESS:.0f}",
    )
    with said.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=_ROOT, stdout=log, stderr=log, stdin=asyncio.subprocess.DEVNULL,
            env=os.environ | {"TEST_NETWORK": f"127.{200 + next(_networks) % 50}"},
        )  # fmt: skip
        try:
            await asyncio.wait_for(process.wait(), _PATIENCE)
        except TimeoutError:
            return Verdict(violations=[f"A3: not over after {_PATIENCE:.0f} s; see {said}"])
        finally:
            await _end(process)
    try:
        return read_verdict(report.read_text())
    except (OSError, ElementTree.ParseError):
        return Verdict(violations=[f"pytest ended with {process.returncode} and said nothing; see {said}"])


async def _end(process: asyncio.subprocess.Process) -> None:
    """As ctrl-C does: the test ends the daemons and the server that it has started."""
    if process.returncode is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _END_WITHIN)
    if process.returncode is None:
        process.kill()
        await process.wait()


def read_verdict(report: str) -> Verdict:
    """Read the report that pytest writes with --junitxml. A report of no test is a violation."""
    cases = list(ElementTree.fromstring(report).iter("testcase"))
    bad = [wrong for case in cases for wrong in case if wrong.tag in ("failure", "error")]
    skipped = [why for case in cases for why in case if why.tag == "skipped"]
    violations = [f"{wrong.get('message', '')}\n{(wrong.text or '')[-1500:]}" for wrong in bad]
    if not cases:
        violations.append("no test was run")
    if not violations and len(skipped) == len(cases):
        return Verdict(not_run=str(skipped[0].get("message")))
    return Verdict(violations=violations)
