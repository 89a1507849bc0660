"""A fleet of simulated routers in this process: ``async with simulate(FleetSpec(sites=25)) as fleet``."""

from __future__ import annotations

import errno
import ipaddress
import os
import random
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from tminus.errors import UsageError
from tminus.simulator.config import defaults
from tminus.simulator.console.scheduler import Scheduler
from tminus.simulator.contents.export import export
from tminus.simulator.network.server import Host

from .behaviour import DEFAULT, Behaviour
from .faults import Fault, deal
from .inventory import Site, inventory_sql
from .journal import Journal
from .router import Hardware, Router, Timing
from .setup import ORDINARY, HostKey, Setup
from .versions import Version

_RSA_KEYS = 2  # they are slow to make: the routers of a fleet that have one share these
_MAX_SITES = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSpec:
    id: str
    version: str
    faults: frozenset[Fault] = frozenset()
    chr: bool = False  # a virtual router, without serial number
    identity: str | None = None  # the id, unless given
    setup: Setup | None = None  # the fleet's, unless given
    behaviour: Behaviour | None = None  # the fleet's, unless given
    timing: Timing | None = None  # the fleet's, unless given
    export_kb: int | None = None  # the fleet's, unless given
    up_for_s: float | None = None  # when it begins; drawn at random, unless given
    clone_of: str | None = None  # a site before it, whose host key it has


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSpec:
    """What to simulate. ``site_specs`` lists the sites one by one; without it ``sites`` are made from the rest."""

    sites: int = 25
    site_specs: tuple[SiteSpec, ...] = ()
    faults: Mapping[Fault, int] = field(default_factory=dict)
    versions: tuple[str, ...] = ("7.20.8",)  # given to the sites in turn
    username: str = "tminus"
    password: str = "simulated"  # noqa: S105 - of routers that do not exist
    latency_ms: float = 0  # a round trip
    export_kb: int = 0  # size of an export; 0 leaves the few KB of a branch office
    export_ms: float = 0
    script_ms: float = 0
    seed: int = 0
    journal: Path | None = None
    key_dir: Path | None = (
        None  # where the client's key pair is written: id_ed25519, or id_rsa where a site needs it, and .pub
    )
    client_key: asyncssh.SSHKey | None = None  # that may log in; made, of a kind that all sites take, unless given
    base: str = "127.44.0.1"  # address of the first site; the next has the next one
    port: int = 0  # 0: a free one, the same on all addresses
    behaviour: Behaviour = DEFAULT
    setup: Setup = ORDINARY

    @property
    def timing(self) -> Timing:
        return Timing(latency_s=self.latency_ms / 1000, export_s=self.export_ms / 1000, script_s=self.script_ms / 1000)

    def expand(self) -> tuple[SiteSpec, ...]:
        """The sites one by one. UsageError if the numbers make no sense."""
        if self.site_specs:
            return self.site_specs
        if not 0 < self.sites <= _MAX_SITES:
            raise UsageError(f"cannot simulate {self.sites} sites; give a number from 1 to {_MAX_SITES}")
        if not self.versions:
            raise UsageError("no RouterOS version was given; name at least one")
        dealt = deal(self.faults, self.sites, random.Random(self.seed))  # noqa: S311 - reproducible on purpose
        return tuple(
            SiteSpec(id=f"sim-{number:04d}", version=self.versions[number % len(self.versions)], faults=faults)
            for number, faults in enumerate(dealt)
        )


class Fleet:
    """A running fleet. ``key_file`` is None where no ``key_dir`` was given; ``client_key`` is there always."""

    def __init__(self, spec: FleetSpec, journal: Journal, client_key: asyncssh.SSHKey, key_file: Path | None) -> None:
        self.spec = spec
        self.journal = journal
        self.client_key = client_key
        self.key_file = key_file
        self._hosts: dict[str, Host] = {}
        self._sites: dict[str, Site] = {}

    @property
    def sites(self) -> tuple[Site, ...]:
        return tuple(self._sites.values())

    def site(self, site_id: str) -> Site:
        return self._sites[site_id]

    def router(self, site_id: str) -> Router:
        """The state behind a site, for a look from outside."""
        return self._hosts[site_id].router

    def files(self, site_id: str) -> dict[str, bytes]:
        """All files of a router by name, those that ``/file`` does not show yet included."""
        return {file.name: file.content for file in self.router(site_id).files.all() if not file.directory}

    def connections(self, site_id: str) -> int:
        """How many TCP connections are open to a site."""
        return len(self._hosts[site_id].connections)

    def export(self, site_id: str) -> str:
        """The whole configuration as it is now, secrets included, without header; LF line ends."""
        text = export(self.router(site_id), (), terse=False, verbose=False, secrets=True)
        return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))

    def inventory_sql(self, credential: str | None) -> str:
        """SQL for ``psql`` that registers all sites; ``credential`` is a name in the daemon's configuration."""
        return inventory_sql(self.sites, credential)

    async def set_faults(self, site_id: str, faults: Iterable[Fault]) -> None:
        """Change what is wrong with a site from now on; open connections stay."""
        host = self._hosts[site_id]
        host.router.faults = frozenset(faults)
        host.unlisten()
        await host.listen()

    def cut(self, site_id: str) -> None:
        """End every connection that is open to a site at this moment, as a broken line does."""
        self._hosts[site_id].cut()

    def replace_host_key(self, site_id: str) -> None:
        """Give a site another host key of the same kind, as somebody who regenerates it does."""
        host = self._hosts[site_id]
        host.replace_host_key(asyncssh.generate_private_key(host.host_key.get_algorithm()))

    def _add(self, host: Host, site: Site) -> None:
        self._hosts[site.id] = host
        self._sites[site.id] = site

    async def _close(self) -> None:
        for host in self._hosts.values():
            await host.close()
        self.journal.close()


@asynccontextmanager
async def simulate(spec: FleetSpec) -> AsyncIterator[Fleet]:
    """Start the routers, and stop them at the end. UsageError if an address, port or path cannot be used."""
    sites = spec.expand()
    if len({site.id for site in sites}) != len(sites):
        raise UsageError("two simulated sites have the same id; give each its own")
    addresses = _addresses(spec.base, len(sites))
    port = spec.port or _free_port(addresses[0])
    client_key = spec.client_key or _client_key(sites)
    key_file = _write_key(spec.key_dir, client_key) if spec.key_dir is not None else None
    fleet = Fleet(spec, _open_journal(spec.journal), client_key, key_file)
    rsa_keys = _RsaKeys()
    host_keys: dict[str, asyncssh.SSHKey] = {}
    try:
        for number, (site, address) in enumerate(zip(sites, addresses, strict=True)):
            router = _router(spec, site, number, fleet.journal)
            modern = router.version.ed25519_host_key and router.setup.host_key is HostKey.ED25519
            host_key = host_keys.get(site.clone_of or "")
            if host_key is None:
                host_key = rsa_keys.next() if not modern else asyncssh.generate_private_key("ssh-ed25519")
            host_keys[site.id] = host_key
            host = Host(
                router,
                address=address,
                port=port,
                host_key=host_key,
                username=spec.username,
                password=spec.password,
                client_keys=frozenset({client_key.public_data}),
                home=defaults.uplink(number),
            )
            fleet._add(host, _site(spec, site, router, host, host_key))
            await _listen(host)
        yield fleet
    finally:
        await fleet._close()


async def _listen(host: Host) -> None:
    try:
        await host.listen()
    except OSError as error:
        what = os.strerror(error.errno) if error.errno else str(error)
        hint = "choose another --port or --base" if error.errno == errno.EADDRINUSE else "choose another --base"
        raise UsageError(f"cannot listen on {host.address}:{host.port} ({what}); {hint}") from error


def _router(spec: FleetSpec, site: SiteSpec, number: int, journal: Journal) -> Router:
    rng = random.Random(f"{spec.seed} {site.id}")  # noqa: S311 - reproducible on purpose
    router = Router(
        site=site.id,
        version=Version.parse(site.version),
        hardware=_hardware(site, rng),
        base=defaults.base(spec.export_kb if site.export_kb is None else site.export_kb),
        faults=site.faults,
        behaviour=site.behaviour or spec.behaviour,
        timing=site.timing or spec.timing,
        journal=journal,
        up_for_s=rng.uniform(3600, 60 * 86400) if site.up_for_s is None else site.up_for_s,
        setup=site.setup or spec.setup,
    )
    Scheduler(router)
    password_login = router.version.password_beside_key if router.setup.password_login else {}
    defaults.personal(
        router.config, identity=site.identity or site.id, number=number, username=spec.username, ssh=password_login
    )
    return router


def _hardware(site: SiteSpec, rng: random.Random) -> Hardware:
    letters = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"
    serial = "HC" + "".join(rng.choices(letters, k=9))
    software_id = "".join(rng.choices(letters, k=4)) + "-" + "".join(rng.choices(letters, k=4))
    return Hardware(
        model="CHR" if site.chr else "RB750Gr3",
        board="CHR" if site.chr else "hEX",
        serial="" if site.chr else serial,
        software_id=software_id,
        chr=site.chr,
        architecture="x86_64" if site.chr else "mmips",
        cpu="QEMU" if site.chr else "MIPS 1004Kc V2.15",
    )


def _site(spec: FleetSpec, site: SiteSpec, router: Router, host: Host, host_key: asyncssh.SSHKey) -> Site:
    shown = host_key
    if Fault.CHANGED_HOST_KEY in site.faults:
        shown = asyncssh.generate_private_key("ssh-ed25519")
    return Site(
        id=site.id,
        name=router.identity,
        address=host.address,
        port=host.port,
        username=spec.username,
        host_key=shown.export_public_key().decode("ascii").strip(),
        ssh_profile="legacy" if router.version.legacy else "modern",
        tags=("simulated", f"routeros-{site.version}", *sorted(site.faults)),
    )


def _client_key(sites: Iterable[SiteSpec]) -> asyncssh.SSHKey:
    """One key that every site takes: some of them none but RSA."""
    new = all(Version.parse(site.version).ed25519_user_keys for site in sites)
    return asyncssh.generate_private_key("ssh-ed25519" if new else "ssh-rsa", comment="tminus-simulator")


class _RsaKeys:
    def __init__(self) -> None:
        self._keys: list[asyncssh.SSHKey] = []
        self._asked = 0

    def next(self) -> asyncssh.SSHKey:
        if len(self._keys) < _RSA_KEYS:
            self._keys.append(asyncssh.generate_private_key("ssh-rsa", key_size=2048))
        self._asked += 1
        return self._keys[self._asked % len(self._keys)]


def _addresses(base: str, count: int) -> list[str]:
    try:
        first = ipaddress.IPv4Address(base)
        last = first + (count - 1)
    except ValueError:
        raise UsageError(f"'{base}' is no IPv4 address that {count} sites can count up from") from None
    if not (first.is_loopback and last.is_loopback):
        raise UsageError(f"{count} sites from {base} on do not fit into 127.0.0.0/8; choose a lower --base")
    return [str(first + number) for number in range(count)]


def _free_port(address: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            raise UsageError(f"cannot use the address {address} ({error.strerror}); choose another --base") from error
        port: int = probe.getsockname()[1]
        return port


def _open_journal(path: Path | None) -> Journal:
    try:
        return Journal(path)
    except OSError as error:
        raise UsageError(f"cannot write the journal {path} ({error.strerror}); choose another file") from error


def _write_key(directory: Path, key: asyncssh.SSHKey) -> Path:
    """The private key, readable by its owner alone, and the public one beside it."""
    path = directory / f"id_{key.get_algorithm().removeprefix('ssh-')}"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.export_private_key())
        path.with_name(path.name + ".pub").write_bytes(key.export_public_key())
    except OSError as error:
        raise UsageError(f"cannot write a key to {directory} ({error.strerror}); choose another --key-dir") from error
    return path
