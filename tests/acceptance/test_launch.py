"""A launch, end to end: from an INSERT to proved progress on every site."""

from __future__ import annotations

from pathlib import Path

from tests.support import Db, run_daemon, until
from tminus.simulator import FleetSpec, Kind, simulate

SCRIPT = (
    '/ip firewall filter add chain=input action=drop src-address=192.0.2.1 comment="from tminus"\n:put "done here"\n'
)


async def test_a_script_runs_on_every_site_and_is_proved(database: Db, tmp_path: Path) -> None:
    async with simulate(FleetSpec(sites=3)) as fleet, run_daemon(database, tmp_path, fleet, executed=True) as daemon:
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(SCRIPT)
        runs = await database.finished(script)
        assert {run["state"] for run in runs.values()} == {"completed"}
        for site, run in runs.items():
            assert "done here" in run["output"]
            assert '+add action=drop chain=input comment="from tminus" src-address=192.0.2.1' in run["diff"]
            assert 'comment="from tminus"' in fleet.export(site)
            assert fleet.files(site) == {}
        shown = await database.script(script)
        assert shown["status"] == "launched"
        assert shown["progress"] == {"completed": sorted(runs), "failed": [], "pending": []}
        assert await daemon.stop() == 0


async def test_the_first_key_that_a_site_shows_is_kept_to_where_that_is_the_policy(
    database: Db, tmp_path: Path
) -> None:
    async with (
        simulate(FleetSpec(sites=1)) as fleet,
        run_daemon(database, tmp_path, fleet, host_key_policy="accept-new") as daemon,
    ):
        await database.run(fleet.inventory_sql(None))
        [site] = fleet.sites
        await database.fetch("update tminus.sites set host_key = null", role="api")
        run = (await database.finished(await database.submit(SCRIPT)))[site.id]
        assert (run["state"], run["effect"]) == ("completed", "applied"), run["message"]
        shown = " ".join(site.host_key.split()[:2])

        async def is_known() -> bool:
            return await database.value("select seen_host_key from tminus.sites") == shown

        await until(is_known)
        [event] = await database.fetch("select site_id, detail from tminus.events where kind = 'host_key_accepted'")
        assert (event["site_id"], shown in str(event["detail"])) == (site.id, True)
        [said] = [line for line in daemon.log() if line["event"] == "host_key_accepted"]
        assert (said["level"], said["host_key"]) == ("warning", shown)
        assert await database.value("select host_key from tminus.sites") is None, "only a person pins one"

        # From now on as if it were pinned.
        fleet.replace_host_key(site.id)
        so_far = len(fleet.journal.events(site.id))
        run = (await database.finished(await database.submit(SCRIPT)))[site.id]
        assert (run["state"], run["reason"], run["effect"]) == ("failed", "host_key_changed", "none")
        later = {event.kind for event in fleet.journal.events(site.id)[so_far:]}
        assert not later & {Kind.LOGIN, Kind.LOGIN_REFUSED, Kind.EXEC, Kind.UPLOAD, Kind.IMPORT_STARTED}
        assert await database.value("select seen_host_key from tminus.sites") == shown
        assert await database.value("select count(*) from tminus.events where kind = 'host_key_accepted'") == 1


async def test_what_is_kept_too_long_is_forgotten_by_a_daemon_that_runs(database: Db, tmp_path: Path) -> None:
    async with simulate(FleetSpec(sites=2)) as fleet:
        async with run_daemon(database, tmp_path / "a", fleet):
            await database.run(fleet.inventory_sql(None))
            runs = await database.finished(await database.submit(SCRIPT))
            assert all("done here" in run["output"] for run in runs.values())
        old, young = sorted(runs)
        await database.run(
            "set session_replication_role = replica;"
            " update tminus.site_runs set started_at = started_at - interval '2 days', executing_at = executing_at - interval '2 days',"
            f" finished_at = finished_at - interval '2 days' where site_id = '{old}'"
        )
        async with run_daemon(database, tmp_path / "b", fleet, outputs_days=1) as daemon:

            async def has_forgotten() -> list[int]:
                return [line["outputs"] for line in daemon.log() if line["event"] == "forgotten"]

            assert await until(has_forgotten) == [1]
        kept = await database.fetch("select site_id, state, output, diff from tminus.site_runs order by site_id")
        assert [(run["site_id"], run["state"], run["output"] is None, run["diff"] is None) for run in kept] == [
            (old, "completed", True, True),
            (young, "completed", False, False),
        ]
