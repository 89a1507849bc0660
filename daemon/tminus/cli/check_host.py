"""What 'tminus check' looks at on this host: configuration, secrets, state, limits and the address to listen on."""

from __future__ import annotations

import asyncio
import os
import pwd
import resource
import socket
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from tminus.cli.check_finding import Finding, failed, ok, refused, skipped, warning
from tminus.errors import ConfigError

if TYPE_CHECKING:
    from tminus.device.credentials import Credential
    from tminus.settings import CredentialSettings, JumpHostSettings, Settings
    from tminus.store.intent_files import Intent

_ANSWER_WITHIN = 3.0  # seconds, of whoever listens where we would
_DAEMON_USER = "tminus"


def configuration(settings: Settings, given: Path | None) -> Finding:
    """Where the configuration is, and whether everyone can read a password in it."""
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


def credentials(settings: Settings, base: Path) -> Iterator[Finding]:
    """Each credential, then each jump host, which may log in with one of them."""
    from tminus.device.credentials import load_credential

    loaded: dict[str, Credential] = {}
    if not settings.credentials:
        yield warning("credentials", "none is configured, so no router can be logged in to; add [credentials.default]")
    for name, spec in sorted(settings.credentials.items()):
        check = f"credential {name}"
        try:
            loaded[name] = load_credential(
                name,
                username=spec.username,
                private_key_file=spec.private_key_file,
                password_file=spec.password_file,
                base=base,
            )
        except ConfigError as error:
            yield refused(check, error)
            continue
        user = f", user {spec.username}" if spec.username else ", user names are the sites'"
        yield _secret(check, spec, base, user)
    for name in sorted(settings.jump_hosts):
        yield _jump_host(settings, name, base, loaded)


def signatures(settings: Settings, base: Path) -> Iterator[Finding]:
    """Where signatures are required, whether they could be verified here."""
    from tminus.configured import load_signers

    if not settings.authorization.require_signature:
        return
    try:
        load_signers(settings, base)
    except ConfigError as error:
        yield refused("signatures", error)
        return
    spec = settings.authorization
    assert spec.allowed_signers is not None  # noqa: S101 - checked with the settings
    lines = (base / spec.allowed_signers).read_text(errors="replace").splitlines()
    signers = sum(bool(line.strip()) and not line.startswith("#") for line in lines)
    if not signers:
        yield failed("signatures", f"{base / spec.allowed_signers} allows nobody, so nothing is ever launched")
    else:
        yield ok(
            "signatures", f"required; {signers} {'line' if signers == 1 else 'lines'} in {base / spec.allowed_signers}"
        )


def api_keys(settings: Settings, base: Path) -> Iterator[Finding]:
    """What proves the tokens of the HTTP API, where it lies in a file: whoever reads the secret is anybody there."""
    from tminus.api import keys_of, located
    from tminus.web.tokens import read_secret

    if settings.api_secret_file is not None:
        path = located(settings.api_secret_file, base)
        try:
            read_secret(path)
        except ConfigError as error:
            yield refused("api secret", error)
        else:
            yield ok("api secret", f"in {path}")
    if settings.api_jwks_file is not None:
        path = located(settings.api_jwks_file, base)
        try:
            keys = keys_of(path)
        except ConfigError as error:
            yield refused("api keys", error)
        else:
            yield ok("api keys", f"{len(keys)} in {path}")


def channels(settings: Settings, base: Path) -> Iterator[Finding]:
    """The ways to people that are configured here; none is no fault. Nothing is sent."""
    from tminus.configured import load_mail, load_webhook

    try:
        mail = load_mail(settings, base)
    except ConfigError as error:
        yield refused("mail", error)
    else:
        if mail is not None:
            yield ok("mail", f"{mail.server} port {mail.port} ({mail.security}), to {', '.join(sorted(mail.domains))}")
    for name in sorted(settings.webhooks):
        try:
            load_webhook(settings, name, base)
        except ConfigError as error:
            yield refused(f"webhook {name}", error)
        else:
            yield ok(f"webhook {name}", "its secret can be read")


def _jump_host(settings: Settings, name: str, base: Path, credentials: Mapping[str, Credential]) -> Finding:
    from tminus.configured import load_jump_host

    check, spec = f"jump host {name}", settings.jump_hosts[name]
    if spec.credential in settings.credentials and spec.credential not in credentials:
        return skipped(check, f"needs the credential {spec.credential}")
    try:
        host = load_jump_host(settings, name, base, credentials)
    except ConfigError as error:
        return refused(check, error)
    way = f"user {host.username}, {host.address} port {host.port}"
    if spec.credential is not None:
        return ok(check, f"credential {spec.credential}, {way}")
    return _secret(check, spec, base, f", {way}")


def _secret(check: str, spec: CredentialSettings | JumpHostSettings, base: Path, more: str) -> Finding:
    """Say where a secret lies that could be loaded from here, and whether the daemon, too, and nobody else can read it."""
    from tminus.device.credentials import locate

    file = spec.private_key_file or spec.password_file
    assert file is not None  # noqa: S101 - it was loaded from one
    path, kept_by_systemd = locate(file, base)
    info = path.stat()
    if not kept_by_systemd and info.st_mode & 0o077:
        return warning(check, f"{path} holds a secret and is open to other users; run 'chmod 600 {path}'")
    if not kept_by_systemd and file.is_absolute() and _is_roots(info):
        return warning(
            check,
            f"only root can read {path}, the daemon's user {_DAEMON_USER} cannot; name it relatively"
            f" ({file.name}) and hand it over with LoadCredential={file.name}:{path}",
        )
    return ok(check, f"{'key' if spec.private_key_file else 'password'} in {path}{more}")


def _is_roots(info: os.stat_result) -> bool:
    """Whether this is root, looking on behalf of a daemon that runs as another user, and that user is shut out."""
    if os.geteuid() != 0 or info.st_uid != 0:
        return False
    try:
        pwd.getpwnam(_DAEMON_USER)
    except KeyError:
        return False  # nobody knows as whom it will run
    return True


def memory(settings: Settings) -> tuple[Finding, Intent | None]:
    """Whether the daemon can remember what it starts, and what it started last."""
    from tminus.store.intent_log import latest_intent

    folder = settings.state_dir
    if not os.path.lexists(folder):
        return _to_be_made(folder), None
    try:
        last = latest_intent(folder)
    except ConfigError as error:
        return refused("state", error), None
    info = folder.stat()
    if _is_roots(info) and not info.st_mode & 0o022:
        said = f"only root can write {folder}, the daemon's user {_DAEMON_USER} cannot; run 'chown -R {_DAEMON_USER}: {folder}'"
        return warning("state", said), last
    if last is None:
        return ok("state", f"{folder}; no start is remembered yet"), None
    at = last.at.isoformat(sep=" ", timespec="seconds")
    return ok("state", f"{folder}; the latest start was on {last.site} at {at}"), last


def _to_be_made(folder: Path) -> Finding:
    """A folder that does not exist yet, which the daemon makes if it may."""
    above = next(parent for parent in folder.absolute().parents if os.path.lexists(parent))
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        return failed(
            "state",
            f"state_dir {folder} does not exist and cannot be made in {above}; make it, for the daemon's user alone",
            ConfigError,
        )
    return ok("state", f"{folder} does not exist yet; the daemon makes it")


def open_files(settings: Settings) -> Finding:
    """Whether so many sessions fit."""
    from tminus.app import check_open_files

    try:
        needed, limit = check_open_files(settings.max_sessions)
    except ConfigError as error:
        return refused("open files", error)
    allowed = "there is no limit here" if limit == resource.RLIM_INFINITY else f"the limit here is {limit}"
    return ok("open files", f"{needed} are needed for max_sessions = {settings.max_sessions}, {allowed}")


async def listener(settings: Settings) -> Finding:
    """Whether a daemon could listen where it is told to; what listens there may be a daemon of ours."""
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
