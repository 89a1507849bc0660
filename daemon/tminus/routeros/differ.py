"""The difference of two exports, menu by menu: what a person reads to see what a script did."""

from __future__ import annotations

from tminus.domain.comparison import CONTEXT, groups_of_changes, head_of, lines_of
from tminus.domain.likeness import common_ends


def diff_exports(before: str, after: str) -> str:
    """Return the unified diff of two normalised exports; empty if they differ in the order of menus at most.

    Menu is compared with menu, wherever it stands; the order within one counts. Each part is headed by its menu.

    Takes seconds at most, whatever the texts are (see domain.comparison).
    """
    before, after = _ended(before), _ended(after)
    if before == after:
        return ""
    start, kept = _differing(before, after)
    if _heads(before[start : len(before) - kept]) != _heads(after[start : len(after) - kept]):
        after = _in_the_order_of(before, after)
        if before == after:
            return ""
        start, kept = _differing(before, after)
    skipped, menu_before = before.count("\n", 0, start), _menu_at(before, start)
    a, b = _lines(before[start : len(before) - kept]), _lines(after[start : len(after) - kept])
    menus_a, menus_b = _menu_of_each(a, menu_before), _menu_of_each(b, menu_before)
    diff = ["--- before", "+++ after"]
    for group in groups_of_changes(a, b):
        tag, a_from, _, b_from, _ = next(change for change in group if change[0] != "equal")
        menu = menus_b[b_from] if tag == "insert" else menus_a[a_from]
        diff.append(head_of(group, skipped=skipped) + (menu and " " + menu))
        diff += lines_of(group, a, b)
    return "\n".join(diff) + "\n"


def _ended(text: str) -> str:
    return text + "\n" if text and text[-1] != "\n" else text


def _differing(before: str, after: str) -> tuple[int, int]:
    """Return where the lines begin in which two texts differ, with those around them, and how far from the end they end."""
    head, tail = common_ends(before, after)
    start, stop = head, len(before) - tail
    for _ in range(CONTEXT + 1):
        start = before.rfind("\n", 0, max(start - 1, 0)) + 1
        stop = before.find("\n", stop) + 1 or len(before)
    return start, len(before) - stop


def _in_the_order_of(first: str, second: str) -> str:
    """Return the menus of `second` in the order in which `first` has them; one that it has not stays behind its neighbour."""
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
    return "".join(f"{line}\n" for key in order for line in found[key])


def _heads(text: str) -> list[str]:
    """Return the lines that name a menu."""
    return [line for line in _lines(text) if line[:1] == "/"]


def _menus(text: str) -> dict[tuple[str, int], list[str]]:
    """Cut an export at the lines that name a menu. A menu that comes again has a number of its own."""
    menus: dict[tuple[str, int], list[str]] = {}
    seen: dict[str, int] = {}
    current = menus["", 0] = []
    for line in _lines(text):
        if line[:1] == "/":
            seen[line] = seen.get(line, 0) + 1
            current = menus[line, seen[line]] = []
        current.append(line)
    return menus


def _menu_at(text: str, start: int) -> str:
    """Return the menu of what comes before a line that begins at `start`, or nothing."""
    place = text.rfind("\n/", 0, start)
    if place < 0 and not (start and text[:1] == "/"):
        return ""
    return text[place + 1 : text.index("\n", place + 1)]


def _menu_of_each(said: list[str], current: str) -> list[str]:
    """Return for each line the menu that it is of, `current` until one is named."""
    menus = []
    for line in said:
        if line[:1] == "/":
            current = line
        menus.append(current)
    return menus


def _lines(text: str) -> list[str]:
    """Split a normalised export, whose lines end with line feeds alone."""
    return text.removesuffix("\n").split("\n") if text else []
