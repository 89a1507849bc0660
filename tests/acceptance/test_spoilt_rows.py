"""Rows that somebody wrote past the schema's rules: each is trouble of its own, and the rest goes on."""

from __future__ import annotations

from pathlib import Path

from tests.support import Db, run_daemon, until
from tminus.simulator import FleetSpec, SiteSpec, simulate

PAST_THE_RULES = "set session_replication_role = replica; "


async def test_a_launch_that_cannot_be_read_is_refused_on_its_sites_and_others_run(
    database: Db, tmp_path: Path
) -> None:
    spec = FleetSpec(site_specs=(SiteSpec(id="r1", version="7.20.8"), SiteSpec(id="r2", version="7.20.8")))
    async with simulate(spec) as fleet, run_daemon(database, tmp_path, fleet) as daemon:
        await database.run(fleet.inventory_sql(None))
        await database.run("update tminus.sites set tags = '{held}' where id = 'r1'")
        freeze = await database.value(
            "select tminus.freeze('held', tminus.clock() + interval '1 hour', 'test')", role="bob"
        )
        spoilt = await database.submit(":put 1", ["r1"])

        async def is_launched() -> bool:
            return bool(await database.site_runs(spoilt))

        await until(is_launched)
        await database.run(PAST_THE_RULES + "update tminus.authorizations set site_digests = '{}'")
        await database.value("select tminus.thaw($1, 'go')", freeze, role="bob")
        run = (await database.finished(spoilt))["r1"]
        assert (run["state"], run["effect"], run["reason"]) == ("failed", "none", "guard_failed")
        assert run["message"].startswith("Not started: what its launch says makes no sense")
        whole = await database.finished(await database.submit(":put 2", ["r2"]))
        assert whole["r2"]["state"] == "completed"
        assert (len(fleet.journal.starts("r1")), len(fleet.journal.starts("r2"))) == (0, 1)
        assert daemon.process.returncode is None


async def test_a_rule_that_ends_after_all_calendars_keeps_no_other_from_being_launched(
    database: Db, tmp_path: Path
) -> None:
    await database.run(
        PAST_THE_RULES
        + "insert into tminus.scheduled_scripts (script, sites, cron, timezone, until, created_by, updated_by,"
        " created_at, updated_at) values (':put 1', '{r1}', '@daily', 'UTC', '20000-01-01', 'a', 'a', now(), now())"
    )
    async with simulate(FleetSpec(site_specs=(SiteSpec(id="r1", version="7.20.8"),))) as fleet:
        await database.run(fleet.inventory_sql(None))
        async with run_daemon(database, tmp_path, fleet) as daemon:
            runs = await database.finished(await database.submit(":put 2"))
            assert runs["r1"]["state"] == "completed"
            assert daemon.process.returncode is None
