"""Whatever the bytes: an answer, in bounded depth."""

from __future__ import annotations

import gc
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tminus.routeros.language import Verdict, parse, verdict, walk
from tminus.routeros.language.cursor import MAX_DEPTH
from tminus.routeros.language.problem import ScriptSyntaxError

_PIECES = (
    b":put ", b"/ip address ", b"add ", b"find ", b"where ", b":local a ", b":set a ", b":if ", b":foreach i in=", b"do=",
    b"name=", b"nonsense ", b"a", b"Z", b"1", b"10.0.0.0/8", b"{", b"}", b"[", b"]", b"(", b")", b'"', b"$", b"$x", b"\\",
    b"\\\n", b"\n", b"\r\n", b"\t", b" ", b";", b"#", b"=", b"->", b"&&", b"!", b"~", b"-", b".", b"..", b",", b"<%%", b">",
    b"\xc3\xa4", b"\xff", b"\x00", b"'", b"@", b"/", b":",
)  # fmt: skip
sources = st.binary(max_size=200) | st.lists(st.sampled_from(_PIECES), max_size=40).map(b"".join)


@settings(max_examples=400, deadline=None)
@given(source=sources, tolerant=st.booleans())
def test_any_bytes_get_a_verdict_with_a_place_inside_the_source(source: bytes, tolerant: bool) -> None:
    got = verdict(source, tolerant=tolerant)
    if got.valid:
        assert got == Verdict(valid=True)
        return
    assert got.message
    assert got.line is not None
    assert got.column is not None
    lines = source.split(b"\n")
    assert 1 <= got.line <= len(lines)
    line = lines[got.line - 1]
    assert 1 <= got.column <= len(line) + 8 * line.count(b"\t") + 1


@settings(max_examples=200, deadline=None)
@given(source=sources)
def test_a_comment_line_before_moves_the_verdict_one_line_down(source: bytes) -> None:
    alone, below = verdict(source), verdict(b"# x\n" + source)
    assert (below.valid, below.message, below.column) == (alone.valid, alone.message, alone.column)
    assert below.line == (None if alone.line is None else alone.line + 1)


@settings(max_examples=400, deadline=None)
@given(source=sources)
def test_what_is_valid_stays_valid_for_a_tolerant_reader_and_can_be_walked(source: bytes) -> None:
    try:
        program = parse(source)
    except ScriptSyntaxError:
        return
    assert verdict(source, tolerant=True).valid
    for command in walk(program):
        assert 0 <= command.at.offset < len(source)


@pytest.mark.parametrize(
    "source",
    [
        "# \u043f\u0440\u0438\u0432\u0435\u0442\n:put 1".encode("cp1251"),
        ':put "\u043f\u0440\u0438\u0432\u0435\u0442"'.encode("cp1251"),
        ':log info "\u2603 \u0444"'.encode(),
        b":put 1\r\n\r\n:if (true) do={\r\n\t:put 2\r\n}\r\n",
        b":put 1\r:put 2",
        b'\t:put\t"\x00"\t\n',
        b"/ip address \\\r\n  print",
    ],
)
def test_bytes_that_published_scripts_have_are_read(source: bytes) -> None:
    assert verdict(source).valid
    assert verdict(source, tolerant=True).valid


@pytest.mark.parametrize("source", [b"x find -", b"/x y find a=1 ~", b"x print where !", b"/x find [:len 1] -"])
def test_what_a_tolerant_reader_sees_otherwise_is_still_valid(source: bytes) -> None:
    assert verdict(source).valid
    assert verdict(source, tolerant=True).valid


NESTED = [
    (b"{ ", b"}"),
    (b":put [", b"]"),
    (b":put (", b")"),
    (b':put "$[', b']"'),
    (b':put "$(', b')"'),
    (b":if (true) do={ ", b"}"),
    (b":put {", b"}"),
    (b"/ip address find where (", b")"),
    (b"/ip { ", b"}"),
    (b"$f a={ /", b"}"),
]


@pytest.mark.parametrize(("opening", "closing"), NESTED)
def test_deep_nesting_is_refused_without_a_stack_overflow(opening: bytes, closing: bytes) -> None:
    deep = opening * 10_000 + closing * 10_000
    got = verdict(deep)
    assert not got.valid
    assert got.message is not None


@pytest.mark.parametrize("opening", [b"{ ", b":do { ", b":if (true) do={ "])
def test_scripts_of_ordinary_depth_are_read(opening: bytes) -> None:
    assert verdict(opening * MAX_DEPTH + b"}" * MAX_DEPTH).valid
    refused = verdict(opening * (MAX_DEPTH + 1) + b"}" * (MAX_DEPTH + 1))
    assert refused.message == f"nested deeper than {MAX_DEPTH} levels"


def test_the_bound_on_depth_leaves_room_on_the_stack() -> None:
    """The costliest nesting, read with half of Python's default stack already in use."""

    def below(frames: int) -> bool:
        if frames:
            return below(frames - 1)
        return verdict(b':put "$[:put (' * (MAX_DEPTH // 2) + b"1" + b')]"' * (MAX_DEPTH // 2)).valid

    assert below(200)


@pytest.mark.parametrize(
    "source",
    [
        b":put (" + b"1 + " * 20_000 + b"1)",
        b":put (" + b"1 " * 20_000 + b")",
        b":put {" + b"1;" * 20_000 + b"}",
        b':put "' + b"$a " * 20_000 + b'"',
        b"/ip route print where " + b"a=b " * 20_000,
        b":put 1;" * 20_000,
        b"}" * 20_000,
    ],
)
def test_long_flat_input_costs_no_depth(source: bytes) -> None:
    assert sum(1 for _ in walk(parse(source))) >= (0 if source.startswith(b"}") else 1)


@pytest.mark.parametrize(
    "piece",
    [
        b"/x",
        b"/x ",
        b"/..",
        b"x=1 ",
        b"add list=a address=10.0.0.1\n",
        b":put 1;",
        b"\t:put 1\n",
        b'"$a" ',
        b"1 + ",
        b"{1;",
        b"\\\n",
        b"\\\n   \n",
        b"}",
    ],
)
@pytest.mark.parametrize("head", [b"/ip address ", b"x ", b":put {", b":put (", b':put "'])
def test_the_time_grows_with_the_length_and_not_with_its_square(head: bytes, piece: bytes) -> None:
    """Sixteen times as much may take a hundred times as long (memory, noise), but not two hundred and fifty."""

    def seconds(count: int) -> float:
        begin = time.process_time()
        verdict(head + piece * count, tolerant=True)
        return time.process_time() - begin

    gc.disable()  # what other tests left behind is none of ours
    try:
        assert min(seconds(8_000), seconds(8_000)) < 100 * max(min(seconds(500), seconds(500)), 0.001)
    finally:
        gc.enable()


def test_a_row_of_prefix_operators_is_bounded() -> None:
    assert not verdict(b":put (" + b"!" * 10_000 + b"1)").valid
