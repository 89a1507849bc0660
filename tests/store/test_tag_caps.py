"""Caps on tags: how many sites with a tag run at once, over all launches and daemons."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

import pytest

from tests.store.stage import Stage, add_sites, held_by_another, refused
from tests.store.test_claiming import daemons, sites
from tests.support import Db
from tminus.store.launches import housekeeping

pytestmark = pytest.mark.asyncio(loop_scope="module")

CAP = "select tminus.cap_tag($1, $2)"
WAITING = "all 2 places of the tag 'pop:berlin' are taken"


async def tag(db: Db, tags: list[str], *names: str) -> None:
    await add_sites(db, *names)
    await db.fetch("update tminus.sites set tags = $1 where id = any ($2::text[])", tags, list(names), role="api")


async def cap(db: Db, name: str, places: int | None) -> None:
    await db.fetch(CAP, name, places, role="bob")


async def test_no_more_than_the_cap_over_all_launches_and_others_do_not_wait(stage: Stage) -> None:
    await tag(stage.db, ["pop:berlin"], *sites(4, "b"), *sites(4, "c"))
    await cap(stage.db, "pop:berlin", 3)
    instance = await stage.instance()
    await stage.launch(instance, *sites(4, "b"), *sites(3, "x"))
    await stage.launch(instance, *sites(4, "c"))
    claims = await stage.claim(instance)
    assert sorted(site for site in claims if site[0] == "x") == sites(3, "x")
    assert len(claims) == 6
    first = next(claim for site, claim in claims.items() if site[0] != "x")
    await stage.run_through(instance, first.id)
    assert len(await stage.claim(instance)) == 1
    await cap(stage.db, "pop:berlin", None)
    assert len(await stage.claim(instance)) == 4


async def test_a_site_with_two_tags_needs_a_place_with_each(stage: Stage) -> None:
    await tag(stage.db, ["one", "two"], "a", "b")
    await tag(stage.db, ["two"], "c", "d")
    await cap(stage.db, "one", 1)
    await cap(stage.db, "two", 2)
    instance = await stage.instance()
    await stage.launch(instance, "a", "b", "c", "d")
    assert sorted(await stage.claim(instance)) == ["a", "c"]


async def test_a_full_tag_hides_nobody_behind_it(stage: Stage) -> None:
    """The first of a launch wait for a place; with few sessions the others go on."""
    await tag(stage.db, ["full"], *sites(5, "a"))
    await cap(stage.db, "full", 0)
    instance = await stage.instance()
    await stage.launch(instance, *sites(5, "a"), "z", max_concurrency=2)
    assert list(await stage.claim(instance, 1)) == ["z"]


async def test_daemons_that_claim_at_once_never_exceed_it(clean: Db) -> None:
    rng = random.Random(5)
    async with daemons(clean, 4) as many:
        stage, instance = many[0]
        await tag(stage.db, ["core"], *sites(30))
        await tag(stage.db, ["core", "edge"], *sites(10, "e"))
        await cap(stage.db, "core", 5)
        await cap(stage.db, "edge", 2)
        await stage.launch(instance, *sites(30), *sites(10, "e"))
        most = 0
        for _ in range(60):
            await asyncio.gather(*(one.look(me, rng.randint(1, 9)) for one, me in many))
            use = {row["tag"]: row["running"] for row in await clean.fetch("select * from tminus.tag_use()")}
            assert use["core"] <= 5
            assert use["edge"] <= 2
            most = max(most, use["core"])
            running = await clean.fetch("select id, instance_id from tminus.site_runs where state = 'running'")
            for row in running:
                if rng.random() < 0.7:
                    await stage.run_through(row["instance_id"], row["id"])
            if not await clean.value("select exists (select from tminus.site_runs where finished_at is null)"):
                break
        assert most == 5, "the places are used"
        assert await clean.value("select count(*) from tminus.site_runs where state = 'completed'") == 40


async def test_a_person_who_changes_a_cap_and_does_not_commit_holds_up_only_its_sites(stage: Stage) -> None:
    await tag(stage.db, ["pop:berlin"], "a")
    await cap(stage.db, "pop:berlin", 2)
    instance = await stage.instance()
    await stage.launch(instance, "a", "x")
    async with held_by_another(stage.db, CAP, "pop:berlin", 1, role="bob"):
        async with asyncio.timeout(5):
            assert list(await stage.claim(instance)) == ["x"]
    assert list(await stage.claim(instance)) == ["a"]


async def test_who_waits_is_told_why_and_so_is_who_waited_too_long(stage: Stage) -> None:
    await tag(stage.db, ["pop:berlin"], "a", "b", "c")
    await cap(stage.db, "pop:berlin", 2)
    instance = await stage.instance(ttl=1e6)
    await stage.launch(instance, "a", "b")
    assert len(await stage.claim(instance)) == 2
    script = await stage.launch(instance, "c", start_within=timedelta(minutes=5))
    assert await stage.claim(instance) == {}
    run = (await stage.db.site_runs(script))["c"]
    [shown] = await stage.store.fetch("site_runs_by_urgency", run["launch_id"], None)
    assert shown["message"] == f"Waits: {WAITING}."
    await stage.db.move_clock(timedelta(minutes=6))
    await housekeeping(stage.store)
    run = (await stage.db.site_runs(script))["c"]
    assert (run["state"], run["reason"]) == ("skipped", "missed")
    assert WAITING in run["message"]


@pytest.mark.parametrize(
    ("role", "arguments", "sentence"),
    [
        ("alice", ("x", 1), "only members of tminus_approver and tminus_gateway do"),
        ("bob", ("x", -1), "max_running must lie between 0 and 100000"),
        ("bob", ("", 1), "a tag has 1 to 200 printable characters"),
        ("bob", (None, 1), "a tag has 1 to 200 printable characters"),
    ],
)
async def test_what_is_no_cap_is_refused(
    stage: Stage, role: str, arguments: tuple[str | None, int], sentence: str
) -> None:
    assert sentence in await refused(stage.db, role, CAP, *arguments)
