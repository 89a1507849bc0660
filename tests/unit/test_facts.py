"""What a router says of itself, in every form that was seen, and in some that a hostile one may choose."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.routeros.facts import Facts, Version, parse_facts, parse_serial, parse_uptime

BEGIN = "TMINUS-ASKED-0123456789abcdef"
MARKER = "TMINUS-ID-0123456789abcdef"


def answered(output: bytes) -> Facts | None:
    """What is read from answers with their beginning marked."""
    return parse_facts(BEGIN.encode() + b"\r\n" + output, BEGIN, MARKER)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("7.22 (stable)", (7, 22, 0)),
        ("6.48.7 (long-term)", (6, 48, 7)),
        ("6.49.10", (6, 49, 10)),
        ("7.24beta1 (testing)", (7, 24, 0)),
        ("7.24beta1", (7, 24, 0)),
        ("7.10rc1", (7, 10, 0)),
        ("7.16_ab321 (development)", (7, 16, 0)),
        ("  7.20.8 (stable) \r", (7, 20, 8)),
    ],
)
def test_versions(text: str, numbers: tuple[int, int, int]) -> None:
    version = Version.parse(text)
    assert version is not None
    assert (version.major, version.minor, version.patch) == numbers
    assert version.text == text.strip()


@pytest.mark.parametrize(
    "text",
    ["", "7", "v7.20", "bad command name system (line 1 column 7)", "7.x", "٧.٢٠", "7.20x", "12345.1", "7.20\n8"],
)
def test_what_is_no_version(text: str) -> None:
    assert Version.parse(text) is None


@pytest.mark.parametrize(
    ("text", "onerror", "dry_run", "secrets"),
    [
        ("6.49.10", False, False, True),
        ("7.1", False, False, False),
        ("7.12.1", False, False, False),
        ("7.13", True, False, False),
        ("7.15.3", True, False, False),
        ("7.16", True, True, False),
        ("7.9", False, False, False),
        ("7.24.4 (stable)", True, True, False),
        ("8.0", True, True, False),
    ],
)
def test_features_come_with_their_versions(text: str, onerror: bool, dry_run: bool, secrets: bool) -> None:
    version = Version.parse(text)
    assert version is not None
    assert (version.has_onerror, version.has_dry_run, version.exports_secrets) == (onerror, dry_run, secrets)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6w5d11h55m45s", 6 * 604800 + 5 * 86400 + 11 * 3600 + 55 * 60 + 45),
        ("1d6h22m", 86400 + 6 * 3600 + 22 * 60),
        ("00:06:48", 408),
        ("1d00:06:48", 86808),
        ("2w3d04:05:06", 2 * 604800 + 3 * 86400 + 4 * 3600 + 5 * 60 + 6),
        ("1y2w", 365 * 86400 + 2 * 604800),
        ("45s", 45),
        ("3m", 180),
        ("1h", 3600),
        ("6d", 6 * 86400),
        ("1m30s500ms", 90),
        ("100ms", 0),
        ("00:00:05.120", 5),
        ("26:00:00", 26 * 3600),
        (" 00:06:48 \r", 408),
    ],
)
def test_uptimes(text: str, seconds: int) -> None:
    assert parse_uptime(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "never",
        "12",
        "1:2:3",
        "5s3m",
        "-1d",
        "1d 2h",
        "no such item",
        "9" * 20 + "w",
        "9" * 5000 + "s",
        "٣s",
        "999999y",
        "200y",
    ],
)
def test_what_is_no_uptime(text: str) -> None:
    assert parse_uptime(text) is None


@given(st.text(st.sampled_from("0123456789ywdhms:. -"), max_size=30))
def test_reading_an_uptime_never_raises(text: str) -> None:
    parse_uptime(text)


def test_the_answer_to_identify() -> None:
    output = f"7.22 (stable)\r\nMikroTik\r\n00:06:48\r\n{MARKER}\r\n".encode()
    version = Version(7, 22, 0, "7.22 (stable)")
    assert answered(output) == Facts(version=version, identity="MikroTik", uptime=timedelta(seconds=408))


@pytest.mark.parametrize(
    ("identity", "read"),
    [
        (b"", ""),
        (b"core router 1  ", "core router 1"),
        (b"\xcf\xf0\xe8", "\ufffd\ufffd\ufffd"),
        (b"two\r\nlines", "two lines"),
        (b"\x1b[2J\x1b]0;x\x07evil\x00", "evil"),
        (b"00:06:48", "00:06:48"),
        (b"7.1\r\n1d", "7.1 1d"),
        (b"TMINUS-ID-ffffffffffffffff", "TMINUS-ID-ffffffffffffffff"),
        ("\u202eedalb".encode(), "edalb"),
        (b"x" * 1000, "x" * 200),
    ],
)
def test_a_hostile_identity_changes_nothing_else(identity: bytes, read: str) -> None:
    output = b"6.49.10\r\n" + identity + b"\r\n1d6h22m\r\n" + MARKER.encode() + b"\r\n"
    facts = answered(output)
    assert facts is not None
    assert facts == Facts(
        version=Version(6, 49, 10, "6.49.10"), identity=read, uptime=timedelta(days=1, hours=6, minutes=22)
    )


@pytest.mark.parametrize(
    ("shown", "place"),
    [
        ("Authorized access only!", 0),
        ("# 7.20", 0),
        ("24.12.25 - nobody works on this router without a ticket", 0),
        *(("10:11:12 echo: system,error,critical login failure", place) for place in range(5)),
    ],
)
def test_a_greeting_before_the_answers_and_an_alarm_among_them_are_no_matter(shown: str, place: int) -> None:
    answers = [BEGIN, "7.20.8 (stable)", "edge", "5d", MARKER]
    answers.insert(place, shown)
    facts = parse_facts("\r\n".join(answers).encode(), BEGIN, MARKER)
    assert facts is not None
    assert (facts.version.minor, facts.identity, facts.uptime) == (20, "edge", timedelta(days=5))


@pytest.mark.parametrize("end", ["\r\n", "\n", "   \r\n", "\r\r\n"])
def test_line_ends_and_padding_are_no_matter(end: str) -> None:
    output = end.join(["", "7.20.8 (stable)", "edge", "5d", MARKER, ""]).encode()
    facts = answered(output)
    assert facts is not None
    assert (facts.identity, facts.uptime) == ("edge", timedelta(days=5))


@pytest.mark.parametrize("identity", ["edge", ""])
def test_blank_lines_behind_the_answers_are_no_matter(identity: str) -> None:
    answers = ["7.20.8 (stable)", identity, "5d", MARKER]
    facts = answered("".join(f"{answer}\r\n\r\n" for answer in answers).encode())
    assert facts is not None
    assert (facts.version.minor, facts.identity, facts.uptime) == (20, identity, timedelta(days=5))


@pytest.mark.parametrize(
    "output",
    [
        b"",
        b"7.22\r\nMikroTik\r\n00:06:48\r\n",  # not to its end
        b"7.22\r\nMikroTik\r\n00:06:48\r\nTMINUS-ID-0123456789abcde",
        b"7.22\r\nMikroTik\r\n00:06:48\r\nx TMINUS-ID-0123456789abcdef\r\n",
        b"7.22\r\nMikroTik\r\n00:06:48\r\nTMINUS-ID-ffffffffffffffff\r\n",  # of another
        b"7.22\r\n00:06:48\r\nTMINUS-ID-0123456789abcdef\r\n",
        b"7.22\r\n00:06:48\r\n\r\nTMINUS-ID-0123456789abcdef\r\n",
        b"MikroTik\r\n7.22\r\n00:06:48\r\nTMINUS-ID-0123456789abcdef\r\n",
        b"7.22\r\nMikroTik\r\nlong ago\r\nTMINUS-ID-0123456789abcdef\r\n",
        b"Welcome!\r\n7.22\r\nMikroTik\r\n00:06:48\r\nTMINUS-ID-0123456789abcdef\r\n",
        b':put ("TMINUS-ID-" . "0123456789abcdef")\r\n',  # an echo of our line
        b"bash: :put: command not found\n",
    ],
)
def test_what_is_no_answer(output: bytes) -> None:
    assert answered(output) is None


def test_answers_whose_beginning_is_not_marked_are_none() -> None:
    assert parse_facts(f"7.22\r\nMikroTik\r\n5d\r\n{MARKER}\r\n".encode(), BEGIN, MARKER) is None


@given(st.binary(max_size=200))
def test_reading_facts_never_raises(data: bytes) -> None:
    answered(data + b"\n" + MARKER.encode())
    parse_serial(data.decode(errors="replace"))


@pytest.mark.parametrize(
    ("text", "serial"),
    [
        ("HCQ08FX50J7", "HCQ08FX50J7"),
        ("8B0A0123ABCD/r2", "8B0A0123ABCD/r2"),
        ("HCWJLYRTBQD", "HCWJLYRTBQD"),
        ("ERROR", None),
        ("", None),
        ("bad command name routerboard (line 1 column 14)", None),
        ("no such item", None),
        ("interrupted", None),
        ("HCQ08FX50J7\nHCQ08FX50J8", None),
        ("\x1b[1mHCQ", None),
    ],
)
def test_serial_numbers(text: str, serial: str | None) -> None:
    assert parse_serial(text) == serial
