"""Who can serve which site: runners, credentials and jump hosts of the living instances."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from tests.store.stage import Stage, add_sites, authorize, insert
from tminus.store import instances, launches, site_runs
from tminus.store.gauges import read_gauges
from tminus.store.instances import Reach
from tminus.store.pool import statement

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLAIN = Reach(credentials=("default",))
LONG = 1e7  # seconds: an instance that outlives the jumps of the clock


async def put(stage: Stage, site: str, **columns: str) -> None:
    await add_sites(stage.db, site)
    for name, value in columns.items():
        await stage.db.fetch(f"update tminus.sites set {name} = $1 where id = $2", value, site, role="api")


async def why(stage: Stage, site: str) -> str | None:
    reason: str | None = await stage.db.value(
        "select tminus.why_unserved(s) from tminus.sites s where id = $1", site, role="rita"
    )
    return reason


@pytest.mark.parametrize(
    ("columns", "reach", "served"),
    [
        ({}, PLAIN, True),
        ({}, Reach(), False),
        ({}, Reach(credentials=("other",)), False),
        ({"credential": "other"}, PLAIN, False),
        ({"credential": "other"}, Reach(credentials=("default", "other")), True),
        ({"runner": "one"}, PLAIN, True),
        ({"runner": "north"}, PLAIN, False),
        ({"runner": "north"}, Reach(credentials=("default",), runner_tags=("south", "north")), True),
        ({"jump_host": "gate"}, PLAIN, False),
        ({"jump_host": "gate"}, Reach(credentials=("default",), jump_hosts=("gate",)), True),
        ({"jump_host": "gate", "runner": "x"}, Reach(credentials=("default",), jump_hosts=("gate",)), False),
    ],
)
async def test_an_instance_claims_only_what_it_can_serve(
    stage: Stage, columns: dict[str, str], reach: Reach, served: bool
) -> None:
    instance = await stage.instance(reach=reach)
    await put(stage, "a", **columns)
    await stage.launch(instance, "a")
    assert (await why(stage, "a") is None) == served
    assert set(await stage.claim(instance, places={"gate": 1})) == ({"a"} if served else set())


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"runner": "north"}, "no living daemon has the name or the tag 'north', which is its runner"),
        ({"credential": "c"}, "no living daemon has in its configuration the credential 'c'"),
        (
            {"runner": "one", "credential": "c"},
            "no living daemon of its runner 'one' has in its configuration the credential 'c'",
        ),
        ({"jump_host": "gate"}, "no living daemon has in its configuration the jump host 'gate'"),
        (
            {"jump_host": "far", "credential": "special"},
            "no living daemon has in its configuration the jump host 'far' together with the credential 'special'",
        ),
    ],
)
async def test_why_nobody_can_serve_a_site_is_said(stage: Stage, columns: dict[str, str], said: str) -> None:
    await put(stage, "a", **columns)
    assert await why(stage, "a") == "no daemon is alive"
    await stage.instance()
    await stage.instance(name="two", reach=Reach(credentials=("default",), jump_hosts=("far",)))
    await stage.instance(name="three", reach=Reach(credentials=("special",)))
    assert await why(stage, "a") == said


async def test_who_drains_or_is_silent_serves_nobody(stage: Stage) -> None:
    await put(stage, "a")
    instance = await stage.instance(ttl=10)
    assert await why(stage, "a") is None
    await stage.db.move_clock(timedelta(seconds=11))
    assert await why(stage, "a") == "no daemon is alive"
    assert await instances.beat(stage.store, instance, draining=True)
    assert await why(stage, "a") == "no daemon is alive"


async def test_a_long_queue_of_another_runner_is_passed_by(stage: Stage) -> None:
    """Within one launch and over several; a batch is filled with what can be served, whatever stands before it."""
    one = await stage.instance()
    two = await stage.instance(name="two")
    names = [f"s{number:03}" for number in range(150)]
    await add_sites(stage.db, *names)
    await stage.db.fetch("update tminus.sites set runner = 'two'", role="api")
    await add_sites(stage.db, "x", "y")
    await stage.launch(one, *names, "x")
    await stage.launch(one, "y")
    assert set(await stage.claim(one, 2)) == {"x", "y"}
    assert list(await stage.claim(two, 3)) == names[:3]


async def test_a_site_that_nobody_can_serve_is_shown_so_and_ends_as_missed_never_as_offline(stage: Stage) -> None:
    instance = await stage.instance(ttl=LONG)
    await put(stage, "a", runner="north")
    await put(stage, "b")
    script = await stage.launch(instance, "a", "b", start_within=timedelta(minutes=10))
    launch = (await stage.db.site_runs(script))["a"]["launch_id"]
    shown = await stage.db.script(script)
    assert (shown["progress"]["pending"], shown["unserved"]) == (["a", "b"], ["a"])
    runs = {row["site_id"]: row for row in await stage.db.fetch(statement("site_runs_by_urgency"), launch, None)}
    assert runs["b"]["message"] is None
    assert runs["a"]["message"].startswith("Waits: no living daemon has the name or the tag 'north'")
    [running] = await stage.db.fetch(statement("running_launches"))
    [frame] = await stage.db.fetch(statement("progress_frame"), script)
    assert (running["pending"], running["unserved"], frame["unserved"]) == (2, 1, 1)
    [shown_run] = await stage.db.fetch(statement("show_site_run"), script, "a", False)
    assert shown_run["message"] == runs["a"]["message"]
    await stage.run_through(instance, (await stage.claim(instance))["b"].id)
    await stage.db.move_clock(timedelta(minutes=11))
    assert (await launches.housekeeping(stage.store)).given_up == 1
    run = (await stage.db.site_runs(script))["a"]
    assert (run["state"], run["reason"], run["effect"]) == ("skipped", "missed", "none")
    assert run["message"] == (
        "Not started: no daemon served this site within 00:10:00; no living daemon has the name or the tag 'north',"
        " which is its runner."
    )
    assert (await stage.db.script(script))["unserved"] == []


async def test_a_site_whose_only_daemon_is_gone_is_missed_whatever_was_met_there_before(stage: Stage) -> None:
    north = await stage.instance(name="north", ttl=60)
    other = await stage.instance(ttl=LONG)
    await put(stage, "a", runner="north")
    script = await stage.launch(other, "a", start_within=timedelta(minutes=10))
    claim = (await stage.claim(north))["a"]
    await stage.store.fetch("release_site_runs", north, [claim.id], [30.0], ["offline"], ["It did not answer."])
    await stage.db.move_clock(timedelta(minutes=11))
    assert (await launches.housekeeping(stage.store)).given_up == 1
    run = (await stage.db.site_runs(script))["a"]
    assert (run["state"], run["reason"]) == ("skipped", "missed")
    assert run["message"].endswith("which is its runner. Before that: It did not answer.")


async def test_unserved_sites_are_counted_while_they_wait_and_an_hour_before_their_launch(stage: Stage) -> None:
    instance = await stage.instance(ttl=LONG)
    await put(stage, "a", runner="north")
    await put(stage, "b")
    await stage.launch(instance, "a", "b")
    assert (await read_gauges(stage.store)).unserved_sites == 1
    await put(stage, "c", runner="north")
    at = await stage.db.value("select tminus.clock() + interval '90 minutes'")
    await authorize(stage.db, await insert(stage.db, sites=["a", "c"], launch_at=at))
    assert (await read_gauges(stage.store)).unserved_sites == 1
    await stage.db.move_clock(timedelta(minutes=31))
    assert (await read_gauges(stage.store)).unserved_sites == 2
    await stage.instance(name="north", ttl=LONG)
    assert (await read_gauges(stage.store)).unserved_sites == 0


async def test_a_runner_can_be_mended_while_the_launch_waits_and_no_authorization_is_lost(stage: Stage) -> None:
    instance = await stage.instance()
    await put(stage, "a", runner="north")
    await stage.launch(instance, "a")
    assert await stage.claim(instance) == {}
    await stage.db.fetch("update tminus.sites set runner = 'one'", role="api")
    claim = (await stage.claim(instance))["a"]
    assert claim.site.runner == "one"
    assert claim.authorized_site is not None


async def orphan(stage: Stage, instance: UUID, **columns: object) -> int:
    claim = next(iter((await stage.claim(instance)).values()))
    assert await stage.execute(instance, claim.id)
    return claim.id


async def test_an_orphan_is_resolved_by_who_can_reach_it_and_by_anyone_once_its_window_is_over(stage: Stage) -> None:
    north = await stage.instance(name="north", ttl=10)
    await put(stage, "a", runner="north")
    await stage.launch(north, "a", start_within=timedelta(minutes=10))
    run = await orphan(stage, north)
    await stage.db.move_clock(timedelta(seconds=11))
    other = await stage.instance(ttl=LONG)
    assert (await instances.reap(stage.store)).orphaned == 1
    assert await site_runs.claim_orphans(stage.store, other, limit=5) == []
    again = await stage.instance(name="north")
    [mine] = await site_runs.claim_orphans(stage.store, again, limit=5)
    assert (mine.id, mine.site.runner) == (run, "north")
    await instances.stop(stage.store, again)
    assert (await instances.reap(stage.store)).orphaned == 1
    await stage.db.move_clock(timedelta(minutes=10))
    assert [found.id for found in await site_runs.claim_orphans(stage.store, other, limit=5)] == [run]


async def test_a_debt_is_left_to_who_can_reach_the_router(stage: Stage) -> None:
    north = await stage.instance(name="north", ttl=60)
    other = await stage.instance(ttl=LONG)
    await put(stage, "a", runner="north")
    await stage.launch(other, "a")
    claim = (await stage.claim(north))["a"]
    await stage.end(north, claim.id, state="failed")
    await stage.db.fetch(
        "insert into tminus.cleanup_debts (site_id, site_run_id, file_name) values ('a', $1, 'tminus-0123456789abcdef.rsc')",
        claim.id,
    )
    assert await site_runs.take_debts(stage.store, other, limit=5) == []
    assert len(await site_runs.take_debts(stage.store, north, limit=5)) == 1
    await stage.db.move_clock(timedelta(minutes=10))
    # Nobody can reach it any more: somebody has to tell that it is still owed.
    assert len(await site_runs.take_debts(stage.store, other, limit=5)) == 1


async def test_no_more_sites_are_claimed_than_their_jump_host_has_places_and_others_pass_them(stage: Stage) -> None:
    instance = await stage.instance(reach=Reach(credentials=("default",), jump_hosts=("gate", "far")))
    behind = [f"g{number:02}" for number in range(20)]
    await add_sites(stage.db, *behind)
    await stage.db.fetch("update tminus.sites set jump_host = 'gate'", role="api")
    await put(stage, "f", jump_host="far")
    await put(stage, "x")
    await stage.launch(instance, *behind, "f", "x")
    assert list(await stage.claim(instance, 10, {"gate": 2, "far": 0})) == behind[:2]
    assert list(await stage.claim(instance, 10, {"gate": 0, "far": 5})) == ["f", "x"]
    assert list(await stage.claim(instance, 10, {"gate": 3})) == behind[2:5]
