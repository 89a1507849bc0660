"""People and tools hold rows for as long as their transactions are open. The daemon never waits for them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.store.stage import Stage, add_sites, held_by_another, insert, start_request
from tests.support import until
from tminus.domain.endings import Reason, completed, unknown
from tminus.store import instances, launches
from tminus.store.starts import Start
from tminus.store.writer import EndRequest, Learned, Writer

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOON = 5.0  # seconds; the lock_timeout that would end a wait is twice that


start = start_request


async def test_an_author_who_holds_its_scheduled_script_does_not_hold_up_the_endings(stage: Stage) -> None:
    instance = await stage.instance()
    script = await stage.launch(instance, "a")
    run = (await stage.claim(instance))["a"].id
    writer = stage.writer(instance)
    task = asyncio.create_task(writer.run())
    try:
        async with asyncio.timeout(SOON):
            async with held_by_another(
                stage.db, f"select 1 from tminus.scheduled_scripts where id = '{script}' for update", role="alice"
            ):
                assert await writer.start(start(run)) is Start.GO
                assert await writer.end(EndRequest(run=run, ending=completed("Done.")))
                assert (await stage.row(script))["finished_at"] is None
        await stage.store.fetch("housekeeping")
        assert (await stage.row(script))["finished_at"] is not None
    finally:
        task.cancel()


async def test_a_person_who_resolves_and_does_not_commit_does_not_hold_up_the_endings(stage: Stage) -> None:
    instance = await stage.instance()
    await stage.launch(instance, "a", "b")
    runs = {site: claim.id for site, claim in (await stage.claim(instance)).items()}
    writer = stage.writer(instance)
    task = asyncio.create_task(writer.run())
    said = EndRequest(run=runs["a"], ending=unknown(Reason.CONNECTION_LOST, "Nobody knows."))
    try:
        assert await asyncio.gather(*(writer.start(start(run)) for run in runs.values())) == [Start.GO] * 2
        assert await writer.end(said)
        async with asyncio.timeout(SOON):
            resolve = "select tminus.resolve($1, 'completed', 'I looked.')"
            async with held_by_another(stage.db, resolve, runs["a"], role="alice"):
                assert await writer.end(said), "the answer to the first was lost"
                assert not await writer.end(EndRequest(run=runs["a"], ending=completed("Done.")))
                assert await writer.end(EndRequest(run=runs["b"], ending=completed("Done.")))
    finally:
        task.cancel()


async def test_a_person_who_cancels_and_does_not_commit_does_not_hold_up_the_other_launches(stage: Stage) -> None:
    instance = await stage.instance()
    cancelled = await stage.launch(instance, "a", "b", max_concurrency=1)
    await stage.launch(instance, "x", "y", "z")
    claims = await stage.claim(instance, 3)
    assert set(claims) == {"a", "x", "y"}
    writer = stage.writer(instance)
    task = asyncio.create_task(writer.run())
    try:
        async with asyncio.timeout(SOON):
            async with held_by_another(stage.db, "select tminus.cancel($1)", cancelled, role="alice"):
                assert set(await stage.claim(instance)) == {"z"}
                answers = await asyncio.gather(*(writer.start(start(claims[site].id)) for site in ("a", "x")))
                assert answers == [Start.PAUSED, Start.GO], "whose cancel may be committed at any moment does not start"
                assert await writer.end(EndRequest(run=claims["x"].id, ending=completed("Done.")))
                await instances.reap(stage.store)
                await launches.housekeeping(stage.store)
    finally:
        task.cancel()


async def test_an_inventory_tool_in_its_transaction_holds_up_neither_launches_nor_runs(stage: Stage) -> None:
    await add_sites(stage.db, "a", "b")
    instance = await stage.instance()
    script = await stage.db.submit(":put 1")
    await stage.db.move_clock(timedelta(seconds=1))
    upsert = (
        "insert into tminus.sites (id, name, address) select id, name, address from tminus.sites"
        " on conflict (id) do update set name = excluded.name, address = excluded.address, port = excluded.port"
    )
    writer = stage.writer(instance)
    task = asyncio.create_task(writer.run())
    try:
        async with asyncio.timeout(SOON):
            async with held_by_another(stage.db, upsert, role="api"):
                assert len(await stage.launch_due(instance)) == 1
                claims = await stage.claim(instance)
                assert set(claims) == {"a", "b"}
                writer.note_learned(Learned(site="a", host_key="ssh-ed25519 AAAAfirst", serial="HC1"))
                assert await writer.start(start(claims["a"].id)) is Start.GO
                writer.note_learned(Learned(site="a", host_key="ssh-ed25519 AAAAsecond", identity="r1"))
                assert await writer.end(EndRequest(run=claims["a"].id, ending=completed("Done.")))
                assert await stage.db.value("select identity from tminus.sites where id = 'a'") is None
            # What was learned meanwhile is written once the site is free, and the first key stays the first.
            await until(lambda: stage.db.value("select identity from tminus.sites where id = 'a'"), within=SOON)
        row = (await stage.db.fetch("select * from tminus.sites where id = 'a'"))[0]
        assert (row["identity"], row["serial"], row["seen_host_key"]) == ("r1", "HC1", "ssh-ed25519 AAAAfirst")
        assert (await stage.db.site_runs(script))["a"]["state"] == "completed"
    finally:
        task.cancel()


async def test_an_approver_who_does_not_commit_holds_up_nothing_but_that_script(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    instance = await stage.instance()
    held = await insert(stage.db)
    script = await stage.db.submit(":put 1")
    await stage.db.move_clock(timedelta(seconds=1))
    async with asyncio.timeout(SOON):
        async with held_by_another(stage.db, "select tminus.authorize($1, tminus.digest($1))", held, role="bob"):
            assert len(await stage.launch_due(instance)) == 1
            claims = await stage.claim(instance)
            assert set(claims) == {"a"}
            await launches.housekeeping(stage.store)
    assert (await stage.row(script))["status"] == "launched"


async def test_two_daemons_that_end_runs_of_the_same_launches_never_deadlock(stage: Stage) -> None:
    """In opposite orders, and while a third claims from both."""
    one, two = await stage.instance(), await stage.instance(name="two")
    names = [f"s{number}" for number in range(12)]
    await stage.launch(one, *names[:6], max_concurrency=5)
    await stage.launch(one, *names[6:], max_concurrency=5)
    writers = [stage.writer(one), stage.writer(two)]
    tasks = [asyncio.create_task(writer.run()) for writer in writers]

    async def work(writer: Writer, instance: object, backwards: bool) -> None:
        for _ in range(8):
            claims = list((await stage.claim(instance, 4)).values())  # type: ignore[arg-type]
            ordered = claims[::-1] if backwards else claims
            await asyncio.gather(*(writer.start(start(claim.id)) for claim in ordered))
            await asyncio.gather(
                *(writer.end(EndRequest(run=claim.id, ending=completed("Done."))) for claim in ordered)
            )

    try:
        async with asyncio.timeout(4 * SOON):
            await asyncio.gather(work(writers[0], one, False), work(writers[1], two, True))
            await launches.housekeeping(stage.store)
    finally:
        for task in tasks:
            task.cancel()
    assert await stage.db.value("select count(*) from tminus.site_runs where state = 'completed'") == 12
    assert await stage.db.value("select count(*) from tminus.launches where state = 'finished'") == 2
