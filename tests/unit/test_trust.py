"""How long an instance may believe that it lives: always shorter than the database does."""

from __future__ import annotations

import time

import pytest

from tminus.services.heartbeat import Trust


class Clock:
    at = 1000.0

    def __call__(self) -> float:
        return self.at


def test_it_trusts_itself_from_when_it_asked_and_for_less_than_the_ttl() -> None:
    clock = Clock()
    trust = Trust(ttl=60, margin=10, now=clock)
    assert not trust.lives(), "nothing was confirmed yet"
    asked_at = trust.now()
    clock.at += 20  # the answer took its time
    trust.extend(asked_at)
    assert trust.seconds_left() == 30
    assert trust.age() == 20
    clock.at += 29.9
    assert trust.lives()
    clock.at += 0.2
    assert not trust.lives()


def test_an_answer_that_comes_late_or_out_of_order_takes_nothing_away_and_adds_nothing() -> None:
    clock = Clock()
    trust = Trust(ttl=60, margin=10, now=clock)
    trust.extend(1000.0)
    trust.extend(990.0)
    assert trust.seconds_left() == 50
    clock.at += 55
    trust.extend(1000.0)
    assert not trust.lives()


def test_who_was_declared_dead_never_lives_again() -> None:
    clock = Clock()
    trust = Trust(ttl=60, margin=10, now=clock)
    trust.dead = True
    trust.extend(clock.at)
    assert not trust.lives()


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="no such clock here")
def test_its_own_clock_also_runs_while_the_machine_is_suspended() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    now = Trust(ttl=60, margin=10).now()
    assert before <= now <= time.clock_gettime(time.CLOCK_BOOTTIME)
