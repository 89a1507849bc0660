"""A few of the faults that scripts/faults makes, each once: those that guard the promises most directly."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.campaign import Report, run_campaign
from tests.faults.scenarios import SCENARIOS

CHOSEN = (
    "F1-killed-at-launching",
    "F1-killed-at-claimed",
    "F1-killed-at-start_written",
    "F1-killed-in-the-script",
    "F1-killed-at-ending_written",
    "F2-frozen-at-sending",
    "F2-frozen-at-ending_writing",
    "F3-blocked-at-ready",
    "F6-answer-lost-at-start_committing",
    "F6-answer-lost-at-ending_writing",
    "F7-database-freeze-for-8-s-of-one",
    "F13-reset-after-the-start",
    "F13-drop-after-the-end",
    "F24-SIGTERM-at-sending",
    "F25-cancelled-at-start_writing",
    "F27-error-at-start_written",
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def report(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder: Path = tmp_path_factory.mktemp("faults")
    chosen = [SCENARIOS[name] for name in CHOSEN]
    return await run_campaign(postgres, folder, chosen, runs=1, seed=1, side_by_side=4)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", CHOSEN)
async def test_all_that_is_promised_holds_after_a_fault(report: Report, name: str) -> None:
    assert report[name].runs == 1
    assert not report[name].violations, "\n".join(report[name].violations)
