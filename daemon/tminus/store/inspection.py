"""Looking at a database without changing anything in it: for 'tminus check'."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from tminus.store.intent_files import Intent
from tminus.store.migrate import check_schema
from tminus.store.pool import connecting, statement, store_errors

_CONNECT_WITHIN = 10.0  # seconds
_ANSWER_WITHIN = 10.0
_CLOCK_SAMPLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    version: str
    major: int
    login: str
    standby: bool
    durable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    superuser: bool
    roles: frozenset[str] | None
    """Those of tminus whose rights it has; None where the server has no such roles yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What concerns a daemon of certain runners; sites are enabled ones."""

    sites: int
    sites_by_credential: Mapping[str, int]
    sites_by_jump_host: Mapping[str, int]
    longest_site_timeout: float | None
    """Seconds, of what is still to come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    lost: int
    """Starts that this database does not know and nobody accepted: with one, nothing is started."""
    lost_acts: int
    """Latest acts of people, as hosts remember them, of which the same is true."""
    known: bool
    """Whether it knows the start that was asked for."""


class Inspection:
    """One connection, whose transactions are read-only."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def server(self) -> Server:
        return Server(**dict(await self._row("check_server")))

    async def login(self) -> Login:
        row = await self._row("check_login")
        return Login(superuser=row["superuser"], roles=None if row["roles"] is None else frozenset(row["roles"]))

    async def check_schema(self) -> None:
        """Raise SchemaMismatch unless the database has exactly this program's schema."""
        async with store_errors("look at the schema"):
            await check_schema(self._connection)

    async def ahead(self) -> float:
        """Return by how many seconds the clock of the database is ahead of this host's: the best of a few looks."""
        looks = []
        async with store_errors("read the clock of the database"):
            for _ in range(_CLOCK_SAMPLES):
                asked, began = time.time(), time.monotonic()
                theirs = await self._connection.fetchval(statement("check_clock"))
                took = time.monotonic() - began
                looks.append((took, theirs - (asked + took / 2)))
        return float(min(looks)[1])

    async def pause(self, last: Intent | None) -> Pause:
        """Look whether all is paused, and whether a daemon that remembers `last` would pause it."""
        asked = (None, None) if last is None else (last.site, last.nonce)
        return Pause(**dict(await self._row("check_pause", *asked)))

    async def fleet(self, runners: Collection[str]) -> Fleet:
        row = await self._row("check_fleet", list(runners))
        return Fleet(
            sites=row["sites"],
            sites_by_credential=json.loads(row["sites_by_credential"]),
            sites_by_jump_host=json.loads(row["sites_by_jump_host"]),
            longest_site_timeout=row["longest_site_timeout"],
        )

    async def test_sites(self, runners: Collection[str], sites: Collection[str]) -> list[tuple[str, str]]:
        """Return those on which this daemon would run no test, each with why."""
        async with store_errors("run check_test_sites"):
            rows = await self._connection.fetch(statement("check_test_sites"), list(runners), list(sites))
        return [(row["id"], row["why"]) for row in rows if row["why"] is not None]

    async def _row(self, name: str, *arguments: object) -> asyncpg.Record:
        async with store_errors(f"run {name}"):
            row = await self._connection.fetchrow(statement(name), *arguments)
        assert row is not None  # noqa: S101 - a select without FROM has one row
        return row


@asynccontextmanager
async def inspect(dsn: str) -> AsyncIterator[Inspection]:
    """Connect, for reading alone. Raises what tminus.errors calls StoreError."""
    async with connecting():
        connection = await asyncpg.connect(
            dsn,
            timeout=_CONNECT_WITHIN,
            command_timeout=_ANSWER_WITHIN,
            server_settings={"application_name": "tminus check", "default_transaction_read_only": "on"},
        )
    try:
        yield Inspection(connection)
    finally:
        await connection.close(timeout=5)
