"""At most once, one owner, one ending: whatever a few processes do to the real SQL in whatever order.

OWNERSHIP_EXAMPLES asks for more, and other, examples than the fixed ones that are tried each time.
"""

from __future__ import annotations

import os

import pytest

from tests.property.run import explore

_ASKED = os.environ.get("OWNERSHIP_EXAMPLES")
EXAMPLES = int(_ASKED or 200)


@pytest.mark.timeout(7200)
def test_no_order_of_steps_starts_anything_twice_or_loses_an_ending(postgres: str) -> None:
    walked = explore(
        postgres,
        races=8,
        examples=EXAMPLES,
        steps=30,
        derandomize=_ASKED is None,
        shrink="OWNERSHIP_UNSHRUNK" not in os.environ,
    )
    assert walked.steps > 10 * EXAMPLES, "the walks are too short to prove anything"
