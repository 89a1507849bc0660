"""At most once, one owner, one ending: whatever a few processes do to the real SQL in whatever order."""

from __future__ import annotations

import os

import pytest

from tests.property.run import explore

EXAMPLES = int(os.environ.get("OWNERSHIP_EXAMPLES", "300"))


@pytest.mark.timeout(3600)
def test_no_order_of_steps_starts_anything_twice_or_loses_an_ending(postgres: str) -> None:
    walked = explore(postgres, examples=EXAMPLES, steps=30, derandomize="OWNERSHIP_EXAMPLES" not in os.environ)
    print(f"{walked.examples} examples, {walked.steps} statements of the walk")  # noqa: T201 - shown with -s, by scripts/mutants
    assert walked.examples >= min(EXAMPLES, 100)
