"""What asyncssh asks and tells us: one transport and one client per connection, one session per command.

No decision is taken here but two: whether a host key is the pinned one, and that a secret is handed out once.
"""

# ruff: noqa: ARG002 - asyncssh calls these methods with more than we need.

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import asyncssh
from asyncssh.constants import MSG_IGNORE
from asyncssh.logging import SSHLogger
from asyncssh.packet import SSHPacketLogger

from tminus.device.credentials import Credential
from tminus.device.hostkeys import HostKey
from tminus.device.output import Ended, ExecResult, LineWatch, Output

__all__ = ["Client", "Session", "Transport"]


class _Quiet(SSHLogger):
    """asyncssh's logger without what nobody reads: it would prepare some seventy lines a site, to throw them away."""

    def debug1(self, msg: str, *args: object, **kwargs: object) -> None:
        pass

    def debug2(self, msg: str, *args: object, **kwargs: object) -> None:
        pass

    def info(self, msg: object, *args: object, **kwargs: Any) -> None:
        pass

    def packet(self, pktid: int | None, packet: bytes, msg: str, *args: object, **kwargs: object) -> None:
        pass

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        if self.isEnabledFor(level):
            super().log(level, msg, *args, **kwargs)

    def get_child(self, child: str = "", context: str = "") -> SSHLogger:
        return self


_QUIET = _Quiet()


class Transport(asyncssh.SSHClientConnection):
    """asyncssh's connection, which also notes when the router was last heard."""

    def __init__(self, loop: asyncio.AbstractEventLoop, options: asyncssh.SSHClientConnectionOptions) -> None:
        super().__init__(loop, options)
        self._now = loop.time
        self.heard_at = loop.time()
        """By the clock of the event loop."""

    @property
    def logger(self) -> SSHLogger:
        """What the connection, its channels and its logins log to."""
        return _QUIET

    def log_sent_packet(self, pkttype: int, pktid: int | None, packet: object, note: str = "") -> None:
        pass

    def log_received_packet(self, pkttype: int, pktid: int | None, packet: object, note: str = "") -> None:
        pass

    def send_packet(self, pkttype: int, *args: bytes, handler: SSHPacketLogger | None = None) -> None:
        """Send a packet, without the empty one that asyncssh puts before each: only the chained blocks of CBC need it.

        (RFC 4251, 9.3.1.) Each takes a system call and an encryption, here and on the router. `handler` would only log.
        """
        if pkttype != MSG_IGNORE or str(self.get_extra_info("send_cipher")).endswith("-cbc"):
            super().send_packet(pkttype, *args)

    def data_received(self, data: bytes, datatype: int | None = None) -> None:
        self.heard_at = self._now()
        super().data_received(data, datatype)

    def set_keepalive(self, interval: float | str | None = None, count_max: int | None = None) -> None:
        super().set_keepalive(interval, count_max)
        super()._reset_keepalive_timer()  # all of it from now on, whatever was heard before

    def _reset_keepalive_timer(self) -> None:
        """Leave the timer that runs, which asyncssh would make anew for whatever arrives: at its end it is seen what was heard."""
        if self._keepalive_timer is None:
            super()._reset_keepalive_timer()

    def _keepalive_timer_callback(self) -> None:
        left = self.heard_at + self._keepalive_interval - self._now()
        if left > 0:
            self._keepalive_timer = self._loop.call_later(left, self._keepalive_timer_callback)
        else:
            super()._keepalive_timer_callback()

    async def answers(self, *, within: float) -> bool:
        """Ask for a sign of life, and return whether one came within so many seconds."""
        try:
            async with asyncio.timeout(within):
                await self._make_keepalive_request()
        except TimeoutError:
            return False
        return not self.is_closed()

    def break_cycle(self) -> None:
        """Hold nothing that holds this connection, once it is over: so it is freed at once, and not by Python's collector.

        That one would have to look at all that the open sessions hold, for the 9 KB of each that is over.
        """
        self._recv_handler = _hear_nothing


class Client(asyncssh.SSHClient):
    """Judges the host key, hands out the credential once, and notes how far the connection came."""

    def __init__(self, *, pinned: tuple[HostKey, ...], credential: Credential | None, held: bool = False) -> None:
        """Prepare to log in with a credential; with None the connection is dropped after the key exchange.

        `held`: the credential is used only once `go` is settled.
        """
        loop = asyncio.get_running_loop()
        self.pinned = pinned
        self.credential = credential
        self.exchange_ended: asyncio.Future[None] = loop.create_future()
        self.login_ended: asyncio.Future[None] = loop.create_future()
        self.go: asyncio.Future[None] = loop.create_future()
        if not held:
            _settle(self.go)
        self.exchanged = False
        self.logged_in = False
        self.presented: HostKey | None = None
        """The key that the router showed; it has proved to own it once `exchanged` is true."""
        self.secret_used = False
        self.reason: Exception | None = None
        """Why the connection ended; None if it did not, or if it was said goodbye to."""
        self.on_lost: Callable[[], None] = lambda: None
        self._connection: Transport | None = None

    @property
    def host_key(self) -> HostKey:
        """Return the router's key; only after the key exchange."""
        if self.presented is None or not self.exchanged:
            raise RuntimeError("no host key is proved before the key exchange has ended")
        return self.presented

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        assert isinstance(conn, Transport)  # noqa: S101 - our connector makes no other
        self._connection = conn

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        # Later key exchanges of the connection have to show the key of the first.
        before, self.presented = self.presented, HostKey(kind=key.get_algorithm(), blob=key.public_data)
        return (not self.pinned or self.presented in self.pinned) and before in (None, self.presented)

    def let_go(self) -> None:
        """Let the credential be used, where it is held."""
        _settle(self.go)

    def begin_auth(self, username: str) -> None:
        self.exchanged = True
        if self.credential is None and self._connection is not None:
            self._connection.abort()
        _settle(self.exchange_ended)

    def auth_completed(self) -> None:
        self.logged_in = True
        _settle(self.login_ended)

    def connection_lost(self, exc: Exception | None) -> None:
        self.reason = exc
        _settle(self.exchange_ended)
        _settle(self.login_ended)
        _settle(self.go)
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.break_cycle()
        self.on_lost()

    async def public_key_auth_requested(self) -> list[asyncssh.SSHKey] | None:
        await self._may_go()
        # The key, not a key pair: asyncssh makes a pair for each connection, and notes in it the signature algorithm
        # that this router wants. A shared pair would be signed with for another router.
        if self._spend_secret() and self.credential and self.credential.key:
            return [self.credential.key]
        return None

    async def password_auth_requested(self) -> str | None:
        await self._may_go()
        if self._spend_secret() and self.credential and self.credential.password:
            return self.credential.password.get_secret_value()
        return None

    def kbdint_auth_requested(self) -> str | None:
        return None if self.secret_used else ""

    async def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> list[str] | None:
        match prompts:
            case []:
                return []
            case [(_, False)]:  # not echoed, and alone: the password
                password = await self.password_auth_requested()
                return None if password is None else [password]
            case _:
                return None

    async def _may_go(self) -> None:
        await asyncio.shield(self.go)

    def _spend_secret(self) -> bool:
        """Return whether the secret may be used: once, since a second use would be a second failed login."""
        if self.login_ended.done():
            return False  # the connection was lost meanwhile
        unspent, self.secret_used = not self.secret_used, True
        return unspent


class Session(asyncssh.SSHClientSession[bytes]):
    """Collects what one command sends; cheaper than asyncssh's streams."""

    def __init__(
        self,
        cap: int,
        *,
        on_overflow: Callable[[], None] | None = None,
        ends: tuple[bytes, ...] = (),
        last_look: Callable[[], None] | None = None,
    ) -> None:
        """`ends`: what the lines begin with of which the first settles `told`. `last_look` raises what keeps the command back."""
        self._loop = loop = asyncio.get_running_loop()
        self.decided: asyncio.Future[None] = loop.create_future()
        """Settled when the command was sent, or when it is clear that it will not be."""
        self.closed: asyncio.Future[None] = loop.create_future()
        """Settled when the channel is closed: nothing more will come."""
        self.told: asyncio.Future[float] = loop.create_future()
        """Settled when a line of `ends` has arrived whole, with the loop time of that."""
        self.sent = False
        """False proves that the command was not sent."""
        self.withheld: Exception | None = None
        """What the last look raised."""
        self.exit_status: int | None = None
        self.overflowed = False
        self._output = Output(cap)
        self._watch = LineWatch(ends)
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._on_overflow = on_overflow
        self._last_look = last_look

    def result(self, ended: Ended) -> ExecResult:
        """Return what has arrived so far."""
        return ExecResult(
            output=bytes(self._output),
            exit_status=self.exit_status,
            truncated=self._output.truncated,
            ended=ended,
        )

    def opened(self, opening: asyncio.Task[object]) -> None:
        """Take note of the end of the task that asks for the command."""
        if opening.cancelled() or opening.exception() is not None:
            _settle(self.decided)

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._channel = chan
        # The channel is open, however long that took; asyncssh sends the command right after this, unless this raises. (In the
        # middle of a key exchange that the router began it would hold it back once more, and nothing could be asked again.)
        if self._last_look is not None:
            try:
                self._last_look()
            except Exception as error:
                self.withheld = error
                raise
        self.sent = True
        _settle(self.decided)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._output.add(data)
        if self._watch.add(data) and not self.told.done():
            self.told.set_result(self._loop.time())
        if self._on_overflow is not None and self._output.truncated:
            self.overflowed = True
            self._on_overflow()

    def close(self) -> None:
        """Close the channel."""
        if self._channel is not None:
            self._channel.close()

    def eof_received(self) -> bool:
        return True  # leave our side open: nothing waits for an EOF of ours

    def exit_status_received(self, status: int) -> None:
        self.exit_status = status

    def connection_lost(self, exc: Exception | None) -> None:
        _settle(self.closed)


def _hear_nothing() -> bool:
    return False


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
