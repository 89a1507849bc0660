"""Files, reboots, backups, resets, upgrades, safe mode: what a device keeps, and what it loses."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.simulator.machine import Machine
from tests.unit.simulator.test_schedule import until
from tminus.simulator import Behaviour, Kind, Setup
from tminus.simulator.errors import Rebooted
from tminus.simulator.files import StorageFull

QUICK = Behaviour(reboot_down_s=0.01, startup_after_s=0)


async def reboots(router: Machine, line: str) -> str:
    """Run a line that reboots the router, and wait until it is up; what it printed."""
    written: list[str] = []
    console = router.console(written.append)
    with pytest.raises(Rebooted):
        await console.run(line.encode())
    await until(lambda: not router.router.down)
    return "".join(written)


async def test_a_reboot_loses_what_is_outside_of_the_flash_folder(make_router) -> None:
    router = make_router(behaviour=QUICK, setup=Setup(flash_folder=True))
    await router.run("/file add name=ram.txt contents=a; /file add name=flash/kept.txt contents=b")
    assert await router.put('[/file get [find name="flash"] type]') == "directory"
    await reboots(router, "/system reboot")
    assert sorted(file.name for file in router.router.files.visible()) == ["flash", "flash/kept.txt"]


async def test_without_a_flash_folder_nothing_is_lost_and_the_folder_cannot_be_removed(make_router) -> None:
    router = make_router(behaviour=QUICK)
    await router.run("/file add name=a.txt contents=a")
    await reboots(router, "/system reboot")
    assert router.router.files.get("a.txt") is not None
    with_flash = make_router(setup=Setup(flash_folder=True))
    await with_flash.run('/file remove [find name="flash"]')
    assert with_flash.router.files.get("flash") is not None


async def test_a_full_storage_refuses_files_and_says_how_much_is_free(make_router) -> None:
    router = make_router(setup=Setup(storage_kb=40))
    assert await router.put("[/system resource get free-hdd-space]") == str(40 * 1024)
    assert await router.run('/file add name=a.txt contents="12345"') == ""
    assert await router.put("[/system resource get free-hdd-space]") == str(40 * 1024 - 5)
    with pytest.raises(StorageFull):
        router.router.files.put("b.txt", bytes(41 * 1024))
    router.router.files.put("b.txt", bytes(40 * 1024 - 5))
    assert "no space" in await router.run("/export file=all")
    assert "no space" in await router.run("/file set a.txt contents=123456")
    assert await router.run("/file set a.txt contents=54321") == ""
    await router.run("/file remove b.txt")
    assert await router.put("[/system resource get free-hdd-space]") == str(40 * 1024 - 5)


async def test_contents_end_at_60_kb_and_longer_files_are_read_in_chunks(router: Machine) -> None:
    router.router.files.put("big.txt", b"0123456789" * 7000)
    assert await router.put("[:typeof [/file get big.txt contents]]") in ("nil", "nothing")
    assert await router.put('([/file read file=big.txt chunk-size=4 offset=11]->"data")') == "1234"
    assert "out of range" in await router.run(":put [/file read file=big.txt chunk-size=32769]")
    router.router.files.put("a.txt", b"short")
    assert await router.put("[/file get a.txt contents]") == "short"
    assert "contents too long" in await router.run(f'/file set a.txt contents="{"x" * 60_417}"')
    assert await router.run(f'/file set a.txt contents="{"x" * 60_416}"') == ""


async def test_a_clock_without_a_battery_begins_in_1970(make_router) -> None:
    router = make_router(behaviour=Behaviour(reboot_down_s=0.01, clock_survives_reboot=False))
    await reboots(router, "/system reboot")
    assert await router.put("[/system clock get date]") == "1970-01-02"


async def test_a_delayed_reboot_lets_the_script_end(make_router) -> None:
    router = make_router(behaviour=Behaviour(reboot_delay_s=0.05, reboot_down_s=0.01))
    assert await router.run("/system reboot; :put after") == "after\n"
    assert not router.router.down
    await until(lambda: bool(router.journal.events("site", Kind.REBOOT)))
    await until(lambda: not router.router.down)


async def test_a_backup_brings_everything_back_and_reboots(make_router) -> None:
    router = make_router(behaviour=QUICK)
    await router.run("/user add name=eve group=read password=secret; /system identity set name=before")
    before = router.body()
    assert await router.run("/system backup save name=b password=pw") == "Configuration backup saved\n"
    await router.run("/interface bridge add name=br9; /system identity set name=after; /user remove eve")
    said = await reboots(router, "/system backup load name=b.backup password=pw")
    assert "System configuration restored, rebooting now" in said
    assert router.body() == before
    assert await router.put("[/user get eve group]") == "read"
    assert [event.kind for event in router.journal.events("site") if event.kind in (Kind.RESTORED, Kind.REBOOT)] == [
        Kind.RESTORED,
        Kind.REBOOT,
    ]


async def test_another_router_can_load_a_backup(make_router) -> None:
    old, new = make_router(behaviour=QUICK), make_router(behaviour=QUICK)
    await old.run("/system identity set name=moved; /system backup save name=b")
    new.router.files.put("b.backup", old.router.files.get("b.backup").content)
    await reboots(new, '/system backup load name=b.backup password=""')
    assert new.body() == old.body()


async def test_loading_a_backup_without_a_password_argument_fails(router: Machine) -> None:
    await router.run("/system backup save name=b")
    printed = await router.run("/system backup load name=b.backup")
    assert printed.startswith("missing value(s) of argument(s) password (")
    assert not router.journal.events("site", Kind.RESTORED)


async def test_a_wrong_password_or_another_file_restores_nothing(router: Machine) -> None:
    await router.run("/system backup save name=b password=right; /system identity set name=after")
    router.router.files.put("c.backup", b"nonsense")
    assert "failure" in await router.run("/system backup load name=b.backup password=wrong")
    assert "failure" in await router.run('/system backup load name=c.backup password=""')
    assert "failure" in await router.run('/system backup load name=none password=""')
    assert router.router.identity == "after"
    assert b"after" not in router.router.files.get("b.backup").content


async def test_the_password_of_an_empty_one_may_be_given_and_a_scheduler_can_load_it(make_router) -> None:
    router = make_router(behaviour=QUICK)
    await router.run("/system backup save name=b dont-encrypt=yes; /system identity set name=broken")
    await router.run(
        '/system scheduler add name=deadman interval=2m on-event="/system backup load name=b.backup password=\\"\\""'
    )
    router.router.set_clock(router.router.now() + timedelta(minutes=2))
    await until(lambda: bool(router.journal.events("site", Kind.RESTORED)))
    await until(lambda: not router.router.down)
    assert router.router.identity == "MikroTik"
    assert not router.router.config.items(("system", "scheduler"))  # it was added after the backup


async def test_a_reset_forgets_all_and_runs_a_file_once(make_router) -> None:
    router = make_router(behaviour=QUICK)
    await router.run("/interface bridge add name=br9; /user add name=eve group=read")
    router.router.files.put("after.rsc", b"/system identity set name=again\n/nonsense\n")
    router.router.files.put(
        "good.rsc", b"/system identity set name=again\n/interface bridge add name=bridge\n:put never"
    )
    await reboots(router, "/system reset-configuration run-after-reset=good.rsc")
    await until(lambda: any("run-after-reset" in line.message for line in router.router.log))
    [line] = [line.message for line in router.router.log if "run-after-reset" in line.message]
    assert line.startswith("error while running run-after-reset script: Script Error: failure: already have")
    assert router.router.identity == "again"
    assert "br9" not in router.body()
    assert "defconf" in router.body()
    assert "no such item" in await router.run("/user get eve group")
    await reboots(router, "/system reset-configuration no-defaults=yes keep-users=yes")
    assert "defconf" not in router.body()
    assert await router.put("[:len [/interface ethernet find]]") == "5"
    assert router.router.host_key_generation == 2


async def test_an_upgrade_is_there_after_the_reboot(make_router) -> None:
    router = make_router("7.20.8", behaviour=QUICK, setup=Setup(upgrade_to="7.24.4"))
    said = await reboots(router, "/system package update install")
    assert "rebooting" in said
    assert await router.put("[/system resource get version]") == "7.24.4 (stable)"
    assert "by RouterOS 7.24.4" in router.export()
    assert await router.put("[/system routerboard get current-firmware]") == "7.20.8"
    await router.run("/system routerboard upgrade")
    await reboots(router, "/system reboot")
    assert await router.put("[/system routerboard get current-firmware]") == "7.24.4"
    assert "already up to date" in await router.run("/system package update install")


async def test_safe_mode_is_undone_unless_it_is_released(router: Machine) -> None:
    before = router.body()
    console = router.console(lambda _: None)
    await console.run(b"/safe-mode take; /interface bridge add name=br9")
    assert "br9" in router.body()
    router.router.safe_mode.ended(console)
    assert router.body() == before
    await console.run(b"/safe-mode take; /interface bridge add name=br9; /safe-mode release")
    router.router.safe_mode.ended(console)
    assert "br9" in router.body()
    await console.run(b"/safe-mode take; /interface bridge add name=br8; /safe-mode unroll")
    assert "br8" not in router.body()
    assert "failure" in await router.run("/safe-mode release")


async def test_undo_takes_back_the_newest_action_and_redo_repeats_it(router: Machine) -> None:
    bodies = [router.body()]
    for line in (
        "/ip firewall filter add chain=input action=drop place-before=1 comment=new",
        "/ip firewall filter set [find comment=new] chain=forward",
        "/ip firewall filter move [find comment=new] destination=4",
        "/ip firewall filter remove 0",
        "/system identity set name=other",
    ):
        assert await router.run(line) == ""
        bodies.append(router.body())
    assert len(set(bodies)) == len(bodies)
    for body in reversed(bodies[:-1]):
        assert await router.run("/undo") == ""
        assert router.body() == body
    assert "failure" in await router.run("/undo")
    for body in bodies[1:]:
        assert await router.run("/redo") == ""
        assert router.body() == body
    assert "failure" in await router.run("/redo")
    await router.run("/undo; /system identity set name=third")
    assert "failure" in await router.run("/redo")  # something else was done since
    assert router.router.identity == "third"


async def test_undo_takes_back_what_others_did_and_history_says_how(router: Machine) -> None:
    await router.run("/interface bridge add name=br9", user="somebody")
    text = await router.put("[/system history get 0 undo]")
    assert text.startswith("/interface/bridge/remove *")
    await router.run("/undo")
    assert "br9" not in router.body()


async def test_what_must_be_unique_is_known_again_after_an_undo_a_reset_and_a_backup(make_router) -> None:
    router, other = make_router(behaviour=QUICK), make_router(behaviour=QUICK)
    add = "/ip firewall address-list add list=x address=10.0.0.{}"
    await router.run(add.format(1))
    console = router.console(lambda _: None)
    await console.run(
        f"/safe-mode take; {add.format(2)}; /ip firewall address-list remove [find address=10.0.0.1]".encode()
    )
    router.router.safe_mode.ended(console)
    assert await router.run(add.format(2)) == ""
    assert "already have" in await router.run(add.format(1))
    await router.run("/system backup save name=b; /ip firewall address-list remove [find]")
    await reboots(router, '/system backup load name=b.backup password=""')
    assert "already have" in await router.run(add.format(1))
    await reboots(router, "/system reset-configuration")
    assert await router.run(f"{add.format(1)}; /interface bridge add name=br9") == ""
    assert await other.run(f"{add.format(1)}; /interface bridge add name=br9") == ""


async def test_safe_mode_forgets_after_a_hundred_actions(router: Machine) -> None:
    console = router.console(lambda _: None)
    await console.run(b'/safe-mode take; :for i from=1 to=101 do={ /interface bridge add name=("br" . $i) }')
    router.router.safe_mode.ended(console)
    assert "br101" in router.body()


async def test_an_export_that_is_stopped_says_so_in_its_file(router: Machine) -> None:
    router.router.timing = replace(router.router.timing, export_s=3600)
    await router.run(":execute script={ /export file=all }")
    job = next(iter(router.router.jobs.values()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    router.router.stop_job(job.id)
    await until(lambda: router.router.files.get("all.rsc") is not None)
    content = router.router.files.get("all.rsc").content
    assert content.endswith(b"\r\n#interrupted\r\n")
    assert content.startswith(b"# ")
