"""Waves, halts, and a launch that a person holds: over the real database, played against a model that counts one by one."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

import asyncpg
import pytest

from tests.store.stage import Stage, add_sites, insert, insert_sql, refused, start_request, until_waiting
from tminus.domain.rollout import Amount, wave_sizes
from tminus.services.heartbeat import Trust
from tminus.services.observer import Observer
from tminus.services.rollout import Rollout
from tminus.store import launches
from tminus.store.starts import Start

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOUR = timedelta(hours=1)
ENDINGS = {
    "completed": ("completed", None, "applied"),
    "failed": ("failed", "script_error", "partial"),
    "unknown": ("unknown", "connection_lost", "unknown"),
    "offline": ("failed", "offline", "none"),
    "busy": ("failed", "upload_failed", "none"),
}


def names(count: int) -> list[str]:
    return [f"s{number:03}" for number in range(count)]


async def look(stage: Stage) -> None:
    """What the service does after an ending."""
    trust = Trust(ttl=600, margin=1)
    trust.extend(trust.now())
    await Rollout(stage.store, trust, poll_interval=1.0, observer=cast("Observer", None))._work()


async def end(stage: Stage, instance: UUID, run: int, how: str) -> None:
    state, reason, effect = ENDINGS[how]
    if effect != "none":
        assert await stage.execute(instance, run) == [run]
    columns = ([value] for value in (state, reason, effect, "Said so.", None, "[]", None, None))
    assert len(await stage.store.fetch("end_site_runs", instance, [run], *columns)) == 1


async def launch_row(stage: Stage, script: object) -> asyncpg.Record:
    return (await stage.db.fetch("select * from tminus.launches where script_id = $1", script))[0]


async def play(
    stage: Stage, ends: list[str], *, sizes: list[str], failures: str | None, in_wave: str | None, offline: str | None
) -> list[str]:
    """Run a launch one site after the other, each ending as it is told; return the sites that were taken up."""
    instance = await stage.instance(ttl=1e6)
    sites = names(len(ends))
    script = await stage.launch(
        instance, *sites, wave_sizes=sizes, wave_pause=HOUR, max_failures=failures, max_failures_in_wave=in_wave,
        max_offline=offline, start_within=timedelta(minutes=5),
    )  # fmt: skip
    taken: list[str] = []
    while True:
        claims = await stage.look(instance, 1)
        if not claims:
            # Nobody's time is over while its wave waits.
            await stage.db.move_clock(HOUR - timedelta(seconds=1))
            await look(stage)
            await launches.housekeeping(stage.store)
            assert await stage.look(instance, 1) == {}
            await stage.db.move_clock(timedelta(seconds=2))
            await look(stage)
            claims = await stage.look(instance, 1)
        if not claims:
            break
        [(site, claim)] = claims.items()
        taken.append(site)
        await end(stage, instance, claim.id, ends[sites.index(site)])
        await look(stage)
    row, runs = await launch_row(stage, script), await stage.db.site_runs(script)
    assert row["finished_at"] is not None
    assert row["state"] == ("finished" if len(taken) == len(ends) and row["reason"] is None else "halted")
    for site in sites:
        if site not in taken:
            assert (runs[site]["state"], runs[site]["reason"], runs[site]["effect"]) == ("skipped", "halted", "none")
    return taken


def model(
    ends: list[str], *, sizes: list[str], failures: str | None, in_wave: str | None, offline: str | None
) -> list[str]:
    """Which sites may be taken up, counted by hand."""

    def too_many(limit: str | None, count: int, total: int) -> bool:
        if limit is None:
            return False
        return count / total > int(limit[:-1]) / 100 + 1e-9 if limit.endswith("%") else count > int(limit)

    taken: list[str] = []
    bad = away = 0
    for size in wave_sizes([Amount.parse(size) for size in sizes], len(ends)):
        good_here = bad_here = 0
        for _ in range(size):
            how = ends[len(taken)]
            taken.append(f"s{len(taken):03}")
            good_here += how == "completed"
            bad_here += how not in ("completed", "offline")
            bad += how not in ("completed", "offline")
            away += how == "offline"
            if (
                too_many(failures, bad, len(ends))
                or too_many(offline, away, len(ends))
                or too_many(in_wave, bad_here, size)
            ):
                return taken
        if good_here == 0:
            return taken
    return taken


@pytest.mark.parametrize("seed", range(16))
async def test_no_site_is_taken_up_but_those_that_the_model_allows(stage: Stage, seed: int) -> None:
    rng = random.Random(seed)
    ends = rng.choices(list(ENDINGS), weights=[12, 1, 1, 2, 1], k=rng.randint(1, 14))
    sizes = rng.choices(["1", "2", "10%", "25%", "50%"], k=rng.randint(1, 4))
    limits = {
        name: rng.choice([None, None, "0", "1", "2", "10%", "34%"]) for name in ("failures", "in_wave", "offline")
    }
    assert await play(stage, ends, sizes=sizes, **limits) == model(ends, sizes=sizes, **limits)


async def test_sql_and_the_daemon_agree_on_the_waves(stage: Stage) -> None:
    rng = random.Random(7)
    for _ in range(150):
        sizes = rng.choices(["0", "0%", "1", "3", "10", "1%", "7%", "25%", "33%", "100%"], k=rng.randint(0, 5))
        total = rng.randint(1, 300)
        ends = await stage.db.value("select tminus.wave_ends($1, $2)", sizes, total)
        starts = [0, *ends[:-1]]
        assert [last - first for first, last in zip(starts, ends, strict=True)] == list(
            wave_sizes([Amount.parse(size) for size in sizes], total)
        ), (sizes, total)


async def test_sql_and_the_daemon_agree_on_amounts(stage: Stage) -> None:
    for text in ["", "0", "0%", "5", "05", "100%", "101%", "999999", "1000000", "-1", " 5", "5 %", "5.0", "x", "٣"]:
        with contextlib.suppress(ValueError):
            Amount.parse(text)
            assert await stage.db.value("select tminus.is_amount($1)", text), text
            continue
        assert not await stage.db.value("select tminus.is_amount($1)", text), text


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"wave_sizes": ["five"]}, "wave_sizes: 'five' is no size"),
        ({"wave_sizes": ["1", None]}, "wave_sizes: 'null' is no size"),
        ({"wave_sizes": ["0"]}, "wave_sizes: '0' is no size"),
        ({"wave_sizes": ["101%"]}, "wave_sizes: '101%' is no size"),
        ({"wave_sizes": [["1"], ["2"]]}, "plain list of at most 100 sizes"),
        ({"max_failures": "-1"}, "max_failures: '-1' is neither a count nor a percentage"),
        ({"max_failures_in_wave": "some"}, "max_failures_in_wave: 'some' is neither"),
        ({"max_offline": ""}, "max_offline: '' is neither"),
        ({"wave_pause": HOUR}, "wave_order, wave_pause and wave_confirm go with wave_sizes"),
        ({"wave_confirm": True}, "go with wave_sizes"),
        ({"wave_sizes": ["1"], "wave_order": ["a,b"]}, "wave_order is a plain list of at most 100 tags"),
        ({"wave_sizes": ["1"], "wave_pause": timedelta(days=8)}, "wave_pause must lie between 0 and 7 days"),
        (
            {"wave_sizes": ["1"], "launch_at": None, "local_time": datetime(2034, 3, 5, 3)},  # noqa: DTZ001
            "wave_sizes does not go with local_time",
        ),
        ({"confirm_within": timedelta(seconds=1)}, "confirm_within must lie between 1 minute and 30 days"),
    ],
)
async def test_a_rollout_that_makes_no_sense_is_refused(
    stage: Stage, columns: dict[str, object], sentence: str
) -> None:
    await add_sites(stage.db, "a")
    assert sentence in await refused(stage.db, "alice", insert_sql(columns), *columns.values())


async def test_an_empty_list_of_waves_is_one_wave(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    script = await insert(stage.db, wave_sizes=[], wave_order=[])
    row = await stage.row(script)
    assert (row["wave_sizes"], row["wave_order"]) == (None, None)


async def test_sites_with_an_earlier_tag_go_first_and_then_the_order_that_was_given(stage: Stage) -> None:
    await add_sites(stage.db, "a", "b", "c", "d", "e")
    for site, tags in (("d", ["edge"]), ("b", ["core", "x"]), ("e", ["core", "edge"])):
        await stage.db.fetch("update tminus.sites set tags = $2 where id = $1", site, tags, role="api")
    instance = await stage.instance(ttl=1e6)
    script = await stage.launch(
        instance, "c", "b", "a", "e", "d", wave_sizes=["2", "1"], wave_order=["edge", "core"], wave_pause=HOUR
    )
    runs = sorted((await stage.db.site_runs(script)).values(), key=lambda run: run["position"])
    assert [(run["site_id"], run["wave"]) for run in runs] == [("e", 1), ("d", 1), ("b", 2), ("c", 3), ("a", 3)]
    assert sorted(await stage.claim(instance)) == ["d", "e"]


async def canary(stage: Stage, sites: int = 4, **columns: object) -> tuple[UUID, UUID, int]:
    """A launch with a canary that is claimed: (instance, scheduled script, site run)."""
    instance = await stage.instance(ttl=1e6)
    script = await stage.launch(instance, *names(sites), **{"wave_sizes": ["1"], **columns})
    claims = await stage.claim(instance)
    return instance, script, claims["s000"].id


async def test_nothing_starts_after_the_halt(stage: Stage) -> None:
    instance, script, run = await canary(stage, wave_sizes=["2"], max_failures="0")
    claims = await stage.db.site_runs(script)
    other = claims["s001"]["id"]
    await end(stage, instance, run, "failed")
    await look(stage)
    # Claimed before the halt, and not started: it is refused, and ends as halted.
    assert await stage.execute(instance, other) == []
    [why] = await stage.store.fetch("why_not_started", instance, [other])
    assert (why["launch_state"], why["is_held"]) == ("halted", False)
    assert await stage.claim(instance) == {}
    row = await launch_row(stage, script)
    assert (row["state"], row["reason"]) == ("halted", "1 of 4 sites failed, more than 0")
    [event] = await stage.events("halted")
    assert event["launch_id"] == row["id"]


@pytest.mark.parametrize("act", ["halt", "pause", "cancel"])
async def test_a_start_is_committed_before_the_stop_or_never(stage: Stage, act: str) -> None:
    instance, script, run = await canary(stage)
    launch = (await launch_row(stage, script))["id"]
    stop = {
        "halt": f"select tminus.halt('{launch}', 1, 'so')",
        "pause": f"select tminus.pause_launch('{script}', 'so')",
        "cancel": f"select tminus.cancel('{script}')",
    }[act]
    role = "tminus_serve" if act == "halt" else "bob"
    async with stage.db.anew(role) as person, stage.db.anew("tminus_serve") as daemon:
        # A start that is about to be committed is waited for.
        async with daemon.transaction():
            await daemon.fetch("select from tminus.launches where id = $1 for key share", launch)
            stopping: Awaitable[object] = asyncio.create_task(person.fetch(stop))
            await until_waiting(stage.db, stop[:20])
        await stopping
    assert await stage.execute(instance, run) == []


async def test_a_stop_that_is_not_committed_yet_holds_up_no_other_launch(stage: Stage) -> None:
    instance, script, run = await canary(stage)
    await stage.launch(instance, "other")
    other = (await stage.claim(instance))["other"].id
    async with stage.db.anew("bob") as person, person.transaction():
        await person.fetch("select tminus.pause_launch($1, 'wait')", script)
        async with asyncio.timeout(5):
            assert await stage.execute(instance, run, other) == [other]
            [why] = await stage.store.fetch("why_not_started", instance, [run])
    assert (why["is_held"], why["is_unsettled"]) == (True, False), "it is given back, and not called lost"


async def test_two_daemons_that_decide_at_once_open_each_wave_once(stage: Stage) -> None:
    instance, script, run = await canary(stage)
    await end(stage, instance, run, "completed")
    await asyncio.gather(*(look(stage) for _ in range(4)))
    assert len(await stage.events("wave_opened")) == 1
    assert len(await stage.claim(instance)) == 3
    assert (await launch_row(stage, script))["wave"] == 2


async def test_start_within_counts_from_when_the_wave_was_opened(stage: Stage) -> None:
    instance, script, run = await canary(stage, wave_pause=HOUR, start_within=timedelta(minutes=10))
    await end(stage, instance, run, "completed")
    await stage.db.move_clock(timedelta(minutes=61))
    await launches.housekeeping(stage.store)
    await look(stage)
    await stage.db.move_clock(timedelta(minutes=9))
    await launches.housekeeping(stage.store)
    assert len(await stage.claim(instance, 1)) == 1
    await stage.db.move_clock(timedelta(minutes=30))
    await launches.housekeeping(stage.store)
    states = [run["state"] for run in (await stage.db.site_runs(script)).values()]
    assert states.count("running") == 1, "one runs, so the others wait"


class TestConfirming:
    async def test_each_wave_waits_for_a_person_who_is_told_once(self, stage: Stage) -> None:
        instance, script, run = await canary(stage, wave_sizes=["1", "1"], wave_confirm=True)
        early = await refused(stage.db, "bob", "select tminus.confirm_wave($1, 2)", script)
        assert f"wave 1 of scheduled script {script} has not ended yet" in early
        await end(stage, instance, run, "completed")
        for _ in range(2):
            await look(stage)
        assert len(await stage.events("wave_asked")) == 1
        assert await stage.claim(instance) == {}
        assert "is not the one that is next" in await refused(
            stage.db, "bob", "select tminus.confirm_wave($1, 3)", script
        )
        await stage.db.fetch("select tminus.confirm_wave($1, 2)", script, role="bob")
        await look(stage)
        claims = await stage.claim(instance)
        assert list(claims) == ["s001"]
        # Said twice, it lets nothing more go.
        assert "is not the one that is next" in await refused(
            stage.db, "bob", "select tminus.confirm_wave($1, 2)", script
        )
        await end(stage, instance, claims["s001"].id, "completed")
        await look(stage)
        assert await stage.claim(instance) == {}

    async def test_what_nobody_confirms_is_halted(self, stage: Stage) -> None:
        instance, script, run = await canary(stage, wave_confirm=True, confirm_within=timedelta(hours=2))
        await end(stage, instance, run, "completed")
        await look(stage)
        await stage.db.move_clock(timedelta(minutes=119))
        await look(stage)
        assert (await launch_row(stage, script))["state"] == "running"
        await stage.db.move_clock(timedelta(minutes=2))
        await look(stage)
        row = await launch_row(stage, script)
        assert (row["state"], row["reason"]) == ("halted", "nobody confirmed wave 2 within 2:00:00")

    async def test_only_where_it_was_asked_for_and_by_whom_it_concerns(self, stage: Stage) -> None:
        _, script, _ = await canary(stage)
        assert "wait for nobody" in await refused(stage.db, "alice", "select tminus.confirm_wave($1, 2)", script)
        for act in ("confirm_wave($1, 2)", "pause_launch($1, 'x')", "resume_launch($1)"):
            assert "belongs to alice, so arthur may not" in await refused(
                stage.db, "arthur", f"select tminus.{act}", script
            )


class TestPausing:
    async def test_a_paused_launch_starts_nothing_and_goes_on_where_it_was(self, stage: Stage) -> None:
        instance = await stage.instance(ttl=1e6)
        script = await stage.launch(instance, *names(3), start_within=timedelta(minutes=10))
        claims = await stage.claim(instance, 2)
        await stage.db.fetch("select tminus.pause_launch($1, ' the line is bad ')", script, role="bob")
        run = claims["s000"].id
        assert await stage.execute(instance, run) == []
        [why] = await stage.store.fetch("why_not_started", instance, [run])
        assert (why["is_held"], why["is_unsettled"]) == (True, False)
        released = await stage.store.fetch("release_site_runs", instance, [run], [30.0], [None], [None])
        assert len(released) == 1
        assert await stage.claim(instance) == {}
        shown = await stage.db.script(script)
        assert shown["paused_by"] == "bob"
        assert "paused already, by bob" in await refused(
            stage.db, "alice", "select tminus.pause_launch($1, 'x')", script
        )
        # Much longer than start_within: nobody is late for that.
        await stage.db.move_clock(timedelta(hours=3))
        await look(stage)
        await launches.housekeeping(stage.store)
        await stage.db.fetch("select tminus.resume_launch($1)", script, role="alice")
        await launches.housekeeping(stage.store)
        assert sorted(await stage.claim(instance)) == ["s000", "s002"]
        assert await stage.execute(instance, claims["s001"].id) == [claims["s001"].id]
        again = (await stage.db.site_runs(script))["s000"]
        assert again["turn_at"] > claims["s000"].turn_at + timedelta(hours=2)
        kinds = [event["detail"] for event in await stage.events("launch_paused")]
        assert len(kinds) == 1
        assert len(await stage.events("launch_resumed")) == 1

    async def test_what_runs_is_counted_and_may_halt_it(self, stage: Stage) -> None:
        instance, script, run = await canary(stage, max_failures="0")
        assert await stage.execute(instance, run) == [run]
        await stage.db.fetch("select tminus.pause_launch($1, 'wait')", script, role="bob")
        columns = ([value] for value in ("failed", "script_error", "partial", "Said so.", None, "[]", None, None))
        await stage.store.fetch("end_site_runs", instance, [run], *columns)
        await look(stage)
        assert (await launch_row(stage, script))["state"] == "halted"

    async def test_a_wave_is_not_opened_while_it_is_paused(self, stage: Stage) -> None:
        instance, script, run = await canary(stage)
        await stage.db.fetch("select tminus.pause_launch($1, 'wait')", script, role="bob")
        await stage.store.fetch("release_site_runs", instance, [run], [0.0], [None], [None])
        await stage.db.fetch("select tminus.resume_launch($1)", script, role="bob")
        await end(stage, instance, (await stage.claim(instance))["s000"].id, "completed")
        await stage.db.fetch("select tminus.pause_launch($1, 'wait')", script, role="bob")
        await look(stage)
        assert await stage.events("wave_opened") == []
        await stage.db.fetch("select tminus.resume_launch($1)", script, role="bob")
        await look(stage)
        assert len(await stage.claim(instance)) == 3

    async def test_what_nobody_resumes_is_halted(self, stage: Stage) -> None:
        instance = await stage.instance(ttl=1e6)
        script = await stage.launch(instance, *names(2))
        await stage.db.fetch("select tminus.pause_launch($1, 'wait')", script, role="bob")
        await stage.db.move_clock(timedelta(hours=23))
        await look(stage)
        assert (await launch_row(stage, script))["state"] == "running"
        await stage.db.move_clock(timedelta(hours=2))
        await look(stage)
        row = await launch_row(stage, script)
        assert (row["state"], row["reason"]) == (
            "halted",
            "paused by bob, and nobody resumed it within 1 day, 0:00:00",
        )
        assert "no launch of scheduled script" in await refused(
            stage.db, "bob", "select tminus.resume_launch($1)", script
        )

    async def test_a_paused_launch_can_be_cancelled(self, stage: Stage) -> None:
        instance = await stage.instance(ttl=1e6)
        script = await stage.launch(instance, *names(2))
        await stage.db.fetch("select tminus.pause_launch($1, 'wait')", script, role="bob")
        await stage.db.fetch("select tminus.cancel($1)", script, role="alice")
        assert {run["reason"] for run in (await stage.db.site_runs(script)).values()} == {"cancelled"}


async def test_the_point_of_no_return_says_that_the_launch_was_halted(stage: Stage) -> None:
    instance, script, run = await canary(stage)
    writer = stage.writer(instance)
    writing = asyncio.create_task(writer.run())
    try:
        launch = (await launch_row(stage, script))["id"]
        await stage.store.call("select tminus.halt($1, 1, 'so')", launch)
        assert await writer.start(start_request(run)) is Start.HALTED
    finally:
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writing
