"""The difference of two exports, menu by menu: what a person reads to see what a script did."""

from __future__ import annotations

import difflib
from itertools import accumulate, compress, count
from operator import ne

_CONTEXT = 3
_LONGEST_COMPARISON = 4_000_000  # pairs of lines; a second or two


def diff_exports(before: str, after: str) -> str:
    """Return the unified diff of two normalised exports; empty if they differ in the order of menus at most.

    Menu is compared with menu, wherever it stands; the order within one counts. Each part is headed by its menu.

    Takes seconds at most, whatever the texts are: where comparing would take longer, the rest of what is to be compared
    is shown as removed and added, which is longer than it could be and just as true.
    """
    a = before.splitlines()
    b = _in_the_order_of(a, after.splitlines())
    if a == b:
        return ""
    # What both begin and end with need not be compared.
    shorter = min(len(a), len(b))
    head = next(compress(count(), map(ne, a, b)), shorter)
    tail = min(next(compress(count(), map(ne, reversed(a), reversed(b))), shorter), shorter - head)
    skipped, kept = max(head - _CONTEXT, 0), max(tail - _CONTEXT, 0)
    menus_a, menus_b = _menu_of_each(a, skipped, len(a) - kept), _menu_of_each(b, skipped, len(b) - kept)
    a, b = a[skipped : len(a) - kept], b[skipped : len(b) - kept]
    diff = ["--- before", "+++ after"]
    for group in _BoundedMatcher(a, b).get_grouped_opcodes(_CONTEXT):
        removed, added = (group[0][1], group[-1][2]), (group[0][3], group[-1][4])
        tag, a_from, _, b_from, _ = next(change for change in group if change[0] != "equal")
        menu = menus_b[b_from] if tag == "insert" else menus_a[a_from]
        diff.append(f"@@ -{_range(*removed, skipped)} +{_range(*added, skipped)} @@{menu and ' ' + menu}")
        for tag, a_from, a_to, b_from, b_to in group:
            if tag == "equal":
                diff += (f" {line}" for line in a[a_from:a_to])
            else:
                diff += (f"-{line}" for line in a[a_from:a_to])
                diff += (f"+{line}" for line in b[b_from:b_to])
    return "\n".join(diff) + "\n"


def _in_the_order_of(first: list[str], second: list[str]) -> list[str]:
    """Return the menus of `second` in the order in which `first` has them; one that it has not stays behind its neighbour."""
    if _heads(first) == _heads(second):  # nearly always
        return second
    wanted, found = _menus(first), _menus(second)
    common = [key for key in found if key in wanted]
    if common == [key for key in wanted if key in found]:
        return second
    followers: dict[tuple[str, int] | None, list[tuple[str, int]]] = {}
    neighbour: tuple[str, int] | None = None
    for key in found:
        if key in wanted:
            neighbour = key
        else:
            followers.setdefault(neighbour, []).append(key)
    order: list[tuple[str, int]] = [*followers.get(None, ())]
    for key in wanted:
        if key in found:
            order += (key, *followers.get(key, ()))
    return [line for key in order for line in found[key]]


def _heads(said: list[str]) -> list[str]:
    """Return the lines that name a menu."""
    return [line for line in said if line[:1] == "/"]


def _menus(said: list[str]) -> dict[tuple[str, int], list[str]]:
    """Cut an export at the lines that name a menu. A menu that comes again has a number of its own."""
    menus: dict[tuple[str, int], list[str]] = {}
    seen: dict[str, int] = {}
    current = menus["", 0] = []
    for line in said:
        if line[:1] == "/":
            seen[line] = seen.get(line, 0) + 1
            current = menus[line, seen[line]] = []
        current.append(line)
    return menus


def _menu_of_each(said: list[str], start: int, stop: int) -> list[str]:
    """Return for each line from `start` to `stop` the menu that it is of, or nothing."""
    current = next((said[index] for index in range(start - 1, -1, -1) if said[index][:1] == "/"), "")
    menus = []
    for line in said[start:stop]:
        if line[:1] == "/":
            current = line
        menus.append(current)
    return menus


def _range(start: int, stop: int, skipped: int) -> str:
    """Return lines `start` to `stop` as a unified diff names them: from 1, and an empty range by the line before it."""
    length = stop - start
    first = skipped + start + (1 if length else 0)
    return str(first) if length == 1 else f"{first},{length}"


class _BoundedMatcher(difflib.SequenceMatcher[str]):
    """difflib's matcher, which finds nothing more once it has compared `_LONGEST_COMPARISON` pairs of lines.

    Alone it takes hours for two long texts of few different lines, and a router can send such texts.
    """

    def __init__(self, a: list[str], b: list[str]) -> None:
        super().__init__(None, a, b)
        self._left = _LONGEST_COMPARISON
        # How many lines of b are looked at for the first n lines of a.
        places: dict[str, list[int]] = self.b2j  # type: ignore[attr-defined]  # documented, and missing in the stubs
        self._looks = [0, *accumulate(1 + len(places.get(line, ())) for line in a)]

    def find_longest_match(
        self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None
    ) -> difflib.Match:
        self._left -= self._looks[-1 if ahi is None else ahi] - self._looks[alo]
        if self._left < 0:
            return difflib.Match(alo, blo, 0)
        return super().find_longest_match(alo, ahi, blo, bhi)
