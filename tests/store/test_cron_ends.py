"""Cron rules that end, what becomes of occurrences that were missed, and a year of outages."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from unittest.mock import Mock
from uuid import UUID

import pytest

from tests.store.stage import Stage, add_sites, authorize, insert, refused
from tminus.domain.timing import next_occurrence
from tminus.services.heartbeat import Trust
from tminus.services.launcher import Launcher
from tminus.services.loop import Hint
from tminus.services.observer import Observer
from tminus.store import launches

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOUR = timedelta(hours=1)
LONG = 1e8  # seconds: an instance that outlives the jumps of the clock


class Daemon:
    """The launcher and the janitor's housekeeping, on a clock that is set by hand; every site is done at once."""

    def __init__(self, stage: Stage, instance: UUID) -> None:
        trust = Trust(ttl=600, margin=1)
        trust.extend(trust.now())
        self._stage = stage
        self._instance = instance
        observer = Mock(spec=Observer)
        self._launcher = Launcher(
            stage.store,
            instance,
            trust,
            may_start=lambda: True,
            poll_interval=1.0,
            observer=observer,
            launched=Hint(),
        )

    async def look(self) -> None:
        await launches.housekeeping(self._stage.store)
        await self._launcher._work()
        claims = await self._stage.claim(self._instance)
        if claims:
            await self._stage.run_through(self._instance, *(claim.id for claim in claims.values()))
        await launches.housekeeping(self._stage.store)


async def daemon(stage: Stage) -> Daemon:
    return Daemon(stage, await stage.instance(ttl=LONG))


async def set_clock(stage: Stage, to: datetime) -> None:
    await stage.db.fetch("update public.moved_clock set by = $1 - statement_timestamp()", to)


async def recurring(stage: Stage, site: str = "a", **columns: object) -> UUID:
    await add_sites(stage.db, site)
    script: UUID = await insert(stage.db, sites=[site], **columns)
    await authorize(stage.db, script)
    return script


async def due(stage: Stage, script: UUID, *, missed: bool = False) -> list[datetime]:
    rows = await stage.db.fetch(
        "select due_at from tminus.launches where script_id = $1 and (state = 'missed') = $2 order by due_at",
        script,
        missed,
    )
    return [row["due_at"] for row in rows]


async def midnight(stage: Stage) -> datetime:
    """The next midnight but one, in UTC."""
    return await stage.db.value("select date_trunc('day', tminus.clock(), 'UTC') + interval '2 days'")


async def test_max_launches_and_until_end_a_rule(stage: Stage) -> None:
    here = await daemon(stage)
    day = await midnight(stage)
    three = await recurring(stage, cron="0 * * * *", max_launches=3)
    until = await recurring(stage, cron="30 * * * *", until=day + 2 * HOUR)
    await set_clock(stage, day - timedelta(minutes=1))
    for quarter in range(20):
        await set_clock(stage, day + quarter * timedelta(minutes=15) + timedelta(seconds=1))
        await here.look()
    assert len(await due(stage, three)) == 3
    row = await stage.row(three)
    assert (row["status"], row["status_reason"]) == ("cancelled", "it has made all its launches (max_launches 3)")
    assert row["finished_at"] is not None
    made = await due(stage, until)
    assert made[-1] == day + timedelta(minutes=90)
    assert (await stage.row(until))["status_reason"].startswith("it was to end (20")


@pytest.mark.parametrize(("policy", "made"), [("skip", []), ("run_latest", [0])])
async def test_after_an_outage_the_latest_occurrence_is_made_up_for_where_that_is_asked_for(
    stage: Stage, policy: str, made: list[int]
) -> None:
    here = await daemon(stage)
    day = await midnight(stage)
    script = await recurring(stage, cron="0 0 * * *", missed_policy=policy, start_within=HOUR)
    await here.look()
    # Two midnights pass; then somebody looks, half an hour after the third.
    await set_clock(stage, day + timedelta(days=2, minutes=30))
    for _ in range(3):
        await here.look()
    assert await due(stage, script) == [day + timedelta(days=2 + number) for number in made]
    assert (await due(stage, script, missed=True))[0] == day - timedelta(days=1)
    assert (await stage.row(script))["launch_at"] == day + timedelta(days=3)


async def test_of_several_occurrences_that_are_still_in_time_only_the_latest_runs(stage: Stage) -> None:
    here = await daemon(stage)
    day = await midnight(stage)
    await set_clock(stage, day - timedelta(minutes=1))
    script = await recurring(stage, cron="*/10 * * * *", missed_policy="run_latest", start_within=2 * HOUR)
    await here.look()
    await set_clock(stage, day + timedelta(minutes=45))
    for _ in range(3):
        await here.look()
    assert await due(stage, script) == [day + timedelta(minutes=40)]
    assert await due(stage, script, missed=True) == [day]
    assert (await stage.row(script))["launch_at"] == day + timedelta(minutes=50)


async def test_with_skip_one_that_is_still_in_time_runs_and_none_of_those_that_passed_since(stage: Stage) -> None:
    here = await daemon(stage)
    day = await midnight(stage)
    await set_clock(stage, day - timedelta(minutes=1))
    script = await recurring(stage, cron="*/10 * * * *", start_within=2 * HOUR)
    await here.look()
    await set_clock(stage, day + timedelta(minutes=45))
    for _ in range(5):
        await here.look()
    assert await due(stage, script) == [day]
    assert (await stage.row(script))["launch_at"] == day + timedelta(minutes=50)


async def test_what_passed_before_it_was_authorized_is_not_made_up_for(stage: Stage) -> None:
    here = await daemon(stage)
    day = await midnight(stage)
    await set_clock(stage, day - timedelta(minutes=1))
    await add_sites(stage.db, "a")
    script = await insert(stage.db, cron="0 0 * * *", missed_policy="run_latest", start_within=5 * HOUR)
    await here.look()
    await set_clock(stage, day + HOUR)
    await authorize(stage.db, script)
    await here.look()
    assert await due(stage, script) == []
    assert (await stage.row(script))["launch_at"] == day + timedelta(days=1)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("cron, missed_policy) values (':put 1', '{a}', '@daily', 'all'", "skip or run_latest"),
        ("cron, missed_policy) values (':put 1', '{a}', '@daily', null", "skip or run_latest"),
        ("cron, max_launches) values (':put 1', '{a}', '@daily', 0", "max_launches must lie"),
        ("cron, until) values (':put 1', '{a}', '@daily', '2020-01-01'", "lies in the past"),
        ("launch_at, until) values (':put 1', '{a}', now() + interval '1 day', now() + interval '2 days'", "go with cron"),
        ("launch_at, max_launches) values (':put 1', '{a}', now() + interval '1 day', 1", "go with cron"),
    ],
)  # fmt: skip
async def test_what_ends_nothing_is_refused_with_a_sentence(stage: Stage, columns: str, words: str) -> None:
    await add_sites(stage.db, "a")
    said = await refused(stage.db, "alice", f"insert into tminus.scheduled_scripts (script, sites, {columns})")
    assert words in said


ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
OUTAGES = [
    timedelta(minutes=1),
    timedelta(minutes=20),
    3 * HOUR,
    timedelta(days=2),
    timedelta(days=11),
    timedelta(days=90),
]


async def test_in_a_year_of_outages_each_weekly_launch_is_made_once_or_missed(stage: Stage) -> None:
    """Exactly the launches that were due while a daemon looked, or came back within start_within; each once."""
    chance = random.Random(20260101)
    here = await daemon(stage)
    start = await midnight(stage)
    within = 6 * HOUR
    await set_clock(stage, start)
    rule = {"cron": "30 2 * * sun", "start_within": within}
    scripts = {
        (zone, policy): await recurring(stage, policy, timezone=zone, missed_policy=policy, **rule)
        for zone in ZONES
        for policy in ("skip", "run_latest")
    }
    await here.look()
    # Stretches during which nobody looks, the longest 90 days; outside of them somebody looks whenever something is due.
    outages: list[tuple[datetime, datetime]] = []
    now = start
    for lasts in [OUTAGES[-1], *chance.choices(OUTAGES[:-1], k=50)]:
        now += chance.uniform(0.5, 9) * timedelta(days=1)
        outages.append((now, now + lasts))
        now += lasts
    end = now + timedelta(days=7)
    assert end - start > timedelta(days=365)

    def looked(moment: datetime) -> datetime:
        """When somebody first looks from `moment` on."""
        return next((back for gone, back in outages if gone <= moment < back), moment)

    def every(zone: str) -> list[datetime]:
        found, at = [], next_occurrence("30 2 * * sun", zone, start)
        while at is not None and at < end:
            found.append(at)
            at = next_occurrence("30 2 * * sun", zone, at)
        return found

    occurrences = {zone: every(zone) for zone in ZONES}
    looks = {looked(at) + timedelta(seconds=1) for each in occurrences.values() for at in each}
    looks |= {back for _, back in outages} | {end}
    for moment in sorted(looks):
        await set_clock(stage, moment)
        for _ in range(2):  # what is settled as late is planned anew at the next look
            await here.look()
    for (zone, policy), script in scripts.items():
        made = await due(stage, script)
        in_time = [at for at in occurrences[zone] if looked(at) <= at + within]
        assert made == expected(in_time, occurrences[zone], looked, policy, within), (zone, policy)
        missed = await due(stage, script, missed=True)
        assert not set(made) & set(missed)
        assert set(made) | set(missed) <= set(occurrences[zone])
        assert await stage.db.value(
            "select count(*) from tminus.site_runs r join tminus.launches l on l.id = r.launch_id"
            " where l.script_id = $1 and r.executing_at is not null", script) == len(made)  # fmt: skip


def expected(
    in_time: list[datetime],
    every: list[datetime],
    looked: Callable[[datetime], datetime],
    policy: str,
    within: timedelta,
) -> list[datetime]:
    """Of those in time: with `skip` not one that follows, in the same outage, on another that came too late."""
    if policy == "run_latest":
        return in_time
    late = {looked(at) for at in every if looked(at) > at + within}
    return [at for at in in_time if looked(at) == at or looked(at) not in late]
