"""One TCP connection to a router: one that can be slow, cut or silent, and those that come to nothing."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import deque
from typing import TYPE_CHECKING, cast

import asyncssh
from asyncssh.packet import SSHPacket

from .wire import MAX_HELD_BYTES, SilentTransport

if TYPE_CHECKING:
    from .server import Host


class Connection(asyncssh.SSHServerConnection):
    """asyncssh's connection with a simulated round trip and ways to die.

    asyncssh has no public hook between its protocol and the transport; this relies on the constructor, the methods of
    ``asyncio.Protocol`` and ``asyncio.Transport``, and on two private names of asyncssh's, which say so below.
    """

    def __init__(self, host: Host, destination: ipaddress.IPv4Address | None) -> None:
        """`destination`: the router's own address that it came to."""
        super().__init__(asyncio.get_running_loop(), host.options)
        self._host = host
        self.destination = destination
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
        # asyncssh's own reference to this connection, the only one that is left: without it Python's collector is not needed.
        self._recv_handler = _hear_nothing

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
        if self._raw is not None:  # asyncssh may have let go of it already
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


def _hear_nothing() -> bool:
    return False


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
