"""What 'tminus check' looks at: everything that would stop a daemon here, or make it less than it promises.

It starts nothing and changes nothing: each connection is read-only, an embedded database that does not run stays so, and
an address is tried without listening on it. A check that needs an earlier one is skipped and says so.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import resource
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from tminus.errors import ConfigError, EmbeddedError, SchemaMismatch, StoreError, TminusError

if TYPE_CHECKING:
    from tminus.settings import CredentialSettings, Settings
    from tminus.store.inspection import Inspection

_CLOCK_WARNS, _CLOCK_FAILS = 1.0, 5.0  # seconds
_ANSWER_WITHIN = 3.0  # seconds, of whoever listens where we would
_DAEMON_USER = "tminus"


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`said` is one sentence: what was found and, unless it is well, what to do. `exit_code` counts where it failed."""

    check: str
    verdict: Verdict
    said: str
    exit_code: int = 0


def ok(check: str, said: str) -> Finding:
    return Finding(check=check, verdict=Verdict.OK, said=said)


def warning(check: str, said: str) -> Finding:
    return Finding(check=check, verdict=Verdict.WARNING, said=said)


def skipped(check: str, said: str) -> Finding:
    return Finding(check=check, verdict=Verdict.SKIPPED, said=said)


def failed(check: str, said: str, kind: type[TminusError] = TminusError) -> Finding:
    return Finding(check=check, verdict=Verdict.FAILED, said=said, exit_code=kind.exit_code)


def refused(check: str, error: TminusError) -> Finding:
    """A check that an exception of ours failed."""
    return failed(check, str(error), type(error))


async def examine(config_file: Path | None) -> list[Finding]:
    """Look at everything, in an order in which each thing builds on those before it."""
    from tminus.settings import credentials_base, load_settings

    try:
        settings = load_settings(config_file)
    except ConfigError as error:
        later = ("credentials", "open files", "listener", *_OF_THE_DATABASE)
        return [refused("configuration", error), *(skipped(check, "needs a valid configuration") for check in later)]
    return [
        _configuration(settings, config_file),
        *_credentials(settings, credentials_base(config_file)),
        _open_files(settings),
        await _listener(settings),
        *await _database(settings),
    ]


# ---- this host --------------------------------------------------------------------------------------------------------


def _configuration(settings: Settings, given: Path | None) -> Finding:
    from tminus.settings import config_file

    named = config_file(given)
    if named is None:
        return ok("configuration", "no file is given: defaults and the environment")
    if settings.database_url is not None and _holds_password(settings.database_url.get_secret_value()):
        mode = named.stat().st_mode
        if mode & stat.S_IROTH:
            return warning(
                "configuration",
                f"{named} holds the database's password and everyone can read it; run 'chmod 640 {named}'",
            )
    return ok("configuration", f"{named}")


def _holds_password(url: str) -> bool:
    parts = urlsplit(url)
    return bool(parts.password or parse_qs(parts.query).get("password"))


def _credentials(settings: Settings, base: Path) -> Iterator[Finding]:
    if not settings.credentials:
        yield warning("credentials", "none is configured, so no router can be logged in to; add [credentials.default]")
    for name, spec in sorted(settings.credentials.items()):
        yield _credential(name, spec, base)


def _credential(name: str, spec: CredentialSettings, base: Path) -> Finding:
    from tminus.device.credentials import load_credential, locate

    check = f"credential {name}"
    try:
        load_credential(
            name,
            username=spec.username,
            private_key_file=spec.private_key_file,
            password_file=spec.password_file,
            base=base,
        )
    except ConfigError as error:
        return refused(check, error)
    file = spec.private_key_file or spec.password_file
    assert file is not None  # noqa: S101 - it was loaded from one
    path, kept_by_systemd = locate(file, base)
    info = path.stat()
    if not kept_by_systemd and info.st_mode & 0o077:
        return warning(check, f"{path} holds a secret and is open to other users; run 'chmod 600 {path}'")
    if not kept_by_systemd and file.is_absolute() and _only_root_reads(info):
        return warning(
            check,
            f"only root can read {path}, the daemon's user {_DAEMON_USER} cannot; name it relatively"
            f" ({file.name}) and hand it over with LoadCredential={file.name}:{path}",
        )
    user = f", user {spec.username}" if spec.username else ", user names are the sites'"
    return ok(check, f"{'key' if spec.private_key_file else 'password'} in {path}{user}")


def _only_root_reads(info: os.stat_result) -> bool:
    """Whether this is root, looking on behalf of a daemon that runs as another user, and that user is shut out."""
    if os.geteuid() != 0 or info.st_uid != 0:
        return False
    try:
        pwd.getpwnam(_DAEMON_USER)
    except KeyError:
        return False  # nobody knows as whom it will run
    return True


def _open_files(settings: Settings) -> Finding:
    from tminus.app import check_open_files

    try:
        needed, limit = check_open_files(settings.max_sessions)
    except ConfigError as error:
        return refused("open files", error)
    allowed = "there is no limit here" if limit == resource.RLIM_INFINITY else f"the limit here is {limit}"
    return ok("open files", f"{needed} are needed for max_sessions = {settings.max_sessions}, {allowed}")


async def _listener(settings: Settings) -> Finding:
    host, port = settings.listen_address
    try:
        async with asyncio.timeout(_ANSWER_WITHIN):
            found = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
    except (OSError, TimeoutError) as error:
        said = f"http_listen = {settings.http_listen} is no address of this host ({error or 'no answer in time'}); correct it"
        return failed("listener", said, ConfigError)
    for family, kind, protocol, _, address in found:
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(address)
            except OSError as error:
                if port and await _is_tminus(str(address[0]), port):
                    return ok("listener", f"a running daemon listens on {settings.http_listen}")
                return failed(
                    "listener",
                    f"cannot listen on {settings.http_listen}: {error.strerror}; set http_listen to a free address",
                    ConfigError,
                )
    return ok("listener", f"{settings.http_listen} is free")


async def _is_tminus(host: str, port: int) -> bool:
    """Whether what listens there is a daemon of ours."""
    import aiohttp

    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - asked, not listened on
    url = f"http://{f'[{name}]' if ':' in name else name}:{port}/metrics"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ANSWER_WITHIN)) as client,
            client.get(url) as answer,
        ):
            return b"\ntminus_info{" in await answer.content.read(4 * 1024 * 1024)
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False


# ---- the database -----------------------------------------------------------------------------------------------------

_OF_THE_DATABASE = ("database", "login", "schema", "clock", "fleet")


def _rest(after: str, why: str) -> list[Finding]:
    """The checks of the database after one of them, skipped."""
    return [skipped(check, why) for check in _OF_THE_DATABASE[_OF_THE_DATABASE.index(after) + 1 :]]


async def _database(settings: Settings) -> list[Finding]:
    from tminus.store.inspection import inspect

    try:
        dsn = _dsn(settings)
        if dsn is None:
            said = f"the embedded one in {settings.state_dir} does not run and was not started; the daemon starts it"
            return [skipped("database", said), *_rest("database", "needs the database")]
        async with inspect(dsn) as inspection:
            return await _inspect(settings, inspection)
    except (StoreError, EmbeddedError) as error:
        # Any answer that is lost, also in the middle.
        return [refused("database", error), *_rest("database", "needs the database")]


def _dsn(settings: Settings) -> str | None:
    from tminus.app import EMBEDDED_LOGIN
    from tminus.store.embedded import dsn_of_running

    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return dsn_of_running(settings.state_dir, EMBEDDED_LOGIN)


async def _inspect(settings: Settings, inspection: Inspection) -> list[Finding]:
    from tminus.store.migrate import check_server_version

    server = await inspection.server()
    try:
        check_server_version(server.major)
    except SchemaMismatch as error:
        return [refused("database", error), *_rest("database", "needs another server")]
    whose = "" if settings.database_url is not None else "embedded "
    reached = f"{whose}PostgreSQL {server.version}, connected as {server.login}"
    if server.standby:
        said = f"{reached}, but it is a standby, where nothing can be written; connect to the primary"
        return [failed("database", said, StoreError), *_rest("database", "needs the primary")]
    found = [ok("database", reached)]
    if not server.durable:
        found = [
            warning("database", f"{reached}; fsync is off: after a crash a script could be started twice; turn it on")
        ]

    login = await _login(inspection, server.login)
    found.append(login)
    if login.verdict is Verdict.FAILED:
        return found + _rest("login", "needs a login with the rights of a daemon")
    try:
        await inspection.check_schema()
    except StoreError as error:
        return [*found, refused("schema", error), *_rest("schema", "needs this program's schema")]
    found.append(ok("schema", "as this program has it"))
    return [*found, await _clock(inspection), await _fleet(settings, inspection)]


async def _login(inspection: Inspection, name: str) -> Finding:
    login = await inspection.login()
    if login.roles is None:
        return skipped("login", "the roles of tminus are not there yet; 'tminus migrate' makes them")
    if login.superuser:
        return warning(
            "login",
            f"{name} is a superuser, whom no grant holds back; use a login of the daemon's own:"
            " create role tminus_serve login in role tminus_daemon",
        )
    if "tminus_daemon" not in login.roles:
        return failed(
            "login", f"{name} has not the rights of tminus_daemon; run 'grant tminus_daemon to {name}'", StoreError
        )
    beyond = sorted(login.roles - {"tminus_daemon", "tminus_reader"})
    if beyond:
        return warning(
            "login",
            f"{name} also is {' and '.join(beyond)}, so who has the daemon could write and approve scripts;"
            f" run 'revoke {', '.join(beyond)} from {name}'",
        )
    return ok("login", f"{name} is a tminus_daemon, and can neither author nor approve")


async def _clock(inspection: Inspection) -> Finding:
    ahead = await inspection.ahead()
    if abs(ahead) <= _CLOCK_WARNS:
        return ok("clock", f"the database's differs from this host's by {abs(ahead):.2f} s")
    said = (
        f"the database's clock, by which scripts are launched, is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'}"
        " this host's; keep both right with NTP"
    )
    return failed("clock", said) if abs(ahead) > _CLOCK_FAILS else warning("clock", said)


async def _fleet(settings: Settings, inspection: Inspection) -> Finding:
    """Whether the configuration has what the inventory and the scheduled scripts ask for."""
    fleet = await inspection.fleet()
    sites = sum(fleet.sites_by_credential.values())
    absent = sorted(fleet.sites_by_credential.keys() - settings.credentials.keys())
    if absent:
        count = sum(fleet.sites_by_credential[name] for name in absent)
        names = ", ".join(f"[credentials.{name}]" for name in absent[:5]) + (" …" if len(absent) > 5 else "")
        return warning(
            "fleet", f"{count} of {sites} enabled sites name a credential that is not configured; add {names}"
        )
    longest = fleet.longest_site_timeout
    if longest is not None and longest > settings.drain_timeout:
        return warning(
            "fleet",
            f"a scheduled script may run {longest:g} s on a site, and a drain waits drain_timeout = {settings.drain_timeout:g}"
            " s; raise it, and TimeoutStopSec in the unit two minutes beyond",
        )
    return ok("fleet", f"{sites} enabled sites, whose credentials are all configured")
