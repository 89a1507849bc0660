"""A real jump host on loopback: an SSH server that connects its clients onward, and counts."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import asyncssh
from asyncssh.stream import SSHTCPStreamSession

HOST = "127.0.0.1"


@dataclass
class Bastion:
    client_key: asyncssh.SSHKey
    host_key: asyncssh.SSHKey
    port: int = 0
    logins: int = 0
    refused: int = 0
    allows: bool = True
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    open: int = 0
    """Channels at this moment."""
    most: int = 0
    """The most channels there ever were at once."""
    asked: list[str] = field(default_factory=list)
    _acceptor: asyncssh.SSHAcceptor | None = None

    @property
    def pin(self) -> str:
        return " ".join(self.host_key.export_public_key().decode().split()[:2])

    @property
    def living(self) -> int:
        return sum(not connection.is_closed() for connection in self.connections)

    async def listen(self) -> None:
        self._acceptor = await asyncssh.listen(
            HOST, self.port, server_factory=lambda: _Server(self), server_host_keys=[self.host_key], encoding=None,
            config=None, reuse_address=True,
        )  # fmt: skip
        self.port = self._acceptor.get_port()

    def unlisten(self) -> None:
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None

    def cut(self) -> None:
        """Drop all connections without a word."""
        for connection in self.connections:
            connection.abort()


class _Server(asyncssh.SSHServer):
    def __init__(self, bastion: Bastion) -> None:
        self._bastion = bastion

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._bastion.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        right = username == "jump" and key.public_data == self._bastion.client_key.public_data
        self._bastion.refused += not right
        return right

    def auth_completed(self) -> None:
        self._bastion.logins += 1

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> object:
        self._bastion.asked.append(dest_host)
        if not self._bastion.allows:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "not allowed")
        return self._connect(dest_host, dest_port)

    async def _connect(self, host: str, port: int) -> object:
        bastion = self._bastion
        try:
            far_reader, far_writer = await asyncio.open_connection(host, port)
        except OSError as error:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, os.strerror(error.errno or 0)) from error
        bastion.open += 1
        bastion.most = max(bastion.most, bastion.open)

        async def carry(reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes]) -> None:
            async def inward() -> None:
                with contextlib.suppress(OSError, asyncssh.Error):
                    while data := await far_reader.read(65536):
                        writer.write(data)
                        await writer.drain()
                writer.close()

            back = asyncio.create_task(inward())
            try:
                with contextlib.suppress(OSError, asyncssh.Error):
                    while data := await reader.read(65536):
                        far_writer.write(data)
                        await far_writer.drain()
            finally:
                bastion.open -= 1
                far_writer.transport.abort()
                back.cancel()

        return SSHTCPStreamSession(carry)


@contextlib.asynccontextmanager
async def bastion(client_key: asyncssh.SSHKey | None = None) -> AsyncIterator[Bastion]:
    """Run a jump host; `client_key` is who may log in, as `jump`."""
    host = Bastion(
        client_key=client_key or asyncssh.generate_private_key("ssh-ed25519"),
        host_key=asyncssh.generate_private_key("ssh-ed25519"),
    )
    await host.listen()
    try:
        yield host
    finally:
        host.unlisten()
        host.cut()
