"""What a text has in common with another: how it begins and how it ends.

An export after a change is the export before it but for a few lines, so only those have to be kept of it. The rule is that
simple so that SQL can undo it: left(other, head) || middle || right(other, tail).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """The first `head` and the last `tail` characters of the text with this SHA-256, and `middle` between them."""

    sha256: bytes
    head: int
    tail: int
    middle: str


def find_likeness(text: str, other: str, sha256: bytes) -> Likeness | None:
    """Return what `text` has in common with `other`, whose SHA-256 is given; None if that is less than half of it."""
    longest = min(len(text), len(other))
    head = _most(longest, lambda count: text[:count] == other[:count])
    tail = _most(longest - head, lambda count: text[len(text) - count :] == other[len(other) - count :])
    if (head + tail) * 2 < len(text):
        return None
    return Likeness(sha256=sha256, head=head, tail=tail, middle=text[head : len(text) - tail])


def _most(longest: int, is_same: Callable[[int], bool]) -> int:
    """Return the largest count up to `longest` that is the same, if all smaller ones are, too. Comparing slices is cheap."""
    same, different = 0, longest + 1
    while different - same > 1:
        count = (same + different) // 2
        if is_same(count):
            same = count
        else:
            different = count
    return same
