"""Credentials: the configuration names files; keys and passwords are read from them once, when the daemon starts."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
from pydantic import SecretStr

from tminus.errors import ConfigError

__all__ = ["Credential", "check_username", "load_credential", "locate", "read_password"]

_LONGEST_FILE = 64 * 1024
"""Bytes. A key or password file that is larger is something else."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Credential:
    """One secret and, perhaps, the user name that goes with it.

    Exactly one of `key` and `password` is set, so that a refused login was one attempt with one secret: firewalls
    usually block an address after a few.
    """

    name: str
    username: str | None
    key: asyncssh.SSHKey | None = field(default=None, repr=False)
    password: SecretStr | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.key is None) == (self.password is None):
            raise ValueError("a credential is either a key or a password")


def check_username(username: str, owner: str) -> None:
    """Raise ConfigError if `username` must not reach a router; `owner` names where it comes from.

    RouterOS hands the name to its login process as an argument, where a leading '-' was once taken for an option, and
    reads what follows a '+' as terminal settings (documented).
    """
    if not username:
        problem = "is empty"
    elif username.startswith("-"):
        problem = "begins with '-'"
    elif "+" in username:
        problem = "contains '+'"
    elif any(character.isspace() or not character.isprintable() for character in username):
        problem = "contains a blank or a control character"
    else:
        return
    raise ConfigError(f"the user name {username!r} of {owner} {problem}, which RouterOS misreads; use another user")


def load_credential(
    name: str,
    *,
    username: str | None,
    private_key_file: Path | None,
    password_file: Path | None,
    base: Path,
) -> Credential:
    """Read the credential called `name` from the one file that is given.

    A relative file name is looked up in `$CREDENTIALS_DIRECTORY`, which systemd sets, else in `base`, the folder of the
    configuration file. Every problem is a ConfigError of one sentence.
    """
    owner = f"credential {name!r}"
    if username is not None:
        check_username(username, owner)
    match private_key_file, password_file:
        case Path() as file, None:
            return Credential(name=name, username=username, key=_read_key(owner, file, base))
        case None, Path() as file:
            return Credential(name=name, username=username, password=read_password(owner, file, base))
        case None, None:
            raise ConfigError(f"{owner} has no secret: give it a private_key_file or a password_file")
        case _:
            raise ConfigError(f"{owner} has both a private_key_file and a password_file: remove one of them")


def _read_key(owner: str, file: Path, base: Path) -> asyncssh.SSHKey:
    path, by_systemd = locate(file, base)
    data = _read(owner, "private key file", path, others_may_read=by_systemd)
    try:
        return asyncssh.import_private_key(data)
    except asyncssh.KeyImportError as error:
        if str(error).startswith("Passphrase"):
            raise ConfigError(
                f"private key file {path} of {owner} is protected by a passphrase, which nobody can type for a daemon;"
                f" remove it with 'ssh-keygen -p -N \"\" -f {path}'"
            ) from error
        raise ConfigError(
            f"private key file {path} of {owner} holds no private key that can be read;"
            " make one with 'ssh-keygen -t ed25519'"
        ) from error


def read_password(owner: str, file: Path, base: Path) -> SecretStr:
    """Return the one line of a file that holds a secret. `owner` is for the ConfigError, which names the remedy."""
    path, _ = locate(file, base)
    data = _read(owner, "password file", path, others_may_read=True)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = None  # raised from below: this exception carries the password
    if text is None:
        raise ConfigError(f"password file {path} of {owner} is not UTF-8 text; write the password alone to it")
    password = text.removesuffix("\n").removesuffix("\r")
    if not password:
        raise ConfigError(f"password file {path} of {owner} is empty; write the password to it")
    if any(character in password for character in "\r\n\0"):
        raise ConfigError(f"password file {path} of {owner} has more than one line; write the password alone to it")
    return SecretStr(password)


def locate(file: Path, base: Path) -> tuple[Path, bool]:
    """Return the full path of a secret, and whether the file is in the keeping of systemd."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder and not file.is_absolute():
        return Path(folder, file), True
    return base / file, bool(folder) and file.is_relative_to(str(folder))


def _read(owner: str, what: str, path: Path, *, others_may_read: bool) -> bytes:
    """Return the content of a small regular file.

    The mode of a file of systemd's is not looked at: systemd lets the service user in by an access control list, whose
    mask shows as permissions of the group.
    """
    try:
        with open(path, "rb", opener=_open_without_waiting) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ConfigError(f"{what} {path} of {owner} is not a regular file; name the file itself")
            if not others_may_read and status.st_mode & 0o077:
                raise ConfigError(f"{what} {path} of {owner} is open to other users; run 'chmod 600 {path}'")
            data = stream.read(_LONGEST_FILE + 1)
    except FileNotFoundError as error:
        raise ConfigError(f"{what} {path} of {owner} does not exist; correct its name or create it") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{what} {path} of {owner} is not a regular file; name the file itself") from error
    except OSError as error:
        raise ConfigError(
            f"{what} {path} of {owner} cannot be read ({error.strerror}); let the user of the daemon read it"
        ) from error
    if len(data) > _LONGEST_FILE:
        raise ConfigError(f"{what} {path} of {owner} is larger than 64 KiB; name the right file")
    return data


def _open_without_waiting(path: str, flags: int) -> int:
    """Open a file; a named pipe without a writer must not stop the start."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
