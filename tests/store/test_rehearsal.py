"""A rehearsal has no point of no return, needs no authorization, and is no part of the life of its scheduled script."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.store.stage import SCRIPT, Stage, add_sites, authorize, insert
from tminus.errors import StoreError
from tminus.store.launches import housekeeping, launch_content, plan

pytestmark = pytest.mark.asyncio(loop_scope="module")

SITES = ["a", "b"]


async def submitted(stage: Stage, *, authorized: bool = False, **columns: object) -> UUID:
    await add_sites(stage.db, *SITES)
    if authorized:
        return await stage.db.submit(SCRIPT, SITES, due_in=3600, **columns)
    return await stage.db.value(
        "insert into tminus.scheduled_scripts (script, sites, launch_at) values ($1, $2, tminus.clock() + interval '1 hour') returning id",
        SCRIPT, SITES, role="alice",
    )  # fmt: skip


async def rehearse(stage: Stage, script: UUID, role: str = "alice") -> UUID:
    return await stage.db.value("select tminus.rehearse($1)", script, role=role)


async def end_ready(stage: Stage, instance: UUID, run: int) -> None:
    rows = await stage.store.fetch(
        "end_site_runs",
        instance,
        [run],
        ["skipped"],
        ["rehearsed"],
        ["none"],
        ["Ready."],
        [None],
        ["[]"],
        [None],
        [None],
    )
    assert [row["id"] for row in rows] == [run]


async def shown(stage: Stage, script: UUID) -> dict[str, Any]:
    """The API's object without what time alone changes."""
    return {name: value for name, value in (await stage.db.script(script)).items() if name != "t_minus"}


async def test_it_runs_at_once_on_all_sites_without_an_authorization(stage: Stage) -> None:
    script = await submitted(stage)
    launch = await rehearse(stage, script)
    instance = await stage.instance()
    claims = await stage.claim(instance)
    assert sorted(claims) == SITES
    assert all(claim.authorized_site is not None for claim in claims.values())
    content = await launch_content(stage.store, launch)
    assert (content.rehearsal, content.abort_if_offline, content.script.decode()) == (True, True, SCRIPT)
    [event] = await stage.events("rehearsed")
    assert (event["principal"], event["script_id"], event["launch_id"]) == ("alice", script, launch)


async def test_nothing_of_it_can_be_started(stage: Stage) -> None:
    await rehearse(stage, await submitted(stage))
    instance = await stage.instance()
    run = (await stage.claim(instance))["a"].id
    assert await stage.execute(instance, run) == []
    with pytest.raises(Exception, match="site_runs_rehearsal"):
        await stage.db.fetch(
            "update tminus.site_runs set step = 'executing', executing_at = now() where id = $1",
            run,
            role="tminus_serve",
        )
    with pytest.raises(StoreError):
        await stage.end(instance, run)


async def test_only_a_rehearsal_ends_as_rehearsed(stage: Stage) -> None:
    instance = await stage.instance()
    await stage.launch(instance, "a")
    run = (await stage.claim(instance))["a"].id
    with pytest.raises(StoreError):
        await end_ready(stage, instance, run)


@pytest.mark.parametrize("authorized", [False, True])
async def test_the_scheduled_script_is_as_it_was(stage: Stage, authorized: bool) -> None:
    script = await submitted(stage, authorized=authorized)
    before = await shown(stage, script)
    launch = await rehearse(stage, script)
    assert await shown(stage, script) == before
    instance = await stage.instance()
    for claim in (await stage.claim(instance)).values():
        await end_ready(stage, instance, claim.id)
    await housekeeping(stage.store)
    assert await stage.db.value("select state from tminus.launches where id = $1", launch) == "finished"
    assert await shown(stage, script) == before


async def test_its_launch_is_made_though_a_rehearsal_goes_on(stage: Stage) -> None:
    """What overlaps is a launch, not a rehearsal: of a cron row an occurrence would be missed."""
    await add_sites(stage.db, *SITES)
    script = await stage.db.value(
        "insert into tminus.scheduled_scripts (script, sites, cron, timezone) values ($1, $2, '@hourly', 'UTC') returning id",
        SCRIPT,
        SITES,
        role="alice",
    )
    await stage.db.value("select tminus.authorize($1, tminus.digest($1))", script, role="bob")
    await plan(stage.store, script, await stage.db.value("select tminus.clock() + interval '1 hour'"))
    await rehearse(stage, script)
    await stage.db.move_clock(timedelta(hours=1, seconds=1))
    assert None not in await stage.launch_due(await stage.instance())
    launches = await stage.db.fetch(
        "select kind, state from tminus.launches where script_id = $1 order by kind", script
    )
    assert [tuple(row) for row in launches] == [("rehearsal", "running"), ("scheduled", "running")]


async def test_one_at_a_time_and_only_of_what_is_to_come(stage: Stage) -> None:
    script = await submitted(stage)
    await rehearse(stage, script)
    with pytest.raises(Exception, match="is being rehearsed already"):
        await rehearse(stage, script)
    await stage.db.fetch("select tminus.cancel($1)", script, role="alice")
    with pytest.raises(Exception, match="is cancelled; there is nothing left to rehearse"):
        await rehearse(stage, script)
    with pytest.raises(Exception, match="there is no scheduled script"):
        await rehearse(stage, UUID(int=0))


async def test_it_waits_for_whatever_is_to_be_done(stage: Stage) -> None:
    await rehearse(stage, await submitted(stage))
    instance = await stage.instance()
    launch = await stage.launch(instance, *SITES)
    claims = await stage.claim(instance)
    assert sorted(claims) == SITES
    runs = await stage.db.site_runs(launch)
    assert {claim.id for claim in claims.values()} == {run["id"] for run in runs.values()}


async def test_none_begins_where_a_launch_could_be_missed_for_it(stage: Stage) -> None:
    script = await submitted(stage)
    due = await stage.db.submit(SCRIPT, ["b"], due_in=300, start_within=timedelta(seconds=50))
    with pytest.raises(
        Exception, match=rf"scheduled script {due} is due at .* on site b; a rehearsal now could be in its way"
    ):
        await rehearse(stage, script)


@pytest.mark.parametrize(
    ("due_in", "columns"),
    [
        (300, {"start_within": timedelta(seconds=70)}),  # a rehearsal takes five minutes and one more at most
        (300, {}),
        (361, {"start_within": timedelta(seconds=1)}),
    ],
)
async def test_one_begins_where_a_launch_waits_for_it_at_most(
    stage: Stage, due_in: float, columns: dict[str, object]
) -> None:
    script = await submitted(stage)
    await stage.db.submit(SCRIPT, ["b"], due_in=due_in, **columns)
    await rehearse(stage, script)
    assert sorted(await stage.claim(await stage.instance())) == SITES


async def test_a_short_rehearsal_may_begin_later_than_a_long_one(stage: Stage) -> None:
    short = await submitted(stage, authorized=True, site_timeout=timedelta(seconds=30))
    await stage.db.submit(SCRIPT, ["b"], due_in=100, start_within=timedelta(seconds=1))
    with pytest.raises(Exception, match="a rehearsal now could be in its way"):
        await rehearse(stage, await submitted(stage))
    assert await rehearse(stage, short)


async def test_a_cron_rule_that_is_due_every_minute_is_rehearsed_though_it_is_authorized(stage: Stage) -> None:
    await add_sites(stage.db, *SITES)
    script = await stage.db.value(
        "insert into tminus.scheduled_scripts (script, sites, cron, timezone) values ($1, $2, '* * * * *', 'UTC') returning id",
        SCRIPT, SITES, role="alice",
    )  # fmt: skip
    await stage.db.value("select tminus.authorize($1, tminus.digest($1))", script, role="bob")
    await plan(stage.store, script, await stage.db.value("select tminus.clock() + interval '1 minute'"))
    assert await rehearse(stage, script)


async def test_a_site_waits_whose_launch_was_authorized_meanwhile(stage: Stage) -> None:
    script = await submitted(stage)
    launch = await rehearse(stage, script)
    due = await stage.db.submit(SCRIPT, ["b"], due_in=60, start_within=timedelta(seconds=60))
    instance = await stage.instance()
    assert sorted(await stage.claim(instance)) == ["a"], "only the site that is not in the way"
    [shown_run] = await stage.store.fetch("show_site_run", script, "b", False)
    assert shown_run["message"].startswith(f"Waits: scheduled script {due} is due at ")
    await stage.db.fetch("select tminus.cancel($1)", due, role="alice")
    assert sorted(await stage.claim(instance)) == ["b"]
    assert await stage.db.value("select state from tminus.launches where id = $1", launch) == "running"


async def test_a_site_waits_whose_launch_goes_on_in_waves(stage: Stage) -> None:
    """Where the wave of a site is not open yet, the router is free and yet not to be had."""
    tight = {"start_within": timedelta(minutes=2), "wave_sizes": ["1"]}
    instance = await stage.instance()
    await add_sites(stage.db, *SITES)
    script = await stage.db.submit(SCRIPT, SITES, due_in=1, **tight)
    await stage.db.move_clock(timedelta(seconds=2))
    [launch] = await stage.launch_due(instance)
    assert sorted(await stage.claim(instance)) == ["a"]
    with pytest.raises(Exception, match=r"launch .* waits to start on site b; a rehearsal now could be in its way"):
        await rehearse(stage, await submitted(stage))
    await stage.db.fetch("select tminus.cancel($1)", script, role="alice")
    assert await rehearse(stage, await submitted(stage))
    assert sorted(await stage.claim(instance)) == ["b"], f"a is still run by {launch}"


async def test_a_rehearsal_that_was_held_back_until_its_end_says_for_what(stage: Stage) -> None:
    await rehearse(stage, await submitted(stage))
    instance = await stage.instance(ttl=3600)
    claims = await stage.claim(instance, 1)
    await end_ready(stage, instance, claims["a"].id)
    await stage.db.move_clock(timedelta(minutes=16))
    due = await stage.db.submit(SCRIPT, ["b"], due_in=60, start_within=timedelta(seconds=60))
    await stage.store.fetch("housekeeping")
    runs = await stage.db.fetch("select reason, message from tminus.site_runs where site_id = 'b'")
    [(reason, message)] = [tuple(run) for run in runs]
    assert reason == "busy"
    assert message.startswith(f"Not rehearsed, since it could have been in the way: scheduled script {due} is due at ")


MINUTE = timedelta(minutes=1)
LONG = 1e6  # seconds: an instance that outlives the jumps of the clock


async def open_window(stage: Stage, name: str, opens: timedelta, closes: timedelta, **columns: object) -> None:
    """A window that is open once, between these distances from now, as planned by the daemon."""
    now = await stage.db.value("select tminus.clock()")
    await stage.db.fetch(
        "insert into tminus.windows (name, spans, scope, tag) values ($1, $2, $3, $4)",
        name,
        [asyncpg.Range(now + opens, now + closes)],
        columns.get("scope", "named"),
        columns.get("tag"),
        role="api",
    )
    await stage.db.fetch(
        "update tminus.windows set opens_at = $2, closes_at = $3, planned_at = tminus.clock() where name = $1",
        name,
        now + opens,
        now + closes,
        role="tminus_serve",
    )


LEVELS: dict[str, dict[str, object]] = {
    "all": {"scope": "all"},
    "tag": {"scope": "tag", "tag": "core"},
    "named": {"scope": "named"},
}


async def submitted_for_b(stage: Stage, level: str, **columns: object) -> UUID:
    """What is due on site b in a minute and may start for an hour, within windows of this level."""
    await stage.db.fetch("update tminus.sites set tags = '{core}' where id = 'b'", role="api")
    if level == "named":
        columns["windows"] = [row["name"] for row in await stage.db.fetch("select name from tminus.windows")]
    return await stage.db.submit(SCRIPT, ["b"], due_in=60, start_within=60 * MINUTE, **columns)


@pytest.mark.parametrize("level", LEVELS)
async def test_none_begins_where_a_window_would_close_before_its_end(stage: Stage, level: str) -> None:
    script = await submitted(stage)
    launch = await rehearse(stage, script)
    await open_window(stage, "short", -MINUTE, 5 * MINUTE, **LEVELS[level])
    await open_window(stage, "shorter", 2 * MINUTE, 3 * MINUTE, **LEVELS[level])
    due = await submitted_for_b(stage, level)
    with pytest.raises(Exception, match=rf"scheduled script {due} is due at .* on site b; a rehearsal now could be in"):
        await rehearse(stage, await submitted(stage))
    instance = await stage.instance()
    assert sorted(await stage.claim(instance)) == ["a"], "nor is a site taken up of one that began before"
    await stage.db.fetch("select tminus.cancel($1)", due, role="alice")
    assert sorted(await stage.claim(instance)) == ["b"]
    assert await stage.db.value("select state from tminus.launches where id = $1", launch) == "running"


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "windows",
    [
        [(-MINUTE, 7 * MINUTE)],
        [(-MINUTE, 5 * MINUTE), (4 * MINUTE, 60 * MINUTE)],  # one after the other
        [(10 * MINUTE, 20 * MINUTE)],
    ],
    ids=["open until its end", "another one is open by then", "not open before its end"],
)
async def test_one_begins_where_no_window_closes_before_its_end(
    stage: Stage, level: str, windows: list[tuple[timedelta, timedelta]]
) -> None:
    script = await submitted(stage)
    for number, (opens, closes) in enumerate(windows):
        await open_window(stage, f"night {number}", opens, closes, **LEVELS[level])
    await submitted_for_b(stage, level)
    await rehearse(stage, script)
    assert sorted(await stage.claim(await stage.instance())) == SITES


async def test_a_window_that_closes_is_in_the_way_only_where_the_others_are_open(stage: Stage) -> None:
    script = await submitted(stage)
    await open_window(stage, "short", -MINUTE, 5 * MINUTE)
    await submitted_for_b(stage, "named")
    await open_window(stage, "core", 60 * MINUTE, 90 * MINUTE, scope="tag", tag="core")
    await rehearse(stage, script)
    await stage.db.fetch("delete from tminus.windows where name = 'core'", role="api")
    assert sorted(await stage.claim(await stage.instance())) == ["a"]


async def test_a_window_whose_next_opening_is_not_known_may_open_and_close_at_any_moment(stage: Stage) -> None:
    script = await submitted(stage)
    await open_window(stage, "mine", 60 * MINUTE, 90 * MINUTE)
    await submitted_for_b(stage, "named")
    await rehearse(stage, script)
    await stage.db.fetch("update tminus.windows set weekly = '{daily 02:00-02:05}'", role="api")
    assert sorted(await stage.claim(await stage.instance())) == ["a"]


async def test_none_begins_where_a_site_that_is_tried_again_has_little_of_its_turn_left(stage: Stage) -> None:
    instance = await stage.instance(ttl=LONG)
    await stage.launch(instance, *SITES, start_within=60 * MINUTE)
    claims = await stage.claim(instance)
    await stage.store.fetch("release_site_runs", instance, [claims["b"].id], [3590.0], ["offline"], ["No answer."])
    await stage.db.move_clock(50 * MINUTE)
    # The end of a moves the launch on, and not the turn of b.
    await stage.run_through(instance, claims["a"].id)
    await stage.store.fetch("move_on_launches", [claims["a"].id])
    await rehearse(stage, await submitted(stage))
    await stage.db.move_clock(6 * MINUTE)
    assert sorted(await stage.claim(instance)) == ["a"]
    with pytest.raises(Exception, match=r"launch .* waits to start on site b; a rehearsal now could be in its way"):
        await rehearse(stage, await submitted(stage))


async def test_the_time_for_which_a_launch_is_paused_is_nobodys_turn(stage: Stage) -> None:
    instance = await stage.instance(ttl=LONG)
    script = await stage.launch(instance, *SITES, start_within=60 * MINUTE)
    claims = await stage.claim(instance)
    await stage.store.fetch("release_site_runs", instance, [claims["b"].id], [5.0], ["offline"], ["No answer."])
    await stage.db.value("select tminus.pause_launch($1, 'wait')", script, role="bob")
    await stage.db.move_clock(120 * MINUTE)
    assert await rehearse(stage, await submitted(stage))
    assert sorted(await stage.claim(instance)) == ["b"]


async def test_none_begins_where_little_is_left_of_a_local_time(stage: Stage) -> None:
    await add_sites(stage.db, *SITES)
    await stage.db.fetch("update tminus.sites set timezone = 'Etc/GMT+1' where id = 'b'", role="api")
    now: datetime = await stage.db.value("select tminus.clock()")
    local = (now + 60 * MINUTE).replace(tzinfo=None)
    script = await insert(stage.db, launch_at=None, local_time=local, sites=SITES, start_within=60 * MINUTE)
    await authorize(stage.db, script)
    instance = await stage.instance(ttl=LONG)
    await stage.db.move_clock(61 * MINUTE)
    assert None not in await stage.launch_due(instance)
    claims = await stage.claim(instance)
    assert sorted(claims) == ["a"]
    # The end of a moves the launch on, and not the turn of b.
    await stage.db.move_clock(112 * MINUTE)
    await stage.run_through(instance, claims["a"].id)
    await stage.store.fetch("move_on_launches", [claims["a"].id])
    assert await rehearse(stage, await submitted(stage))
    await stage.db.move_clock(5 * MINUTE)
    with pytest.raises(Exception, match=r"launch .* waits to start on site b; a rehearsal now could be in its way"):
        await rehearse(stage, await submitted(stage))


async def test_none_begins_where_a_launch_that_nobody_took_up_has_little_time_left(stage: Stage) -> None:
    instance = await stage.instance(ttl=LONG)
    await stage.launch(instance, "b", start_within=60 * MINUTE)
    assert await rehearse(stage, await submitted(stage))
    await stage.db.move_clock(56 * MINUTE)
    with pytest.raises(Exception, match=r"launch .* waits to start on site b; a rehearsal now could be in its way"):
        await rehearse(stage, await submitted(stage))


async def test_none_begins_where_a_window_would_close_on_what_waits_to_start(stage: Stage) -> None:
    instance = await stage.instance()
    await open_window(stage, "short", -MINUTE, 5 * MINUTE)
    await stage.launch(instance, *SITES, start_within=60 * MINUTE, wave_sizes=["1"], windows=["short"])
    assert sorted(await stage.claim(instance)) == ["a"]
    with pytest.raises(Exception, match=r"launch .* waits to start on site b; a rehearsal now could be in its way"):
        await rehearse(stage, await submitted(stage))


async def test_a_rehearsal_whose_hindrance_has_just_ended_does_not_say_that_nobody_served_the_site(
    stage: Stage,
) -> None:
    await rehearse(stage, await submitted(stage))
    instance = await stage.instance(ttl=LONG)
    due = await stage.db.submit(SCRIPT, SITES, due_in=60, start_within=MINUTE)
    assert await stage.claim(instance) == {}
    await stage.db.fetch("select tminus.cancel($1)", due, role="alice")
    await stage.db.move_clock(16 * MINUTE)
    await stage.store.fetch("housekeeping")
    runs = await stage.db.fetch("select reason, message from tminus.site_runs")
    assert {tuple(run) for run in runs} == {
        (
            "missed",
            "Not rehearsed within 00:15:00: what was to be done on this site went first, or no daemon had a place for it.",
        )
    }


async def test_an_author_rehearses_what_is_his_own(stage: Stage) -> None:
    script = await submitted(stage)
    with pytest.raises(Exception, match="belongs to alice, so arthur may not rehearse it"):
        await rehearse(stage, script, role="arthur")
    assert await rehearse(stage, script, role="bob")


async def test_a_cancelled_script_cancels_its_rehearsal(stage: Stage) -> None:
    script = await submitted(stage)
    launch = await rehearse(stage, script)
    await stage.db.fetch("select tminus.cancel($1)", script, role="alice")
    assert await stage.db.value("select state from tminus.launches where id = $1", launch) == "cancelled"
    assert {run["reason"] for run in (await stage.db.site_runs(script)).values()} == {"cancelled"}


async def test_who_only_reads_cannot_ask_for_one(stage: Stage) -> None:
    script = await submitted(stage)
    with pytest.raises(Exception, match="permission denied"):
        await rehearse(stage, script, role="rita")
