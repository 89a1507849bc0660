"""Agreement with recorded verdicts of a real router. The record is no part of the repository."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tminus.routeros.language import verdict

_ROOT = Path(__file__).resolve().parents[3]
_RECORD = Path(
    os.environ.get("TMINUS_PARSE_VERDICTS", _ROOT.parent / "shared" / "reference" / "parse-verdicts" / "dev.jsonl")
)


@pytest.mark.skipif(not _RECORD.is_file(), reason="no recorded verdicts: set TMINUS_PARSE_VERDICTS to a file of them")
def test_the_parser_agrees_with_a_real_router() -> None:
    rows = [json.loads(line) for line in _RECORD.read_text("utf-8").splitlines() if line]
    assert rows
    same_validity = same_place = 0
    for row in rows:
        theirs, ours = row["verdict"], verdict(row["script"].encode("utf-8"))
        same_validity += ours.valid == theirs["valid"]
        same_place += (ours.message, ours.line, ours.column) == (
            theirs.get("message"),
            theirs.get("line"),
            theirs.get("column"),
        )
    floor_validity, floor_place = (0.97, 0.95) if "TMINUS_PARSE_VERDICTS" not in os.environ else (0.97, 0.85)
    assert same_validity / len(rows) >= floor_validity
    assert same_place / len(rows) >= floor_place
