"""How a site run can end: the contract's table, written out here a second time."""

from __future__ import annotations

import itertools

import pytest

from tminus.domain.endings import (
    TABLE,
    Effect,
    Ending,
    Reason,
    State,
    completed,
    not_started,
    partly_applied,
    skipped,
    unknown,
)

CONTRACT = """
completed applied -
failed    none    offline auth_failed host_key_changed identity_changed upload_failed backup_incomplete script_rejected
failed    none    guard_failed site_changed store_lost timed_out connection_lost
failed    partial script_error
failed    applied check_failed
skipped   none    missed busy halted cancelled site_disabled rehearsed
unknown   unknown timed_out connection_lost daemon_lost
"""
ROWS = {
    (state, effect, None if reason == "-" else reason)
    for state, effect, *reasons in map(str.split, CONTRACT.strip().splitlines())
    for reason in reasons
}
EVERYTHING = list(itertools.product(State, Effect, [None, *Reason]))


@pytest.mark.parametrize("row", sorted(ROWS, key=str), ids=str)
def test_every_row_of_the_contract_can_be_written(row: tuple[str, str, str | None]) -> None:
    state, effect, reason = row
    ending = Ending(state=State(state), effect=Effect(effect), reason=Reason(reason) if reason else None, message="m")
    assert (ending.state, ending.effect, ending.reason) == row


def test_no_other_combination_can_be_written() -> None:
    refused = 0
    for state, effect, reason in EVERYTHING:
        if (state.value, effect.value, reason.value if reason else None) in ROWS:
            continue
        with pytest.raises(ValueError, match="no such ending"):
            Ending(state=state, effect=effect, reason=reason, message="m")
        refused += 1
    assert refused == len(EVERYTHING) - len(ROWS)


def test_the_table_is_the_contract() -> None:
    rows = {(state.value, effect.value, reason) for (state, effect), reasons in TABLE.items() for reason in reasons}
    assert rows == ROWS


def test_a_run_that_has_not_ended_has_no_ending() -> None:
    for state in (State.PENDING, State.RUNNING):
        assert not any(key[0] is state for key in TABLE)


def test_the_short_forms_say_what_they_are_named_for() -> None:
    short = [
        completed("m"),
        not_started(Reason.OFFLINE, "m"),
        partly_applied("m"),
        skipped(Reason.MISSED, "m"),
        unknown(Reason.DAEMON_LOST, "m"),
    ]
    assert [(ending.state, ending.effect, ending.reason) for ending in short] == [
        ("completed", "applied", None),
        ("failed", "none", "offline"),
        ("failed", "partial", "script_error"),
        ("skipped", "none", "missed"),
        ("unknown", "unknown", "daemon_lost"),
    ]


def test_a_failure_before_the_start_cannot_be_said_with_a_reason_that_belongs_after_it() -> None:
    with pytest.raises(ValueError, match="no such ending"):
        not_started(Reason.SCRIPT_ERROR, "m")
    with pytest.raises(ValueError, match="no such ending"):
        unknown(Reason.OFFLINE, "m")
    with pytest.raises(ValueError, match="no such ending"):
        skipped(Reason.TIMED_OUT, "m")


def test_an_ending_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        completed("m").state = State.FAILED  # type: ignore[misc]
