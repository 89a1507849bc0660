"""Steps of a conversation with one router that more than one duty needs: reaching it, and taking our file away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from tminus.device.connection import Connection
from tminus.device.connector import Connector
from tminus.device.credentials import Credential
from tminus.device.jump_hosts import Gate
from tminus.device.profiles import SshProfile
from tminus.device.target import Target
from tminus.domain.digest import SitePart
from tminus.errors import ConfigError, ConnectionLost, DeviceTimeout
from tminus.routeros import commands
from tminus.routeros.facts import Facts, parse_facts
from tminus.routeros.remains import Remains, read_remains
from tminus.routeros.text import clean, clean_line, lines
from tminus.store.site_runs import Site

SMALL = 65536
"""Bytes: the cap for answers that are a few lines."""

CLOSES_WITHIN = 3.0
"""Seconds that a channel is given to close, once what was waited for has arrived."""


class Contact:
    """Reaches sites with the credentials that the configuration names. `runners`: whom this daemon is to its sites."""

    def __init__(
        self,
        connector: Connector,
        credentials: Mapping[str, Credential],
        *,
        gates: Mapping[str, Gate] | None = None,
        runners: Collection[str] = (),
    ) -> None:
        self.vouches_for: Callable[[SitePart], Awaitable[bool]] | None = None
        """Where signatures are required: whether an approver signed for such a site. Only to one is a password sent."""
        self._connector = connector
        self._credentials = credentials
        self._gates = gates or {}
        self._runners = runners

    def places(self) -> dict[str, int]:
        """Return for how many sites more each jump host has a place."""
        return {name: gate.free for name, gate in self._gates.items()}

    def hold_place(self, site: Site) -> Callable[[], None]:
        """Hold the place of a site on its jump host, if it has one and there is one; return what gives it back.

        Who got none waits for it when it connects.
        """
        gate = self._gates.get(site.part.jump_host or "")
        if gate is None or not gate.try_hold(site.id):
            return lambda: None
        return lambda: gate.release(site.id)

    def credential(self, site: Site) -> Credential:
        """Return the credential of a site; ConfigError names what is missing."""
        name = site.part.credential or "default"
        try:
            return self._credentials[name]
        except KeyError:
            raise ConfigError(
                f"credential '{name}' of {site.id} is not in this daemon's configuration; add [credentials.{name}] or name another"
            ) from None

    async def connect(
        self,
        site: Site,
        *,
        host_key: str | None = None,
        covered: SitePart | None = None,
        admit: Callable[[], Awaitable[None]] | None = None,
    ) -> Connection:
        """Log in once. Raises DeviceError or ConfigError, and what `admit` raises: see Connector.connect.

        `host_key` stands in for a site that has none yet. `covered` is what an authorization covers of the site, where that
        is more than how it is reached.
        """
        target, credential = self._target(site, host_key), self.credential(site)
        if credential.password is not None and not await self._is_vouched_for(site, covered):
            # Whoever owns the database could name a machine of their own. A key gives nothing away to one.
            raise ConfigError(
                f"nobody has signed for {site.id} as it is now, so it is not sent the password of credential '{credential.name}';"
                " use a private key, or have an approver sign a script for it"
            )
        return await self._connector.connect(target, credential, through=self._gate(site), admit=admit)

    async def _is_vouched_for(self, site: Site, covered: SitePart | None) -> bool:
        if self.vouches_for is None:
            return True
        return (covered is not None and await self.vouches_for(covered)) or await self.vouches_for(site.part)

    async def fetch_host_key(self, site: Site) -> str:
        """Return the key that a site's router proves to own now, whatever is pinned; nobody logs in."""
        return await self._connector.fetch_host_key(self._target(site, None), through=self._gate(site))

    def _gate(self, site: Site) -> Gate | None:
        name = site.part.jump_host
        if name is None:
            return None
        try:
            return self._gates[name]
        except KeyError:
            raise ConfigError(
                f"jump host '{name}' of {site.id} is not in this daemon's configuration; add [jump_hosts.{name}] or name another"
            ) from None

    def _target(self, site: Site, host_key: str | None) -> Target:
        part = site.part
        if site.runner is not None and site.runner not in self._runners:
            # Its address may be another router's in this network.
            raise ConfigError(f"{site.id} is reached by runner '{site.runner}', which this daemon is not")
        return Target(
            site_id=part.id,
            address=part.address,
            port=part.port,
            username=part.username,
            host_key=site.host_key or host_key,
            ssh_profile=SshProfile(part.ssh_profile),
            jump_host=part.jump_host,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Introduction:
    """What a router said of itself. `stamped`: our line is in its log; `jobs`, `files`: it was asked for these, too."""

    facts: Facts | None  # None: what answered is not a RouterOS console
    output: bytes
    stamped: bool
    jobs: bool
    files: bool


async def introduce(
    connection: Connection, nonce: commands.Nonce, *, stamp: bool, deadline: float, resources: bool = False
) -> Introduction:
    """Ask a router who it is, with all that is wanted; where it does not take that, with less. Raises as `run` does.

    What a script needs for the proof of its end is no log, no list of jobs and no list of files.
    """
    looks = ((True, True), (False, True), (False, False))
    ways = [(stamped, *look) for stamped in ((True, False) if stamp else (False,)) for look in looks]
    for stamped, jobs, files in ways:
        command = commands.identify(nonce, stamp=stamped, jobs=jobs, files=files, resources=resources)
        result = await connection.run(command, deadline=deadline, cap=SMALL)
        facts = parse_facts(result.output, nonce.marker("ASKED"), nonce.marker("ID"))
        if facts is not None or nonce.marker("ID") in lines(result.output) or connection.closed:
            break
    return Introduction(facts=facts, output=result.output, stamped=stamped, jobs=jobs, files=files)


async def ask_serial(connection: Connection, nonce: commands.Nonce, *, deadline: float) -> str | None:
    """Ask a router for its serial number; None if it names none, as a virtual one does. Raises as `run` does."""
    said = await connection.run(commands.serial_number(nonce), deadline=deadline, cap=SMALL)
    return commands.listed_serial(nonce, said.output)


async def ask_identity(connection: Connection, nonce: commands.Nonce, *, deadline: float) -> str | None:
    """Ask a router what it calls itself; None if what answers is not a RouterOS console. Raises as `run` does."""
    said = await connection.run(
        commands.identify(nonce, stamp=False, jobs=False, files=False), deadline=deadline, cap=SMALL
    )
    facts = parse_facts(said.output, nonce.marker("ASKED"), nonce.marker("ID"))
    return None if facts is None else facts.identity


async def find_remains(
    connection: Connection, nonce: commands.Nonce, *, deadline: float, stamp: bool = False
) -> Remains | None:
    """Ask what is left of an attempt; where jobs or log are not to be had, without them. Raises as `run` does.

    `stamp`: leave a line of this look in the log.
    """
    for look, jobs in ((True, True), (True, False), (False, False)):
        command = commands.evidence(nonce, stamp=stamp, look=look, jobs=jobs)
        said = await connection.run(command, deadline=deadline, cap=SMALL)
        remains = read_remains(said.output, nonce)
        if remains is not None or connection.closed:
            break
    return remains


async def remove_files(connection: Connection, nonce: commands.Nonce, *, deadline: float) -> bool:
    """Remove all files of an attempt; True only if the router itself says that none of them is left."""
    return await _says_gone(connection, nonce, commands.remove(nonce), deadline)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """What came of it: how many jobs were stopped (None: the router does not say that none is left), and what it said."""

    stopped: int | None
    said: str


async def stop_jobs(connection: Connection, nonce: commands.Nonce, *, deadline: float) -> Stopping:
    """Stop the jobs that run the script of an attempt: only where a person asked for it. Raises as `run` does."""
    result = await connection.run(commands.stop_jobs(nonce), deadline=deadline, cap=SMALL)
    said = commands.without_markers(nonce, clean(result.output, cap=SMALL))
    return Stopping(stopped=commands.stopped_jobs(nonce, lines(result.output)), said=clean_line(said, cap=160))


async def remove_script(connection: Connection, nonce: commands.Nonce, *, deadline: float) -> bool:
    """Remove the uploaded script, before anything is concluded; True only if the router itself says that it is gone."""
    return await _says_gone(connection, nonce, commands.fence(nonce), deadline)


async def _says_gone(connection: Connection, nonce: commands.Nonce, command: str, deadline: float) -> bool:
    try:
        result = await connection.run(command, deadline=deadline, cap=SMALL)
    except (ConnectionLost, DeviceTimeout):
        return False
    return commands.says_gone(nonce, lines(result.output))
