"""Post-checks in the database: what they may be, and that an authorization covers them and the variables that they name."""

from __future__ import annotations

import pytest

from tests.store.stage import Stage, add_sites, authorize, insert, insert_sql, refused
from tminus.services.analysis import Analyst
from tminus.store import findings, launches

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("checks", "says"),
    [
        (["true", ""], "post-check 2 is no expression"),
        (["  "], "post-check 1 is no expression"),
        (["true\n/system reboot"], "in one line"),
        (["x" * 1001], "1 to 1000 bytes"),
        ([None], "post-check 1 is no expression"),
        (["true"] * 21, "at most 20"),
        ([["true"], ["true"]], "a plain list"),
    ],
)
async def test_what_post_checks_may_not_be(stage: Stage, checks: list[str], says: str) -> None:
    await add_sites(stage.db, "a")
    assert says in await refused(stage.db, "alice", insert_sql({"post_checks": checks}), checks)


async def test_an_edit_of_a_check_resets_the_authorization_and_what_was_found(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    script = await insert(stage.db, post_checks=["1 = 1"])
    before = await stage.db.value("select tminus.digest($1)", script)
    await authorize(stage.db, script)
    await stage.db.fetch(
        "update tminus.scheduled_scripts set findings = '[]' where id = $1", script, role="tminus_serve"
    )
    await stage.db.fetch(
        "update tminus.scheduled_scripts set post_checks = '{1 = 2}' where id = $1", script, role="alice"
    )
    row = await stage.row(script)
    assert (row["status"], row["findings"]) == ("unauthorized", None)
    assert await stage.db.value("select tminus.digest($1)", script) != before


async def test_the_variables_of_a_check_are_needed_and_covered(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    script = await insert(stage.db, sites=["a"], post_checks=["[:len [/ip route find gateway=$(gw)]] > 0"])
    said = await refused(stage.db, "bob", "select tminus.authorize($1, tminus.digest($1))", script)
    assert "site a has no variable gw" in said
    await stage.db.fetch("update tminus.sites set variables = '{\"gw\": \"192.0.2.1\"}' where id = 'a'", role="api")
    before = await stage.db.value("select tminus.digest($1)", script)
    await stage.db.fetch("update tminus.sites set variables = '{\"gw\": \"192.0.2.9\"}' where id = 'a'", role="api")
    assert await stage.db.value("select tminus.digest($1)", script) != before


async def test_a_launch_its_retry_and_its_rehearsal_take_the_checks_with_them(stage: Stage) -> None:
    instance = await stage.instance()
    script = await stage.launch(instance, "a", post_checks=["true", "$(x) = 1"], variables='{"x": 1}')
    launch = await stage.db.value("select id from tminus.launches where script_id = $1", script)
    content = await launches.launch_content(stage.store, launch)
    assert content.row.post_checks == ("true", "$(x) = 1")
    assert content.names == ("x",)
    claim = (await stage.claim(instance))["a"]
    await stage.execute(instance, claim.id)
    await stage.end(instance, claim.id, state="failed")
    await stage.db.fetch("select tminus.finish_launches()")
    retry = await stage.db.value("select tminus.retry($1)", launch, role="bob")
    again = await launches.launch_content(stage.store, retry)
    assert (again.row.post_checks, again.names) == (content.row.post_checks, content.names)
    later = await insert(stage.db, sites=["a"], post_checks=["true"])
    rehearsal = await stage.db.value("select tminus.rehearse($1)", later, role="alice")
    assert (await launches.launch_content(stage.store, rehearsal)).row.post_checks == ("true",)


async def test_what_was_found_is_kept_only_with_the_checks_that_were_looked_at(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    instance = await stage.instance()
    script = await insert(stage.db, post_checks=["[/ip route get 0 nonsense=1]"])
    [seen] = await findings.unlinted_scripts(stage.store, instance, limit=5)
    analyst = Analyst()
    try:
        analysis = await analyst.look_at(seen.script, seen.site_timeout, seen.post_checks)
    finally:
        await analyst.stop()
    assert [found.code for found in analysis.findings] == ["post-check-refused"]
    await stage.db.fetch(
        "update tminus.scheduled_scripts set post_checks = '{true}' where id = $1", script, role="alice"
    )
    found = analysis.findings_json()
    assert not await findings.keep_findings(stage.store, seen, findings=found, summary=None)
    assert (await stage.row(script))["findings"] is None
    [seen] = await findings.unlinted_scripts(stage.store, instance, limit=5)
    assert await findings.keep_findings(stage.store, seen, findings="[]", summary=None)
