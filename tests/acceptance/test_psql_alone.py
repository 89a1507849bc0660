"""A launch driven by nothing but psql: register, insert, authorize, and read the progress until it is finished."""

from __future__ import annotations

import json
from pathlib import Path

from tests.acceptance.test_readme import run_psql
from tests.support import Db, run_daemon, until
from tminus.simulator import FleetSpec, simulate

SCRIPT_ID = "0f5bda01-4690-4432-8472-358b2734f19c"


async def test_psql_drives_a_launch_from_insert_to_progress(database: Db, tmp_path: Path) -> None:
    async with simulate(FleetSpec(sites=2)) as fleet, run_daemon(database, tmp_path, fleet):
        await run_psql(database.dsn_as("api"), fleet.inventory_sql(None))
        await run_psql(
            database.dsn_as("alice"),
            f"""
            insert into tminus.scheduled_scripts (id, description, script, sites, launch_at)
            values ('{SCRIPT_ID}', 'From psql', ':put "it''s \\"done\\""', array['sim-0000', 'sim-0001'], now() + interval '1 second');
            """,
        )
        await run_psql(database.dsn_as("bob"), f"select tminus.authorize('{SCRIPT_ID}', tminus.digest('{SCRIPT_ID}'));")

        async def finished() -> bool:
            shown = json.loads(
                await run_psql(database.dsn_as("rita"), f"select tminus.scheduled_script('{SCRIPT_ID}');")
            )
            return bool(shown["progress"] == {"completed": ["sim-0000", "sim-0001"], "failed": [], "pending": []})

        await until(finished, every=0.2)
        output = await run_psql(database.dsn_as("rita"), "select output from tminus.site_runs limit 1;")
        assert 'it\'s "done"' in output
