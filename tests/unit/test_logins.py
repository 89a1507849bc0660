"""Refused logins: when they are the credential's affair, and that few sites are asked until one has taken it."""

from __future__ import annotations

import asyncio
from typing import cast
from uuid import UUID, uuid4

import pytest

from tminus.domain.logins import LoginTally, is_common, may_try
from tminus.services import logins
from tminus.services.logins import Logins, NotAsked, Ticket
from tminus.store import logins as stored
from tminus.store.pool import Database


@pytest.mark.parametrize(
    ("refused", "accepted", "bound", "common"),
    [
        (4, 0, 5, False),
        (5, 0, 5, True),
        (6, 0, 5, True),
        (5, 1, 5, False),
        (500, 1, 5, False),
        (1, 0, 1, True),
        (0, 0, 1, False),
        (500, 0, 0, False),
    ],
)
def test_a_failure_is_common_where_enough_sites_refused_and_none_took_it(
    refused: int, accepted: int, bound: int, common: bool
) -> None:
    assert is_common(LoginTally(refused=refused, accepted=accepted), bound) == common


@pytest.mark.parametrize(
    ("refused", "accepted", "trying", "may"),
    [(0, 0, 0, True), (0, 0, 4, True), (0, 0, 5, False), (4, 0, 0, True), (4, 0, 1, False), (5, 0, 0, False), (9, 1, 9, True)],
)  # fmt: skip
def test_no_more_are_asked_at_once_than_may_refuse(refused: int, accepted: int, trying: int, may: bool) -> None:
    assert may_try(LoginTally(refused=refused, accepted=accepted), trying, 5) == may
    assert may_try(LoginTally(refused=refused, accepted=accepted), trying, 0)


async def asked(state: logins._State, *, bound: int = 2) -> Ticket:
    ticket = Ticket(state, bound)
    await ticket.enter()
    return ticket


async def test_the_others_go_as_soon_as_one_site_took_it() -> None:
    state = logins._State()
    first, _ = await asked(state), await asked(state)
    waiting = [asyncio.create_task(asked(state)) for _ in range(20)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    first.took()
    first.leave()
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting)


async def test_a_site_that_gave_no_answer_leaves_its_place_to_another() -> None:
    state = logins._State()
    first, second = await asked(state), await asked(state)
    waiting = asyncio.create_task(asked(state))
    first.leave()
    async with asyncio.timeout(5):
        third = await waiting
    second.refused()
    second.leave()
    third.leave()
    assert (state.refused, state.trying) == (1, 0)


async def test_where_all_refused_no_other_is_asked() -> None:
    state = logins._State()
    tickets = [await asked(state), await asked(state)]
    waiting = [asyncio.create_task(asked(state)) for _ in range(5)]
    for ticket in tickets:
        ticket.refused()
        ticket.leave()
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [NotAsked] * 5
    with pytest.raises(NotAsked, match="refused by the sites that were asked first"):
        await asked(state)


async def test_who_waits_too_long_has_another_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "_PATIENCE", 0.01)
    state = logins._State()
    await asked(state)
    await asked(state)
    with pytest.raises(NotAsked, match="did not answer"):
        await asked(state)
    assert state.trying == 2


def known(monkeypatch: pytest.MonkeyPatch, tally: LoginTally) -> list[str]:
    """Have the database know this of a launch; return the reasons for which it is halted."""
    halted: list[str] = []

    async def all_daemons_tally(*_: object) -> LoginTally:
        return tally

    async def halt(_db: Database, _launch: UUID, reason: str) -> bool:
        halted.append(reason)
        return True

    monkeypatch.setattr(stored, "tally", all_daemons_tally)
    monkeypatch.setattr(stored, "halt", halt)
    return halted


async def test_who_waits_goes_on_where_a_site_of_another_daemon_took_it(monkeypatch: pytest.MonkeyPatch) -> None:
    halted = known(monkeypatch, LoginTally(refused=2, accepted=1))
    gate, launch = Logins(cast("Database", None), bound=2), uuid4()
    for _ in range(2):
        ticket = gate.ticket(launch, "default")
        await ticket.enter()
        ticket.refused()
        ticket.leave()
    with pytest.raises(NotAsked):
        await gate.ticket(launch, "default").enter()
    await gate.look(launch, "default")
    async with asyncio.timeout(5):
        await gate.ticket(launch, "default").enter()
    assert halted == []


async def test_a_refusal_whose_ending_was_lost_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    halted = known(monkeypatch, LoginTally(refused=1, accepted=0))
    gate, launch = Logins(cast("Database", None), bound=2), uuid4()
    for _ in range(2):
        ticket = gate.ticket(launch, "default")
        await ticket.enter()
        ticket.refused()
        ticket.leave()
    await gate.look(launch, "default")
    assert len(halted) == 1
    assert "2 sites refused" in halted[0]
