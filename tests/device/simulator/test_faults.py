"""Each kind of fault, seen by a plain client, and what the journal says really happened."""

from __future__ import annotations

import asyncio

import asyncssh
import pytest

from tests.device.simulator.client import SITE, connected, one, run, upload
from tminus.simulator import Behaviour, Fault, Fleet, FleetSpec, Kind, parse_faults, simulate

SCRIPT = b"/interface bridge add name=br9\n/interface bridge add name=br8\n"
START = '/import file-name="a.rsc"; :put ("OK-" . "1")'


async def start(fleet: Fleet) -> tuple[bytes, int | None]:
    async with connected(fleet) as connection:
        await upload(connection, "a.rsc", SCRIPT)
        return await run(connection, START)


async def test_offline_refuses_tcp_and_can_come_online() -> None:
    async with one(Fault.OFFLINE) as fleet:
        with pytest.raises(ConnectionRefusedError):
            async with connected(fleet):
                pass
        await fleet.set_faults(SITE, ())
        async with connected(fleet) as connection:
            assert await run(connection, ":put 1") == (b"1\r\n", 0)


async def test_blackhole_accepts_and_says_nothing() -> None:
    async with one(Fault.BLACKHOLE) as fleet:
        site = fleet.site(SITE)
        reader, writer = await asyncio.open_connection(site.address, site.port)
        writer.write(b"SSH-2.0-test\r\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.read(1)
        writer.close()


async def test_refuses_login() -> None:
    async with one(Fault.REFUSES_LOGIN) as fleet:
        with pytest.raises(asyncssh.PermissionDenied):
            async with connected(fleet):
                pass
        assert fleet.journal.events(SITE, Kind.LOGIN_REFUSED)


async def test_changed_host_key_differs_from_the_inventory() -> None:
    async with one(Fault.CHANGED_HOST_KEY) as fleet:
        async with connected(fleet) as connection:
            key = connection.get_server_host_key()
            assert key is not None
            assert key.export_public_key().decode().strip() != fleet.site(SITE).host_key
        pinned = asyncssh.import_known_hosts(f"{fleet.site(SITE).address} {fleet.site(SITE).host_key}")
        with pytest.raises(asyncssh.HostKeyNotVerifiable):
            async with connected(fleet, known_hosts=pinned):
                pass


async def test_slow_takes_its_time_over_each_command() -> None:
    async with one(Fault.SLOW) as fleet, connected(fleet) as connection:
        begun = asyncio.get_running_loop().time()
        await run(connection, ":put 1")
        assert asyncio.get_running_loop().time() - begun >= 1


async def test_drops_mid_script_applies_half_and_interrupts() -> None:
    async with one(Fault.DROPS_MID_SCRIPT) as fleet:
        try:
            output, status = await start(fleet)
        except (asyncssh.ConnectionLost, asyncssh.ChannelOpenError):
            output, status = b"", None
        assert (output, status) == (b"", None)
        async with asyncio.timeout(5):
            await fleet.journal.wait(SITE, Kind.IMPORT_INTERRUPTED)
        assert len(fleet.journal.starts(SITE)) == 1
        assert not fleet.journal.events(SITE, Kind.IMPORT_FINISHED)
        assert "br9" in fleet.export(SITE)
        assert "br8" not in fleet.export(SITE)


async def test_drops_mid_script_where_a_command_survives_its_session() -> None:
    async with one(Fault.DROPS_MID_SCRIPT, behaviour=Behaviour(foreground_survives_close=True)) as fleet:
        _, status = await start(fleet)
        assert status is None
        async with asyncio.timeout(5):
            await fleet.journal.wait(SITE, Kind.IMPORT_FINISHED)
        assert "br8" in fleet.export(SITE)


async def test_drops_after_script_applies_all_and_tells_nothing() -> None:
    async with one(Fault.DROPS_AFTER_SCRIPT) as fleet:
        output, status = await start(fleet)
        assert (output, status) == (b"", None)
        [finished] = fleet.journal.events(SITE, Kind.IMPORT_FINISHED)
        assert finished.facts["outcome"] == "ok"
        assert "br8" in fleet.export(SITE)


async def test_truncates_export_with_exit_status_0() -> None:
    async with one(Fault.TRUNCATES_EXPORT) as fleet, connected(fleet) as connection:
        output, status = await run(connection, "/export; :put END")
        assert status == 0
        assert output.startswith(b"# ")
        assert b"END" not in output
        [event] = fleet.journal.events(SITE, Kind.EXPORT)
        assert len(output.replace(b"\r\n", b"\n")) == int(event.facts["bytes"] or 0) // 2


async def test_reboots_in_the_middle_and_comes_back_with_a_small_uptime() -> None:
    async with one(Fault.REBOOTS, behaviour=Behaviour(reboot_down_s=0.1)) as fleet:
        output, status = await start(fleet)
        assert (output, status) == (b"", None)
        kinds = [event.kind for event in fleet.journal.events(SITE)]
        assert kinds.index(Kind.REBOOT) < kinds.index(Kind.IMPORT_INTERRUPTED)
        assert "br9" in fleet.export(SITE)
        assert "br8" not in fleet.export(SITE)
        assert fleet.router(SITE).uptime_s < 1
        assert fleet.files(SITE) == {"a.rsc": SCRIPT}


async def test_no_sftp_closes_the_channel_but_leaves_exec() -> None:
    async with one(Fault.NO_SFTP) as fleet, connected(fleet) as connection:
        with pytest.raises((asyncssh.SFTPError, asyncssh.ChannelOpenError)):
            async with connection.start_sftp_client():
                pass
        assert await run(connection, ":put 1") == (b"1\r\n", 0)


async def test_upload_late_shows_the_file_after_a_while() -> None:
    async with one(Fault.UPLOAD_LATE) as fleet, connected(fleet) as connection:
        await upload(connection, "a.rsc", SCRIPT)
        look = ':put [:len [/file find name="a.rsc"]]'
        assert await run(connection, look) == (b"0\r\n", 0)
        assert (await run(connection, START))[0].startswith(b"Cannot open import file")
        async with asyncio.timeout(10):
            while (await run(connection, look))[0] != b"1\r\n":
                pass


async def test_hostile_output_surrounds_that_of_a_script() -> None:
    async with one(Fault.HOSTILE_OUTPUT) as fleet:
        output, _ = await start(fleet)
        for piece in (b"\x1b[2J", b"\x00", b"\xff\xfe", "\u202e".encode(), b"TMINUS-OK-0000000000000000", b"OK-1\r\n"):
            assert piece in output


async def test_a_fleet_with_every_fault_has_each_where_the_spec_says() -> None:
    text = ",".join(f"{fault}=1" for fault in Fault)
    async with simulate(FleetSpec(sites=len(Fault) + 3, faults=parse_faults(text), seed=4)) as fleet:
        tags = [tag for site in fleet.sites for tag in site.tags]
        assert all(tags.count(fault) == 1 for fault in Fault)
        assert len({(site.address, site.port) for site in fleet.sites}) == len(Fault) + 3
        sql = fleet.inventory_sql("default")
        assert sql.count("'default'") == len(Fault) + 3
