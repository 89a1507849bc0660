"""Post-checks on simulated routers: what is true, what is not, what cannot be asked, and after a lost session."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from tests.support import Db, run_daemon, until
from tminus.simulator import Fault, FleetSpec, Kind, SiteSpec, simulate

SCRIPT = "/ip dns static add name=checked.example address=192.0.2.1\n"
THERE = "[:len [/ip dns static find name=checked.example]] = 1"


def ending(run: object) -> tuple[str, str, str | None]:
    return run["state"], run["effect"], run["reason"]  # type: ignore[index]


async def test_a_check_is_evaluated_on_each_router_after_the_script_over_a_new_connection(
    database: Db, tmp_path: Path
) -> None:
    spec = FleetSpec(site_specs=(SiteSpec(id="old", version="6.49.18"), SiteSpec(id="new", version="7.20.8")))
    async with simulate(spec) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        await database.run("""update tminus.sites set variables = '{"name": "checked.example"}'""", role="api")
        checks = [THERE, "[:len [/ip dns static find name=$(name)]] = 1", "[/interface get ether1 running]"]
        runs = await database.finished(await database.submit(SCRIPT, post_checks=checks))
        for site, run in runs.items():
            assert (site, ending(run)) == (site, ("completed", "applied", None)), run["message"]
            assert run["message"] == "The script ran to its end. All 3 post-checks are true."
            assert "checked.example" in run["diff"]
            assert len(fleet.journal.events(site, Kind.LOGIN)) == 2
            assert not fleet.files(site)

        checks = [
            "1 = 1",
            "[:len [/ip dns static find name=nowhere.example]] = 1",
            "[:len [/ip route find]]",
            "[/ip address get 99 address]",
        ]
        runs = await database.finished(await database.submit(":put 1", post_checks=checks))
        for site, run in runs.items():
            assert (site, ending(run)) == (site, ("failed", "applied", "check_failed")), run["message"]
            assert "post-check 1" not in run["message"]
            assert "post-check 2 ([:len [/ip dns static find name=nowhere.example]] = 1) gave false" in run["message"]
            assert "post-check 3 ([:len [/ip route find]]) gave '" in run["message"]
            assert "post-check 4 ([/ip address get 99 address]) gave no answer: no such item" in run["message"]
            assert len(fleet.journal.starts(site)) == 2
            assert not fleet.files(site)


async def test_a_failed_check_counts_for_the_halt(database: Db, tmp_path: Path) -> None:
    spec = FleetSpec(site_specs=(SiteSpec(id="one", version="7.20.8"), SiteSpec(id="two", version="7.20.8")))
    async with simulate(spec) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(
            ":put 1", ["one", "two"], post_checks=["1 = 2"], wave_sizes=["1"], max_failures="0"
        )
        runs = await database.finished(script)
        assert ending(runs["one"]) == ("failed", "applied", "check_failed")
        assert ending(runs["two"]) == ("skipped", "none", "halted")
        assert not fleet.journal.starts("two")


async def test_what_a_router_cannot_read_as_a_check_keeps_the_script_from_being_started(
    database: Db, tmp_path: Path
) -> None:
    spec = FleetSpec(site_specs=(SiteSpec(id="r1", version="7.20.8"),))
    refused = {
        "[/ip dns static get 0 nonsense=1]": "RouterOS does not read it",
        "true) }; /system reboot; :if (true) do={ :put (true": "')' closes what was not opened",
    }
    async with simulate(spec) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        for check, says in refused.items():
            run = (await database.finished(await database.submit(SCRIPT, post_checks=["true", check])))["r1"]
            assert ending(run) == ("failed", "none", "script_rejected"), run["message"]
            assert run["message"].startswith("Post-check 2 (")
            assert says in run["message"]
            assert run["message"].endswith("Nothing was run.")
            later = await database.submit(SCRIPT, due_in=86400, post_checks=["true", check])
            launch = await database.value("select tminus.rehearse($1)", later, role="alice")

            async def look(launch: object = launch) -> bool:
                return bool(await database.value("select finished_at from tminus.launches where id = $1", launch))

            await until(look)
            run = (await database.site_runs(later))["r1"]
            assert ending(run) == ("failed", "none", "script_rejected"), run["message"]
        assert not fleet.journal.starts("r1")
        assert not fleet.journal.events("r1", Kind.REBOOT)
        assert not fleet.files("r1")


async def test_a_router_that_lets_nobody_in_after_the_script_is_no_success(database: Db, tmp_path: Path) -> None:
    spec = FleetSpec(site_specs=(SiteSpec(id="r1", version="7.20.8"),))
    async with simulate(spec) as fleet, run_daemon(database, tmp_path, fleet, resolve_within=2.0):
        await database.run(fleet.inventory_sql(None))
        body = "/ip service disable ssh\n"
        script = await database.submit(body, post_checks=["true"], site_timeout=timedelta(seconds=8))
        run = (await database.finished(script, within=60))["r1"]
        assert ending(run) == ("failed", "applied", "check_failed"), run["message"]
        assert "But the post-checks could not be made: " in run["message"]
        assert "disabled=yes" in run["diff"]  # over the session that was still open


async def test_checks_are_made_of_a_job_and_of_a_run_whose_session_was_lost(database: Db, tmp_path: Path) -> None:
    spec = FleetSpec(
        site_specs=(
            SiteSpec(id="kept", version="7.20.8"),
            SiteSpec(id="cut", version="7.20.8", faults=(Fault.DROPS_AFTER_SCRIPT,)),
        )
    )
    async with simulate(spec) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        for checks, wanted in (
            ([THERE], ("completed", "applied", None)),
            (["1 = 2"], ("failed", "applied", "check_failed")),
        ):
            run = (
                await database.finished(
                    await database.submit(
                        ":put 1" if checks != [THERE] else SCRIPT, ["kept"], post_checks=checks, detached=True
                    ),
                    within=60,
                )
            )["kept"]
            assert ending(run) == wanted, run["message"]
        run = (await database.finished(await database.submit(SCRIPT, ["cut"], post_checks=["1 = 2"]), within=60))["cut"]
        assert ending(run) == ("failed", "applied", "check_failed"), run["message"]
        assert "post-check 1 (1 = 2) gave false" in run["message"]


async def test_of_a_run_whose_daemon_died_the_next_one_makes_the_checks(database: Db, tmp_path: Path) -> None:
    spec = FleetSpec(site_specs=(SiteSpec(id="r1", version="7.20.8"),))
    async with simulate(spec) as fleet, run_daemon(database, tmp_path / "a", fleet) as first:
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(
            f"{SCRIPT}:delay 3s\n",
            detached=True,
            post_checks=["[:len [/ip dns static find]] = $(n)"],
            variables='{"n": 77}',
        )
        await asyncio.wait_for(fleet.journal.wait("r1", Kind.IMPORT_STARTED), 20)
        await first.kill()
        async with run_daemon(database, tmp_path / "b", fleet):
            run = (await database.finished(script, within=60))["r1"]
            assert ending(run) == ("failed", "applied", "check_failed"), run["message"]
            assert "post-check 1 ([:len [/ip dns static find]] = 77) gave false" in run["message"]
            assert len(fleet.journal.starts("r1")) == 1


async def test_after_a_reboot_that_was_expected_the_checks_are_made_where_the_router_is_back(
    database: Db, tmp_path: Path
) -> None:
    spec = FleetSpec(site_specs=(SiteSpec(id="r1", version="7.20.8"),))
    async with simulate(spec) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        body = f'{SCRIPT}:execute script=":delay 1s; /system reboot"\n'
        run = (
            await database.finished(
                await database.submit(body, expects_disconnect=True, post_checks=[THERE]), within=60
            )
        )["r1"]
        assert ending(run) == ("completed", "applied", None), run["message"]
        assert run["message"].endswith("The router rebooted and is back. The post-check is true.")


async def test_a_check_that_does_not_come_back_ends_its_site_within_its_time(database: Db, tmp_path: Path) -> None:
    spec = FleetSpec(site_specs=(SiteSpec(id="r1", version="7.20.8"),))
    async with simulate(spec) as fleet, run_daemon(
        database, tmp_path, fleet, resolve_within=2.0, command_timeout=2.0
    ):  # fmt: skip
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(SCRIPT, post_checks=["[:delay 1h] = 1"], site_timeout=timedelta(seconds=6))
        run = (await database.finished(script, within=60))["r1"]
        assert ending(run) == ("failed", "applied", "check_failed"), run["message"]
        assert "But the post-checks could not be made: " in run["message"]
        assert len(fleet.journal.starts("r1")) == 1
