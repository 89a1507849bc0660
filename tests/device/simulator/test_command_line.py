"""``tminus simulate`` as a process: fleets from a file, and what it says about options that make no sense."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import asyncssh
import pytest

from tests.device.simulator.test_profiles import until

FLEET = """
[[site]]
id = "edge"
count = 2
version = "6.49.10"
setup = { lacks = ["ftp"] }

[[site]]
id = "new"
profile = "worst"
"""


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "tminus", "simulate", "--base", "127.49.0.1", *map(str, arguments)]


async def test_a_fleet_from_a_file_listens_and_is_as_described(tmp_path: Path) -> None:
    file, inventory, keys = tmp_path / "fleet.toml", tmp_path / "fleet.sql", tmp_path / "keys"
    file.write_text(FLEET)
    process = await asyncio.create_subprocess_exec(
        *command("--fleet", file, "--inventory", inventory, "--key-dir", keys, "--version", "7.24.4"),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        await until(inventory.exists)
        sql = inventory.read_text()
        assert [name for name in ("'edge-1'", "'edge-2'", "'new'", "'legacy'") if name not in sql] == []
        port = int(sql.split("'127.49.0.3', ")[1].split(",")[0])
        async with asyncssh.connect(
            "127.49.0.3", port, username="tminus", client_keys=[str(keys / "id_rsa")], known_hosts=None, config=None
        ) as connection:
            assert (await connection.run(":put [/system resource get version]")).stdout == "7.24.4 (stable)\n"
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--switch", "nothing=1"), "there is no 'nothing'"),
        (("--switch", "newline=often"), "error, first-line, close"),
        (("--setup", "flash_folder=perhaps"), "yes or no"),
        (("--fleet", "{file}", "--faults", "slow=1"), "leave --faults out"),
        (("--fleet", "{file}"), "[[site]]"),
    ],
)
async def test_what_makes_no_sense_is_refused_in_one_sentence(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text("")
    process = await asyncio.create_subprocess_exec(
        *command(*(argument.format(file=file) for argument in arguments)), stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(20):
        _, stderr = await process.communicate()
    assert process.returncode == 2
    assert said in stderr.decode()
    assert "Traceback" not in stderr.decode()
