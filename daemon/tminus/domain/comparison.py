"""The lines of one text compared with those of another, in a second or two at most, and how a unified diff writes them.

Where comparing would take longer, the rest of what is to be compared is taken as removed and added: that is longer than it
could be, and just as true.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import Match, SequenceMatcher
from itertools import accumulate
from typing import TypeAlias

CONTEXT = 3
_LONGEST_COMPARISON = 4_000_000  # pairs of lines; a second or two
Group: TypeAlias = Sequence[tuple[str, int, int, int, int]]
"""Changes with the lines around them: a tag of difflib each, and the lines of the one text and of the other."""


def groups_of_changes(a: list[str], b: list[str]) -> Iterator[Group]:
    """Yield where two texts differ, as one hunk of a unified diff each."""
    return iter(_BoundedMatcher(a, b).get_grouped_opcodes(CONTEXT))


def head_of(group: Group, *, skipped: int = 0) -> str:
    """Return the line that a hunk begins with; `skipped` lines of both texts stand before those that were compared."""
    removed, added = (group[0][1], group[-1][2]), (group[0][3], group[-1][4])
    return f"@@ -{_range(*removed, skipped)} +{_range(*added, skipped)} @@"


def lines_of(group: Group, a: list[str], b: list[str]) -> Iterator[str]:
    """Yield the lines of a hunk but for the one that it begins with."""
    for tag, a_from, a_to, b_from, b_to in group:
        if tag == "equal":
            yield from (f" {line}" for line in a[a_from:a_to])
        else:
            yield from (f"-{line}" for line in a[a_from:a_to])
            yield from (f"+{line}" for line in b[b_from:b_to])


def _range(start: int, stop: int, skipped: int) -> str:
    """Return lines `start` to `stop` as a unified diff names them: from 1, and an empty range by the line before it."""
    length = stop - start
    first = skipped + start + (1 if length else 0)
    return str(first) if length == 1 else f"{first},{length}"


class _BoundedMatcher(SequenceMatcher[str]):
    """difflib's matcher, which finds nothing more once it has compared `_LONGEST_COMPARISON` pairs of lines.

    Alone it takes hours for two long texts of few different lines, and a router can send such texts, and an author submit them.
    """

    def __init__(self, a: list[str], b: list[str]) -> None:
        super().__init__(None, a, b)
        self._left = _LONGEST_COMPARISON
        # How many lines of b are looked at for the first n lines of a.
        places: dict[str, list[int]] = self.b2j  # type: ignore[attr-defined]  # documented, and missing in the stubs
        self._looks = [0, *accumulate(1 + len(places.get(line, ())) for line in a)]

    def find_longest_match(self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None) -> Match:
        self._left -= self._looks[-1 if ahi is None else ahi] - self._looks[alo]
        if self._left < 0:
            return Match(alo, blo, 0)
        return super().find_longest_match(alo, ahi, blo, bhi)
