"""Claiming work: many daemons on one database, dead and frozen ones among them."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest

from tests.store.stage import HOST_KEY, NO_BACKUPS, Stage, add_sites, held_by_another, open_stage, until_waiting
from tests.support import Db
from tminus.domain.digest import site_digest
from tminus.store import instances, site_runs
from tminus.store.instances import Reach
from tminus.store.pool import statement

pytestmark = pytest.mark.asyncio(loop_scope="module")


def sites(count: int, prefix: str = "s") -> list[str]:
    return [f"{prefix}{number:03}" for number in range(count)]


@contextlib.asynccontextmanager
async def daemons(db: Db, count: int) -> AsyncIterator[list[tuple[Stage, UUID]]]:
    """As many daemons, each with a pool and an instance of its own."""
    async with contextlib.AsyncExitStack() as stack:
        made = []
        for number in range(count):
            stage = await stack.enter_async_context(open_stage(db))
            made.append((stage, await stage.instance(name=f"daemon {number}")))
        yield made


class TestOne:
    async def test_a_claim_is_all_that_it_takes_to_reach_the_site(self, stage: Stage) -> None:
        await add_sites(stage.db, "a")
        await stage.db.fetch(
            "update tminus.sites set username = 'u', credential = 'c', host_key = $1, port = 2222", HOST_KEY, role="api"
        )
        instance = await stage.instance(reach=Reach(credentials=("c",)))
        script = await stage.launch(instance, "a")
        claim = (await stage.claim(instance))["a"]
        run = (await stage.db.site_runs(script))["a"]
        assert (claim.id, claim.launch_id, claim.attempts, claim.turn_at) == (
            run["id"],
            run["launch_id"],
            1,
            run["turn_at"],
        )
        assert (run["state"], run["step"], run["instance_id"]) == ("running", "connecting", instance)
        assert (claim.site.part.username, claim.site.part.port, claim.site.host_key) == ("u", 2222, HOST_KEY)
        assert claim.authorized_site == site_digest(claim.site.part)

    async def test_nothing_to_claim(self, stage: Stage) -> None:
        instance = await stage.instance()
        assert await stage.claim(instance) == {}
        await stage.launch(instance, "a")
        assert await stage.claim(instance, 0) == {}
        assert await stage.claim(instance, -1) == {}
        assert set(await stage.claim(instance)) == {"a"}
        assert await stage.claim(instance) == {}

    async def test_no_more_than_its_capacity_in_the_order_of_the_sites(self, stage: Stage) -> None:
        instance = await stage.instance()
        await stage.launch(instance, "c", "a", "b")
        assert list(await stage.claim(instance, 2)) == ["c", "a"]
        assert list(await stage.claim(instance, 2)) == ["b"]

    async def test_no_more_than_max_concurrency(self, stage: Stage) -> None:
        instance = await stage.instance()
        await stage.launch(instance, *sites(5), max_concurrency=2)
        claims = await stage.claim(instance)
        assert list(claims) == ["s000", "s001"]
        assert await stage.claim(instance) == {}
        await stage.end(instance, claims["s001"].id, state="failed")
        assert list(await stage.claim(instance)) == ["s002"]

    async def test_places_are_shared_between_launches(self, stage: Stage) -> None:
        instance = await stage.instance()
        await stage.launch(instance, *sites(20, "x"))
        await stage.launch(instance, *sites(20, "y"))
        await stage.launch(instance, *sites(2, "z"))
        counts = Counter(site[0] for site in await stage.claim(instance, 12))
        assert counts == {"x": 5, "y": 5, "z": 2}

    async def test_a_launch_at_its_cap_leaves_the_places_to_the_others(self, stage: Stage) -> None:
        instance = await stage.instance()
        await stage.launch(instance, *sites(20, "x"), max_concurrency=1)
        await stage.launch(instance, *sites(20, "y"))
        assert Counter(site[0] for site in await stage.claim(instance, 10)) == {"x": 1, "y": 9}

    async def test_a_router_runs_one_launch_at_a_time(self, stage: Stage) -> None:
        instance = await stage.instance()
        first = await stage.launch(instance, "a", "b")
        second = await stage.launch(instance, "a")
        claims = await stage.claim(instance)
        assert len(claims) == 2
        assert (await stage.db.site_runs(first))["a"]["state"] == "running"
        assert (await stage.db.site_runs(second))["a"]["state"] == "pending"
        await stage.run_through(instance, claims["a"].id)
        assert set(await stage.claim(instance)) == {"a"}

    async def test_what_was_put_off_waits_and_keeps_its_turn(self, stage: Stage) -> None:
        instance = await stage.instance()
        script = await stage.launch(instance, "a")
        first = (await stage.claim(instance))["a"]
        assert await stage.store.fetch("release_site_runs", instance, [first.id], [30.0], ["offline"], ["No answer."])
        assert await stage.claim(instance) == {}
        await stage.db.move_clock(timedelta(seconds=31))
        again = (await stage.claim(instance))["a"]
        assert (again.attempts, again.turn_at) == (2, first.turn_at)
        run = (await stage.db.site_runs(script))["a"]
        assert run["started_at"] >= first.turn_at + timedelta(seconds=31), "started_at is the latest attempt's"

    async def test_what_was_given_back_without_a_try_is_no_attempt(self, stage: Stage) -> None:
        instance = await stage.instance()
        await stage.launch(instance, "a")
        for _ in range(3):
            claim = (await stage.claim(instance))["a"]
            assert claim.attempts == 1
            assert await stage.store.fetch("release_site_runs", instance, [claim.id], [0.0], [None], [None])

    async def test_what_was_put_off_has_its_own_time_and_not_its_launches(self, stage: Stage) -> None:
        """Its turn came late, so its time ends after that in which the launch had to start."""
        instance = await stage.instance()
        script = await stage.launch(instance, "a", "b", max_concurrency=1, start_within=timedelta(minutes=10))
        first = (await stage.claim(instance))["a"]
        await stage.db.move_clock(timedelta(minutes=8))
        await stage.run_through(instance, first.id)
        second = (await stage.claim(instance))["b"]
        assert await stage.store.fetch("release_site_runs", instance, [second.id], [900.0], ["offline"], ["No answer."])
        await stage.db.move_clock(timedelta(minutes=9))
        assert await stage.db.value("select tminus.settle_pending()") == 0
        assert (await stage.db.site_runs(script))["b"]["state"] == "pending"
        await stage.db.move_clock(timedelta(minutes=2))
        assert await stage.db.value("select tminus.settle_pending()") == 1
        assert (await stage.db.site_runs(script))["b"]["finished_at"] is not None

    async def test_what_was_started_is_not_started_again_by_whoever_started_it(self, stage: Stage) -> None:
        instance = await stage.instance()
        script = await stage.launch(instance, "a")
        run = (await stage.claim(instance))["a"].id
        assert await stage.execute(instance, run) == [run]
        started = (await stage.db.site_runs(script))["a"]
        assert await stage.execute(instance, run) == []
        assert (await stage.db.site_runs(script))["a"] == started

    async def test_a_disabled_or_changed_site_is_claimed_for_the_daemon_to_refuse(self, stage: Stage) -> None:
        instance = await stage.instance()
        await stage.launch(instance, "a")
        await stage.db.fetch("update tminus.sites set address = '192.0.2.3', enabled = false", role="api")
        claim = (await stage.claim(instance))["a"]
        assert not claim.site.enabled
        assert claim.authorized_site != site_digest(claim.site.part)


class TestMany:
    async def test_no_site_is_claimed_twice_and_none_is_left_over(self, clean: Db) -> None:
        async with daemons(clean, 5) as many:
            await many[0][0].launch(many[0][1], *sites(100))

            async def work(stage: Stage, instance: UUID) -> list[int]:
                return [
                    c.id for _ in range(20) for c in await site_runs.claim_site_runs(stage.store, instance, capacity=3)
                ]

            taken = await asyncio.gather(*(work(*daemon) for daemon in many))
            assert max(Counter(run for runs in taken for run in runs).values()) == 1
            owners = await clean.fetch(
                "select instance_id, count(*) from tminus.site_runs where state = 'running' group by 1"
            )
            assert sum(row["count"] for row in owners) == 100
            assert {row["instance_id"]: row["count"] for row in owners} == {
                instance: len(ids) for (_, instance), ids in zip(many, taken, strict=True) if ids
            }
            assert len(owners) >= 3, "the work was shared"

    async def test_max_concurrency_holds_over_all_of_them(self, clean: Db) -> None:
        async with daemons(clean, 4) as many:
            await many[0][0].launch(many[0][1], *sites(40), max_concurrency=7)
            most = 0

            async def work(stage: Stage, instance: UUID) -> None:
                nonlocal most
                for _ in range(15):
                    claims = await site_runs.claim_site_runs(stage.store, instance, capacity=5)
                    most = max(most, await clean.value("select count(*) from tminus.site_runs where state = 'running'"))
                    await stage.end(instance, *(claim.id for claim in claims), state="failed")

            await asyncio.gather(*(work(*daemon) for daemon in many))
            assert 1 < most <= 7
            assert await clean.value("select count(*) from tminus.site_runs where state = 'failed'") == 40

    async def test_one_router_in_two_launches_never_runs_twice_at_once(self, clean: Db) -> None:
        """Opposite orders, so that daemons meet at the same routers from two sides. The index would refuse; nobody sees that."""
        names = sites(12)
        async with daemons(clean, 4) as many:
            stage = many[0][0]
            scripts = [await stage.launch(many[0][1], *order) for order in (names, names[::-1])]
            running: Counter[str] = Counter()

            async def work(stage: Stage, instance: UUID) -> None:
                for _ in range(40):
                    claims = await site_runs.claim_site_runs(stage.store, instance, capacity=2)
                    running.update(claim.site.id for claim in claims)
                    assert max(running.values(), default=0) <= 1
                    await asyncio.sleep(0)
                    running.subtract(claim.site.id for claim in claims)
                    await stage.end(instance, *(claim.id for claim in claims), state="failed")

            await asyncio.gather(*(work(*daemon) for daemon in many))
            for script in scripts:
                assert {run["state"] for run in (await clean.site_runs(script)).values()} == {"failed"}

    async def test_a_collision_on_a_router_costs_only_a_second_look(self, clean: Db) -> None:
        """Another claim of the same router, for another launch, is committed while this one waits for the index."""
        async with daemons(clean, 2) as [(stage, one), (_, two)]:
            first = await stage.launch(one, "a")
            second = await stage.launch(one, "a", "b")
            others = (await clean.site_runs(second))["a"]["id"]
            async with clean.connect() as connection, connection.transaction():
                await connection.execute(
                    "update tminus.site_runs set state = 'running', started_at = now(), instance_id = $2 where id = $1",
                    others,
                    two,
                )
                claim = asyncio.create_task(stage.claim(one))
                await until_waiting(clean, "tminus.claim_site_runs")
            assert set(await asyncio.wait_for(claim, 5)) == {"b"}
            assert (await clean.site_runs(first))["a"]["state"] == "pending"

    async def test_a_daemon_that_finds_rows_held_takes_the_next_ones(self, stage: Stage) -> None:
        instance = await stage.instance()
        await stage.launch(instance, *sites(6))
        async with held_by_another(stage.db, "select 1 from tminus.site_runs where position <= 4 for update"):
            assert list(await asyncio.wait_for(stage.claim(instance, 4), 5)) == ["s004", "s005"]
        assert list(await stage.claim(instance, 4)) == sites(4)

    async def test_a_capped_launch_that_is_held_does_not_hold_up_the_others(self, stage: Stage) -> None:
        instance = await stage.instance()
        await stage.launch(instance, "a", max_concurrency=1)
        await stage.launch(instance, "b")
        async with held_by_another(stage.db, "select 1 from tminus.launches where max_concurrency = 1 for update"):
            assert list(await asyncio.wait_for(stage.claim(instance), 5)) == ["b"]

    async def test_nor_does_whoever_holds_a_launch_keep_its_sites_from_being_claimed(self, stage: Stage) -> None:
        instance = await stage.instance()
        await stage.launch(instance, "a")
        async with held_by_another(stage.db, "select 1 from tminus.launches for update"):
            assert list(await asyncio.wait_for(stage.claim(instance), 5)) == ["a"]

    async def test_what_appears_while_a_claim_waits_is_claimed_whole_or_not_at_all(self, clean: Db) -> None:
        """A claim that blocks between its statement's snapshot and its own looks must return every row that it takes."""
        async with daemons(clean, 1) as [(stage, instance)]:
            await add_sites(clean, "a")
            script = await clean.submit(":put 1", ["a"])
            async with clean.connect() as connection:
                transaction = connection.transaction()
                await transaction.start()
                await connection.execute("lock table tminus.instances in access exclusive mode")
                claim = asyncio.create_task(stage.claim(instance))
                await until_waiting(clean, "tminus.claim_site_runs")
                await clean.move_clock(timedelta(seconds=1))
                # The launch as the launcher makes it, but by somebody who needs no look at the locked table.
                await connection.execute("set local role tminus_owner")
                await connection.fetch("select tminus.launch($1, $2)", script, instance)
                await transaction.commit()
            claimed = await asyncio.wait_for(claim, 10)
            running = await clean.value("select count(*) from tminus.site_runs where state = 'running'")
            assert len(claimed) == running == 1


class TestTheDeadAndTheFrozen:
    async def test_a_dead_instance_gets_nothing_and_writes_nothing(self, stage: Stage) -> None:
        dead, other = await stage.instance(ttl=10), await stage.instance(name="two", ttl=3600)
        script = await stage.launch(dead, "a", "b", "c")
        claims = await stage.claim(dead, 2)
        assert await stage.execute(dead, claims["a"].id) == [claims["a"].id]
        await stage.db.move_clock(timedelta(seconds=11))
        assert await instances.beat(stage.store, other, draining=False)
        reaped = await instances.reap(stage.store)
        assert (reaped.dead, reaped.released, reaped.orphaned) == (1, 1, 1)
        runs = [claims["a"].id, claims["b"].id]
        assert await instances.beat(stage.store, dead, draining=False) is False
        assert await stage.claim(dead) == {}
        assert await site_runs.claim_orphans(stage.store, dead, limit=5) == []
        assert await stage.execute(dead, *runs) == []
        assert await stage.end(dead, *runs, state="failed") == []
        assert await stage.store.fetch("release_site_runs", dead, runs, [0.0] * 2, [None] * 2, [None] * 2) == []
        await stage.store.fetch("note_steps", dead, runs, ["verifying", "checking"])
        await instances.stop(stage.store, dead)
        assert await stage.db.value("select state from tminus.instances where id = $1", dead) == "dead"
        left = await stage.db.site_runs(script)
        assert [(left[site]["state"], left[site]["step"], left[site]["instance_id"]) for site in "abc"] == [
            ("running", "verifying", None), ("pending", None, None), ("pending", None, None),
        ]  # fmt: skip
        assert [event["principal"] for event in await stage.events("instance_dead")] == ["one"]
        assert set(await stage.claim(other)) == {"b", "c"}, "a is not free before it was resolved"

    async def test_a_zombie_cannot_pass_the_point_of_no_return_even_before_it_is_reaped(self, stage: Stage) -> None:
        zombie = await stage.instance(ttl=10)
        await stage.launch(zombie, "a", "b")
        claims = await stage.claim(zombie, 1)
        await stage.db.submit(":put 1", ["a"])
        await stage.db.move_clock(timedelta(seconds=10))
        assert await stage.launch_due(zombie) == [None]
        assert await stage.execute(zombie, claims["a"].id) == []
        assert await stage.claim(zombie) == {}, "nor take more work"
        assert await stage.end(zombie, claims["a"].id, state="failed") == [claims["a"].id], "what is its own it may end"

    async def test_a_zombie_that_is_heard_of_again_before_it_is_reaped_goes_on(self, stage: Stage) -> None:
        zombie = await stage.instance(ttl=10)
        await stage.launch(zombie, "a")
        claims = await stage.claim(zombie)
        await stage.db.move_clock(timedelta(seconds=20))
        assert await instances.beat(stage.store, zombie, draining=False)
        assert await stage.execute(zombie, claims["a"].id) == [claims["a"].id]

    async def test_a_launch_that_was_halted_or_cancelled_starts_nothing_more(self, stage: Stage) -> None:
        instance = await stage.instance()
        await stage.launch(instance, "a")
        claims = await stage.claim(instance)
        await stage.db.run("update tminus.launches set state = 'halted'")
        assert await stage.execute(instance, claims["a"].id) == []
        rows = await stage.store.fetch("why_not_started", instance, [claims["a"].id])
        assert [tuple(row) for row in rows] == [(claims["a"].id, "halted", False, False)]

    async def test_nobody_is_declared_dead_while_its_start_is_being_committed(self, stage: Stage) -> None:
        """It is either dead before, and starts nothing, or after, and then the started run is to be resolved."""
        frozen, other = await stage.instance(ttl=10), await stage.instance(name="two", ttl=3600)
        await stage.launch(frozen, "a")
        run = (await stage.claim(frozen))["a"].id
        async with stage.store.transaction("start") as connection:
            assert await connection.fetch(
                statement("start_executing"), frozen, [run], ["0123456789abcdef"], [1.0], *NO_BACKUPS
            )
            await stage.db.move_clock(timedelta(seconds=20))
            await instances.beat(stage.store, other, draining=False)
            reaped = await asyncio.wait_for(instances.reap(stage.store), 5)
            assert (reaped.dead, reaped.released, reaped.orphaned) == (0, 0, 0)
        reaped = await instances.reap(stage.store)
        assert (reaped.dead, reaped.released, reaped.orphaned) == (1, 0, 1)

    async def test_a_start_that_waited_for_its_own_death_does_not_happen(self, clean: Db) -> None:
        async with daemons(clean, 2) as [(stage, doomed), (other, _)]:
            await stage.launch(doomed, "a")
            run = (await stage.claim(doomed))["a"].id
            async with other.store.transaction("reap") as connection:
                await connection.execute("select 1 from tminus.instances where id = $1 for update", doomed)
                start = asyncio.create_task(stage.execute(doomed, run))
                await until_waiting(clean, "THE POINT OF NO RETURN")
                await connection.execute(
                    "update tminus.instances set state = 'dead', ended_at = now() where id = $1", doomed
                )
            assert await asyncio.wait_for(start, 5) == []

    async def test_heartbeats_do_not_wait_for_claims_nor_for_starts(self, stage: Stage) -> None:
        instance = await stage.instance()
        await stage.launch(instance, "a")
        async with stage.store.transaction("claim") as connection:
            claimed = await connection.fetch(statement("claim_site_runs"), instance, 5, [], [])
            assert await connection.fetch(
                statement("start_executing"), instance, [claimed[0]["id"]], ["0123456789abcdef"], [1.0], *NO_BACKUPS
            )
            assert await asyncio.wait_for(instances.beat(stage.store, instance, draining=False), 2)

    async def test_one_frozen_writer_does_not_hold_up_the_reaping_of_others(self, stage: Stage) -> None:
        frozen, dead = await stage.instance(ttl=10), await stage.instance(name="two", ttl=10)
        await stage.launch(frozen, "a", "b")
        mine = (await stage.claim(frozen, 1))["a"].id
        await stage.claim(dead, 1)
        async with held_by_another(stage.db, "select 1 from tminus.site_runs where id = $1 for update", mine):
            await stage.db.move_clock(timedelta(seconds=20))
            reaped = await asyncio.wait_for(instances.reap(stage.store), 5)
            assert (reaped.dead, reaped.released) == (2, 1)
        assert (await instances.reap(stage.store)).released == 1

    async def test_an_instance_that_stopped_leaves_its_runs_to_the_others(self, stage: Stage) -> None:
        stopped, other = await stage.instance(), await stage.instance(name="two")
        await stage.launch(stopped, "a", "b")
        claims = await stage.claim(stopped)
        await stage.execute(stopped, claims["b"].id)
        await instances.stop(stage.store, stopped)
        reaped = await instances.reap(stage.store)
        assert (reaped.dead, reaped.released, reaped.orphaned) == (0, 1, 1)
        assert set(await stage.claim(other)) == {"a"}

    async def test_who_drains_claims_nothing_but_finishes_what_it_has(self, stage: Stage) -> None:
        instance = await stage.instance()
        await stage.launch(instance, "a", "b")
        claims = await stage.claim(instance, 1)
        assert await instances.beat(stage.store, instance, draining=True)
        assert await stage.claim(instance) == {}
        await stage.run_through(instance, claims["a"].id)

    async def test_reaping_by_several_settles_each_run_once(self, clean: Db) -> None:
        async with daemons(clean, 4) as many:
            stage = many[0][0]
            doomed = await stage.instance(ttl=10, name="doomed")
            await stage.launch(doomed, *sites(10))
            claims = await stage.claim(doomed)
            assert len(claims) == 10
            await stage.execute(doomed, *(claims[site].id for site in sites(4)))
            await clean.move_clock(timedelta(seconds=20))
            reaped = await asyncio.gather(*(instances.reap(one.store) for one, _ in many))
            assert [sum(getattr(r, what) for r in reaped) for what in ("dead", "released", "orphaned")] == [1, 6, 4]


class TestWhoMayDeclareOthersDead:
    """The database stood still for longer than a ttl: all heartbeats are old, and one gets through first."""

    async def test_who_was_not_heard_of_itself_does_not_until_the_others_had_their_time(self, stage: Stage) -> None:
        one, two, three = [await stage.instance(name=name, ttl=60) for name in ("one", "two", "three")]
        await stage.launch(three, "a")
        await stage.claim(three)
        await stage.db.move_clock(timedelta(seconds=90))
        # A look that waited in the database: by its own heartbeat nobody lives, least of all who asks.
        assert (await instances.reap(stage.store, one)).dead == 0
        assert await instances.beat(stage.store, one, draining=False)
        assert (await instances.reap(stage.store, one)).dead == 0
        assert await instances.beat(stage.store, two, draining=False)
        for _ in range(3):
            assert await later(stage, 15, one, two) == 0
        reaped = await later(stage, 15, two, one)
        assert reaped == 1
        states = await stage.db.fetch("select name, state from tminus.instances")
        assert {row["name"]: row["state"] for row in states} == {"one": "alive", "two": "alive", "three": "dead"}
        assert (await stage.db.site_runs(await stage.db.value("select script_id from tminus.launches")))["a"][
            "state"
        ] == "pending"

    async def test_nor_who_has_just_begun(self, stage: Stage) -> None:
        """It is the first that the database hears of when it is back, since it was started meanwhile."""
        old = await stage.instance(name="old", ttl=60)
        await stage.db.move_clock(timedelta(seconds=90))
        new = await stage.instance(name="new", ttl=60)
        for _ in range(3):
            assert await later(stage, 15, new) == 0
        assert await later(stage, 15, new) == 1
        assert not await instances.beat(stage.store, old, draining=False)

    async def test_each_has_its_own_ttl(self, stage: Stage) -> None:
        slow, quick = await stage.instance(name="slow", ttl=120), await stage.instance(name="quick", ttl=10)
        await stage.db.move_clock(timedelta(seconds=200))
        assert await instances.beat(stage.store, quick, draining=False)
        for _ in range(14):
            assert await later(stage, 7, quick) == 0
        assert await instances.beat(stage.store, slow, draining=False)

    async def test_one_late_heartbeat_is_no_gap(self, stage: Stage) -> None:
        late, dead = [await stage.instance(name=name, ttl=60) for name in ("late", "dead")]
        assert [await later(stage, seconds, late) for seconds in (40, 40)] == [0, 1]
        assert not await instances.beat(stage.store, dead, draining=False)

    async def test_a_clock_that_was_set_ahead_and_back_keeps_nobody_waiting(self, stage: Stage) -> None:
        one = await stage.instance(name="one", ttl=60)
        assert await later(stage, 86400, one) == 0
        await stage.instance(name="two", ttl=60)
        await stage.db.fetch(
            "update tminus.instances set heartbeat_at = tminus.clock() - interval '1 day' where name = 'two'"
        )
        assert await later(stage, -86400, one) == 0
        for _ in range(3):
            assert await later(stage, 15, one) == 0
        assert await later(stage, 15, one) == 1

    async def test_what_others_left_is_settled_by_who_may_not(self, stage: Stage) -> None:
        one, two = [await stage.instance(name=name, ttl=60) for name in ("one", "two")]
        await stage.launch(two, "a")
        await stage.claim(two)
        await instances.stop(stage.store, two)
        await stage.db.move_clock(timedelta(seconds=50))
        assert await instances.beat(stage.store, one, draining=False)
        assert await stage.db.value("select heard_since = heartbeat_at from tminus.instances where id = $1", one)
        assert (await instances.reap(stage.store, one)).released == 1


async def later(stage: Stage, seconds: float, *living: UUID) -> int:
    """Let that time pass, in which these are heard of; return how many the first of them declares dead."""
    await stage.db.move_clock(timedelta(seconds=seconds))
    for each in living:
        assert await instances.beat(stage.store, each, draining=False)
    return (await instances.reap(stage.store, living[0])).dead


class TestOrphans:
    async def test_each_is_taken_by_one(self, clean: Db) -> None:
        async with daemons(clean, 3) as many:
            stage = many[0][0]
            gone = await stage.instance(name="gone")
            await stage.launch(gone, *sites(9))
            await stage.execute(gone, *(claim.id for claim in (await stage.claim(gone)).values()))
            await instances.stop(stage.store, gone)
            await instances.reap(stage.store)
            taken = await asyncio.gather(
                *(site_runs.claim_orphans(one.store, instance, limit=4) for one, instance in many)
            )
            taken.append(await site_runs.claim_orphans(stage.store, many[0][1], limit=9))
            ids = [orphan.id for orphans in taken for orphan in orphans]
            assert len(ids) == len(set(ids)) == 9
            assert all(len(orphans) <= 4 for orphans in taken[:3])

    async def test_an_orphan_is_all_that_it_takes_to_look_for_it(self, stage: Stage) -> None:
        gone, other = await stage.instance(name="gone"), await stage.instance(name="two")
        await stage.launch(gone, "a")
        claim = (await stage.claim(gone))["a"]
        await stage.execute(gone, claim.id, nonce="00112233445566aa")
        await instances.stop(stage.store, gone)
        await instances.reap(stage.store)
        await stage.db.move_clock(timedelta(seconds=30))
        [orphan] = await site_runs.claim_orphans(stage.store, other, limit=5)
        assert (orphan.id, orphan.nonce, orphan.uptime_before) == (claim.id, "00112233445566aa", timedelta(seconds=60))
        assert orphan.site == claim.site
        assert orphan.authorized_site == site_digest(orphan.site.part)
        assert timedelta(seconds=30) <= orphan.executing_for < timedelta(seconds=60)
        assert await stage.end(other, orphan.id, state="failed") == [orphan.id]

    async def test_an_orphan_whose_taker_dies_is_taken_again(self, stage: Stage) -> None:
        one, two, three = [await stage.instance(name=name) for name in ("one", "two", "three")]
        await stage.launch(one, "a")
        await stage.execute(one, (await stage.claim(one))["a"].id)
        for dying, heir in ((one, two), (two, three)):
            await instances.stop(stage.store, dying)
            assert (await instances.reap(stage.store)).orphaned == 1
            assert len(await site_runs.claim_orphans(stage.store, heir, limit=5)) == 1


async def test_evidence_that_comes_too_late_changes_no_state(stage: Stage) -> None:
    instance = await stage.instance()
    script = await stage.launch(instance, "a")
    run = (await stage.claim(instance))["a"].id
    await stage.end(instance, run, state="failed")
    before = await stage.db.site_runs(script)
    await site_runs.keep_late_evidence(stage.store, run, instance, '{"verdict": "completed"}')
    assert await stage.db.site_runs(script) == before
    [event] = await stage.events("late_evidence")
    assert (event["site_id"], event["script_id"]) == ("a", script)
    assert '"verdict": "completed"' in event["detail"]
