"""Files by SFTP, against asyncssh's server and against servers that break the protocol."""

from __future__ import annotations

import asyncio
import gc
import struct
import weakref
from collections.abc import Callable
from pathlib import Path

import asyncssh
import pytest

from tests.device.servers import BY_KEY, Wire, connector, router, target, until
from tminus.device.connection import Connection
from tminus.errors import ConnectionLost, DeviceTimeout, UploadFailed

NAME = "tminus-0123456789abcdef.rsc"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """The root of the files of a router."""
    return tmp_path


def _sftp(disk: Path, kind: type[asyncssh.SFTPServer] = asyncssh.SFTPServer) -> Callable[..., asyncssh.SFTPServer]:
    return lambda channel: kind(channel, chroot=str(disk))


async def _connect(port: int) -> Connection:
    return await connector().connect(target(port), BY_KEY)


@pytest.mark.parametrize("size", [0, 1, 32 * 1024, 32 * 1024 + 1, 1024 * 1024, 3_000_001])
async def test_a_file_arrives_whole_and_the_connection_goes_on(disk: Path, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    async with router(sftp_factory=_sftp(disk)) as far, await _connect(far.port) as near:
        await near.upload(NAME, data[:size], deadline=20)
        assert (disk / NAME).read_bytes() == data[:size]
        assert (await near.run(":put ok", deadline=5, cap=100)).output == b"ok\r\n"


@pytest.mark.parametrize("aborted", [False, True])
async def test_what_a_session_held_is_freed_with_its_end_and_without_the_collector(disk: Path, aborted: bool) -> None:
    async def session(port: int) -> weakref.ref[object]:
        near = await _connect(port)
        await near.run(":put ok", deadline=5, cap=100)
        await near.upload(NAME, b"x", deadline=5)
        await (await near.start(":put ok", deadline=5, cap=100)).wait(5)
        near.abort() if aborted else await near.close()
        return weakref.ref(near._transport)

    async with router(sftp_factory=_sftp(disk)) as far:
        gc.disable()
        try:
            held = await session(far.port)
            await until(lambda: held() is None)
        finally:
            gc.enable()


async def test_an_older_longer_file_is_replaced(disk: Path) -> None:
    (disk / NAME).write_bytes(b"x" * 1000)
    async with router(sftp_factory=_sftp(disk)) as far, await _connect(far.port) as near:
        await near.upload(NAME, b"short", deadline=5)
        assert (disk / NAME).read_bytes() == b"short"


async def test_without_sftp_the_upload_fails_and_the_connection_goes_on() -> None:
    async with router() as far, await _connect(far.port) as near:
        with pytest.raises(UploadFailed, match="needs the policy 'ftp'"):
            await near.upload(NAME, b"x", deadline=5)
        assert (await near.run(":put ok", deadline=5, cap=100)).output == b"ok\r\n"


class _Closing(asyncssh.SSHServerSession[bytes]):
    """Answers a request for SFTP by closing the channel, as RouterOS does without the policy 'ftp' (seen)."""

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan

    def subsystem_requested(self, subsystem: str) -> bool:
        self._channel.close()
        return True


async def test_a_channel_that_closes_instead_of_sftp_is_a_failed_upload() -> None:
    async with router(session=_Closing) as far, await _connect(far.port) as near:
        with pytest.raises(UploadFailed, match="site_41"):
            await near.upload(NAME, b"x", deadline=5)
        assert not near.closed


class _ReadOnly(asyncssh.SFTPServer):
    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        raise asyncssh.SFTPPermissionDenied("read-only\x1b file system")


class _Full(asyncssh.SFTPServer):
    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        if offset >= 65536:
            raise asyncssh.SFTPNoSpaceOnFilesystem("no space left")
        return super().write(file_obj, offset, data)


class _LosingAtClose(asyncssh.SFTPServer):
    def close(self, file_obj: object) -> None:
        super().close(file_obj)
        raise asyncssh.SFTPFailure("cannot commit")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(_ReadOnly, r"read-only\? file system"), (_Full, "no space left"), (_LosingAtClose, "cannot commit")],
)
async def test_an_error_at_any_step_is_a_failed_upload(
    disk: Path, kind: type[asyncssh.SFTPServer], reason: str
) -> None:
    async with router(sftp_factory=_sftp(disk, kind)) as far, await _connect(far.port) as near:
        with pytest.raises(UploadFailed, match=rf"did not take the file {NAME} by SFTP \({reason}\); nothing was run"):
            await near.upload(NAME, b"x" * 200_000, deadline=5)
        assert (await near.run(":put ok", deadline=5, cap=100)).output == b"ok\r\n"


class _Stalling(asyncssh.SFTPServer):
    """Opens a file that is none, and never answers a write."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], stalled: asyncio.Event) -> None:
        super().__init__(channel)
        self._stalled = stalled

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        return object()

    async def write(self, file_obj: object, offset: int, data: bytes) -> int:
        self._stalled.set()
        await asyncio.Event().wait()
        return 0

    def close(self, file_obj: object) -> None:
        pass


async def test_an_upload_that_stalls_ends_at_its_deadline() -> None:
    stalled = asyncio.Event()
    async with (
        router(sftp_factory=lambda channel: _Stalling(channel, stalled)) as far,
        await _connect(far.port) as near,
    ):
        with pytest.raises(DeviceTimeout, match=rf"did not take the file {NAME} within 0\.3 s; connection aborted"):
            await near.upload(NAME, b"x", deadline=0.3)
        await until(lambda: near.closed and far.connections[0].is_closed())


async def test_a_connection_cut_during_an_upload_is_lost() -> None:
    stalled = asyncio.Event()
    async with router(sftp_factory=lambda channel: _Stalling(channel, stalled)) as far, Wire.to(far.port) as wire:
        near = await _connect(wire.port)
        uploading = asyncio.create_task(near.upload(NAME, b"x", deadline=20))
        await until(stalled.is_set)
        wire.reset()
        with pytest.raises(ConnectionLost, match=f"was lost while the file {NAME} was sent"):
            await uploading


async def test_a_cancelled_upload_drops_the_connection() -> None:
    stalled = asyncio.Event()
    async with (
        router(sftp_factory=lambda channel: _Stalling(channel, stalled)) as far,
        await _connect(far.port) as near,
    ):
        uploading = asyncio.create_task(near.upload(NAME, b"x", deadline=20))
        await until(stalled.is_set)
        uploading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await uploading
        await until(far.connections[0].is_closed)


def _speaking(answer: bytes) -> type[asyncssh.SSHServerSession[bytes]]:
    """A subsystem that answers every packet with the same bytes."""

    class Speaking(asyncssh.SSHServerSession[bytes]):
        def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
            self._channel = chan
            chan.set_encoding(None)

        def subsystem_requested(self, subsystem: str) -> bool:
            return True

        def data_received(self, data: bytes, datatype: int | None) -> None:
            self._channel.write(answer)

    return Speaking


VERSION = struct.pack(">IBI", 5, 2, 3)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"\r\nbad command name sftp\r\n" * 50_000, "is not SFTP"),
        (struct.pack(">IBI", 5, 102, 1), "packet type 102 came instead of 2"),
        (struct.pack(">IB", 1, 101), "packet type 101 came instead of a status"),
        (VERSION, "packet type 2 came instead of 102"),
        (struct.pack(">IBI", 5, 101, 0) + b"", "came instead of a status"),
        (struct.pack(">IBIII", 13, 101, 0, 4, 0), "status 4"),
        (struct.pack(">IBIII", 13, 101, 0, 4, 2**31), "status 4"),
        (VERSION + struct.pack(">IBI", 5, 102, 1), "malformed"),
        (struct.pack(">IB", 0, 2) * 3, "malformed"),
    ],
)
async def test_a_server_that_breaks_the_protocol_is_a_failed_upload(answer: bytes, reason: str) -> None:
    async with router(session=_speaking(answer)) as far, await _connect(far.port) as near:
        with pytest.raises(UploadFailed, match=reason):
            await near.upload(NAME, b"x" * 100_000, deadline=5)
        assert not near.closed


async def test_a_channel_that_takes_a_byte_at_a_time_is_a_failed_upload(disk: Path) -> None:
    """A megabyte would be a million packets, made without a pause."""
    async with router(sftp_factory=_sftp(disk), max_pktsize=16) as far, await _connect(far.port) as near:
        with pytest.raises(UploadFailed, match="it takes 16 bytes at once"):
            await near.upload(NAME, bytes(1024 * 1024), deadline=20)
        assert not (disk / NAME).exists()


async def test_a_server_that_floods_the_upload_is_cut_off_early() -> None:
    class Flooding(asyncssh.SSHServerSession[bytes]):
        def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
            self._channel = chan
            chan.set_encoding(None)

        def subsystem_requested(self, subsystem: str) -> bool:
            return True

        def data_received(self, data: bytes, datatype: int | None) -> None:
            self._channel.write(struct.pack(">IB", 2**31, 2) + b"x" * 10_000_000)

    async with router(session=Flooding) as far, await _connect(far.port) as near:
        with pytest.raises(UploadFailed, match="is not SFTP"):
            await near.upload(NAME, b"x", deadline=5)
