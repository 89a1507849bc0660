"""Exports with secrets in the database: beside those without, once each, and read by nobody but who may and is noted."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import asyncpg
import pytest

from tests.store.stage import Stage
from tests.store.test_retention import YEAR, a_run, tidy
from tminus.store import retention
from tminus.store.export_texts import Backup, store_texts

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLAIN = "/ppp secret\nadd name=anna\n"
OPEN = "/ppp secret\nadd name=anna password=hush-hush\n"
LOGINS = ("alice", "bob", "api", "rita", "tminus_serve")


async def store(stage: Stage, run: int, *, sensitive: str | None, phase: str = "before", text: str = PLAIN) -> int:
    """Store a backup as the daemon does; return its id."""
    sha256 = hashlib.sha256(text.encode()).digest()
    backup = Backup(phase=phase, sha256=sha256, text=text, header="# h", raw_bytes=len(text), sensitive=sensitive)
    async with stage.store.transaction("store a backup") as connection:
        stored = await store_texts(connection, [(run, backup)])
        await connection.execute("select tminus.store_backups($1, $2, $3, $4, $5, $6)", *stored)
    number: int = await stage.db.value(
        "select id from tminus.backups where site_run_id = $1 and phase = $2", run, phase
    )
    return number


async def texts(stage: Stage) -> int:
    count: int = await stage.db.value("select count(*) from tminus.sensitive_texts")
    return count


async def test_a_backup_has_both_and_shows_the_one_without(stage: Stage) -> None:
    run = await a_run(stage)
    number = await store(stage, run, sensitive=OPEN)
    for login in (*LOGINS, "rosa"):
        seen = await stage.db.fetch(
            "select sensitive, tminus.backup_text(id) as text from tminus.backups where id = $1", number, role=login
        )
        assert [tuple(row) for row in seen] == [(True, PLAIN)], login
    assert await stage.db.value("select tminus.sensitive_backup_text($1)", number, role="rosa") == OPEN


async def test_who_may_not_read_secrets_is_refused_by_a_sentence_and_has_no_other_way(stage: Stage) -> None:
    run = await a_run(stage)
    number = await store(stage, run, sensitive=OPEN)
    for login in LOGINS:
        with pytest.raises(
            asyncpg.InsufficientPrivilegeError, match="only a member of tminus_secret_reader"
        ) as refused:
            await stage.db.fetch("select tminus.sensitive_backup_text($1)", number, role=login)
        assert "tminus.backup_text" in str(refused.value.hint)  # type: ignore[attr-defined]
        for sql in (
            "select text from tminus.sensitive_texts",
            "select * from tminus.sensitive_texts",
            "select t::text from tminus.sensitive_texts t",
            "select length(text) from tminus.sensitive_texts",
            "update tminus.sensitive_texts set sha256 = sha256 where text like '%hush%'",
            "insert into tminus.sensitive_texts (sha256, text) values ('x', 'y') returning text",
            "insert into tminus.sensitive_texts as t (sha256, text) values ('', '') on conflict (sha256) do update set text = t.text",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                await stage.db.fetch(sql, role=login)
    # As what differs from it nothing can be stored, nor is it found among the others by its hash.
    assert await stage.db.value("select tminus.export_text(sha256($1::bytea))", OPEN.encode(), role="rita") is None
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await stage.db.fetch(
            "insert into tminus.backup_texts (sha256, base, head, tail, text, depth) values ('x', sha256($1::bytea), 40, 0, '', 1)",
            OPEN.encode(), role="tminus_serve",
        )  # fmt: skip
    for login in LOGINS[:-1]:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await stage.db.fetch("select sha256 from tminus.sensitive_texts", role=login)


async def test_who_read_secrets_is_on_record_and_one_who_found_none_is_not(stage: Stage) -> None:
    run = await a_run(stage)
    number = await store(stage, run, sensitive=OPEN)
    without = await store(stage, run, sensitive=None, phase="after")
    assert await stage.db.value("select tminus.sensitive_backup_text($1)", without, role="rosa") is None
    assert await stage.db.value("select tminus.sensitive_backup_text(4711)", role="rosa") is None
    assert await stage.events("secrets_read") == []
    await stage.db.value("select tminus.sensitive_backup_text($1)", number, role="rosa")
    rows = await stage.db.fetch(
        "select principal, session, site_id, detail ->> 'backup' as backup from tminus.events where kind = 'secrets_read'"
    )
    assert [tuple(row) for row in rows] == [("rosa", "rosa", "a", str(number))]
    assert await stage.db.value("select exists (select from tminus.unsealed_events)"), "it is an act, and sealed"


async def test_the_same_text_is_stored_once_and_one_that_was_taken_again_is_replaced(stage: Stage) -> None:
    runs = [await a_run(stage) for _ in range(3)]
    for run in runs:
        await store(stage, run, sensitive=OPEN)
    assert await texts(stage) == 1
    number = await store(stage, runs[0], sensitive="other\n")
    assert await stage.db.value("select tminus.sensitive_backup_text($1)", number, role="rosa") == "other\n"
    number = await store(stage, runs[0], sensitive=None)
    assert not await stage.db.value("select sensitive from tminus.backups where id = $1", number)


async def test_a_text_is_forgotten_with_its_last_backup_and_no_sooner(stage: Stage) -> None:
    old, young = await a_run(stage, site="a"), await a_run(stage, site="b", age=timedelta(0))
    await store(stage, old, sensitive=OPEN)
    await store(stage, young, sensitive="young\n")
    await store(stage, young, sensitive="replaced\n", phase="after")
    await store(stage, young, sensitive=None, phase="after")
    async with stage.db.connect() as connection:
        await connection.execute(
            "update tminus.backups set taken_at = taken_at - $1::interval where site_run_id = $2", YEAR, old
        )
    await tidy(stage, backups=timedelta(days=30), backups_per_site=0)
    rows = await stage.db.fetch("select text from tminus.sensitive_texts")
    assert [row["text"] for row in rows] == ["young\n"]


async def test_a_writer_that_found_a_text_keeps_it_from_being_forgotten(stage: Stage) -> None:
    run = await a_run(stage)
    await store(stage, run, sensitive=OPEN)
    await store(stage, run, sensitive=None)  # nothing refers to it now
    backup = Backup(
        phase="before", sha256=hashlib.sha256(PLAIN.encode()).digest(), text=PLAIN, header="# h", raw_bytes=1, sensitive=OPEN
    )  # fmt: skip
    async with stage.store.transaction("write") as writer:
        stored = await store_texts(writer, [(run, backup)])
        assert (await retention.forget_sensitive_texts(stage.store, 0, window=100)).count == 0
        await writer.execute("select tminus.store_backups($1, $2, $3, $4, $5, $6)", *stored)
    assert (await retention.forget_sensitive_texts(stage.store, 0, window=100)).count == 0
    assert await texts(stage) == 1
