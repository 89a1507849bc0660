"""The soak works, for a few seconds: what scripts/soak does for as long as one likes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults import soak as soaking
from tests.faults.rig import open_rig
from tests.faults.soak import Soak, slope, soak


@pytest.mark.timeout(300)
async def test_nothing_is_violated_while_things_go_wrong_at_random(
    postgres: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = await soak(postgres, tmp_path / "rig", minutes=0.15, sites=8, daemons=2, seed=5)
    assert not found, "\n".join(found)
    said = capsys.readouterr().out
    assert "0 violations in 0.15 minutes" in said
    assert " completed" in said


async def test_a_file_that_nobody_takes_away_is_found_at_the_end(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soaking, "_TIDY_WITHIN", 1.0)
    async with open_rig(postgres, tmp_path / "rig", daemons=1) as rig:
        soaked = Soak(rig, random.Random(1))
        rig.fleet.router("sim-0001").files.put("tminus-00112233aabbccdd.rsc", b":put 1")
        await soaked.mended()
        assert any(said.startswith("A0") and "on sim-0001" in said for said in soaked.violations)


def test_the_slope_is_that_of_a_line() -> None:
    assert slope([(float(second), 100 + second * 0.01) for second in range(0, 600, 5)]) == pytest.approx(36.0)
    assert slope([]) == 0
