"""Device output is hostile: what is stored and shown of it cannot do anything to anybody."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.routeros.text import clean, clean_line, lines

HOSTILE = [
    "\x1b[31m", "\x1b]0;title\x07", "\x1b]8;;http://x\x1b\\", "\x1b", "\x9b2J", "\x00", "\r", "\r\n", "\x08", "\x7f", "\x85",
    "\u202e", "\u2066", "\u200b", "\ufeff", "\u2028", "\u00ad", "\U000e0041", "[", "]", "31m", "text", "é", "🚀",
]  # fmt: skip
BYTES = st.binary(max_size=300) | st.lists(st.sampled_from(HOSTILE), max_size=40).map(
    lambda parts: "".join(parts).encode()
)
TEXT = st.text(max_size=300) | st.lists(st.sampled_from([*HOSTILE, "\ud800"]), max_size=40).map("".join)


def dangers(text: str) -> set[str]:
    """Return what of `text` is a control, turns text around, or cannot be seen; line feed and tab are no danger."""
    return {char for char in text if unicodedata.category(char) in ("Cc", "Cf", "Cs") and char not in "\n\t"} - ALLOWED


# Format characters that are part of how a script is written (Arabic numbers, Kaithi), and neither hide nor turn anything.
ALLOWED = set("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd") | {
    char for char in map(chr, range(0x13430, 0x1D17B)) if unicodedata.category(char) == "Cf"
}


@given(BYTES)
def test_any_bytes_become_safe_text(data: bytes) -> None:
    text = clean(data)
    assert dangers(text) == set()
    assert text.encode().decode() == text


@given(TEXT)
def test_any_text_becomes_safe_text(text: str) -> None:
    assert dangers(clean(text)) == set()


@given(BYTES | TEXT, st.integers(1, 400))
def test_the_cap_holds_and_cleaning_twice_changes_nothing(data: bytes | str, cap: int) -> None:
    text = clean(data, cap=cap)
    assert len(text) <= cap
    assert clean(text, cap=cap) == text


@given(st.text(st.characters(categories=["L", "N", "P", "Zs"]) | st.sampled_from("\n\t"), max_size=200))
def test_harmless_text_is_not_touched(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("hostile", "left"),
    [
        (b"a\x1b[1;31mred\x1b[0m", "ared"),
        (b"\x1b]0;your title\x07visible", "visible"),
        (b"\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"\x1b]0;never ends\r\nfailure: x\r\n", "0;never ends\nfailure: x\n"),
        (b"\x1b]0;ends late\nfailure: x\n\x07", "0;ends late\nfailure: x\n"),
        (b"\x1b[12", "12"),
        (b"safe\rgone", "safe\ngone"),
        (b"one\r\ntwo\rthree\x0bfour", "one\ntwo\nthree\nfour"),
        (b"nul\x00 bel\x07 del\x7f", "nul bel del"),
        (b"\xff\xfe\xc0\xaf", "\ufffd\ufffd\ufffd\ufffd"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (b"\xef\xf0\xe8\xe2\xe5\xf2 cp1251", "\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd cp1251"),
        ("abc\u202ecba\u2066", "abccba"),
        ("pay\u200bload\ufeff", "payload"),
        ("\u009b31mred\u0085next", "red\nnext"),
        (b"'); drop table tminus.sites; --", "'); drop table tminus.sites; --"),
        (b'{"event":"forged"}\n', '{"event":"forged"}\n'),
    ],
)
def test_examples(hostile: bytes | str, left: str) -> None:
    assert clean(hostile) == left


def test_of_a_long_text_beginning_and_end_stay_with_a_note_of_what_was_left_out() -> None:
    text = clean("a" * 600 + "b" * 600, cap=300)
    assert len(text) == 300
    assert text.startswith("a" * 150)
    assert text.endswith("b" * 50)
    assert "\n[900 characters left out]\n" in text


@pytest.mark.parametrize(
    "unit", [b"\x1b]", b"\x1b[", b"\x1b[0", b"\x1b[0;/", b"\x9b1", b"\x1b]x", b"\r", b"a", b"\x1b]\x1b"]
)
def test_time_grows_with_the_length_alone(unit: bytes) -> None:
    def seconds(size: int) -> float:
        data = unit * (size // len(unit)) + b"x"
        begin = time.process_time()
        clean(data, cap=1 << 30)
        return time.process_time() - begin

    seconds(10_000)
    assert seconds(2_000_000) < 5.0  # a quadratic one needs hours


def test_a_sequence_with_endless_parameters_takes_no_time_either() -> None:
    begin = time.process_time()
    for start in (b"\x1b[", b"\x1b]", b"\x9b"):
        clean(start + b"0" * 1_000_000 + b"/" * 1_000_000, cap=1 << 30)
    assert time.process_time() - begin < 5.0


@given(BYTES | TEXT, st.integers(1, 250))
def test_one_line_is_one_line(data: bytes | str, cap: int) -> None:
    line = clean_line(data, cap=cap)
    assert len(line) <= cap
    assert dangers(line) == set()
    assert line == " ".join(line.split())
    assert clean_line(line, cap=cap) == line


@pytest.mark.parametrize(
    ("hostile", "left"), [(b"  a \t b\r\n\r\nc ", "a b c"), (b"", ""), (b"\r\n", ""), (b"x" * 300, "x" * 200)]
)
def test_examples_of_one_line(hostile: bytes, left: str) -> None:
    assert clean_line(hostile) == left


def test_lines_lose_their_ends_and_the_padding_and_nothing_else() -> None:
    assert lines(b"  a  \r\nb\t\r\r\n\r\n\x1b[1mc\nlast") == ["  a", "b", "", "\x1b[1mc", "last"]
    assert lines(b"") == [""]


def test_there_is_no_character_that_is_forgotten() -> None:
    everything = "".join(map(chr, range(0x110000)))
    assert dangers(clean(everything, cap=1 << 30)) == set()
