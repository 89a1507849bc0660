"""Long lines are put together again, in the same way whether a text has few backslashes or many."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tminus.routeros import wraps
from tminus.routeros.wraps import WRAP, pieces, unwrap


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("", ""),
        ("add a=1\nadd b=2\n", "add a=1\nadd b=2\n"),
        ("add a=1 \\\n    b=2\n", "add a=1 b=2\n"),
        ("add a=1\\\n    \\\n    2\n", "add a=12\n"),
        ('add a="x\\\\\nadd b=2', 'add a="x\\\\\nadd b=2'),  # escaped: it wraps nothing
        ('add a="x\\\\\\\n    y"', 'add a="x\\\\y"'),
        ("add a=1\\\n", "add a=1"),
        ("\\\n\\\n", ""),
        ("add a=1\\", "add a=1\\"),
    ],
)
def test_a_single_backslash_at_the_end_of_a_line_wraps_it(text: str, whole: str) -> None:
    assert unwrap(text) == whole
    assert unwrap(text + "x" * 10_000) == whole + "x" * 10_000  # with few backslashes to its length


@given(st.text(alphabet='\\\n a"', max_size=60))
@example("\\\\\\\n\\\n")
def test_few_and_many_backslashes_are_read_alike(text: str) -> None:
    assert wraps._cut_at_few(text) == wraps._cut_at_all(text) == pieces(text)
    assert WRAP.join(pieces(text)) == text
