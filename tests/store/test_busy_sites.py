"""Routers on which a script may still be running: nothing starts there until it is known to be over."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from uuid import UUID

import pytest

from tests.store.stage import Stage
from tminus.domain.endings import Reason, unknown
from tminus.store import busy_sites, site_runs
from tminus.store.writer import EndRequest

pytestmark = pytest.mark.asyncio(loop_scope="module")


FILE = "tminus-0123456789abcdef.rsc"


async def a_busy_site(stage: Stage, *, seconds: float = 60.0, **columns: object) -> tuple[UUID, int]:
    """End a run on `a` as unknown while its script may be running, as the daemon does: (instance, site run)."""
    instance = await stage.instance()
    await stage.launch(instance, "a", **columns)
    run = (await stage.claim(instance))["a"].id
    await stage.execute(instance, run)
    request = EndRequest(run=run, ending=unknown(Reason.TIMED_OUT, "Too long."), busy_for=seconds, left_file=FILE)
    writer = stage.writer(instance)
    writing = asyncio.create_task(writer.run())
    try:
        assert await writer.end(request)
    finally:
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writing
    return instance, run


async def next_look(stage: Stage) -> float:
    """Seconds until the busy router is looked at."""
    return float(await stage.db.value("select extract(epoch from look_at - tminus.clock()) from tminus.busy_sites"))


async def test_no_launch_starts_on_a_busy_router_and_another_one_is_not_concerned(stage: Stage) -> None:
    instance, run = await a_busy_site(stage)
    await stage.launch(instance, "a", "b")
    assert set(await stage.claim(instance)) == {"b"}
    await busy_sites.free(stage.store, run, "The router has rebooted since.")
    assert set(await stage.claim(instance)) == {"a"}


async def test_a_rehearsal_may_look_at_a_busy_router(stage: Stage) -> None:
    instance, _ = await a_busy_site(stage)
    script = await stage.db.submit(":put 1", ["a"], due_in=7200)
    await stage.db.value("select tminus.rehearse($1)", script, role="alice")
    assert set(await stage.claim(instance)) == {"a"}


async def test_who_resolves_the_run_frees_its_router(stage: Stage) -> None:
    instance, run = await a_busy_site(stage)
    await stage.launch(instance, "a")
    await stage.db.value("select tminus.resolve($1, 'failed/partial', 'looked')", run, role="bob")
    row = (await stage.db.fetch("select free_at, free_because from tminus.busy_sites"))[0]
    assert row["free_at"] is not None
    assert row["free_because"] == "resolved by bob"
    assert set(await stage.claim(instance)) == {"a"}


async def test_what_waits_too_long_for_a_busy_router_is_skipped_as_busy(stage: Stage) -> None:
    instance, _ = await a_busy_site(stage)
    script = await stage.launch(instance, "a", start_within=timedelta(minutes=5))
    await stage.db.move_clock(timedelta(minutes=6))
    await stage.store.fetch("housekeeping")
    row = (await stage.db.site_runs(script))["a"]
    assert (row["state"], row["reason"], row["effect"]) == ("skipped", "busy", "none")
    assert "another script was running on this router" in row["message"]


async def test_a_busy_site_is_looked_at_by_one_and_later_each_time(stage: Stage) -> None:
    instance, run = await a_busy_site(stage)
    assert await busy_sites.take(stage.store, instance, limit=5) == []
    waits = []
    for _ in range(9):
        wait = await next_look(stage)
        waits.append(round(wait))
        await stage.db.move_clock(timedelta(seconds=wait + 0.1))
        taken = await busy_sites.take(stage.store, instance, limit=5)
        assert [busy.run.id for busy in taken] == [run]
        assert await busy_sites.take(stage.store, instance, limit=5) == []
    assert waits == [60, 15, 30, 60, 120, 240, 480, 600, 600]
    assert (taken[0].run.nonce, taken[0].reason, taken[0].run.detached) == ("0123456789abcdef", "timed_out", False)


async def test_the_next_look_is_no_later_than_the_time_of_the_script_is_over(stage: Stage) -> None:
    instance, run = await a_busy_site(stage, seconds=0)
    assert await busy_sites.known(stage.store) == [run]
    [busy] = await busy_sites.take(stage.store, instance, limit=5)
    await busy_sites.look_again(stage.store, busy, seen="Nothing tells.", within=None)
    assert 14 < await next_look(stage) <= 15
    await busy_sites.look_again(stage.store, busy, seen="Nothing tells.", within=40)
    assert 14 < await next_look(stage) <= 15
    await busy_sites.look_again(stage.store, busy, seen="Nothing tells.", within=4)
    assert 3 < await next_look(stage) <= 4
    assert await stage.db.value("select seen from tminus.busy_sites") == "Nothing tells."
    await busy_sites.free(stage.store, run, "over")
    assert await busy_sites.known(stage.store) == []


async def test_a_look_takes_nothing_from_who_listens_again(stage: Stage) -> None:
    instance, run = await a_busy_site(stage, seconds=0)
    [busy] = await busy_sites.take(stage.store, instance, limit=5)
    assert await busy_sites.hold(stage.store, run, seconds=300, seen="Its session is open.")
    await busy_sites.look_again(stage.store, busy, seen="Nothing tells.", within=4)
    assert 299 < await next_look(stage) <= 300


async def test_who_listens_moves_the_look_on_and_learns_that_it_is_free(stage: Stage) -> None:
    instance, run = await a_busy_site(stage, seconds=10)
    assert await busy_sites.hold(stage.store, run, seconds=300, seen="Its session is open.")
    await stage.db.move_clock(timedelta(seconds=200))
    assert await busy_sites.take(stage.store, instance, limit=5) == []
    assert await busy_sites.hold(stage.store, run, seconds=0, seen="Its session is still open.")
    assert 99 < await next_look(stage) <= 100  # never back
    assert await stage.db.value("select seen from tminus.busy_sites") == "Its session is still open."
    await busy_sites.free(stage.store, run, "over")
    await busy_sites.free(stage.store, run, "said twice")
    assert not await busy_sites.hold(stage.store, run, seconds=300, seen="Its session is open.")
    assert await stage.db.value("select free_because from tminus.busy_sites") == "over"


@pytest.mark.parametrize("detached", [False, True])
async def test_the_file_of_a_script_goes_at_once_and_what_a_job_writes_when_it_is_over(
    stage: Stage, detached: bool
) -> None:
    instance, run = await a_busy_site(stage, detached=detached)
    await stage.db.move_clock(timedelta(minutes=2))
    taken = await site_runs.take_debts(stage.store, instance, limit=5)
    assert [debt.file_name for debt in taken] == ([] if detached else [FILE])
    await busy_sites.free(stage.store, run, "over")
    await stage.db.move_clock(timedelta(minutes=30))
    assert [debt.file_name for debt in await site_runs.take_debts(stage.store, instance, limit=5)] == [FILE]


async def test_only_what_this_database_knows_and_does_not_run_is_a_leftover(stage: Stage) -> None:
    instance, run = await a_busy_site(stage)
    other = "f" * 16
    ours = "0123456789abcdef"
    assert await site_runs.our_leftovers(stage.store, "a", [ours, other]) == set()  # it may be running
    await busy_sites.free(stage.store, run, "over")
    assert await site_runs.our_leftovers(stage.store, "a", [ours, other]) == {ours}
    assert await site_runs.our_leftovers(stage.store, "b", [ours]) == set()
    await site_runs.settle_debts_of(stage.store, "a", FILE)
    assert await stage.db.value("select count(*) from tminus.cleanup_debts where settled_at is null") == 0
    await stage.launch(instance, "a")
    claim = (await stage.claim(instance))["a"]
    assert await site_runs.our_leftovers(stage.store, "a", [claim.nonce]) == set()
