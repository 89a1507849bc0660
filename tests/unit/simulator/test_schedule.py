"""When a schedule fires, as a table; and that it really fires, on the router's own clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.simulator.machine import Machine
from tminus.simulator import Behaviour, Setup
from tminus.simulator.schedule import Schedule

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BOOT = NOON - timedelta(hours=1)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("values", "at_boot", "expected"),
    [
        ({"start-date": "2026-03-01", "start-time": "13:00:00"}, False, NOON + HOUR),
        ({"start-date": "mar/01/2026", "start-time": "13:00:00"}, False, NOON + HOUR),
        ({"start-date": "2026-03-01", "start-time": "11:59:59"}, False, None),
        ({"start-date": "2026-03-01", "start-time": "12:00:00", "interval": "1h"}, False, NOON + HOUR),
        ({"start-date": "2026-03-01", "start-time": "11:59:00", "interval": "1h"}, False, NOON + 59 * HOUR / 60),
        ({"start-date": "2020-01-01", "start-time": "00:00:00", "interval": "1d"}, False, NOON + 12 * HOUR),
        (
            {"start-date": "2027-01-01", "start-time": "00:00:00", "interval": "1m"},
            False,
            datetime(2027, 1, 1, tzinfo=UTC),
        ),
        ({"start-time": "startup"}, False, None),
        ({"start-time": "startup", "interval": "50m"}, False, BOOT + timedelta(minutes=100)),
        ({"interval": "10m"}, False, NOON + timedelta(minutes=10)),
        ({}, False, None),
    ],
)
def test_the_next_run(values: dict[str, str], at_boot: bool, expected: datetime | None) -> None:
    plan = Schedule.of(values, NOON)
    assert plan.next_run(NOON, console_started=BOOT, known_at_boot=at_boot) == expected


def test_startup_is_the_start_of_the_console_for_what_was_there_then() -> None:
    plan = Schedule.of({"start-time": "startup"}, NOON)
    before = BOOT - timedelta(microseconds=1)
    assert plan.next_run(before, console_started=BOOT, known_at_boot=True) == BOOT
    assert plan.next_run(before, console_started=BOOT, known_at_boot=False) is None
    assert plan.next_run(BOOT, console_started=BOOT, known_at_boot=True) is None


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not check():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


def messages(router: Machine) -> list[str]:
    return [line.message for line in router.router.log if line.topics.startswith("script")]


async def test_it_fires_when_the_routers_clock_says_so_and_counts(router: Machine) -> None:
    await router.run('/system scheduler add name=tick interval=1h on-event=":log info fired"')
    assert messages(router) == []
    assert await router.put("[/system scheduler get tick run-count]") == "0"
    for turn in (1, 2):
        router.router.set_clock(router.router.now() + timedelta(hours=1))
        await until(lambda turn=turn: messages(router) == ["fired"] * turn)
    assert await router.put("[/system scheduler get tick run-count]") == "2"
    await router.run("/system scheduler disable tick")
    router.router.set_clock(router.router.now() + timedelta(hours=3))
    await router.run("/system scheduler enable tick")
    await until(lambda: not router.router.jobs)
    assert len(messages(router)) == 2


async def test_a_schedule_names_a_stored_script_and_says_in_the_log_what_failed(router: Machine) -> None:
    await router.run('/system script add name=bad source="/interface bridge add name=bridge"')
    await router.run("/system scheduler add name=daily interval=1d on-event=bad")
    router.router.set_clock(router.router.now() + timedelta(days=1))
    await until(lambda: len(messages(router)) == 2)
    assert messages(router) == [
        "failure: already have interface with name bridge (/interface/bridge/add; line 1)",
        "executing script bad from scheduler (daily) failed, please check it manually",
    ]


async def test_a_schedule_may_do_no_more_than_its_policy(router: Machine) -> None:
    await router.run('/system scheduler add name=weak interval=1h policy=read on-event="/system identity set name=x"')
    router.router.set_clock(router.router.now() + timedelta(hours=1))
    await until(lambda: len(messages(router)) == 2)
    assert messages(router)[0] == "not enough permissions (9) (/system/identity/set; line 1)"
    await router.run('/system script add name=strong source=":log info no" policy=read,write')
    await router.run("/system scheduler set weak on-event=strong")
    router.router.set_clock(router.router.now() + timedelta(hours=1))
    await until(lambda: len(messages(router)) == 3)
    assert messages(router)[2] == "could not run script strong: not enough permissions"


async def test_startup_fires_after_each_boot_and_not_in_the_one_in_which_it_was_added(make_router) -> None:
    router = make_router(behaviour=Behaviour(reboot_down_s=0.01, startup_after_s=0))
    await router.run('/system scheduler add name=up start-time=startup on-event=":log info up"')
    await asyncio.sleep(0)
    assert messages(router) == []
    for _ in range(2):
        router.router.reboot()
        await until(lambda: messages(router) == ["up"])
    assert await router.put("[/system scheduler get up run-count]") == "1"  # reset by the reboot


async def test_a_removed_schedule_never_fires(router: Machine) -> None:
    await router.run('/system scheduler add name=a interval=1h on-event=":log info a"')
    await router.run('/system scheduler add name=b interval=1h on-event=":log info b"')
    await router.run("/system scheduler remove a")
    router.router.set_clock(router.router.now() + timedelta(hours=1))
    await until(lambda: messages(router) == ["b"])


async def test_a_schedule_can_remove_itself(router: Machine) -> None:
    await router.run('/system scheduler add name=once interval=1h on-event="/system scheduler remove once"')
    router.router.set_clock(router.router.now() + timedelta(hours=1))
    await until(lambda: not router.router.config.items(("system", "scheduler")))


@pytest.mark.parametrize(("version", "refused"), [("7.16.2", False), ("7.20.8", True)])
async def test_mode_home_refuses_schedules_since_7_17(make_router, version: str, refused: bool) -> None:
    router = make_router(version, setup=Setup(device_mode="home"))
    printed = await router.run("/system scheduler add name=a interval=1h on-event=x")
    assert ("failure: not allowed by device-mode" in printed) is refused
    assert bool(router.router.config.items(("system", "scheduler"))) is not refused
