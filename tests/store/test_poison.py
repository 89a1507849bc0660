"""A scheduled script whose handling ends the daemon is set aside the third time, and innocents are not."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from tests.store.stage import Stage, add_sites, authorize, insert, refused
from tminus.store import busy_sites, instances, site_runs
from tminus.store.pool import statement

pytestmark = pytest.mark.asyncio(loop_scope="module")

READMIT = "select tminus.readmit($1, $2)"


async def die(stage: Stage, *crashed: UUID) -> None:
    """Let these fall silent for good; the others live on."""
    for instance in crashed:
        await stage.db.fetch(
            "update tminus.instances set heartbeat_at = tminus.clock() - ttl * 2 where id = $1", instance
        )
    assert (await instances.reap(stage.store)).dead == len(crashed)


async def crash_with(stage: Stage, *, capacity: int = 100) -> set[str]:
    """A life that claims what it may, and dies; returns the sites that it had in hand."""
    instance = await stage.instance()
    claims = await stage.claim(instance, capacity)
    await die(stage, instance)
    return set(claims)


async def test_the_third_death_with_nothing_else_in_hand_sets_it_aside(stage: Stage) -> None:
    first = await stage.instance()
    poison = await stage.launch(first, "a", "b")
    for _ in range(3):
        assert await stage.db.value("select status_reason from tminus.scheduled_scripts") is None
        assert await crash_with(stage) == {"a", "b"}
    assert (await stage.row(poison))["status_reason"].startswith("set aside: the daemon died three times")
    assert [event["script_id"] for event in await stage.events("set_aside")] == [poison]
    assert await crash_with(stage) == set()
    # It says so when its time is over, and others run.
    assert set(await stage.claim(first)) == set()
    await stage.launch(first, "c")
    assert set(await stage.claim(first)) == {"c"}
    await stage.db.move_clock(timedelta(hours=2))
    await stage.store.fetch("housekeeping")
    runs = await stage.db.site_runs(poison)
    assert {run["reason"] for run in runs.values()} == {"missed"}
    assert "set aside, since the daemon died three times" in runs["a"]["message"]


@pytest.mark.parametrize("by", ["resolved", "readmitted"])
async def test_a_router_on_which_a_script_runs_that_is_set_aside_is_busy_until_a_person_has_seen_to_it(
    stage: Stage, by: str
) -> None:
    first = await stage.instance()
    poison = await stage.launch(first, "a")
    for _ in range(3):
        instance = await stage.instance()
        for claim in (await stage.claim(instance)).values():
            await stage.execute(instance, claim.id)
        await site_runs.claim_orphans(stage.store, instance, limit=5)
        await die(stage, instance)
    run = (await stage.db.site_runs(poison))["a"]
    assert (run["state"], run["reason"]) == ("unknown", "daemon_lost")
    assert "was set aside" in run["message"]

    await stage.launch(first, "a", "b")
    living = await stage.instance()
    assert set(await stage.claim(living)) == {"b"}
    await stage.db.move_clock(timedelta(minutes=5))
    assert await busy_sites.take(stage.store, first, limit=5) == [], "to ask the router could end the daemon"
    assert await site_runs.take_debts(stage.store, first, limit=5) == []
    if by == "resolved":
        await stage.db.value("select tminus.resolve($1, 'failed/partial', 'looked')", run["id"], role="bob")
        assert await busy_sites.take(stage.store, living, limit=5) == []
        assert set(await stage.claim(living)) == {"a"}
    else:
        await stage.db.value(READMIT, poison, "mended", role="bob")
        assert [busy.run.id for busy in await busy_sites.take(stage.store, living, limit=5)] == [run["id"]]
        assert await stage.claim(living) == {}
        assert [debt.file_name for debt in await site_runs.take_debts(stage.store, living, limit=5)] == [
            f"tminus-{run['nonce']}.rsc"
        ]


async def test_innocents_that_ran_at_the_same_time_run_alone_after_two_deaths_and_are_cleared(stage: Stage) -> None:
    first = await stage.instance()
    poison = await stage.launch(first, "a")
    innocent = await stage.launch(first, "b")
    for _ in range(2):
        assert await crash_with(stage) == {"a", "b"}
    # Each by itself, what is due first before the other; not both at once.
    alone = await stage.instance()
    assert await suspects(stage) == {poison: (2, []), innocent: (2, [])}
    assert set(await stage.claim(alone)) == {"a"}
    assert await stage.claim(alone) == {}
    name = await stage.db.value("select name from tminus.instances where id = $1", alone)
    assert await suspects(stage) == {poison: (2, [name]), innocent: (2, [])}
    # Meanwhile the other runs elsewhere, by itself as well, to its end.
    other = await stage.instance()
    run = (await stage.claim(other))["b"]
    await stage.run_through(other, run.id)
    await die(stage, alone)
    await stage.store.fetch("housekeeping")
    assert (await stage.row(poison))["status_reason"].startswith("set aside")
    assert (await stage.row(innocent))["status_reason"] is None
    assert await stage.db.value("select count(*) from tminus.set_aside") == 1
    assert await suspects(stage) == {}


async def suspects(stage: Stage) -> dict[object, tuple[int, list[str]]]:
    """Of each script that is run alone: at how many deaths it was in hand, and which daemons have it in hand."""
    rows = await stage.db.fetch(statement("suspects"), role="rita")
    return {row["script_id"]: (row["deaths"], row["daemons"]) for row in rows}


async def test_a_third_death_beside_another_script_convicts_nobody(stage: Stage) -> None:
    """Both were in hand before the suspicion."""
    lasting = await stage.instance()
    await stage.launch(lasting, "a", "b")
    assert set(await stage.look(lasting, 1)) == {"a"}
    innocent = await stage.launch(lasting, "c")
    await stage.db.run("update tminus.site_runs set not_before = now() + interval '1 day' where site_id = 'b'")
    assert set(await stage.claim(lasting)) == {"c"}
    await stage.db.run("update tminus.site_runs set not_before = null where site_id = 'b'")
    assert await crash_with(stage) == {"b"}
    assert await crash_with(stage) == {"b"}
    await die(stage, lasting)
    assert await stage.db.value("select count(*) from tminus.set_aside") == 0
    counts = await stage.db.fetch(
        "select count(*) as n, bool_and(is_alone) from tminus.crashes group by script_id order by 1"
    )
    assert [tuple(row) for row in counts] == [(1, False), (3, False)]
    assert (await stage.row(innocent))["status_reason"] is None


async def test_a_suspect_waits_until_nothing_else_is_in_hand_and_after_a_quarter_of_its_time_it_comes_first(
    stage: Stage,
) -> None:
    first = await stage.instance(ttl=7 * 86400)
    await stage.launch(first, "a")
    await crash_with(stage)
    await crash_with(stage)
    mine = await stage.instance(ttl=7 * 86400)
    await stage.launch(first, "b", "c")
    # It is due first and nothing is in hand: it is taken alone, and others wait.
    (run,) = (await stage.claim(mine)).values()
    assert run.site.id == "a"
    assert await stage.claim(mine) == {}
    await stage.store.fetch("release_site_runs", mine, [run.id], [5.0], [None], [None])
    # Not to be had for a moment: the others go on, and while one of them is in hand it waits.
    assert set(await stage.claim(mine, 1)) == {"b"}
    await stage.db.move_clock(timedelta(seconds=10))
    assert set(await stage.claim(mine, 1)) == {"c"}
    await stage.launch(first, "d")
    await stage.db.move_clock(timedelta(minutes=20))
    assert await stage.claim(mine) == {}, "what is in hand comes to its end, for the suspect's time passes"
    claims = await stage.db.fetch("select id from tminus.site_runs where instance_id = $1", mine)
    await stage.run_through(mine, *(row["id"] for row in claims))
    assert set(await stage.claim(mine)) == {"a"}


@pytest.mark.parametrize(
    "held_back",
    [
        "select tminus.freeze('cold', tminus.clock() + interval '1 day', 'storm')",
        (
            "insert into tminus.windows (name, timezone, weekly, scope, tag, updated_at, updated_by)"
            " values ('never', 'UTC', '{}', 'tag', 'cold', now(), 'x')"
        ),
        "update tminus.launches set stop_starting_at = tminus.clock() where script_id in (select script_id from tminus.crashes)",
        (
            "insert into tminus.busy_sites (site_run_id, site_id, look_at)"
            " select id, site_id, tminus.clock() from tminus.site_runs where site_id = 'a'"
        ),
    ],
    ids=["frozen", "no window open", "too late to start", "busy router"],
)
async def test_a_suspect_that_may_not_start_now_holds_up_nobody(stage: Stage, held_back: str) -> None:
    first = await stage.instance(ttl=7 * 86400)
    await stage.launch(first, "a")
    await stage.db.fetch("update tminus.sites set tags = '{cold}' where id = 'a'", role="api")
    await crash_with(stage)
    await crash_with(stage)
    mine = await stage.instance(ttl=7 * 86400)
    await stage.launch(first, "b", "c", "d")
    async with stage.db.connect() as connection:
        await connection.execute("set session_replication_role = replica")
        await connection.execute(held_back)
    assert set(await stage.claim(mine, 1)) == {"b"}
    # Also when its time has passed for more than a quarter.
    await stage.db.move_clock(timedelta(minutes=20))
    assert set(await stage.claim(mine, 1)) == {"c"}


async def test_a_suspect_whose_rehearsal_would_be_in_the_way_holds_up_nobody(stage: Stage) -> None:
    first = await stage.instance(ttl=7 * 86400)
    await add_sites(stage.db, "a")
    script = await insert(stage.db, sites=["a"])
    await stage.db.value("select tminus.rehearse($1)", script, role="alice")
    assert await crash_with(stage) == {"a"}
    assert await crash_with(stage) == {"a"}
    mine = await stage.instance(ttl=7 * 86400)
    await stage.launch(first, "b", "c")
    due = await stage.db.submit(":put late", ["a"], due_in=400, start_within=timedelta(minutes=1))
    await stage.db.move_clock(timedelta(minutes=5))
    # A quarter of its time is over.
    assert set(await stage.claim(mine)) == {"b", "c"}
    runs = await stage.db.fetch("select id from tminus.site_runs where instance_id = $1", mine)
    await stage.run_through(mine, *(row["id"] for row in runs))
    await stage.db.fetch("select tminus.cancel($1)", due, role="alice")
    assert set(await stage.claim(mine)) == {"a"}, "and it is taken up when it is in the way of nothing"


async def test_what_was_past_its_point_of_no_return_ends_as_unknown_and_its_router_is_not_asked(stage: Stage) -> None:
    first = await stage.instance()
    poison = await stage.launch(first, "a")
    run = (await stage.claim(first))["a"]
    assert await stage.execute(first, run.id) == [run.id]
    await die(stage, first)
    for _ in range(2):
        instance = await stage.instance()
        (orphan,) = await site_runs.claim_orphans(stage.store, instance, limit=5)
        assert orphan.id == run.id
        await die(stage, instance)
    ended = (await stage.db.site_runs(poison))["a"]
    assert (ended["state"], ended["reason"]) == ("unknown", "daemon_lost")
    assert "the router was not asked" in ended["message"]
    assert await site_runs.claim_orphans(stage.store, await stage.instance(), limit=5) == []


async def test_orphans_of_suspects_are_resolved_one_script_at_a_time(stage: Stage) -> None:
    first = await stage.instance()
    await stage.launch(first, "a")
    await stage.launch(first, "b")
    claims = await stage.claim(first)
    await stage.execute(first, claims["a"].id)
    await stage.execute(first, claims["b"].id, nonce="00000000000000bb")
    await die(stage, first)
    second = await stage.instance()
    assert len(await site_runs.claim_orphans(stage.store, second, limit=5)) == 2
    await die(stage, second)
    third = await stage.instance()
    (one,) = await site_runs.claim_orphans(stage.store, third, limit=5)
    assert await site_runs.claim_orphans(stage.store, third, limit=5) == []
    assert await stage.end(third, one.id) == [one.id]
    (other,) = await site_runs.claim_orphans(stage.store, third, limit=5)
    assert {one.site.id, other.site.id} == {"a", "b"}


async def test_a_clean_end_and_a_death_that_was_none_count_for_nothing(stage: Stage) -> None:
    first = await stage.instance()
    await stage.launch(first, "a")
    for _ in range(3):
        instance = await stage.instance()
        assert set(await stage.claim(instance)) == {"a"}
        await instances.stop(stage.store, instance)
        await instances.reap(stage.store)
    assert await stage.db.value("select count(*) from tminus.crashes") == 0
    for _ in range(3):
        instance = await stage.instance()
        assert set(await stage.claim(instance)) == {"a"}
        await die(stage, instance)
        await instances.disclaim_crashes(stage.store, instance)
    assert await stage.db.value("select count(*) from tminus.set_aside where readmitted_at is null") == 0
    assert set(await stage.claim(first)) == {"a"}


async def a_minutely(stage: Stage, instance: UUID) -> UUID:
    """A cron row on site a, with its first occurrence launched."""
    await add_sites(stage.db, "a")
    script: UUID = await insert(stage.db, cron="* * * * *")
    await authorize(stage.db, script)
    await stage.plan()
    await stage.db.move_clock(timedelta(minutes=1))
    assert None not in await stage.launch_due(instance)
    return script


async def open_crashes(stage: Stage) -> int:
    return await stage.db.value("select count(*) from tminus.crashes where cleared_at is null")


async def test_a_launch_that_goes_through_clears_it_and_one_with_a_death_does_not(stage: Stage) -> None:
    first = await stage.instance(ttl=7 * 86400)
    await a_minutely(stage, first)
    await crash_with(stage)
    await stage.run_through(first, (await stage.claim(first))["a"].id)
    await stage.store.fetch("housekeeping")
    assert await open_crashes(stage) == 1, "it went through in the end, but a daemon died of it, or beside it"
    await stage.db.move_clock(timedelta(minutes=1))
    assert None not in await stage.launch_due(first)
    await stage.run_through(first, (await stage.claim(first))["a"].id)
    await stage.store.fetch("housekeeping")
    assert await open_crashes(stage) == 0


async def test_a_person_readmits_it_with_a_note(stage: Stage) -> None:
    first = await stage.instance()
    poison = await stage.launch(first, "a")
    for _ in range(3):
        await crash_with(stage)
    assert "arthur may not readmit it" in await refused(stage.db, "arthur", READMIT, poison, "x")
    assert "the note is empty" in await refused(stage.db, "bob", READMIT, poison, " ")
    await stage.db.value(READMIT, poison, "The host has its memory back.", role="bob")
    assert "is not set aside" in await refused(stage.db, "bob", READMIT, poison, "Again.")
    assert (await stage.row(poison))["status_reason"] is None
    assert [event["principal"] for event in await stage.events("readmitted")] == ["bob"]
    assert set(await stage.claim(first)) == {"a"}


async def test_an_edit_readmits_it_and_it_waits_to_be_authorized(stage: Stage) -> None:
    first = await stage.instance(ttl=7 * 86400)
    poison = await a_minutely(stage, first)
    for _ in range(3):
        assert await crash_with(stage) == {"a"}
    await stage.db.move_clock(timedelta(minutes=1))
    assert await stage.launch_due(first) == [], "none of its later occurrences is launched"
    await stage.db.fetch(
        "update tminus.scheduled_scripts set script = ':put better' where id = $1", poison, role="alice"
    )
    row = await stage.row(poison)
    assert (row["status"], row["status_reason"]) == ("unauthorized", "edited by alice")
    assert await stage.db.value("select count(*) from tminus.set_aside where readmitted_at is null") == 0
    assert await open_crashes(stage) == 0


async def test_a_later_occurrence_of_one_that_is_set_aside_is_missed_and_says_so(stage: Stage) -> None:
    first = await stage.instance(ttl=7 * 86400)
    poison = await a_minutely(stage, first)
    for _ in range(3):
        await crash_with(stage)
    await stage.db.move_clock(timedelta(hours=2))
    await stage.store.fetch("housekeeping")
    messages = {run["message"] for run in (await stage.db.site_runs(poison)).values()}
    assert messages <= {
        "Missed: it was set aside, since the daemon died three times while it ran it.",
        "Not started: the script was set aside, since the daemon died three times while it ran it.",
    }
    assert messages
