"""Scripts and their sessions: those that need none, and those that end their own."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import asyncssh

from tests.acceptance.test_scan import Scan
from tests.support import Db, run_daemon, until
from tminus.simulator import Behaviour, Fault, FleetSpec, Kind, Setup, SiteSpec, simulate
from tminus.simulator.router import Timing

SLOW = '/ip dns static add name=slow.example address=192.0.2.1\n:delay 3s\n:put "after"\n'


def one(version: str = "7.20.8", *faults: Fault) -> FleetSpec:
    return FleetSpec(site_specs=(SiteSpec(id="r1", version=version, faults=frozenset(faults)),))


def ending(run: object) -> tuple[str, str, str | None]:
    return run["state"], run["effect"], run["reason"]  # type: ignore[index]


async def test_a_detached_script_runs_as_a_job_and_its_output_is_collected(database: Db, tmp_path: Path) -> None:
    async with simulate(one()) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(SLOW, detached=True)
        run = (await database.finished(script))["r1"]
        assert ending(run) == ("completed", "applied", None), run["message"]
        assert run["output"].splitlines() == ["after", "Script file loaded and executed successfully"]
        assert "slow.example" in run["diff"]
        assert len(fleet.journal.starts("r1")) == 1
        assert not fleet.files("r1")
        # Nobody held its session: the connection that started it was gone before it ended.
        finished = fleet.journal.events("r1", Kind.IMPORT_FINISHED)[0]
        lost = [e.monotonic for e in fleet.journal.events("r1", Kind.CONNECTION_LOST)]
        assert lost
        assert lost[0] < finished.monotonic


async def test_a_detached_script_that_fails_says_where(database: Db, tmp_path: Path) -> None:
    async with simulate(one()) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit('/ip dns static add name=a address=192.0.2.1\n:error "no WAN"\n', detached=True)
        run = (await database.finished(script))["r1"]
        assert ending(run) == ("failed", "partial", "script_error")
        assert "no WAN" in run["message"]
        assert not fleet.files("r1")


async def test_a_detached_script_outlives_the_daemon_and_the_next_one_finds_out(database: Db, tmp_path: Path) -> None:
    async with simulate(one()) as fleet:
        async with run_daemon(database, tmp_path / "a", fleet) as first:
            await database.run(fleet.inventory_sql(None))
            script = await database.submit(SLOW, detached=True)
            await asyncio.wait_for(fleet.journal.wait("r1", Kind.IMPORT_STARTED), 20)
            await first.kill()
        async with run_daemon(database, tmp_path / "b", fleet):
            run = (await database.finished(script))["r1"]
        assert ending(run) == ("completed", "applied", None), run["message"]
        assert len(fleet.journal.starts("r1")) == 1
        assert not fleet.files("r1")


async def test_a_version_that_cannot_prove_the_end_of_a_job_is_refused(database: Db, tmp_path: Path) -> None:
    async with simulate(one("6.49.10")) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        run = (await database.finished(await database.submit(":put 1", detached=True)))["r1"]
        assert ending(run) == ("failed", "none", "guard_failed")
        assert "7.13" in run["message"]
        assert not fleet.journal.starts("r1")


async def test_a_script_that_only_reboots_is_done_when_the_router_is_back(database: Db, tmp_path: Path) -> None:
    async with simulate(one()) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit("# nightly\n/system reboot\n", expects_disconnect=True)
        run = (await database.finished(script, within=60))["r1"]
        assert ending(run) == ("completed", "applied", None), run["message"]
        assert "rebooted" in run["message"]
        assert len(fleet.journal.events("r1", Kind.REBOOT)) == 1
        assert not fleet.files("r1")


async def test_a_log_that_names_us_as_who_rebooted_proves_what_came_before(database: Db, tmp_path: Path) -> None:
    site = SiteSpec(id="r1", version="7.24.4", behaviour=Behaviour(reboot_says_who=True))
    async with simulate(FleetSpec(site_specs=(site,))) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        body = "/ip dns static add name=slow.example address=192.0.2.1\n/system reboot\n"
        run = (await database.finished(await database.submit(body, expects_disconnect=True), within=60))["r1"]
        assert ending(run) == ("completed", "applied", None), run["message"]
        assert "router rebooted by ssh:tminus@" in run["message"]
        assert "slow.example" in run["diff"]


async def test_an_upgrade_is_done_when_the_router_is_back_with_a_newer_version(database: Db, tmp_path: Path) -> None:
    site = SiteSpec(id="r1", version="7.20.8", setup=Setup(upgrade_to="7.24.4"))
    async with simulate(FleetSpec(site_specs=(site,))) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit("/system package update install\n", expects_disconnect=True)
        run = (await database.finished(script, within=60))["r1"]
        assert ending(run) == ("completed", "applied", None), run["message"]
        assert "7.24.4" in run["message"]


async def test_a_reboot_by_a_job_is_proved_by_the_end_marker_and_by_coming_back(database: Db, tmp_path: Path) -> None:
    async with simulate(one()) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        body = '/ip dns static add name=slow.example address=192.0.2.1\n:execute script=":delay 1s; /system reboot"\n'
        run = (await database.finished(await database.submit(body, expects_disconnect=True), within=60))["r1"]
        assert ending(run) == ("completed", "applied", None), run["message"]
        assert run["message"] == "The script ran to its end. The router rebooted and is back."
        assert "slow.example" in run["diff"]
        assert not fleet.files("r1")


async def test_a_router_that_does_not_come_back_is_no_success(database: Db, tmp_path: Path) -> None:
    async with simulate(one()) as fleet, run_daemon(database, tmp_path, fleet, resolve_within=2.0):
        await database.run(fleet.inventory_sql(None))
        body = ':execute script=":delay 2s; /system reboot"\n:put done\n'
        script = await database.submit(body, expects_disconnect=True, site_timeout=timedelta(seconds=12))
        await asyncio.wait_for(fleet.journal.wait("r1", Kind.IMPORT_FINISHED), 20)
        await fleet.set_faults("r1", (Fault.OFFLINE,))
        run = (await database.finished(script, within=60))["r1"]
        assert ending(run) == ("failed", "applied", "check_failed"), run["message"]
        assert "has not come back" in run["message"]


async def test_a_reboot_in_the_middle_of_a_script_is_never_taken_for_the_expected_one(
    database: Db, tmp_path: Path
) -> None:
    async with simulate(one("7.20.8", Fault.REBOOTS)) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        body = (
            "/ip dns static add name=a address=192.0.2.1\n/ip dns static add name=b address=192.0.2.2\n/system reboot\n"
        )
        run = (await database.finished(await database.submit(body, expects_disconnect=True), within=90))["r1"]
        assert ending(run) == ("unknown", "unknown", "connection_lost"), run["message"]
        assert "rebooted" in run["message"]
        assert run["diff"]


async def test_a_script_that_was_to_end_its_session_and_did_not_is_told(database: Db, tmp_path: Path) -> None:
    async with simulate(one()) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(":put 1", expects_disconnect=True)
        run = (await database.finished(script, within=60))["r1"]
        assert ending(run) == ("completed", "applied", None)
        assert any("expected to end its session" in warning for warning in run["warnings"])


async def test_an_export_that_is_cut_and_cannot_be_fetched_either_is_no_backup(database: Db, tmp_path: Path) -> None:
    spec = one("7.20.8", Fault.TRUNCATES_EXPORT, Fault.NO_SFTP)
    async with simulate(spec) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        run = (await database.finished(await database.submit(":put 1")))["r1"]
        assert ending(run) == ("failed", "none", "backup_incomplete")
        assert "as a file" in run["message"]
        assert not fleet.files("r1")


async def test_an_export_that_is_much_shorter_than_the_last_one_is_taken_a_second_time(
    database: Db, tmp_path: Path
) -> None:
    async with simulate(one()) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        assert (await database.finished(await database.submit(":put 1")))["r1"]["warnings"] == []
        # As if the router had lost most of its configuration since, or the way from it most of what it said.
        await database.run("update tminus.backups set raw_bytes = 10 * raw_bytes")
        run = (await database.finished(await database.submit(":put 2")))["r1"]
        assert ending(run) == ("completed", "applied", None)
        (warning,) = run["warnings"]
        assert "the one before had" in warning
        assert "written to a file, is the same" in warning
        assert not fleet.files("r1")


async def test_what_an_earlier_attempt_left_is_removed_at_the_next_contact(database: Db, tmp_path: Path) -> None:
    async with simulate(one()) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        run = (await database.finished(await database.submit(":put 1")))["r1"]
        store = fleet.router("r1").files
        for name in (
            f"tminus-{run['nonce']}.rsc",
            f"tminus-{run['nonce']}.txt",
            "tminus-fedcba9876543210.rsc",
            "mine.rsc",
        ):
            store.put(name, b"x")
        await database.finished(await database.submit(":put 2"))
        # Another database's file, and the person's, are not ours to remove.
        assert sorted(fleet.files("r1")) == ["mine.rsc", "tminus-fedcba9876543210.rsc"]


async def test_of_a_long_output_of_a_job_the_end_is_kept(database: Db, tmp_path: Path) -> None:
    async with simulate(one()) as fleet, run_daemon(database, tmp_path, fleet, output_cap=2048):
        await database.run(fleet.inventory_sql(None))
        body = ':for i from=1 to=4000 do={ :put "line $i of a long output" }\n'
        run = (await database.finished(await database.submit(body, detached=True)))["r1"]
        assert ending(run) == ("completed", "applied", None), run["message"]
        assert "line 4000 of a long output" in run["output"]
        assert "left out" in run["output"]
        assert len(run["output"]) <= 2048
        assert not fleet.files("r1")


async def test_what_another_device_says_is_no_evidence(database: Db, tmp_path: Path) -> None:
    async with simulate(one("7.20.8", Fault.DROPS_AFTER_SCRIPT)) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        run = (await database.finished(await database.submit(":put 1")))["r1"]
        assert ending(run) == ("completed", "applied", None), run["message"]
        script = await database.submit(":delay 2s")
        await asyncio.wait_for(fleet.journal.wait("r1", Kind.IMPORT_STARTED, count=2), 20)
        router = fleet.router("r1")
        router.hardware = replace(router.hardware, serial="HC0OTHER0ONE")
        run = (await database.finished(script))["r1"]
        assert ending(run) == ("unknown", "unknown", "connection_lost"), run["message"]
        assert "Another device answers there now: its serial number is HC0OTHER0ONE" in run["message"]


async def test_a_clone_that_answers_on_the_address_of_another_is_no_longer_that_one(
    database: Db, tmp_path: Path
) -> None:
    """Virtual routers have no serial number, and these have one host key: what they call themselves tells them apart."""
    sites = (
        SiteSpec(id="a", version="7.20.8", chr=True),
        SiteSpec(id="b", version="7.20.8", chr=True, clone_of="a"),
        SiteSpec(id="c", version="7.20.8", chr=True),
        SiteSpec(id="d", version="7.20.8", chr=True),
        SiteSpec(id="e", version="7.20.8", chr=True, clone_of="d"),
    )
    async with simulate(FleetSpec(site_specs=sites)) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        for run in (await database.finished(await database.submit(":put 1"))).values():
            assert (run["state"], run["warnings"]) == ("completed", [])
        address = await database.value("select address from tminus.sites where id = 'b'")
        await database.run("update tminus.sites set address = '127.0.0.9' where id = 'b'")
        await database.run(f"update tminus.sites set address = '{address}' where id = 'a'")
        where = fleet.site("c")
        async with asyncssh.connect(
            where.address, where.port, username="tminus", client_keys=[fleet.client_key], known_hosts=None
        ) as connection:
            await connection.run("/system identity set name=renamed", check=True)
        script = await database.submit("/ip dns static add name=x.example address=192.0.2.1\n", ["a", "c"])
        runs = await database.finished(script)
        assert ending(runs["a"]) == ("failed", "none", "identity_changed"), runs["a"]["message"]
        assert "calls itself 'b' and not 'a', as b does" in runs["a"]["message"]
        assert ending(runs["c"]) == ("completed", "applied", None)
        assert runs["c"]["warnings"] == ["The router calls itself 'renamed'; when it was last asked it was 'c'."]
        assert len(fleet.journal.starts("b")) == 1
        # What the message says to do, where it is the router that is meant.
        assert "tminus site scan a --accept-changed a" in runs["a"]["message"]
        found, _, err = await Scan(database, tmp_path, fleet).found("a", "--accept-changed", "a")
        assert found["a"]["accepted"], err
        assert (await database.finished(await database.submit(":put 1", ["a"])))["a"]["state"] == "completed"


async def test_a_clone_that_a_script_of_ours_renames_is_still_that_one(database: Db, tmp_path: Path) -> None:
    sites = (
        SiteSpec(id="d", version="7.20.8", chr=True),
        SiteSpec(id="e", version="7.20.8", chr=True, clone_of="d"),
    )
    async with simulate(FleetSpec(site_specs=sites)) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        for body in (":put 1", "/system identity set name=same\n", ":put 1", ":put 1"):
            for run in (await database.finished(await database.submit(body))).values():
                assert (run["state"], run["warnings"]) == ("completed", []), run["message"]


async def test_a_log_that_shows_its_lines_late_proves_no_script_unstarted(database: Db, tmp_path: Path) -> None:
    """The line of our contact can be read, that of the start not yet; the script goes on, and the router does not list it."""
    late = Behaviour(log_lag_s=2.0, foreground_survives_close=True, foreground_listed=False)
    hidden = replace(late, shows_jobs=False)
    bodies = {
        "prints": (':put "step one"\n:delay 6s\n/ip dns static add name=slow.example address=192.0.2.1\n', late, False),
        "silent": (":delay 6s\n/ip dns static add name=slow.example address=192.0.2.1\n", late, False),
        "changes": ("/ip dns static add name=slow.example address=192.0.2.1\n:delay 6s\n", late, False),
        "job": (":delay 6s\n/ip dns static add name=slow.example address=192.0.2.1\n", hidden, True),
    }
    sites = [
        SiteSpec(id=site, version="7.20.8", behaviour=behaviour, timing=Timing(export_s=1.7))
        for site, (_, behaviour, _) in bodies.items()
    ]
    async with (
        simulate(FleetSpec(site_specs=tuple(sites))) as fleet,
        run_daemon(database, tmp_path, fleet, resolve_within=8.0),
    ):
        await database.run(fleet.inventory_sql(None))
        scripts = {
            site: await database.submit(body, [site], detached=detached, site_timeout=timedelta(seconds=30))
            for site, (body, _, detached) in bodies.items()
        }

        async def cut(site: str) -> None:
            await fleet.journal.wait(site, Kind.IMPORT_STARTED)
            fleet.cut(site)

        await asyncio.wait_for(asyncio.gather(*(cut(site) for site in bodies)), 40)
        again = await database.submit(":put again", list(bodies))
        for site, script in scripts.items():
            run = (await database.finished(script, within=60))[site]
            assert run["effect"] != "none", f"{site}: {run['message']}"

        async def free() -> bool:
            await database.run("update tminus.busy_sites set look_at = tminus.clock() where free_at is null")
            return not await database.value("select exists (select from tminus.busy_sites where free_at is null)")

        await until(free, within=60, every=1)
        for site in await database.finished(again, within=30):
            _, second = fleet.journal.starts(site)
            assert fleet.journal.events(site, Kind.IMPORT_FINISHED)[0].monotonic < second.monotonic, site


async def test_a_session_that_the_router_closed_is_not_listened_to(database: Db, tmp_path: Path) -> None:
    """It sends no exit status, and the script left by /quit: its time need not pass."""
    site = SiteSpec(id="r1", version="7.20.8", behaviour=Behaviour(sends_status=False))
    async with (
        simulate(FleetSpec(site_specs=(site,))) as fleet,
        run_daemon(database, tmp_path, fleet, resolve_within=4.0),
    ):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(':put "on my way"\n/quit\n', site_timeout=timedelta(minutes=5))
        run = (await database.finished(script, within=60))["r1"]
        assert ending(run) == ("unknown", "unknown", "connection_lost"), run["message"]


async def test_a_file_that_cannot_be_removed_is_said_to_be_there(database: Db, tmp_path: Path) -> None:
    site = SiteSpec(id="r1", version="7.20.8", behaviour=Behaviour(removed_listed_s=600.0))
    async with (
        simulate(FleetSpec(site_specs=(site,))) as fleet,
        run_daemon(database, tmp_path, fleet, resolve_within=3.0),
    ):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(SLOW)
        await asyncio.wait_for(fleet.journal.wait("r1", Kind.IMPORT_STARTED), 20)
        fleet.cut("r1")
        run = (await database.finished(script, within=60))["r1"]
        assert ending(run) == ("unknown", "unknown", "connection_lost")
        assert "could not be removed" in run["message"]
        assert "still listed: a late start cannot be ruled out" in run["evidence"]


async def test_a_dry_run_that_was_lost_is_repeated_where_a_harmless_one_runs_nothing(
    database: Db, tmp_path: Path
) -> None:
    sites = (
        SiteSpec(id="honest", version="7.20.8", faults=frozenset({Fault.SLOW})),
        SiteSpec(id="wrong", version="7.20.8", faults=frozenset({Fault.SLOW, Fault.RUNS_DRY_RUN})),
    )
    async with simulate(FleetSpec(site_specs=sites)) as fleet, run_daemon(database, tmp_path, fleet) as daemon:
        await database.run(fleet.inventory_sql(None))

        def dry_runs(site: str) -> int:
            return sum("dry-run" in event.facts["command"] for event in fleet.journal.events(site, Kind.EXEC))

        async def over(script: object) -> bool:
            await database.run("update tminus.site_runs set not_before = tminus.clock() where state = 'pending'")
            return bool(await database.value("select finished_at from tminus.scheduled_scripts where id = $1", script))

        script = await database.submit("/ip dns static add name=x.example address=192.0.2.1\n")
        for site in ("honest", "wrong"):

            async def looks(site: str = site) -> bool:
                return dry_runs(site) > 0

            await until(looks, within=30)
            fleet.cut(site)
        await until(lambda: over(script), within=60, every=1)
        runs = await database.site_runs(script)
        assert ending(runs["honest"]) == ("completed", "applied", None), runs["honest"]["message"]
        assert dry_runs("honest") == 3
        assert ending(runs["wrong"]) == ("unknown", "unknown", "connection_lost"), runs["wrong"]["message"]
        assert "dry run of a harmless file and ran it" in runs["wrong"]["message"]
        assert dry_runs("wrong") == 2
        assert await database.fetch("select site_id from tminus.busy_sites where free_at is null") == [("wrong",)]
        assert not [event for event in daemon.log() if event["level"] in ("error", "critical")]


async def test_a_file_that_is_listed_after_its_removal_keeps_no_proof_away(database: Db, tmp_path: Path) -> None:
    lingers = Behaviour(removed_listed_s=1.5, foreground_survives_close=True)
    site = SiteSpec(id="r1", version="7.20.8", behaviour=lingers)
    async with (
        simulate(FleetSpec(site_specs=(site,))) as fleet,
        run_daemon(database, tmp_path, fleet, resolve_within=20.0),
    ):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(":delay 3s\n/ip dns static add name=slow.example address=192.0.2.1\n")
        await asyncio.wait_for(fleet.journal.wait("r1", Kind.IMPORT_STARTED), 20)
        fleet.cut("r1")
        run = (await database.finished(script, within=60))["r1"]
        assert ending(run) == ("completed", "applied", None), run["message"]


async def test_who_answers_with_another_host_key_after_a_lost_connection_is_told_nothing(
    database: Db, tmp_path: Path
) -> None:
    # Who cannot be reached would be tried again for that long, and longer than is waited for here.
    async with simulate(one()) as fleet, run_daemon(database, tmp_path, fleet, resolve_within=60.0) as daemon:
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(SLOW)
        await asyncio.wait_for(fleet.journal.wait("r1", Kind.IMPORT_STARTED), 20)
        fleet.replace_host_key("r1")
        so_far = len(fleet.journal.events("r1"))
        fleet.cut("r1")
        run = (await database.finished(script))["r1"]
        assert ending(run) == ("unknown", "unknown", "connection_lost"), run["message"]
        assert "The router could not be asked about it: " in run["message"]
        assert "host key" in run["message"]
        # It is looked at again since its script may still run, and is told as little then.
        await database.run("update tminus.busy_sites set look_at = tminus.clock()")

        async def looked_again() -> bool:
            return bool(await database.value("select look_at > tminus.clock() from tminus.busy_sites"))

        await until(looked_again)
        after = {event.kind for event in fleet.journal.events("r1")[so_far:]}
        assert Kind.CONNECTION_LOST in after
        assert after <= {Kind.CONNECTION_LOST, Kind.EXEC_INTERRUPTED, Kind.IMPORT_INTERRUPTED}
        assert len(fleet.journal.starts("r1")) == 1
        assert await daemon.stop() == 0


FORGED = r"""
:local x ""
:foreach f in=[/file find where name~"tminus-"] do={ :set x [:pick [/file get $f name] 7 23] }
:log info ("tminus " . $x . " done")
:put "Script file loaded and executed successfully"
:put ("TMINUS-OK-" . $x)
/quit
"""


async def test_a_script_that_writes_what_proves_its_end_itself_and_leaves_proves_nothing(
    database: Db, tmp_path: Path
) -> None:
    specs = tuple(SiteSpec(id=name, version=version) for name, version in (("new", "7.20.8"), ("old", "6.49.10")))
    async with simulate(FleetSpec(site_specs=specs)) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        runs = await database.finished(await database.submit(FORGED), within=90)
        for name in ("new", "old"):
            assert ending(runs[name]) == ("unknown", "unknown", "connection_lost"), runs[name]["message"]
            assert "TMINUS-OK-" not in (runs[name]["output"] or "")
            assert len(fleet.journal.starts(name)) == 1


async def test_a_session_is_used_again_while_the_ending_of_its_site_waits_to_be_written(
    database: Db, tmp_path: Path
) -> None:
    spec = FleetSpec(site_specs=tuple(SiteSpec(id=site, version="7.20.8") for site in ("r1", "r2")))
    async with simulate(spec) as fleet, run_daemon(database, tmp_path, fleet, max_sessions=1):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(SLOW)
        await asyncio.wait_for(fleet.journal.wait("r1", Kind.IMPORT_STARTED), 20)
        async with database.connect() as other, other.transaction():
            await other.execute("select from tminus.site_runs where site_id = 'r1' for update")
            await asyncio.wait_for(fleet.journal.wait("r2", Kind.IMPORT_STARTED), 20)
            state = await other.fetchval("select state from tminus.site_runs where site_id = 'r1'")
            assert state == "running", "it has ended, and nobody could write that yet"
        runs = await database.finished(script)
        assert [ending(runs[site]) for site in ("r1", "r2")] == [("completed", "applied", None)] * 2
