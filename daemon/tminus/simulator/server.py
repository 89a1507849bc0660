"""The SSH server of one router: a listener on its address, logins, connections that can be slow, cut or silent."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import cast

import asyncssh

from .behaviour import ChannelEnd
from .faults import Fault
from .journal import Kind
from .router import Router
from .session import Session
from .terminal import LoginName
from .versions import Version

BANNER = "ROSSSH"  # gives "SSH-2.0-ROSSSH"
LOGIN_TIMEOUT_S = 60
BACKLOG = 20

_OLD_OFFER = {
    "kex_algs": ["diffie-hellman-group14-sha1"],
    "encryption_algs": ["aes128-ctr", "aes192-ctr", "aes256-ctr", "aes128-cbc"],
    "mac_algs": ["hmac-sha1"],
}
_NEW_OFFER = {
    "kex_algs": ["curve25519-sha256", "ecdh-sha2-nistp256", "diffie-hellman-group14-sha256"],
    "encryption_algs": ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr"],
    "mac_algs": ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"],
}


def options_for(
    version: Version, host_key: asyncssh.SSHKey, server_factory: Callable[[], asyncssh.SSHServer]
) -> asyncssh.SSHServerConnectionOptions:
    """Prepared once per router. A legacy router signs with ssh-rsa (SHA-1) and nothing else."""
    offer = _OLD_OFFER if version.legacy else _NEW_OFFER
    options = asyncssh.SSHServerConnectionOptions(
        server_factory=server_factory,
        server_host_keys=[host_key],
        server_version=BANNER,
        encoding=None,
        allow_pty=True,
        line_editor=False,
        agent_forwarding=False,
        x11_forwarding=False,
        compression_algs=["none"],
        login_timeout=LOGIN_TIMEOUT_S,
        kex_algs=offer["kex_algs"],
        encryption_algs=offer["encryption_algs"],
        mac_algs=offer["mac_algs"],
    )
    if version.legacy:
        options.server_host_keys = OrderedDict({b"ssh-rsa": options.server_host_keys[b"ssh-rsa"]})
    return options


class Connection(asyncssh.SSHServerConnection):
    """asyncssh's connection with a simulated round trip and ways to die.

    asyncssh has no public hook between its protocol and the transport; this relies on nothing but the constructor and
    the methods of ``asyncio.Protocol``.
    """

    def __init__(self, host: Host) -> None:
        super().__init__(asyncio.get_running_loop(), host.options)
        self._host = host
        self._latency = host.router.timing.latency_s
        self._late: deque[bytes] = deque()
        self._raw: asyncio.Transport | None = None
        self._made = False
        self._lost = False
        self._silent_until: float | None = None

    async def reload_config(self) -> None:
        """There is no configuration file to read again for each user."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = cast(asyncio.Transport, transport)
        self._host.connections.add(self)
        if self._latency:  # one round trip for TCP's handshake, one until the banner arrives
            asyncio.get_running_loop().call_later(2 * self._latency, self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        if not self._lost and self._raw is not None:
            self._made = True
            super().connection_made(self._raw)

    def data_received(self, data: bytes, datatype: int | None = None) -> None:  # noqa: ARG002
        if self._silent_until is not None:
            if time.monotonic() > self._silent_until:
                self.cut()  # rebooted: it knows nothing of this connection
            return
        if self._latency:
            self._late.append(data)
            delay = self._latency if self._made else 2 * self._latency
            asyncio.get_running_loop().call_later(delay, self._deliver)
        else:
            super().data_received(data)

    def _deliver(self) -> None:
        data = self._late.popleft()
        if self._silent_until is None and not self._lost:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None = None) -> None:
        self._lost = True
        self._host.connections.discard(self)
        if self._made:
            super().connection_lost(exc)

    @property
    def silent(self) -> bool:
        return self._silent_until is not None

    def cut(self) -> None:
        """Drop the TCP connection without a word."""
        if self._made:
            self.abort()
        elif self._raw is not None:
            self._raw.abort()

    def silence(self, seconds: float) -> None:
        """Answer nothing any more; after that time any packet is answered by a reset."""
        self._silent_until = time.monotonic() + seconds


class Login(asyncssh.SSHServer):
    """Who may log in, and what a session is."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._connection: asyncssh.SSHServerConnection | None = None
        self._method = "none"

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._host.router.record(Kind.CONNECTION_LOST, reason=type(exc).__name__)

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return self._host.router.behaviour.password_beside_key or not self._host.client_keys

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return self._decide("publickey", username, key.public_data in self._host.client_keys)

    def validate_password(self, username: str, password: str) -> bool:
        return self._decide("password", username, password == self._host.password)

    def _decide(self, method: str, username: str, right: bool) -> bool:
        refuses = Fault.REFUSES_LOGIN in self._host.router.faults
        if right and LoginName.parse(username).user == self._host.username and not refuses:
            self._method = method
            return True
        self._host.router.record(Kind.LOGIN_REFUSED, username=username, method=method)
        message = f"login failure for user {username} from 127.0.0.1 via ssh"
        self._host.router.write_log("system,error,critical", message)
        return False

    def auth_completed(self) -> None:
        self._host.router.record(Kind.LOGIN, username=self._host.username, method=self._method)
        message = f"user {self._host.username} logged in from 127.0.0.1 via ssh"
        self._host.router.write_log("system,info,account", message)

    def session_requested(self) -> Session:
        connection = self._connection
        if not isinstance(connection, Connection):
            raise TypeError("a session without a connection")
        return Session(self._host.router, self._host.username, wire=connection, spawn=self._host.spawn)


class BlackHole(asyncio.Protocol):
    """Accepts and never answers."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._host.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._host.connections.discard(self)

    def cut(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def silence(self, seconds: float) -> None:
        """It says nothing anyway."""


class Host:
    """One router on the network."""

    def __init__(
        self,
        router: Router,
        *,
        address: str,
        port: int,
        host_key: asyncssh.SSHKey,
        username: str,
        password: str,
        client_keys: frozenset[bytes],
    ) -> None:
        self.router = router
        self.address = address
        self.port = port
        self.username = username
        self.password = password
        self.client_keys = client_keys  # public keys in SSH's binary form
        self.connections: set[Connection | BlackHole] = set()
        self.options = options_for(router.version, host_key, lambda: Login(self))
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        router.on_reboot = self._reboot
        router.on_password = self._set_password

    def _set_password(self, password: str) -> None:
        self.password = password

    @property
    def listening(self) -> bool:
        return self._server is not None

    async def listen(self) -> None:
        """Open the port, unless the site is offline. OSError if it is taken."""
        if Fault.OFFLINE in self.router.faults or self._server is not None:
            return
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._connection, self.address, self.port, backlog=BACKLOG, reuse_address=True
        )

    def _connection(self) -> asyncio.Protocol:
        return BlackHole(self) if Fault.BLACKHOLE in self.router.faults else Connection(self)

    def spawn(self, task: asyncio.Task[None]) -> None:
        """Own a task until it ends."""
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": f"the simulator failed in {task.get_name()}", "exception": error, "task": task}
            asyncio.get_running_loop().call_exception_handler(context)
            for connection in list(self.connections):  # better no answer than a wrong one
                connection.cut()

    def unlisten(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _reboot(self) -> None:
        """Stop listening, cut what is open as the behaviour says, and come back."""
        self.unlisten()
        behaviour = self.router.behaviour
        for connection in list(self.connections):
            if behaviour.reboot_ends_channel is ChannelEnd.SILENT:
                connection.silence(behaviour.reboot_down_s)
            else:  # after the command that asked for it has ended its channel
                asyncio.get_running_loop().call_soon(connection.cut)
        self.spawn(asyncio.create_task(self._come_back(behaviour.reboot_down_s), name=f"boot {self.router.site}"))

    async def _come_back(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.listen()

    async def close(self) -> None:
        self.unlisten()
        for connection in list(self.connections):
            connection.cut()
        jobs = [job.task for job in self.router.jobs.values() if job.task is not None]
        tasks = [*self._tasks, *jobs]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
