"""Steps of a conversation with one router that more than one duty needs: reaching it, and taking our file away."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tminus.device.connection import Connection, Connector
from tminus.device.credentials import Credential
from tminus.device.profiles import SshProfile
from tminus.device.target import Target
from tminus.errors import ConfigError, ConnectionLost, DeviceTimeout
from tminus.routeros import commands
from tminus.routeros.text import lines
from tminus.store.site_runs import Site

SMALL = 65536
"""Bytes: the cap for answers that are a few lines."""


class Contact:
    """Reaches sites with the credentials that the configuration names. `runners`: whom this daemon is to its sites."""

    def __init__(
        self, connector: Connector, credentials: Mapping[str, Credential], *, runners: Collection[str] = ()
    ) -> None:
        self._connector = connector
        self._credentials = credentials
        self._runners = runners

    def credential(self, site: Site) -> Credential:
        """Return the credential of a site; ConfigError names what is missing."""
        name = site.part.credential or "default"
        try:
            return self._credentials[name]
        except KeyError:
            raise ConfigError(
                f"credential '{name}' of {site.id} is not in this daemon's configuration; add [credentials.{name}] or name another"
            ) from None

    async def connect(self, site: Site, *, host_key: str | None = None) -> Connection:
        """Log in once. `host_key` stands in for a site that has none yet. Raises DeviceError or ConfigError."""
        return await self._connector.connect(self._target(site, host_key), self.credential(site))

    async def fetch_host_key(self, site: Site) -> str:
        """Return the key that a site's router proves to own now, whatever is pinned; nobody logs in."""
        return await self._connector.fetch_host_key(self._target(site, None))

    def _target(self, site: Site, host_key: str | None) -> Target:
        part = site.part
        if site.runner is not None and site.runner not in self._runners:
            # Its address may be another router's in this network.
            raise ConfigError(f"{site.id} is reached by runner '{site.runner}', which this daemon is not")
        if part.jump_host is not None:
            raise ConfigError(f"{site.id} is behind jump host {part.jump_host}, which this version cannot use yet")
        return Target(
            site_id=part.id,
            address=part.address,
            port=part.port,
            username=part.username,
            host_key=site.host_key or host_key,
            ssh_profile=SshProfile(site.ssh_profile),
        )


async def remove_file(connection: Connection, nonce: commands.Nonce, *, deadline: float) -> bool:
    """Remove our file; True only if the router itself says that none of its name is left."""
    try:
        result = await connection.run(commands.remove(nonce), deadline=deadline, cap=SMALL)
    except (ConnectionLost, DeviceTimeout):
        return False
    return commands.says_gone(nonce, lines(result.output))
