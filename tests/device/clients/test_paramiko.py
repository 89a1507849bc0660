"""paramiko, without anything on top: exec requests, SFTP and a shell of simulated routers."""

from __future__ import annotations

import asyncio
import base64
import io
import time

import paramiko
import pytest

from tests.device.simulator.client import SITE, one
from tminus.simulator import Fleet, Kind, Setup

SCRIPT = b"/interface bridge add name=br9\n"


def connect(fleet: Fleet, **given: object) -> paramiko.SSHClient:
    site = fleet.site(SITE)
    client = paramiko.SSHClient()
    kind, key = site.host_key.split()[:2]
    name = f"[{site.address}]:{site.port}"
    client.get_host_keys().add(name, kind, paramiko.PKey.from_type_string(kind, base64.b64decode(key)))
    options = {"username": site.username, "look_for_keys": False, "allow_agent": False, "timeout": 10, **given}
    client.connect(site.address, site.port, **options)
    return client


def key_of(fleet: Fleet) -> paramiko.PKey:
    return paramiko.Ed25519Key.from_private_key(io.StringIO(fleet.client_key.export_private_key("openssh").decode()))


def run(client: paramiko.SSHClient, line: str) -> tuple[bytes, bytes, int]:
    _, out, err = client.exec_command(line, timeout=20)
    return out.read(), err.read(), out.channel.recv_exit_status()


def use(fleet: Fleet, **given: object) -> None:
    with connect(fleet, **given) as client:
        printed, errors, status = run(client, "/ip address print")
        assert (errors, status) == (b"", 0)
        assert b"192.168.88.1/24" in printed
        with client.open_sftp() as sftp:
            sftp.putfo(io.BytesIO(SCRIPT), "a.rsc")
            assert sftp.listdir() == ["a.rsc"]
            with sftp.open("a.rsc") as file:
                assert file.read() == SCRIPT
        output, _, _ = run(client, "/import a.rsc")
        assert output == b"Script file loaded and executed successfully\r\n"
        exported, _, _ = run(client, "/export")
        assert b"add name=br9\r\n" in exported


@pytest.mark.parametrize("method", ["password", "publickey"])
async def test_logs_in_prints_uploads_imports_and_exports(method: str) -> None:
    async with one(setup=Setup(password_login=True)) as fleet:
        given = {"password": fleet.spec.password} if method == "password" else {"pkey": key_of(fleet)}
        await asyncio.to_thread(use, fleet, **given)
        assert "br9" in fleet.export(SITE)


async def test_without_sha_1_it_agrees_with_a_router_of_6_on_nothing() -> None:
    """paramiko 5 knows no SHA-1, which is all that RouterOS 6 signs and exchanges keys with; nor does netmiko then."""
    async with one(version="6.49.10", setup=Setup(password_login=True)) as fleet:
        with pytest.raises(paramiko.SSHException, match="no acceptable"):
            await asyncio.to_thread(connect, fleet, password=fleet.spec.password)
        assert not fleet.journal.events(SITE, Kind.LOGIN)
        assert not fleet.journal.events(SITE, Kind.LOGIN_REFUSED)


def talk(fleet: Fleet) -> bytes:
    """Type a command into a shell and leave."""
    with connect(fleet, username=f"{fleet.site(SITE).username}+cte200w", password=fleet.spec.password) as client:
        channel = client.invoke_shell(width=200, height=100)
        channel.settimeout(20)
        channel.sendall(b"/interface bridge add name=br8\r/interface bridge print\r/quit\r")
        seen = b""
        end = time.monotonic() + 20
        while (data := channel.recv(4096)) and time.monotonic() < end:
            seen += data
        return seen


async def test_a_shell_echoes_runs_and_ends() -> None:
    async with one(setup=Setup(password_login=True)) as fleet:
        seen = await asyncio.to_thread(talk, fleet)
        assert b"MikroTik RouterOS 7.24.4 (c)" in seen
        assert b"[tminus@a] > /interface bridge add name=br8\r\n" in seen
        assert b"\x1b" not in seen  # a dumb terminal gets no escape sequences
        assert "br8" in fleet.export(SITE)
