"""Waves and halts: tables, and launches played against a model that counts one by one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tminus.domain.rollout import Amount, Decision, Limits, Move, Tally, decide, wave_sizes

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
PAUSE = timedelta(minutes=5)


def amounts(*texts: str) -> list[Amount]:
    return [Amount.parse(text) for text in texts]


@pytest.mark.parametrize(
    ("sizes", "total", "expected"),
    [
        ([], 7, (7,)),
        (["1", "10", "25%"], 200, (1, 10, 50, 139)),
        (["1", "10", "25%"], 5, (1, 4)),
        (["10%"], 11, (2, 9)),  # rounded up
        (["10%"], 1, (1,)),
        (["1%", "1%"], 3, (1, 1, 1)),
        (["100%"], 3, (3,)),
        (["0", "0%", "2"], 3, (2, 1)),
        (["5"], 5, (5,)),
    ],
)
def test_wave_sizes(sizes: list[str], total: int, expected: tuple[int, ...]) -> None:
    assert wave_sizes(amounts(*sizes), total) == expected


@pytest.mark.parametrize("text", ["", "-1", "5.5", "101%", "%", "5 %", "five", "1e3", "٣", "01", "5%%", "9999999"])
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match="neither a count such as 5 nor a percentage such as 10%"):
        Amount.parse(text)


parts = st.one_of(
    st.builds(Amount, number=st.integers(0, 50)), st.builds(Amount, number=st.integers(0, 100), percent=st.just(True))
)


@given(sizes=st.lists(parts, max_size=6), total=st.integers(1, 5000))
def test_waves_add_up_and_none_is_empty(sizes: list[Amount], total: int) -> None:
    waves = wave_sizes(sizes, total)
    assert sum(waves) == total
    assert min(waves) > 0


@given(amount=parts, count=st.integers(0, 60), total=st.integers(1, 60))
def test_more_than_a_percentage_is_exact(amount: Amount, count: int, total: int) -> None:
    assert Amount.parse(str(amount)) == amount
    limit = Fraction(amount.number, 100) * total if amount.percent else Fraction(amount.number)
    assert amount.is_exceeded(count, total) == (count > limit)


def ask(*waves: Tally, opened: int = 1, limits: Limits | None = None, **given_: object) -> Decision:
    known = {"now": NOW, "ended_at": NOW - PAUSE, "pause": PAUSE, "confirm": False, "confirmed": False} | given_
    return decide(waves, opened, limits or Limits(), **known)  # type: ignore[arg-type]


REST = Tally(sites=9, open=9)
GOOD = Tally(sites=1, completed=1)


@pytest.mark.parametrize(
    ("decision", "move"),
    [
        (ask(Tally(sites=1, open=1), REST, ended_at=None), Move.WAIT),
        (ask(GOOD, REST), Move.OPEN),
        (ask(GOOD, REST, ended_at=NOW), Move.WAIT),
        (ask(GOOD, REST, confirm=True), Move.ASK),
        (ask(GOOD, REST, confirm=True, ended_at=NOW), Move.ASK),
        (ask(GOOD, REST, confirm=True, confirmed=True, ended_at=NOW), Move.OPEN),
        # A canary that proved nothing lets nobody pass, whatever the limits and whoever confirms.
        (ask(Tally(sites=1, failed=1), REST), Move.HALT),
        (ask(Tally(sites=1, offline=1), REST), Move.HALT),
        (ask(Tally(sites=1), REST, confirm=True, confirmed=True), Move.HALT),
        (ask(Tally(sites=3, completed=1, failed=2), REST), Move.OPEN),
        # In the midst of a wave, and of the last one.
        (ask(Tally(sites=3, open=1, failed=2), REST, limits=Limits(failures=Amount(number=1))), Move.HALT),
        (ask(GOOD, Tally(sites=9, open=6, failed=3), opened=2, limits=Limits(failures=Amount(number=2))), Move.HALT),
        (ask(GOOD, Tally(sites=9, open=7, failed=2), opened=2, limits=Limits(failures=Amount(number=2))), Move.DONE),
        # Of the wave, not of all.
        (
            ask(
                Tally(sites=10, completed=8, failed=2),
                REST,
                limits=Limits(failures_in_wave=Amount(number=10, percent=True)),
            ),
            Move.HALT,
        ),
        (
            ask(
                Tally(sites=10, completed=8, failed=2),
                Tally(sites=10, open=10),
                limits=Limits(failures=Amount(number=10, percent=True)),
            ),
            Move.OPEN,
        ),
        # Offline sites are counted apart.
        (ask(Tally(sites=9, completed=1, offline=8), REST, limits=Limits(failures=Amount(number=0))), Move.OPEN),
        (ask(Tally(sites=9, completed=1, offline=8), REST, limits=Limits(offline=Amount(number=7))), Move.HALT),
        (ask(Tally(sites=9, completed=9)), Move.DONE),
        # A percentage of a wave is one of its own sites: 1 of 5, and not 1 of 25.
        (
            ask(
                Tally(sites=5, completed=4, failed=1),
                Tally(sites=20, open=20),
                limits=Limits(failures_in_wave=Amount(number=10, percent=True)),
            ),
            Move.HALT,
        ),
    ],
)
def test_decisions(decision: Decision, move: Move) -> None:
    assert decision.move is move
    assert (decision.reason is not None) == (move is Move.HALT)


def test_a_pause_says_when_it_is_over() -> None:
    assert ask(GOOD, REST, ended_at=NOW).at == NOW + PAUSE


@dataclass
class Played:
    """A launch, site by site. It starts what is open, one at a time, in order."""

    ends: list[str]
    sizes: tuple[int, ...]
    started: int = 0

    def tallies(self) -> list[Tally]:
        found, first = [], 0
        for size in self.sizes:
            ended = self.ends[first : min(first + size, self.started)] if first < self.started else []
            found.append(
                Tally(
                    sites=size,
                    open=size - len(ended),
                    completed=ended.count("completed"),
                    failed=ended.count("failed") + ended.count("unknown"),
                    offline=ended.count("offline"),
                )
            )
            first += size
        return found


# Small ones, which a few failures exceed, and none at all as often.
some_limit = st.none() | st.sampled_from(amounts("0", "1", "2", "3", "5%", "10%", "20%", "34%", "50%"))
ENDS = st.sampled_from(["completed", "completed", "completed", "failed", "unknown", "offline", "skipped"])


@given(
    ends=st.lists(ENDS, min_size=1, max_size=40),
    sizes=st.lists(parts | st.sampled_from(amounts("1", "2", "3", "10%", "25%")), max_size=4),
    limits=st.builds(Limits, failures=some_limit, failures_in_wave=some_limit, offline=some_limit),
)
@settings(max_examples=400, deadline=None)
def test_no_site_starts_after_the_ending_that_halts(ends: list[str], sizes: list[Amount], limits: Limits) -> None:
    play = Played(ends, wave_sizes(sizes, len(ends)))
    opened = 1
    while True:
        decision = ask(*play.tallies(), opened=opened, limits=limits, pause=timedelta(0))
        if decision.move is Move.HALT:
            break
        if decision.move is Move.OPEN:
            opened += 1
        elif play.started == len(ends):
            assert decision.move is Move.DONE
            break
        else:
            assert play.started < sum(play.sizes[:opened])
            play.started += 1

    # The model: counts from the first site on, one by one, and stops where the documentation says.
    failed = offline = in_wave = 0
    expected, good = len(ends), 0
    bounds = [sum(play.sizes[: n + 1]) for n in range(len(play.sizes))]
    wave = 0
    for index, end in enumerate(ends):
        if index == bounds[wave]:
            if not good:
                expected = index
                break
            wave, in_wave, good = wave + 1, 0, 0
        good += end == "completed"
        failed += end in ("failed", "unknown")
        in_wave += end in ("failed", "unknown")
        offline += end == "offline"
        if (
            (limits.failures is not None and limits.failures.is_exceeded(failed, len(ends)))
            or (limits.failures_in_wave is not None and limits.failures_in_wave.is_exceeded(in_wave, play.sizes[wave]))
            or (limits.offline is not None and limits.offline.is_exceeded(offline, len(ends)))
        ):
            expected = index + 1
            break
    assert play.started == expected


def test_a_tally_of_a_wave_that_is_not_open_yet_does_not_count() -> None:
    late = replace(REST, open=0, failed=9)  # cannot be, and would not matter
    assert ask(GOOD, late, limits=Limits(failures=Amount(number=0))).move is Move.OPEN
