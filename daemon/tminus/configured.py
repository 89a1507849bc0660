"""Makes what the configuration describes: credentials, jump hosts, signers, and ways to people; reads their secrets.

Apart from the settings, which every command reads, and which need none of this. Each function raises ConfigError, which names
what is wrong and the remedy; relative file names are in `base`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tminus.channels.mail import Mail
from tminus.channels.webhook import Webhook, key_of
from tminus.device.credentials import Credential, load_credential, read_password
from tminus.device.hostkeys import HostKey
from tminus.device.jump_hosts import JumpHost
from tminus.errors import ConfigError
from tminus.settings import Settings
from tminus.signatures import CannotVerify, Signers, check_program


def load_signers(settings: Settings, base: Path) -> Signers | None:
    """Return whose signatures count, where they are required."""
    spec = settings.authorization
    if not spec.require_signature or spec.allowed_signers is None:
        return None
    check_program()
    signers = Signers(base / spec.allowed_signers, base / spec.revoked_keys if spec.revoked_keys is not None else None)
    try:
        signers.stamp()
    except CannotVerify as error:
        raise ConfigError(str(error)) from error
    return signers


def load_credentials(settings: Settings, base: Path) -> dict[str, Credential]:
    """Read every secret once."""
    return {
        name: load_credential(
            name,
            username=spec.username,
            private_key_file=spec.private_key_file,
            password_file=spec.password_file,
            base=base,
        )
        for name, spec in settings.credentials.items()
    }


def load_mail(settings: Settings, base: Path) -> Mail | None:
    """Return the way to the mail server, or None where none is set."""
    if settings.mail_server is None or settings.mail_sender is None:
        return None
    domains = settings.mail_domains or (settings.mail_sender.rpartition("@")[2],)
    return Mail(
        server=settings.mail_server,
        port=settings.mail_port,
        security=settings.mail_security,
        sender=settings.mail_sender,
        domains=frozenset(domain.lower() for domain in domains),
        username=settings.mail_username,
        password=read_password("mail_password_file", settings.mail_password_file, base)
        if settings.mail_password_file is not None
        else None,
    )


def load_webhooks(settings: Settings, base: Path) -> list[Webhook]:
    """Return the endpoints, with their secrets."""
    return [load_webhook(settings, name, base) for name in settings.webhooks]


def load_webhook(settings: Settings, name: str, base: Path) -> Webhook:
    """Return the endpoint of that name."""
    owner = f"[webhooks.{name}]"
    spec = settings.webhooks[name]
    if not spec.url.get_secret_value().startswith(("https://", "http://")):
        raise ConfigError(f"the url of {owner} is neither https:// nor http://")
    secret = read_password(f"webhook {name!r}", spec.secret_file, base)
    try:
        key = key_of(secret.get_secret_value())
    except ValueError as error:
        problem: str | None = str(error)
    else:
        problem = "it is shorter than 16 bytes" if len(key) < 16 else None
    if problem is not None:  # raised from here: the exception above carries the secret
        raise ConfigError(f"the secret of {owner} cannot be used: {problem}; 'openssl rand -hex 32' makes one")
    return Webhook(name=name, url=spec.url.get_secret_value(), secret=secret)


def load_jump_hosts(settings: Settings, base: Path, credentials: Mapping[str, Credential]) -> list[JumpHost]:
    """Make the jump hosts, with keys and secrets."""
    return [load_jump_host(settings, name, base, credentials) for name in settings.jump_hosts]


def load_jump_host(settings: Settings, name: str, base: Path, credentials: Mapping[str, Credential]) -> JumpHost:
    """Make the jump host of that name."""
    owner = f"[jump_hosts.{name}]"
    spec = settings.jump_hosts[name]
    if spec.credential is None:
        credential = load_credential(
            f"of jump host {name}",
            username=spec.username,
            private_key_file=spec.private_key_file,
            password_file=spec.password_file,
            base=base,
        )
    elif spec.private_key_file is not None or spec.password_file is not None:
        raise ConfigError(f"{owner} has both a credential and a secret of its own: remove one of them")
    elif spec.credential not in credentials:
        raise ConfigError(f"{owner} names the credential {spec.credential!r}, and there is no such [credentials.…]")
    else:
        credential = credentials[spec.credential]
    username = spec.username or credential.username
    if not username:
        raise ConfigError(f"{owner} has no username, and its credential has none either: add one")
    try:
        host_keys = tuple(HostKey.parse(key) for key in spec.host_keys)
    except ValueError as error:
        raise ConfigError(
            f"a key of host_keys in {owner} is no OpenSSH public key: {error}; 'ssh-keyscan {spec.address}' shows them"
        ) from None
    return JumpHost(
        name=name,
        address=spec.address,
        port=spec.port,
        username=username,
        credential=credential,
        host_keys=host_keys,
        max_sites=spec.max_sites,
        idle_timeout=spec.idle_timeout,
    )
