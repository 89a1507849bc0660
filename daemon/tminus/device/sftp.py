"""Write one file by SFTP version 3, or read one: the only things that are ever done with it.

asyncssh's client is general, and costs more than a whole connection and two round trips beyond need. This one opens the
file, sends all of it and the close without waiting in between, and then collects the verdict on each request.
"""

# ruff: noqa: ARG002 - asyncssh calls the methods of a session with more than we need.

from __future__ import annotations

import asyncio
import struct

import asyncssh

__all__ = ["fetch", "greet", "put"]

_INIT, _VERSION, _OPEN, _CLOSE, _READ, _WRITE, _STATUS, _HANDLE, _DATA = 1, 2, 3, 4, 5, 6, 101, 102, 103
_END_OF_FILE = 1  # the code of a status
_FOR_READING = 0x01
_CREATE_OR_REPLACE = 0x02 | 0x08 | 0x10  # write, create, truncate
_CHUNK = 32 * 1024
"""Bytes in a write; every server has to take this many."""
_LEAST_PACKET = 1024
"""Bytes that a channel takes at once, at least: RFC 4253 (6.1) has everybody take 32 KiB. asyncssh cuts what is written into so many
pieces without a pause, and of one byte each they would hold the event loop for minutes."""
_MOST = 1024 * 1024
"""Bytes of replies to one upload. Honest ones take less than a hundred each."""


async def greet(transport: asyncssh.SSHClientConnection) -> None:
    """Open SFTP, exchange versions and close it again. Raises what `put` raises. Has no deadline of its own."""
    replies = _Replies()
    channel = await _open(transport, replies)
    try:
        channel.write(_packet(_INIT, 3, b""))
        _expect(_VERSION, *await replies.get())
    finally:
        channel.close()


async def put(transport: asyncssh.SSHClientConnection, name: str, data: bytes) -> None:
    """Create or replace a file; return when the router has confirmed every write and the close.

    Raises asyncssh's errors: SFTPError in its shapes, ChannelOpenError if SFTP is refused. Has no deadline of its own.
    """
    replies = _Replies()
    channel = await _open(transport, replies)
    try:
        channel.write(_packet(_INIT, 3, b""))
        _expect(_VERSION, *await replies.get())
        channel.write(_packet(_OPEN, 1, _string(name.encode()) + struct.pack(">II", _CREATE_OR_REPLACE, 0)))
        handle = _string(_unpack_string(_expect(_HANDLE, *await replies.get()), 4))
        request = 1
        for offset in range(0, len(data), _CHUNK):
            request += 1
            part = data[offset : offset + _CHUNK]
            channel.write(_packet(_WRITE, request, handle + struct.pack(">Q", offset) + _string(part)))
        request += 1
        channel.write(_packet(_CLOSE, request, handle))
        unanswered = set(range(2, request + 1))
        while unanswered:
            unanswered.discard(_check(*await replies.get()))
    except struct.error as error:
        raise asyncssh.SFTPBadMessage("a reply is malformed") from error
    finally:
        channel.close()


async def fetch(transport: asyncssh.SSHClientConnection, name: str, *, cap: int, offset: int = 0) -> bytes:
    """Return what is in a file from `offset` on, at most `cap` bytes and one more. Raises what `put` raises; has no deadline of its own."""
    replies = _Replies(most=_MOST + 2 * cap)
    channel = await _open(transport, replies)
    try:
        channel.write(_packet(_INIT, 3, b""))
        _expect(_VERSION, *await replies.get())
        channel.write(_packet(_OPEN, 1, _string(name.encode()) + struct.pack(">II", _FOR_READING, 0)))
        handle = _string(_unpack_string(_expect(_HANDLE, *await replies.get()), 4))
        content, request = bytearray(), 1
        while len(content) <= cap:
            request += 1
            channel.write(_packet(_READ, request, handle + struct.pack(">QI", offset + len(content), _CHUNK)))
            kind, body = await replies.get()
            if kind == _STATUS and struct.unpack_from(">II", body)[1] == _END_OF_FILE:
                break
            part = _unpack_string(_expect(_DATA, kind, body), 4)
            if struct.unpack_from(">I", body) != (request,):
                raise asyncssh.SFTPBadMessage("a part is not the one that was asked for")
            if not part:
                raise asyncssh.SFTPBadMessage("a read gave nothing, and not the end")
            content += part
        channel.write(_packet(_CLOSE, request + 1, handle))
        return bytes(content[: cap + 1])
    except struct.error as error:
        raise asyncssh.SFTPBadMessage("a reply is malformed") from error
    finally:
        channel.close()


async def _open(transport: asyncssh.SSHClientConnection, replies: _Replies) -> asyncssh.SSHClientChannel[bytes]:
    channel, _ = await transport.create_session(lambda: replies, command=None, subsystem="sftp")
    if channel._send_pktsize < _LEAST_PACKET:
        channel.close()
        raise asyncssh.SFTPBadMessage(f"it takes {channel._send_pktsize} bytes at once, which no SFTP server does")
    return channel


class _Replies(asyncssh.SSHClientSession[bytes]):
    """Cuts what the router sends into packets."""

    def __init__(self, *, most: int = _MOST) -> None:
        self._most = most  # bytes
        self._buffer = bytearray()
        self._received = 0
        self._is_spoilt = False
        self._packets: asyncio.Queue[tuple[int, bytes] | Exception] = asyncio.Queue()

    async def get(self) -> tuple[int, bytes]:
        """Return the type and the body of the next packet."""
        packet = await self._packets.get()
        if isinstance(packet, Exception):
            raise packet
        return packet

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if self._is_spoilt:
            return
        self._received += len(data)
        if datatype is not None or self._received > self._most:
            self._spoil("what the router sends is not SFTP")
            return
        self._buffer += data
        while len(self._buffer) >= 5:
            size, kind = struct.unpack_from(">IB", self._buffer)
            if size == 0:
                self._spoil("a reply is malformed")
                return
            if len(self._buffer) < 4 + size:
                break
            self._packets.put_nowait((kind, bytes(self._buffer[5 : 4 + size])))
            del self._buffer[: 4 + size]

    def _spoil(self, why: str) -> None:
        """Say so once; nothing that comes after it is looked at."""
        self._is_spoilt = True
        self._buffer.clear()
        self._packets.put_nowait(asyncssh.SFTPBadMessage(why))

    def connection_lost(self, exc: Exception | None) -> None:
        self._packets.put_nowait(asyncssh.SFTPConnectionLost("the router closed the SFTP channel"))


def _packet(kind: int, request: int, fields: bytes) -> bytes:
    """Return a packet; an INIT has the protocol version where the others have their request number."""
    return struct.pack(">IBI", 5 + len(fields), kind, request) + fields


def _string(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def _unpack_string(body: bytes, offset: int) -> bytes:
    (size,) = struct.unpack_from(">I", body, offset)
    return body[offset + 4 : offset + 4 + size]


def _expect(wanted: int, kind: int, body: bytes) -> bytes:
    """Return the body of a packet of the wanted type."""
    if kind == _STATUS:
        _check(kind, body)
    if kind != wanted:
        raise asyncssh.SFTPBadMessage(f"packet type {kind} came instead of {wanted}")
    return body


def _check(kind: int, body: bytes) -> int:
    """Return the request number of a status that says OK."""
    if kind != _STATUS or len(body) < 8:
        raise asyncssh.SFTPBadMessage(f"packet type {kind} came instead of a status")
    request, code = struct.unpack_from(">II", body)
    if code != 0:
        reason = _unpack_string(body, 8).decode(errors="replace") if len(body) >= 12 else ""
        raise asyncssh.SFTPError(code, reason or f"status {code}")
    return int(request)
