"""No moment that anybody gives lies so far ahead that a program has no word for it."""

from __future__ import annotations

import pytest

from tests.store.stage import Stage, add_sites, insert, refused
from tminus.errors import StoreError
from tminus.store import launches

pytestmark = pytest.mark.asyncio(loop_scope="module")

INSERT = "insert into tminus.scheduled_scripts (script, sites, {}) values (':put 1', '{{a}}', {})"
WINDOW = "insert into tminus.windows (name, spans) values ('far', array[tstzrange({})])"


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
    ],
)
async def test_a_moment_that_nobody_lives_to_see_is_refused(stage: Stage, login: str, sql: str, words: str) -> None:
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
