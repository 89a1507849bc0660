"""The difference of two exports: a unified diff that leads from one to the other, at a bounded cost."""

from __future__ import annotations

import difflib
import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tminus.routeros.differ import diff_exports

LINES = st.lists(st.sampled_from(["a", "b", "c", "", "-x", "+x", "@@ -1 +1 @@", "add x"]), max_size=25)
HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


def text(lines: list[str]) -> str:
    return "".join(line + "\n" for line in lines)


def patch(before: list[str], diff: str) -> list[str]:
    """Apply a unified diff as `patch` does, strictly: every number and every line of context has to be right."""
    after: list[str] = []
    at = 0
    body = diff.splitlines()
    assert body[:2] == ["--- before", "+++ after"]
    position = 2
    while position < len(body):
        found = HUNK.fullmatch(body[position])
        assert found, body[position]
        old_start, old_count, new_start, new_count = (int(1 if part is None else part) for part in found.groups())
        begin = old_start - 1 if old_count else old_start
        assert begin >= at
        after += before[at:begin]
        at = begin
        assert len(after) == (new_start - 1 if new_count else new_start)
        position += 1
        while old_count or new_count:
            mark, line = body[position][:1], body[position][1:]
            assert mark in " -+"
            if mark != "+":
                assert before[at] == line
                at, old_count = at + 1, old_count - 1
            if mark != "-":
                after.append(line)
                new_count -= 1
            position += 1
        assert (old_count, new_count) == (0, 0)
    return after + before[at:]


@given(LINES, LINES)
def test_applied_to_the_one_it_gives_the_other(before: list[str], after: list[str]) -> None:
    diff = diff_exports(text(before), text(after))
    if before == after:
        assert diff == ""
    else:
        assert patch(before, diff) == after


# Lines that occur once, as most of an export's do: there difflib on the whole texts finds the same.
NUMBERED = [f"add address=192.0.2.{n}" for n in range(60)]


@example(changes=[(0, None)])
@example(changes=[(59, "x")])
@example(changes=[(3, None), (57, "x")])
@given(changes=st.lists(st.tuples(st.integers(0, 59), st.none() | st.just("x")), max_size=5))
def test_it_is_what_difflib_says_of_the_whole_texts(changes: list[tuple[int, str | None]]) -> None:
    after: list[str | None] = list(NUMBERED)
    for place, change in changes:
        after[place] = None if change is None else f"{NUMBERED[place]}{change}"
    left = [line for line in after if line is not None]
    whole = "\n".join(difflib.unified_diff(NUMBERED, left, "before", "after", lineterm=""))
    assert diff_exports(text(NUMBERED), text(left)) == (whole + "\n" if whole else "")


def test_three_lines_of_context_and_true_line_numbers() -> None:
    after = [*NUMBERED[:30], "add address=198.51.100.1", *NUMBERED[30:]]
    assert diff_exports(text(NUMBERED), text(after)).splitlines() == [
        "--- before",
        "+++ after",
        "@@ -28,6 +28,7 @@",
        *(f" {line}" for line in NUMBERED[27:30]),
        "+add address=198.51.100.1",
        *(f" {line}" for line in NUMBERED[30:33]),
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("", "a\n", "@@ -0,0 +1 @@\n+a\n"),
        ("a\n", "", "@@ -1 +0,0 @@\n-a\n"),
        ("a\n", "b\n", "@@ -1 +1 @@\n-a\n+b\n"),
        ("a\n", "a", ""),
        ("", "", ""),
    ],
)
def test_small_ones(before: str, after: str, expected: str) -> None:
    assert diff_exports(before, after) == ("--- before\n+++ after\n" + expected if expected else "")


MENUS = ["/ip address", "add address=a", "add address=b", "/ip dns", "set servers=s", "/system identity", "set name=n"]


def test_a_menu_that_only_moved_is_no_difference() -> None:
    moved = [*MENUS[:3], *MENUS[5:], *MENUS[3:5]]
    assert diff_exports(text(MENUS), text(moved)) == ""
    assert diff_exports(text(moved), text(MENUS)) == ""


def test_the_order_within_a_menu_counts() -> None:
    assert diff_exports(text(MENUS), text([MENUS[0], MENUS[2], MENUS[1], *MENUS[3:]])) != ""


def test_each_part_names_its_menu_and_a_moved_menu_shows_only_what_changed_in_it() -> None:
    after = ["/system identity", "set name=other", *MENUS[:5], "/queue simple", "add name=q"]
    diff = diff_exports(text(MENUS), text(after)).splitlines()
    assert [line for line in diff if line[0] in "+-"] == [
        "--- before",
        "+++ after",
        "+/queue simple",
        "+add name=q",
        "-set name=n",
        "+set name=other",
    ]
    long = ["/ip firewall filter", *(f"add comment={n}" for n in range(20))]
    diff = diff_exports(text(long), text([*long, "add comment=new"])).splitlines()
    assert diff[2] == "@@ -19,3 +19,4 @@ /ip firewall filter"


def test_a_menu_that_comes_twice_is_compared_with_its_own_kind() -> None:
    twice = [*MENUS, "/ip address", "add address=c"]
    diff = diff_exports(text(twice), text([*MENUS, "/ip address", "add address=d"])).splitlines()
    assert [line for line in diff[2:] if line[0] in "+-"] == ["-add address=c", "+add address=d"]


HOSTILE = 100_000


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # Few different lines, each too rare to be called popular: difflib alone needs hours.
        ([f"a{n % 150}" for n in range(HOSTILE)], [f"a{(n * 7 + n // 150) % 150}" for n in range(HOSTILE)]),
        (["a", "b"] * (HOSTILE // 2), ["b", "c"] * (HOSTILE // 2)),
        ([f"a{n}" for n in range(HOSTILE)], [f"a{n ^ 1}" for n in range(HOSTILE)]),
        ([f"a{n}" for n in range(HOSTILE)], [f"a{n * 7919 % HOSTILE}" for n in range(HOSTILE)]),
        ([f"a{n}" for n in range(HOSTILE)], [f"a{n}" for n in range(HOSTILE - 1, -1, -1)]),
    ],
    ids=["repeats", "popular", "swapped", "shuffled", "reversed"],
)
def test_its_cost_is_bounded_and_the_result_still_right(before: list[str], after: list[str]) -> None:
    begin = time.process_time()
    diff = diff_exports(text(before), text(after))
    assert time.process_time() - begin < 15.0
    assert patch(before, diff) == after
