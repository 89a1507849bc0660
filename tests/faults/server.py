"""A PostgreSQL of a test's own, which is killed, frozen, and put back to what it was."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from tests.support import Db, make_template
from tminus.store.embedded import EmbeddedServer


class Server:
    """Its DSNs stay as they are whatever is done to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._server = EmbeddedServer(folder / "state", durable=False)
        self._frozen: list[int] = []
        self.dsn = ""

    async def start(self) -> None:
        await self._server.start()
        self.dsn = self._server.dsn

    async def crash(self) -> None:
        """`stop -m immediate`: nothing is flushed, nobody is told."""
        os.kill(self._postmaster(), signal.SIGQUIT)
        await self._server.stop()
        self._server = EmbeddedServer(self.folder / "state", durable=False)

    async def restart(self) -> None:
        await self.crash()
        await self.start()

    def freeze(self) -> None:
        """Stop all of its processes; connections stay open, and nobody answers."""
        postmaster = self._postmaster()
        os.kill(postmaster, signal.SIGSTOP)  # first, so that it makes no more of them
        self._frozen = [postmaster, *_children(postmaster)]
        for pid in self._frozen[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in reversed(self._frozen):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._frozen = []

    async def snapshot(self) -> None:
        """Copy all that it holds at this moment, as a disk snapshot would."""
        # It does not write before it answers (durable=False): without this the copy may lack what a test has just committed.
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute("checkpoint")
        finally:
            await connection.close()
        self.freeze()
        try:
            await _run("cp", "-a", str(self.folder / "state/postgres"), str(self.folder / "snapshot"))
        finally:
            self.thaw()

    async def fail_over(self) -> None:
        """Come back as what the snapshot holds: every commit since is lost, and whoever was connected is cut."""
        await self.crash()
        shutil.rmtree(self.folder / "state/postgres")
        await _run("mv", str(self.folder / "snapshot"), str(self.folder / "state/postgres"))
        await self.start()

    async def close(self) -> None:
        self.thaw()
        await self._server.stop()

    def _postmaster(self) -> int:
        return int((self.folder / "state/postgres/postmaster.pid").read_text().splitlines()[0])


@asynccontextmanager
async def own_server() -> AsyncIterator[tuple[Server, Db]]:
    """A server with one migrated database and the logins of the tests."""
    # Not tmp_path: where the tests are root, the server runs as somebody else.
    folder = Path(tempfile.mkdtemp(prefix="tminus-fault-", dir="/tmp"))
    folder.chmod(0o755)
    server = Server(folder)
    try:
        await server.start()
        await make_template(server.dsn)
        # Not fresh_database, whose connection would not outlive what is done to the server; all of it goes at the end.
        connection = await asyncpg.connect(server.dsn)
        await connection.execute("create database trouble template template_tminus")
        await connection.close()
        yield server, Db(server.dsn.replace("///tminus?", "///trouble?"))
    finally:
        await server.close()
        shutil.rmtree(folder, ignore_errors=True)


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == parent:
                    found.append(int(entry.name))
    return found


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0, command
