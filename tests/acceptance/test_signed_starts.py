"""Run now and test runs where signatures are required: signed on the command line, verified by a real daemon, each counted once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.acceptance.test_rehearsal import tminus
from tests.acceptance.test_signed_authorization import BEHIND, open_scene
from tests.support import Daemon, Db, until
from tminus.simulator import Fault

# The owner makes a launch one that was never run.
NEVER_RUN = (
    BEHIND
    + """
delete from tminus.busy_sites; delete from tminus.cleanup_debts; delete from tminus.backups;
update tminus.launches set state = 'running', finished_at = null, due_at = tminus.clock(), start_until = tminus.clock() + interval '1 hour';
update tminus.site_runs set state = 'pending', step = null, reason = null, effect = null, message = null, finished_at = null,
    executing_at = null, instance_id = null, nonce = null, not_before = null;
"""
)


async def test_what_is_tested_and_what_is_run_now_is_signed_by_itself_and_runs_once(
    database: Db, tmp_path: Path
) -> None:
    async with (
        open_scene(database, tmp_path, "r1", "lab", base="127.45.12.1") as scene,
        scene.running(test_sites=["lab"]) as daemon,
    ):
        await database.run("update tminus.sites set allow_tests = true")
        script = await scene.submit(
            "r1",
            ':log info "$(said)"\n',
            due_in=86400,
            test_site_id="lab",
            variables='{"said": "it"}',
            max_failures="0",
        )
        for act in ("request-test", "run-now"):
            code, _, said = await tminus(database, act, str(script), "--expires", "1h", login="bob")
            assert (code != 0, "--expires goes with --sign" in said) == (True, True), said
            code, _, said = await tminus(database, act, str(script), "--sign", str(scene.bob.key), login="bob")
            assert (code != 0, "no terminal" in said) == (True, True), said

        code, _, said = await tminus(database, "request-test", str(script), login="alice")
        assert (code, "tests only what its approver has signed" in said) == (1, True), said
        sign = ("--sign", str(scene.bob.key), "--yes")
        code, out, said = await tminus(database, "request-test", str(script), *sign, login="bob")
        assert code == 0, (out, said)
        assert "act: test\n" in said
        assert '"$(said)"' in out
        assert (scene.ran("lab"), scene.ran("r1")) == (1, 0)

        await scene.bob.authorize(database, script)
        code, _, said = await tminus(database, "run-now", str(script), "--yes", login="bob")
        assert (code, "runs only what its approver has signed" in said) == (1, True), said
        code, out, said = await tminus(database, "run-now", str(script), *sign, login="bob")
        assert code == 0, (out, said)
        assert "act: run_now\n" in said
        await scene.settled(script)
        await until(lambda: database.value("select not exists (select from tminus.launches where finished_at is null)"))
        assert (scene.ran("lab"), scene.ran("r1")) == (1, 1)
        await replayed(database, daemon)
        assert (scene.ran("lab"), scene.ran("r1")) == (1, 1)
        await daemon.stop()


async def test_a_router_that_ran_it_at_the_dry_run_is_told_so_though_the_signature_expired_meanwhile(
    database: Db, tmp_path: Path
) -> None:
    slow_and_wrong = frozenset({Fault.SLOW, Fault.RUNS_DRY_RUN})
    async with (
        open_scene(database, tmp_path, "r1", base="127.45.13.1", faults=slow_and_wrong) as scene,
        scene.running() as daemon,
    ):
        script = await scene.submit("r1", due_in=2.0)
        # Its commands take longer than that.
        await scene.bob.authorize(database, script, expires=datetime.now(UTC) + timedelta(seconds=4))
        run = (await database.finished(script))["r1"]
        assert (run["state"], run["effect"], run["reason"]) == ("failed", "none", "guard_failed")
        assert "answered that it ran the script" in run["message"]
        assert scene.ran("r1") == 1
        assert not [line for line in daemon.log() if line["event"] == "site_run_broke"]


async def replayed(database: Db, daemon: Daemon) -> None:
    """Have all launches once more, and wait until the daemon has refused to start each."""

    def refusals() -> int:
        return sum(event["event"] == "start_refused" for event in daemon.log())

    before = refusals()
    await database.run(NEVER_RUN)
    runs = await database.value("select count(*) from tminus.site_runs")

    async def refused() -> bool:
        return refusals() == before + runs

    await until(refused)
    await until(lambda: database.value("select not exists (select from tminus.site_runs where finished_at is null)"))
