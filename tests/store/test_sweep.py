"""Runs that are an instance's by the database and that it does not know of."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

from tests.store.stage import REACH, start_request
from tests.support import Db
from tminus.store import instances, site_runs
from tminus.store.intent_log import IntentLog
from tminus.store.pool import open_database
from tminus.store.writer import Writer


async def test_a_sweep_gives_back_what_nobody_knows_and_leaves_what_is_known(database: Db, tmp_path: Path) -> None:
    await database.run(
        "insert into tminus.sites (id, name, address) select 's' || n, 's' || n, '127.0.0.' || n from generate_series(1, 3) n"
    )
    script = await database.submit(":put 1", ["s1", "s2", "s3"])
    me = uuid4()
    async with open_database(database.dsn_as("tminus_serve"), size=2, application="test") as db:
        await instances.register(db, instance=me, name="me", reach=REACH, max_sessions=5, ttl=60)
        await database.run("update public.moved_clock set by = by + interval '1 second'")
        await db.call("select tminus.launch($1, $2)", script, me)
        known, lost, started = await site_runs.claim_site_runs(db, me, capacity=5)
        writer = Writer(db, me, intents=IntentLog(tmp_path, me))
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(writer.run())
            await writer.start(start_request(started.id, started.nonce))
            writing.cancel()
        assert await site_runs.sweep(db, me, [known.id]) == (1, 1)
        assert await site_runs.sweep(db, me, [known.id]) == (0, 0)
    runs = {run["id"]: run for run in (await database.site_runs(script)).values()}
    assert (runs[known.id]["state"], runs[known.id]["instance_id"]) == ("running", me)
    assert (runs[lost.id]["state"], runs[lost.id]["instance_id"]) == ("pending", None)
    assert (runs[started.id]["state"], runs[started.id]["instance_id"]) == ("running", None)
    # What may lie on the router of the run that is to be tried again is owed; the other file is the resolver's.
    debts = await database.fetch("select site_run_id, file_name from tminus.cleanup_debts")
    assert [tuple(debt) for debt in debts] == [(lost.id, f"tminus-{lost.nonce}.rsc")]
