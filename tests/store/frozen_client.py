"""A client that is frozen in the worst moment: `python -m tests.store.frozen_client DSN INSTANCE RUN`.

It holds the row of a site run in a transaction, has the next statement parsed, and stops before it says with what to run it.
The server is then at work on that statement, which no limit of an idle transaction concerns.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any
from uuid import UUID

import asyncpg

from tminus.store.instances import session_name
from tminus.store.pool import open_database

_NEXT = "select 1 + $1::integer"


async def main(dsn: str, instance: UUID, run: int) -> None:
    parse = asyncpg.Connection._get_statement

    async def parse_and_freeze(self: asyncpg.Connection, query: str, *arguments: Any, **options: Any) -> Any:
        statement = await parse(self, query, *arguments, **options)
        if query == _NEXT:
            os.kill(os.getpid(), signal.SIGSTOP)
        return statement

    asyncpg.Connection._get_statement = parse_and_freeze
    async with (
        open_database(dsn, size=1, application=session_name(instance), idle_within=1.0) as db,
        db.transaction("freeze") as connection,
    ):
        await connection.fetchval("select id from tminus.site_runs where id = $1 for no key update", run)
        await connection.fetchval(_NEXT, 1)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], UUID(sys.argv[2]), int(sys.argv[3])))
