"""Who may do what: each statement of each role is tried, and compared with the table in docs/security.md."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from tests.store.stage import WarmDb

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOCS = (Path(__file__).parents[2] / "docs/security.md").read_text(encoding="utf-8")
LOGINS = {"author": "alice", "approver": "bob", "reader": "rita", "gateway": "api", "daemon": "tminus_serve"}


@asynccontextmanager
async def attempt(connection: asyncpg.Connection) -> AsyncIterator[list[bool]]:
    """Run something whose effect is undone; the list says whether it was permitted."""
    permitted: list[bool] = []
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield permitted
        permitted.append(True)
    except asyncpg.PostgresError as error:
        # Everything but a missing grant comes after the grant: a guard, a null, a type.
        permitted.append(not error.message.startswith("permission denied for"))
    finally:
        await transaction.rollback()


async def may(connection: asyncpg.Connection, sql: str) -> bool:
    async with attempt(connection) as permitted:
        await connection.execute(sql)
    return permitted[0]


async def table_cell(connection: asyncpg.Connection, table: str, columns: list[str]) -> str:
    can = []
    for verb, whole in (
        ("read", f"select {{0}} from tminus.{table} limit 0"),
        ("insert", f"insert into tminus.{table} ({{0}}) select null where false"),
        ("update", f"update tminus.{table} set {{0}} = default where false"),
    ):
        allowed = [column for column in columns if await may(connection, whole.format(column))]
        if len(allowed) == len(columns):
            can.append(verb)
        elif allowed:
            can.append(f"{verb} ({', '.join(allowed)})")
    for verb, sql in (("delete", f"delete from tminus.{table} where false"), ("truncate", f"truncate tminus.{table}")):
        if await may(connection, sql):
            can.append(verb)
    return ", ".join(can) or "–"


async def found(db: WarmDb) -> list[str]:
    """The rows of the table, as the attempts tell them."""
    tables = await db.fetch(
        "select c.relname::text as name, array_agg(a.attname::text order by a.attnum) as columns from pg_class c"
        " join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and a.attidentity = ''"
        " where c.relnamespace = 'tminus'::regnamespace and c.relkind = 'r' group by c.relname order by c.relname"
    )
    functions = await db.fetch(
        "select p.proname::text as name, array("
        "  select format('null::%I.%I', n.nspname, t.typname) from unnest(p.proargtypes) with ordinality as u (type, position)"
        "  join pg_type t on t.oid = u.type join pg_namespace n on n.oid = t.typnamespace order by u.position) as arguments"
        " from pg_proc p where p.pronamespace = 'tminus'::regnamespace and p.prorettype <> 'trigger'::regtype order by p.proname"
    )
    rows = []
    connections = {role: await asyncpg.connect(db.dsn_as(login)) for role, login in LOGINS.items()}
    try:
        for table in tables:
            cells = [await table_cell(connections[role], table["name"], table["columns"]) for role in LOGINS]
            rows.append(f"| `{table['name']}` | {' | '.join(cells)} |")
        for function in functions:
            call = f"select tminus.{function['name']}({', '.join(function['arguments'])})"
            cells = ["yes" if await may(connections[role], call) else "–" for role in LOGINS]
            if set(cells) != {"–"}:
                rows.append(f"| `{function['name']}()` | {' | '.join(cells)} |")
    finally:
        for connection in connections.values():
            await connection.close(timeout=5)
    return list(dict.fromkeys(rows))  # overloads are alike, or seen twice


async def test_every_statement_of_every_role_is_permitted_or_refused_as_the_documentation_says(shared: WarmDb) -> None:
    told = re.findall(r"^\| `\w+(?:\(\))?` \|.*\|$", DOCS.partition("## Roles and grants")[2], re.MULTILINE)
    tried = await found(shared)
    assert told == tried, "\n" + "\n".join(tried)


async def test_the_daemon_can_neither_author_nor_approve(shared: WarmDb) -> None:
    async with shared.anew("tminus_serve") as daemon:
        for sql in (
            "insert into tminus.scheduled_scripts (script, sites, launch_at) values (':put 1', '{a}', tminus.clock() + interval '1 hour')",
            "update tminus.scheduled_scripts set script = ':put 2'",
            "select tminus.authorize(gen_random_uuid(), 'x')",
            "select tminus.authorize(gen_random_uuid(), 'x', 'bob', 'signature')",
            "select tminus.withdraw(gen_random_uuid(), 'why')",
            "insert into tminus.authorizations (script_id) values (gen_random_uuid())",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                await daemon.execute(sql)
