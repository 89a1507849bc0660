"""After a restore or a failover: what is noticed, what holds everybody back, and what becomes of the starts that were lost."""

from __future__ import annotations

import asyncio
import json
import shutil
import uuid
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from tests.store.stage import Stage, add_sites, refused, start_request
from tests.support import until
from tminus.domain.endings import completed, not_started
from tminus.errors import ConfigError, StoreError, StoreUnavailable
from tminus.store import site_runs
from tminus.store.audit import Head, TrailMemory, has_latest_act, remembered_heads, seal_events
from tminus.store.history import History
from tminus.store.intent_files import Intent
from tminus.store.intent_log import IntentLog
from tminus.store.pool import open_database
from tminus.store.starts import Start
from tminus.store.writer import EndRequest, Writer

pytestmark = pytest.mark.asyncio(loop_scope="module")

RESUME = "select tminus.resume($1)"
NONCE = "fedcba9876543210"


@asynccontextmanager
async def writing(writer: Writer) -> AsyncIterator[None]:
    task = asyncio.create_task(writer.run())
    try:
        yield
    finally:
        task.cancel()


def a_start(nonce: str = NONCE, *, launch: UUID | None = None, site: str = "a", run: int = 9, key: int = 1) -> Intent:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    return Intent(
        key=key, run=run, nonce=nonce, launch=launch or uuid.uuid4(), site=site, at=at, occurrence="once", digest="d"
    )


async def meet(stage: Stage, intents: IntentLog, in_hand: Collection[int] = ()) -> None:
    """Ask the database as a daemon does on a new connection."""
    history = History(intents, in_hand=lambda: in_hand)
    async with open_database(stage.db.dsn_as("tminus_serve"), size=1, application="tests", greet=history.compare):
        pass


async def pause(stage: Stage, instance: UUID) -> IntentLog:
    intents = stage.intents(instance)
    await intents.write([a_start()])
    await meet(stage, intents)
    return intents


async def set_back(stage: Stage, sql: str) -> None:
    """Do to the database what a failover to a replica that was behind does."""
    await stage.db.run(f"set session_replication_role = replica; {sql}")


FORGET_START = "update tminus.site_runs set executing_at = null, step = 'connecting', nonce = 'of an earlier one'"
FORGET_CLAIM = (
    "update tminus.site_runs set executing_at = null, step = null, nonce = null, state = 'pending', instance_id = null,"
    " started_at = null, turn_at = null, attempts = 0"
)


async def test_a_start_that_the_database_knows_pauses_nothing(stage: Stage) -> None:
    instance = await stage.instance()
    await stage.launch(instance, "a")
    run = (await stage.claim(instance))["a"].id
    intents = stage.intents(instance)
    await meet(stage, intents)
    writer = stage.writer(instance, intents=intents)
    async with writing(writer):
        assert await writer.start(start_request(run, site="a")) is Start.GO
        (kept,) = intents.newest_first()
        assert (kept.run, kept.nonce, kept.site) == (run, "0123456789abcdef", "a")
        await writer.end(EndRequest(run=run, ending=completed("Done.")))
    await meet(stage, stage.intents(await stage.instance()))
    assert await stage.db.value("select count(*) from tminus.lost_starts") == 0


async def test_while_a_start_is_lost_nothing_is_launched_claimed_or_started(stage: Stage) -> None:
    instance = await stage.instance()
    await stage.launch(instance, "a", "b", max_concurrency=1)
    running = (await stage.claim(instance))["a"].id
    await stage.db.submit(":put 2", ["a"])
    intents = await pause(stage, instance)
    await meet(stage, intents)
    assert [event["site_id"] for event in await stage.events("history_lost")] == ["a"]
    assert await stage.db.value("select tminus.is_paused()", role="rita")
    await stage.db.run("update public.moved_clock set by = by + interval '2 seconds'")
    assert await stage.launch_due(instance) == []
    assert await stage.claim(instance) == {}
    assert await stage.execute(instance, running) == []
    # A person goes on.
    assert "arthur may not resume" in await refused(stage.db, "arthur", RESUME, "x")
    assert "the note is empty" in await refused(stage.db, "bob", RESUME, "")
    assert "1 lost starts or acts are known by now, not the 2 that you saw" in await refused(
        stage.db, "bob", "select tminus.resume($1, seen => 2)", "x"
    )
    assert await stage.db.value("select tminus.is_paused()")
    assert await stage.db.value(RESUME, "Restored the dump of noon; cancelled what ran.", role="bob") == 1
    assert "not paused; there is nothing to resume" in await refused(stage.db, "bob", RESUME, "x")
    (event,) = await stage.events("resumed")
    assert json.loads(event["detail"])["lost_starts"][0]["nonce"] == NONCE
    assert await stage.execute(instance, running) == [running]
    assert len(await stage.launch_due(instance)) == 1
    # Accepted once, it is not complained of again.
    await meet(stage, intents)
    assert not await stage.db.value("select tminus.is_paused()")


async def test_every_start_since_the_moment_to_which_it_was_set_back_is_noted_and_none_before(stage: Stage) -> None:
    instance = await stage.instance()
    sites = [f"s{number:04}" for number in range(30)]
    await stage.launch(instance, *sites)
    claims = await stage.claim(instance)
    intents = stage.intents(instance)
    writer = stage.writer(instance, intents=intents)
    async with writing(writer):
        for site in sites:
            assert await writer.start(start_request(claims[site].id, claims[site].nonce, site=site)) is Start.GO
    await set_back(stage, f"{FORGET_START} where site_id >= 's0010'")
    await meet(stage, stage.intents(instance))
    lost = await stage.db.fetch("select site_id from tminus.lost_starts order by site_id")
    assert [row["site_id"] for row in lost] == sites[10:]


@pytest.mark.parametrize("forget", [FORGET_START, FORGET_CLAIM])
async def test_a_lost_start_whose_script_still_runs_here_goes_on_and_ends_as_if_nothing_had_happened(
    stage: Stage, forget: str
) -> None:
    instance = await stage.instance()
    script = await stage.launch(instance, "a")
    claim = (await stage.claim(instance))["a"]
    intents = stage.intents(instance)
    writer = stage.writer(instance, intents=intents)
    async with writing(writer):
        assert await writer.start(start_request(claim.id, claim.nonce, site="a")) is Start.GO
        await set_back(stage, forget)
        await meet(stage, intents, in_hand=[claim.id])
        run = (await stage.db.site_runs(script))["a"]
        assert (run["state"], run["step"], run["instance_id"]) == ("running", "executing", instance)
        assert run["nonce"] == claim.nonce
        assert await stage.db.value("select tminus.is_paused()"), "what else is gone, a person has to see"
        assert [event["site_id"] for event in await stage.events("start_recalled")] == ["a"]
        assert await writer.end(EndRequest(run=claim.id, ending=completed("Done.")))
    assert (await stage.db.site_runs(script))["a"]["state"] == "completed"


@pytest.mark.parametrize("forget", [FORGET_START, FORGET_CLAIM])
async def test_a_lost_start_of_an_earlier_life_is_resolved_on_its_router_and_never_started_again(
    stage: Stage, forget: str
) -> None:
    before = await stage.instance()
    script = await stage.launch(before, "a")
    claim = (await stage.claim(before))["a"]
    writer = stage.writer(before)
    async with writing(writer):
        assert await writer.start(start_request(claim.id, claim.nonce, site="a")) is Start.GO
    await set_back(stage, f"{forget}; update tminus.instances set state = 'dead', ended_at = now()")
    after = await stage.instance()
    await meet(stage, stage.intents(after))
    run = (await stage.db.site_runs(script))["a"]
    assert (run["state"], run["step"], run["instance_id"]) == ("running", "verifying", None)
    await stage.db.value(RESUME, "Failed over.", role="bob")
    assert await stage.claim(after) == {}
    (orphan,) = await site_runs.claim_orphans(stage.store, after, limit=5)
    assert (orphan.id, orphan.nonce) == (claim.id, claim.nonce), "it is looked for by what it left on the router"


async def test_a_lost_start_in_the_hands_of_another_waits_until_that_one_gives_it_back(stage: Stage) -> None:
    other, mine = await stage.instance(name="other"), await stage.instance(name="mine")
    script = await stage.launch(other, "a")
    claim = (await stage.claim(other))["a"]
    intents = stage.intents(mine)
    await intents.write([a_start(launch=claim.launch_id)])
    await meet(stage, intents)
    assert (await stage.db.site_runs(script))["a"]["instance_id"] == other
    await stage.db.value(RESUME, "Failed over.", role="bob")
    assert await stage.execute(other, claim.id) == [], "it was started by another host before"
    await stage.store.fetch("release_site_runs", other, [claim.id], [0.0], [None], [None])
    assert await History(intents, in_hand=list).recall(stage.store) == 1
    run = (await stage.db.site_runs(script))["a"]
    assert (run["state"], run["nonce"], run["instance_id"]) == ("running", NONCE, None)


async def test_a_lost_start_that_never_becomes_free_ends_and_says_why(stage: Stage) -> None:
    instance = await stage.instance()
    script = await stage.launch(instance, "a")
    launch = await stage.db.value("select id from tminus.launches")
    intents = stage.intents(instance)
    await intents.write([a_start(launch=launch)])
    await stage.db.run("update tminus.instances set ttl = ttl")  # the instance lives; only its comparison is left out
    await stage.store.fetch("note_lost_starts", "x", [9], [NONCE], [launch], ["a"], [datetime.now(UTC)])
    await stage.db.value(RESUME, "Failed over.", role="bob")
    assert await stage.claim(instance) == {}
    await stage.db.move_clock(timedelta(days=1))
    await stage.store.fetch("housekeeping")
    run = (await stage.db.site_runs(script))["a"]
    assert (run["state"], run["reason"]) == ("skipped", "missed")
    assert run["message"] == "Not started again: it was started here before the database was set back."


async def test_what_waited_a_pause_out_says_so(stage: Stage) -> None:
    instance = await stage.instance(ttl=7 * 86400)
    script = await stage.launch(instance, "a")
    await pause(stage, instance)
    await stage.db.move_clock(timedelta(days=1))
    await stage.store.fetch("housekeeping")
    run = (await stage.db.site_runs(script))["a"]
    assert (run["state"], run["reason"]) == ("skipped", "missed")
    assert run["message"] == "Not started: all was paused, since the database was set back."


async def test_a_run_that_meets_a_pause_is_told_so_and_may_be_started_later(stage: Stage) -> None:
    instance = await stage.instance()
    await stage.launch(instance, "a")
    run = (await stage.claim(instance))["a"].id
    intents = await pause(stage, instance)
    writer = stage.writer(instance, intents=intents)
    async with writing(writer):
        assert await writer.start(start_request(run)) is Start.PAUSED
        await stage.db.value(RESUME, "Restored.", role="bob")
        assert await writer.start(start_request(run)) is Start.GO


# -- what this host cannot remember ------------------------------------------------------------------------------------


async def test_what_cannot_be_remembered_is_not_committed(stage: Stage) -> None:
    instance = await stage.instance()
    await stage.launch(instance, "a")
    run = (await stage.claim(instance))["a"].id
    intents = stage.intents(instance)
    intents.trouble = "the disk is full"
    writer = stage.writer(instance, intents=intents)
    async with writing(writer):
        assert await writer.start(start_request(run)) is Start.PAUSED
        assert await stage.db.value("select executing_at is null from tminus.site_runs")
        intents.trouble = None
        assert await writer.start(start_request(run)) is Start.GO


async def test_what_could_not_be_remembered_after_all_is_not_started(stage: Stage) -> None:
    instance = await stage.instance()
    await stage.launch(instance, "a")
    run = (await stage.claim(instance))["a"].id
    intents = stage.intents(instance)
    folder = stage.folder / "host/intents"
    shutil.rmtree(folder)
    folder.write_text("in the way")  # the disk says no, whoever asks
    writer = stage.writer(instance, intents=intents)
    async with writing(writer):
        with pytest.raises(StoreUnavailable, match="could not remember what is started"):
            await writer.start(start_request(run))
    assert intents.trouble is not None
    assert not intents.is_spent(start_request(run).key)


# -- what is spent -----------------------------------------------------------------------------------------------------


async def launched_again(stage: Stage, script: UUID) -> None:
    """What somebody does who owns the database: the launch goes, and its scheduled script is due once more."""
    await set_back(
        stage,
        "delete from tminus.site_runs; delete from tminus.launches;"
        f" update tminus.scheduled_scripts set status = 'scheduled', started_at = null, finished_at = null where id = '{script}'",
    )


async def test_a_launch_that_is_deleted_and_made_again_does_not_start_a_second_time_on_this_host(stage: Stage) -> None:
    instance = await stage.instance()
    script = await stage.launch(instance, "a", "b")
    claims = await stage.claim(instance)
    intents = stage.intents(instance)
    writer = stage.writer(instance, intents=intents)
    async with writing(writer):
        assert await writer.start(start_request(claims["a"].id, NONCE, site="a")) is Start.GO
        await launched_again(stage, script)
        assert len(await stage.launch_due(instance)) == 1
        again = await stage.claim(instance)
        requests = [start_request(again[site].id, again[site].nonce, site=site) for site in ("a", "b")]
        assert await asyncio.gather(*map(writer.start, requests)) == [Start.SPENT, Start.GO]
    run = (await stage.db.site_runs(script))["a"]
    assert (run["state"], run["step"], run["nonce"], run["instance_id"]) == ("running", "verifying", NONCE, None)
    debts = await stage.db.fetch("select file_name from tminus.cleanup_debts")
    assert [row["file_name"] for row in debts] == [f"tminus-{again['a'].nonce}.rsc"]
    (event,) = await stage.events("start_refused")
    assert (event["site_id"], json.loads(event["detail"])["reason"]) == ("a", "this host started it already")
    (orphan,) = await site_runs.claim_orphans(stage.store, instance, limit=5)
    assert orphan.nonce == NONCE


async def test_a_start_before_that_cannot_be_read_any_more_is_told_and_nothing_is_started(stage: Stage) -> None:
    instance = await stage.instance()
    await stage.launch(instance, "a")
    claim = (await stage.claim(instance))["a"]
    request = start_request(claim.id, claim.nonce, site="a")
    intents = stage.intents(instance)
    await intents.write([a_start(key=request.key)])
    (file,) = intents._folder.glob("*.jsonl")
    file.write_text(file.read_text().replace('"site":', '"spot":'))
    async with writing(writer := Writer(stage.store, instance, intents=intents)):
        with pytest.raises(StoreError, match=r"what this host started before cannot be read: .* is damaged"):
            await writer.start(request)
    assert await stage.db.value("select executing_at from tminus.site_runs where id = $1", claim.id) is None


async def test_a_spent_key_outlives_the_process(stage: Stage) -> None:
    instance = await stage.instance()
    script = await stage.launch(instance, "a")
    writer = stage.writer(instance)
    run = (await stage.claim(instance))["a"].id
    async with writing(writer):
        assert await writer.start(start_request(run, NONCE, site="a")) is Start.GO
    await launched_again(stage, script)
    next_life = await stage.instance()
    await stage.launch_due(next_life)
    claim = (await stage.claim(next_life))["a"]
    writer = stage.writer(next_life)
    async with writing(writer):
        assert await writer.start(start_request(claim.id, claim.nonce, site="a")) is Start.SPENT
        other = start_request(claim.id, claim.nonce, site="a", name="retry of another launch")
        assert await writer.start(other) is Start.NOT_OURS, "the run was left to the resolver"


async def test_a_start_that_was_refused_spends_nothing(stage: Stage) -> None:
    instance = await stage.instance()
    script = await stage.launch(instance, "a")
    run = (await stage.claim(instance))["a"].id
    await stage.db.value("select tminus.cancel($1)", script, role="alice")
    intents = stage.intents(instance)
    writer = stage.writer(instance, intents=intents)
    async with writing(writer):
        request = start_request(run, site="a")
        assert await writer.start(request) is Start.CANCELLED
        assert not intents.is_spent(request.key)
        await writer.end(EndRequest(run=run, ending=not_started("store_lost", "Not started.")))  # type: ignore[arg-type]


# -- until all have looked ---------------------------------------------------------------------------------------------


async def test_nothing_is_started_until_every_living_instance_has_looked_at_a_new_server(stage: Stage) -> None:
    one, two = await stage.instance(name="one"), await stage.instance(name="two", ttl=60)
    await stage.launch(one, "a", "b", max_concurrency=1)
    claim = (await stage.claim(one))["a"]
    await stage.db.submit(":put 2", ["a"])
    await stage.db.run("update public.moved_clock set by = by + interval '2 seconds'")
    await set_back(stage, "update tminus.instances set settled_on = 'another server'")
    await meet(stage, stage.intents(one, "host one"))
    assert await stage.db.value("select tminus.is_unsettled()")
    assert not await stage.db.value("select tminus.is_paused()")
    assert await stage.launch_due(one) == []
    assert await stage.claim(one) == {}
    assert await stage.execute(one, claim.id) == []
    # A start that is under way waits for it, and is not given back.
    writer = stage.writer(one, intents=stage.intents(one, "host one"))
    async with writing(writer):
        start = asyncio.create_task(writer.start(start_request(claim.id, claim.nonce, site="a")))

        async def asked() -> bool:
            return await stage.db.value(
                "select exists (select from pg_stat_activity where datname = current_database() and query like '%Of runs%')"
            )

        await until(asked)
        assert not start.done()
        await meet(stage, stage.intents(two, "host two"))
        assert await start is Start.GO
    assert len(await stage.launch_due(one)) == 1


async def test_an_instance_that_is_gone_is_waited_for_no_longer_than_its_ttl(stage: Stage) -> None:
    one, _ = await stage.instance(name="one", ttl=600), await stage.instance(name="gone", ttl=60)
    await stage.launch(one, "a")
    await set_back(stage, "update tminus.instances set settled_on = 'another server'")
    await meet(stage, stage.intents(one))
    assert await stage.claim(one) == {}
    await stage.db.move_clock(timedelta(seconds=90))
    assert set(await stage.claim(one)) == {"a"}


async def test_a_next_life_that_has_the_same_log_speaks_for_the_one_before(stage: Stage) -> None:
    """Killed together with its server: nobody waits for the old one's ttl."""
    before, after = await stage.instance(name="before"), await stage.instance(name="after")
    await stage.launch(after, "a")
    await set_back(
        stage,
        "update tminus.instances set settled_on = 'another server', memory = '00000000-0000-0000-0000-000000000001'",
    )
    assert await stage.claim(after) == {}
    await meet(stage, stage.intents(after))
    assert await stage.db.value("select settled_on = 'another server' from tminus.instances where id = $1", before)
    assert set(await stage.claim(after)) == {"a"}


async def test_what_another_host_lost_holds_back_the_one_that_lost_nothing(stage: Stage) -> None:
    """Failover: the daemon that is quicker to reconnect must not run what the slower one has started."""
    quick, slow = await stage.instance(name="quick"), await stage.instance(name="slow")
    script = await stage.launch(slow, "a")
    claim = (await stage.claim(slow))["a"]
    slow_log = stage.intents(slow, "slow")
    writer = stage.writer(slow, intents=slow_log)
    async with writing(writer):
        assert await writer.start(start_request(claim.id, claim.nonce, site="a")) is Start.GO
    await set_back(stage, f"{FORGET_CLAIM}; update tminus.instances set settled_on = 'the one before'")
    await meet(stage, stage.intents(quick, "quick"))
    assert await stage.claim(quick) == {}
    await meet(stage, slow_log, in_hand=[claim.id])
    assert await stage.claim(quick) == {}
    await stage.db.value(RESUME, "Failed over.", role="bob")
    assert await stage.claim(quick) == {}
    assert (await stage.db.site_runs(script))["a"]["instance_id"] == slow


# -- what people did ----------------------------------------------------------------------------------------------------


async def know(stage: Stage, trail: TrailMemory) -> Head:
    """Seal what people did, and remember it on this host."""
    _, head = await seal_events(stage.store, limit=500)
    assert head is not None
    await trail.keep(head)
    return head


async def meet_remembering(stage: Stage, folder: Path, instance: UUID) -> None:
    """Ask the database as a daemon does that was started with what is in `folder`."""
    history = History(stage.intents(instance), in_hand=list, trail=TrailMemory(folder))
    async with open_database(stage.db.dsn_as("tminus_serve"), size=1, application="tests", greet=history.compare):
        pass


FORGET_ACTS = (
    "delete from tminus.audit_seals where event_id > {0}; delete from tminus.events where id > {0};"
    " delete from tminus.unsealed_events"
)


async def test_a_database_that_lost_a_cancel_starts_nothing_until_a_person_resumes(
    stage: Stage, tmp_path: Path
) -> None:
    instance = await stage.instance()
    await add_sites(stage.db, "a")
    script = await stage.db.submit(":put 1", ["a"])
    trail = TrailMemory(tmp_path)
    before = await know(stage, trail)
    await stage.db.value("select tminus.cancel($1)", script, role="alice")
    last = await know(stage, trail)
    await meet_remembering(stage, tmp_path, instance)
    assert not await stage.db.value("select tminus.is_paused()")
    # A restore to the moment before the cancel.
    put_back = FORGET_ACTS.format(before.event)
    await set_back(
        stage,
        f"{put_back}; update tminus.scheduled_scripts set status = 'scheduled', cancelled_by = null, cancelled_at = null",
    )
    assert await stage.db.value("select status from tminus.scheduled_scripts") == "scheduled"
    await meet_remembering(stage, tmp_path, instance)
    await meet_remembering(stage, tmp_path, instance)
    assert await stage.db.value("select tminus.is_paused()", role="rita")
    await stage.db.run("update public.moved_clock set by = by + interval '1 day'")
    assert await stage.launch_due(instance) == []
    assert [json.loads(event["detail"])["seal"] for event in await stage.events("history_lost")] == [last.seq]
    # What the daemon seals meanwhile is not taken for what is missing.
    assert not await has_latest_act(stage.store, last, instance)
    assert "1 lost starts or acts are known by now, not the 0 that you saw" in await refused(
        stage.db, "bob", "select tminus.resume($1, seen => 0)", "x"
    )
    await stage.db.value("select tminus.resume($1, seen => 1)", "The copy of noon; cancelled it again.", role="bob")
    assert not await stage.db.value("select tminus.is_paused()")
    assert await has_latest_act(stage.store, last, instance)
    await meet_remembering(stage, tmp_path, instance)
    assert not await stage.db.value("select tminus.is_paused()"), "what was accepted is accepted"


@pytest.mark.parametrize(
    ("meanwhile", "paused"),
    [
        ("insert into tminus.unsealed_events values ({event})", False),
        ("update tminus.events set principal = 'carol' where id = {event}", True),
    ],
    ids=["the act is there", "another act has its number"],
)
async def test_where_the_seal_is_lost_the_act_itself_decides(
    stage: Stage, tmp_path: Path, meanwhile: str, paused: bool
) -> None:
    instance = await stage.instance()
    await add_sites(stage.db, "a")
    await stage.db.submit(":put 1", ["a"])
    last = await know(stage, TrailMemory(tmp_path))
    lose = f"delete from tminus.audit_seals where seq = {last.seq}; "
    await set_back(stage, lose + meanwhile.format(event=last.event))
    await meet_remembering(stage, tmp_path, instance)
    assert await stage.db.value("select tminus.is_paused()") is paused


async def test_a_line_that_was_not_written_whole_is_passed_over(tmp_path: Path) -> None:
    heads = [Head(seq=n, hash="0" * 64, event=n, event_hash="1" * 64) for n in (1, 2)]
    await TrailMemory(tmp_path).keep(heads[0])
    with (tmp_path / "audit-heads.jsonl").open("a") as file:
        file.write('{"seq": 7, "ha')
    assert remembered_heads(tmp_path) == heads[:1]
    trail = TrailMemory(tmp_path)
    assert trail.newest == heads[0]
    await trail.keep(heads[1])
    assert remembered_heads(tmp_path) == heads
    (tmp_path / "audit-heads.jsonl").write_text('{"seq": 3, "hash": "0"}\n')
    assert TrailMemory(tmp_path).newest is None, "a seal alone tells of no act"
    (tmp_path / "audit-heads.jsonl").write_text('{"seq": "x"}\n')
    with pytest.raises(ConfigError, match="is damaged"):
        TrailMemory(tmp_path)


async def test_what_is_remembered_of_the_trail_stays_small_in_a_process_that_lives_for_long(tmp_path: Path) -> None:
    trail = TrailMemory(tmp_path, most=10)
    heads = [Head(seq=n, hash="0" * 64, event=n, event_hash="1" * 64) for n in range(1, 26)]
    for head in heads:
        await trail.keep(head)
        assert remembered_heads(tmp_path)[-1] == head
        assert len(remembered_heads(tmp_path)) <= 10
    assert TrailMemory(tmp_path).newest == heads[-1]
    assert heads[-5:] == remembered_heads(tmp_path)[-5:]


async def test_damage_that_is_found_while_scripts_run_keeps_the_database_unasked_and_what_is_to_be_written(
    stage: Stage,
) -> None:
    """Found at start it is an error of the host; found on a new connection it must not end what listens to running scripts."""
    intents = stage.intents(await stage.instance())
    await intents.write([a_start()])
    (file,) = intents._folder.glob("*.jsonl")
    whole = file.read_text()
    file.write_text(whole.replace('"site":', '"spot":'))
    with pytest.raises(StoreUnavailable, match="is damaged"):
        await meet(stage, intents)
    with pytest.raises(ConfigError, match="is damaged"):
        await intents.find(1)
    file.write_text(whole)
    await meet(stage, intents)
