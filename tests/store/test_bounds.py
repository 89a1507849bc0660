"""What one person writes, or holds, stops nobody else's work: moments, sizes, shapes, and locks."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.store.stage import Stage, add_sites, insert, refused
from tminus.errors import StoreError
from tminus.store import launches, windows

pytestmark = pytest.mark.asyncio(loop_scope="module")

INSERT = "insert into tminus.scheduled_scripts (script, sites, {}) values (':put 1', '{{a}}', {})"
TAGS = "insert into tminus.sites (id, name, address, tags) values ('x', 'x', '192.0.2.9', {})"
WEEKLY = "insert into tminus.windows (name, weekly) values ('long', array[{}])"
WINDOW = "insert into tminus.windows (name, spans) values ('far', array[tstzrange({})])"


NAMES = (
    "insert into tminus.scheduled_scripts (script, sites, launch_at)"
    " select string_agg(':put $(a' || n || ')', e'\\n'), '{a}', now() + interval '1 day' from generate_series(1, 1001) n"
)
TAGGED = (
    "insert into tminus.windows (name, weekly, scope, tag) values ('t', '{daily 00:00-24:00}', 'tag', repeat('t', 900))"
)
CONTACT = (
    "insert into tminus.contacts (person, channel, address, news)"
    " select 'nina', 'mail', 'nina@example.net', array_agg('finished'::text) from generate_series(1, 101)"
)


@pytest.mark.parametrize(
    ("login", "sql", "words"),
    [
        (
            "alice",
            INSERT.format("cron, until", "'@daily', '20000-01-01'"),
            "until lies more than a hundred years ahead",
        ),
        (
            "alice",
            INSERT.format("cron, until", "'@daily', now() + interval '101 years'"),
            "until lies more than a hundred",
        ),
        (
            "alice",
            INSERT.format("launch_at, stop_starting_at", "now() + interval '1 day', '9999-12-31 23:59:59-14'"),
            "stop_starting_at lies more than a hundred years ahead",
        ),
        ("api", WINDOW.format("now(), '20000-01-01'"), "a span begins after the year 1999"),
        ("api", WINDOW.format("'0044-03-15 BC', now() + interval '1 day'"), "a span begins after the year 1999"),
        (
            "api",
            "insert into tminus.windows (name, spans) values ('2d', array[array[tstzrange(now(), now() + '1 day')]])",
            "plain lists",
        ),
        ("api", WEEKLY.format("repeat('mon,', 1000000) || 'mon 00:00-24:00'"), "more than 100 bytes"),
        ("api", TAGGED, "800 bytes"),
        ("alice", INSERT.format("cron", "repeat('0,', 1000000) || '0 * * * *'"), "cron has more than 200 bytes"),
        ("alice", NAMES, "more than 1000 are too many"),
        ("api", TAGS.format("array['a', null]"), "the tags of site 'x' are a plain list"),
        ("api", TAGS.format("'{{a,b},{c,d}}'"), "the tags of site 'x' are a plain list"),
        ("api", TAGS.format("array[repeat('t', 201)]"), "the tags of site 'x' are a plain list"),
        ("api", TAGS.format("array(select n::text from generate_series(1, 101) n)"), "at most 100"),
        ("api", TAGS.format("array[e'a\\nb']"), "printable characters"),
        ("api", CONTACT, "news names each kind once"),
    ],
)
async def test_what_would_be_in_everybodys_way_is_refused(stage: Stage, login: str, sql: str, words: str) -> None:
    await add_sites(stage.db, "a")
    assert words in await refused(stage.db, login, sql)


async def test_no_authorization_lasts_for_centuries(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    script = await insert(stage.db, cron="@daily")
    said = await refused(
        stage.db, "bob", "select tminus.authorize($1, tminus.digest($1), expires => '20000-01-01')", script
    )
    assert "expires_at lies more than a hundred years ahead" in said


async def test_what_the_driver_has_no_word_for_is_trouble_of_that_question_alone(stage: Stage) -> None:
    """Where somebody went round the rules: a superuser, or a database that was there before them."""
    await add_sites(stage.db, "a")
    async with stage.db.anew() as connection:
        await connection.execute("set session_replication_role = replica")
        await connection.execute(
            "insert into tminus.scheduled_scripts (script, sites, cron, timezone, until, status, created_by, updated_by,"
            " created_at, updated_at, authorization_id)"
            " values (':put 1', '{a}', '@daily', 'UTC', '20000-01-01', 'unauthorized', 'a', 'a', now(), now(), null)"
        )
    with pytest.raises(StoreError, match="a value in the answer cannot be read"):
        await launches.unplanned_scripts(stage.store, limit=10)


async def test_who_holds_a_row_keeps_no_other_rule_from_being_planned_nor_waits(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    held = [await insert(stage.db, cron="@daily") for _ in range(3)]
    free = await insert(stage.db, cron="@hourly")
    async with stage.db.connect() as connection, connection.transaction():
        await connection.fetch("select from tminus.scheduled_scripts where id = any ($1) for update", held)
        assert [row.id for row in await launches.unplanned_scripts(stage.store, limit=3)] == [free]
        await connection.fetch("select from tminus.scheduled_scripts where id = $1 for update", free)
        # Held since it was looked at: left for a later look, at once.
        async with asyncio.timeout(5):
            await launches.plan(stage.store, free, datetime.now(UTC) + timedelta(hours=1))
        assert await stage.store.fetch("unlinted_scripts", 10, uuid4()) == []
    assert (await stage.row(free))["launch_at"] is None
    assert len(await launches.unplanned_scripts(stage.store, limit=10)) == 4


async def test_who_holds_a_window_keeps_its_planner_from_nothing(stage: Stage) -> None:
    for name in ("held", "open"):
        await stage.db.run(f"insert into tminus.windows (name, weekly) values ('{name}', '{{daily 00:00-24:00}}')")
    found = {window.name: window for window in await windows.unplanned_windows(stage.store, limit=10)}
    async with stage.db.connect() as connection, connection.transaction():
        await connection.fetch("select from tminus.windows where name = 'held' for update")
        async with asyncio.timeout(5):
            assert [await windows.plan_window(stage.store, found[name], None) for name in ("held", "open")] == [
                False,
                True,
            ]
