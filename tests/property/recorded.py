"""A Database that remembers what was said on it, as SQL that can be run with psql."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from tminus.store.pool import Database, Transaction, statement


def literal(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case UUID() | datetime():
            return f"'{value}'"
        case timedelta():
            return f"'{value.total_seconds()} seconds'"
        case bytes():
            return f"'\\x{value.hex()}'"
        case list() | tuple():
            return "array[" + ", ".join(literal(item) for item in value) + "]" if value else "'{}'"
        case dict():
            return literal(json.dumps(value))
        case _:
            return "'" + str(value).replace("'", "''") + "'"


def runnable(sql: str, arguments: tuple[object, ...]) -> str:
    """The statement with its parameters filled in."""
    return re.sub(r"\$(\d+)", lambda match: literal(arguments[int(match[1]) - 1]), sql).rstrip().rstrip(";") + ";"


class _Connection:
    """What a transaction is talked to through."""

    def __init__(self, connection: Transaction, said: list[str]) -> None:
        self._connection = connection
        self._said = said

    def _note(self, sql: str, arguments: tuple[object, ...]) -> None:
        self._said.append(runnable(sql, arguments))

    async def fetch(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        self._note(sql, arguments)
        rows: list[asyncpg.Record] = await self._connection.fetch(sql, *arguments)
        return rows

    async def fetchval(self, sql: str, *arguments: object) -> Any:
        self._note(sql, arguments)
        return await self._connection.fetchval(sql, *arguments)

    async def execute(self, sql: str, *arguments: object) -> None:
        self._note(sql, arguments)
        await self._connection.execute(sql, *arguments)


class RecordedDatabase(Database):
    """`said` is what was said since it was emptied."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        super().__init__(pool)
        self.said: list[str] = []

    async def fetch(self, name: str, *arguments: object) -> list[asyncpg.Record]:
        self.said.append(runnable(statement(name), arguments))
        return await super().fetch(name, *arguments)

    async def fetchrow(self, name: str, *arguments: object) -> asyncpg.Record | None:
        self.said.append(runnable(statement(name), arguments))
        return await super().fetchrow(name, *arguments)

    async def call(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        self.said.append(runnable(sql, arguments))
        return await super().call(sql, *arguments)

    @asynccontextmanager
    async def transaction(self, doing: str) -> AsyncIterator[Transaction]:
        self.said.append("begin;")
        async with super().transaction(doing) as connection:
            yield _Connection(connection, self.said)  # type: ignore[misc]  # speaks as much of it as is spoken here
        self.said.append("commit;")
