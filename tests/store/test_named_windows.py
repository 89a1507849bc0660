"""Windows in the database: where they bind, that a missing plan is a closed window, and what is missed names them."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from unittest.mock import Mock

import asyncpg
import pytest

from tests.store.stage import Stage, WarmDb, add_sites, insert, insert_sql, refused, until_waiting
from tminus.domain.windows import parse_weekly
from tminus.services.observer import Observer
from tminus.services.window_planner import WindowPlanner
from tminus.store import launches
from tminus.store.windows import plan_window, unplanned_windows

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOUR = timedelta(hours=1)
LONG = 1e7  # seconds: an instance that outlives the jumps of the clock


async def plan(stage: Stage) -> None:
    await WindowPlanner(stage.store, poll_interval=1.0, observer=Mock(spec=Observer))._work()


async def add_window(stage: Stage, name: str, begins: timedelta, ends: timedelta, **columns: object) -> None:
    """Add a window that is open once, from `begins` until `ends` from now, and let the daemon plan it."""
    now = await stage.db.value("select tminus.clock()")
    columns |= {"name": name, "spans": [asyncpg.Range(now + begins, now + ends)]}
    marks = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    sql = f"insert into tminus.windows ({', '.join(columns)}) values ({marks})"
    await stage.db.fetch(sql, *columns.values(), role="api")
    await plan(stage)


async def open_window(stage: Stage, name: str, **columns: object) -> None:
    await add_window(stage, name, -HOUR, 10 * HOUR, **columns)


async def closed_window(stage: Stage, name: str, **columns: object) -> None:
    await add_window(stage, name, 10 * HOUR, 20 * HOUR, **columns)


async def tag_site(stage: Stage, site: str, *tags: str) -> None:
    await add_sites(stage.db, site)
    await stage.db.fetch("update tminus.sites set tags = $2 where id = $1", site, list(tags), role="api")


async def test_at_each_level_that_has_windows_one_of_them_has_to_be_open(stage: Stage) -> None:
    instance = await stage.instance()
    for site, tags in {"a": ["core"], "b": ["edge"], "c": ["core", "edge"], "d": []}.items():
        await tag_site(stage, site, *tags)
    await closed_window(stage, "core by day", scope="tag", tag="core")
    await open_window(stage, "edge by night", scope="tag", tag="edge")
    await closed_window(stage, "not asked for")
    await stage.launch(instance, "a", "b", "c", "d")
    # Each tag is a level of its own.
    assert set(await stage.claim(instance)) == {"b", "d"}
    await open_window(stage, "core by night", scope="tag", tag="core")
    assert set(await stage.claim(instance)) == {"a", "c"}


async def test_windows_for_all_sites_and_those_that_a_script_names_bind_all_of_it(stage: Stage) -> None:
    instance = await stage.instance()
    await open_window(stage, "mine")
    await closed_window(stage, "other")
    await stage.launch(instance, "a", windows=["other"])
    await stage.launch(instance, "b", windows=["other", "mine"])
    await stage.launch(instance, "c")
    assert set(await stage.claim(instance)) == {"b", "c"}
    await closed_window(stage, "everyone", scope="all")
    await stage.launch(instance, "d")
    assert await stage.claim(instance) == {}
    await open_window(stage, "everyone, too", scope="all")
    assert set(await stage.claim(instance)) == {"d"}


async def test_a_window_opens_and_closes_by_the_clock_and_does_not_tear_apart_what_runs(stage: Stage) -> None:
    instance = await stage.instance(ttl=LONG)
    await add_window(stage, "soon", HOUR, 2 * HOUR)
    script = await stage.launch(instance, "a", "b", windows=["soon"], start_within=5 * HOUR, max_concurrency=1)
    assert await stage.claim(instance) == {}
    await stage.db.move_clock(HOUR)
    [claim] = (await stage.claim(instance)).values()
    await stage.db.move_clock(HOUR)
    # Claimed while it was open: it goes on; the next one does not start.
    await stage.run_through(instance, claim.id)
    assert await stage.claim(instance) == {}
    # That window opens no more, and this is no reason to start.
    await plan(stage)
    assert await stage.claim(instance) == {}
    states = sorted(run["state"] for run in (await stage.db.site_runs(script)).values())
    assert states == ["completed", "pending"]


async def test_a_window_without_a_plan_of_its_present_rules_is_closed(stage: Stage) -> None:
    instance = await stage.instance()
    await open_window(stage, "mine")
    await stage.launch(instance, "a", windows=["mine"])
    await stage.db.fetch("update tminus.windows set weekly = '{daily 00:00-24:00}'", role="api")
    assert await stage.claim(instance) == {}
    # A plan of rules that were changed meanwhile is not written.
    [window] = await unplanned_windows(stage.store, limit=5)
    await stage.db.fetch("update tminus.windows set weekly = '{sun 00:00-00:01}'", role="api")
    assert not await plan_window(stage.store, window, None)
    await stage.db.fetch("update tminus.windows set weekly = '{daily 00:00-24:00}'", role="api")
    await plan(stage)
    assert set(await stage.claim(instance)) == {"a"}
    # Who writes the same again changes nothing.
    await stage.db.fetch("update tminus.windows set weekly = '{daily 00:00-24:00}'", role="api")
    assert await stage.db.value("select planned_at is not null from tminus.windows")


async def test_a_window_that_no_daemon_can_read_stays_closed_and_the_others_are_planned(stage: Stage) -> None:
    await open_window(stage, "good")
    await stage.db.run(
        "set session_replication_role = replica;"
        " insert into tminus.windows (name, timezone, weekly, updated_at, updated_by)"
        " values ('bad', 'Mars/Base', '{daily 00:00-24:00}', tminus.clock(), 'x');"
        " update tminus.windows set planned_at = null"
    )
    await plan(stage)
    rows = await stage.db.fetch("select name, planned_at is not null from tminus.windows order by name")
    assert [tuple(row) for row in rows] == [("bad", False), ("good", True)]


@pytest.mark.parametrize("ahead", [timedelta(hours=3), HOUR])
async def test_what_its_windows_held_back_for_too_long_is_missed_and_names_them(stage: Stage, ahead: timedelta) -> None:
    """Also where the window has opened by the time at which somebody looks."""
    instance = await stage.instance(ttl=LONG)
    script = None
    await add_window(stage, "night", ahead + timedelta(minutes=1), ahead + 4 * HOUR)
    script = await stage.launch(instance, "a", start_within=HOUR, windows=["night"])
    await stage.db.move_clock(HOUR + timedelta(minutes=2))
    assert await stage.claim(instance) == {}
    assert (await launches.housekeeping(stage.store)).given_up == 1
    run = (await stage.db.site_runs(script))["a"]
    assert (run["state"], run["reason"]) == ("skipped", "missed")
    assert run["message"].startswith("Not started within 01:00:00: outside of the windows of the script: night (20")


async def test_a_script_names_windows_that_are_there_and_they_stay_while_it_waits(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    await open_window(stage, "mine")
    said = await refused(stage.db, "alice", "insert into tminus.scheduled_scripts (script, sites, launch_at, windows)"
                         " values (':put 1', '{a}', tminus.clock() + interval '1 hour', '{mein}')")  # fmt: skip
    assert "there is no window 'mein'" in said
    script = await insert(stage.db, windows=["mine"])
    assert "names the window 'mine'" in await refused(stage.db, "api", "delete from tminus.windows")
    assert "names the window 'mine'" in await refused(stage.db, "api", "update tminus.windows set name = 'other'")
    await stage.db.value("select tminus.cancel($1)", script, role="alice")
    await stage.db.fetch("delete from tminus.windows", role="api")
    assert [event["principal"] for event in await stage.events("window_removed")] == ["api"]


async def test_a_window_stays_for_a_script_that_is_not_committed_yet(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    await open_window(stage, "mine")
    sql = "delete from tminus.windows where name = 'mine'"
    async with stage.db.anew("alice") as author, stage.db.anew("api") as gateway:
        transaction = author.transaction()
        await transaction.start()
        await author.fetch(insert_sql({"windows": ["mine"]}), ["mine"])
        removed = asyncio.create_task(gateway.execute(sql))
        await until_waiting(stage.db, sql)
        await plan(stage)  # which the author keeps waiting in nothing
        await transaction.commit()
        with pytest.raises(asyncpg.ForeignKeyViolationError, match="names the window 'mine'"):
            await removed
    assert await stage.db.value("select array_agg(name) from tminus.windows") == ["mine"]


async def test_a_window_that_goes_meanwhile_is_not_there(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    await open_window(stage, "first")
    await open_window(stage, "mine")
    async with stage.db.anew("alice") as author, stage.db.anew("api") as gateway:
        transaction = gateway.transaction()
        await transaction.start()
        await gateway.execute("delete from tminus.windows where name = 'mine'")
        sql = insert_sql({"windows": ["mine", "first"]})
        named = asyncio.create_task(author.fetch(sql, ["mine", "first"]))
        await until_waiting(stage.db, sql)
        await transaction.commit()
        with pytest.raises(asyncpg.ForeignKeyViolationError, match="there is no window 'mine'"):
            await named
    assert await stage.db.value("select count(*) from tminus.scheduled_scripts") == 0


async def test_naming_another_window_is_an_edit(stage: Stage) -> None:
    await open_window(stage, "mine")
    await add_sites(stage.db, "a")
    script = await stage.db.submit(":put 1", ["a"], due_in=60)
    await stage.db.fetch("update tminus.scheduled_scripts set windows = '{mine}' where id = $1", script, role="alice")
    assert (await stage.row(script))["status"] == "unauthorized"


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("('n', 'Mars/Base', '{daily 02:00-04:00}', '{}', 'all', null)", "there is no time zone"),
        ("('n', 'UTC', '{daily 2-4}', '{}', 'all', null)", "the weekly rule 'daily 2-4' is not understood"),
        ("('n', 'UTC', '{null}', '{}', 'all', null)", "the weekly rule"),
        ("('n', 'UTC', '{}', '{}', 'all', null)", "it would never be open"),
        ("('n', 'UTC', '{}', array[tstzrange(now(), null)], 'all', null)", "spans is a list"),
        ("('n', 'UTC', '{}', array['empty'::tstzrange], 'all', null)", "spans is a list"),
        ("('n', 'UTC', '{daily 02:00-04:00}', '{}', 'tag', null)", "the scope of window"),
        ("('n', 'UTC', '{daily 02:00-04:00}', '{}', 'all', 'core')", "the scope of window"),
        ("('n', 'UTC', '{daily 02:00-04:00}', '{}', 'some', null)", "the scope of window"),
        ("(e'a\\nb', 'UTC', '{daily 02:00-04:00}', '{}', 'all', null)", "the name of a window"),
    ],
)
async def test_what_is_no_window_is_refused_with_a_sentence(stage: Stage, columns: str, words: str) -> None:
    sql = f"insert into tminus.windows (name, timezone, weekly, spans, scope, tag) values {columns}"
    assert words in await refused(stage.db, "api", sql)


async def test_authors_and_approvers_open_no_windows(stage: Stage) -> None:
    await closed_window(stage, "n")
    for role in ("alice", "bob", "rita", "tminus_serve"):
        await refused(stage.db, role, "update tminus.windows set weekly = '{daily 00:00-24:00}'", clear=False)


def _reads(text: str) -> bool:
    try:
        parse_weekly(text)
    except ValueError:
        return False
    return True


_DAYS = (
    "mon",
    "tue-fri",
    "sat,sun",
    "fri-mon,wed",
    "daily",
    "daily,mon",
    "Mon",
    "mo",
    "mon-",
    "mon-tue-wed",
    "mon, tue",
    "",
)
_TIMES = ("00:00", "23:59", "24:00", "7:00", "07:60", "24:01", "12:30", "12:30:00", "１2:30", "")
_RULES = [f"{days} {begins}-{ends}" for days in _DAYS for begins in _TIMES for ends in _TIMES]


async def test_the_database_lets_through_what_the_daemon_can_read_and_nothing_else(shared: WarmDb) -> None:
    texts = [
        *_RULES,
        "",
        "mon",
        "mon 12:00-13:00 ",
        "mon  12:00-13:00",
        "mon\n12:00-13:00",
        "mon 12:00-13:00\n",
        "mon 12:00 - 13:00",
    ]
    rows = await shared.fetch("select r, tminus.is_weekly_rule(r) from unnest($1::text[]) as r", texts)
    assert {row[0]: row[1] for row in rows} == {text: _reads(text) for text in texts}
    assert 0 < sum(row[1] for row in rows) < len(rows)


async def test_the_plan_is_that_of_the_rules(stage: Stage) -> None:
    await stage.db.fetch(
        "insert into tminus.windows (name, timezone, weekly) values ('n', 'Europe/Berlin', '{daily 22:00-04:00}')",
        role="api",
    )
    await plan(stage)
    [row] = await stage.db.fetch(
        "select opens_at at time zone timezone as opens, closes_at at time zone timezone as closes,"
        " tminus.clock() at time zone timezone as now, name from tminus.windows"
    )
    opens, closes, now = (datetime.fromisoformat(str(row[name])) for name in ("opens", "closes", "now"))
    assert (opens.hour, closes.hour) == (22, 4)
    assert opens < closes <= opens + timedelta(hours=7)
    assert now < closes
