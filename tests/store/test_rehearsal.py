"""A rehearsal has no point of no return, needs no authorization, and is no part of the life of its scheduled script."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.store.stage import SCRIPT, Stage, add_sites
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
