"""What two texts have in common is found whole, and the middle puts the text together again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.domain.likeness import find_likeness

SHA256 = bytes(32)


@pytest.mark.parametrize(
    ("text", "other", "head", "tail", "middle"),
    [
        ("abcdef", "abXdef", 2, 3, "c"),
        ("abcdef", "abdef", 2, 3, "c"),
        ("abdef", "abcdef", 2, 3, ""),
        ("abcdef", "abcdef", 6, 0, ""),
        ("aaaa", "aaa", 3, 0, "a"),
        ("aaa", "aaaa", 3, 0, ""),
        ("äöüß", "äöxß", 2, 1, "ü"),
        ("abcdef", "Xbcdef", 0, 5, "a"),
        ("", "abc", 0, 0, ""),
    ],
)
def test_what_is_in_common_is_found(text: str, other: str, head: int, tail: int, middle: str) -> None:
    like = find_likeness(text, other, SHA256)
    assert like is not None
    assert (like.head, like.tail, like.middle) == (head, tail, middle)


def test_a_text_that_is_mostly_another_is_not_like_it() -> None:
    assert find_likeness("abXXXXX", "ab", SHA256) is None
    assert find_likeness("abc", "", SHA256) is None


@given(st.text("abü", max_size=30), st.text("abü", max_size=30))
def test_head_middle_and_tail_are_the_text(text: str, other: str) -> None:
    like = find_likeness(text, other, SHA256)
    if like is not None:
        assert other[: like.head] + like.middle + other[len(other) - like.tail :] == text
        assert like.head + like.tail <= len(other)
