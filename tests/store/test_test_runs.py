"""Test runs: where nobody has authorized anything, who may ask for one, on which site, and what it is worth."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.store.stage import HOST_KEY, Stage, add_sites, authorize, insert, refused
from tminus.store.instances import Reach
from tminus.store.launches import launch_content

pytestmark = pytest.mark.asyncio(loop_scope="module")
TEST = "select tminus.request_test($1)"
LAB = Reach(credentials=("default",), test_sites=("lab",))


async def lab(stage: Stage) -> UUID:
    """A site that is there for tests, and a daemon that runs them there."""
    await add_sites(stage.db, "lab", "a")
    await stage.db.fetch("update tminus.sites set host_key = $1 where id = 'lab'", HOST_KEY, role="api")
    await stage.db.fetch("update tminus.sites set allow_tests = true where id = 'lab'")
    return await stage.instance(name="lab", reach=LAB)


async def wish(stage: Stage, **columns: object) -> Any:
    return await insert(stage.db, **{"sites": ["a"], "test_site_id": "lab", **columns})


async def passed(stage: Stage, script: object, instance: UUID, state: str = "completed") -> None:
    await stage.db.value(TEST, script, role="alice")
    run = (await stage.claim(instance))["lab"].id
    assert await stage.execute(instance, run) == [run]
    assert await stage.end(instance, run, state=state) == [run]
    await stage.db.fetch("select tminus.finish_launches()")


async def test_it_runs_on_the_test_site_alone_at_once_and_is_no_part_of_the_life_of_its_script(stage: Stage) -> None:
    instance = await lab(stage)
    script = await wish(stage, post_checks=["true"], wave_sizes=["1"], max_failures="0")
    before = await stage.row(script)
    launch = await stage.db.value(TEST, script, role="alice")
    claims = await stage.claim(instance)
    assert set(claims) == {"lab"}
    content = await launch_content(stage.store, launch)
    assert (content.kind, content.authorization, content.row.post_checks) == ("test", None, ("true",))
    assert not claims["lab"].nonce.startswith("0")  # its file is one that is started
    assert "is being tested already" in await refused(stage.db, "alice", TEST, script)
    await stage.run_through(instance, claims["lab"].id)
    await stage.db.fetch("select tminus.finish_launches()")
    assert await stage.row(script) == before
    assert (await stage.db.script(script))["launch_id"] is None
    [event] = await stage.events("test_requested")
    assert (event["principal"], event["launch_id"]) == ("alice", launch)


async def test_only_the_owner_of_the_schema_allows_tests_on_a_site(stage: Stage) -> None:
    await lab(stage)
    for role in ("api", "alice", "bob", "tminus_serve"):
        sql = "update tminus.sites set allow_tests = true where id = 'a'"
        assert "permission denied" in await refused(stage.db, role, sql, clear=False)
    script = await wish(stage, test_site_id="a")
    assert "site a is not there for tests" in await refused(stage.db, "alice", TEST, script)


async def test_another_router_in_the_place_of_a_test_site_is_not_there_for_tests(stage: Stage) -> None:
    """Who keeps the sites may say where one is, and must not bring what nobody authorized to any router by that."""
    await lab(stage)
    script = await wish(stage)
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOther"
    moved = "update tminus.sites set address = '192.0.2.99', host_key = $1 where id = 'lab'"
    await stage.db.fetch("update tminus.sites set address = '192.0.2.98', host_key = null where id = 'lab'", role="api")
    for given in (key, HOST_KEY):
        await stage.db.fetch(moved, given, role="api")
        assert "site lab is not there for tests" in await refused(stage.db, "alice", TEST, script)
    await stage.db.fetch("update tminus.sites set allow_tests = true where id = 'lab'")
    await stage.db.fetch("update tminus.sites set address = '192.0.2.97' where id = 'lab'", role="api")
    await stage.db.value(TEST, script, role="alice")  # the same key is the same router


async def test_no_daemon_takes_a_test_that_does_not_name_the_site_in_its_configuration(stage: Stage) -> None:
    instance = await lab(stage)
    other = await stage.instance(name="other")
    script = await wish(stage)
    await stage.db.value(TEST, script, role="alice")
    assert await stage.look(other) == {}
    assert set(await stage.look(instance)) == {"lab"}


async def test_without_a_daemon_that_names_the_site_it_is_refused(stage: Stage) -> None:
    await lab(stage)
    await stage.db.move_clock(timedelta(hours=1))
    await stage.instance(name="other")
    assert "no daemon that lives runs tests on site lab" in await refused(stage.db, "alice", TEST, await wish(stage))


async def test_who_may_not_act_on_it_and_what_cannot_be_tested_is_refused(stage: Stage) -> None:
    await lab(stage)
    script = await wish(stage)
    assert "permission denied" in await refused(stage.db, "rita", TEST, script, clear=False)
    assert "permission denied" in await refused(stage.db, "tminus_serve", TEST, script, clear=False)
    for_carol = await stage.db.value(
        "insert into tminus.scheduled_scripts (created_by, script, sites, test_site_id, launch_at)"
        " values ('carol', ':put 1', '{a}', 'lab', now() + interval '1 day') returning id",
        role="api",
    )
    assert "belongs to carol" in await refused(stage.db, "alice", TEST, for_carol)
    assert "has no test site" in await refused(stage.db, "alice", TEST, await wish(stage, test_site_id=None))
    assert "has no variable x" in await refused(stage.db, "alice", TEST, await wish(stage, script=":put $(x)"))
    await stage.db.fetch("update tminus.sites set enabled = false where id = 'lab'", role="api")
    assert "is disabled" in await refused(stage.db, "alice", TEST, script)
    await stage.db.fetch("update tminus.sites set enabled = true, host_key = null where id = 'lab'", role="api")
    assert "no host key is pinned" in await refused(stage.db, "alice", TEST, script)
    await stage.db.fetch("update tminus.sites set host_key = $1 where id = 'lab'", HOST_KEY, role="api")
    await stage.db.fetch("update tminus.sites set allow_tests = true where id = 'lab'")
    freeze = await stage.db.value("select tminus.freeze(null, tminus.clock() + interval '1 hour', 'x')", role="bob")
    assert "cannot run now on lab" in await refused(stage.db, "alice", TEST, script)
    await stage.db.value("select tminus.thaw($1, 'over')", freeze, role="bob")
    await stage.db.run("set session_replication_role = replica; update tminus.instances set requires_signature = true")
    assert "runs only what was signed" in await refused(stage.db, "alice", TEST, script)
    await stage.db.run("set session_replication_role = replica; update tminus.instances set requires_signature = false")
    await stage.db.submit(":put 1", ["lab"], due_in=300)
    assert "could be in its way" in await refused(stage.db, "alice", TEST, script)
    await stage.db.value("select tminus.cancel($1)", script, role="alice")
    assert "nothing left to test" in await refused(stage.db, "alice", TEST, script)


async def test_where_it_is_required_only_what_completed_as_it_is_may_be_authorized(stage: Stage) -> None:
    instance = await lab(stage)
    await stage.db.fetch("update tminus.policy set require_test = true")
    script = await wish(stage)
    act = "select tminus.authorize($1, tminus.digest($1))"
    assert "did not complete on its test site" in await refused(stage.db, "bob", act, script)
    await passed(stage, script, instance, state="failed")
    assert "did not complete on its test site" in await refused(stage.db, "bob", act, script)
    await passed(stage, script, instance)
    test = json.loads(await stage.db.value("select tminus.review($1)", script, role="bob"))["test"]
    assert (test["site"], test["outcome"], test["by"]) == ("lab", "completed", "alice")
    await stage.db.fetch("update tminus.scheduled_scripts set script = ':put 2' where id = $1", script, role="alice")
    assert "did not complete on its test site" in await refused(stage.db, "bob", act, script)
    assert json.loads(await stage.db.value("select tminus.review($1)", script, role="bob"))["test"] is None
    await passed(stage, script, instance)
    await stage.db.move_clock(timedelta(seconds=1))
    await passed(stage, script, instance, state="failed")  # the latest counts
    assert "did not complete on its test site" in await refused(stage.db, "bob", act, script)
    await stage.db.move_clock(timedelta(seconds=1))
    await passed(stage, script, instance)
    await authorize(stage.db, script)
    await stage.db.fetch("update tminus.policy set require_test = false")


async def test_a_test_is_not_retried_and_holds_up_no_occurrence(stage: Stage) -> None:
    instance = await lab(stage)
    script = await wish(stage, cron="*/30 * * * *")
    launch = await stage.db.value(TEST, script, role="alice")
    await authorize(stage.db, script)
    await stage.db.value("select tminus.plan($1, tminus.clock())", script)
    assert None not in await stage.launch_due(instance)
    claims = await stage.claim(instance)
    assert set(claims) == {"lab", "a"}
    await stage.run_through(instance, *(claim.id for claim in claims.values()))
    await stage.db.fetch("select tminus.finish_launches()")
    said = await refused(stage.db, "bob", "select tminus.retry($1, sites => '{lab}')", launch)
    assert "is a test" in said
