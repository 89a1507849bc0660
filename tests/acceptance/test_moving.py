"""Scripts that change the address at which their own router is reached: it comes back elsewhere, or it does not."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from tests.support import Db, run_daemon, until
from tminus.simulator import Fleet, FleetSpec, Kind, SiteSpec, simulate
from tminus.simulator.config.menus import BY_PATH

FILE = "tminus-0123456789abcdef.rsc"
NETWORK = os.environ.get("TEST_NETWORK", "127.44")
OLD, NEW = f"{NETWORK}.0", f"{NETWORK}.7"  # routers 1, 2 and 3 of each: r1 moves from .0.1 to .7.1, and so on
MOVE = f'/ip address set [find interface=ether1] address=("{NEW}." . [:pick [/system identity get name] 1 2] . "/16")'
BY_A_JOB = f"/ip dns static add name=moved.example address=192.0.2.1\n:execute script={{ :delay 1s; {MOVE} }}\n"


def fleet_of(*ids: str, chr_: bool = False) -> FleetSpec:
    return FleetSpec(site_specs=tuple(SiteSpec(id=name, version="7.20.8", chr=chr_) for name in ids))


async def register(database: Db, fleet: Fleet, *, returns: bool = True) -> None:
    await database.run(fleet.inventory_sql(None))
    if returns:
        for number, site in enumerate(fleet.sites, 1):
            await database.run(f"update tminus.sites set return_address = '{NEW}.{number}' where id = '{site.id}'")


async def test_routers_that_are_moved_are_found_at_their_return_addresses(database: Db, tmp_path: Path) -> None:
    async with simulate(fleet_of("r1", "r2", "r3")) as fleet, run_daemon(database, tmp_path, fleet):
        await register(database, fleet)
        script = await database.submit(BY_A_JOB, ["r1", "r2", "r3"], expects_disconnect=True)
        runs = await database.finished(script, within=60)
        for number, (name, run) in enumerate(sorted(runs.items()), 1):
            new = f"{NEW}.{number}"
            assert (run["state"], run["effect"], run["reason"]) == ("completed", "applied", None), run["message"]
            assert run["message"] == f"The script ran to its end. The router is back. It answers at {new}."
            # Its export was taken there, and our file removed.
            assert f"address={new}/16" in run["diff"]
            assert "moved.example" in run["diff"]
            assert not fleet.files(name)
            assert len(fleet.journal.starts(name)) == 1
            assert any(f"set address = '{new}' where id = '{name}';" in each for each in run["warnings"])
        # People say where a router is: it was authorized with the old address.
        found = await database.fetch("select id, address, return_address from tminus.sites order by id")
        assert [tuple(row) for row in found] == [(f"r{n}", f"{OLD}.{n}", f"{NEW}.{n}") for n in (1, 2, 3)]
        events = await database.fetch(
            "select site_id, detail ->> 'from', detail ->> 'to' from tminus.events where kind = 'site_moved' order by 1"
        )
        assert [tuple(row) for row in events] == [(f"r{n}", f"{OLD}.{n}", f"{NEW}.{n}") for n in (1, 2, 3)]
        # So are files that are found to lie there later.
        fleet.router("r1").files.put(FILE, b":put 1")
        await database.fetch(
            "insert into tminus.cleanup_debts (site_id, site_run_id, file_name) values ('r1', $1, $2)",
            runs["r1"]["id"],
            FILE,
        )

        async def paid() -> bool:
            return bool(await database.value("select bool_and(settled_at is not null) from tminus.cleanup_debts"))

        await until(paid, within=30)
        assert not fleet.files("r1")
        # Another launch does not follow it.
        run = (await database.finished(await database.submit(":put 1", ["r1"], abort_if_offline=True)))["r1"]
        assert (run["state"], run["effect"], run["reason"]) == ("failed", "none", "offline"), run["message"]
        assert f"make {NEW}.1 its address" in run["message"]
        # Done as the warning says, the next script runs there.
        for number in (1, 2, 3):
            await database.run(f"update tminus.sites set address = '{NEW}.{number}' where id = 'r{number}';")
        assert await database.value("select count(return_address) from tminus.sites") == 0
        runs = await database.finished(await database.submit(":put 1", ["r1", "r2", "r3"]))
        assert {run["state"] for run in runs.values()} == {"completed"}


async def test_a_session_that_the_move_cuts_is_resolved_at_the_return_address(database: Db, tmp_path: Path) -> None:
    async with simulate(fleet_of("r1")) as fleet, run_daemon(database, tmp_path, fleet):
        await register(database, fleet)
        script = await database.submit(
            f"{MOVE}\n", expects_disconnect=True, post_checks=["true"], site_timeout=timedelta(seconds=8)
        )
        run = (await database.finished(script, within=60))["r1"]
        assert (run["state"], run["effect"]) == ("completed", "applied"), run["message"]
        assert "The router's log has the line that follows the script's last statement." in run["message"]
        assert f"It answers at {NEW}.1." in run["message"]
        assert f"address={NEW}.1/16" in run["diff"]
        assert await database.value("select count(*) from tminus.events where kind = 'site_moved'") == 1
        assert not fleet.files("r1")


async def test_whoever_takes_over_from_a_dead_daemon_finds_the_router_that_moved(database: Db, tmp_path: Path) -> None:
    async with simulate(fleet_of("r1")) as fleet:
        async with run_daemon(database, tmp_path / "a", fleet) as first:
            await register(database, fleet)
            body = f"{MOVE}\n:delay 3s\n"
            script = await database.submit(body, expects_disconnect=True, detached=True)
            await asyncio.wait_for(fleet.journal.wait("r1", Kind.IMPORT_STARTED), 20)
            await first.kill()
        async with run_daemon(database, tmp_path / "b", fleet):
            run = (await database.finished(script, within=60))["r1"]
            # The event follows the ending.
            await until(lambda: database.value("select exists (select from tminus.events where kind = 'site_moved')"))
        assert (run["state"], run["effect"], run["reason"]) == ("completed", "applied", None), run["message"]
        assert f"It answers at {NEW}.1." in run["message"]
        assert any(f"set address = '{NEW}.1'" in each for each in run["warnings"])
        assert await database.value("select count(*) from tminus.events where kind = 'site_moved'") == 1
        assert len(fleet.journal.starts("r1")) == 1


async def test_a_router_that_is_moved_nobody_knows_where_has_not_come_back(database: Db, tmp_path: Path) -> None:
    async with simulate(fleet_of("r1")) as fleet, run_daemon(database, tmp_path, fleet, resolve_within=2.0):
        await register(database, fleet, returns=False)
        script = await database.submit(BY_A_JOB, expects_disconnect=True, site_timeout=timedelta(seconds=8))
        run = (await database.finished(script, within=60))["r1"]
        assert (run["state"], run["effect"], run["reason"]) == ("failed", "applied", "check_failed"), run["message"]
        assert "has not come back" in run["message"]
        assert await database.value("select count(*) from tminus.events where kind = 'site_moved'") == 0


async def test_a_script_that_is_not_to_end_its_session_is_looked_for_nowhere_else(database: Db, tmp_path: Path) -> None:
    async with simulate(fleet_of("r1")) as fleet, run_daemon(database, tmp_path, fleet, resolve_within=2.0):
        await register(database, fleet)
        script = await database.submit(f"{MOVE}\n", site_timeout=timedelta(seconds=8))
        run = (await database.finished(script, within=60))["r1"]
        assert (run["state"], run["effect"]) == ("unknown", "unknown"), run["message"]


async def test_another_device_at_either_address_is_not_the_router_that_came_back(database: Db, tmp_path: Path) -> None:
    """It has the host key: a copy of the router, or one that was restored from its backup."""
    async with simulate(fleet_of("r1")) as fleet, run_daemon(database, tmp_path, fleet, resolve_within=2.0):
        await register(database, fleet, returns=False)
        body = ':execute script=":delay 2s; /system reboot"\n:put done\n'
        script = await database.submit(body, expects_disconnect=True, site_timeout=timedelta(seconds=12))
        await asyncio.wait_for(fleet.journal.wait("r1", Kind.REBOOT), 30)
        router = fleet.router("r1")
        router.hardware = replace(router.hardware, serial="HC0OTHER0ONE")
        run = (await database.finished(script, within=60))["r1"]
        assert (run["state"], run["effect"], run["reason"]) == ("failed", "applied", "check_failed"), run["message"]
        assert "its serial number is HC0OTHER0ONE" in run["message"]


async def test_a_virtual_router_that_calls_itself_otherwise_is_not_the_one_that_came_back(
    database: Db, tmp_path: Path
) -> None:
    async with simulate(fleet_of("r1", chr_=True)) as fleet, run_daemon(database, tmp_path, fleet, resolve_within=2.0):
        await register(database, fleet, returns=False)
        script = await database.submit("/system reboot\n", expects_disconnect=True, site_timeout=timedelta(seconds=12))
        await asyncio.wait_for(fleet.journal.wait("r1", Kind.REBOOT), 30)
        config = fleet.router("r1").config
        path = ("system", "identity")
        config.change(BY_PATH[path], config.single(path), {"name": "a copy"})
        run = (await database.finished(script, within=60))["r1"]
        assert run["state"] == "unknown", run["message"]
        assert "it calls itself 'a copy', not 'r1'" in run["message"]


async def owe(database: Db, run: int) -> None:
    """Owe a file that is looked for only when `try_again` says so."""
    await database.fetch(
        "insert into tminus.cleanup_debts (site_id, site_run_id, file_name, next_try_at)"
        " values ('r1', $1, $2, 'infinity')",
        run,
        FILE,
    )


async def try_again(database: Db) -> tuple[str | None, bool]:
    """Let the debt be looked at once, no other look being under way; return why it stays, or that it is settled."""
    attempts = await database.value("select attempts from tminus.cleanup_debts")
    await database.run("update tminus.cleanup_debts set next_try_at = tminus.clock(), last_error = null")

    async def tried() -> bool:
        return bool(
            await database.value(
                "select settled_at is not null or (attempts > $1 and last_error is not null) from tminus.cleanup_debts",
                attempts,
            )
        )

    await until(tried, within=30)
    [row] = await database.fetch("select last_error, settled_at is not null as settled from tminus.cleanup_debts")
    return row["last_error"], row["settled"]


async def test_another_device_at_the_return_address_says_of_no_file_that_it_is_gone(
    database: Db, tmp_path: Path
) -> None:
    """It has the host key and not the serial number: the file and the job are on the router that it was copied from."""
    async with simulate(fleet_of("r1")) as fleet, run_daemon(database, tmp_path, fleet):
        await register(database, fleet)
        run = (await database.finished(await database.submit(BY_A_JOB, expects_disconnect=True), within=60))["r1"]
        assert f"It answers at {NEW}.1." in run["message"]
        router = fleet.router("r1")
        hardware = router.hardware
        router.hardware = replace(hardware, serial="HC0OTHER0ONE")
        router.files.put(FILE, b":put 1")
        await owe(database, run["id"])
        why, settled = await try_again(database)
        assert not settled
        assert why is not None
        assert "its serial number is HC0OTHER0ONE" in why
        assert fleet.files("r1")
        router.hardware = hardware
        assert await try_again(database) == (None, True)
        assert not fleet.files("r1")


async def test_a_virtual_router_that_moved_is_cleaned_up_once_its_address_is_changed(
    database: Db, tmp_path: Path
) -> None:
    """It has no serial number: whether it or a copy answers at the return address would be anybody's guess."""
    async with simulate(fleet_of("r1", chr_=True)) as fleet, run_daemon(database, tmp_path, fleet):
        await register(database, fleet)
        moves = f'/ip address set [find interface=ether1] address="{NEW}.1/16"'
        script = await database.submit(f"{moves}\n", expects_disconnect=True, site_timeout=timedelta(seconds=8))
        run = (await database.finished(script, within=60))["r1"]
        assert f"It answers at {NEW}.1." in run["message"]
        fleet.router("r1").files.put(FILE, b":put 1")
        await owe(database, run["id"])
        why, settled = await try_again(database)
        assert not settled
        assert why is not None
        assert NEW not in why
        assert fleet.files("r1")
        await database.run(f"update tminus.sites set address = '{NEW}.1' where id = 'r1'")
        assert await try_again(database) == (None, True)
        assert not fleet.files("r1")
