"""What scripts/faults runs."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.campaign import Report, run_campaign, table
from tests.faults.namespace import enter
from tests.faults.rig import SLOWNESS
from tests.faults.scenarios import SCENARIOS
from tests.faults.trials import find_trials, run_trials
from tests.support import make_template, start_postgres


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/faults", description="Break everything, and look whether it holds.")
    parser.add_argument(
        "--only", metavar="PART", action="append", help="faults whose name contains this; may be repeated"
    )
    parser.add_argument("--runs", type=int, default=1, help="how often each (1)")
    parser.add_argument("--side-by-side", type=int, default=3, help="rigs at the same time (3)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin nothing more after that")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of what is drawn at random (the time)")
    parser.add_argument("--list", action="store_true", help="name the faults, and do nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--keep", action="store_true", help="keep the logs of the daemons also where all held")
    options = parser.parse_args()

    def wanted(name: str) -> bool:
        return not options.only or any(part in name for part in options.only)

    chosen = [scenario for name, scenario in SCENARIOS.items() if wanted(name)]
    trials = [trial for name, trial in find_trials().items() if wanted(name)]
    names = [scenario.id for scenario in chosen] + [trial.id for trial in trials]
    if options.list or not names:
        print("\n".join(names) or "no fault has such a name; see --list")
        return 0 if names else 2
    why_not = enter()
    left_out = [scenario.id for scenario in chosen if scenario.own_network and why_not is not None]
    chosen = [scenario for scenario in chosen if scenario.id not in left_out]
    folder = Path(tempfile.mkdtemp(prefix="tminus-faults-"))
    begun = time.monotonic()

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    report: Report = {}
    if chosen:
        with start_postgres() as dsn:
            asyncio.run(make_template(dsn))
            report = asyncio.run(
                run_campaign(
                    dsn, folder, chosen, runs=options.runs, seed=options.seed, side_by_side=options.side_by_side,
                    seconds=60 * options.minutes, own_network=why_not is None, tell=tell,
                )
            )  # fmt: skip
    tried, not_tried = asyncio.run(
        run_trials(
            folder, trials, runs=options.runs, side_by_side=options.side_by_side,
            seconds=60 * options.minutes - (time.monotonic() - begun), tell=tell,
        )
    )  # fmt: skip
    report |= tried
    print(table(report))
    for name, reason in not_tried.items():
        print(f"NOT RUN: {name}: {reason}")
    for name in left_out:
        print(f"NOT RUN: {name}, since a network of our own could not be had ({why_not}); root on Linux has one")
    if SLOWNESS != 1:
        print(f"what is allowed for the machine's own work is multiplied by {SLOWNESS:g} (FAULTS_SLOWNESS)")
    print(f"seed {options.seed}, {time.monotonic() - begun:.0f} s, {options.side_by_side} rigs side by side")
    if options.json:
        options.json.write_text(json.dumps({name: vars_of(row) for name, row in report.items()}, indent=1) + "\n")
    broken = any(row.violations for row in report.values())
    if broken or options.keep:
        print(f"the logs are in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if broken else 0


def vars_of(row: object) -> dict[str, object]:
    return {name: getattr(row, name) for name in ("runs", "noticed", "recovered", "took", "violations")}


if __name__ == "__main__":
    sys.exit(main())
