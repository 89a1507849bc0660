"""A migration that is killed half-way leaves the schema as it was, and the next one goes on from there."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import asyncpg
import pytest

from tests.support import Db, clean_environment, start_daemon, until, write_config
from tminus.kill_points import Point
from tminus.simulator import FleetSpec, simulate
from tminus.store.migrate import check_schema_of, known_migrations, migrate, shipped_migrations

_ROOT = Path(__file__).parents[2]


@pytest.mark.fault("F28", "migration killed")
async def test_a_killed_migration_leaves_whole_steps_and_the_next_one_ends_it(postgres: str, tmp_path: Path) -> None:
    name = f"half_migrated_{os.getpid()}"
    server = await asyncpg.connect(postgres)
    try:
        await server.execute(f"create database {name}")
        dsn = re.sub(r"^postgresql:///[^?]*", f"postgresql:///{name}", postgres)
        plans = tmp_path / "plans"
        plans.mkdir()
        (plans / Point.MIGRATING).write_text("kill")
        config = write_config(tmp_path, key_file=None, database_url=dsn, state_dir=str(tmp_path / "state"))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.faults.armed", str(plans), "--config", str(config), "migrate",
            env=clean_environment() | {"PYTHONPATH": str(_ROOT)},
        )  # fmt: skip
        assert await asyncio.wait_for(process.wait(), 60) == -9

        async def alone() -> bool:
            return not await server.fetchval("select exists (select from pg_stat_activity where datname = $1)", name)

        await until(alone)
        looked = await asyncpg.connect(dsn)
        try:
            assert await looked.fetchval("select count(*) from tminus.schema_migrations") == 0
            tables = await looked.fetch("select tablename from pg_tables where schemaname = 'tminus'")
            assert [row["tablename"] for row in tables] == ["schema_migrations"]
        finally:
            await looked.close()
        assert await migrate(dsn) == [migration.name for migration in known_migrations(shipped_migrations())]
        await check_schema_of(dsn)
    finally:
        await server.execute(f"drop database if exists {name} with (force)")
        await server.close()


@pytest.mark.fault("F28", "schema newer than the daemon")
async def test_a_daemon_that_is_older_than_the_schema_ends_and_starts_nothing_that_is_due(
    database: Db, tmp_path: Path
) -> None:
    async with simulate(FleetSpec(sites=1)) as fleet:
        await database.run(fleet.inventory_sql(None))
        await database.run(
            "insert into tminus.schema_migrations (version, name, sha256) values (9999, '9999_later.sql', '')"
        )
        script = await database.submit(":put 1")
        daemon = await start_daemon(database, tmp_path, fleet)
        try:
            assert await asyncio.wait_for(daemon.process.wait(), 60) == 5
        finally:
            await daemon.kill()
        assert "newer than this program" in daemon.log_file.read_text()
        assert fleet.journal.events("sim-0000") == []
        assert await database.site_runs(script) == {}
