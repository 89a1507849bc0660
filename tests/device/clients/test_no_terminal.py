"""tminus itself asks for no shell and no terminal."""

from __future__ import annotations

import pytest

from tests.device.servers import connector
from tests.device.simulator.client import SITE, one
from tminus.device.credentials import Credential
from tminus.device.profiles import SshProfile
from tminus.device.target import Target
from tminus.simulator import Kind


@pytest.mark.parametrize("version", ["6.49.10", "7.24.4"])
async def test_commands_and_uploads_of_tminus_open_no_shell(version: str) -> None:
    async with one(version=version) as fleet:
        site = fleet.site(SITE)
        where = Target(
            site_id=site.id,
            address=site.address,
            port=site.port,
            username=site.username,
            host_key=site.host_key,
            ssh_profile=SshProfile(site.ssh_profile),
        )
        credential = Credential(name="default", username=site.username, key=fleet.client_key)
        async with await connector().connect(where, credential) as connection:
            result = await connection.run(":put 1", deadline=10, cap=1000)
            assert result.output == b"1\r\n"
            await connection.upload("a.rsc", b":put 1\n", deadline=10)
        kinds = {event.kind for event in fleet.journal.events(SITE)}
        assert {Kind.EXEC, Kind.UPLOAD} <= kinds
        assert not kinds & {Kind.SHELL, Kind.TYPED}
