"""Which daemon reaches which site: runners, and jump hosts that are slow, die and come back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.bastion import Bastion, bastion
from tests.support import Db, run_daemon, until
from tminus.simulator import DEFAULT, Fleet, FleetSpec, Kind, simulate

SLOW_SCRIPT = '/ip dns static add name=before.example address=192.0.2.1\n:delay 2s\n:put "after"\n'


def through(far: Bastion, folder: Path, *, max_sites: int = 50) -> dict[str, object]:
    """The settings of the jump host `gate`."""
    key_file = folder / "jump_key"
    key_file.write_bytes(far.client_key.export_private_key())
    key_file.chmod(0o600)
    jump_host = {
        "address": "127.0.0.1",
        "port": far.port,
        "username": "jump",
        "private_key_file": str(key_file),
        "host_keys": [far.pin],
        "max_sites": max_sites,
    }
    return {f"jump_hosts.gate.{name}": value for name, value in jump_host.items()}


async def put_behind_gate(database: Db, fleet: Fleet, where: str = "true") -> None:
    await database.run(fleet.inventory_sql(None))
    await database.run(f"update tminus.sites set jump_host = 'gate' where {where}")


async def until_runs(database: Db, script: object, condition: Any) -> None:
    async def look() -> bool:
        runs = await database.site_runs(script)
        return bool(runs) and condition(list(runs.values()))

    await until(look)


async def test_each_daemon_runs_the_sites_of_its_runner(database: Db, tmp_path: Path) -> None:
    async with (
        simulate(FleetSpec(sites=6)) as fleet,
        run_daemon(database, tmp_path / "a", fleet, instance_name="one", runner_tags=["north", "east"]),
        run_daemon(database, tmp_path / "b", fleet, instance_name="two"),
    ):
        await database.run(fleet.inventory_sql(None))
        await database.run("update tminus.sites set runner = 'north' where id < 'sim-0002'")
        await database.run("update tminus.sites set runner = 'two' where id >= 'sim-0004'")
        runs = await database.finished(await database.submit(":put 1"))
        assert {run["state"] for run in runs.values()} == {"completed"}
        names = {row["id"]: row["name"] for row in await database.fetch("select id, name from tminus.instances")}
        served = {site: names[run["instance_id"]] for site, run in runs.items()}
        assert {served["sim-0000"], served["sim-0001"]} == {"one"}
        assert {served["sim-0004"], served["sim-0005"]} == {"two"}


async def test_a_full_jump_host_holds_up_nobody_who_needs_none(database: Db, tmp_path: Path) -> None:
    async with (
        simulate(FleetSpec(sites=12, export_kb=200)) as fleet,
        bastion() as far,
        run_daemon(database, tmp_path, fleet, max_sessions=4, **through(far, tmp_path, max_sites=2)),
    ):
        await put_behind_gate(database, fleet, "id < 'sim-0008'")
        before = {site: fleet.export(site) for site in await database.site_ids()}
        script = await database.submit('/ip dns static add name=x.example address=192.0.2.1\n:delay 1s\n:put "after"\n')
        runs = await database.finished(script)
        assert {(run["state"], run["attempts"]) for run in runs.values()} == {("completed", 1)}
        assert (far.logins, far.most) == (1, 2)
        direct = [run for site, run in runs.items() if site >= "sim-0008"]
        tunnelled = [run for site, run in runs.items() if site < "sim-0008"]
        assert max(run["finished_at"] for run in direct) < max(run["started_at"] for run in tunnelled)
        for site, text in before.items():
            [stored] = await database.fetch(
                "select tminus.backup_text(id) as text, raw_bytes from tminus.backups where site_id = $1 and phase = 'before'",
                site,
            )
            assert len(stored["text"]) > 150_000
            entries = [line for line in text.splitlines() if "list=branches" in line]
            assert [line for line in stored["text"].splitlines() if "list=branches" in line] == entries


async def test_a_jump_host_that_dies_before_the_start_costs_a_second_attempt(database: Db, tmp_path: Path) -> None:
    async with (
        simulate(FleetSpec(sites=3, export_ms=1500)) as fleet,
        bastion() as far,
        run_daemon(database, tmp_path, fleet, **through(far, tmp_path)),
    ):
        await put_behind_gate(database, fleet)
        script = await database.submit(":put 1")
        await until_runs(database, script, lambda runs: all(run["step"] == "backing_up" for run in runs))
        far.cut()
        await until_runs(database, script, lambda runs: all(run["state"] == "pending" for run in runs))
        for run in (await database.site_runs(script)).values():
            assert run["retry_reason"] == "connection_lost"
            assert "jump host gate (127.0.0.1:" in run["message"]
        await database.run("update tminus.site_runs set not_before = null where state = 'pending'")
        runs = await database.finished(script)
        assert {(run["state"], run["attempts"]) for run in runs.values()} == {("completed", 2)}
        assert all(len(fleet.journal.starts(site)) == 1 for site in runs)
        assert far.logins == 2


async def test_a_jump_host_that_dies_during_the_script_leads_to_a_look_over_a_new_connection(
    database: Db, tmp_path: Path
) -> None:
    async with (
        # The scripts go on without their session, so what the look finds in the log is decided at once.
        simulate(FleetSpec(sites=3, behaviour=replace(DEFAULT, foreground_survives_close=True))) as fleet,
        bastion() as far,
        run_daemon(database, tmp_path, fleet, **through(far, tmp_path)),
    ):
        await put_behind_gate(database, fleet)
        script = await database.submit(SLOW_SCRIPT)
        for site in await database.site_ids():
            await fleet.journal.wait(site, Kind.IMPORT_STARTED)
        far.cut()
        runs = await database.finished(script)
        for site, run in runs.items():
            assert run["state"] == "completed", run["message"]
            assert "jump host gate" in run["message"]
            assert len(fleet.journal.starts(site)) == 1
            assert not fleet.files(site), "the fence was taken away over the new connection"
        assert far.logins == 2


async def test_a_dead_jump_host_is_named_and_its_sites_are_not_called_offline(database: Db, tmp_path: Path) -> None:
    async with (
        simulate(FleetSpec(sites=3)) as fleet,
        bastion() as far,
        run_daemon(database, tmp_path, fleet, **through(far, tmp_path)),
    ):
        await put_behind_gate(database, fleet, "id < 'sim-0002'")
        far.unlisten()
        runs = await database.finished(await database.submit(":put 1", abort_if_offline=True))
        assert runs["sim-0002"]["state"] == "completed"
        for site in ("sim-0000", "sim-0001"):
            run = runs[site]
            assert (run["state"], run["effect"], run["reason"]) == ("failed", "none", "connection_lost")
            assert "jump host gate (127.0.0.1:" in run["message"]
            assert f"{site} was not looked at" in run["message"]
            assert not fleet.journal.events(site)

        script = await database.submit(":put 2", ["sim-0000", "sim-0001"])
        await until_runs(database, script, lambda runs: all(run["retry_reason"] for run in runs))
        assert {run["retry_reason"] for run in (await database.site_runs(script)).values()} == {"connection_lost"}


async def test_a_site_behind_an_unknown_jump_host_waits_and_says_so(database: Db, tmp_path: Path) -> None:
    async with simulate(FleetSpec(sites=2)) as fleet, run_daemon(database, tmp_path, fleet):
        await put_behind_gate(database, fleet, "id = 'sim-0000'")
        script = await database.submit(":put 1")
        await until_runs(database, script, lambda runs: any(run["state"] == "completed" for run in runs))
        assert (await database.script(script))["unserved"] == ["sim-0000"]
        reason = await database.value("select tminus.why_unserved(s) from tminus.sites s where id = 'sim-0000'")
        assert reason == "no living daemon has in its configuration the jump host 'gate'"
