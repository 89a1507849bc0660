"""The SSH server of a simulated router, seen by a plain client."""

from __future__ import annotations

import asyncio

import asyncssh
import pytest

from tests.device.simulator.client import SITE, connected, one, run, upload
from tminus.errors import UsageError
from tminus.simulator import Behaviour, ChannelEnd, FleetSpec, Kind, OverLength, Setup, simulate

SCRIPT = b'/interface bridge add name=br9\n/ip address add address=10.9.0.1/24 interface=br9 comment="from tminus"\n'


async def test_banner_and_key_login(fleet, connection) -> None:
    assert connection.get_extra_info("server_version") == "SSH-2.0-ROSSSH"
    [login] = fleet.journal.events(SITE, Kind.LOGIN)
    assert login.facts == {"username": "tminus", "method": "publickey"}


async def test_the_presented_host_key_is_the_one_of_the_inventory(fleet, connection) -> None:
    key = connection.get_server_host_key()
    assert key is not None
    assert key.export_public_key().decode().strip() == fleet.site(SITE).host_key


@pytest.mark.parametrize("version", ["6.49.10", "7.20.8", "7.24.4"])
async def test_a_router_can_be_set_up_to_take_a_password_beside_a_key(version: str) -> None:
    async with (
        one(version=version, setup=Setup(password_login=True)) as fleet,
        connected(fleet, client_keys=None, password=fleet.spec.password) as connection,
    ):
        assert await run(connection, ":put 1") == (b"1\r\n", 0)


@pytest.mark.parametrize(
    ("version", "allow", "forbid"),
    [
        ("6.49.10", "always-allow-password-login=yes", "always-allow-password-login=no"),
        ("7.20.8", "always-allow-password-login=yes", "always-allow-password-login=no"),
        ("7.24.4", "password-authentication=yes", "password-authentication=yes-if-no-key"),
        ("7.24.4", "password-authentication=yes", "password-authentication=no"),
    ],
)
async def test_a_user_with_a_key_may_not_use_a_password_unless_ip_ssh_says_so(version, allow, forbid) -> None:
    async with one(version=version) as fleet, connected(fleet) as connection:

        async def by_password() -> bool:
            try:
                async with connected(fleet, client_keys=None, password=fleet.spec.password):
                    return True
            except asyncssh.PermissionDenied:
                return False

        assert not await by_password()
        assert await run(connection, f"/ip ssh set {allow}") == (b"", 0)
        assert await by_password()
        assert await run(connection, f"/ip ssh set {forbid}") == (b"", 0)
        assert not await by_password()


@pytest.mark.parametrize(
    ("version", "line"),
    [("7.20.8", "/ip ssh set password-authentication=yes"), ("7.24.4", "/ip ssh set always-allow-password-login=yes")],
)
async def test_the_property_of_ip_ssh_has_the_name_of_its_version(version: str, line: str) -> None:
    async with one(version=version) as fleet, connected(fleet) as connection:
        output, status = await run(connection, line)
        assert b"(line 1 column" in output
        assert status == 1


async def test_a_user_without_a_key_may_use_a_password_unless_none_may() -> None:
    async with one() as fleet, connected(fleet) as connection:
        await run(connection, "/user add name=eve group=read password=secret")
        eve = {"username": "eve", "client_keys": None, "password": "secret"}
        async with connected(fleet, **eve) as other:
            assert await run(other, ":put 1") == (b"1\r\n", 0)
        await run(connection, "/ip ssh set password-authentication=no")
        with pytest.raises(asyncssh.PermissionDenied):
            async with connected(fleet, **eve):
                pass


@pytest.mark.parametrize("version", ["6.49.10", "7.24.4"])
async def test_a_regenerated_host_key_is_seen_by_who_connects_next(version: str) -> None:
    async with one(version=version) as fleet, connected(fleet) as connection:
        old = connection.get_server_host_key()
        assert await run(connection, "/ip ssh regenerate-host-key") == (b"", 0)
        assert await run(connection, ":put 1") == (b"1\r\n", 0)  # what is open goes on
        keys = []
        for _ in range(2):
            async with connected(fleet) as later:
                keys.append(later.get_server_host_key())
        assert keys[0] != old
        assert keys[0] == keys[1]  # until it is asked for again
        assert keys[0].get_algorithm() == old.get_algorithm()


@pytest.mark.parametrize("wrong", [{"username": "root"}, {"client_keys": None, "password": "wrong"}])
async def test_wrong_logins_are_refused_and_journalled(wrong: dict[str, object]) -> None:
    async with one(setup=Setup(password_login=True)) as fleet:
        with pytest.raises(asyncssh.PermissionDenied):
            async with connected(fleet, **wrong):
                pass
        assert fleet.journal.events(SITE, Kind.LOGIN_REFUSED)
        assert not fleet.journal.events(SITE, Kind.LOGIN)


async def test_version_6_speaks_only_old_algorithms() -> None:
    async with one(version="6.49.10") as fleet:
        assert fleet.site(SITE).ssh_profile == "legacy"
        async with connected(fleet) as connection:
            assert await run(connection, ":put [/system resource get version]") == (b"6.49.10 (long-term)\r\n", 0)
        site = fleet.site(SITE)
        with pytest.raises(asyncssh.KeyExchangeFailed):
            await asyncssh.connect(
                site.address, site.port, known_hosts=None, config=None, kex_algs=["curve25519-sha256"]
            )


async def test_lines_end_with_crlf_and_errors_are_on_stdout(connection) -> None:
    assert await run(connection, ':put "a"; :put "b"') == (b"a\r\nb\r\n", 0)
    output, status = await run(connection, "/ip address add address=10.0.0.1/24 interface=none-such")
    assert output == b"input does not match any value of interface (/ip/address/add (interface); line 1)\r\n"
    assert status == 0


async def test_parse_errors_exit_with_1(connection) -> None:
    output, status = await run(connection, ":put 1; /ip nonsense")
    assert output.startswith(b"bad command name nonsense (line 1 column")
    assert status == 1


@pytest.mark.parametrize("status", [0, 1])
async def test_exit_statuses_are_switches(status: int) -> None:
    behaviour = Behaviour(parse_error_status=status, run_error_status=status, import_error_status=status)
    async with one(behaviour=behaviour) as fleet, connected(fleet) as connection:
        assert (await run(connection, "/nonsense"))[1] == status
        assert (await run(connection, ":error x"))[1] == status
        assert (await run(connection, "/import nothing.rsc"))[1] == status


async def test_several_lines_in_one_exec_are_refused(connection) -> None:
    output, status = await run(connection, ":put 1\n:put 2")
    assert b"1\r\n" not in output.split(b"(")[0]
    assert status == 1


@pytest.mark.parametrize(
    ("over", "output", "status"),
    [
        (OverLength.ERROR, b"failure: command too long\r\n", 1),
        (OverLength.CLOSE, b"", None),
        (OverLength.TRUNCATE, b"first\r\n", 0),
    ],
)
async def test_commands_that_are_too_long(over: OverLength, output: bytes, status: int | None) -> None:
    line = ":put first; " + " " * 100
    async with (
        one(behaviour=Behaviour(max_command_bytes=100, over_length=over)) as fleet,
        connected(fleet) as connection,
    ):
        assert await run(connection, line) == (output, status)


async def test_last_line_may_end_with_lf_alone() -> None:
    async with one(behaviour=Behaviour(last_line_lf=True)) as fleet, connected(fleet) as connection:
        assert await run(connection, ":put a; :put b") == (b"a\r\nb\n", 0)


async def test_the_whole_walk_of_a_script(fleet, connection) -> None:
    version = await run(connection, ":put [/system resource get version]; :put [/system identity get name]")
    assert version == (b"7.24.4 (stable)\r\na\r\n", 0)
    before, _ = await run(connection, '/export; :put ("TMINUS-END-" . "n1")')
    assert before.startswith(b"# ")
    assert before.endswith(b"\r\nTMINUS-END-n1\r\n")

    await upload(connection, "tminus-n1.rsc", SCRIPT)
    assert fleet.files(SITE) == {"tminus-n1.rsc": SCRIPT}
    size = await run(connection, ':put [/file get [find name="tminus-n1.rsc"] size]')
    assert size == (b"%d\r\n" % len(SCRIPT), 0)
    dry, _ = await run(connection, '/import file-name="tminus-n1.rsc" verbose=yes dry-run')
    assert dry.endswith(b"No syntax errors found in the import file\r\n")
    assert fleet.journal.starts(SITE) == []

    line = (
        ':log info "tminus n1 start"; :onerror e in={ /import file-name="tminus-n1.rsc"; :put ("TMINUS-OK-" . "n1"); '
        ':log info "tminus n1 done" } do={ :put ("TMINUS-ERR-" . "n1 " . $e) }'
    )
    assert await run(connection, line) == (b"Script file loaded and executed successfully\r\nTMINUS-OK-n1\r\n", 0)
    again, status = await run(connection, line)
    assert again.startswith(b"TMINUS-ERR-n1 Script Error: failure: already have interface with name br9 (/interface/")
    assert status == 0

    after, _ = await run(connection, '/export; :put ("TMINUS-END-" . "n1")')
    added = set(after.split(b"\r\n")) - set(before.split(b"\r\n"))
    assert b"add name=br9" in added
    assert b'add address=10.9.0.1/24 comment="from tminus" interface=br9 network=10.9.0.0' in added

    line = '/file remove [find name="tminus-n1.rsc"]; :put ("LEFT-" . [:len [/file find name="tminus-n1.rsc"]])'
    assert await run(connection, line) == (b"LEFT-0\r\n", 0)
    assert fleet.files(SITE) == {}
    logged, _ = await run(
        connection, ':foreach i in=[/log find where message~"tminus n1"] do={ :put [/log get $i message] }'
    )
    assert logged == b"tminus n1 start\r\ntminus n1 done\r\ntminus n1 start\r\n"
    kinds = [event.kind for event in fleet.journal.events(SITE) if event.kind.startswith("import")]
    assert kinds == [Kind.IMPORT_STARTED, Kind.IMPORT_FINISHED, Kind.IMPORT_STARTED, Kind.IMPORT_FINISHED]


async def test_sftp_reads_lists_renames_and_removes_in_memory(fleet, connection) -> None:
    async with connection.start_sftp_client() as sftp:
        async with sftp.open("a.txt", "wb") as file:
            await file.write(b"x" * 100_000)
        assert await sftp.listdir(".") == ["a.txt"]
        assert (await sftp.stat("/a.txt")).size == 100_000
        async with sftp.open("a.txt", "rb") as file:
            assert await file.read() == b"x" * 100_000
        await sftp.rename("a.txt", "b.txt")
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await sftp.stat("a.txt")
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await sftp.stat("/etc/passwd")
        await sftp.remove("b.txt")
    assert fleet.files(SITE) == {}
    assert [event.facts["name"] for event in fleet.journal.events(SITE, Kind.FILE_REMOVED)] == ["b.txt"]


async def test_output_beyond_the_window_is_dropped_with_exit_status_0() -> None:
    line = "/export; :put END"
    async with one(export_kb=200) as fleet, connected(fleet) as connection:
        whole, _ = await run(connection, line)
        assert whole.endswith(b"END\r\n")
        assert len(whole) > 200_000
        cut, status = await run(connection, line, window=64 * 1024)
        assert status == 0
        assert len(cut) == 64 * 1024
        assert whole[100:].startswith(cut[100:])
    async with (
        one(export_kb=200, behaviour=Behaviour(window_overflow_drops=False)) as fleet,
        connected(fleet) as connection,
    ):
        assert (await run(connection, line, window=64 * 1024))[0].endswith(b"END\r\n")


async def test_output_before_a_delay_arrives_before_it(connection) -> None:
    process = await connection.create_process(':put "first"; :delay 1h')
    async with asyncio.timeout(10):
        assert await process.stdout.readline() == b"first\r\n"
    process.close()


@pytest.mark.parametrize("survives", [False, True])
async def test_a_command_whose_session_ends(survives: bool) -> None:
    script = b"/interface bridge add name=br9\n:delay 300ms\n/interface bridge add name=br8\n"
    async with one(behaviour=Behaviour(foreground_survives_close=survives)) as fleet:
        async with connected(fleet) as connection:
            await upload(connection, "a.rsc", script)
            await connection.create_process("/import a.rsc")
            async with asyncio.timeout(10):
                await fleet.journal.wait(SITE, Kind.CHANGED)
            connection.abort()
        expected = Kind.IMPORT_FINISHED if survives else Kind.IMPORT_INTERRUPTED
        async with asyncio.timeout(10):
            await fleet.journal.wait(SITE, expected)
        assert ("br8" in fleet.export(SITE)) is survives


@pytest.mark.parametrize("end", list(ChannelEnd))
async def test_reboot_command(end: ChannelEnd) -> None:
    behaviour = Behaviour(reboot_ends_channel=end, reboot_down_s=0.2)
    async with one(behaviour=behaviour) as fleet:
        async with connected(fleet, keepalive_interval=0.1, keepalive_count_max=2) as connection:
            process = await connection.create_process(":put going; /system reboot")
            async with asyncio.timeout(10):
                result = await process.wait()
            assert result.exit_status == (0 if end is ChannelEnd.STATUS_0 else None)
        assert fleet.journal.events(SITE, Kind.REBOOT)
        async with asyncio.timeout(10):
            while True:
                try:
                    async with connected(fleet) as connection:
                        uptime, _ = await run(connection, ":put [/system resource get uptime]")
                        break
                except OSError:
                    await asyncio.sleep(0.02)
        assert uptime.startswith(b"00:00:0")


async def test_an_endless_loop_does_not_stop_the_others(fleet) -> None:
    async with connected(fleet) as looping, connected(fleet) as other:
        await looping.create_process(":while (true) do={ :local x 1 }")
        assert await run(other, ":put 1") == (b"1\r\n", 0)


async def test_endless_output_stops_where_the_client_stops_reading(fleet, connection) -> None:
    process = await connection.create_process(':while (true) do={ :put "0123456789abcdef" }', window=64 * 1024)
    async with asyncio.timeout(10):
        assert (await process.stdout.readexactly(100_000)).startswith(b"0123456789abcdef\r\n")
    process.close()
    async with asyncio.timeout(10):
        await fleet.journal.wait(SITE, Kind.EXEC_INTERRUPTED)


async def test_latency_is_that_of_the_round_trips() -> None:
    async with one(latency_ms=30) as fleet:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with connected(fleet) as connection:
            opened = loop.time()
            assert opened - begun > 0.03 * 5
            await run(connection, ":put 1")
            assert 0.03 * 2 <= loop.time() - opened < 0.03 * 20


async def test_two_fleets_may_not_take_the_same_place() -> None:
    async with one() as fleet:
        port = fleet.site(SITE).port
        with pytest.raises(UsageError, match="choose another --port"):
            async with one(port=port):
                pass


async def test_keys_and_journal_are_written_where_asked(tmp_path) -> None:
    journal = tmp_path / "journal.jsonl"
    async with one(key_dir=tmp_path / "keys", journal=journal) as fleet:
        assert fleet.key_file == tmp_path / "keys" / "id_ed25519"
        assert fleet.key_file.stat().st_mode & 0o777 == 0o600
        async with connected(fleet, client_keys=[str(fleet.key_file)]) as connection:
            await run(connection, ":put 1")
        assert '"kind": "exec"' in journal.read_text()


async def test_unusable_places_are_usage_errors(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    for options in (
        {"base": "10.0.0.1"},
        {"base": "nonsense"},
        {"base": "127.255.255.255", "sites": 2},
        {"sites": 0},
        {"journal": tmp_path / "missing" / "j"},
        {"key_dir": tmp_path / "file"},
        {"versions": ("5.0",)},
    ):
        with pytest.raises(UsageError):
            async with simulate(FleetSpec(**options)):
                pass
