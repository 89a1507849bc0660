"""Connections to Postgres, and the only place where asyncpg's exceptions become ours.

An outage surfaces in asyncpg as four unrelated families (TimeoutError, OSError, InterfaceError, PostgresError); here each
becomes StoreUnavailable, and what the schema refuses becomes Refused with the schema's own sentence and hint.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files

import asyncpg

from tminus.errors import Refused, StoreError, StoreUnavailable

# Classes whose text was written for a person, by a constraint, trigger or function of the schema.
_REFUSALS = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.NoDataFoundError,
    asyncpg.DataError,
    asyncpg.RaiseError,
)
# How an outage surfaces, beside the server's own word for it.
_OUTAGES = (TimeoutError, OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_DEADLINE = 30.0  # seconds, for one statement or one transaction, waiting for a connection included
# Shorter than that: a connection whose statement was given up is waited for as long again, before it is closed.
_ANSWERED_WITHIN = 20.0  # seconds, for one statement that was sent
_IDLE_WITHIN = 30.0  # seconds
# 08 connection, 25006 read-only after a failover, 53 resources, 57 shutdown, 40 serialization and deadlock, 55P03 lock wait,
# 58 trouble of its system, such as a disk that fails.
_PASSING = ("08", "25006", "53", "57", "40", "55P03", "58")


# How our statements are planned: each takes a millisecond and finds few rows by an index.
PLANNING = {
    # Compiling them takes longer than running them,
    "jit": "off",
    # and so does planning them for each batch.
    "plan_cache_mode": "force_generic_plan",
    # What the planner thinks of tables that were empty a minute ago would stick.
    "enable_seqscan": "off",
}


# When the server gives up a client that does not answer, idle, at work or unheard of: half a minute at most.
VANISHING = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "25s",
    "client_connection_check_interval": "5s",
}


@cache
def statement(name: str) -> str:
    """Return the text of the statement sql/<name>.sql."""
    return files("tminus.store").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


@asynccontextmanager
async def store_errors(doing: str) -> AsyncIterator[None]:
    """Map what asyncpg raises while `doing` something (an infinitive, for the message).

    Whoever is cancelled meanwhile is cancelled, also where the connection is lost at that moment: the rollback, which fails
    then, would otherwise have the last word, and a service go on that was told to end.
    """
    cancelled_before = _cancellations()
    try:
        try:
            yield
        except (asyncpg.PostgresError, *_OUTAGES) as error:
            if _cancellations() > cancelled_before:
                raise asyncio.CancelledError from error
            raise
    except asyncpg.PostgresError as error:
        # First: to asyncpg a lock that was not to be had in time is one of the refusals.
        if (error.sqlstate or "").startswith(_PASSING):
            raise StoreUnavailable(f"could not {doing}: {error}") from error
        if isinstance(error, _REFUSALS):
            column = getattr(error, "column_name", None)
            raise Refused(_sentence(error), sqlstate=error.sqlstate or "", column=column) from error
        raise StoreError(f"could not {doing}: {_sentence(error)}") from error
    except _OUTAGES as error:
        if isinstance(error, asyncpg.ClientConfigurationError):
            raise StoreError(f"could not {doing}: {error}") from error
        raise StoreUnavailable(f"could not {doing}: {str(error) or 'no answer in time'}") from error
    except OverflowError as error:
        # Of the driver: a time before the year 1 or after 9999, which Python has no word for and no rule of the schema lets in.
        raise StoreError(f"could not {doing}: a value in the answer cannot be read: {error}") from error


def _cancellations() -> int:
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


@asynccontextmanager
async def connecting() -> AsyncIterator[None]:
    """Map what asyncpg raises while it connects, and say where to look."""
    try:
        async with store_errors("connect to the database"):
            yield
    except StoreError as error:
        remedy = _remedy(error.__cause__)
        if remedy is None:
            raise
        raise type(error)(f"{error}; {remedy}") from error.__cause__
    except ValueError as error:
        # Of a variable such as PGPORT, since a URL is looked at when it is read.
        raise StoreError(
            "could not connect to the database: database_url, or a PG* variable of the environment, cannot be read"
        ) from error


def _remedy(error: BaseException | None) -> str | None:
    match error:
        case OSError():
            return "see host and port in database_url, and whether the server runs"
        case asyncpg.InvalidAuthorizationSpecificationError():
            return "see login and password in database_url, and the server's pg_hba.conf"
        case asyncpg.InvalidCatalogNameError():
            return "create it, or correct the database in database_url"
        case _:
            return None


Transaction = asyncpg.pool.PoolConnectionProxy
"""A pooled connection within `Database.transaction`."""


class Database:
    """Runs the statements of sql/ by name, each with a deadline, and maps what goes wrong."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def fetch(self, name: str, *arguments: object) -> list[asyncpg.Record]:
        async with store_errors(f"run {name}"), asyncio.timeout(_DEADLINE):
            return await self._pool.fetch(statement(name), *arguments)

    async def fetchrow(self, name: str, *arguments: object) -> asyncpg.Record | None:
        async with store_errors(f"run {name}"), asyncio.timeout(_DEADLINE):
            return await self._pool.fetchrow(statement(name), *arguments)

    async def call(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """Call a function of the schema, named in `sql`, a constant of the caller."""
        async with store_errors("call the schema"), asyncio.timeout(_DEADLINE):
            return await self._pool.fetch(sql, *arguments)

    @asynccontextmanager
    async def transaction(self, doing: str) -> AsyncIterator[Transaction]:
        """One short transaction. StoreUnavailable on leaving it means that it is not known whether it was committed."""
        async with (
            store_errors(doing),
            asyncio.timeout(_DEADLINE),
            self._pool.acquire() as connection,
            connection.transaction(),
        ):
            yield connection


async def _durable(connection: asyncpg.Connection) -> None:
    # The commit of `executing` has to survive a crash of the server; a stricter setting than on is the operator's to keep.
    if await connection.fetchval("show synchronous_commit") == "off":
        await connection.execute("set synchronous_commit = on")


async def _keep_settings(connection: asyncpg.Connection) -> None:
    """Nothing: asyncpg's own reset would undo _durable, and no statement of ours leaves anything in a session."""


@asynccontextmanager
async def open_database(
    dsn: str,
    *,
    size: int,
    ready: int = 1,
    application: str,
    greet: Callable[[asyncpg.Connection], Awaitable[None]] | None = None,
    idle_within: float = _IDLE_WITHIN,
) -> AsyncIterator[Database]:
    """Open a pool whose every statement has a deadline and whose closing is bounded.

    `ready`: how many of its connections are open at any time, so that nobody waits for one to be made. `greet` meets each
    connection before any statement runs on it, also the one to a server that took over meanwhile. `idle_within`: for how many
    seconds the server lets us say nothing within a transaction. A process that is frozen there holds its rows for as long, and
    nobody can take over what it had.
    """

    async def init(connection: asyncpg.Connection) -> None:
        await _durable(connection)
        if greet is not None:
            await greet(connection)

    async with connecting():
        pool = await asyncpg.create_pool(
            dsn,
            init=init,
            reset=_keep_settings,
            min_size=ready,
            max_size=size,
            timeout=10,
            command_timeout=_ANSWERED_WITHIN,
            max_inactive_connection_lifetime=300,
            server_settings={
                "application_name": application,
                "search_path": "pg_catalog, pg_temp",
                "timezone": "UTC",
                **PLANNING,
                "lock_timeout": "10s",
                # A host that vanishes says no goodbye: without these its last statement could hold its rows for hours.
                **VANISHING,
                "idle_in_transaction_session_timeout": f"{min(idle_within, _IDLE_WITHIN) * 1000:.0f}ms",
            },
        )
    try:
        yield Database(pool)
    finally:
        try:
            async with asyncio.timeout(5):
                await pool.close()
        except (TimeoutError, OSError, asyncpg.InterfaceError, asyncpg.PostgresError):
            pool.terminate()


def _sentence(error: asyncpg.PostgresError) -> str:
    text = error.message or str(error)
    hint = getattr(error, "hint", None)
    if not hint:
        return text
    return f"{text}. {hint}" if hint[:1].isupper() else f"{text}; {hint}"
