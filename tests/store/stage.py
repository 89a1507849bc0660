"""A small stage for the tests of the store: sites, instances, launches, and what a refusal looks like."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.support import Db, until
from tminus.domain.digest import row_digest
from tminus.domain.occurrence import Occurrence
from tminus.domain.timing import next_occurrence
from tminus.store import instances, launches, site_runs
from tminus.store.instances import Reach
from tminus.store.intent_log import IntentLog
from tminus.store.pool import Database, open_database
from tminus.store.site_runs import Claim
from tminus.store.starts import StartRequest
from tminus.store.writer import Backup, Writer

SCRIPT = ":put hello"
REACH = Reach(credentials=("default",))
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL0pWxQVzXJ9sQ9yRjEaT1hV1cE5q6nqI8iG8tV4k0Zy"
TABLES = [
    "sites",
    "scheduled_scripts",
    "scheduled_script_sites",
    "authorizations",
    "launches",
    "site_runs",
    "backups",
    "backup_texts",
    "sensitive_texts",
    "events",
    "audit_seals",
    "unsealed_events",
    "instances",
    "policy",
    "cleanup_debts",
    "busy_sites",
    "lost_starts",
    "lost_acts",
    "host_holds",
    "resumptions",
    "crashes",
    "set_aside",
    "tag_caps",
    "idempotency_keys",
    "contacts",
    "outbox",
    "letters",
    "freezes",
    "windows",
]
# Leaves a database as a migration left it, the test clock included.
EMPTY = "; ".join(
    (
        "set session_replication_role = replica",
        *(f"delete from tminus.{table}" for table in TABLES),
        "insert into tminus.policy default values",
        "update public.moved_clock set by = '0'",
    )
)
# What start_executing takes where nothing is stored with the start.
NO_BACKUPS: tuple[list[object], ...] = ([], [], [], [], [], [])
# What PostgreSQL says by itself where nobody wrote a sentence.
_UNCLEAR = ("violates check constraint", "violates unique constraint", "violates foreign key", "permission denied")


@dataclass(frozen=True)
class WarmDb(Db):
    """A database whose connections stay open, one for each role: for one statement at a time.

    `anew` opens one that a test may spoil, or hold a transaction in; so does `run`.
    """

    open: dict[str | None, asyncpg.Connection] = field(default_factory=dict)

    @asynccontextmanager
    async def connect(self, role: str | None = None) -> AsyncIterator[asyncpg.Connection]:
        if role not in self.open:
            self.open[role] = await asyncpg.connect(self.dsn if role is None else self.dsn_as(role), timeout=10)
        yield self.open[role]

    @asynccontextmanager
    async def anew(self, role: str | None = None) -> AsyncIterator[asyncpg.Connection]:
        async with super().connect(role) as connection:
            yield connection

    async def run(self, sql: str, *, role: str | None = None) -> None:
        async with self.anew(role) as connection:
            await connection.execute(sql)

    async def close(self) -> None:
        for connection in self.open.values():
            await connection.close(timeout=5)


async def add_sites(db: Db, *ids: str) -> None:
    """Add sites that are not there yet, each at an address of its own."""
    await db.fetch(
        "insert into tminus.sites (id, name, address) select id, id, 'router-' || md5(id) from unnest($1::text[]) as id"
        " on conflict (id) do nothing",
        list(ids),
        role="api",
    )


async def contents(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """All that the schema holds, in a form that can be compared."""
    one = "select '{0}' as name, md5(string_agg(t::text, '|' order by t::text)) from tminus.{0} t"
    return await connection.fetch(" union all ".join(one.format(table) for table in TABLES))


async def refused(db: Db, role: str | None, sql: str, *arguments: object, clear: bool = True) -> str:
    """Run what must be refused; nothing may have changed. Returns what the caller reads: the sentence and the hint."""
    async with db.connect() as onlooker, db.connect(role) as connection:
        before = await contents(onlooker)
        with pytest.raises(asyncpg.PostgresError) as caught:
            await connection.fetch(sql, *arguments)
        assert await contents(onlooker) == before
    error = caught.value
    text = f"{error.message} ({getattr(error, 'hint', None)})"
    if clear:
        assert not any(words in text for words in _UNCLEAR), text
        assert "\n" not in text
    return text


async def insert(db: Db, role: str | None = "alice", **columns: object) -> Any:
    """Insert a scheduled script, an hour ahead unless told otherwise; returns its id."""
    return await db.value(insert_sql(columns), *columns.values(), role=role)


def insert_sql(columns: dict[str, object]) -> str:
    """The INSERT with these columns as parameters; what every scheduled script needs is added."""
    given = dict.fromkeys(columns)
    names = list(given)
    values = [f"${number}" for number in range(1, len(names) + 1)]
    if "script" not in given:
        names.append("script")
        values.append(f"'{SCRIPT}'")
    if "sites" not in given:
        names.append("sites")
        values.append("(select array_agg(id order by id) from tminus.sites)")
    if not {"launch_at", "cron"} & set(given):
        names.append("launch_at")
        values.append("tminus.clock() + interval '1 hour'")
    return f"insert into tminus.scheduled_scripts ({', '.join(names)}) values ({', '.join(values)}) returning id"


async def authorize(db: Db, script: object, role: str = "bob") -> None:
    await db.value("select tminus.authorize($1, tminus.digest($1))", script, role=role)


def start_request(
    run: int,
    nonce: str = "0123456789abcdef",
    *,
    stored: Backup | None = None,
    site: str | None = None,
    name: str = "once",
) -> StartRequest:
    """Ask for a start that no other request is taken for, unless `site` is given."""
    occurrence = Occurrence(digest="tminus1:of-a-test", name=name)
    return StartRequest(
        run=run, nonce=nonce, uptime=5.0, backup=stored, occurrence=occurrence, site=site or f"of run {run}"
    )


@dataclass(frozen=True)
class Stage:
    """A database, a pool of the daemon's login on it, and a folder for what its hosts remember."""

    db: WarmDb
    store: Database
    folder: Path

    def intents(self, instance: UUID, host: str = "host") -> IntentLog:
        return IntentLog(self.folder / host, instance)

    def writer(
        self, instance: UUID, *, intents: IntentLog | None = None, failed: Callable[[], None] = lambda: None
    ) -> Writer:
        return Writer(self.store, instance, intents=intents or self.intents(instance), failed=failed)

    async def instance(self, *, ttl: float = 600.0, name: str = "one", reach: Reach = REACH) -> UUID:
        instance = uuid.uuid4()
        await instances.register(
            self.store, instance=instance, name=name, reach=reach, max_sessions=10, ttl=ttl, memory=uuid.uuid4()
        )
        return instance

    async def launch(self, instance: UUID, *sites: str, **columns: object) -> UUID:
        """Submit, authorize and launch; returns the scheduled script."""
        await add_sites(self.db, *sites)
        script: UUID = await self.db.submit(SCRIPT, list(sites), **columns)
        await self.db.move_clock(timedelta(seconds=1))
        assert None not in await self.launch_due(instance)
        return script

    async def launch_due(self, instance: UUID) -> list[UUID | None]:
        """Launch all that is due, as the launcher does."""
        made: list[UUID | None] = []
        async with launches.due_scripts(self.store, limit=20) as transaction:
            for script in transaction.due:
                assert row_digest(script.row) == script.authorization.row_digest
                next_at = None
                if script.row.cron is not None and script.row.timezone is not None:
                    after = max(script.launch_at, script.now)
                    next_at = next_occurrence(script.row.cron, script.row.timezone, after)
                made.append(await transaction.launch(script, instance, next_at=next_at))
        return made

    async def plan(self) -> None:
        """Give every cron row its next occurrence, as the launcher does."""
        for row in await launches.unplanned_scripts(self.store, limit=20):
            await launches.plan(self.store, row.id, next_occurrence(row.cron, row.timezone, row.now), reason="no date")

    async def claim(
        self, instance: UUID, capacity: int = 100, places: Mapping[str, int] | None = None
    ) -> dict[str, Claim]:
        """Claim as a dispatcher does: where several instances live, the first look takes but a share of what waits."""
        claims = await self.look(instance, capacity, places)
        while places is None and (more := await self.look(instance, capacity - len(claims))):
            claims |= more
        return claims

    async def look(
        self, instance: UUID, capacity: int = 100, places: Mapping[str, int] | None = None
    ) -> dict[str, Claim]:
        """Claim once."""
        claims = await site_runs.claim_site_runs(self.store, instance, capacity=capacity, places=places)
        return {claim.site.id: claim for claim in claims}

    async def execute(self, instance: UUID, *runs: int, nonce: str = "0123456789abcdef") -> list[int]:
        """Pass the point of no return; returns the runs that may be started."""
        rows = await self.store.fetch(
            "start_executing", instance, list(runs), [nonce] * len(runs), [60.0] * len(runs), *NO_BACKUPS
        )
        return [row["id"] for row in rows]

    async def end(self, instance: UUID, *runs: int, state: str = "completed") -> list[int]:
        reason, effect = {
            "completed": (None, "applied"),
            "failed": ("offline", "none"),
            "unknown": ("daemon_lost", "unknown"),
        }[state]
        rows = await self.store.fetch(
            "end_site_runs",
            instance,
            list(runs),
            *([value] * len(runs) for value in (state, reason, effect, "Said so.", None, "[]", None, None)),
        )
        ended = [row["id"] for row in rows]
        if left_out := [run for run in runs if run not in ended]:  # as the writer does
            columns = [left_out, [state] * len(left_out), [reason] * len(left_out)]
            ended += [row["id"] for row in await self.store.fetch("ended_already", instance, *columns)]
        return ended

    async def run_through(self, instance: UUID, *runs: int) -> None:
        assert sorted(await self.execute(instance, *runs)) == sorted(runs)
        assert sorted(await self.end(instance, *runs)) == sorted(runs)

    async def leave_unknown(self, instance: UUID, *runs: int) -> None:
        """Pass the point of no return, and end without proof."""
        assert sorted(await self.execute(instance, *runs)) == sorted(runs)
        assert sorted(await self.end(instance, *runs, state="unknown")) == sorted(runs)

    async def row(self, script: object) -> asyncpg.Record:
        return (await self.db.fetch("select * from tminus.scheduled_scripts where id = $1", script))[0]

    async def events(self, kind: str) -> list[asyncpg.Record]:
        return await self.db.fetch("select * from tminus.events where kind = $1 order by id", kind)


@asynccontextmanager
async def open_stage(db: Db) -> AsyncIterator[Stage]:
    warm = WarmDb(db.dsn)
    try:
        with tempfile.TemporaryDirectory(prefix="tminus-stage-") as folder:
            async with open_database(db.dsn_as("tminus_serve"), size=4, application="tests") as store:
                yield Stage(warm, store, Path(folder))
    finally:
        await warm.close()


@asynccontextmanager
async def held_by_another(db: WarmDb, sql: str, *arguments: object, role: str | None = None) -> AsyncIterator[None]:
    """Somebody's transaction that stays open, and with it the locks of `sql`."""
    async with db.anew(role) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.fetch(sql, *arguments)
        yield
        await transaction.rollback()


async def until_waiting(db: Db, text: str) -> None:
    """Wait until a session whose query holds `text` waits for a lock."""

    async def waits() -> bool:
        return await db.value(
            "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
            " and query like '%' || $1::text || '%')",
            text,
        )

    await until(waits, within=5)
