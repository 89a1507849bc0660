"""A logged-in connection to a router: asyncssh, held so that nothing of its defaults can surprise us.

What asyncssh would do by itself, and what is done here instead:

- It returns from a command as usual when the connection was lost: here that is `ConnectionLost`, or `Ended.LOST`.
- It keeps all that a command sends in memory: here there is a cap, and bytes are never decoded.
- It leaves a command running after a timeout: here the connection is aborted, or the caller is told.
- It drops a connection whose keepalives go unanswered, which would stop the script that runs on the router. While a
  started script runs, silence is only reported.
- It gives up where a session is refused. A server that still ends the one before (Dropbear: of SFTP) refuses one, and
  takes the next: `run` asks once more.

Every method has a deadline, in seconds from now. Before the point of no return `run` and `upload` are used: on doubt
they abort the connection and raise. The command that starts a script goes through `start`, which aborts nothing: an
exception from it proves that the command was not sent, and once it has returned nothing is raised any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Self, TypeVar

import asyncssh

from tminus.device import problems, sftp
from tminus.device.callbacks import Client, Session, Transport
from tminus.device.jump_hosts import Lane
from tminus.device.output import Ended, ExecResult
from tminus.device.target import Limits, Target
from tminus.errors import ConnectionLost, DeviceTimeout, UploadFailed

LONGEST_COMMAND = 3_500
"""Bytes of UTF-8. RouterOS documents no limit; others keep below this one, and longer things are sent as a file."""

T = TypeVar("T")

_AGAIN_AFTER = 0.2
"""Seconds after which a session is asked for once more that the router refused."""

NEVER = 1_000_000
"""More unanswered keepalives than any script lives through."""


class Connection:
    """A logged-in connection, for one task at a time. Leaving its context closes it; an exception aborts it."""

    def __init__(
        self, target: Target, limits: Limits, transport: Transport, client: Client, lane: Lane | None = None
    ) -> None:
        self._lane = lane
        self.target = target
        self.limits = limits
        self._transport = transport
        self._client = client

    @property
    def host_key(self) -> str:
        """Return the key that the router proved to own, `KIND BASE64`. Under `accept-new` the caller pins it."""
        return self._client.host_key.text

    @property
    def jump_problem(self) -> str | None:
        """Return what is wrong with the jump host at this moment, as a clause; None if nothing is, or there is none."""
        return None if self._lane is None else self._lane.problem()

    @property
    def username(self) -> str:
        """Return whom the router knows us as."""
        return str(self._transport.get_extra_info("username", ""))

    @property
    def closed(self) -> bool:
        """Return whether the connection is gone."""
        return self._transport.is_closed()

    async def run(self, command: str, *, deadline: float, cap: int) -> ExecResult:
        """Run a command that may be repeated and return what it sent: CLOSED, or OVERFLOW beyond `cap` bytes.

        Raises DeviceTimeout or ConnectionLost. After those and after an overflow the connection is aborted.
        """
        self._check(command, cap)
        session = Session(cap, on_overflow=self.abort)
        patience = asyncio.timeout(deadline)
        try:
            async with patience:
                try:
                    await self._transport.create_session(lambda: session, command)
                except asyncssh.ChannelOpenError:
                    if self.closed:
                        raise
                    await asyncio.sleep(_AGAIN_AFTER)
                    session = Session(cap, on_overflow=self.abort)
                    await self._transport.create_session(lambda: session, command)
                await session.closed
        except asyncio.CancelledError:
            self.abort()
            raise
        except Exception as error:
            # Not only asyncssh.Error: it hands on whatever ended the connection, slips of its parser included.
            self.abort()
            if patience.expired():
                raise DeviceTimeout(
                    f"{self.target} did not finish a command within {deadline:g} s; connection aborted"
                ) from error
            raise self._lost("refused a command, or was lost", error) from error
        if session.overflowed:
            return session.result(Ended.OVERFLOW)
        ended = self._ended(session)
        if ended is Ended.LOST:
            raise self._lost("was lost during a command", None) from self._client.reason
        return session.result(ended)

    async def start(
        self,
        command: str,
        *,
        deadline: float,
        cap: int,
        ends: tuple[bytes, ...] = (),
        last_look: Callable[[], None] | None = None,
    ) -> Execution:
        """Send a command that must not be sent twice, and return as soon as it is on its way.

        DeviceTimeout and ConnectionLost prove that the command was not sent, and so does what `last_look` raises, which is
        called when the router has opened a channel for the command; the connection is then aborted. `deadline` is for the
        sending alone. Once the command is sent, nothing in here aborts, unanswered keepalives included. `ends`: what
        the lines begin with of which one says that the command is over; see `Execution.wait`.
        """
        self._check(command, cap)
        session = Session(cap, ends=ends, last_look=last_look)
        opening: asyncio.Task[object] = asyncio.create_task(self._transport.create_session(lambda: session, command))
        opening.add_done_callback(session.opened)
        try:
            await asyncio.wait({session.decided}, timeout=deadline)
        finally:
            if not session.sent:
                opening.cancel()
                self.abort()
        if session.sent:
            self._tolerate_misses(NEVER)
            return Execution(self, session, opening)
        if session.withheld is not None:
            raise session.withheld
        if not session.decided.done():
            raise DeviceTimeout(
                f"{self.target} did not take a command within {deadline:g} s; it was not sent; connection aborted"
            )
        error = opening.exception()
        raise self._lost("refused a command, or was lost before it was sent", error) from error

    async def upload(self, name: str, data: bytes, *, deadline: float) -> None:
        """Write a file through SFTP, replacing one of that name; raise UploadFailed, ConnectionLost or DeviceTimeout.

        That the router has all of it is for the caller to check: sizes over SFTP are unreliable on RouterOS (seen).
        After UploadFailed the connection is usable; after the others it is aborted.
        """
        await self._over_sftp(
            sftp.put(self._transport, name, data),
            deadline=deadline,
            late=f"did not take the file {name}",
            lost=f"was lost while the file {name} was sent",
            refused=f"did not take the file {name} by SFTP (%s); nothing was run;"
            " the user on the router needs the policy 'ftp', and the file some room",
        )

    async def download(self, name: str, *, deadline: float, cap: int, offset: int = 0) -> bytes:
        """Return what is in a file on the router from `offset` on, at most `cap` bytes and one more; raises as `upload` does."""
        return await self._over_sftp(
            sftp.fetch(self._transport, name, cap=cap, offset=offset),
            deadline=deadline,
            late=f"did not send the file {name}",
            lost=f"was lost while the file {name} was read",
            refused=f"did not send the file {name} by SFTP (%s); the user on the router needs the policy 'ftp'",
        )

    async def check_sftp(self, *, deadline: float) -> None:
        """Find out whether an upload would be taken, without one; raises as `upload` does."""
        await self._over_sftp(
            sftp.greet(self._transport),
            deadline=deadline,
            late="did not open SFTP",
            lost="was lost while SFTP was opened",
            refused="does not open it (%s)",
        )

    async def _over_sftp(
        self, doing: Coroutine[object, object, T], *, deadline: float, late: str, lost: str, refused: str
    ) -> T:
        """Wait for what SFTP does; the texts say what failed. `%s` is the router's reason."""
        patience = asyncio.timeout(deadline)
        try:
            async with patience:
                return await doing
        except asyncio.CancelledError:
            self.abort()
            raise
        except Exception as error:
            if patience.expired():
                self.abort()
                raise DeviceTimeout(f"{self.target} {late} within {deadline:g} s; connection aborted") from error
            if self.closed:
                raise self._lost(lost, error) from error
            raise UploadFailed(f"{self.target} {refused.replace('%s', problems.describe(error))}") from error

    async def close(self) -> None:
        """Say goodbye and close, within `Limits.close_timeout`. Stops a script that is still running."""
        self._transport.close()
        try:
            async with asyncio.timeout(self.limits.close_timeout):
                await self._transport.wait_closed()
        except TimeoutError:
            self.abort()

    def abort(self) -> None:
        """Drop the connection at once. Stops a script that is still running."""
        self._transport.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self.close()
        else:
            self.abort()

    def _check(self, command: str, cap: int) -> None:
        if "\n" in command or "\r" in command:
            raise ValueError("an exec command is one line: RouterOS takes no more (documented)")
        if len(command.encode()) > LONGEST_COMMAND:
            raise ValueError(f"an exec command has at most {LONGEST_COMMAND} bytes; send more as a file")
        if cap >= self.limits.window:
            raise ValueError("the cap has to be below the window: RouterOS drops what does not fit in it")

    def _tolerate_misses(self, count: int) -> None:
        """Set how many keepalives may go unanswered before asyncssh drops the connection."""
        if not self.closed:  # asyncssh would start its timer again, for ever
            self._transport.set_keepalive(count_max=count)

    def _ended(self, session: Session) -> Ended:
        """Tell a command that the router ended from one that ended with the connection."""
        return Ended.LOST if session.exit_status is None and self.closed else Ended.CLOSED

    def _lost(self, what: str, error: BaseException | None) -> ConnectionLost:
        # asyncssh tells a channel only that the connection was closed, and the client why.
        reason = self.jump_problem or problems.describe(self._client.reason or error)
        return ConnectionLost(f"{self.target} {what} ({reason}); connection aborted")


class Execution:
    """A command that was sent by `Connection.start`. Nothing in here aborts it, and nothing raises."""

    def __init__(self, connection: Connection, session: Session, opening: asyncio.Task[object]) -> None:
        self._connection = connection
        self._session = session
        self._opening = opening  # asyncio itself would let go of it

    @property
    def closed(self) -> bool:
        """Return whether nothing more will come."""
        return self._session.closed.done()

    async def wait(self, deadline: float, *, linger: float | None = None) -> ExecResult:
        """Listen for up to `deadline` seconds more and return what is known then; may be called again.

        CLOSED is final. TIMED_OUT and LOST say that the command may be running. LOST by silence leaves the TCP
        connection open, since closing it would stop the script: if the router comes back, a later `wait` tells.

        `linger`: once a line of `ends` has arrived, wait for so many seconds more at most. If the channel is still open then,
        that is TOLD; a later `wait` goes on listening.
        """
        limits, transport = self._connection.limits, self._connection._transport
        loop = asyncio.get_running_loop()
        began = loop.time()
        end = began + deadline
        while not self._session.closed.done():
            silent = max(began, transport.heard_at) + limits.silence
            now = loop.time()
            events: set[asyncio.Future[None] | asyncio.Future[float]] = {self._session.closed}
            until, ended = end, Ended.TIMED_OUT
            if linger is not None and self._session.told.done():
                until, ended = min(end, self._session.told.result() + linger), Ended.TOLD
            elif linger is not None:
                events.add(self._session.told)
            if now >= until:
                return self._session.result(ended)
            if now >= silent:
                return self._session.result(Ended.LOST)
            await asyncio.wait(events, timeout=min(until, silent) - now, return_when=asyncio.FIRST_COMPLETED)
        self._connection._tolerate_misses(limits.keepalive_misses - 1)
        return self._session.result(self._connection._ended(self._session))

    def hang_up(self) -> None:
        """Close the channel of a command that is over, though the router keeps it open. Stops one that is not."""
        self._session.close()
        self._connection._tolerate_misses(self._connection.limits.keepalive_misses - 1)
