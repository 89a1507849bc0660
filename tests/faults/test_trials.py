"""Faults that are tests of their own are rows of scripts/faults: one that fails, cannot run or says nothing is told as that."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.faults.campaign import table
from tests.faults.trials import Trial, Verdict, find_trials, read_verdict, run_trials

_TESTS = {
    "holds": "def test_it(): pass",
    "breaks": """
        import pytest

        @pytest.fixture
        def rest():
            yield
            assert not "left behind"

        @pytest.mark.parametrize("n", [1, 2])
        def test_it(n, rest):
            assert n == 1
    """,
    "has no right": "import pytest\ndef test_it(): pytest.skip('no right to mount')",
    "dies": "import os\ndef test_it(): os._exit(3)",
}


async def test_each_is_told_as_what_it_was(tmp_path: Path) -> None:
    trials = []
    for number, (name, text) in enumerate(_TESTS.items()):
        file = tmp_path / f"test_{number}.py"
        file.write_text(textwrap.dedent(text))
        trials.append(Trial(fault="F0", name=name, test=f"{file}::test_it"))
    told: list[str] = []
    report, not_run = await run_trials(tmp_path / "runs", trials, runs=1, side_by_side=2, tell=told.append)
    assert list(not_run) == ["F0-has-no-right"]
    assert "no right to mount" in not_run["F0-has-no-right"]
    violations = {name: row.violations for name, row in report.items()}
    assert {name: len(found) for name, found in violations.items()} == {"F0-holds": 0, "F0-breaks": 3, "F0-dies": 1}
    assert len([violation for violation in violations["F0-breaks"] if "left behind" in violation]) == 2
    assert "pytest ended with 3" in violations["F0-dies"][0]
    assert len([line for line in told if line.startswith("F0-breaks run ")]) == 1
    assert f"{'F0-breaks':34} {1:5} {3:10}" in table(report)
    assert "F0-has-no-right" not in table(report)


def test_a_report_of_no_test_shows_nothing() -> None:
    assert read_verdict("<testsuites><testsuite/></testsuites>") == Verdict(violations=["no test was run"])


async def test_nothing_is_begun_once_the_time_is_over(tmp_path: Path) -> None:
    trial = Trial(fault="F0", name="late", test=str(tmp_path / "test_late.py"))
    report, not_run = await run_trials(tmp_path, [trial], runs=1, side_by_side=1, seconds=-1.0)
    assert report["F0-late"].runs == 0
    assert not not_run


@pytest.mark.parametrize("fault", ["F5", "F8", "F9", "F10", "F11", "F12", "F28"])
def test_what_no_rig_can_do_is_found(fault: str) -> None:
    trials = [trial for name, trial in find_trials().items() if name.startswith(f"{fault}-")]
    assert trials
    assert all(trial.test.startswith("tests/faults/test_") for trial in trials)
