"""Run now and test runs, from the command line to simulated routers."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.test_cli import Cli
from tests.support import Db, run_daemon, until
from tminus.simulator import FleetSpec, SiteSpec, simulate


async def test_what_was_authorized_for_later_is_run_now(database: Db, tmp_path: Path) -> None:
    cli = Cli(database)
    spec = FleetSpec(site_specs=(SiteSpec(id="r1", version="7.20.8"), SiteSpec(id="r2", version="7.20.8")))
    async with simulate(spec) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(":put now", due_in=86400)
        (await cli("run-now", str(script), login="alice")).refused("alice is not an approver")
        answer = await cli.ok("run-now", str(script), "--reason", "storm", login="bob")
        assert answer.out == f"runs now: {script}; see tminus watch {script}\n"
        runs = await database.finished(script)
        assert {site: run["state"] for site, run in runs.items()} == {"r1": "completed", "r2": "completed"}
        assert [len(fleet.journal.starts(site)) for site in ("r1", "r2")] == [1, 1]
        (await cli("run-now", str(script), login="bob")).refused("is launched")
        assert "run now by        bob" in (await cli.ok("launch", "show", str(script), login="rita")).out


async def test_a_script_is_tested_on_its_test_site_before_anybody_authorizes_it(database: Db, tmp_path: Path) -> None:
    cli = Cli(database)
    spec = FleetSpec(site_specs=(SiteSpec(id="lab", version="7.20.8"), SiteSpec(id="r1", version="7.20.8")))
    async with simulate(spec) as fleet, run_daemon(database, tmp_path, fleet, test_sites=["lab"]):
        await database.run(fleet.inventory_sql(None))
        await database.run("update tminus.sites set allow_tests = true")
        submit = ("submit", "-", "--site", "r1", "--in", "24h", "--post-check")
        bad = (await cli.ok(*submit, "1 = 2", "--test-site", "lab", login="alice", stdin=":put 1")).out.split()[1]
        failed = await cli("request-test", bad, login="alice")
        assert failed.code == 1
        assert "did not complete" in failed.out
        good = (await cli.ok(*submit, "1 = 1", "--test-site", "lab", login="alice", stdin=":put 1")).out.split()[1]
        assert "completed." in (await cli.ok("request-test", good, login="alice")).out
        assert (len(fleet.journal.starts("lab")), len(fleet.journal.starts("r1"))) == (2, 0)
        assert "on lab at 20" in (await cli.ok("review", good, login="bob")).out
        assert "post-check 1 (1 = 2) gave false" in " ".join((await cli.ok("review", bad, login="bob")).out.split())
        assert "test: " in (await cli.ok("status", login="rita")).out
        elsewhere = (await cli.ok(*submit, "1 = 1", "--test-site", "r1", login="alice", stdin=":put 1")).out.split()[1]
        (await cli("request-test", elsewhere, login="alice")).refused("no daemon that lives runs tests on site r1")


async def test_a_host_tests_nowhere_but_where_its_own_configuration_says(database: Db, tmp_path: Path) -> None:
    spec = FleetSpec(site_specs=(SiteSpec(id="lab", version="7.20.8"),))
    async with simulate(spec) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        await database.run("update tminus.sites set allow_tests = true")
        # Whoever owns the database may write what they like there.
        await database.run("set session_replication_role = replica; update tminus.instances set test_sites = '{lab}'")
        script = await database.value(
            "insert into tminus.scheduled_scripts (script, sites, test_site_id, launch_at)"
            " values (':put 1', '{lab}', 'lab', now() + interval '1 day') returning id",
            role="alice",
        )
        launch = await database.value("select tminus.request_test($1)", script, role="alice")

        async def look() -> bool:
            return bool(
                await database.value("select finished_at is not null from tminus.launches where id = $1", launch)
            )

        await until(look)
        run = (await database.site_runs(script))["lab"]
        assert (run["state"], run["effect"], run["reason"]) == ("failed", "none", "guard_failed")
        assert "none of the test_sites" in run["message"]
        assert not fleet.journal.starts("lab")


async def test_post_checks_are_submitted_reviewed_and_rendered_on_the_command_line(database: Db) -> None:
    cli = Cli(database)
    await cli.ok("site", "import", "-", login="api", stdin="id,address\none,192.0.2.1\n")
    submit = ("submit", "-", "--site", "one", "--in", "1h", "--var", "gw=192.0.2.9")
    checks = (
        "--post-check",
        "[:len [/ip route find gateway=$(gw)]] > 0",
        "--post-check",
        "[/ip route get 0 nonsense=1]",
    )
    submitted = (await cli.ok(*submit, *checks, login="alice", stdin=":put 1")).out
    assert "Post-check 2: expected end of command" in " ".join(submitted.split())
    script = submitted.split()[1]
    again = await cli.ok(*submit, *checks, "--id", script, login="alice", stdin=":put 1")
    assert again.out.startswith("was submitted already:")
    other = await cli(*submit, *checks[:2], "--id", script, login="alice", stdin=":put 1")
    other.refused("another scheduled script")
    shown = " ".join((await cli.ok("review", script, login="bob")).out.split())
    assert "true afterwards [:len [/ip route find gateway=$(gw)]] > 0" in shown
    assert 'true afterwards: [:len [/ip route find gateway="192.0.2.9"]] > 0' in shown
    rendered = (await cli.ok("render", script, "one", "--json", login="bob")).json()
    assert rendered["post_checks"][0] == '[:len [/ip route find gateway="192.0.2.9"]] > 0'
