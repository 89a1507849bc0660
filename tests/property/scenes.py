"""The moments of a scheduled script's life in which people and daemons get in each other's way, and who does what in them."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from tests.property.interleaved import Act
from tests.store.stage import Stage, add_sites
from tminus.store.export_texts import Backup, backup_columns, store_texts
from tminus.store.pool import statement

_DAEMON = "tminus_serve"
_NONCE = "10112233aabbccdd"
_EXPORT = "# by RouterOS\n/ip dns set servers=192.0.2.1\n"
Build = Callable[[Stage], Awaitable[list[Act]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    name: str
    build: Build
    """Leaves a database in that moment, and returns what may be done there."""


# -- what daemons do ---------------------------------------------------------------------------------------------------


def _fetch(
    sql: str, *arguments: object, column: str | None = None
) -> Callable[[asyncpg.Connection], Awaitable[object]]:
    """Say it, and be answered how many rows, or what is in one column of them."""

    async def work(connection: asyncpg.Connection) -> object:
        rows = await connection.fetch(sql, *arguments)
        return len(rows) if column is None else sorted(str(row[column]) for row in rows)

    return work


def _daemons(name: str, file: str, *arguments: object, column: str | None = None, **more: Any) -> Act:
    return Act(name=name, role=_DAEMON, work=_fetch(statement(file), *arguments, column=column), **more)


def claim(instance: UUID, who: str) -> Act:
    """A launch that somebody holds is not noted to have moved on."""
    return _daemons(
        f"claim by {who}", "claim_site_runs", instance, 10, [], [], column="site_id", passes_by=True, skips=("launches",)
    )  # fmt: skip


def start(instance: UUID, run: int, who: str, export: Backup | None = None) -> Act:
    """One that holds the launch at this moment is not waited for: the run is given back."""
    exports = [] if export is None else [(run, export)]

    async def work(connection: asyncpg.Connection) -> object:
        await store_texts(connection, [backup for _, backup in exports])
        starting = statement("start_executing")
        rows = await connection.fetch(starting, instance, [run], [_NONCE], [60.0], *backup_columns(exports))
        return [row["site_id"] for row in rows]

    what = "start" if export is None else "start and store"
    return Act(name=f"{what} by {who}", role=_DAEMON, work=work, passes_by=True, skips=("launches",), starts=True)


def end(instance: UUID, run: int, who: str, state: str = "completed") -> Act:
    reason, effect = {"completed": (None, "applied"), "failed": ("offline", "none")}[state]
    values = [[value] for value in (state, reason, effect, "Said so.", None, "[]", None, None)]

    async def work(connection: asyncpg.Connection) -> object:
        say = _fetch(statement("end_site_runs"), instance, [run], *values)
        look = _fetch(statement("ended_already"), instance, [run], [state], [reason])
        return await say(connection) or await look(connection)  # as the writer does

    return Act(name=f"end as {state} by {who}", role=_DAEMON, work=work)


def release(instance: UUID, run: int, who: str) -> Act:
    return _daemons(f"release by {who}", "release_site_runs", instance, [run], [0.0], [None], [None])


def beat(instance: UUID, who: str) -> Act:
    return _daemons(f"heartbeat of {who}", "heartbeat", instance, False)


def stop(instance: UUID, who: str) -> Act:
    return _daemons(f"goodbye of {who}", "stop_instance", instance)


def orphans(instance: UUID, who: str) -> Act:
    return _daemons(f"take orphans by {who}", "claim_orphans", instance, 10, column="site_id", passes_by=True)


def sweep(instance: UUID, who: str) -> Act:
    work = _fetch("select * from tminus.sweep($1, '{}')", instance)
    return Act(name=f"sweep by {who}", role=_DAEMON, work=work, passes_by=True, again=True)


def launch(instance: UUID, who: str) -> Act:
    """As the launcher does: what is due is locked by one statement, and launched by the next."""

    async def work(connection: asyncpg.Connection) -> object:
        made = 0
        for row in await connection.fetch(statement("due_scripts"), 20):
            made += await connection.fetchval("select tminus.launch($1, $2)", row["id"], instance) is not None
        return made

    return Act(name=f"launch by {who}", role=_DAEMON, work=work, passes_by=True)


def late_evidence(instance: UUID, run: int) -> Act:
    work = _fetch("""select tminus.keep_late_evidence($1, $2, '{"verdict": "ran"}')""", run, instance)
    return Act(name="late evidence", role=_DAEMON, work=work)


REAP = Act(
    name="reap", role=_DAEMON, work=_fetch("select dead from tminus.reap()", column="dead"), passes_by=True, again=True, stops=True
)  # fmt: skip
HOUSEKEEP = Act(name="housekeeping", role=_DAEMON, work=_fetch(statement("housekeeping")), passes_by=True)
FORGET = tuple(
    Act(name=f"forget {what}", role=_DAEMON, work=_fetch(sql), passes_by=True, again=True)
    for what, sql in (
        ("outputs", "select * from tminus.forget_outputs(0, interval '1 day', 100)"),
        ("exports", "select * from tminus.forget_backups(0, interval '1 day', 0, 100)"),
        ("texts", "select * from tminus.forget_texts('', 100)"),
        ("events", "select * from tminus.forget_events(0, interval '1 day', 100)"),
    )
)


# -- what people and tools do ------------------------------------------------------------------------------------------


def _persons(name: str, role: str, sql: str, *arguments: object, **more: Any) -> Act:
    return Act(name=name, role=role, work=_fetch(sql, *arguments), **more)


def cancel(script: UUID) -> Act:
    return _persons("cancel", "alice", "select tminus.cancel($1)", script, stops=True)


def edit(script: UUID) -> Act:
    sql = "update tminus.scheduled_scripts set script = ':put edited' where id = $1 returning status"
    return _persons("edit", "alice", sql, script)


def authorize(script: UUID, digest: str) -> Act:
    return _persons("authorize", "bob", "select tminus.authorize($1, $2)", script, digest)


def withdraw(script: UUID) -> Act:
    return _persons("withdraw", "bob", "select tminus.withdraw($1, 'not today')", script)


def rehearse(script: UUID) -> Act:
    return _persons("rehearse", "alice", "select tminus.rehearse($1)", script)


def pause(script: UUID) -> Act:
    return _persons("pause", "bob", "select tminus.pause_launch($1, 'let me look')", script, stops=True)


def resume(script: UUID) -> Act:
    return _persons("resume", "bob", "select tminus.resume_launch($1)", script)


def halt(launch_id: UUID, wave: int = 1) -> Act:
    """Where somebody holds the scheduled script, the launch is closed later."""
    sql = "select tminus.halt($1, $2, 'too many failed')"
    return _persons("halt", _DAEMON, sql, launch_id, wave, skips=("scheduled_scripts",), stops=True)


def retry(launch_id: UUID) -> Act:
    return _persons("retry", "bob", "select tminus.retry($1)", launch_id)


def resolve(run: int, verdict: str, role: str) -> Act:
    return _persons(f"resolve as {verdict} by {role}", role, "select tminus.resolve($1, $2, 'I looked')", run, verdict)


FREEZE = _persons("freeze", "bob", "select tminus.freeze(null, tminus.clock() + interval '1 hour', 'storm')")
MOVE_SITE = _persons("move a site", "api", "update tminus.sites set address = 'elsewhere' where id = 'a'")
DISABLE_SITE = _persons("disable a site", "api", "update tminus.sites set enabled = false where id = 'a'")


# -- the moments -------------------------------------------------------------------------------------------------------


async def _submit(stage: Stage, *sites: str, **columns: object) -> UUID:
    await add_sites(stage.db, *sites)
    script: UUID = await stage.db.submit(":put hello", list(sites), make_backup=False, **columns)
    return script


async def _launched(stage: Stage, instance: UUID, *sites: str, **columns: object) -> tuple[UUID, UUID]:
    script = await _submit(stage, *sites, **columns)
    await stage.db.move_clock(timedelta(seconds=1))
    assert None not in await stage.launch_due(instance)
    return script, await stage.db.value("select id from tminus.launches where script_id = $1", script)


async def _silence(stage: Stage, seconds: float, *heard: UUID) -> None:
    """Let time pass, in which these alone are heard."""
    await stage.db.move_clock(timedelta(seconds=seconds))
    for instance in heard:
        await stage.store.fetch("heartbeat", instance, False)


async def waiting(stage: Stage) -> list[Act]:
    """It waits for somebody to authorize it."""
    one = await stage.instance()
    await add_sites(stage.db, "a", "b")
    script: UUID = await stage.db.value(
        "insert into tminus.scheduled_scripts (script, sites, launch_at, make_backup)"
        " values (':put 1', '{a,b}', tminus.clock() + interval '1 hour', false) returning id",
        role="alice",
    )
    digest = await stage.db.value("select tminus.digest($1)", script, role="bob")
    return [
        authorize(script, digest), edit(script), cancel(script), MOVE_SITE, rehearse(script), claim(one, "one"), launch(one, "one"),
    ]  # fmt: skip


async def due(stage: Stage) -> list[Act]:
    """It is authorized, and its time has come."""
    one, two = await stage.instance(), await stage.instance(name="two")
    script = await _submit(stage, "a", "b")
    await stage.db.move_clock(timedelta(seconds=1))
    return [
        launch(one, "one"), launch(two, "two"), edit(script), withdraw(script), cancel(script), FREEZE, MOVE_SITE, stop(one, "one"),
    ]  # fmt: skip


async def late(stage: Stage) -> list[Act]:
    """Its instance is silent, and the time in which it could be launched ends: each second counts."""
    one, two = await stage.instance(ttl=10), await stage.instance(name="two", ttl=10)
    script = await _submit(stage, "a", start_within=timedelta(seconds=10))
    await _silence(stage, 10.5, two)
    return [launch(one, "one"), launch(two, "two"), REAP, HOUSEKEEP, beat(one, "one"), edit(script), cancel(script)]


async def launched(stage: Stage) -> list[Act]:
    """Its sites wait to be claimed, by two, one at a time."""
    one, two = await stage.instance(), await stage.instance(name="two")
    script, launch_id = await _launched(stage, one, "a", "b", max_concurrency=1)
    return [
        claim(one, "one"), claim(two, "two"), cancel(script), pause(script), halt(launch_id), FREEZE, HOUSEKEEP, stop(one, "one"),
        DISABLE_SITE,
    ]  # fmt: skip


async def shared_router(stage: Stage) -> list[Act]:
    """Two launches want the same router."""
    one, two = await stage.instance(), await stage.instance(name="two")
    await _launched(stage, one, "a")
    script, _ = await _launched(stage, one, "a")
    return [claim(one, "one"), claim(two, "two"), cancel(script), edit(script), stop(two, "two")]


async def claimed(stage: Stage) -> list[Act]:
    """One has the first site, and is about to start it; the second waits."""
    one, two = await stage.instance(), await stage.instance(name="two")
    script, launch_id = await _launched(stage, one, "a", "b")
    run = (await stage.claim(one, 1))["a"].id
    return [
        start(one, run, "one"), end(one, run, "one", "failed"), release(one, run, "one"), sweep(one, "one"), stop(one, "one"),
        beat(one, "one"), claim(two, "two"), cancel(script), pause(script), halt(launch_id), FREEZE, REAP,
    ]  # fmt: skip


async def silent(stage: Stage) -> list[Act]:
    """One has a site, and was not heard of for its ttl; nobody has noticed yet."""
    one, two = await stage.instance(ttl=10), await stage.instance(name="two", ttl=3600)
    script, _ = await _launched(stage, one, "a")
    run = (await stage.claim(one))["a"].id
    await _silence(stage, 11, two)
    return [
        start(one, run, "one"), end(one, run, "one", "failed"), release(one, run, "one"), beat(one, "one"), REAP, claim(two, "two"),
        cancel(script), stop(one, "one"),
    ]  # fmt: skip


async def executing(stage: Stage) -> list[Act]:
    """One is past the point of no return, and was not heard of for its ttl."""
    one, two = await stage.instance(ttl=10), await stage.instance(name="two", ttl=3600)
    script, launch_id = await _launched(stage, one, "a", "b")
    run = (await stage.claim(one, 1))["a"].id
    assert await stage.execute(one, run) == [run]
    await _silence(stage, 11, two)
    return [
        end(one, run, "one"), beat(one, "one"), REAP, orphans(two, "two"), cancel(script), halt(launch_id), claim(two, "two"),
        stop(one, "one"), HOUSEKEEP,
    ]  # fmt: skip


async def orphaned(stage: Stage) -> list[Act]:
    """Who started it is dead: two others may look after it, and its own last word comes late."""
    one, two, three = await stage.instance(ttl=10), await stage.instance(name="two"), await stage.instance(name="three")
    script, _ = await _launched(stage, one, "a")
    run = (await stage.claim(one))["a"].id
    assert await stage.execute(one, run) == [run]
    await _silence(stage, 11)
    await stage.store.call("select * from tminus.reap()")
    return [
        orphans(two, "two"), orphans(three, "three"), end(one, run, "one"), beat(one, "one"), late_evidence(one, run), cancel(script), REAP,
        stop(two, "two"),
    ]  # fmt: skip


async def resolving(stage: Stage) -> list[Act]:
    """Who resolves it dies as well."""
    one, two, three = (
        await stage.instance(ttl=10),
        await stage.instance(name="two", ttl=30),
        await stage.instance(name="three"),
    )
    script, _ = await _launched(stage, one, "a")
    run = (await stage.claim(one))["a"].id
    assert await stage.execute(one, run) == [run]
    await _silence(stage, 11)
    await stage.store.call("select * from tminus.reap()")
    assert await stage.store.fetch("claim_orphans", two, 10)
    await _silence(stage, 31)
    return [end(two, run, "two"), beat(two, "two"), REAP, orphans(three, "three"), end(one, run, "one"), cancel(script)]


async def paused(stage: Stage) -> list[Act]:
    """A person holds it; a site that was claimed before is about to be started."""
    one, two = await stage.instance(), await stage.instance(name="two")
    script, launch_id = await _launched(stage, one, "a", "b")
    run = (await stage.claim(one, 1))["a"].id
    await stage.db.value("select tminus.pause_launch($1, 'let me look')", script, role="bob")
    return [
        start(one, run, "one"),
        release(one, run, "one"),
        resume(script),
        cancel(script),
        halt(launch_id),
        claim(two, "two"),
    ]


async def in_waves(stage: Stage) -> list[Act]:
    """The first wave has ended, and the second waits to be confirmed; two daemons look at it."""
    one = await stage.instance()
    script, launch_id = await _launched(stage, one, "a", "b", wave_sizes=["1"], wave_confirm=True)
    run = (await stage.claim(one))["a"].id
    await stage.run_through(one, run)
    confirming = "select tminus.confirm_wave($1, 2)"
    return [
        _persons("confirm", "bob", confirming, script),
        _persons("confirm by the author", "alice", confirming, script),
        _persons("open a wave", _DAEMON, "select tminus.open_wave($1, 2)", launch_id),
        _persons("ask for a wave", _DAEMON, "select tminus.ask_wave($1, 2)", launch_id),
        halt(launch_id), cancel(script), pause(script), claim(one, "one"),
    ]  # fmt: skip


async def ended(stage: Stage) -> list[Act]:
    """All its sites have ended, and nobody has closed it yet."""
    one = await stage.instance()
    script, launch_id = await _launched(stage, one, "a")
    run = (await stage.claim(one))["a"].id
    await stage.execute(one, run)
    await stage.end(one, run, state="completed")
    closing = _fetch("select tminus.finish_launches()")
    close = Act(name="close", role=_DAEMON, work=closing, passes_by=True)
    return [close, HOUSEKEEP, cancel(script), halt(launch_id), retry(launch_id), edit(script), end(one, run, "one")]


async def over(stage: Stage) -> list[Act]:
    """It is over: one completed, one failed, one is unknown. Its time to be forgotten comes, and people think of it again."""
    one = await stage.instance()
    script, launch_id = await _launched(stage, one, "a", "b", "c")
    claims = await stage.claim(one)
    await stage.run_through(one, claims["a"].id)
    await stage.end(one, claims["b"].id, state="failed")
    await stage.leave_unknown(one, claims["c"].id)
    await stage.db.run(
        f"insert into tminus.backup_texts (sha256, text) values (sha256('{_EXPORT}'), '{_EXPORT}');"
        "insert into tminus.backups (site_id, launch_id, site_run_id, phase, sha256, header, raw_bytes)"
        f" select site_id, launch_id, id, 'before', sha256('{_EXPORT}'), '#', 10 from tminus.site_runs;"
        "set session_replication_role = replica; update tminus.site_runs set output = 'said'"
    )
    await stage.store.fetch("housekeeping")
    unknown = claims["c"].id
    await _silence(stage, 2 * 86400, one)
    return [
        retry(launch_id), resolve(unknown, "completed", "bob"), resolve(unknown, "failed/none", "alice"), cancel(script), MOVE_SITE,
        claim(one, "one"), *FORGET,
    ]  # fmt: skip


async def text_of_nobody(stage: Stage) -> list[Act]:
    """The text of an export is nobody's any more, and a router has just the same one."""
    one = await stage.instance()
    script, _ = await _launched(stage, one, "a", "b")
    claims = await stage.claim(one)
    digest = hashlib.sha256(_EXPORT.encode()).digest()
    await stage.db.fetch("insert into tminus.backup_texts (sha256, text) values ($1, $2)", digest, _EXPORT)

    export = Backup(phase="before", sha256=digest, text=_EXPORT, header="# header", raw_bytes=len(_EXPORT))
    first, second = claims["a"].id, claims["b"].id
    return [
        start(one, first, "one, a", export), start(one, second, "one, b", export), FORGET[2], cancel(script),
        end(one, first, "one", "failed"),
    ]  # fmt: skip


SCENES = tuple(
    Scene(name=build.__name__.replace("_", " "), build=build)
    for build in (
        waiting, due, late, launched, shared_router, claimed, silent, executing, orphaned, resolving, paused, in_waves, ended, over,
        text_of_nobody,
    )
)  # fmt: skip
