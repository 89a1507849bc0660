"""The SSH server of one router: a listener on its address, logins, connections that can be slow, cut or silent."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import cast

import asyncssh
from asyncssh.packet import SSHPacket

from .behaviour import ChannelEnd, Keyboard
from .faults import Fault
from .journal import Kind
from .menus import BY_PATH, Menu
from .permissions import rights
from .reach import WATCHED, Answer, answer
from .router import Router
from .session import Session
from .wire import MAX_HELD_BYTES, SilentTransport

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
_STRICT_OFFER = {
    "kex_algs": ["diffie-hellman-group-exchange-sha256"],
    "encryption_algs": ["aes192-ctr", "aes256-ctr"],
    "mac_algs": ["hmac-sha2-256"],
}
"""What was left on 7.6 with ``strong-crypto=yes``, as far as it was seen."""


def options_for(
    router: Router, host_key: asyncssh.SSHKey, server_factory: Callable[[], asyncssh.SSHServer]
) -> asyncssh.SSHServerConnectionOptions:
    """Prepared once per router. A legacy router signs with ssh-rsa (SHA-1) and nothing else."""
    version = router.version
    offer = _OLD_OFFER if version.legacy else _NEW_OFFER if router.behaviour.offers_curves else _STRICT_OFFER
    options = asyncssh.SSHServerConnectionOptions(
        server_factory=server_factory,
        server_host_keys=[host_key],
        server_version=BANNER,
        encoding=None,
        allow_pty=False,
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
        options.signature_algs = [b"ssh-rsa"]
        options.server_host_keys = OrderedDict({b"ssh-rsa": options.server_host_keys[b"ssh-rsa"]})
    return options


class Connection(asyncssh.SSHServerConnection):
    """asyncssh's connection with a simulated round trip and ways to die.

    asyncssh has no public hook between its protocol and the transport; this relies on nothing but the constructor and
    the methods of ``asyncio.Protocol`` and ``asyncio.Transport``.
    """

    def __init__(self, host: Host) -> None:
        super().__init__(asyncio.get_running_loop(), host.options)
        self._host = host
        self._latency = host.router.timing.latency_s
        self._late: deque[bytes] = deque()
        self._raw: asyncio.Transport | None = None
        self._wire: SilentTransport | None = None
        self._made = False
        self._lost = False
        self._reset_at: float | None = None  # after a reboot any packet is answered by a reset
        self._unheard: deque[bytes] = deque()  # what came while silent
        self._open = 0
        self._giving_up: asyncio.TimerHandle | None = None

    def _process_keepalive_at_openssh_dot_com_global_request(self, packet: SSHPacket) -> None:
        """asyncssh's hook for one kind of request; it has no public one."""
        if self._host.router.behaviour.answers_keepalive:
            super()._process_keepalive_at_openssh_dot_com_global_request(packet)

    async def reload_config(self) -> None:
        """There is no configuration file to read again for each user."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = cast(asyncio.Transport, transport)
        self._wire = SilentTransport(self._raw, self._host.check)
        self._host.connections.add(self)
        if self._latency:  # one round trip for TCP's handshake, one until the banner arrives
            asyncio.get_running_loop().call_later(2 * self._latency, self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        if not self._lost and self._wire is not None:
            self._made = True
            super().connection_made(self._wire)

    def data_received(self, data: bytes, datatype: int | None = None) -> None:  # noqa: ARG002
        self._host.check()
        if self.silent:
            if self._reset_at is not None and time.monotonic() > self._reset_at:
                self.cut()  # rebooted: it knows nothing of this connection
            elif not self._lost and sum(map(len, self._unheard)) + len(data) <= MAX_HELD_BYTES:
                self._unheard.append(data)
        elif self._latency:
            self._late.append(data)
            delay = self._latency if self._made else 2 * self._latency
            asyncio.get_running_loop().call_later(delay, self._deliver)
        else:
            super().data_received(data)

    def _deliver(self) -> None:
        data = self._late.popleft()
        if self.silent:
            self._unheard.append(data)
        elif not self._lost:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None = None) -> None:
        self._host.connections.discard(self)
        self._end(exc)

    def _end(self, exc: Exception | None) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
        if self._made and not self._lost:
            self._lost = True
            super().connection_lost(exc)
        self._lost = True
        self._host.router.safe_mode.ended(self)

    @property
    def silent(self) -> bool:
        return self._wire is not None and self._wire.silent

    @property
    def established(self) -> bool:
        """Whether it can be silenced: it is there, and the router has not given it up."""
        return self._wire is not None and not self._lost and self._reset_at is None

    def cut(self) -> None:
        """Drop the TCP connection without a word."""
        if self._wire is not None:
            self._wire.silent = False
            self._wire.forget()
        if self._made and not self._lost:
            self.abort()
        elif self._raw is not None:
            self._raw.abort()

    def silence(self) -> None:
        """Hear and say nothing any more. The router goes on, until it notices; ``resume`` before that mends it."""
        if self._wire is None or self._wire.silent:
            return
        self._wire.silent = True
        patience = self._host.router.behaviour.notices_loss_s
        self._giving_up = asyncio.get_running_loop().call_later(patience, self._give_up)

    def _give_up(self) -> None:
        if self._wire is not None:
            self._wire.forget()
        self._unheard.clear()
        self._reset_at = time.monotonic()
        self._end(TimeoutError("the other side does not answer"))

    def resume(self) -> None:
        """Hear and speak again: the network sends what was lost once more."""
        if self._wire is None or not self._wire.silent or self._lost:
            return
        if self._giving_up is not None:
            self._giving_up.cancel()
        self._wire.resume()
        while self._unheard and not self._lost:
            super().data_received(self._unheard.popleft())

    def power_off(self, seconds: float) -> None:
        """Answer nothing any more; after that time any packet is answered by a reset."""
        if self._wire is not None:
            self._wire.silent = True
            self._wire.forget()
        self._reset_at = time.monotonic() + seconds

    def channel_opened(self) -> bool:
        """Count one more channel; False if there are too many, then it is not counted."""
        limit = self._host.router.behaviour.max_channels
        if limit and self._open >= limit:
            return False
        self._open += 1
        return True

    def channel_closed(self) -> None:
        self._open -= 1


class Login(asyncssh.SSHServer):
    """Who may log in, and what a session is."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._connection: asyncssh.SSHServerConnection | None = None
        self._username = ""
        self._method = "none"
        self._failed = False

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def connection_lost(self, exc: Exception | None) -> None:
        if self._failed:
            self._host.failures += 1
        if exc is not None:
            self._host.router.record(Kind.CONNECTION_LOST, reason=type(exc).__name__)

    def begin_auth(self, username: str) -> bool:
        self._username = username
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        """A user with a key may not use a password, unless his owner allows it."""
        has_key = self._username == self._host.username and bool(self._host.client_keys)
        return self._host.router.behaviour.password_beside_key or not has_key

    def kbdint_auth_supported(self) -> bool:
        """asyncssh takes passwords by it where this says nothing."""
        if self._host.router.behaviour.keyboard_interactive is Keyboard.OFFERED:
            return NotImplemented  # type: ignore[no-any-return]  # asyncssh's way to say: as for passwords
        return False

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        right = username == self._host.username and key.public_data in self._host.client_keys
        if not self._host.router.version.ed25519_user_keys and key.get_algorithm() != "ssh-rsa":
            right = False
        return self._decide("publickey", username, right)

    def validate_password(self, username: str, password: str) -> bool:
        return self._decide("password", username, self._host.knows(username, password))

    def _decide(self, method: str, username: str, right: bool) -> bool:
        router = self._host.router
        refuses = Fault.REFUSES_LOGIN in router.faults
        if right and not refuses and self._host.may_log_in(username):
            self._method = method
            return True
        self._failed = True
        router.record(Kind.LOGIN_REFUSED, username=username, method=method)
        message = f"login failure for user {username} from 127.0.0.1 via ssh"
        router.write_log("system,error,critical", message)
        return False

    def auth_completed(self) -> None:
        self._failed = False
        self._host.failures = 0
        self._host.router.record(Kind.LOGIN, username=self._username, method=self._method)
        message = f"user {self._username} logged in from 127.0.0.1 via ssh"
        self._host.router.write_log("system,info,account", message)

    def session_requested(self) -> Session | bool:
        connection = self._connection
        if not isinstance(connection, Connection):
            raise TypeError("a session without a connection")
        if not connection.channel_opened():
            return False
        return Session(self._host.router, self._username, wire=connection)


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

    def silence(self) -> None:
        """It says nothing anyway."""

    def resume(self) -> None:
        """It has nothing to say: the client tries again on a new connection."""

    def power_off(self, seconds: float) -> None:
        """As silence."""


class Refusal(asyncio.Protocol):
    """Resets a connection at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).abort()


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
        home: ipaddress.IPv4Address | None = None,
    ) -> None:
        self.router = router
        self.home = home  # the router's own address to which ours stands in; None: it cannot be cut off
        self.address = address
        self.port = port
        self.username = username
        self.password = password
        self.client_keys = client_keys  # public keys in SSH's binary form
        self.connections: set[Connection | BlackHole] = set()
        self.failures = 0  # connections in a row whose login was refused
        self._host_key = host_key
        self._generation = 0
        self.options = self._offer()
        self._server: asyncio.Server | None = None
        self._unchecked = False  # the configuration changed in a way that may cut us off
        self._answers = {True: Answer.YES, False: Answer.YES}
        router.observers.append(self)
        router.tasks.on_failure = self.cut

    def _offer(self) -> asyncssh.SSHServerConnectionOptions:
        return options_for(self.router, self._host_key, lambda: Login(self))

    @property
    def host_key(self) -> asyncssh.SSHKey:
        return self._host_key

    @property
    def listening(self) -> bool:
        return self._server is not None

    def replace_host_key(self, key: asyncssh.SSHKey) -> None:
        """Present another host key from now on, as after a reset."""
        self._host_key = key
        self.options = self._offer()

    def knows(self, username: str, password: str) -> bool:
        """Whether a password is a user's: the one of the configuration, or for our user the fleet's."""
        for item in self.router.config.items(("user",)):
            if item.values.get("name") == username:
                usual = self.password if username == self.username else ""
                return bool(password) and password == item.values.get("password", usual)
        return False

    def may_log_in(self, username: str) -> bool:
        """Whether there is such a user, not disabled, with policy ssh."""
        menu = BY_PATH[("user",)]
        for item in self.router.config.items(("user",)):
            if item.values.get("name") == username:
                return item.get(menu, "disabled") != "yes" and "ssh" in rights(self.router, username)
        return False

    async def listen(self) -> None:
        """Open the port, unless the site is offline. OSError if it is taken."""
        if Fault.OFFLINE in self.router.faults or self._server is not None or self.router.down:
            return
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._connection, self.address, self.port, backlog=BACKLOG, reuse_address=True
        )

    def _connection(self) -> asyncio.Protocol:
        self.check()
        router = self.router
        blocked = router.behaviour.refuses_after_failures
        if Fault.BLACKHOLE in router.faults or (blocked and self.failures >= blocked):
            return BlackHole(self)
        match self._answers[False]:
            case Answer.SILENCE:
                return BlackHole(self)
            case Answer.REFUSAL:
                return Refusal()
            case Answer.YES:
                pass
        counted = router.version.number >= (7, 16)
        if counted and sum(isinstance(it, Connection) for it in self.connections) >= router.setup.max_sessions:
            return Refusal()
        return Connection(self)

    def cut(self) -> None:
        """Better no answer than a wrong one."""
        for connection in list(self.connections):
            connection.cut()

    def unlisten(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def changed(self, menu: Menu) -> None:
        """A change that may cut us off is in force before the next byte, or a while later."""
        if menu.path not in WATCHED or self.home is None:
            return
        lag = self.router.behaviour.change_in_force_s
        if lag:
            asyncio.get_running_loop().call_later(lag, self._recheck)
        elif not self._unchecked:
            self._unchecked = True
            asyncio.get_running_loop().call_soon(self.check)

    def _recheck(self) -> None:
        self._unchecked = True
        self.check()

    def check(self) -> None:
        """Look whether the router still answers us, if it is not known."""
        if not self._unchecked or self.home is None:
            return
        self._unchecked = False
        config = self.router.config
        self._answers = {kept: answer(config, self.home, established=kept) for kept in (True, False)}
        for connection in [it for it in self.connections if isinstance(it, Connection) and it.established]:
            if self._answers[True] is not Answer.YES:
                connection.silence()
            else:
                connection.resume()

    def went_down(self) -> None:
        """Stop listening, and end what is open as the behaviour says."""
        self.unlisten()
        behaviour = self.router.behaviour
        for connection in list(self.connections):
            if behaviour.reboot_ends_channel is ChannelEnd.SILENT:
                connection.power_off(behaviour.reboot_down_s)
            else:  # after the command that asked for it has ended its channel
                asyncio.get_running_loop().call_soon(connection.cut)

    def came_up(self) -> None:
        if self.router.host_key_generation != self._generation:
            self._generation = self.router.host_key_generation
            self._host_key = asyncssh.generate_private_key(self._host_key.get_algorithm())
        self.options = self._offer()
        self._recheck()
        self.router.tasks.start(self.listen(), "listen")

    async def close(self) -> None:
        self.unlisten()
        self.cut()
        await self.router.tasks.close()
