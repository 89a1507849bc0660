"""What a text has in common with another: how it begins and how it ends.

An export after a change is the export before it but for a few lines, so only those have to be kept of it. The rule is that
simple so that SQL can undo it: left(other, head) || middle || right(other, tail).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_BLOCK = 8192  # characters that are compared at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """The first `head` and the last `tail` characters of the text with this SHA-256, and `middle` between them."""

    sha256: bytes
    head: int
    tail: int
    middle: str


def find_likeness(text: str, other: str, sha256: bytes) -> Likeness | None:
    """Return what `text` has in common with `other`, whose SHA-256 is given; None if that is less than half of it."""
    head, tail = common_ends(text, other)
    if (head + tail) * 2 < len(text):
        return None
    return Likeness(sha256=sha256, head=head, tail=tail, middle=text[head : len(text) - tail])


def common_ends(text: str, other: str) -> tuple[int, int]:
    """Return how many characters two texts begin with in common, and with how many of the rest of both they end."""
    longest = min(len(text), len(other))
    head = _most(longest, lambda begin, end: text.startswith(other[begin:end], begin))
    ends = len(text), len(other)
    tail = _most(
        longest - head,
        lambda begin, end: text.startswith(other[ends[1] - end : ends[1] - begin], ends[0] - end),
    )
    return head, tail


def _most(longest: int, is_same: Callable[[int, int], bool]) -> int:
    """Return how much is the same, up to `longest`, of two texts of which `is_same` compares a stretch: block by block."""
    same, size = 0, _BLOCK
    while size and same < longest:
        end = min(same + size, longest)
        if is_same(same, end):
            same = end
        else:
            size //= 2
    return same
