"""`tminus rehearse`: who is not ready and why, found out without running anything."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_cli import SITES, Cli
from tests.support import Db, clean_environment, run_daemon, until
from tminus.cli import watch
from tminus.errors import StoreUnavailable
from tminus.simulator import Fault, FleetSpec, Kind, SiteSpec, simulate
from tminus.simulator.console import importing

SCRIPT = '/ip firewall filter add chain=input action=drop comment="from tminus"\n'
FAULTS = {
    Fault.OFFLINE: "offline",
    Fault.REFUSES_LOGIN: "auth_failed",
    Fault.CHANGED_HOST_KEY: "host_key_changed",
    Fault.EXPORT_ERROR: "backup_incomplete",
    Fault.NO_SFTP: "upload_failed",
}


async def tminus(database: Db, *arguments: str, login: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tminus", *arguments,
        env=clean_environment() | {"TMINUS_DATABASE_URL": database.dsn_as(login)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


@asynccontextmanager
async def rehearsing(database: Db, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`tminus rehearse` as it runs, by alice."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tminus", "rehearse", *arguments,
        env=clean_environment() | {"TMINUS_DATABASE_URL": database.dsn_as("alice")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def with_sites(database: Db) -> Cli:
    """Three sites of the inventory that no daemon serves."""
    cli = Cli(database)
    await cli.ok("site", "import", "-", login="api", stdin=SITES)
    return cli


async def turn_away(database: Db, login: str) -> None:
    """End the connections of a login, and let nobody but the superuser in again."""
    name = await database.value("select current_database()")
    await database.run(f"alter database {name} connection limit 0")
    await database.run(
        f"select pg_terminate_backend(pid) from pg_stat_activity where usename = '{login}' and datname = '{name}'"
    )


async def wish(database: Db, script: str = SCRIPT) -> Any:
    """A scheduled script of alice's, days ahead and not authorized."""
    return await database.value(
        "insert into tminus.scheduled_scripts (script, sites, launch_at)"
        " select $1, array_agg(id order by id), tminus.clock() + interval '3 days' from tminus.sites returning id",
        script,
        role="alice",
    )


async def test_a_router_that_runs_dry_runs_is_not_given_what_nobody_has_authorized(
    database: Db, tmp_path: Path
) -> None:
    sites = (
        SiteSpec(id="honest", version="7.20.8"),
        SiteSpec(id="wrong", version="7.20.8", faults=frozenset({Fault.RUNS_DRY_RUN})),
        SiteSpec(id="older", version="7.12.2", faults=frozenset({Fault.RUNS_DRY_RUN})),
    )
    async with simulate(FleetSpec(site_specs=sites)) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(SCRIPT, [site.id for site in sites], due_in=86400)
        code, out, _ = await tminus(database, "rehearse", str(script), login="alice")
        assert code == 1, out
        runs = await database.site_runs(script)
        assert {site: (run["state"], run["reason"]) for site, run in runs.items()} == {
            "honest": ("skipped", "rehearsed"),
            "wrong": ("failed", "guard_failed"),
            "older": ("skipped", "rehearsed"),
        }
        assert "was not given the script" in runs["wrong"]["message"]
        for site in sites:
            assert "from tminus" not in fleet.export(site.id)
            assert not fleet.files(site.id)
            sent = {event.facts["sha256"] for event in fleet.journal.events(site.id, Kind.UPLOAD)}
            assert (hashlib.sha256(SCRIPT.encode()).hexdigest() in sent) is (site.id != "wrong")


async def test_a_router_that_answers_a_dry_run_otherwise_is_given_only_what_is_authorized(
    database: Db, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it did cannot be told, so nobody may say that it only looked; nor is it said to have run the script."""
    monkeypatch.setattr(importing, "CLEAN", "Nothing to complain of")
    sites = (SiteSpec(id="r1", version="7.20.8"),)
    async with simulate(FleetSpec(site_specs=sites)) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(SCRIPT, due_in=86400)
        code, out, _ = await tminus(database, "rehearse", str(script), login="alice")
        assert code == 1, out
        run = (await database.site_runs(script))["r1"]
        assert (run["state"], run["effect"], run["reason"]) == ("failed", "none", "guard_failed"), run["message"]
        assert "did not say that it only looked at it, so it was not given the script" in run["message"]
        sent = {event.facts["sha256"] for event in fleet.journal.events("r1", Kind.UPLOAD)}
        assert hashlib.sha256(SCRIPT.encode()).hexdigest() not in sent
        run = (await database.finished(await database.submit(SCRIPT), within=60))["r1"]
        assert (run["state"], run["effect"]) == ("completed", "applied"), run["message"]
        assert run["warnings"] == ["The dry run did not say that the file is free of errors."]


async def test_it_tells_who_is_not_ready_and_starts_nothing(database: Db, tmp_path: Path) -> None:
    spec = FleetSpec(
        sites=10, faults=dict.fromkeys(FAULTS, 1), versions=("7.20.8", "7.12.2"), base="127.46.0.1", seed=3
    )
    async with simulate(spec) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        exports = {site: fleet.export(site) for site in await database.site_ids()}
        script = await wish(database)
        code, out, err = await tminus(database, "rehearse", str(script), "--json", login="alice")
        assert (code, err) == (1, "")
        told = json.loads(out)
        assert (told["sites"], told["ready"]) == (10, 5)
        for run in told["site_runs"]:
            fault = next(iter(fleet.router(run["site_id"]).faults), None)
            expected = ("failed", FAULTS[fault]) if fault else ("skipped", "rehearsed")
            assert (run["state"], run["reason"], run["effect"]) == (*expected, "none"), (fault, run["message"])
            assert run["executing_at"] is None
        for site, export in exports.items():
            assert fleet.journal.starts(site) == []
            assert fleet.export(site) == export
            assert fleet.files(site) == {}
        uploads = [site for site in exports if fleet.journal.events(site, Kind.UPLOAD)]
        assert len(uploads) == 5, "all that comes before the start was done"
        assert await database.value("select count(*) from tminus.backups where phase = 'before'") == 6
        assert (await database.script(script))["status"] == "unauthorized"

        code, out, _ = await tminus(database, "rehearse", str(script), login="bob")
        assert code == 1
        assert "5 of 10 sites are ready." in out
        assert "backup_incomplete" in out
        code, out, _ = await tminus(database, "status", login="rita")
        assert code == 0
        assert "rehearsal: 5 of 10 ready" in out
        assert "skipped" not in out


async def test_a_script_that_does_not_parse_is_found_out(database: Db, tmp_path: Path) -> None:
    async with simulate(FleetSpec(sites=2)) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        code, out, _ = await tminus(
            database, "rehearse", str(await wish(database, "/ip adress print\n")), login="alice"
        )
        assert code == 1
        assert "0 of 2 sites are ready." in out
        assert "script_rejected" in out
        code, out, err = await tminus(database, "rehearse", str(await wish(database)), login="alice")
        assert (code, out.strip(), err) == (0, "2 of 2 sites are ready.", "")


async def test_it_says_what_it_waits_for_and_waits_through_a_restart_of_the_database(database: Db) -> None:
    cli = await with_sites(database)
    script = await wish(database)
    async with rehearsing(database, str(script), "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert b"No daemon is alive" in await process.stderr.readline()
        await turn_away(database, "alice")
        while b"; trying again" not in (said := await process.stderr.readline()):
            assert said, "it ended"
        await database.run(f"alter database {await database.value('select current_database()')} connection limit -1")
        while b"No daemon is alive" not in (said := await process.stderr.readline()):
            assert b"; trying again" in said
        await cli.ok("cancel", str(script), login="alice")
        out, err = await process.communicate()
    assert (process.returncode, err) == (1, b"")
    told = json.loads(out)
    assert (told["sites"], told["ready"]) == (3, 0)
    assert {run["reason"] for run in told["site_runs"]} == {"cancelled"}


async def test_it_gives_up_on_a_database_that_stays_away(database: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    cli = await with_sites(database)
    monkeypatch.setattr(watch, "PATIENCE", 1.0)
    looks = (
        "select exists (select from pg_stat_activity where usename = 'alice' and datname = current_database()"
        " and query like '-- Rehearsal %')"
    )
    script = await wish(database)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        waiting = group.create_task(cli("rehearse", str(script), login="alice"))
        await until(lambda: database.value(looks))
        await turn_away(database, "alice")
    answer = waiting.result()
    assert (answer.code, answer.out) == (StoreUnavailable.exit_code, "")
    assert "; trying again" in answer.err
    assert "\ntminus: could not " in answer.err
