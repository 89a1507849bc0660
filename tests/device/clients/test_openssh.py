"""OpenSSH's ``ssh``, ``sftp`` and ``scp`` against simulated routers."""

from __future__ import annotations

import pytest

from tests.device.clients.openssh import OpenSsh, program
from tests.device.simulator.client import SITE, one
from tminus.simulator import TESTED, Kind

SCRIPT = b"/interface bridge add name=br9\n"


@pytest.mark.parametrize("version", TESTED)
async def test_ssh_and_sftp_print_upload_import_and_export(version: str, tmp_path) -> None:
    async with one(version=version) as fleet:
        client = OpenSsh(fleet=fleet, folder=tmp_path)
        printed = await client.ssh("/ip address print")
        assert (printed.errors, printed.status) == (b"", 0)
        assert b"192.168.88.1/24" in printed.output

        (tmp_path / "a.rsc").write_bytes(SCRIPT)
        moved = await client.sftp(f"put {tmp_path}/a.rsc\nls -l\nget a.rsc {tmp_path}/back.rsc\nrename a.rsc b.rsc\n")
        assert moved.status == 0, moved
        assert (tmp_path / "back.rsc").read_bytes() == SCRIPT
        assert fleet.files(SITE) == {"b.rsc": SCRIPT}

        imported = await client.ssh("/import b.rsc")
        assert imported.output == b"Script file loaded and executed successfully\r\n"
        exported = await client.ssh("/export")
        assert b"add name=br9" in exported.output
        assert exported.output.replace(b"\r\n", b"\n").decode().endswith(fleet.export(SITE))
        removed = await client.sftp("rm b.rsc\n")
        assert removed.status == 0, removed
        assert fleet.files(SITE) == {}


async def test_scp_uploads_in_its_sftp_mode(tmp_path) -> None:
    async with one() as fleet:
        (tmp_path / "a.rsc").write_bytes(SCRIPT)
        copied = await OpenSsh(fleet=fleet, folder=tmp_path).scp(tmp_path / "a.rsc", "a.rsc")
        assert copied.status == 0, copied
        assert fleet.files(SITE) == {"a.rsc": SCRIPT}


async def test_a_refused_command_says_why_on_stdout_and_exits_with_1(tmp_path) -> None:
    async with one() as fleet:
        ended = await OpenSsh(fleet=fleet, folder=tmp_path).ssh("/ip nonsense")
        assert ended.output == b"bad command name nonsense (line 1 column 5)\r\n"
        assert (ended.errors, ended.status) == (b"", 1)


async def test_a_terminal_that_is_forced_shows_prompt_and_echo(tmp_path) -> None:
    async with one() as fleet:
        typed = b"/interface bridge add name=br8\r/ip/address\rprint\r/quit\r"
        ended = await OpenSsh(fleet=fleet, folder=tmp_path).ssh("-tt", suffix="+ct200w", typed=typed)
        assert ended.status == 0
        assert b"[tminus@a] > /interface bridge add name=br8" in ended.output
        assert b"[tminus@a] /ip/address> print" in ended.output
        assert b"192.168.88.1/24" in ended.output
        assert "br8" in fleet.export(SITE)


async def test_a_script_on_stdin_runs_line_by_line_without_prompt_or_echo(tmp_path) -> None:
    """Each line is a scope of its own; only what is in braces shares one."""
    script = b':local a 1\n:put "a=$a"\n:do {\n  :local b 2\n  :put "b=$b"\n}\n/ip/nonsense\n:put last\n'
    async with one() as fleet:
        ended = await OpenSsh(fleet=fleet, folder=tmp_path).ssh("-T", typed=script)
        assert ended.output == b"a=\r\nb=2\r\nbad command name nonsense (line 1 column 5)\r\nlast\r\n"
        [shell] = fleet.journal.events(SITE, Kind.SHELL)
        assert shell.facts == {"terminal": False}


async def test_several_sessions_share_one_connection(tmp_path) -> None:
    async with one() as fleet:
        client = OpenSsh(fleet=fleet, folder=tmp_path)
        master = ("-o", f"ControlPath={tmp_path}/c", "-o", "ControlMaster=auto", "-o", "ControlPersist=5")
        port = str(fleet.site(SITE).port)
        for number in (1, 2, 3):
            line = [program("ssh"), *client.options, *master, "-p", port, client.target(), f":put {number}"]
            ended = await client._run(line, b"")
            assert ended.output == f"{number}\r\n".encode()
        assert len(fleet.journal.events(SITE, Kind.LOGIN)) == 1
        await client._run([program("ssh"), *client.options, *master, "-p", port, "-O", "exit", client.target()], b"")
