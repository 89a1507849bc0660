"""Small real SSH servers, and bad ones, on loopback; each keeps a journal of what reached it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache

import asyncssh

from tminus.device.connector import Connector
from tminus.device.credentials import Credential
from tminus.device.hostkeys import HostKey, HostKeyPolicy
from tminus.device.profiles import SshProfile
from tminus.device.target import Limits, Target

HOST = "127.0.0.1"
Handler = Callable[[asyncssh.SSHServerProcess[bytes]], Awaitable[None]]


def key(kind: str = "ssh-ed25519", number: int = 0) -> asyncssh.SSHKey:
    """Return one of the key pairs of the tests; the same one for the same arguments."""
    return _key(kind, number)


@cache
def _key(kind: str, number: int) -> asyncssh.SSHKey:
    return asyncssh.generate_private_key(kind, comment=f"number {number}")


def text(pair: asyncssh.SSHKey) -> str:
    """Return the public key as it is pinned."""
    return HostKey(kind=pair.get_algorithm(), blob=pair.public_data).text


@dataclass
class Router:
    """A running server. `journal` has a line for each thing that a client did."""

    port: int = 0
    journal: list[str] = field(default_factory=list)
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    login_requests: int = 0

    def abort(self) -> None:
        """Drop all connections without a word."""
        for connection in self.connections:
            connection.abort()


@dataclass
class Access:
    """Who gets in, and how."""

    public_key: asyncssh.SSHKey | None = None
    password: str | None = None
    interactive: str | None = None
    on_password: Callable[[asyncssh.SSHServerConnection], Awaitable[None]] | None = None
    stall: bool = False


class _Server(asyncssh.SSHServer):
    def __init__(self, router: Router, access: Access, session: Callable[[], object] | None) -> None:
        self._router = router
        self._access = access
        self._session = session

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._router.connections.append(conn)

    async def begin_auth(self, username: str) -> bool:
        self._router.journal.append(f"login of {username}")
        if self._access.stall:
            await asyncio.Event().wait()
        return True

    def public_key_auth_supported(self) -> bool:
        self._router.login_requests += 1  # asked for the answer to each login request
        return self._access.public_key is not None

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self._router.journal.append("key")
        return key == self._access.public_key

    def password_auth_supported(self) -> bool:
        return self._access.password is not None

    async def validate_password(self, username: str, password: str) -> bool:
        self._router.journal.append(f"password {password}")
        if self._access.on_password:
            await self._access.on_password(self._connection)
        return password == self._access.password

    def kbdint_auth_supported(self) -> bool:
        return self._access.interactive is not None

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> object:
        self._router.journal.append("interactive")
        return "", "", "", [("Say the word:", False)]

    def validate_kbdint_response(self, username: str, responses: list[str]) -> bool:
        self._router.journal.append(f"interactive {responses}")
        return responses == [self._access.interactive]

    def session_requested(self) -> object:
        return self._session() if self._session else False


@contextlib.asynccontextmanager
async def router(
    handler: Handler | None = None,
    *,
    host_keys: list[object] | None = None,
    access: Access | None = None,
    session: Callable[[], object] | None = None,
    **options: object,
) -> AsyncIterator[Router]:
    """Run a server whose commands `handler` answers (default: `ok` and exit status 0)."""
    result = Router()
    access = access or Access(public_key=key(number=1).convert_to_public())

    async def process(process: asyncssh.SSHServerProcess[bytes]) -> None:
        result.journal.append(f"command {process.command}")
        if handler:
            await handler(process)
        else:
            process.stdout.write(b"ok\r\n")
            process.exit(0)

    acceptor = await asyncssh.listen(
        HOST,
        0,
        server_factory=lambda: _Server(result, access, session),
        server_host_keys=host_keys or [key()],
        encoding=None,
        config=None,
        **({} if session else {"process_factory": process}),
        **options,
    )
    result.port = acceptor.get_port()
    try:
        yield result
    finally:
        acceptor.close()
        result.abort()


Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def tcp(peer: Peer) -> AsyncIterator[int]:
    """Listen and let `peer` play with each connection; yield the port."""
    tasks: set[asyncio.Task[None]] = set()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await peer(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of ours, since asyncio complains when one of its own is cancelled.
        task = asyncio.create_task(play(reader, writer))
        tasks.add(task)
        await asyncio.wait({task})

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Wire:
    """A proxy in front of a port that can fall silent and come back, or be cut."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open = asyncio.Event()
        self._open.set()
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def to(cls, port: int) -> AsyncIterator[Wire]:
        wire = cls(port)
        async with tcp(wire._serve) as wire.port:
            yield wire

    def freeze(self) -> None:
        self._open.clear()

    def thaw(self) -> None:
        self._open.set()

    def reset(self) -> None:
        """Answer with a TCP reset."""
        for writer in self._writers:
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(HOST, self._port)
        self._writers += [writer, far_writer]
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(reader, far_writer))
                tasks.create_task(self._pump(far_reader, writer))
        except* ConnectionError:
            pass
        finally:
            far_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._open.wait()
            writer.write(data)
            await writer.drain()
        writer.close()


BY_KEY = Credential(name="ops", username="admin", key=key(number=1))
QUICK = Limits(connect_timeout=0.4, login_timeout=0.4, keepalive_interval=0.1, keepalive_misses=3)
PATIENT = Limits(connect_timeout=10, login_timeout=10)


def connector(limits: Limits = PATIENT, policy: HostKeyPolicy = HostKeyPolicy.PINNED) -> Connector:
    return Connector(limits=limits, policy=policy)


def target(
    port: int,
    *,
    host_key: str | None = "the usual one",
    profile: SshProfile = SshProfile.MODERN,
    username: str | None = None,
    address: str = HOST,
) -> Target:
    return Target(
        site_id="site_41",
        address=address,
        port=port,
        username=username,
        host_key=text(key()) if host_key == "the usual one" else host_key,
        ssh_profile=profile,
    )


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    """Give the loop turns until a condition holds; fail after a deadline."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for is in the other end, which has no event for it
            await asyncio.sleep(0.005)
