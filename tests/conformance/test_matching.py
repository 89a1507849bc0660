"""How an answer is compared with a transcript."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.transcript import Answer, Device, Match, Transcript, difference, load, read, version_of

BOARD = Device(name="x", version=(7, 24, 4), kinds=frozenset({"routerboard"}))


def transcript(**given: Any) -> Transcript:
    row = {"id": "x", "tag": "O", "record": "1", "command": "x", **given}
    return read("test", row)


@pytest.mark.parametrize(
    ("match", "output", "answer", "agrees"),
    [
        ("whole", "a", b"a\r\n", True),
        ("whole", "a", b"a  \n\n", True),
        ("whole", "a", b"a\r\nb\r\n", False),
        ("whole", "", b"", True),
        ("whole", "", b"failure\r\n", False),
        ("whole", "a.c", b"abc\r\n", False),
        ("whole", "\na\n\nb\n", b"a\r\n\r\nb\r\n", True),
        ("whole", "{{version}} ({{channel}})", b"7.25beta1 (testing)\r\n", True),
        ("whole", "{{version}}", b"8.1\r\n", False),
        ("whole", "{{id}}", b"*1F\r\n", True),
        ("whole", "{{id}}", b"*1f\r\n", False),
        ("lines", "a\nc", b"a\r\nb\r\nc\r\n", True),
        ("lines", "c\na", b"a\r\nb\r\nc\r\n", False),
        ("each", "#{{text}}\n/{{text}}", b"# x\r\n/ip\r\n", True),
        ("each", "#{{text}}", b"# x\r\nadd\r\n", False),
        ("each", "#{{text}}", b"", False),
        ("bytes", "a\r\n", b"a\r\n", True),
        ("bytes", "a\r\n", b"a\n", False),
        ("bytes", "a\r\n", b"a \r\n", False),
    ],
)
def test_outputs(match: str, output: str, answer: bytes, agrees: bool) -> None:
    found = difference(transcript(match=match, output=output), BOARD, Answer(output=answer, status=0))
    assert (found is None) is agrees


@pytest.mark.parametrize(
    ("version", "answer", "agrees"),
    [
        ("6.49.10", b"no such item\r\n", True),
        ("6.49.10", b"no such item (/ip/address/set; line 1)\r\n", False),
        ("7.9", b"no such item\r\n", True),
        ("7.9", b"no such item (/ip/address/set; line 1)\r\n", True),
        ("7.20.8", b"no such item\r\n", False),
        ("7.20.8", b"no such item (/ip/address/set; line 1)\r\n", True),
        ("7.24.4", b"no such item (/ip/address/set; line 2)\r\n", False),
    ],
)
def test_the_place_of_an_error_depends_on_the_version(version: str, answer: bytes, agrees: bool) -> None:
    device = Device(name="x", version=version_of(version), kinds=frozenset())
    one = transcript(output="no such item{{where}}", where="/ip/address/set; line 1")
    assert (difference(one, device, Answer(output=answer)) is None) is agrees


def test_exit_statuses_and_lines_that_must_not_be_there() -> None:
    assert difference(transcript(status=[0, 1]), BOARD, Answer(output=b"", status=1)) is None
    assert difference(transcript(status=[0]), BOARD, Answer(output=b"", status=None)) == "exit status None, not 0"
    one = transcript(output="a", match="lines", absent=["^b"])
    assert difference(one, BOARD, Answer(output=b"a\r\nbc\r\n")) == "'bc' should not be there"


def test_hostile_answers_are_shown_escaped_and_short() -> None:
    found = difference(transcript(output="a"), BOARD, Answer(output=b"\xff\x1b[2J" + b"x" * 10_000))
    assert found is not None
    assert "\x1b" not in found
    assert len(found) < 600


@pytest.mark.parametrize(
    ("version", "device", "applies"),
    [
        ("7.15", None, False),
        ("7.16", None, True),
        ("7.19.9", None, True),
        ("7.20", None, False),
        ("7.16", "chr", False),
    ],
)
def test_where_a_transcript_applies(version: str, device: str | None, applies: bool) -> None:
    given = {"since": "7.16", "until": "7.20"} | ({"device": device} if device else {})
    here = Device(name="x", version=version_of(version), kinds=frozenset({"routerboard"}))
    assert transcript(**given).applies(here) is applies


@pytest.mark.parametrize(
    "wrong",
    [
        {"tag": "X"},
        {"record": ""},
        {"outptu": "a"},
        {"before": ["x"]},
        {"device": "toaster"},
        {"via": "telnet"},
        {"match": "some"},
    ],
)
def test_a_transcript_that_is_not_well_formed_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each says something else
        transcript(**wrong)


def test_every_transcript_says_where_it_is_from_and_expects_something() -> None:
    for one in load():
        assert one.record[0].isdigit(), one.id
        assert one.output or one.absent or one.match is Match.WHOLE, one.id
        if one.changes:
            touched = " ".join((one.command, *one.before, *one.after))
            assert "tminus" in touched or not one.before, one.id
