"""The soak works, for a few seconds: what scripts/soak does for as long as one likes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.soak import slope, soak


@pytest.mark.timeout(300)
async def test_nothing_is_violated_while_things_go_wrong_at_random(
    postgres: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = await soak(postgres, tmp_path / "rig", minutes=0.15, sites=8, daemons=2, seed=5)
    assert not found, "\n".join(found)
    said = capsys.readouterr().out
    assert "0 violations in 0.15 minutes" in said
    assert " completed" in said


def test_the_slope_is_that_of_a_line() -> None:
    assert slope([(float(second), 100 + second * 0.01) for second in range(0, 600, 5)]) == pytest.approx(36.0)
    assert slope([]) == 0
