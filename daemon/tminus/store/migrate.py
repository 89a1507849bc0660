"""Bring a database to this program's schema: numbered SQL files, applied once, in order, under a lock.

Each file runs in a transaction of its own together with the row that records it, so that an interrupted migration leaves
the database as it was. A file that was changed after it was applied, and a database that knows a file that this program
does not, are refused: that is a newer database, and an old daemon must not touch it.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

import asyncpg
import structlog

from tminus.errors import SchemaMismatch, StoreError, StoreUnavailable
from tminus.kill_points import Point, reach
from tminus.store.pool import connecting, store_errors

log = structlog.get_logger()

_LOCK = 0x746D696E7573  # "tminus"; per database, held by the session
_HOLDER = """
select a.pid, a.usename, a.application_name from pg_locks l join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.granted and l.objsubid = 1
    and l.database = (select oid from pg_database where datname = current_database()) and (l.classid::bigint << 32 | l.objid::bigint) = $1
limit 1
"""
_OLDEST, _NEWEST = 15, 18
_CONNECT_WITHIN = 10.0  # seconds
_ANSWER_WITHIN = 20.0
_APPLY_WITHIN = 3600.0  # one migration; also how long another process may take with its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def shipped_migrations() -> Traversable:
    """Return the folder of the migrations that this program ships."""
    return files("tminus.store").joinpath("sql/migrations")


def known_migrations(folder: Traversable) -> list[Migration]:
    """Return the migrations in a folder (0001_name.sql and so on), in order."""
    found = [
        Migration(version=int(entry.name[:4]), name=entry.name, sql=entry.read_text(encoding="utf-8"))
        for entry in folder.iterdir()
        if entry.name.endswith(".sql")
    ]
    return sorted(found, key=lambda migration: migration.version)


async def migrate(dsn: str, folder: Traversable | None = None) -> list[str]:
    """Apply what is missing of `folder` (None: what this program ships) and return the names of the applied files.

    Raises SchemaMismatch for a newer or altered database, StoreUnavailable or Refused as the server answers.
    """
    known = known_migrations(folder or shipped_migrations())
    applied: list[str] = []
    async with store_errors("migrate the database"):
        async with connecting():
            connection = await asyncpg.connect(dsn, timeout=_CONNECT_WITHIN, command_timeout=_APPLY_WITHIN)
        try:
            check_server_version(connection.get_server_version().major)
            await _take_lock(connection)
            await connection.execute("set client_min_messages = warning")
            await connection.execute(_read("roles.sql"))
            await connection.execute("create schema if not exists tminus authorization tminus_owner")
            await connection.execute(
                "set role tminus_owner;"
                "create table if not exists tminus.schema_migrations (version integer primary key, name text not null,"
                " sha256 text not null, applied_at timestamptz not null default now());"
            )
            for migration in _missing(await _applied(connection), known):
                async with connection.transaction():
                    await connection.execute(migration.sql)
                    await connection.execute(
                        "insert into tminus.schema_migrations (version, name, sha256) values ($1, $2, $3)",
                        migration.version,
                        migration.name,
                        migration.sha256,
                    )
                    reach(Point.MIGRATING)
                applied.append(migration.name)
        finally:
            await connection.close(timeout=5)  # also frees the lock
    return applied


async def _take_lock(connection: asyncpg.Connection) -> None:
    """Wait for whoever migrates now, for an hour at most. Any login can hold an advisory lock: so say who does."""
    told, until = False, time.monotonic() + _APPLY_WITHIN
    while not await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK):
        holder = await connection.fetchrow(_HOLDER, _LOCK)
        said = "another session"
        if holder is not None:
            said = f"{holder['usename']} (backend {holder['pid']}, {holder['application_name'] or 'unnamed'})"
        if time.monotonic() > until:
            raise StoreUnavailable(f"could not migrate the database: {said} holds the lock for it")
        if not told:
            log.warning(
                "migration_waits",
                message=f"{said} holds the lock for migrations.",
                todo="if it migrates nothing, end its session",
            )
            told = True
        await asyncio.sleep(0.5)


def check_server_version(major: int) -> None:
    """Raise SchemaMismatch for a server on which the schema was not tested."""
    if not _OLDEST <= major <= _NEWEST:
        raise SchemaMismatch(f"the database server is PostgreSQL {major}; tminus needs {_OLDEST} to {_NEWEST}")


async def ensure_login(dsn: str, role: str, *, member_of: str) -> None:
    """Create a login of ours that is a member of one of the schema's roles, if it is absent."""
    async with store_errors("create a login"):
        async with connecting():
            connection = await asyncpg.connect(dsn, timeout=_CONNECT_WITHIN, command_timeout=_ANSWER_WITHIN)
        try:
            if not await connection.fetchval("select true from pg_roles where rolname = $1", role):
                text = await connection.fetchval(
                    "select format('create role %I login in role %I', $1::text, $2::text)", role, member_of
                )
                await connection.execute(text)
        except (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
            pass  # another process was faster
        finally:
            await connection.close(timeout=5)


async def check_schema_of(dsn: str, folder: Traversable | None = None) -> None:
    """Raise SchemaMismatch unless the database has exactly this program's schema (or that of `folder`)."""
    async with store_errors("look at the schema"):
        async with connecting():
            connection = await asyncpg.connect(dsn, timeout=_CONNECT_WITHIN, command_timeout=_ANSWER_WITHIN)
        try:
            await check_schema(connection, folder)
        finally:
            await connection.close(timeout=5)


async def check_schema(connection: asyncpg.Connection, folder: Traversable | None = None) -> None:
    """Do what `check_schema_of` does, on a connection; what asyncpg raises is the caller's to map."""
    known = known_migrations(folder or shipped_migrations())
    try:
        missing = _missing(await _applied(connection), known)
    except asyncpg.UndefinedTableError as error:
        raise SchemaMismatch("the database has no tminus schema yet; run 'tminus migrate'") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise StoreError(
            "this login may not use the tminus schema; grant it tminus_daemon or another tminus role"
        ) from error
    if missing:
        raise SchemaMismatch(
            f"the database is older than this program ({missing[0].name} is missing); run 'tminus migrate'"
        )


async def _applied(connection: asyncpg.Connection) -> dict[int, tuple[str, str]]:
    rows = await connection.fetch("select version, name, sha256 from tminus.schema_migrations")
    return {row["version"]: (row["name"], row["sha256"]) for row in rows}


def _missing(applied: dict[int, tuple[str, str]], known: list[Migration]) -> list[Migration]:
    newer = sorted(set(applied) - {migration.version for migration in known})
    if newer:
        raise SchemaMismatch(
            f"the database is newer than this program (it has {applied[newer[0]][0]}); install the newer tminus"
        )
    for migration in known:
        if migration.version in applied and applied[migration.version][1] != migration.sha256:
            raise SchemaMismatch(
                f"{migration.name} differs from what was applied to this database; nothing was changed"
            )
    return [migration for migration in known if migration.version not in applied]


def _read(name: str) -> str:
    return files("tminus.store").joinpath("sql", name).read_text(encoding="utf-8")
