"""The difference between two scripts, as an approver reads it."""

from __future__ import annotations

import difflib
import time

from hypothesis import given
from hypothesis import strategies as st

from tminus.domain.review import lines_between

SCRIPTS = st.lists(st.sampled_from(["a", "b", "c", "", "-x", "+x", "@@ -1 +1 @@"]), max_size=25).map("\n".join)
LONG = 16_000


@given(SCRIPTS, SCRIPTS)
def test_it_is_an_ordinary_unified_diff(before: str, now: str) -> None:
    expected = difflib.unified_diff(before.splitlines(), now.splitlines(), "authorized", "now", lineterm="")
    assert lines_between(before, now, "authorized") == list(expected)


def test_its_cost_is_bounded_and_nothing_is_left_out() -> None:
    before = [f"add name=a{n}" if n % 2 else f"set {n}" for n in range(LONG)]
    now = [f"add name=a{n}" if n % 2 else f"unset {n}" for n in range(LONG)]
    begin = time.process_time()
    diff = lines_between("\n".join(before), "\n".join(now), "authorized")
    assert time.process_time() - begin < 5.0
    removed, added = (
        [line[1:] for line in diff[2:] if line[0] in marks and not line.startswith("@@")] for marks in (" -", " +")
    )
    assert (diff[:2], removed, added) == (["--- authorized", "+++ now"], before, now)
