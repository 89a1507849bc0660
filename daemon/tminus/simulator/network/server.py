"""One router on the network: listeners on its addresses, and whether the router still answers there."""

from __future__ import annotations

import asyncio
import ipaddress

import asyncssh

from tminus.simulator.behaviour import ChannelEnd
from tminus.simulator.config.menus import BY_PATH
from tminus.simulator.config.reach import WATCHED, Answer, answer, loopback_addresses
from tminus.simulator.config.schema import Menu
from tminus.simulator.contents.permissions import rights
from tminus.simulator.faults import Fault
from tminus.simulator.router import Router

from .connection import BlackHole, Connection, Refusal
from .login import Login
from .offers import options_for

BACKLOG = 20


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
        self._moved: dict[
            ipaddress.IPv4Address, asyncio.Server | None
        ] = {}  # where it listens as its configuration says
        self._answers: dict[tuple[ipaddress.IPv4Address, bool], Answer] = {}  # as what is in force has it
        if home is not None:
            self._answers = {(home, True): Answer.YES, (home, False): Answer.YES}
        self._unchecked = False  # the configuration changed in a way that may cut us off
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
            lambda: self._connection(self.home), self.address, self.port, backlog=BACKLOG, reuse_address=True
        )
        self._move()

    def _move(self) -> None:
        """Listen on just those addresses of this machine's that the configuration has besides."""
        wanted: frozenset[ipaddress.IPv4Address] = frozenset()
        if self.home is not None and self._server is not None:
            wanted = loopback_addresses(self.router.config) - {ipaddress.IPv4Address(self.address)}
        for address in self._moved.keys() - wanted:
            server = self._moved.pop(address)
            if server is not None:
                server.close()
        for address in wanted - self._moved.keys():
            self._moved[address] = None
            self.router.tasks.start(self._listen_at(address), f"listen at {address}")

    async def _listen_at(self, address: ipaddress.IPv4Address) -> None:
        server = await asyncio.get_running_loop().create_server(
            lambda: self._connection(address), str(address), self.port, backlog=BACKLOG, reuse_address=True
        )
        if address in self._moved and self._moved[address] is None:
            self._moved[address] = server
        else:  # it was taken away meanwhile
            server.close()

    def _answer(self, destination: ipaddress.IPv4Address | None, *, established: bool) -> Answer:
        """What becomes of a packet to an address of the router's; None: it cannot be cut off."""
        if destination is None:
            return Answer.YES
        key = (destination, established)
        if key not in self._answers:
            self._answers[key] = answer(self.router.config, destination, established=established)
        return self._answers[key]

    def _connection(self, destination: ipaddress.IPv4Address | None) -> asyncio.Protocol:
        self.check()
        self._renew_key()
        router = self.router
        blocked = router.behaviour.refuses_after_failures
        if Fault.BLACKHOLE in router.faults or (blocked and self.failures >= blocked):
            return BlackHole(self)
        match self._answer(destination, established=False):
            case Answer.SILENCE:
                return BlackHole(self)
            case Answer.REFUSAL:
                return Refusal()
            case Answer.YES:
                pass
        counted = router.version.number >= (7, 16)
        if counted and sum(isinstance(it, Connection) for it in self.connections) >= router.setup.max_sessions:
            return Refusal()
        return Connection(self, destination)

    def cut(self) -> None:
        """Better no answer than a wrong one."""
        for connection in list(self.connections):
            connection.cut()

    def unlisten(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._move()

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
        self._answers.clear()
        for established in (True, False):
            self._answer(self.home, established=established)
        self._move()
        for connection in [it for it in self.connections if isinstance(it, Connection) and it.established]:
            if self._answer(connection.destination, established=True) is not Answer.YES:
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

    def _renew_key(self) -> None:
        """Present another host key of the same kind where the router made one since."""
        if self.router.host_key_generation != self._generation:
            self._generation = self.router.host_key_generation
            self.replace_host_key(asyncssh.generate_private_key(self._host_key.get_algorithm()))

    def came_up(self) -> None:
        self._renew_key()
        self.options = self._offer()
        self._recheck()
        self.router.tasks.start(self.listen(), "listen")

    async def close(self) -> None:
        self.unlisten()
        self.cut()
        await self.router.tasks.close()
