"""Each mutant of scripts/mutants still finds its place, and changes it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import tminus
from tests.property.mutants import MUTANTS, Mutant, apply

_PACKAGE = Path(tminus.__file__).parent


def test_there_are_enough_and_each_has_a_name_of_its_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 12


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_changes_one_place_of_a_copy(mutant: Mutant, tmp_path: Path) -> None:
    file = Path("store/sql") / mutant.file
    (tmp_path / file).parent.mkdir(parents=True)
    shutil.copy(_PACKAGE / file, tmp_path / file)
    apply(mutant, tmp_path)
    assert (tmp_path / file).read_text() != (_PACKAGE / file).read_text()
