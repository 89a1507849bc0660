"""A freeze stops new starts at once, up to the point of no return, and what it holds back says so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.store.stage import Stage, add_sites, insert, refused
from tminus.store import launches

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOUR = timedelta(hours=1)
LONG = 1e7  # seconds: an instance that outlives the jumps of the clock


async def freeze(stage: Stage, tag: str | None = None, lasts: timedelta = HOUR, role: str = "bob") -> Any:
    sql = "select tminus.freeze($1, tminus.clock() + $2::interval, 'storm')"
    return await stage.db.value(sql, tag, lasts, role=role)


async def tag_site(stage: Stage, site: str, *tags: str) -> None:
    await stage.db.fetch("update tminus.sites set tags = $2 where id = $1", site, list(tags), role="api")


async def test_nothing_is_claimed_while_all_is_frozen_and_all_of_it_after_a_thaw(stage: Stage) -> None:
    instance = await stage.instance()
    number = await freeze(stage)
    await stage.launch(instance, "a", "b")
    assert await stage.claim(instance) == {}
    await stage.db.value("select tminus.thaw($1, ' over ')", number, role="api")
    assert set(await stage.claim(instance)) == {"a", "b"}
    [row] = await stage.db.fetch("select tag, reason, frozen_by, thawed_by, note from tminus.freezes")
    assert tuple(row) == (None, "storm", "bob", "api", "over")
    assert len(await stage.events("frozen")) == len(await stage.events("thawed")) == 1


async def test_a_freeze_of_a_tag_holds_back_the_sites_that_have_it_and_no_others(stage: Stage) -> None:
    instance = await stage.instance()
    await stage.launch(instance, "a", "b")
    await tag_site(stage, "a", "edge", "core")
    await freeze(stage, "core")
    assert set(await stage.claim(instance)) == {"b"}
    # The tags are those of now.
    await tag_site(stage, "a", "edge")
    assert set(await stage.claim(instance)) == {"a"}


async def test_a_freeze_ends_by_itself(stage: Stage) -> None:
    instance = await stage.instance(ttl=LONG)
    await freeze(stage, lasts=timedelta(minutes=5))
    await stage.launch(instance, "a")
    assert await stage.claim(instance) == {}
    await stage.db.move_clock(timedelta(minutes=6))
    assert set(await stage.claim(instance)) == {"a"}


async def test_what_is_claimed_already_does_not_pass_its_point_of_no_return(stage: Stage) -> None:
    instance = await stage.instance()
    await stage.launch(instance, "a", "b")
    claims = await stage.claim(instance)
    runs = {site: claim.id for site, claim in claims.items()}
    await tag_site(stage, "a", "core")
    number = await freeze(stage, "core")
    assert await stage.execute(instance, *runs.values()) == [runs["b"]]
    [why] = await stage.store.fetch("why_not_started", instance, [runs["a"]])
    assert (why["id"], why["is_held"], why["is_unsettled"]) == (runs["a"], True, False)
    await stage.db.value("select tminus.thaw($1, 'over')", number, role="bob")
    # Who asks a moment after the thaw is told to come again, and not that the run is somebody else's.
    assert [row["id"] for row in await stage.store.fetch("why_not_started", instance, [runs["a"]])] == [runs["a"]]
    assert await stage.execute(instance, runs["a"]) == [runs["a"]]


async def test_what_a_freeze_held_back_for_too_long_is_missed_and_names_it(stage: Stage) -> None:
    instance = await stage.instance(ttl=LONG)
    await freeze(stage, lasts=timedelta(hours=5))
    script = await stage.launch(instance, "a", start_within=HOUR)
    await stage.db.move_clock(timedelta(minutes=59))
    assert (await launches.housekeeping(stage.store)).given_up == 0
    await stage.db.move_clock(timedelta(minutes=2))
    assert (await launches.housekeeping(stage.store)).given_up == 1
    run = (await stage.db.site_runs(script))["a"]
    assert (run["state"], run["reason"], run["effect"]) == ("skipped", "missed", "none")
    assert run["message"].startswith("Not started within 01:00:00: starts are frozen until 20")
    assert run["message"].endswith("by bob (storm).")


async def test_a_rehearsal_goes_on_in_a_freeze(stage: Stage) -> None:
    instance = await stage.instance()
    await add_sites(stage.db, "a")
    wish = await insert(stage.db)
    await freeze(stage)
    await stage.db.value("select tminus.rehearse($1)", wish, role="alice")
    assert set(await stage.claim(instance)) == {"a"}


@pytest.mark.parametrize(
    ("role", "sql", "words"),
    [
        ("alice", "select tminus.freeze(null, tminus.clock() + interval '1 hour', 'x')", "may not freeze"),
        ("bob", "select tminus.freeze(null, tminus.clock() - interval '1 second', 'x')", "coming year"),
        ("bob", "select tminus.freeze(null, null, 'x')", "coming year"),
        ("bob", "select tminus.freeze(null, 'infinity', 'x')", "coming year"),
        ("bob", "select tminus.freeze(null, tminus.clock() + interval '1 hour', '  ')", "needs a reason"),
        ("bob", "select tminus.freeze(null, tminus.clock() + interval '1 hour', e'a\\nb')", "needs a reason"),
        ("bob", "select tminus.freeze('croe', tminus.clock() + interval '1 hour', 'x')", "no site has the tag 'croe'"),
        ("alice", "select tminus.thaw(1, 'x')", "may not thaw"),
        ("bob", "select tminus.thaw(4711, 'x')", "there is no freeze 4711"),
    ],
)
async def test_what_is_no_freeze_is_refused_with_a_sentence(stage: Stage, role: str, sql: str, words: str) -> None:
    assert words in await refused(stage.db, role, sql)


async def test_a_freeze_is_thawed_once_with_a_note_and_only_while_it_lasts(stage: Stage) -> None:
    number = await freeze(stage)
    assert "the note is empty" in await refused(stage.db, "bob", "select tminus.thaw($1, ' ')", number)
    await stage.db.value("select tminus.thaw($1, 'over')", number, role="bob")
    assert "is over already, thawed by bob" in await refused(stage.db, "bob", "select tminus.thaw($1, 'x')", number)
    short = await freeze(stage, lasts=timedelta(minutes=1))
    await stage.db.move_clock(timedelta(minutes=2))
    assert "is over already, since 20" in await refused(stage.db, "bob", "select tminus.thaw($1, 'x')", short)


async def test_a_daemon_that_comes_back_after_the_time_of_a_launch_starts_nothing_of_it(stage: Stage) -> None:
    """Whether it looks for work first or tidies up first."""
    instance = await stage.instance(ttl=LONG)
    await stage.launch(instance, "a", "b", start_within=HOUR, max_concurrency=1)
    [claim] = (await stage.claim(instance)).values()
    await stage.db.fetch(
        "update tminus.site_runs set state = 'pending', step = null, instance_id = null where id = $1", claim.id
    )
    await stage.db.move_clock(timedelta(hours=2))
    assert await stage.claim(instance) == {}
