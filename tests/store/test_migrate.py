"""The migration runner: once, in order, all or nothing, and never against what it does not know."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from tests.support import Db
from tminus.errors import SchemaMismatch, StoreError, StoreUnavailable
from tminus.store.migrate import (
    check_schema_of,
    check_server_version,
    ensure_login,
    known_migrations,
    migrate,
    shipped_migrations,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHIPPED = [migration.name for migration in known_migrations(shipped_migrations())]
_numbers = itertools.count(1)


@pytest_asyncio.fixture(loop_scope="module")
async def empty(postgres: str) -> AsyncIterator[Db]:
    """A database in which nothing is."""
    name = f"test_{os.getpid()}_empty_{next(_numbers)}"
    connection = await asyncpg.connect(postgres)
    await connection.execute(f"create database {name}")
    yield Db(
        postgres.replace("postgresql:///", "postgresql:///\n").split("\n")[0] + name + postgres[postgres.index("?") :]
    )
    await connection.execute(f"drop database {name} with (force)")
    await connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Migrations of its own: two small ones."""
    (tmp_path / "0001_first.sql").write_text("create table tminus.first (n integer);")
    (tmp_path / "0002_second.sql").write_text(
        "create table tminus.second (n integer); insert into tminus.first values (1);"
    )
    return tmp_path


async def tables(db: Db) -> set[str]:
    rows = await db.fetch(
        "select relname::text from pg_class where relnamespace = 'tminus'::regnamespace and relkind = 'r'"
    )
    return {row["relname"] for row in rows}


async def test_it_applies_all_in_order_and_the_next_time_nothing(empty: Db) -> None:
    assert await migrate(empty.dsn) == SHIPPED
    assert await migrate(empty.dsn) == []
    await check_schema_of(empty.dsn)
    rows = await empty.fetch("select name from tminus.schema_migrations order by applied_at, version")
    assert [row["name"] for row in rows] == SHIPPED


async def test_five_at_once_apply_each_once(empty: Db, folder: Path) -> None:
    applied = await asyncio.gather(*(migrate(empty.dsn, folder) for _ in range(5)))
    assert sorted(applied) == [[], [], [], [], ["0001_first.sql", "0002_second.sql"]]
    assert await empty.value("select count(*) from tminus.first") == 1


async def test_it_goes_on_from_where_the_database_is(empty: Db, folder: Path) -> None:
    await migrate(empty.dsn, folder)
    (folder / "0003_third.sql").write_text("create table tminus.third ()")
    with pytest.raises(
        SchemaMismatch, match=r"older than this program \(0003_third.sql is missing\); run 'tminus migrate'"
    ):
        await check_schema_of(empty.dsn, folder)
    assert await migrate(empty.dsn, folder) == ["0003_third.sql"]
    await check_schema_of(empty.dsn, folder)


async def test_a_file_that_fails_half_way_leaves_the_database_as_it_was(empty: Db, folder: Path) -> None:
    (folder / "0003_bad.sql").write_text(
        "create table tminus.half (); insert into tminus.first values (2); select 1 / 0;"
    )
    (folder / "0004_after.sql").write_text("create table tminus.after ()")
    with pytest.raises(StoreError):
        await migrate(empty.dsn, folder)
    assert await tables(empty) == {"schema_migrations", "first", "second"}
    assert await empty.value("select count(*) from tminus.first") == 1
    (folder / "0003_bad.sql").write_text("create table tminus.whole ()")
    assert await migrate(empty.dsn, folder) == ["0003_bad.sql", "0004_after.sql"]


async def test_routers_that_have_two_names_stop_the_migration_and_are_named(empty: Db, tmp_path: Path) -> None:
    """Until 0034 an address was compared as it was written."""
    for migration in known_migrations(shipped_migrations()):
        if migration.version < 34:
            (tmp_path / migration.name).write_text(migration.sql)
    await migrate(empty.dsn, tmp_path)
    await empty.fetch(
        "insert into tminus.sites (id, name, address) values ('one', 'n', 'R1.example'), ('two', 'n', 'r1.example.')"
    )
    with pytest.raises(
        StoreError, match=r"sites one and two are two names for one router: both are r1.example port 22"
    ):
        await migrate(empty.dsn)
    await empty.fetch("update tminus.sites set address = 'r2.example' where id = 'two'")
    assert (await migrate(empty.dsn))[0] == "0034_corrections.sql"


async def test_a_migration_whose_connection_is_lost_leaves_the_database_as_it_was(empty: Db, folder: Path) -> None:
    (folder / "0003_lost.sql").write_text(
        "create table tminus.half (); reset role; select pg_terminate_backend(pg_backend_pid());"
    )
    with pytest.raises(StoreUnavailable):
        await migrate(empty.dsn, folder)
    assert await tables(empty) == {"schema_migrations", "first", "second"}
    (folder / "0003_lost.sql").unlink()
    assert await migrate(empty.dsn, folder) == [], "and the lock is free"


async def test_a_file_that_was_edited_after_it_was_applied_is_refused(empty: Db, folder: Path) -> None:
    await migrate(empty.dsn, folder)
    (folder / "0001_first.sql").write_text("create table tminus.first (n bigint);")
    (folder / "0003_third.sql").write_text("create table tminus.third ()")
    for attempt in (migrate(empty.dsn, folder), check_schema_of(empty.dsn, folder)):
        with pytest.raises(
            SchemaMismatch, match=r"0001_first.sql differs from what was applied to this database; nothing was changed"
        ):
            await attempt
    assert "third" not in await tables(empty)


async def test_a_newer_database_is_refused_by_an_older_program(empty: Db, folder: Path) -> None:
    (folder / "0003_third.sql").write_text("create table tminus.third ()")
    await migrate(empty.dsn, folder)
    (folder / "0003_third.sql").unlink()
    for attempt in (migrate(empty.dsn, folder), check_schema_of(empty.dsn, folder)):
        with pytest.raises(
            SchemaMismatch, match=r"newer than this program \(it has 0003_third.sql\); install the newer tminus"
        ) as caught:
            await attempt
        assert caught.value.exit_code == 5


async def test_a_database_without_the_schema_says_what_to_do(empty: Db) -> None:
    with pytest.raises(SchemaMismatch, match="has no tminus schema yet; run 'tminus migrate'"):
        await check_schema_of(empty.dsn)


async def test_a_login_without_a_role_says_what_to_do(database: Db) -> None:
    name = f"nobody_{os.getpid()}"
    await database.run(f"create role {name} login")
    try:
        with pytest.raises(StoreError, match="this login may not use the tminus schema; grant it tminus_daemon"):
            await check_schema_of(database.dsn_as(name))
        await check_schema_of(database.dsn_as("rita"))
    finally:
        await database.run(f"drop role {name}")


@pytest.mark.parametrize("major", [9, 14, 19])
async def test_a_server_of_another_version_is_refused(major: int) -> None:
    with pytest.raises(SchemaMismatch, match=f"the database server is PostgreSQL {major}; tminus needs 15 to 18"):
        check_server_version(major)


@pytest.mark.parametrize("major", [15, 16, 17, 18])
async def test_the_versions_that_it_was_made_for_are_not(major: int) -> None:
    check_server_version(major)


async def test_who_may_not_migrate_is_told_so(empty: Db) -> None:
    with pytest.raises(StoreError):
        await migrate(empty.dsn_as("alice"))
    assert await empty.value("select count(*) from pg_namespace where nspname = 'tminus'") == 0


async def test_the_owner_of_a_database_who_is_no_superuser_may_migrate_it(empty: Db) -> None:
    name = f"dba_{os.getpid()}"
    database = await empty.value("select current_database()")
    await empty.run(
        f"create role {name} login; grant tminus_owner to {name}; alter database {database} owner to {name}"
    )
    try:
        assert await migrate(empty.dsn_as(name)) == SHIPPED
        owner = await empty.value(
            "select tableowner from pg_tables where schemaname = 'tminus' and tablename = 'sites'"
        )
        assert owner == "tminus_owner"
    finally:
        await empty.run(f"alter database {database} owner to current_user; drop owned by {name}; drop role {name}")


async def test_a_login_is_made_once_by_any_number_of_processes(database: Db) -> None:
    name = f"serve_{os.getpid()}"
    try:
        await asyncio.gather(*(ensure_login(database.dsn, name, member_of="tminus_daemon") for _ in range(4)))
        assert await database.value("select pg_has_role($1, 'tminus_daemon', 'member')", name)
        await check_schema_of(database.dsn_as(name))
    finally:
        await database.run(f"drop role if exists {name}")


async def test_the_shipped_files_are_numbered_without_gaps() -> None:
    assert [int(name[:4]) for name in SHIPPED] == list(range(1, len(SHIPPED) + 1))
