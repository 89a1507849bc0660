"""Files read by SFTP: whole, or a part, or not at all; and never more than was asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import asyncssh
import pytest

from tests.device.servers import BY_KEY, connector, router, target, until
from tminus.device.connection import Connection
from tminus.errors import DeviceTimeout, UploadFailed

NAME = "tminus-0123456789abcdef.txt"
DATA = bytes(range(256)) * 400  # 102,400 bytes: several reads


def sftp(
    disk: Path, kind: type[asyncssh.SFTPServer] = asyncssh.SFTPServer
) -> Callable[[asyncssh.SSHServerChannel[bytes]], asyncssh.SFTPServer]:
    (disk / NAME).write_bytes(DATA)
    return lambda channel: kind(channel, chroot=str(disk))


async def connect(port: int) -> Connection:
    return await connector().connect(target(port), BY_KEY)


@pytest.mark.parametrize(
    ("offset", "cap", "expected"),
    [
        (0, 200_000, DATA),
        (0, len(DATA), DATA),
        (100_000, 200_000, DATA[100_000:]),
        (len(DATA), 100, b""),
        (0, 1000, DATA[:1001]),  # one more tells that there is more
        (50, 40_000, DATA[50:40_051]),
    ],
)
async def test_what_is_asked_for_and_at_most_one_byte_more(
    tmp_path: Path, offset: int, cap: int, expected: bytes
) -> None:
    async with router(sftp_factory=sftp(tmp_path)) as far, await connect(far.port) as near:
        assert await near.download(NAME, deadline=10, cap=cap, offset=offset) == expected
        assert (await near.run(":put ok", deadline=5, cap=100)).output == b"ok\r\n"


async def test_a_file_that_is_not_there_is_told_and_the_connection_goes_on(tmp_path: Path) -> None:
    async with router(sftp_factory=sftp(tmp_path)) as far, await connect(far.port) as near:
        with pytest.raises(UploadFailed, match="did not send the file other"):
            await near.download("other", deadline=5, cap=1000)
        assert (await near.run(":put ok", deadline=5, cap=100)).output == b"ok\r\n"


async def test_without_sftp_nothing_is_read() -> None:
    async with router() as far, await connect(far.port) as near:
        with pytest.raises(UploadFailed, match="policy 'ftp'"):
            await near.download(NAME, deadline=5, cap=1000)


class Endless(asyncssh.SFTPServer):
    """A file without an end."""

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        return b"x" * size


class Silent(asyncssh.SFTPServer):
    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        return object()

    def close(self, file_obj: object) -> None:
        pass

    async def read(self, file_obj: object, offset: int, size: int) -> bytes:
        await asyncio.Event().wait()
        return b""


async def test_a_file_without_an_end_is_cut_at_the_cap(tmp_path: Path) -> None:
    async with router(sftp_factory=sftp(tmp_path, Endless)) as far, await connect(far.port) as near:
        assert await near.download(NAME, deadline=10, cap=100_000) == b"x" * 100_001


async def test_a_router_that_stops_answering_is_given_up(tmp_path: Path) -> None:
    async with router(sftp_factory=sftp(tmp_path, Silent)) as far, await connect(far.port) as near:
        with pytest.raises(DeviceTimeout, match="did not send the file"):
            await near.download(NAME, deadline=0.3, cap=1000)
        await until(lambda: near.closed)
