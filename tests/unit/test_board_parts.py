"""The pure parts of the board: letters and what differs, origins, sessions, and how text is cut."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.web.board import cells
from tminus.web.board.origins import Origins
from tminus.web.board.rendering import bar, clip, render
from tminus.web.board.sessions import Sessions
from tminus.web.tokens import Person

_LETTERS = st.text(alphabet="".join(cells.WORDS), max_size=600)


@given(_LETTERS, st.randoms(use_true_random=False))
def test_what_changed_makes_of_the_earlier_letters_the_later_ones(before: str, rng) -> None:  # type: ignore[no-untyped-def]
    after = "".join(rng.choice("".join(cells.WORDS)) if rng.random() < 0.1 else letter for letter in before)
    shown = list(before)
    places = cells.changed(before, after)
    for letter, steps in cells.patch(after, places).items():
        place = 0
        for step in steps:
            place += step
            shown[place] = letter
    assert "".join(shown) == after
    assert all(before[place] != after[place] for place in places)
    assert sum(cells.counts(after).values()) == len(after)


@pytest.mark.parametrize(
    ("public", "host", "origin", "fetch_site", "own"),
    [
        ("", "board.example", "https://board.example", "same-origin", True),
        ("", "Board.example", "https://board.example", None, True),
        ("", "board.example", "https://board.example", "cross-site", False),
        ("", "board.example", "https://board.example.evil", None, False),
        ("", "board.example", "https://evil.example", "same-origin", False),
        ("", "board.example:8443", "https://board.example", None, False),
        ("", "board.example", "null", None, False),
        ("", "board.example", "file://board.example", None, False),
        ("", "board.example", "", None, False),
        ("", "board.example", None, None, False),
        ("", "board.example", None, "none", False),
        ("", "board.example", None, "same-origin", True),
        ("https://t.example", "127.0.0.1:9469", "https://t.example", "same-origin", True),
        ("https://t.example", "127.0.0.1:9469", "http://t.example", None, False),
        ("https://t.example/x", "127.0.0.1:9469", "https://T.example", None, True),
    ],
)
def test_a_form_is_of_the_board_if_the_browser_says_so(
    public: str, host: str, origin: str | None, fetch_site: str | None, own: bool
) -> None:
    assert Origins(public_url=public).is_own(host=host, origin=origin, fetch_site=fetch_site) is own


@pytest.mark.parametrize(
    ("public", "host", "secure"),
    [
        ("", "127.0.0.1:9469", False), ("", "localhost", False), ("", "[::1]:9469", False), ("", "127.8.0.1", False),
        ("", "board.example", True), ("", "127.0.0.1.evil.example", True), ("", "localhost.evil.example", True), ("", "", True),
        ("", "[", True), ("https://t.example", "127.0.0.1:9469", True), ("http://t.example", "t.example", True),
    ],
)  # fmt: skip
def test_the_cookie_travels_over_tls_alone_but_on_the_machine_itself(public: str, host: str, secure: bool) -> None:
    assert Origins(public_url=public).is_secure(host) is secure


def test_sessions_end_with_their_token_and_are_bounded_for_a_person() -> None:
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    sessions = Sessions(clock=lambda: now[0])
    bob, carol = (Person(name=name, scopes=frozenset()) for name in ("bob", "carol"))
    kept = sessions.begin(carol, now[0] + timedelta(hours=1))
    of_bob = [sessions.begin(bob, now[0] + timedelta(hours=2)) for _ in range(25)]
    assert [sessions.find(session.key) is not None for session in of_bob] == [False] * 5 + [True] * 20
    assert sessions.find(kept.key) is kept
    assert len({session.key for session in of_bob} | {session.csrf for session in of_bob}) == 50
    now[0] += timedelta(hours=1)
    assert sessions.find(kept.key) is None
    assert sessions.find(of_bob[-1].key) is of_bob[-1]
    sessions.end(of_bob[-1])
    assert sessions.find(of_bob[-1].key) is None
    assert sessions.find(None) is None
    assert sessions.find("") is None


@pytest.mark.parametrize("text", ["", "\n\n", "one", "one\n", "one\ntwo\n", "\n\none", "x" * 2000])
def test_a_short_text_is_all_there(text: str) -> None:
    shown = clip(text)
    assert shown.more == ""
    assert "\n".join(shown.lines).strip("\n") == text.strip("\n")


@pytest.mark.parametrize(
    "text", ["x" * 2001, "y\n" * 401, "x" * 5_000_000, ("z" * 1999 + "\n") * 100, "short\n" + "x" * 3000 + "\nshort"]
)
def test_of_a_long_text_it_is_said_that_it_goes_on(text: str) -> None:
    shown = clip(text)
    assert shown.more
    assert sum(len(line) for line in shown.lines) < 61_000
    assert len(shown.lines) <= 400
    assert clip(text[:1000], length=len(text)).more


def test_the_parts_of_a_bar_fill_it_as_far_as_sites_began() -> None:
    parts = bar({"completed": 1, "failed": 1, "unknown": 0, "skipped": 0, "running": 1, "pending": 1}, 4)
    assert parts == [("completed", 0.0, 25.0), ("failed", 25.0, 25.0), ("running", 50.0, 25.0)]


def test_a_message_with_everything_in_it_is_shown_as_text() -> None:
    evil = "<b>'\"&\u202e\x1b\ud800{{ 1 }}"
    page = render(
        "problem.html",
        {"session": None, "path": "", "said": None, "title": evil, "message": evil, "fields": {evil: evil}},
    )
    assert "<b>'" not in page
    assert not set(page) & set("\u202e\x1b\ud800")
    assert r"\u202e\x1b\ud800{{ 1 }}" in page
