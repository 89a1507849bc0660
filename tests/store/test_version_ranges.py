"""Ranges of versions and the guards of a row: SQL and Python agree, and what is not understood is refused in a sentence."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.store.stage import Stage, add_sites, authorize, insert, insert_sql, refused
from tests.unit.test_guards import RISING, version
from tminus.routeros.facts import is_version_in

pytestmark = pytest.mark.asyncio(loop_scope="module")

RANGES = [">=7.12 <8", "<7.24", "7.24beta2", ">7.9 <=7.24rc1", "<7", ">=6.49.10"]


async def test_sql_and_python_agree_on_every_version_and_range(stage: Stage) -> None:
    for text in RANGES:
        plain = await stage.db.value("select tminus.plain_version_range($1, 'x')", text)
        for each in RISING:
            in_sql = await stage.db.value("select tminus.is_version_in($1, $2)", f"{each} (stable)", plain)
            assert (each, text, in_sql) == (each, text, is_version_in(version(f"{each} (stable)"), plain))
    ranks = [await stage.db.value("select tminus.version_rank($1)", each) for each in RISING]
    assert [tuple(rank) for rank in ranks] == [version(each).rank for each in RISING]
    assert await stage.db.value("select tminus.is_version_in('no version', '>=7')") is False


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        (" >= 7.12,  < 8 ", ">=7.12 <8"),
        ("7.20.8", "=7.20.8"),
        ("=7.20 7.21", "=7.20 =7.21"),
        ("  ", None),
        (None, None),
    ],
)
async def test_a_range_has_one_form(stage: Stage, written: str | None, plain: str | None) -> None:
    assert await stage.db.value("select tminus.plain_version_range($1, 'x')", written) == plain


@pytest.mark.parametrize("written", ["new", ">=", ">=7.x", "7.12-8", "=>7", "7.1.2.3", "7.12 or 8", "1" * 4])
async def test_what_is_no_range_is_refused(stage: Stage, written: str) -> None:
    await add_sites(stage.db, "a")
    said = await refused(stage.db, "alice", insert_sql({"guard_version": written}), written)
    assert said.startswith(f"guard_version '{written}' is no range of versions")


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"guard_free_space": 0}, "guard_free_space is a number of bytes"),
        ({"guard_uptime": timedelta(0)}, "guard_uptime must lie between"),
        ({"guard_uptime": timedelta(days=4000)}, "guard_uptime must lie between"),
        ({"guard_cpu_load": 101}, "guard_cpu_load is a percentage"),
        ({"guard_cpu_load": -1}, "guard_cpu_load is a percentage"),
    ],
)
async def test_a_guard_that_cannot_be_is_refused(stage: Stage, columns: dict[str, object], says: str) -> None:
    await add_sites(stage.db, "a")
    assert says in await refused(stage.db, "alice", insert_sql(columns), *columns.values())


@pytest.mark.parametrize(
    ("column", "sql"),
    [("guard_version", "'<8'"), ("guard_free_space", "5"), ("guard_uptime", "'1 hour'"), ("guard_cpu_load", "50")],
)
async def test_an_edit_of_a_guard_resets_the_authorization(stage: Stage, column: str, sql: str) -> None:
    await add_sites(stage.db, "a")
    script = await insert(stage.db)
    await authorize(stage.db, script)
    before = await stage.db.value("select tminus.digest($1)", script)
    await stage.db.value(f"update tminus.scheduled_scripts set {column} = {sql} where id = $1", script, role="alice")
    row = (
        await stage.db.fetch(
            "select status, tminus.digest(id) as digest from tminus.scheduled_scripts where id = $1", script
        )
    )[0]
    assert row["status"] == "unauthorized"
    assert row["digest"] != before
