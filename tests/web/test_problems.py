"""What the database says, in terms of HTTP."""

from __future__ import annotations

import asyncio

import pytest

from tminus.errors import Refused, StoreError, StoreUnavailable
from tminus.web.problems import of_store
from tminus.web.rates import Rates


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (StoreUnavailable("could not run x: no answer in time"), 503, "database_unavailable"),
        (Refused("there is no scheduled script", sqlstate="P0002"), 404, "not_found"),
        (Refused("it was launched", sqlstate="55000"), 409, "conflict"),
        (Refused("alice is the author", sqlstate="42501"), 403, "not_allowed"),
        (Refused("a second name", sqlstate="23505"), 409, "already_exists"),
        (Refused("the script is empty", sqlstate="23514"), 422, "invalid"),
        (Refused("invalid byte", sqlstate="22021"), 422, "invalid"),
        (StoreError("could not run x: syntax error"), 500, "internal"),
    ],
)
def test_a_refusal_has_the_status_of_its_kind(error: StoreError, status: int, code: str) -> None:
    problem = of_store(error)
    assert (problem.status, problem.code) == (status, code)
    assert (str(error) in problem.message) == (status != 500), "what was not foreseen is for the log alone"
    assert ("Retry-After" in problem.headers) == (status == 503)


def test_a_refusal_that_is_about_a_field_names_it() -> None:
    problem = of_store(Refused("launch_at lies in the past", sqlstate="23514", column="launch_at"))
    assert problem.document("/errors")["fields"] == {"launch_at": "launch_at lies in the past"}


def test_a_bucket_fills_up_again_as_time_goes_by() -> None:
    now = [0.0]
    rates = Rates(60, at_once=1, clock=lambda: now[0])
    assert [rates.wait("alice") for _ in range(60)] == [0.0] * 60
    assert rates.wait("alice") == pytest.approx(1.0)
    assert rates.wait("bob") == 0.0
    now[0] = 1.0
    assert rates.wait("alice") == 0.0
    assert rates.wait("alice") == pytest.approx(1.0)
    now[0] = 1000.0
    assert [rates.wait("alice") for _ in range(61)][-2:] == [0.0, pytest.approx(1.0)]


async def test_one_person_waits_for_a_turn_and_another_does_not() -> None:
    rates = Rates(60, at_once=1)
    entered: asyncio.Queue[str] = asyncio.Queue()
    go_on = asyncio.Event()

    async def ask(person: str) -> None:
        async with rates.turn(person):
            entered.put_nowait(person)
            await go_on.wait()

    async with asyncio.TaskGroup() as requests:
        for person in ("alice", "alice", "bob"):
            requests.create_task(ask(person))
        assert [await entered.get() for _ in range(2)] == ["alice", "bob"]
        given_up = requests.create_task(ask("alice"))
        await asyncio.sleep(0)
        given_up.cancel()
        assert entered.empty()
        go_on.set()
        assert await entered.get() == "alice"
    assert given_up.cancelled()
    assert entered.empty()
    assert not rates._under_way
