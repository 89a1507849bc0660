"""How connections to routers come about: who is reached, by which key it is known, and who we are.

asyncssh would read the user's ssh configuration, keys, agent and known hosts: none of that is looked at. The host key is judged before
anything of a credential is used.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Awaitable, Callable

import asyncssh

from tminus.device import group_exchange, problems
from tminus.device.callbacks import Client, Transport
from tminus.device.connection import NEVER, Connection
from tminus.device.credentials import Credential, check_username
from tminus.device.hostkeys import HostKey, HostKeyPolicy
from tminus.device.jump_hosts import Gate, JumpHost, Lane
from tminus.device.profiles import ALGORITHMS, SshProfile, host_key_algorithms
from tminus.device.target import Limits, Target
from tminus.errors import ConfigError, DeviceTimeout, HostKeyChanged, JumpHostFailed


class Connector:
    """Opens connections. asyncssh's options are costly to make, so they are made once per profile."""

    def __init__(self, *, limits: Limits, policy: HostKeyPolicy) -> None:
        # At INFO asyncssh writes several lines per channel, commands and user names among them.
        asyncssh.set_log_level(logging.WARNING)
        self.limits = limits
        self._policy = policy
        self._prepared = {profile: _prepare(profile, limits) for profile in SshProfile}

    async def connect(
        self,
        target: Target,
        credential: Credential,
        *,
        through: Gate | None = None,
        admit: Callable[[], Awaitable[None]] | None = None,
    ) -> Connection:
        """Log in to a router; raise Offline, HostKeyChanged, LoginRefused, ConnectionLost or DeviceTimeout.

        `through` is the jump host; then JumpHostFailed says that the router was not looked at. The wait for it is not part
        of the time that the router has.

        The host key is judged before anything of the credential is used, and at most one login is attempted. `admit` is awaited
        between the two, with a deadline of its own; what it raises ends the connection, and nobody was asked for a login.
        ConfigError is raised if there is no user name, or one that must not reach a router.
        """
        username = target.username if target.username is not None else credential.username
        if username is None:
            raise ConfigError(
                f"no user name for {target}: set it on the site, or as username of credential {credential.name!r}"
            )
        check_username(username, str(target))
        pinned = _pinned_key(target)
        if pinned is None and self._policy is HostKeyPolicy.PINNED:
            presented = HostKey.parse(await self.fetch_host_key(target, through=through))
            raise HostKeyChanged(
                f"no host key is pinned for {target}, which presents {presented}; not logged in;"
                f" compare it with the router's and pin it with 'tminus site pin {target.site_id}'"
            )
        client = Client(pinned=() if pinned is None else (pinned,), credential=credential, held=admit is not None)
        lane = None if through is None else await through.enter(target)
        transport = await self._log_in(target, client, username, lane, admit)
        return Connection(target, self.limits, transport, client, lane)

    async def dial(self, host: JumpHost) -> tuple[Transport, Client]:
        """Log in to a jump host; raise what `connect` raises."""
        target = Target(
            site_id=f"jump host {host.name}",
            address=host.address,
            port=host.port,
            username=host.username,
            host_key=None,
            ssh_profile=SshProfile.MODERN,
            how_to_pin=f"put the new key into host_keys of [jump_hosts.{host.name}] and restart the daemon",
        )
        client = Client(pinned=host.host_keys, credential=host.credential)
        transport = await self._log_in(target, client, host.username, None)
        # Scripts may run behind it: its silence is judged by those who use it.
        transport.set_keepalive(count_max=NEVER)
        return transport, client

    async def _log_in(
        self,
        target: Target,
        client: Client,
        username: str,
        lane: Lane | None,
        admit: Callable[[], Awaitable[None]] | None = None,
    ) -> Transport:
        transport = await self._exchange_keys(target, client, username, lane)
        if admit is not None:
            try:
                await admit()
            except BaseException:
                transport.abort()
                raise
            client.let_go()
        try:
            async with asyncio.timeout(self.limits.login_timeout):
                await client.login_ended
        except TimeoutError as error:
            transport.abort()
            raise DeviceTimeout(
                f"{target} did not answer the login of {username!r} within {self.limits.login_timeout:g} s;"
                " connection aborted"
            ) from error
        except asyncio.CancelledError:
            transport.abort()
            raise
        if not client.logged_in:
            raise problems.login_error(target, username, client) from client.reason
        return transport

    async def fetch_host_key(self, target: Target, *, through: Gate | None = None) -> str:
        """Return the key, `KIND BASE64`, that a router presents and proves to own, whatever is pinned; do not log in.

        Raises Offline, or JumpHostFailed. Whether it is the right router's key is for a person to say.
        """
        client = Client(pinned=(), credential=None)
        lane = None if through is None else await through.enter(target)
        await self._exchange_keys(target, client, "", lane)
        return client.host_key.text

    async def _exchange_keys(self, target: Target, client: Client, username: str, lane: Lane | None) -> Transport:
        """Connect, up to the end of the key exchange; raise Offline or HostKeyChanged, or JumpHostFailed."""
        loop = asyncio.get_running_loop()
        transport = Transport(loop, self._options(target, client, username))
        patience = asyncio.timeout(self.limits.connect_timeout)
        connected = False
        try:
            async with patience:
                if lane is None:
                    await loop.create_connection(lambda: transport, target.address, target.port)
                else:
                    client.on_lost = lane.leave
                    await lane.open(transport, target)
                connected = True
                await client.exchange_ended
        except (OSError, UnicodeError) as error:
            silence: JumpHostFailed | None = None
            try:
                if lane is not None and patience.expired():
                    silence = await lane.why_silent(target, within=self.limits.connect_timeout)
            finally:
                transport.abort()
            if silence is not None:
                raise silence from error
            if patience.expired():
                raise problems.stall(target, transport, self.limits, connected=connected) from error
            raise problems.unreachable(target, error) from error
        except asyncio.CancelledError:
            transport.abort()
            raise
        if not client.exchanged:
            if lane is not None and (problem := lane.problem()) is not None:
                raise JumpHostFailed(f"{problem}; {target.site_id} was not reached") from client.reason
            raise problems.exchange_error(target, client, transport) from client.reason
        return transport

    def _options(self, target: Target, client: Client, username: str) -> asyncssh.SSHClientConnectionOptions:
        """Return a copy of the prepared options with what differs between connections."""
        options = copy.copy(self._prepared[target.ssh_profile])
        options.host = target.address
        options.port = target.port
        options.username = username
        options.protocol_factory = lambda: client
        options.server_host_key_algs = host_key_algorithms(
            client.pinned[0].kind if client.pinned else None, target.ssh_profile
        )
        if client.credential is None or client.credential.key is None:
            options.preferred_auth = ("password", "keyboard-interactive")
        else:
            options.preferred_auth = ("publickey",)
        return options


def _prepare(profile: SshProfile, limits: Limits) -> asyncssh.SSHClientConnectionOptions:
    """Make the options that all connections of a profile share; every ambient source is shut off."""
    algorithms = ALGORITHMS[profile]
    group_exchange.register()
    try:
        return asyncssh.SSHClientConnectionOptions(
            config=None,
            # Trust nothing by yourself: this is what makes asyncssh ask our `Client` about each key.
            known_hosts=([], [], []),
            # Set for each connection; here so that a name which this machine's library lacks is found at once.
            server_host_key_algs=host_key_algorithms(None, SshProfile.LEGACY),
            x509_trusted_certs=None,
            x509_trusted_cert_paths=[],
            kex_algs=algorithms.key_exchange,
            encryption_algs=algorithms.ciphers,
            mac_algs=algorithms.macs,
            compression_algs=None,
            # Secrets are handed out by our `Client` too.
            username="",
            password=None,
            client_keys=None,
            agent_path=None,
            agent_forwarding=False,
            pkcs11_provider=None,
            host_based_auth=False,
            client_host_keysign=False,
            gss_host=None,
            gss_kex=False,
            gss_auth=False,
            # Both phases have timeouts of ours.
            connect_timeout=None,
            login_timeout=0,
            keepalive_interval=limits.keepalive_interval,
            # asyncssh gives up one interval after this many.
            keepalive_count_max=limits.keepalive_misses - 1,
            tcp_keepalive=True,
            tunnel=None,
            proxy_command=None,
            request_pty=False,
            x11_forwarding=False,
            env={},
            send_env=[],
            encoding=None,
            window=limits.window,
            # A router may put anything in its messages to people.
            utf8_decode_errors="replace",
        )
    except (ValueError, OSError) as error:
        raise ConfigError(f"SSH cannot be set up: {error}") from error


def _pinned_key(target: Target) -> HostKey | None:
    if target.host_key is None:
        return None
    try:
        return HostKey.parse(target.host_key)
    except ValueError as error:
        raise HostKeyChanged(
            f"the pinned host key of {target} cannot be read, {error}; not connected;"
            f" pin the key with 'tminus site pin {target.site_id}'"
        ) from error
