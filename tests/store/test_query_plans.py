"""What the daemon asks again and again is answered from small indexes, whatever the size of the tables."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from tests.store.stage import NO_BACKUPS, WarmDb, add_sites, insert, open_stage
from tests.support import Db, fresh_database
from tminus.store.pool import PLANNING, statement

pytestmark = pytest.mark.asyncio(loop_scope="module")

# A hundred thousand scheduled scripts: of every hundred one is authorized and far ahead, one waits, the rest are over;
# and a hundred thousand site runs of launches that have ended, beside one launch that runs on 2,000 sites.
FILL = """
set session_replication_role = replica;
insert into tminus.sites (id, name, address) select 'site_' || n, 'n', 'host-' || n from generate_series(1, 2000) n;
insert into tminus.authorizations (script_id, digest, row_digest, site_ids, site_digests, author, editor, approver)
select gen_random_uuid(), 'd', 'd', '{}', '{}', 'alice', 'alice', 'bob';
insert into tminus.scheduled_scripts (script, sites, status, launch_at, cron, timezone, authorization_id, created_by, updated_by,
    created_at, updated_at)
select ':put ' || n, '{site_1}',
    (array['scheduled', 'unauthorized', 'launched', 'cancelled'])[case n % 100 when 0 then 1 when 1 then 2 else 3 + n % 2 end],
    now() + (n - 98000) * interval '1 minute', null, null, 1, 'alice', 'alice', now(), now()
from generate_series(1, 100000) n;
update tminus.scheduled_scripts set launch_at = null, cron = '@daily', timezone = 'UTC' where script in (':put 99900', ':put 99800');
insert into tminus.launches (script_id, state, due_at, started_at, finished_at, told_at, start_until, description, script, sites,
    make_backup, abort_if_offline, start_within, site_timeout, created_by)
select (select id from tminus.scheduled_scripts limit 1), 'finished', now() - n * interval '1 hour', now(), now(), now(), now(), '',
    ':put 1', '{}', true, false, '1 hour', '10 minutes', 'alice'
from generate_series(1, 50) n;
insert into tminus.site_runs (launch_id, site_id, position, state, effect, executing_at, started_at, finished_at, nonce, output)
select l.id, 'site_' || n, n, 'completed', 'applied', now(), now(), now(), 'n', 'said'
from tminus.launches l cross join generate_series(1, 2000) n;
insert into tminus.launches (script_id, state, due_at, started_at, start_until, description, script, sites, make_backup,
    abort_if_offline, start_within, site_timeout, created_by)
select id, 'running', now(), now(), now() + interval '1 hour', '', ':put 1', '{}', true, false, '1 hour', '10 minutes', 'alice'
from tminus.scheduled_scripts limit 1;
insert into tminus.site_runs (launch_id, site_id, position)
select l.id, 'site_' || n, n from tminus.launches l cross join generate_series(1, 2000) n where l.state = 'running';
insert into tminus.backup_texts select sha256(n::text::bytea), n::text from generate_series(1, 20000) n;
insert into tminus.backups (site_id, launch_id, site_run_id, phase, taken_at, sha256, header, raw_bytes)
select r.site_id, r.launch_id, r.id, 'before', r.finished_at - r.id * interval '1 second', sha256((1 + r.id % 10000)::text::bytea), '', 1
from tminus.site_runs r where r.state = 'completed';
insert into tminus.events (at, kind, principal, launch_id, script_id, site_id)
select r.finished_at, 'site_completed', 'tminus', r.launch_id, l.script_id, r.site_id
from tminus.site_runs r join tminus.launches l on l.id = r.launch_id where r.state = 'completed';
insert into tminus.contacts (person, channel, address) select 'person ' || n, 'mail', n || '@example.net' from generate_series(1, 100) n;
insert into tminus.letters (contact_id, state, ended_at) select 1 + n % 100, 'sent', now() from generate_series(1, 50000) n;
insert into tminus.letters (contact_id) select n from generate_series(1, 20) n;
insert into tminus.outbox (contact_id, source, news, script_id, principal, letter_id)
select l.contact_id, 'event ' || l.id, 'authorized', (select id from tminus.scheduled_scripts limit 1), 'bob', l.id from tminus.letters l;
insert into tminus.outbox (contact_id, source, news, script_id, principal)
select n, 'event new', 'authorized', (select id from tminus.scheduled_scripts limit 1), 'bob' from generate_series(1, 20) n;
reset session_replication_role;
analyze;
"""
BIG = {"scheduled_scripts", "site_runs", "sites", "backups", "backup_texts", "events", "outbox", "letters"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def big(postgres: str) -> AsyncIterator[WarmDb]:
    async with fresh_database(postgres, "test_big") as db:
        await db.run(FILL)
        await db.run("vacuum analyze tminus.scheduled_scripts")
        warm = WarmDb(db.dsn)
        yield warm
        await warm.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def unknown(postgres: str) -> AsyncIterator[WarmDb]:
    """A launch over 2,000 sites of which 1,000 run, a moment after it began: the planner has no statistics."""
    async with fresh_database(postgres, "test_unknown") as db:
        warm = WarmDb(db.dsn)
        async with open_stage(warm) as stage:
            await stage.launch(await stage.instance(), *[f"s{number}" for number in range(2000)])
            yield warm
        await warm.close()


async def plans_of(db: Db, sql: str, *arguments: object) -> list[dict[str, Any]]:
    """Run a statement and return the plan of everything in it, function bodies included."""
    heard: list[str] = []
    async with db.anew() as connection:  # type: ignore[attr-defined]
        connection.add_log_listener(lambda _, message: heard.append(message.message))
        await connection.execute("load 'auto_explain'")
        for setting in (
            "auto_explain.log_min_duration = 0",
            "auto_explain.log_nested_statements = on",
            "auto_explain.log_format = json",
            "auto_explain.log_analyze = on",
            "auto_explain.log_timing = off",
            "client_min_messages = log",
            *(f"{name} = {value}" for name, value in PLANNING.items()),
        ):
            await connection.execute(f"set {setting}")
        transaction = connection.transaction()
        await transaction.start()
        await connection.fetch(sql, *arguments)
        await transaction.rollback()
    plans = [json.loads(text[text.index("{") :])["Plan"] for text in heard if "plan:" in text]
    assert plans
    return plans


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    found = [plan]
    for child in plan.get("Plans", ()):
        found += nodes(child)
    return found


async def check(db: Db, sql: str, *arguments: object, at_most: int, uses: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    """No sequential scan of a big table, no more than `at_most` rows read, and the named indexes used."""
    seen = [node for plan in await plans_of(db, sql, *arguments) for node in nodes(plan)]
    assert not [node for node in seen if node["Node Type"] == "Seq Scan" and node.get("Relation Name") in BIG]
    scans = [node for node in seen if node.get("Relation Name") in BIG and "Scan" in node["Node Type"]]
    read = sum((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in scans)
    assert read <= at_most, [
        (node["Node Type"], node.get("Index Name"), node["Actual Rows"], node["Actual Loops"]) for node in scans
    ]
    assert uses <= {node["Index Name"] for node in seen if "Index Name" in node}


async def test_what_is_due(big: WarmDb) -> None:
    # What is late and not yet settled is passed over.
    await check(big, statement("due_scripts"), 20, at_most=1000, uses={"scheduled_scripts_due"})


async def test_the_time_to_the_next_launch(big: WarmDb) -> None:
    await check(big, statement("next_due"), at_most=1, uses={"scheduled_scripts_due"})


async def test_cron_rows_without_an_occurrence(big: WarmDb) -> None:
    await check(big, statement("unplanned_scripts"), 20, at_most=2, uses={"scheduled_scripts_unplanned"})


async def test_what_was_not_looked_at(big: WarmDb) -> None:
    await check(big, statement("unlinted_scripts"), 5, uuid.uuid4(), at_most=105, uses={"scheduled_scripts_unlinted"})


async def test_what_was_missed(big: WarmDb) -> None:
    late = (
        "select count(*) from tminus.scheduled_scripts where status in ('scheduled', 'unauthorized')"
        " and launch_at < now() - interval '2 hours'"
    )
    assert await big.value(late) > 1000
    # Each of the ten that are settled is looked up and updated; the other thousands are not touched.
    await check(
        big, "select tminus.settle_late(5)", at_most=400, uses={"scheduled_scripts_due", "scheduled_scripts_waiting"}
    )


async def test_a_claim_of_a_hundred(big: WarmDb) -> None:
    async with open_stage(big) as stage:
        instance: UUID = await stage.instance()
    await check(big, statement("claim_site_runs"), instance, 100, [], [], at_most=1500, uses={"site_runs_pending"})


async def test_a_rehearsal_looks_for_what_it_could_be_in_the_way_of(big: WarmDb) -> None:
    # What is due within a few minutes, and what is under way; not what is late, nor all that the site ever had.
    sql = "select tminus.missed_for_rehearsal(id, interval '5 minutes') from tminus.sites order by id limit 100"
    await check(big, sql, at_most=1000, uses={"scheduled_scripts_due"})


async def test_a_claim_asks_once_for_all_sites_of_a_rehearsal_that_is_held_back(postgres: str) -> None:
    sites = [f"s{number}" for number in range(1000)]
    async with fresh_database(postgres, "test_held_back") as db, open_stage(db) as stage:
        await add_sites(stage.db, *sites)
        rehearsed = await insert(stage.db, sites=sites)
        await stage.db.value("select tminus.rehearse($1)", rehearsed, role="alice")
        await stage.db.submit(":put late", sites, due_in=60, start_within=timedelta(minutes=1))
        instance = await stage.instance()
        assert await stage.look(instance) == {}
        plans = await plans_of(stage.db, statement("claim_site_runs"), instance, 100, [], [])
        asked = [node for plan in plans for node in nodes(plan) if node.get("Function Name") == "missed_for_rehearsals"]
        assert [node["Actual Loops"] for node in asked] == [1]


async def test_the_sweeps_of_the_janitor_and_the_reaper(big: WarmDb) -> None:
    # Of the launch that runs, all 2,000 pending runs are looked at.
    await check(big, "select tminus.settle_pending(), tminus.finish_launches()", at_most=2100)
    await check(big, "select * from tminus.reap()", at_most=10)


async def test_the_numbers_for_the_metrics(big: WarmDb) -> None:
    # The 2,000 site runs that wait, for how many there are; and again with their sites, for which are unserved.
    await check(big, statement("gauges"), at_most=6100)
    await check(big, statement("sizes"), at_most=0)


async def test_launches_that_were_told_are_not_looked_at_again(big: WarmDb) -> None:
    await check(big, "select * from tminus.tell_launches(20)", at_most=0)


async def test_an_ending_and_what_follows_from_it(big: WarmDb) -> None:
    async with open_stage(big) as stage:
        instance = await stage.instance()
        claims = await stage.claim(instance, 50)
        ids = [claim.id for claim in claims.values()]
        await check(
            big,
            statement("start_executing"),
            instance,
            ids,
            ["0123456789abcdef"] * 50,
            [1.0] * 50,
            *NO_BACKUPS,
            at_most=200,
        )
        await check(big, statement("move_on_launches"), ids, at_most=60)
        await check(big, statement("note_steps"), instance, ids, ["checking"] * 50, at_most=200)
        await check(
            big,
            statement("end_site_runs"),
            instance,
            ids,
            *([value] * 50 for value in ("failed", "offline", "none", "No.", None, "[]", None, None)),
            at_most=200,
        )


async def test_a_batch_of_two_reads_two_while_nothing_is_known_of_the_tables(unknown: WarmDb) -> None:
    async with open_stage(unknown) as stage:
        instance = (await unknown.fetch("select id from tminus.instances"))[0]["id"]
        runs = [claim.id for _ in range(10) for claim in (await stage.claim(instance, 100)).values()]
        assert len(runs) == 1000
        two = runs[500:502]
        nonces = ["0123456789abcdef"] * 2
        await check(unknown, statement("start_executing"), instance, two, nonces, [1.0] * 2, *NO_BACKUPS, at_most=4)
        await check(unknown, statement("note_steps"), instance, two, ["checking"] * 2, at_most=4)
        nothing = [[value] * 2 for value in ("failed", "offline", "none", "No.", None, "[]", None, None)]
        await check(unknown, statement("end_site_runs"), instance, two, *nothing, at_most=8)
        await check(
            unknown, statement("release_site_runs"), instance, two, [1.0] * 2, ["offline"] * 2, ["No."] * 2, at_most=4
        )
        # As many as are claimed, each looked at as it waits, as its router's, as its site's (twice: can we serve it, and
        # through what), and as it is afterwards.
        await check(unknown, statement("claim_site_runs"), instance, 100, [], [], at_most=700)
        await check(unknown, statement("serial_owners"), ["s1", "s2"], ["HC1", "HC2"], at_most=4)


async def test_the_api_object_of_a_script_with_many_launches(big: WarmDb) -> None:
    busy = await big.value("select script_id from tminus.launches where state = 'running'")
    # All 2,000 site runs, and the site of each that waits: can anybody serve it?
    await check(big, "select tminus.scheduled_script($1)", busy, at_most=4100)


async def test_an_insert_and_an_authorization(big: WarmDb) -> None:
    await add_sites(big, "new")
    await check(
        big,
        "insert into tminus.scheduled_scripts (script, sites, launch_at) values (':put 1', '{new}', now() + interval '1 day')",
        at_most=10,
    )


async def test_a_window_of_what_is_forgotten(big: WarmDb) -> None:
    await check(big, "select tminus.forget_outputs(50000, '0', 100)", at_most=500, uses={"site_runs_with_output"})
    # Of each backup the twenty newer ones of its site are counted.
    await check(big, "select tminus.forget_backups(50000, '0', 20, 100)", at_most=2600, uses={"backups_by_site"})
    await check(big, "select tminus.forget_texts('', 100)", at_most=500, uses={"backups_by_text"})
    await check(big, "select tminus.forget_events(50000, '0', 100)", at_most=500, uses={"events_pkey"})


async def test_the_next_backups_to_export(big: WarmDb) -> None:
    await check(
        big, statement("export_page"), 50000, 100, 100000, at_most=400, uses={"backups_pkey", "backups_by_site"}
    )


async def test_pages_of_the_api(big: WarmDb) -> None:
    script = await big.fetch(
        "select id, created_at from tminus.scheduled_scripts order by created_at, id offset 500 limit 1"
    )
    at, last = script[0]["created_at"], script[0]["id"]
    for cursor in ((None, None), (at, last)):
        await check(
            big, statement("list_scheduled_scripts"), None, *cursor, 51, at_most=1500, uses={"scheduled_scripts_by_age"}
        )
    event = await big.fetch("select id, launch_id, script_id from tminus.events order by id desc offset 50000 limit 1")
    await check(big, statement("list_events"), event[0]["id"], 101, at_most=200)
    await check(big, statement("list_events_of_script"), None, 101, uuid.uuid4(), at_most=10, uses={"events_by_script"})
    await check(big, statement("list_events_of_launch"), None, 101, uuid.uuid4(), at_most=10, uses={"events_by_launch"})
    launch = event[0]["launch_id"]
    await check(big, statement("list_site_runs"), launch, "failed", None, 101, at_most=2500)
    await check(big, statement("list_launches"), event[0]["script_id"], None, None, 101, at_most=2500 * 51)
    await check(big, statement("list_sites_for_api"), None, "site_5", 101, at_most=200)
    await check(big, statement("claim_idempotency_key"), "alice", "k", bytes(32), at_most=10)


async def test_what_the_board_asks_again_and_again(big: WarmDb) -> None:
    # Of the launch that runs all 2,000 site runs, and nothing of those that are over.
    await check(big, statement("launch_cells"), [], at_most=2100)
    for ahead in ("outlook_mark", "upcoming", "upcoming_scripts"):
        await check(big, statement(ahead), 50, at_most=500, uses={"scheduled_scripts_due", "scheduled_scripts_waiting"})
    await check(big, statement("recent_launches"), 8, at_most=2100 * 8)
    await check(big, statement("search_launches"), *([None] * 8), 11, None, at_most=2100 * 11)
    await check(big, statement("search_scripts"), *([None] * 8), 31, at_most=100, uses={"scheduled_scripts_by_age"})
    await check(big, statement("runs_of_site"), "site_5", None, 31, at_most=100, uses={"site_runs_by_site"})


async def test_what_there_is_to_tell(big: WarmDb) -> None:
    # A few launches come within a quarter of an hour; nothing went wrong in the one that runs.
    await check(
        big,
        "select tminus.raise_news('15 minutes')",
        at_most=20,
        uses={"scheduled_scripts_due", "site_runs_gone_wrong"},
    )
    await check(
        big, "select * from tminus.gather_letters('1 day')", at_most=200, uses={"outbox_waiting", "letters_pending"}
    )
    await check(big, statement("take_letters"), "mail", None, 10, 60, at_most=60, uses={"letters_pending"})
    letters = [row["id"] for row in await big.fetch("select id from tminus.letters where state = 'pending' limit 10")]
    await check(big, statement("news_of_letters"), letters, at_most=60, uses={"outbox_by_letter"})
