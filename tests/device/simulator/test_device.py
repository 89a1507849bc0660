"""A simulated router as a device on the network: sessions, jobs that outlive them, reboots, and scripts that cut us off."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import asyncssh
import pytest

from tests.device.simulator.client import SITE, connected, one, run, upload
from tests.device.simulator.test_profiles import until
from tminus.simulator import (
    DEFAULT,
    Behaviour,
    ChannelEnd,
    Fault,
    FleetSpec,
    HostKey,
    Keyboard,
    Kind,
    Newline,
    Question,
    Setup,
    SiteSpec,
    simulate,
)
from tminus.simulator.router import Timing

CUT = "/ip firewall filter add chain=input action=drop place-before=0 comment=cut"


async def hangs(connection: asyncssh.SSHClientConnection, line: str, *, seconds: float = 0.5) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await connection.run(line)


async def test_a_job_goes_on_when_its_session_is_gone() -> None:
    async with one() as fleet:
        async with connected(fleet) as connection:
            await run(connection, ":execute script={ :delay 200ms; /system identity set name=done } file=out")
        async with connected(fleet) as connection:
            await until(lambda: fleet.router(SITE).identity == "done")
            await until(lambda: "out.txt" in fleet.files(SITE))
            assert not fleet.journal.events(SITE, Kind.EXEC_INTERRUPTED)


async def test_max_sessions() -> None:
    async with one(setup=Setup(max_sessions=2)) as fleet, connected(fleet), connected(fleet):
        with pytest.raises((ConnectionError, asyncssh.ConnectionLost)):
            async with connected(fleet):
                pass
    async with one(version="7.12.2", setup=Setup(max_sessions=1)) as fleet, connected(fleet), connected(fleet) as other:
        assert await run(other, ":put 1") == (b"1\r\n", 0)  # there is no such limit before 7.16


async def test_channels_of_a_connection_may_be_limited() -> None:
    async with one(behaviour=Behaviour(max_channels=1)) as fleet, connected(fleet) as connection:
        process = await connection.create_process(":delay 1h")
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.run(":put 1")
        process.close()
        await process.wait_closed()
        await until(lambda: not fleet.router(SITE).jobs)
        assert await run(connection, ":put 1") == (b"1\r\n", 0)


async def test_an_rsa_host_key_on_7_and_another_one_at_run_time() -> None:
    async with one(setup=Setup(host_key=HostKey.RSA)) as fleet:
        assert fleet.site(SITE).host_key.startswith("ssh-rsa ")
        async with connected(fleet) as connection:
            assert connection.get_server_host_key().get_algorithm() == "ssh-rsa"
        fleet.replace_host_key(SITE)
        async with connected(fleet) as connection:
            key = connection.get_server_host_key()
            assert key.get_algorithm() == "ssh-rsa"
            assert key.export_public_key().decode().strip() != fleet.site(SITE).host_key


@pytest.mark.parametrize("keyboard", Keyboard)
async def test_keyboard_interactive(keyboard: Keyboard) -> None:
    async with one(behaviour=Behaviour(keyboard_interactive=keyboard), setup=Setup(password_login=True)) as fleet:
        attempt = connected(
            fleet, client_keys=None, password=fleet.spec.password, preferred_auth="keyboard-interactive"
        )
        if keyboard is Keyboard.ABSENT:
            with pytest.raises(asyncssh.PermissionDenied):
                await attempt.__aenter__()
        else:
            async with attempt as connection:
                assert await run(connection, ":put 1") == (b"1\r\n", 0)


async def test_users_of_the_configuration_log_in_with_their_rights() -> None:
    async with one() as fleet:
        async with connected(fleet) as connection:
            await run(connection, "/user add name=eve group=read password=secret")
        async with connected(fleet, username="eve", client_keys=None, password="secret") as connection:
            assert b"not enough permissions (9)" in (await run(connection, "/system identity set name=x"))[0]
            with pytest.raises((asyncssh.SFTPError, asyncssh.ChannelOpenError)):
                await upload(connection, "a.txt", b"x")
        async with connected(fleet) as connection:
            await run(connection, "/user disable eve")
        with pytest.raises(asyncssh.PermissionDenied):
            async with connected(fleet, username="eve", client_keys=None, password="secret"):
                pass
        messages = [line.message for line in fleet.router(SITE).log]
        assert "login failure for user eve from 127.0.0.1 via ssh" in messages
        assert "user eve logged in from 127.0.0.1 via ssh" in messages


async def test_who_removed_our_user_keeps_us_out() -> None:
    async with one() as fleet:
        async with connected(fleet) as connection:
            await run(connection, "/user remove tminus")
        with pytest.raises(asyncssh.PermissionDenied):
            async with connected(fleet):
                pass


async def test_refused_logins_may_lead_to_a_block_list() -> None:
    async with one(behaviour=Behaviour(refuses_after_failures=2), setup=Setup(password_login=True)) as fleet:
        for _ in range(2):
            with pytest.raises(asyncssh.PermissionDenied):
                async with connected(fleet, client_keys=None, password="wrong"):
                    pass
        with pytest.raises((TimeoutError, asyncssh.Error, OSError)):
            async with asyncio.timeout(1), connected(fleet):
                pass


@pytest.mark.parametrize(
    ("newline", "expected"),
    [
        (Newline.ERROR, (b"syntax error (line 1 column 7)\r\n", 1)),
        (Newline.FIRST_LINE, (b"1\r\n", 0)),
        (Newline.CLOSE, (b"", None)),
    ],
)
async def test_several_lines_in_one_exec(newline: Newline, expected: tuple[bytes, int | None]) -> None:
    async with one(behaviour=Behaviour(newline=newline)) as fleet, connected(fleet) as connection:
        assert await run(connection, ":put 1\n:put 2") == expected


async def test_no_exit_status_and_one_that_lapses() -> None:
    async with one(behaviour=Behaviour(sends_status=False)) as fleet, connected(fleet) as connection:
        assert await run(connection, ":put 1") == (b"1\r\n", None)
    async with one(behaviour=Behaviour(parse_error_lapse=4)) as fleet, connected(fleet) as connection:
        assert [(await run(connection, "/nonsense"))[1] for _ in range(8)] == [1, 1, 1, 0, 1, 1, 1, 0]


@pytest.mark.parametrize("question", Question)
async def test_a_question_that_nobody_can_answer(question: Question) -> None:
    behaviour = Behaviour(questions=question, reboot_down_s=0.1)
    async with one(behaviour=behaviour) as fleet, connected(fleet) as connection:
        match question:
            case Question.YES:
                await connection.run("/system reboot")
            case Question.NO:
                assert await run(connection, "/system reboot") == (b"", 0)
            case Question.WAITS:
                await hangs(connection, "/system reboot")
        assert bool(fleet.journal.events(SITE, Kind.REBOOT)) is (question is Question.YES)


async def test_a_job_asks_nobody() -> None:
    behaviour = Behaviour(questions=Question.WAITS, reboot_down_s=0.1)
    async with one(behaviour=behaviour) as fleet, connected(fleet) as connection:
        await run(connection, ':execute script="/system reboot"')
        await until(lambda: bool(fleet.journal.events(SITE, Kind.REBOOT)))


async def test_what_may_be_mixed_into_the_output() -> None:
    behaviour = Behaviour(note_on_exec=True, log_on_exec=True, says_interrupted=True)
    async with one(behaviour=behaviour) as fleet, connected(fleet) as connection:
        await run(connection, '/system note set note="keep out"')
        assert await run(connection, ":put 1") == (b"keep out\r\n1\r\n", 0)
        process = await connection.create_process(":delay 1h")
        await until(lambda: bool(fleet.router(SITE).jobs))
        with pytest.raises(asyncssh.PermissionDenied):
            async with connected(fleet, username="root"):
                pass
        await run(connection, '/system script job remove [find script=":delay 1h"]')
        async with asyncio.timeout(5):
            output = await process.stdout.read()
        assert b"login failure for user root" in output
        assert b"\r\ninterrupted\r\n" in output


async def test_a_foreground_command_need_not_be_listed() -> None:
    async with one(behaviour=Behaviour(foreground_listed=False)) as fleet, connected(fleet) as connection:
        assert (await run(connection, ":put [:len [/system script job find]]"))[0] == b"0\r\n"


async def test_an_auto_rsc_is_run_when_it_was_uploaded() -> None:
    async with one() as fleet, connected(fleet) as connection:
        await upload(connection, "a.auto.rsc", b"/system identity set name=auto\n")
        await until(lambda: "a.auto.log" in fleet.files(SITE))
        assert fleet.router(SITE).identity == "auto"
        assert fleet.files(SITE)["a.auto.log"] == b"Script file loaded and executed successfully\r\n"
    async with one(behaviour=Behaviour(auto_rsc=False)) as fleet, connected(fleet) as connection:
        await upload(connection, "a.auto.rsc", b"/system identity set name=auto\n")
        await run(connection, ":put 1")
        assert list(fleet.files(SITE)) == ["a.auto.rsc"]


async def test_a_full_storage_refuses_an_upload() -> None:
    async with one(setup=Setup(storage_kb=1)) as fleet, connected(fleet) as connection:
        with pytest.raises(asyncssh.SFTPFailure):
            await upload(connection, "a.rsc", b"x" * 1025)
        await upload(connection, "b.rsc", b"x" * 1024)
    async with one(Fault.FULL_STORAGE) as fleet, connected(fleet) as connection:
        with pytest.raises(asyncssh.SFTPFailure):
            await upload(connection, "a.rsc", b"x")


async def test_the_flash_folder_over_sftp() -> None:
    setup, behaviour = Setup(flash_folder=True), Behaviour(reboot_down_s=0.1)
    async with one(setup=setup, behaviour=behaviour) as fleet, connected(fleet) as connection:
        await upload(connection, "flash/kept.rsc", b"x")
        await upload(connection, "ram.rsc", b"x")
        async with connection.start_sftp_client() as sftp:
            assert sorted(await sftp.listdir(".")) == ["flash", "ram.rsc"]
            assert await sftp.listdir("flash") == ["kept.rsc"]
            assert await sftp.isdir("flash")
        fleet.router(SITE).reboot()
        assert fleet.files(SITE) == {"flash/kept.rsc": b"x"}


@pytest.mark.parametrize("fault", [Fault.EXPORT_ERROR, Fault.INTERRUPTS_EXPORT])
@pytest.mark.parametrize("version", ["6.49.10", "7.9.2", "7.24.4"])
async def test_exports_that_say_that_they_are_not_whole(version: str, fault: Fault) -> None:
    said = {
        ("6.49.10", Fault.EXPORT_ERROR): b"\r\n#error exporting /ip socks\r\n",
        ("7.9.2", Fault.EXPORT_ERROR): b'\r\n#error exporting "/system/routerboard/mode-button"\r\n',
        ("7.24.4", Fault.EXPORT_ERROR): b'\r\n#error exporting "/system/routerboard/mode-button" (timeout)\r\n',
    }
    async with one(fault, version=version) as fleet, connected(fleet) as connection:
        output, status = await run(connection, "/export; :put END")
        assert said.get((version, fault), b"\r\n#interrupted\r\n") in output
        assert output.endswith(b"END\r\n")
        assert status == 0


async def test_an_export_may_be_the_end_of_its_line() -> None:
    async with one(behaviour=Behaviour(export_ends_line=True)) as fleet, connected(fleet) as connection:
        output, status = await run(connection, "/export; :put END")
        assert not output.endswith(b"END\r\n")
        assert status == 0


async def test_a_firewall_that_cuts_us_off_silences_tcp_while_the_script_goes_on() -> None:
    async with one() as fleet, connected(fleet) as connection:
        await hangs(connection, f"{CUT}; /system identity set name=after; :put done")
        assert fleet.router(SITE).identity == "after"
        with pytest.raises((TimeoutError, asyncssh.Error, OSError)):
            async with asyncio.timeout(0.5), connected(fleet):
                pass
        assert not fleet.journal.events(SITE, Kind.CONNECTION_LOST)


async def test_a_connection_that_was_cut_off_speaks_again_when_the_rule_is_gone() -> None:
    async with one() as fleet, connected(fleet) as connection:
        line = f":execute script={{ :delay 300ms; /ip firewall filter remove [find comment=cut] }}; {CUT}; :put said"
        async with asyncio.timeout(5):
            assert (await run(connection, line))[0].endswith(b"said\r\n")
        assert await run(connection, ":put 2") == (b"2\r\n", 0)
        async with connected(fleet) as other:
            assert await run(other, ":put 3") == (b"3\r\n", 0)


async def test_a_router_notices_after_a_while_that_a_connection_is_dead() -> None:
    async with one(behaviour=Behaviour(notices_loss_s=0.3)) as fleet, connected(fleet) as connection:
        await hangs(connection, f"{CUT}; :delay 1h", seconds=0.1)
        async with asyncio.timeout(5):
            await fleet.journal.wait(SITE, Kind.EXEC_INTERRUPTED)


async def test_a_change_may_come_into_force_a_while_later() -> None:
    async with one(behaviour=Behaviour(change_in_force_s=0.3)) as fleet, connected(fleet) as connection:
        assert await run(connection, f"{CUT}; :put said") == (b"said\r\n", 0)
        async with asyncio.timeout(5):
            while True:
                try:
                    async with asyncio.timeout(0.5):
                        await connection.run(":put 1")
                except TimeoutError:
                    break


async def test_a_disabled_service_refuses_new_connections_only() -> None:
    async with one() as fleet, connected(fleet) as connection:
        assert await run(connection, "/ip service disable ssh; :put said") == (b"said\r\n", 0)
        with pytest.raises((ConnectionError, asyncssh.Error)):
            async with connected(fleet):
                pass
        await run(connection, "/ip service enable ssh")
        async with connected(fleet) as other:
            assert await run(other, ":put 1") == (b"1\r\n", 0)


async def test_silent_in_the_middle_of_a_script_which_runs_to_its_end() -> None:
    async with one(Fault.SILENT_MID_SCRIPT) as fleet, connected(fleet) as connection:
        await upload(connection, "a.rsc", b"/interface bridge add name=b1\n/interface bridge add name=b2\n")
        await hangs(connection, "/import a.rsc")
        [finished] = fleet.journal.events(SITE, Kind.IMPORT_FINISHED)
        assert finished.facts["outcome"] == "ok"
        async with connected(fleet) as other:
            assert (await run(other, ":put [:len [/interface bridge find]]"))[0] == b"3\r\n"


async def test_an_upgrade_brings_the_algorithms_of_the_new_version() -> None:
    behaviour = Behaviour(reboot_down_s=0.1, reboot_ends_channel=ChannelEnd.STATUS_0)
    async with one(version="6.49.10", behaviour=behaviour, setup=Setup(upgrade_to="7.20.8")) as fleet:
        async with connected(fleet) as connection:
            await run(connection, "/system package update install")
        await until(lambda: not fleet.router(SITE).down and fleet._hosts[SITE].listening)
        site = fleet.site(SITE)
        async with asyncssh.connect(
            site.address, site.port, username="tminus", client_keys=[fleet.client_key], known_hosts=None, config=None,
            kex_algs=["curve25519-sha256"],
        ) as connection:  # fmt: skip
            result = await connection.run(":put [/system resource get version]")
            assert result.stdout == "7.20.8 (stable)\r\n"


async def test_a_site_has_its_own_behaviour_and_set_up() -> None:
    sites = (
        SiteSpec(id="a", version="7.20.8"),
        SiteSpec(
            id="b", version="7.20.8", behaviour=replace(DEFAULT, parse_error_status=0), setup=Setup(lacks=("ftp",))
        ),
    )
    async with simulate(FleetSpec(site_specs=sites)) as fleet:
        assert fleet.router("a").behaviour == DEFAULT
        assert fleet.router("b").behaviour.parse_error_status == 0
        assert fleet.router("b").denied == {"ftp"}


@pytest.mark.parametrize(("version", "taken"), [("6.49.10", False), ("7.9.2", False), ("7.12.2", True)])
async def test_ed25519_user_keys_are_taken_since_7_12(version: str, taken: bool) -> None:
    async with one(version=version, client_key=asyncssh.generate_private_key("ssh-ed25519")) as fleet:
        if taken:
            async with connected(fleet) as connection:
                assert await run(connection, ":put 1") == (b"1\r\n", 0)
        else:
            with pytest.raises(asyncssh.PermissionDenied):
                async with connected(fleet):
                    pass


async def test_a_fleet_with_old_routers_has_a_key_that_they_take() -> None:
    sites = (SiteSpec(id="a", version="7.24.4"), SiteSpec(id="b", version="6.48.7"))
    async with simulate(FleetSpec(site_specs=sites)) as fleet:
        assert fleet.client_key.get_algorithm() == "ssh-rsa"


async def test_what_strong_crypto_leaves_is_enough_for_a_client_that_has_it() -> None:
    async with one(behaviour=Behaviour(offers_curves=False)) as fleet:
        async with connected(fleet, kex_algs=["diffie-hellman-group-exchange-sha256"]) as connection:
            assert await run(connection, ":put 1") == (b"1\r\n", 0)
        with pytest.raises(asyncssh.KeyExchangeFailed):
            async with connected(fleet, kex_algs=["curve25519-sha256"]):
                pass


async def test_a_site_takes_its_own_time() -> None:
    site = SiteSpec(id=SITE, version="7.24.4", timing=Timing(export_s=0.3), export_kb=50)
    async with simulate(FleetSpec(site_specs=(site,))) as fleet, connected(fleet) as connection:
        begun = asyncio.get_running_loop().time()
        output, _ = await run(connection, "/export")
        assert asyncio.get_running_loop().time() - begun >= 0.3
        assert len(output) > 50_000
