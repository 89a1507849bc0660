"""The programs of OpenSSH, kept away from the keys and settings of whoever runs the tests."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.device.simulator.client import SITE
from tminus.simulator import Fleet

_LEGACY = (
    "HostKeyAlgorithms=+ssh-rsa",
    "PubkeyAcceptedAlgorithms=+ssh-rsa",
    "KexAlgorithms=+diffie-hellman-group14-sha1",
    "MACs=+hmac-sha1",
)


def program(name: str) -> str:
    """The path of a program of OpenSSH; skips the test where there is none, unless REQUIRE_OPENSSH is set."""
    path = shutil.which(name)
    if path is None:
        why = f"{name} is not on PATH; install openssh-client"
        if os.environ.get("REQUIRE_OPENSSH"):
            pytest.fail(why)
        pytest.skip(why)
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    output: bytes
    errors: bytes
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSsh:
    """One router, seen by ``ssh``, ``sftp`` and ``scp``, with the host key of the inventory."""

    fleet: Fleet
    folder: Path

    @property
    def options(self) -> list[str]:
        site = self.fleet.site(SITE)
        known = self.folder / "known_hosts"
        known.write_text(f"[{site.address}]:{site.port} {site.host_key}\n")
        key = self.folder / "key"
        if not key.exists():
            key.write_bytes(self.fleet.client_key.export_private_key("openssh"))
            key.chmod(0o600)
        given = [
            "IdentitiesOnly=yes",
            "BatchMode=yes",
            f"IdentityFile={key}",
            f"UserKnownHostsFile={known}",
            "GlobalKnownHostsFile=/dev/null",
            "StrictHostKeyChecking=yes",
            "ConnectTimeout=10",
            "LogLevel=ERROR",
            *(_LEGACY if site.ssh_profile == "legacy" else ()),
        ]
        return ["-F", "/dev/null", *(part for option in given for part in ("-o", option))]

    def target(self, suffix: str = "") -> str:
        site = self.fleet.site(SITE)
        return f"{site.username}{suffix}@{site.address}"

    async def ssh(self, *arguments: str, suffix: str = "", typed: bytes = b"") -> Ended:
        port = str(self.fleet.site(SITE).port)
        split = [*arguments]
        flags = [split.pop(0) for _ in range(len(split)) if split[0].startswith("-")]
        line = [program("ssh"), *self.options, "-p", port, *flags, self.target(suffix), *split]
        return await self._run(line, typed)

    async def sftp(self, batch: str) -> Ended:
        port = str(self.fleet.site(SITE).port)
        return await self._run([program("sftp"), *self.options, "-P", port, "-b", "-", self.target()], batch.encode())

    async def scp(self, source: Path, name: str) -> Ended:
        port = str(self.fleet.site(SITE).port)
        return await self._run([program("scp"), *self.options, "-P", port, str(source), f"{self.target()}:{name}"], b"")

    async def _run(self, line: Sequence[str], typed: bytes) -> Ended:
        process = await asyncio.create_subprocess_exec(
            *line,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
        )
        try:
            async with asyncio.timeout(30):
                output, errors = await process.communicate(typed)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return Ended(output=output, errors=errors, status=process.returncode or 0)
