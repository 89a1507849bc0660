"""Each message of the public record is replayed, or said not to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.transcript import load

HERE = Path(__file__).parent
MESSAGES = [line for line in (HERE / "messages.txt").read_text("utf-8").splitlines() if not line.startswith("# ")]
GUIDE = (HERE.parent.parent / "docs" / "conformance.md").read_text("utf-8")
REPLAYED = [line for transcript in load() for line in transcript.output.splitlines()]


def replayed(message: str) -> bool:
    return any(message in line for line in REPLAYED)


def excused(message: str) -> bool:
    """Whether the guide names it among those that are not replayed."""
    return message.rstrip() in " ".join(GUIDE.split("are not replayed", 1)[1].split("\n## ", 1)[0].split())


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_of_the_record_is_replayed_or_named_as_not_replayed(message: str) -> None:
    assert replayed(message) != excused(message), "neither, or both"


def test_a_transcript_says_what_comes_and_not_only_where() -> None:
    """``{{text}} (line 1 column 9)`` would agree with any error."""
    assert not [line for line in REPLAYED if line.startswith("{{text}} (line")]


def test_what_is_in_neither_is_noticed() -> None:
    assert not replayed("failure: nobody ever saw this")
    assert not excused("failure: nobody ever saw this")
