"""Jump hosts: one shared SSH connection to each, through which the sites behind it are reached.

The connection is opened when the first site needs it, kept while it is used, and closed after an idle time. A jump host
has a number of places, and a site holds one from before its connection is opened until its last channel is closed, so the
channels of a jump host are bounded; nobody else waits for them. The host key of a jump host has to be pinned, and the host
key of a site is checked through the tunnel as it always is: a jump host sees nothing but ciphertext.

What goes wrong with a jump host is `JumpHostFailed`, never `Offline`: the site behind it was not looked at. One attempt to
connect is made for all who wait; after a failure there is none for a while, and they are told so at once.

A connection to a jump host is never dropped for its silence, because scripts may run behind it: a new one is opened beside
it, and the old one is closed when the last site has left it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

import asyncssh

from tminus.device import problems
from tminus.device.callbacks import Client, Transport
from tminus.device.credentials import Credential
from tminus.device.hostkeys import HostKey
from tminus.errors import DeviceError, HostKeyChanged, JumpHostFailed, LoginRefused, Offline

if TYPE_CHECKING:
    from tminus.device.target import Target

__all__ = ["Dial", "Gate", "JumpHost", "Lane"]

_FIRST_PAUSE = 1.0  # seconds without an attempt after a failure; doubled each time
_LONGEST_PAUSE = 60.0
_PAUSE_AFTER_REFUSAL = 600.0  # each attempt is a failed login there, and all sites behind it ask for one
_LONGEST_AFTER_REFUSAL = 3600.0
"""After a refused login or a changed key: a person has to act, and firewalls count failed logins."""
_PATIENCE = 30.0  # seconds that a site waits for its place


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JumpHost:
    name: str
    address: str
    port: int
    username: str
    credential: Credential
    host_keys: tuple[HostKey, ...]
    """At least one; any of them is accepted."""
    max_sites: int
    idle_timeout: float

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"jump host {self.name} ({host}:{self.port})"


class Dial(Protocol):
    """Connects and logs in to a jump host; raises DeviceError."""

    async def __call__(self, host: JumpHost) -> tuple[Transport, Client]: ...


class _Link:
    """One connection to a jump host, and how many channels it carries."""

    def __init__(self, transport: Transport, client: Client, silence: float) -> None:
        self.transport = transport
        self._client = client
        self._silence = silence
        self.lanes = 0
        self.closing: asyncio.TimerHandle | None = None

    @property
    def closed(self) -> bool:
        return self.transport.is_closed()

    @property
    def silent(self) -> bool:
        return asyncio.get_running_loop().time() > self.transport.heard_at + self._silence

    def problem(self) -> str | None:
        """Return what is wrong with it, in words that follow its name."""
        if self.closed:
            return f"was lost ({problems.describe(self._client.reason)})"
        return "is silent" if self.silent else None


class Lane:
    """One site's way through a jump host. It ends with the connection that it carries, or with `leave`."""

    def __init__(self, host: JumpHost, link: _Link, left: Callable[[], None]) -> None:
        self._host = host
        self._link = link
        self._left: Callable[[], None] | None = left
        self._abandoned = False

    async def open(self, transport: Transport, target: Target) -> None:
        """Have the jump host connect to a site, and put `transport` on that; raise Offline or JumpHostFailed.

        Cancelled, or after an error, it has left, or leaves as soon as the jump host has given up: until then the channel
        is not ours to forget.
        """

        def carried() -> asyncssh.SSHTCPSession[bytes]:
            # Whoever stopped waiting does not want to be connected any more. The methods of a connection and of a session
            # on a channel are the same: asyncssh itself tunnels so.
            return asyncssh.SSHTCPSession() if self._abandoned else cast("asyncssh.SSHTCPSession[bytes]", transport)

        opening = asyncio.create_task(
            self._link.transport.create_connection(carried, target.address, target.port),
            name=f"lane-to-{target.site_id}",
        )
        opening.add_done_callback(self._opened)
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            self._abandoned = True
            if opening.done():
                self._opened(opening)
            raise
        except asyncssh.ChannelOpenError as error:
            if self._link.closed:
                raise self._failed(target) from error
            if error.code == asyncssh.OPEN_CONNECT_FAILED:
                raise Offline(f"{target} is offline: {problems.describe(error)}") from error
            raise JumpHostFailed(
                f"{self._host} did not let us through to {target}: {problems.describe(error)}"
            ) from error
        except (asyncssh.Error, OSError) as error:
            raise self._failed(target) from error

    def problem(self) -> str | None:
        """Return what is wrong with the jump host at this moment, as a clause; None if nothing is."""
        problem = self._link.problem()
        return None if problem is None else f"{self._host} {problem}"

    async def why_silent(self, target: Target, *, within: float) -> JumpHostFailed | None:
        """Return what to raise where a site did not answer in time, if that may be the jump host's silence and not its own.

        The jump host is asked for a sign of life, and has `within` seconds to give it.
        """
        if self.problem() is not None:
            return self._failed(target)
        if await self._link.transport.answers(within=within):
            return None
        if self._link.closed:
            return self._failed(target)
        return JumpHostFailed(f"{self._host} did not answer within {within:g} s; {target.site_id} was not reached")

    def leave(self) -> None:
        """Give the place back; once."""
        if self._left is not None:
            left, self._left = self._left, None
            left()

    def _opened(
        self, opening: asyncio.Task[tuple[asyncssh.SSHTCPChannel[bytes], asyncssh.SSHTCPSession[bytes]]]
    ) -> None:
        if opening.cancelled() or opening.exception() is not None:
            self.leave()
        elif self._abandoned:
            opening.result()[0].abort()
            self.leave()

    def _failed(self, target: Target) -> JumpHostFailed:
        return JumpHostFailed(f"{self._host} {self._link.problem() or 'was lost'}; {target.site_id} was not reached")


class Gate:
    """A jump host in use: its places, and its connection."""

    def __init__(self, host: JumpHost, dial: Dial, *, silence: float) -> None:
        self.host = host
        self._dial = dial
        self._silence = silence
        self._holders: Counter[str] = Counter()  # site -> how often it holds its one place
        self._waiting: deque[tuple[str, asyncio.Future[None]]] = deque()
        self._link: _Link | None = None
        self._retired: set[_Link] = set()
        self._dialling: asyncio.Task[_Link | JumpHostFailed] | None = None
        self._problem: str = ""
        self._pause = 0.0
        self._paused_until = float("-inf")

    @property
    def free(self) -> int:
        """Return for how many sites more there is a place."""
        return max(self.host.max_sites - len(self._holders) - len(self._waiting), 0)

    def try_hold(self, site: str) -> bool:
        """Hold a site's place, if there is one; `release` gives it back. A site that has one already shares it."""
        if site not in self._holders and (self._waiting or len(self._holders) >= self.host.max_sites):
            return False
        self._holders[site] += 1
        return True

    def release(self, site: str) -> None:
        self._holders[site] -= 1
        if self._holders[site] > 0:
            return
        del self._holders[site]
        while self._waiting and len(self._holders) < self.host.max_sites:
            waiting, place = self._waiting.popleft()
            if not place.done():
                self._holders[waiting] += 1
                place.set_result(None)

    async def enter(self, target: Target) -> Lane:
        """Wait for a place and for the connection, with deadlines of its own; raise JumpHostFailed."""
        site = target.site_id
        await self._hold(site)
        try:
            link = await self._usable(target)
        except BaseException:
            self.release(site)
            raise
        link.lanes += 1
        if link.closing is not None:
            link.closing.cancel()
            link.closing = None
        return Lane(self.host, link, lambda: self._left(site, link))

    async def close(self) -> None:
        """Drop what is open."""
        if self._dialling is not None:
            self._dialling.cancel()
            await asyncio.gather(self._dialling, return_exceptions=True)
        for link in (*self._retired, *((self._link,) if self._link else ())):
            if link.closing is not None:
                link.closing.cancel()
            link.transport.abort()
            await link.transport.wait_closed()
        self._retired.clear()
        self._link = None

    async def _hold(self, site: str) -> None:
        if self.try_hold(site):
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (site, place)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(_PATIENCE):
                await place
        except BaseException as error:
            if place.done() and not place.cancelled():
                self.release(site)  # given at the very moment
            elif entry in self._waiting:
                self._waiting.remove(entry)
            if isinstance(error, TimeoutError):
                raise JumpHostFailed(
                    f"{self.host} had no place for {site} within {_PATIENCE:g} s: all {self.host.max_sites} are taken"
                ) from error
            raise

    async def _usable(self, target: Target) -> _Link:
        """Return the connection; make it, once for all who wait, if there is none."""
        link = self._link
        if link is not None and link.problem() is not None:
            self._retire(link)
            link = None
        if link is not None:
            return link
        left = self._paused_until - asyncio.get_running_loop().time()
        if self._dialling is None and left > 0:
            raise JumpHostFailed(
                f"{self._problem}; {target.site_id} was not looked at; the next attempt is in {left:.0f} s"
            )
        if self._dialling is None:
            self._dialling = asyncio.create_task(self._connect(), name=f"jump-host-{self.host.name}")
        made = await asyncio.shield(self._dialling)
        if isinstance(made, JumpHostFailed):
            raise JumpHostFailed(f"{made}; {target.site_id} was not looked at") from made
        return made

    async def _connect(self) -> _Link | JumpHostFailed:
        """Make the connection; a failure is returned, since any number of sites may wait for it, or none any more."""
        loop = asyncio.get_running_loop()
        try:
            transport, client = await self._dial(self.host)
        except DeviceError as error:
            self._problem = str(error)
            least, longest = _FIRST_PAUSE, _LONGEST_PAUSE
            if isinstance(error, HostKeyChanged):
                least = _LONGEST_PAUSE
            elif isinstance(error, LoginRefused):
                least, longest = _PAUSE_AFTER_REFUSAL, _LONGEST_AFTER_REFUSAL
            self._pause = min(max(2 * self._pause, least), longest)
            self._paused_until = loop.time() + self._pause
            return JumpHostFailed(self._problem)
        finally:
            self._dialling = None
        self._pause, self._paused_until = 0.0, float("-inf")
        self._link = _Link(transport, client, self._silence)
        self._idle(self._link)  # whoever asked for it may be gone
        return self._link

    def _left(self, site: str, link: _Link) -> None:
        self.release(site)
        link.lanes -= 1
        if link.lanes == 0:
            if link in self._retired:
                self._drop(link)
            else:
                self._idle(link)

    def _idle(self, link: _Link) -> None:
        link.closing = asyncio.get_running_loop().call_later(self.host.idle_timeout, self._drop, link)

    def _retire(self, link: _Link) -> None:
        """Use it for nobody new; close it when it is empty."""
        self._link = None
        if link.closing is not None:
            link.closing.cancel()
            link.closing = None
        if link.lanes:
            self._retired.add(link)
        else:
            self._drop(link)

    def _drop(self, link: _Link) -> None:
        self._retired.discard(link)
        if self._link is link:
            self._link = None
        if link.silent:
            link.transport.abort()
        else:
            link.transport.close()
