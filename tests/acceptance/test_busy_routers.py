"""Scripts that outlast their time keep their router busy: no other launch starts there until it is known that they are over."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.acceptance.test_cli import Cli
from tests.support import Db, run_daemon, until
from tminus.simulator import DEFAULT, FleetSpec, Kind, SiteSpec, simulate

ENDLESS = '/ip dns static add name=slow.example address=192.0.2.1\n:delay {0}s\n:put "after"\n'


def routers(*sites: str) -> FleetSpec:
    return FleetSpec(site_specs=tuple(SiteSpec(id=site, version="7.20.8") for site in sites))


def ending(run: object) -> tuple[str, str, str | None]:
    return run["state"], run["effect"], run["reason"]  # type: ignore[index]


async def test_no_other_launch_starts_while_a_script_outlasts_its_time(database: Db, tmp_path: Path) -> None:
    sites = ("r1", "r2")
    async with simulate(routers(*sites)) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        short = timedelta(seconds=5)
        slow = {
            site: await database.submit(ENDLESS.format(40), [site], site_timeout=short, detached=site == "r2")
            for site in sites
        }
        for site in sites:
            await asyncio.wait_for(fleet.journal.wait(site, Kind.IMPORT_STARTED), 20)
        quick = await database.submit(":put quick", list(sites))
        for site in sites:
            run = (await database.finished(slow[site], within=60))[site]
            assert ending(run) == ("unknown", "unknown", "timed_out"), run["message"]
            assert not fleet.journal.events(site, Kind.IMPORT_FINISHED)
            assert (await database.site_runs(quick))[site]["state"] == "pending"

        for site, run in (await database.finished(quick, within=120)).items():
            assert ending(run) == ("completed", "applied", None)
            ends, starts = fleet.journal.events(site, Kind.IMPORT_FINISHED), fleet.journal.starts(site)
            assert len(starts) == len(ends) == 2
            assert ends[0].monotonic < starts[1].monotonic
        late = await database.fetch(
            "select site_id, detail ->> 'verdict' as verdict from tminus.events where kind = 'late_evidence' order by 1"
        )
        assert [tuple(row) for row in late] == [("r1", "completed"), ("r2", "completed")]
        # The output of the job came after our last look: it is removed at the next contact.
        assert not fleet.files("r1")
        assert not fleet.files("r2")


@pytest.mark.parametrize(
    "meanwhile",
    ["clock", "update tminus.sites set credential = 'default'"],
    ids=["the database's clock was set ahead", "the site was changed"],
)
async def test_a_script_whose_daemon_died_keeps_its_router_busy_whatever_happens_meanwhile(
    database: Db, tmp_path: Path, meanwhile: str
) -> None:
    """The router had just booted, goes on when the session is gone, and does not list what a session runs."""
    behaviour = replace(DEFAULT, foreground_survives_close=True, foreground_listed=False)
    spec = FleetSpec(site_specs=(SiteSpec(id="r1", version="7.20.8", behaviour=behaviour, up_for_s=60.0),))
    async with simulate(spec) as fleet:
        async with run_daemon(database, tmp_path / "a", fleet) as daemon:
            await database.run(fleet.inventory_sql(None))
            slow = await database.submit(ENDLESS.format(600), site_timeout=timedelta(seconds=60))
            await asyncio.wait_for(fleet.journal.wait("r1", Kind.IMPORT_STARTED), 20)
            await daemon.kill()
        if meanwhile == "clock":
            await database.move_clock(timedelta(hours=1))
        else:
            await database.run(meanwhile)
        async with run_daemon(database, tmp_path / "b", fleet):
            run = (await database.finished(slow, within=60))["r1"]
            assert ending(run) == ("unknown", "unknown", "daemon_lost"), run["message"]
            assert await database.value("select count(*) from tminus.busy_sites where free_at is null") == 1
            await database.run("update tminus.busy_sites set look_at = tminus.clock()")

            async def looked() -> bool:
                return bool(await database.value("select seen is not null from tminus.busy_sites"))

            await until(looked)
            assert await database.value("select count(*) from tminus.busy_sites where free_at is null") == 1
        assert not fleet.journal.events("r1", Kind.IMPORT_FINISHED)


async def test_a_router_is_looked_at_when_the_time_of_a_lost_script_is_over(database: Db, tmp_path: Path) -> None:
    """Nobody knows how it ended, and two looks come too early: by the pauses between them the third would be 30 s later."""
    async with simulate(routers("r1")) as fleet:
        async with run_daemon(database, tmp_path / "a", fleet) as daemon:
            await database.run(fleet.inventory_sql(None))
            slow = await database.submit(ENDLESS.format(600), site_timeout=timedelta(seconds=20))
            await asyncio.wait_for(fleet.journal.wait("r1", Kind.IMPORT_STARTED), 20)
            await daemon.kill()
        async with run_daemon(database, tmp_path / "b", fleet):
            run = (await database.finished(slow, within=60))["r1"]
            assert ending(run) == ("unknown", "unknown", "daemon_lost"), run["message"]
            for look in (1, 2):
                await database.run("update tminus.busy_sites set look_at = tminus.clock()")
                looked = (
                    f"select attempts = {look} and seen is not null and look_at > tminus.clock() from tminus.busy_sites"
                )
                await until(lambda looked=looked: database.value(looked))
            due = "select look_at < since + interval '25 seconds' from tminus.busy_sites"
            await until(lambda: database.value(due), within=10)


async def test_a_router_that_booted_is_free_and_nothing_is_said_of_what_its_script_did(
    database: Db, tmp_path: Path
) -> None:
    """Its log is gone with what it remembered: that a line is missing there proves nothing."""
    async with simulate(routers("r1")) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        slow = await database.submit(ENDLESS.format(600), site_timeout=timedelta(seconds=5), detached=True)
        run = (await database.finished(slow, within=60))["r1"]
        assert ending(run) == ("unknown", "unknown", "timed_out"), run["message"]
        fleet.router("r1").reboot()
        await database.run("update tminus.busy_sites set look_at = tminus.clock()")
        free = "select free_because from tminus.busy_sites where free_at is not null"
        assert "booted" in await until(lambda: database.value(free), within=60)
        assert await database.value("select count(*) from tminus.events where kind = 'late_evidence'") == 0


async def test_who_resolves_a_run_frees_its_router(database: Db, tmp_path: Path) -> None:
    cli = Cli(database)
    async with simulate(routers("r1")) as fleet, run_daemon(database, tmp_path, fleet) as daemon:
        await database.run(fleet.inventory_sql(None))
        slow = await database.submit(ENDLESS.format(600), site_timeout=timedelta(seconds=5))
        first = (await database.finished(slow, within=60))["r1"]
        assert f"Busy: on r1 the script of {slow} may still be running" in (await cli.ok("status")).out
        assert (await daemon.metrics())["tminus_sites_busy"] == 1
        quick = await database.submit(":put quick", start_within=timedelta(seconds=30))
        await database.value(
            "select tminus.resolve($1, 'failed/partial', 'it waits for ever')", first["id"], role="bob"
        )
        # The router itself still lists the job of the first script, and is believed.
        runs = await database.finished(quick, within=60)
        assert ending(runs["r1"])[0] in ("completed", "skipped")
        assert await database.value("select free_because from tminus.busy_sites") == "resolved by bob"
        assert (await cli.ok("status", "--json")).json()["busy_sites"] == []
        assert (await daemon.metrics())["tminus_sites_busy"] == 0


@pytest.mark.parametrize("detached", [True, False], ids=["detached", "its session is gone"])
async def test_who_resolves_a_run_may_have_its_endless_job_stopped(
    database: Db, tmp_path: Path, detached: bool
) -> None:
    cli = Cli(database)
    others = ":delay 900s"
    behaviour = replace(DEFAULT, foreground_survives_close=True)
    spec = FleetSpec(site_specs=(SiteSpec(id="r1", version="7.20.8", behaviour=behaviour),))
    async with simulate(spec) as fleet, run_daemon(database, tmp_path, fleet) as daemon:
        await database.run(fleet.inventory_sql(None))
        script = f':execute script="{others}"\n{ENDLESS.format(600)}'
        endless = await database.submit(script, site_timeout=timedelta(seconds=5), detached=detached)
        if not detached:
            await asyncio.wait_for(fleet.journal.wait("r1", Kind.IMPORT_STARTED), 20)
            fleet.cut("r1")
        first = (await database.finished(endless, within=60))["r1"]
        assert ending(first)[:2] == ("unknown", "unknown"), first["message"]
        quick = await database.submit(":put quick", start_within=timedelta(minutes=5))
        verdict = ("--verdict", "failed/partial", "--note", "it waits for ever", "--stop-job")
        (await cli("resolve", str(endless), "r1", "--stop-job", login="bob")).refused("--stop-job goes with --verdict")
        (await cli("resolve", str(endless), "r1", *verdict, login="alice")).refused("only an approver or a gateway")
        assert not fleet.journal.events("r1", Kind.IMPORT_INTERRUPTED)
        told = (await cli.ok("resolve", str(endless), "r1", *verdict, login="bob")).out
        assert f"site run {first['id']} now counts as failed/partial" in told

        run = (await database.finished(quick, within=60))["r1"]
        assert ending(run) == ("completed", "applied", None), run["message"]
        stopped, after = fleet.journal.events("r1", Kind.IMPORT_INTERRUPTED), fleet.journal.starts("r1")[1]
        assert len(stopped) == 1
        assert stopped[0].monotonic < after.monotonic
        assert others in [job.script for job in fleet.router("r1").jobs.values()]

        async def nothing_is_left() -> bool:
            await database.run("update tminus.cleanup_debts set next_try_at = tminus.clock() where settled_at is null")
            # The router is free as soon as the job is gone; that none is left it is asked a second later.
            said = await database.value("select count(*) from tminus.events where kind = 'job_stopped'")
            return said == 1 and not fleet.files("r1")

        await until(nothing_is_left, every=0.5)
        shown = (await cli.ok("cleanup")).out
        assert "Stopped: 1 job on r1 at " in shown
        assert f"as bob asked (site run {first['id']})." in shown
        assert await database.value("select detail ->> 'jobs' from tminus.events where kind = 'job_stopped'") == "1"
        assert "job_stopped" in {event["event"] for event in daemon.log()}


async def test_a_job_that_the_router_does_not_list_is_not_said_to_be_stopped(database: Db, tmp_path: Path) -> None:
    cli = Cli(database)
    spec = FleetSpec(site_specs=(SiteSpec(id="r1", version="7.20.8", behaviour=replace(DEFAULT, shows_jobs=False)),))
    async with simulate(spec) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        endless = await database.submit(ENDLESS.format(600), site_timeout=timedelta(seconds=5), detached=True)
        assert ending((await database.finished(endless, within=60))["r1"])[0] == "unknown"
        verdict = ("--verdict", "failed/partial", "--note", "it waits for ever", "--stop-job")
        await cli.ok("resolve", str(endless), "r1", *verdict, login="bob")

        async def tried() -> bool:
            return bool(await database.value("select last_error is not null from tminus.cleanup_debts"))

        await until(tried)
        [debt] = (await cli.ok("cleanup", "--json")).json()
        assert debt["stop_job_by"] == "bob"
        assert debt["job_stopped_at"] is None
        assert debt["last_error"].startswith("the router did not say that no job runs it any more: syntax error")
        assert not fleet.journal.events("r1", Kind.IMPORT_INTERRUPTED)
