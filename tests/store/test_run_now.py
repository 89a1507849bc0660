"""Run now: who may, when not, and that it launches once, what was authorized, at another time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.store.stage import Stage, add_sites, authorize, insert, refused
from tminus.domain.authorization import why_not_covered
from tminus.store import launches

pytestmark = pytest.mark.asyncio(loop_scope="module")
RUN_NOW = "select tminus.run_now($1)"


async def authorized(stage: Stage, **columns: object) -> Any:
    await add_sites(stage.db, "a")
    script = await insert(stage.db, **{"sites": ["a"], **columns})
    await authorize(stage.db, script)
    return script


async def launched(stage: Stage, script: object) -> list[Any]:
    return await stage.db.fetch("select * from tminus.launches where script_id = $1 order by due_at", script)


async def test_it_is_launched_now_with_the_content_and_the_time_that_were_authorized_and_not_again(
    stage: Stage,
) -> None:
    instance = await stage.instance()
    script = await authorized(stage)
    before = await stage.row(script)
    await stage.db.value("select tminus.run_now($1, reason => 'storm')", script, role="bob")
    [event] = await stage.events("run_now")
    assert (event["principal"], event["script_id"]) == ("bob", script)
    assert None not in await stage.launch_due(instance)
    [launch] = await launched(stage, script)
    digest = await stage.db.value("select tminus.digest($1)", script)
    assert (launch["kind"], launch["run_now_by"], launch["digest"]) == ("scheduled", "bob", digest)
    assert launch["launch_at"] == before["launch_at"]
    assert launch["due_at"] < before["launch_at"] - timedelta(minutes=50)
    row = await stage.row(script)
    assert (row["status"], row["run_now_at"], row["launch_at"]) == ("launched", None, before["launch_at"])
    await stage.db.move_clock(timedelta(hours=1, seconds=5))
    assert await stage.launch_due(instance) == []
    assert len(await launched(stage, script)) == 1


async def test_of_a_cron_rule_it_is_one_launch_more_and_the_next_occurrence_stays(stage: Stage) -> None:
    instance = await stage.instance()
    script = await authorized(stage, cron="0 * * * *", max_launches=2)
    await stage.plan()
    planned = (await stage.row(script))["launch_at"]
    await stage.db.value(RUN_NOW, script, role="bob")
    assert None not in await stage.launch_due(instance)
    row = await stage.row(script)
    assert (row["status"], row["launch_at"], row["run_now_at"]) == ("scheduled", planned, None)
    assert "is under way" in await refused(stage.db, "bob", RUN_NOW, script)
    await stage.run_through(instance, (await stage.claim(instance))["a"].id)
    await stage.db.fetch("select tminus.finish_launches()")
    await stage.db.move_clock(timedelta(hours=1))
    assert None not in await stage.launch_due(await stage.instance())  # the other one is not heard of any more
    assert [launch["run_now_by"] for launch in await launched(stage, script)] == ["bob", None]


async def test_who_may_not_authorize_it_may_not_have_it_run_now(stage: Stage) -> None:
    script = await authorized(stage)
    assert "alice is not an approver" in await refused(stage.db, "alice", RUN_NOW, script)
    assert "permission denied" in await refused(stage.db, "rita", RUN_NOW, script, clear=False)
    assert "permission denied" in await refused(stage.db, "tminus_serve", RUN_NOW, script, clear=False)
    own = "select tminus.run_now($1, by => $2)"
    assert "alice is the author" in await refused(stage.db, "api", own, script, "alice")
    assert "Alice is the author" in await refused(stage.db, "api", own, script, "Alice")
    await stage.db.fetch("update tminus.policy set approval = 'off'")
    await stage.db.value(own, script, "alice", role="api")
    assert (await stage.row(script))["run_now_by"] == "alice"
    await stage.db.fetch("update tminus.policy set approval = 'distinct'")


async def test_a_client_sets_neither_the_moment_nor_the_person(stage: Stage) -> None:
    script = await authorized(stage)
    sql = "update tminus.scheduled_scripts set run_now_at = now(), run_now_by = 'bob' where id = $1"
    said = await refused(stage.db, "alice", sql, script)
    assert "not the client's to set" in said
    said = await refused(
        stage.db, "alice", "insert into tminus.scheduled_scripts (script, sites, launch_at, run_now_at, run_now_by)"
        " values (':put 1', '{a}', now() + interval '1 day', now(), 'bob')",
    )  # fmt: skip
    assert "begins unauthorized" in said


async def test_what_does_not_wait_for_its_time_is_not_run_now(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    instance = await stage.instance()
    unauthorized = await insert(stage.db, sites=["a"])
    assert "is unauthorized; only what is authorized" in await refused(stage.db, "bob", RUN_NOW, unauthorized)
    script = await authorized(stage)
    await stage.db.value(RUN_NOW, script, role="bob")
    assert "is to run now already, by bob" in await refused(stage.db, "bob", RUN_NOW, script)
    await stage.launch_due(instance)
    assert "is launched" in await refused(stage.db, "bob", RUN_NOW, script)
    due = await authorized(stage)
    await stage.db.move_clock(timedelta(hours=1, seconds=1))
    assert "is due already" in await refused(stage.db, "bob", RUN_NOW, due)
    stopped = await authorized(
        stage, cron="@daily", until=await stage.db.value("select tminus.clock() + interval '1 hour'")
    )
    await stage.db.move_clock(timedelta(hours=2))
    assert "has come to its end" in await refused(stage.db, "bob", RUN_NOW, stopped)


async def test_a_freeze_or_a_window_that_is_closed_on_one_site_refuses_it(stage: Stage) -> None:
    await add_sites(stage.db, "a", "b")
    await stage.db.fetch("update tminus.sites set tags = '{core}' where id = 'b'", role="api")
    script = await authorized(stage, sites=["a", "b"])
    freeze = await stage.db.value(
        "select tminus.freeze('core', tminus.clock() + interval '1 hour', 'storm')", role="bob"
    )
    said = await refused(stage.db, "bob", RUN_NOW, script)
    assert "cannot run now on b: " in said
    assert "frozen" in said
    await stage.db.value("select tminus.thaw($1, 'over')", freeze, role="bob")
    await stage.db.value(RUN_NOW, script, role="bob")


@pytest.mark.parametrize(
    ("who", "act"),
    [
        ("alice", "update tminus.scheduled_scripts set script = ':put 2' where id = $1"),
        ("bob", "select tminus.withdraw($1, 'no')"),
        (None, "select tminus.refuse_launch($1, 'no')"),
    ],
)
async def test_what_ends_its_authorization_ends_it_too_and_nothing_starts_when_it_is_authorized_again(
    stage: Stage, who: str | None, act: str
) -> None:
    instance = await stage.instance()
    script = await authorized(stage)
    await stage.db.value(RUN_NOW, script, role="bob")
    await stage.db.fetch(act, script, role=who)
    row = await stage.row(script)
    assert (row["status"], row["run_now_at"], row["run_now_by"]) == ("unauthorized", None, None)
    await authorize(stage.db, script)
    assert await stage.launch_due(instance) == []


async def test_what_no_daemon_could_start_in_time_is_missed(stage: Stage) -> None:
    instance = await stage.instance()
    tomorrow = await stage.db.value("select tminus.clock() + interval '1 day'")
    once = await authorized(stage, launch_at=tomorrow, start_within=timedelta(minutes=5))
    rule = await authorized(stage, cron="@monthly", start_within=timedelta(minutes=5))
    await stage.plan()
    planned = (await stage.row(rule))["launch_at"]
    for script in (once, rule):
        await stage.db.value(RUN_NOW, script, role="bob")
    await stage.db.move_clock(timedelta(minutes=5, seconds=1))
    assert await stage.launch_due(instance) == []
    assert await stage.db.value("select tminus.settle_late(10)") == 2
    row = await stage.row(once)
    assert (row["status"], row["cancelled_by"]) == ("cancelled", "tminus")
    assert "when bob had it run now" in row["status_reason"]
    row = await stage.row(rule)
    assert (row["status"], row["launch_at"], row["run_now_at"]) == ("scheduled", planned, None)
    for script in (once, rule):
        [launch] = await launched(stage, script)
        assert (launch["state"], launch["run_now_by"]) == ("missed", "bob")


async def test_with_a_local_time_all_sites_start_at_once(stage: Stage) -> None:
    instance = await stage.instance()
    await add_sites(stage.db, "a", "b")
    await stage.db.fetch("update tminus.sites set timezone = 'Asia/Tokyo' where id = 'b'", role="api")
    local = await stage.db.value("select (tminus.clock() + interval '3 days')::timestamp")
    script = await stage.db.value(
        "insert into tminus.scheduled_scripts (script, sites, local_time) values (':put 1', '{a,b}', $1) returning id",
        local,
        role="alice",
    )
    await authorize(stage.db, script)
    await stage.db.value(RUN_NOW, script, role="bob")
    assert None not in await stage.launch_due(instance)
    assert set(await stage.claim(instance)) == {"a", "b"}


async def test_where_signatures_are_required_it_is_refused_by_the_database_and_by_the_daemon(stage: Stage) -> None:
    await stage.instance()
    script = await authorized(stage)
    sign = "set session_replication_role = replica; update tminus.instances set requires_signature ="
    await stage.db.run(f"{sign} true")
    assert "launches only what was signed" in await refused(stage.db, "bob", RUN_NOW, script)
    await stage.db.run(f"{sign} false")
    await stage.db.value(RUN_NOW, script, role="bob")
    async with launches.due_scripts(stage.store, limit=5) as transaction:
        [due] = [each for each in transaction.due if each.id == script]
    signed = replace(due, authorization=replace(due.authorization, signature="signed"))
    assert "had it run now" in (why_not_covered(signed.occasion, distinct=True) or "")
