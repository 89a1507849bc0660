"""The morning after: an unknown run is judged, files are taken away, and a restored database runs nothing twice."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from tests.acceptance.test_cli import Cli, on_terminal
from tests.acceptance.test_configuration import tminus
from tests.support import Daemon, Db, clean_environment, run_daemon, until, write_config
from tminus.simulator import Fault, Fleet, FleetSpec, SiteSpec, simulate
from tminus.store.embedded import EmbeddedServer
from tminus.store.migrate import migrate

SCRIPT = "/ip dns static add name=new.example address=192.0.2.7\n:put done\n"
FILE = "tminus-00000000000000aa.rsc"


async def test_an_unknown_run_is_judged_by_a_person_and_its_alert_ends(database: Db, tmp_path: Path) -> None:
    cli = Cli(database)
    sites = tuple(
        SiteSpec(id=name, version="7.20.8", faults=faults)
        for name, faults in (
            ("ok", frozenset()),
            ("one", frozenset({Fault.REBOOTS})),
            ("two", frozenset({Fault.REBOOTS})),
        )
    )
    async with simulate(FleetSpec(site_specs=sites)) as fleet, run_daemon(database, tmp_path, fleet) as daemon:
        await database.run(fleet.inventory_sql(None))
        script = str(await database.submit(SCRIPT))
        runs = await database.finished(script)
        assert {site: run["state"] for site, run in runs.items()} == {
            "ok": "completed",
            "one": "unknown",
            "two": "unknown",
        }
        assert (await daemon.metrics())["tminus_site_runs_unknown"] == 2

        listed = (await cli.ok("resolve", "--json")).json()
        assert {(row["script_id"], row["site_id"], row["reason"]) for row in listed} == {
            (script, "one", "connection_lost"),
            (script, "two", "connection_lost"),
        }
        shown = (await cli.ok("resolve", script, "one")).out
        for words in (
            "file: removed by us",
            "log: none of our lines",
            "it rebooted since",
            "jobs:",
            "history:",
            "router            127.",
            "end marker        TMINUS-OK-",
            "before  20",
        ):
            assert words in shown, shown
        assert "Came to light later" not in shown
        await database.fetch(
            "select tminus.record('late_evidence', 'tminus', $1::text::uuid, r.launch_id, r.site_id, jsonb_build_object("
            "'site_run', r.id, 'verdict', 'failed', 'effect', 'none', 'message', 'It never started.'))"
            " from tminus.site_runs r where r.id = $2",
            script, runs["one"]["id"],
        )  # fmt: skip
        shown = (await cli.ok("resolve", script, "one")).out
        assert re.search(r"Came to light later\n20.* UTC  failed \(none\): It never started\.\n", shown), shown
        (evidence,) = (await cli.ok("resolve", script, "one", "--json")).json()
        assert evidence["id"] == runs["one"]["id"]
        assert "it rebooted since" in evidence["evidence"]
        assert [backup["phase"] for backup in evidence["backups"]][-1:] == ["before"]

        verdict = ("--verdict", "failed/none", "--note", "The export shows no new name.")
        (await cli("resolve", script, "one", *verdict, login="arthur")).refused("so arthur may not resolve")
        (await cli("resolve", script, "one", "--verdict", "fine", "--note", "x")).refused(
            "'fine' is no verdict", "completed (it"
        )
        (await cli("resolve", script, "one", "--verdict", "completed")).refused("--verdict and --note go together")
        (await cli("resolve", script, "ok", *verdict, login="bob")).refused("on ok is completed and not unknown")
        # One of them is refused, so none is judged.
        (await cli("resolve", script, "one", "ok", *verdict, login="bob")).refused("there is nothing to resolve")
        assert len((await cli.ok("resolve", "--json")).json()) == 2
        assert "now counts as failed/none" in (await cli.ok("resolve", script, "one", *verdict, login="bob")).out

        async with on_terminal(database, "alice", "resolve", script, "two") as terminal:
            await terminal.shows("it rebooted since")
            await terminal.shows("Your verdict")
            terminal.type("completed\n")
            await terminal.shows("How you know")
            terminal.type("It has the name.\n")
            assert await terminal.end() == 0

        assert (await cli("resolve")).err == "no run is unresolved\n"
        assert (await daemon.metrics())["tminus_site_runs_unknown"] == 0
        assert (await database.script(script))["progress"] == {
            "completed": ["ok", "two"],
            "failed": ["one"],
            "pending": [],
        }
        status = (await cli.ok("status", script)).out
        assert "2 completed, 1 failed" in status
        assert "was unknown; resolved by a person" in status
        for command in ("show", "resolve"):
            shown = (await cli.ok(command, script, "one")).out
            assert re.search(
                r"resolved +failed \(effect: none\), by bob at 20.* UTC: The export shows no new name\. *\n", shown
            )
            assert "it rebooted since" in shown
            assert ("router  " in shown) is (command == "resolve")
        assert all(len(fleet.journal.starts(site)) == 1 for site in runs)
        assert await daemon.stop() == 0


async def test_files_that_lie_on_routers_are_listed_tried_at_once_and_forgiven(database: Db, tmp_path: Path) -> None:
    cli = Cli(database)
    async with simulate(FleetSpec(sites=2)) as fleet, run_daemon(database, tmp_path, fleet) as daemon:
        await database.run(fleet.inventory_sql(None))
        script = str(await database.submit(":put 1"))
        runs = await database.finished(script)
        assert (await cli("cleanup")).err == "nothing of ours lies on a router\n"
        fleet.router("sim-0000").files.put(FILE, b":put 1")
        for site in ("sim-0000", "sim-0001"):
            await fleet.set_faults(site, (Fault.OFFLINE,))
        await database.fetch(
            "insert into tminus.cleanup_debts (site_id, site_run_id, file_name) select site_id, id, $2 from tminus.site_runs"
            " where id = any ($1)",
            [run["id"] for run in runs.values()], FILE,
        )  # fmt: skip

        async def tried() -> bool:
            rows = (await cli.ok("cleanup", "--json")).json()
            return all(row["attempts"] == 1 and row["last_error"] for row in rows)

        await until(tried, within=30)
        gone, scrapped = sorted((await cli.ok("cleanup", "--json")).json(), key=lambda row: row["site_id"])
        assert (gone["site_id"], gone["file_name"]) == ("sim-0000", FILE)
        assert "sim-0000" in gone["last_error"]
        assert "sim-0000" in (await cli.ok("cleanup")).out
        shown = (await cli.ok("resolve", script, "sim-0001")).out
        assert f"\nStill on the router\n{FILE}: 1 attempt to remove it; " in shown
        assert "forgive [OPTIONS] NUMBER" in (await cli.ok("cleanup", "forgive", "--help")).out

        await fleet.set_faults("sim-0000", ())
        (await cli("cleanup", "now", "nowhere", login="alice")).refused("nothing is owed on site 'nowhere'")
        assert "1 file to be looked for at once" in (await cli.ok("cleanup", "now", "sim-0000", login="alice")).out

        async def settled() -> bool:
            return len((await cli.ok("cleanup", "--json")).json()) == 1

        await until(settled)
        assert FILE not in fleet.files("sim-0000")
        (await cli("cleanup", "forgive", str(scrapped["id"]), "--note", " ", login="alice")).refused(
            "the note is empty"
        )
        await cli.ok("cleanup", "forgive", str(scrapped["id"]), "--note", "It was scrapped.", login="alice")
        assert (await daemon.metrics())["tminus_cleanup_debts"] == 0
        assert await daemon.stop() == 0


# -- a restored database -----------------------------------------------------------------------------------------------


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the server's user can reach where the tests are root."""
    made = Path(tempfile.mkdtemp(prefix="tminus-restore-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@asynccontextmanager
async def owner(state: Path) -> AsyncIterator[asyncpg.Connection]:
    """The embedded database, of a daemon that runs or by itself, as its owner."""
    async with EmbeddedServer(state) as server:
        await migrate(server.dsn)
        connection = await asyncpg.connect(server.dsn, timeout=10)
        try:
            yield connection
        finally:
            await connection.close(timeout=5)


@asynccontextmanager
async def served(folder: Path, fleet: Fleet) -> AsyncIterator[Daemon]:
    """A daemon with its own database."""
    key = folder / "id_ed25519"
    key.write_bytes(fleet.client_key.export_private_key())
    key.chmod(0o600)
    config = write_config(
        folder,
        key_file=key,
        state_dir=str(folder / "state"),
        http_listen="127.0.0.1:0",
        poll_interval=0.2,
        reap_interval=0.5,
    )
    log_file = folder / "serve.log"
    with log_file.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tminus", "--config", str(config), "serve", stderr=log, env=clean_environment()
        )
    daemon = Daemon(process, log_file)
    try:

        async def ready() -> bool:
            assert process.returncode is None, log_file.read_text()
            events = [event for event in daemon.log() if event["event"] == "ready" and event["pid"] == process.pid]
            if events:
                daemon.url = f"http://{events[-1]['listening']}"
            return bool(events)

        await until(ready, within=60)
        yield daemon
    finally:
        await daemon.kill()


async def copy(source: Path, target: Path) -> None:
    """Copy a folder with owners and modes."""
    process = await asyncio.create_subprocess_exec("cp", "-a", str(source), str(target))
    assert await process.wait() == 0


async def test_a_database_that_is_set_back_runs_nothing_twice(folder: Path) -> None:
    state, saved = folder / "state", folder / "saved"
    here = {"TMINUS_CONFIG": str(folder / "tminus.toml")}
    async with simulate(FleetSpec(sites=2)) as fleet:
        async with owner(state) as connection:
            await connection.execute(fleet.inventory_sql(None))
            script = await connection.fetchval(
                "insert into tminus.scheduled_scripts (created_by, script, sites, launch_at)"
                " select 'alice', $1, array_agg(id order by id), now() + interval '0.3 seconds' from tminus.sites returning id",
                SCRIPT,
            )
            await connection.fetchval("select tminus.authorize($1, tminus.digest($1), 'bob')", script)
        await copy(state / "postgres", saved)

        async with served(folder, fleet) as daemon:
            async with owner(state) as connection:
                await until(lambda: connection.fetchval("select bool_and(state = 'completed') from tminus.site_runs"))
            assert await daemon.stop() == 0
        assert [len(fleet.journal.starts(site.id)) for site in fleet.sites] == [1, 1]
        shutil.rmtree(state / "postgres")
        await copy(saved, state / "postgres")

        async with served(folder, fleet) as daemon:
            code, why = await daemon.get("/readyz")
            assert code == 503
            assert "paused: the script of launch" in why
            (paused,) = [event for event in daemon.log() if event["event"] == "paused"]
            assert paused["level"] == "error"
            assert "tminus resume --note" in paused["next"]
            assert (await daemon.get("/healthz"))[0] == 200
            async with owner(state) as connection:
                assert await connection.fetchval("select status from tminus.scheduled_scripts") == "scheduled"
                # Several rounds of the launcher: it lives, and launches nothing.
                rounds = (await daemon.metrics())['tminus_service_ticks_total{service="launcher"}']

                async def went_round() -> bool:
                    return (await daemon.metrics())['tminus_service_ticks_total{service="launcher"}'] >= rounds + 5

                await until(went_round)
                assert await connection.fetchval("select count(*) from tminus.launches") == 0
            code, out, _ = await tminus("status", **here)
            assert code == 0
            assert "All is paused" in out
            code, _, err = await tminus("cancel", str(script), "--as", "alice", **here)
            assert code == 0, err
            code, out, err = await tminus("resume", "--note", "Put the copy of noon back; cancelled what ran.", **here)
            assert code == 0, err
            assert "this database does not know of it" in out
            assert "resumed; 2 lost starts accepted" in out

            async def ready() -> bool:
                return (await daemon.get("/readyz"))[0] == 200

            await until(ready)
            assert await daemon.stop() == 0
        assert [len(fleet.journal.starts(site.id)) for site in fleet.sites] == [1, 1]


async def test_a_database_that_is_set_back_under_a_running_daemon_is_noticed_on_the_next_connection(
    database: Db, tmp_path: Path
) -> None:
    async with simulate(FleetSpec(sites=1)) as fleet, run_daemon(database, tmp_path, fleet) as daemon:
        await database.run(fleet.inventory_sql(None))
        await database.finished(await database.submit(":put 1"))
        (log,) = (tmp_path / "state/intents").glob("*.jsonl")
        kept = json.loads(log.read_text())
        assert kept["site"] == "sim-0000"
        # What a failover to a replica that was behind does: the start is gone, and so are all connections.
        async with database.connect() as connection:
            await connection.execute("set session_replication_role = replica")
            await connection.execute("update tminus.site_runs set nonce = 'of an earlier attempt'")
            await connection.fetch(
                "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'tminus_serve' and pid <> pg_backend_pid()"
            )

        async def paused() -> bool:
            return (await daemon.get("/readyz"))[1].startswith("paused")

        await until(paused)
        assert await database.value("select tminus.is_paused()")
        assert await daemon.stop() == 0
