"""What is found in a scheduled script: who may write it, what an edit takes away, and that it never counts as content."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.store.stage import Stage, WarmDb, authorize, insert, insert_sql, refused
from tests.support import until
from tminus.services.analysis import Analyst
from tminus.services.linter import Linter
from tminus.services.observer import Observer
from tminus.store.findings import keep_findings, unlinted_scripts

pytestmark = pytest.mark.asyncio(loop_scope="module")

FOUND = json.dumps(
    [{"code": "reboot", "severity": "danger", "line": 1, "column": 1, "message": "It reboots.", "count": 1}]
)


async def look(stage: Stage, summary: str | None = "Reboots.") -> list[bool]:
    """Write findings for all that have none, as a daemon does."""
    seen = await unlinted_scripts(stage.store, uuid4(), limit=50)
    return [await keep_findings(stage.store, each, findings=FOUND, summary=summary) for each in seen]


async def update(db: WarmDb, script: object, setting: str, *values: object, role: str | None = "alice") -> None:
    await db.fetch(f"update tminus.scheduled_scripts set {setting} where id = $1", script, *values, role=role)


@pytest_asyncio.fixture(loop_scope="module")
async def script(stage: Stage) -> Any:
    await stage.db.fetch(
        "insert into tminus.sites (id, name, address) values ('a', 'a', 'router-a') on conflict do nothing", role="api"
    )
    return await insert(stage.db)


async def test_findings_and_a_summary_are_written_once(stage: Stage, script: object) -> None:
    assert await look(stage) == [True]
    row = await stage.row(script)
    assert (json.loads(row["findings"])[0]["code"], row["summary"], row["summary_generated"]) == (
        "reboot",
        "Reboots.",
        True,
    )
    assert await unlinted_scripts(stage.store, uuid4(), limit=50) == []


async def test_they_are_shown_in_the_object_of_the_api(stage: Stage, script: object) -> None:
    assert (await stage.db.script(script))["findings"] is None
    await look(stage)
    shown = await stage.db.script(script)
    assert (shown["findings"], shown["summary"]) == (json.loads(FOUND), "Reboots.")


async def test_they_neither_change_the_digest_nor_reset_the_authorization_nor_count_as_an_edit(
    stage: Stage, script: object
) -> None:
    await authorize(stage.db, script)
    digest = await stage.db.value("select tminus.digest($1)", script)
    before = await stage.row(script)
    assert await look(stage) == [True]
    after = await stage.row(script)
    assert await stage.db.value("select tminus.digest($1)", script) == digest
    changed = {name for name in dict(before) if before[name] != after[name]}
    assert changed == {"findings", "summary", "summary_generated"}
    assert await stage.events("edited") == []


async def test_a_summary_of_the_client_stays(stage: Stage) -> None:
    await stage.db.fetch("insert into tminus.sites (id, name, address) values ('a', 'a', 'router-a')", role="api")
    own = await insert(stage.db, summary="Mine.")
    assert await look(stage) == [True]
    row = await stage.row(own)
    assert (row["summary"], row["summary_generated"], row["findings"] is None) == ("Mine.", False, False)
    await update(stage.db, own, "script = ':put other'")
    await look(stage)
    assert (await stage.row(own))["summary"] == "Mine."


async def test_an_empty_summary_is_none(stage: Stage) -> None:
    await stage.db.fetch("insert into tminus.sites (id, name, address) values ('a', 'a', 'router-a')", role="api")
    row = await stage.row(await insert(stage.db, summary=" \n"))
    assert row["summary"] is None


@pytest.mark.parametrize("setting", ["script = ':put other'", "site_timeout = '20 minutes'"])
async def test_an_edit_of_what_was_looked_at_takes_findings_and_the_generated_summary_away(
    stage: Stage, script: object, setting: str
) -> None:
    await look(stage)
    await update(stage.db, script, setting)
    row = await stage.row(script)
    assert (row["findings"], row["summary"], row["summary_generated"]) == (None, None, False)
    [event] = await stage.events("edited")
    assert json.loads(event["detail"])["columns"] == [setting.split(maxsplit=1)[0]]
    assert await look(stage, "Anew.") == [True]
    assert (await stage.row(script))["summary"] == "Anew."


async def test_another_edit_keeps_them(stage: Stage, script: object) -> None:
    await look(stage)
    await update(stage.db, script, "description = 'x'")
    row = await stage.row(script)
    assert (json.loads(row["findings"]), row["summary"], row["summary_generated"]) == (
        json.loads(FOUND),
        "Reboots.",
        True,
    )


async def test_a_client_replaces_a_generated_summary_and_may_ask_for_one_again(stage: Stage, script: object) -> None:
    await look(stage)
    await update(stage.db, script, "summary = 'Mine.'")
    row = await stage.row(script)
    assert (row["summary"], row["summary_generated"], row["findings"] is None) == ("Mine.", False, False)
    await update(stage.db, script, "summary = null")
    assert (await stage.row(script))["findings"] is None
    await look(stage)
    assert (await stage.row(script))["summary"] == "Reboots."


async def test_an_upsert_that_changes_nothing_is_no_edit_though_it_names_no_summary(
    stage: Stage, script: object
) -> None:
    await look(stage)
    await authorize(stage.db, script)
    sql = insert_sql({"id": script, "launch_at": None}).replace(
        " returning id",
        " on conflict (id) do update set script = excluded.script, summary = excluded.summary",
    )
    launch_at = (await stage.row(script))["launch_at"]
    await stage.db.fetch(sql, script, launch_at, role="alice")
    row = await stage.row(script)
    assert (row["status"], row["summary"]) == ("scheduled", "Reboots.")


async def test_findings_of_what_was_edited_meanwhile_are_not_written(stage: Stage, script: object) -> None:
    [seen] = await unlinted_scripts(stage.store, uuid4(), limit=50)
    await update(stage.db, script, "script = ':put other'")
    assert not await keep_findings(stage.store, seen, findings=FOUND, summary="Old.")
    row = await stage.row(script)
    assert (row["findings"], row["summary"]) == (None, None)


async def test_of_two_daemons_the_first_ones_findings_stay(stage: Stage, script: object) -> None:
    [seen] = await unlinted_scripts(stage.store, uuid4(), limit=50)
    assert await keep_findings(stage.store, seen, findings=FOUND, summary="First.")
    assert not await keep_findings(stage.store, seen, findings="[]", summary="Second.")
    assert (await stage.row(script))["summary"] == "First."


async def test_a_cancelled_script_is_not_looked_at(stage: Stage, script: object) -> None:
    await stage.db.fetch("select tminus.cancel($1)", script, role="alice")
    assert await unlinted_scripts(stage.store, uuid4(), limit=50) == []


@pytest.mark.parametrize("role", ["alice", "api"])
@pytest.mark.parametrize("setting", ["findings = '[]'", "summary_generated = true"])
async def test_no_client_writes_findings(shared: WarmDb, role: str, setting: str) -> None:
    script = await insert(shared)
    column = setting.split(maxsplit=1)[0]
    sentence = await refused(shared, role, f"update tminus.scheduled_scripts set {setting} where id = $1", script)
    assert f"column {column} of a scheduled script is not the client's to set" in sentence


@pytest.mark.parametrize("columns", [{"findings": "[]"}, {"summary_generated": True}])
async def test_no_client_inserts_findings(shared: WarmDb, columns: dict[str, object]) -> None:
    sentence = await refused(shared, "alice", insert_sql(columns), *columns.values())
    assert "findings are not the client's to set" in sentence


@pytest.mark.parametrize("role", ["bob", "rita"])
async def test_approvers_and_readers_cannot_touch_them(shared: WarmDb, role: str) -> None:
    script = await insert(shared)
    await refused(
        shared, role, "update tminus.scheduled_scripts set findings = '[]' where id = $1", script, clear=False
    )


async def test_the_daemon_changes_nothing_else_with_them(shared: WarmDb) -> None:
    own = await insert(shared, summary="Mine.")
    sentence = await refused(
        shared,
        "tminus_serve",
        "update tminus.scheduled_scripts set findings = '[]', summary = 'Other.' where id = $1",
        own,
    )
    assert "nothing but a summary that no client gave" in sentence
    script = await insert(shared)
    for setting in ("summary = 'x'", "summary_generated = true", "findings = null, summary = 'x'"):
        await refused(shared, "tminus_serve", f"update tminus.scheduled_scripts set {setting} where id = $1", script)
    for setting in ("script = ':put x'", "findings = '[]', status = 'scheduled'"):
        await refused(
            shared, "tminus_serve", f"update tminus.scheduled_scripts set {setting} where id = $1", script, clear=False
        )


async def test_what_is_no_list_or_has_no_end_is_refused(shared: WarmDb) -> None:
    script = await insert(shared)
    for value in ("{}", json.dumps(["x" * 300_000])):
        await refused(
            shared, "tminus_serve", "update tminus.scheduled_scripts set findings = $2::jsonb where id = $1", script, value,
            clear=False,
        )  # fmt: skip


@asynccontextmanager
async def linter(stage: Stage, analyst: Analyst | None = None) -> AsyncIterator[Linter]:
    made = Linter(stage.store, uuid4(), poll_interval=0.05, observer=Mock(spec=Observer), analyst=analyst)
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.wait({task})


async def findings_of(stage: Stage, script: object) -> list[dict[str, Any]]:
    async def there() -> Any:
        return (await stage.row(script))["findings"]

    return json.loads(await until(there))


async def test_the_linter_looks_at_what_is_inserted_and_again_after_an_edit(stage: Stage, script: object) -> None:
    async with linter(stage):
        assert await findings_of(stage, script) == []
        await update(stage.db, script, "script = '/system reboot'")

        async def reboots() -> bool:
            return "reboot" in [each["code"] for each in await findings_of(stage, script)]

        await until(reboots)
    row = await stage.row(script)
    assert row["summary"] == "Reboots the router; changes no addresses, users, services or routes."


async def test_the_findings_go_by_the_site_timeout_of_the_script(stage: Stage, script: object) -> None:
    await update(stage.db, script, "script = ':delay 60', site_timeout = $2", timedelta(seconds=30))
    async with linter(stage):
        assert [each["code"] for each in await findings_of(stage, script)] == ["delay-too-long"]


async def test_a_script_that_cannot_be_looked_at_in_time_gets_a_finding_that_says_so_and_is_left(
    stage: Stage, script: object
) -> None:
    stuck = Analyst(command=(sys.executable, "-c", "import time; time.sleep(600)"), deadline=0.3)
    async with linter(stage, stuck):
        [found] = await findings_of(stage, script)
    assert (found["code"], found["severity"]) == ("not-analysed", "warning")
    assert "took longer than 0.3 s" in found["message"]
    row = await stage.row(script)
    assert (row["summary"], row["summary_generated"]) == (None, False)
    assert await unlinted_scripts(stage.store, uuid4(), limit=50) == []


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("raise SystemExit(3)", "the process that looks at it ended"),
        ("print('nonsense')", "the process that looks at it ended"),
        ("input(); print('2\\n{}', end='')", "no answer that is understood"),
        ("print('99999999999')", "the process that looks at it ended"),
        ("import json; a = json.dumps({'error': 'MemoryError: '}); print(len(a)); print(a)", "MemoryError"),
    ],
)
async def test_a_process_that_dies_or_talks_nonsense_is_survived(program: str, sentence: str) -> None:
    analyst = Analyst(command=(sys.executable, "-c", program), deadline=20)
    analysis = await analyst.look_at(b":put x", timedelta(minutes=1))
    await analyst.stop()
    assert analysis.failed is not None
    assert sentence in analysis.failed
    assert analysis.findings[0].code == "not-analysed"


async def test_one_process_serves_one_script_after_the_other_and_is_let_go() -> None:
    analyst = Analyst()
    first = await analyst.look_at(b"/system reboot", timedelta(minutes=1))
    process = analyst._process
    second = await analyst.look_at(b":put x", timedelta(minutes=1))
    assert process is not None
    assert analyst._process is process
    assert ([each.code for each in first.findings], second.findings) == (["reboot"], ())
    await analyst.stop()
    assert process.returncode is not None


async def test_a_process_that_was_ended_by_somebody_is_no_fault_of_the_script() -> None:
    analyst = Analyst()
    await analyst.look_at(b":put x", timedelta(minutes=1))
    assert analyst._process is not None
    analyst._process.kill()
    analysis = await analyst.look_at(b"/system reboot", timedelta(minutes=1))
    await analyst.stop()
    assert [each.code for each in analysis.findings] == ["reboot"]


@pytest.mark.parametrize("word", [b"a.b.", b"-", b"\xc3\xa9"])
async def test_a_script_of_one_endless_word_is_told_of_in_few_words(word: bytes) -> None:
    analyst = Analyst()
    analysis = await analyst.look_at(word * (800_000 // len(word)), timedelta(minutes=1))
    await analyst.stop()
    assert analysis.failed is None
    assert len(analysis.findings_json()) < 20_000


async def test_where_memory_runs_out_it_is_the_process_that_looks_which_is_ended() -> None:
    analyst = Analyst()
    await analyst.look_at(b":put x", timedelta(minutes=1))
    assert analyst._process is not None
    score = Path(f"/proc/{analyst._process.pid}/oom_score_adj").read_text()
    await analyst.stop()
    assert int(score) == 1000
    unit = Path(__file__).parents[2] / "systemd/tminus.service"
    assert "\nOOMPolicy=continue\n" in unit.read_text()
