"""A retry: the content of a launch once more, on the sites that are safe to repeat, by a decision of its own."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.store.stage import Stage, authorize, insert, refused
from tests.store.test_waves import end, launch_row, names
from tminus.domain.endings import LaunchKind
from tminus.store.launches import housekeeping, launch_content

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENDS = ["completed", "failed", "unknown", "offline", "busy"]
RETRY = "select tminus.retry($1)"
NAMED = "select tminus.retry($1, sites => $2)"


async def ended(stage: Stage, **columns: object) -> tuple[UUID, UUID, UUID]:
    """A launch that ended as ENDS, on s000 and so on: (instance, scheduled script, launch)."""
    instance = await stage.instance(ttl=1e6)
    script = await stage.launch(instance, *names(len(ENDS)), **columns)
    claims = await stage.claim(instance)
    for site, how in zip(names(len(ENDS)), ENDS, strict=True):
        await end(stage, instance, claims[site].id, how)
    await housekeeping(stage.store)
    return instance, script, (await launch_row(stage, script))["id"]


async def runs_of(stage: Stage, launch: object) -> dict[str, Any]:
    rows = await stage.db.fetch("select * from tminus.site_runs where launch_id = $1", launch)
    return {row["site_id"]: row for row in rows}


async def test_it_goes_to_the_sites_where_nothing_was_done_and_to_no_other(stage: Stage) -> None:
    instance, script, launch = await ended(stage, max_failures="50%")
    first = await runs_of(stage, launch)
    again = await stage.db.value(RETRY, launch, role="bob")
    claims = await stage.claim(instance)
    assert sorted(claims) == ["s003", "s004"]
    for site, claim in claims.items():
        assert claim.launch_id == again
        assert claim.authorized_site == first[site]["site_digest"]
    content, original = await launch_content(stage.store, again), await launch_content(stage.store, launch)
    assert (content.kind, content.script, content.digest) == (LaunchKind.RETRY, original.script, original.digest)
    assert content.occurrence != original.occurrence, "what this host started already does not count as this"
    [event] = await stage.events("retried")
    assert (event["principal"], json.loads(event["detail"])["digest"]) == ("bob", content.digest)
    for claim in claims.values():
        await stage.run_through(instance, claim.id)
    await housekeeping(stage.store)
    shown = await stage.db.script(script)
    assert shown["progress"] == {"completed": ["s000", "s003", "s004"], "failed": ["s001", "s002"], "pending": []}
    assert shown["finished_at"] is not None
    assert "is safe to repeat" in await refused(stage.db, "bob", RETRY, again)


async def test_what_was_done_in_part_or_is_not_known_is_retried_only_by_name(stage: Stage) -> None:
    instance, _, launch = await ended(stage)
    assert "it completed on s000" in await refused(stage.db, "bob", NAMED, launch, ["s000", "s001"])
    assert "'elsewhere' is no site of launch" in await refused(stage.db, "bob", NAMED, launch, ["elsewhere"])
    assert "needs at least one site" in await refused(stage.db, "bob", NAMED, launch, [])
    await stage.db.value(NAMED, launch, ["s002", "s001"], role="bob")
    assert sorted(await stage.claim(instance)) == ["s001", "s002"]


async def test_what_a_retry_completed_is_not_run_again_through_the_launch_before_it(stage: Stage) -> None:
    instance, _, launch = await ended(stage)
    again = await stage.db.value(NAMED, launch, ["s003"], role="bob")
    assert "is still under way" in await refused(stage.db, "bob", RETRY, launch)
    await stage.run_through(instance, (await stage.claim(instance))["s003"].id)
    await housekeeping(stage.store)
    for earlier in (launch, again):
        assert "it completed on s003" in await refused(stage.db, "bob", NAMED, earlier, ["s003"])
    third = await stage.db.value(RETRY, again, role="bob")
    assert sorted(await runs_of(stage, third)) == ["s004"]
    assert await stage.db.value("select retry_of from tminus.launches where id = $1", third) == launch


async def test_it_is_of_all_that_was_authorized_and_of_nothing_after_its_end(stage: Stage) -> None:
    end_of_starts = await stage.db.value("select tminus.clock() + interval '2 hours'")
    await stage.db.fetch(
        "insert into tminus.windows (name, spans) values ('now', array[tstzrange(now() - interval '1 day', now() + interval '1 day')])",
        role="api",
    )
    await stage.db.run(
        "update tminus.windows set opens_at = now() - interval '1 day', closes_at = now() + interval '1 day'"
    )
    _, script, launch = await ended(stage, windows=["now"], stop_starting_at=end_of_starts)
    again = await stage.db.value(RETRY, launch, role="bob")
    content, original = await launch_content(stage.store, again), await launch_content(stage.store, launch)
    assert content.row == original.row
    assert (content.row.windows, content.row.stop_starting_at) == (("now",), end_of_starts)
    await stage.db.move_clock(timedelta(hours=2))
    await housekeeping(stage.store)
    runs = await runs_of(stage, again)
    assert {run["reason"] for run in runs.values()} == {"missed"}
    assert "stop_starting_at" in await refused(stage.db, "bob", RETRY, again)
    assert (await stage.row(script))["finished_at"] is not None


async def test_it_is_a_decision_of_an_approver_who_did_not_write_it(stage: Stage) -> None:
    _, _, launch = await ended(stage)
    assert "only members of tminus_approver" in await refused(stage.db, "alice", RETRY, launch)
    by_alice = "select tminus.retry($1, by => 'alice')"
    assert "alice is the author" in await refused(stage.db, "api", by_alice, launch)
    await stage.db.run("update tminus.policy set approval = 'off'")
    assert await stage.db.value(by_alice, launch, role="api") is not None


async def test_only_what_has_ended_by_itself_is_retried(stage: Stage) -> None:
    instance = await stage.instance(ttl=1e6)
    script = await stage.launch(instance, "a", "b")
    launch = (await launch_row(stage, script))["id"]
    assert "only one that has finished or was halted" in await refused(stage.db, "bob", RETRY, launch)
    await stage.db.fetch("select tminus.cancel($1)", script, role="alice")
    assert "only one that has finished or was halted" in await refused(stage.db, "bob", RETRY, launch)
    assert "there is no launch" in await refused(stage.db, "bob", RETRY, script)


async def test_after_a_halt_the_rest_is_retried_and_a_retry_can_be_cancelled(stage: Stage) -> None:
    instance = await stage.instance(ttl=1e6)
    script = await stage.launch(instance, *names(3), wave_sizes=["1"])
    launch = (await launch_row(stage, script))["id"]
    await stage.store.call("select tminus.halt($1, 1, 'so')", launch)
    run = (await stage.db.site_runs(script))["s000"]
    assert run["reason"] == "halted"
    again = await stage.db.value(RETRY, launch, role="bob")
    assert sorted(await runs_of(stage, again)) == names(3)
    await stage.claim(instance, 1)
    await stage.db.fetch("select tminus.cancel($1)", script, role="alice")
    runs = await runs_of(stage, again)
    assert [runs[site]["reason"] for site in names(3)][1:] == ["cancelled", "cancelled"]
    assert "is cancelled" in await refused(stage.db, "bob", RETRY, launch)


async def test_a_site_that_was_changed_since_keeps_the_digest_that_was_authorized(stage: Stage) -> None:
    instance, _, launch = await ended(stage)
    await stage.db.fetch("update tminus.sites set address = 'elsewhere' where id = 's003'", role="api")
    await stage.db.value(RETRY, launch, role="bob")
    claim = (await stage.claim(instance))["s003"]
    assert claim.authorized_site == (await runs_of(stage, launch))["s003"]["site_digest"]
    assert claim.site.part.address == "elsewhere", "the run compares them, and ends as site_changed"


async def test_a_scheduled_script_that_was_not_launched_has_nothing_to_retry(stage: Stage) -> None:
    await stage.instance()
    await ended(stage)
    script = await insert(stage.db, sites=["s000"])
    await authorize(stage.db, script)
    assert "there is no launch" in await refused(stage.db, "bob", RETRY, script)
