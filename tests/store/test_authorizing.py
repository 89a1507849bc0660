"""Four eyes in the database: who may authorize what, for how long, and what each decision leaves behind."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.store.stage import HOST_KEY, Stage, add_sites, authorize, insert, refused
from tests.support import Db
from tminus.domain.review import SAME_KEY, UNSERVED, facts
from tminus.store.launches import housekeeping
from tminus.store.review import read_review

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOUR = timedelta(hours=1)
AUTHORIZE = "select tminus.authorize($1, tminus.digest($1))"
SIGNATURE = "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n"


async def review(db: Db, script: object, role: str = "bob") -> dict[str, Any]:
    return json.loads(await db.value("select tminus.review($1)", script, role=role))


async def status(stage: Stage, script: object) -> tuple[str, str | None]:
    row = await stage.row(script)
    return row["status"], row["status_reason"]


# -- named after what goes wrong elsewhere ---------------------------------------------------------------------------------


async def test_edit_then_approve(stage: Stage) -> None:
    """The author edits between the review and the approval: what was seen is not what is there."""
    await add_sites(stage.db, "a")
    script = await insert(stage.db)
    seen = (await review(stage.db, script))["digest"]
    await stage.db.fetch("update tminus.scheduled_scripts set script = ':put evil' where id = $1", script, role="alice")
    said = await refused(stage.db, "bob", "select tminus.authorize($1, $2)", script, seen)
    assert "the digest does not match" in said


async def test_approve_then_edit(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    script = await insert(stage.db)
    await authorize(stage.db, script)
    await stage.db.fetch("update tminus.scheduled_scripts set script = ':put evil' where id = $1", script, role="alice")
    row = await stage.row(script)
    assert (row["status"], row["authorization_id"], row["authorized_by"], row["authorization_expires_at"]) == (
        "unauthorized",
        None,
        None,
        None,
    )
    assert not await stage.launch_due(await stage.instance())


async def test_approval_bypass_by_changing_the_owner(stage: Stage) -> None:
    """Whoever is the author stays the author: neither an edit nor an upsert makes somebody else of them."""
    await add_sites(stage.db, "a")
    script = await insert(stage.db)
    for role, name in (("alice", "bob"), ("api", "bob")):
        said = await refused(
            stage.db, role, "update tminus.scheduled_scripts set created_by = $2 where id = $1", script, name
        )
        assert "created_by" in said
    # Whoever edits what is another's is barred as its last editor, and the author still is.
    made = await insert(stage.db, "api", created_by="bob")
    await stage.db.fetch(
        "update tminus.scheduled_scripts set description = 'x', updated_by = 'carol' where id = $1", made, role="api"
    )
    for name, what in (("bob", "author"), ("carol", "last editor")):
        said = await refused(stage.db, "api", "select tminus.authorize($1, tminus.digest($1), $2)", made, name)
        assert f"{name} is the {what}" in said


async def test_self_approval(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    await stage.db.run("grant tminus_approver to alice")
    try:
        script = await insert(stage.db)
        assert "alice is the author" in await refused(stage.db, "alice", AUTHORIZE, script)
        assert "may not act for bob" in await refused(
            stage.db, "alice", "select tminus.authorize($1, tminus.digest($1), 'bob')", script
        )
    finally:
        await stage.db.run("revoke tminus_approver from alice")


async def test_two_pending_requests_share_nothing(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    first, second = await insert(stage.db), await insert(stage.db)
    for script in (first, second):
        await stage.db.value("select tminus.request_authorization($1)", script, role="alice")
    digest = await stage.db.value("select tminus.digest($1)", first)
    assert "does not match" in await refused(stage.db, "bob", "select tminus.authorize($1, $2)", second, digest)
    await stage.db.value("select tminus.authorize($1, $2)", first, digest, role="bob")
    assert (await status(stage, first))[0] == "scheduled"
    assert (await status(stage, second))[0] == "unauthorized"
    requested = await stage.events("authorization_requested")
    assert [(e["script_id"], json.loads(e["detail"])["digest"] == digest) for e in requested] == [
        (first, True),
        (second, False),
    ]


async def test_expired_approval(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    await stage.db.run("update tminus.policy set authorization_ttl = '1 day'")
    once = await insert(stage.db)
    often = await insert(stage.db, cron="0 * * * *")
    for script in (once, often):
        await authorize(stage.db, script)
    await stage.plan()
    instance = await stage.instance(ttl=600)
    await stage.db.move_clock(timedelta(days=1, minutes=1))
    assert not await stage.launch_due(instance)  # before anybody has looked at what expired
    assert await stage.store.fetch("housekeeping")
    assert (await status(stage, often))[0] == "unauthorized"
    assert "the authorization by bob expired at" in ((await status(stage, often))[1] or "")
    assert [e["script_id"] for e in await stage.events("authorization_expired")] == [once, often]
    await authorize(stage.db, often)
    assert (await status(stage, often))[0] == "scheduled"


async def test_nothing_of_a_launch_starts_once_its_authorization_expired(stage: Stage) -> None:
    await add_sites(stage.db, "a", "b", "c")
    instance = await stage.instance(ttl=10 * HOUR.total_seconds())
    script = await insert(stage.db, start_within=5 * HOUR, max_concurrency=2)
    await stage.db.value(
        "select tminus.authorize($1, tminus.digest($1), expires => tminus.clock() + interval '2 hours')",
        script,
        role="bob",
    )
    await stage.db.move_clock(HOUR)
    assert None not in await stage.launch_due(instance)
    claims = await stage.claim(instance)
    first, second = (claim.id for claim in claims.values())
    await stage.run_through(instance, first)
    await stage.db.move_clock(HOUR)
    # Neither what waits, nor what is claimed and not started.
    assert await stage.claim(instance) == {}
    assert await stage.execute(instance, second) == []
    assert [row["is_held"] for row in await stage.store.fetch("why_not_started", instance, [second])] == [True]
    said = "192.0.2.1 does not answer."
    assert len(await stage.store.fetch("release_site_runs", instance, [second], [0.0], ["offline"], [said])) == 1
    assert (await housekeeping(stage.store)).given_up == 2
    runs = (await stage.db.site_runs(script)).values()
    assert sorted((run["state"], run["reason"] or "") for run in runs) == [
        ("completed", ""),
        *[("skipped", "missed")] * 2,
    ]
    messages = sorted(run["message"] for run in runs if run["state"] == "skipped")
    assert all(message.startswith("Not started before the authorization expired, at 20") for message in messages)
    assert [said in message for message in messages].count(True) == 1


async def test_a_retry_lasts_as_long_as_its_approver_says_or_the_policy(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    instance = await stage.instance(ttl=100 * HOUR.total_seconds())
    script = await insert(stage.db, start_within=5 * HOUR)
    await stage.db.value(
        "select tminus.authorize($1, tminus.digest($1), expires => tminus.clock() + interval '2 hours')",
        script,
        role="bob",
    )
    await stage.db.move_clock(HOUR)
    assert None not in await stage.launch_due(instance)
    launch = await stage.db.value("select id from tminus.launches where script_id = $1", script)
    await stage.db.move_clock(2 * HOUR)
    await housekeeping(stage.store)
    # A decision of its own: it is not over with the first one, and has an end of its own.
    retry = "select tminus.retry($1, expires => tminus.clock() + $2::interval)"
    assert "would have expired" in await refused(stage.db, "bob", retry, launch, timedelta(0))
    again = await stage.db.value(retry, launch, HOUR, role="bob")
    await stage.db.move_clock(HOUR)
    assert await stage.claim(instance) == {}
    await housekeeping(stage.store)
    assert await stage.db.value("select reason from tminus.site_runs where launch_id = $1", again) == "missed"
    await stage.db.run("update tminus.policy set authorization_ttl = '3 hours'")
    third = await stage.db.value("select tminus.retry($1)", launch, role="bob")
    lasts = "select authorization_expires_at - started_at from tminus.launches where id = $1"
    assert await stage.db.value(lasts, third) == 3 * HOUR
    assert sorted(await stage.claim(instance)) == ["a"]


async def test_approval_of_what_was_not_shown(stage: Stage) -> None:
    """The digest covers what the review shows: each of its parts changes it."""
    await add_sites(stage.db, "a", "b")
    script = await insert(stage.db, sites=["a"])
    digests = [(await review(stage.db, script))["digest"]]
    for sql in (
        "update tminus.scheduled_scripts set script = ':put 2' where id = $1",
        "update tminus.scheduled_scripts set sites = '{a,b}' where id = $1",
        "update tminus.scheduled_scripts set sites = '{b,a}' where id = $1",
        "update tminus.scheduled_scripts set make_backup = false where id = $1",
        "update tminus.scheduled_scripts set launch_at = launch_at + interval '1 second' where id = $1",
        "update tminus.scheduled_scripts set start_within = '2 hours' where id = $1",
        "update tminus.scheduled_scripts set detached = true where id = $1",
    ):
        await stage.db.fetch(sql, script, role="alice")
        digests.append((await review(stage.db, script))["digest"])
    await stage.db.run("update tminus.sites set address = 'elsewhere' where id = 'b'", role="api")
    digests.append((await review(stage.db, script))["digest"])
    assert len(set(digests)) == len(digests)


# -- asking, deciding, taking back -----------------------------------------------------------------------------------------


async def test_a_request_is_an_event_with_whom_to_tell_and_authorizes_nothing(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    script = await insert(stage.db, notify=["user_1"])
    assert (await review(stage.db, script))["requested"] is None
    await stage.db.value("select tminus.request_authorization($1)", script, role="alice")
    [event] = await stage.events("authorization_requested")
    assert (event["principal"], json.loads(event["detail"])["notify"]) == ("alice", ["user_1"])
    assert (await status(stage, script))[0] == "unauthorized"
    assert (await review(stage.db, script))["requested"]["by"] == "alice"
    # An edit makes another request of it.
    await stage.db.fetch("update tminus.scheduled_scripts set script = ':put 2' where id = $1", script, role="alice")
    assert (await review(stage.db, script))["requested"] is None


async def test_who_may_ask_and_when(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    script = await insert(stage.db)
    ask = "select tminus.request_authorization($1)"
    assert "belongs to alice" in await refused(stage.db, "arthur", ask, script)
    await authorize(stage.db, script)
    assert "is scheduled; there is nothing to ask for" in await refused(stage.db, "alice", ask, script)


async def test_an_authorization_is_withdrawn_with_a_reason(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    script = await insert(stage.db)
    take_back = "select tminus.withdraw($1, $2)"
    assert "there is no authorization to withdraw" in await refused(stage.db, "bob", take_back, script, "why")
    await stage.db.value(
        "select tminus.authorize($1, tminus.digest($1), reason => 'window agreed')", script, role="bob"
    )
    assert "the note is empty" in await refused(stage.db, "bob", take_back, script, " ")
    assert "belongs to alice" in await refused(stage.db, "arthur", take_back, script, "why")
    await stage.db.value(take_back, script, "the window was moved", role="bob")
    assert await status(stage, script) == ("unauthorized", "authorization withdrawn by bob: the window was moved")
    [given], [taken] = await stage.events("authorized"), await stage.events("authorization_withdrawn")
    assert json.loads(given["detail"])["reason"] == "window agreed"
    assert json.loads(taken["detail"])["reason"] == "the window was moved"
    await stage.db.move_clock(timedelta(hours=1, seconds=1))
    assert not await stage.launch_due(await stage.instance())


async def test_how_long_an_authorization_lasts(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    script = await insert(stage.db)
    give = "select tminus.authorize($1, tminus.digest($1), expires => tminus.clock() + $2::interval)"
    assert "expired" in await refused(stage.db, "bob", give, script, timedelta(seconds=-1))
    assert "before the launch" in await refused(stage.db, "bob", give, script, timedelta(minutes=30))
    await stage.db.run("update tminus.policy set authorization_ttl = '1 day'")
    assert "lasts 1 day at most" in await refused(stage.db, "bob", give, script, timedelta(days=2))
    await stage.db.value(give, script, timedelta(hours=2), role="bob")
    lasts = await stage.db.value(
        "select authorization_expires_at - tminus.clock() from tminus.scheduled_scripts where id = $1", script
    )
    assert timedelta(hours=1, minutes=59) < lasts <= timedelta(hours=2)


# -- signatures ------------------------------------------------------------------------------------------------------------


async def test_a_living_daemon_that_asks_for_signatures_is_told_of_at_once(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    script = await insert(stage.db)
    instance = await stage.instance()
    await stage.db.run("set session_replication_role = replica; update tminus.instances set requires_signature = true")
    assert "the daemon one launches only what its approver has signed" in await refused(
        stage.db, "bob", AUTHORIZE, script
    )
    for nonsense in ("x", "", SIGNATURE + "x", SIGNATURE * 300):
        said = await refused(
            stage.db, "bob", "select tminus.authorize($1, tminus.digest($1), signature => $2)", script, nonsense
        )
        assert "not what ssh-keygen -Y sign writes" in said
    await stage.db.value(
        "select tminus.authorize($1, tminus.digest($1), signature => $2)", script, SIGNATURE, role="bob"
    )
    assert instance


async def test_with_a_policy_a_signature_has_to_name_its_end(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    script = await insert(stage.db)
    await stage.db.run("update tminus.policy set authorization_ttl = '1 day'")
    said = await refused(
        stage.db, "bob", "select tminus.authorize($1, tminus.digest($1), signature => $2)", script, SIGNATURE
    )
    assert "lasts 1 day at most" in said


# -- what is shown ---------------------------------------------------------------------------------------------------------


async def test_a_review_shows_all_that_is_authorized_and_where(stage: Stage) -> None:
    await add_sites(stage.db, "a", "b")
    await stage.db.run("update tminus.sites set timezone = 'Asia/Tokyo', enabled = false where id = 'b'", role="api")
    script = await insert(stage.db, sites=["b", "a"], notify=["user_1"], max_concurrency=7)
    seen = await review(stage.db, script, role="rita")
    assert seen["digest"] == await stage.db.value("select tminus.digest($1)", script)
    assert [site["id"] for site in seen["sites"]] == ["b", "a"]
    assert (seen["site_count"], seen["options"]["max_concurrency"], seen["last_authorized"]) == (2, 7, None)
    tokyo, utc = seen["sites"]
    assert (tokyo["enabled"], tokyo["last_seen_at"], tokyo["variables"]) == (False, None, {})
    assert utc["local_time"].replace(" ", "T") == seen["launch_at"][:19]
    assert tokyo["local_time"] != utc["local_time"]


async def test_a_review_names_sites_that_no_living_daemon_could_serve(stage: Stage) -> None:
    await add_sites(stage.db, "a", "b", "c", "d", "off")
    await stage.db.run("update tminus.sites set credential = 'lost' where id in ('a', 'c', 'off')", role="api")
    await stage.db.run("update tminus.sites set runner = 'nobody' where id = 'd'", role="api")
    await stage.db.run("update tminus.sites set enabled = false where id = 'off'", role="api")
    script = await insert(stage.db, sites=["c", "a", "b", "d", "off"])
    assert (await review(stage.db, script))["unserved"] == {}, "without a daemon nothing can be said"
    await stage.instance()
    unserved = (await review(stage.db, script))["unserved"]
    assert unserved["no living daemon has in its configuration the credential 'lost'"] == ["c", "a"]
    assert [sites for why, sites in unserved.items() if "'nobody'" in why] == [["d"]]
    async with stage.db.connect() as connection:
        shown = await read_review(connection, script)
    assert shown is not None
    assert dict(facts(shown))[UNSERVED].startswith("no living daemon has")


async def test_a_review_names_sites_that_may_be_one_router(stage: Stage) -> None:
    await add_sites(stage.db, "a", "b", "c", "d", "e", "off")
    key, other = HOST_KEY, HOST_KEY[:-1] + "A"
    await stage.db.fetch("update tminus.sites set host_key = $1 where id in ('a', 'b', 'off')", key, role="api")
    await stage.db.fetch("update tminus.sites set enabled = false where id = 'off'", role="api")
    await stage.db.fetch("update tminus.sites set host_key = $1 where id in ('c', 'd')", other, role="api")
    script = await insert(stage.db, sites=["a", "e"])
    await stage.db.run("update tminus.sites set seen_host_key = null")
    assert (await review(stage.db, script))["same_key"] == [["a", "b"]], "c and d are no sites of it"
    await stage.db.run("update tminus.sites set serial = 'serial of ' || id")
    assert (await review(stage.db, script))["same_key"] == [], "their serial numbers tell them apart"
    await stage.db.fetch(
        "update tminus.sites set serial = null, host_key = null, seen_host_key = $1 where id in ('a', 'b')", key
    )
    assert (await review(stage.db, script))["same_key"] == [["a", "b"]]
    async with stage.db.connect() as connection:
        shown = await read_review(connection, script)
    assert shown is not None
    assert dict(facts(shown))[SAME_KEY] == "a, b"


async def test_a_review_says_what_changed_since_it_was_authorized(stage: Stage) -> None:
    await add_sites(stage.db, "a", "b", "c")
    script = await insert(stage.db, sites=["a", "b"])
    await authorize(stage.db, script)
    same = (await review(stage.db, script))["last_authorized"]
    assert (same["by"], same["changed"], same["was"], same["sites_removed"]) == ("bob", [], {}, [])
    await stage.db.fetch(
        "update tminus.scheduled_scripts set script = ':put 2', make_backup = false, sites = '{b,c}' where id = $1",
        script,
        role="alice",
    )
    await stage.db.run("update tminus.sites set address = 'elsewhere' where id = 'b'", role="api")
    seen = await review(stage.db, script)
    last = seen["last_authorized"]
    assert (last["changed"], last["was"], last["script"]) == (
        ["make_backup", "script"],
        {"make_backup": True},
        ":put hello",
    )
    assert {site["id"]: site["since_last"] for site in seen["sites"]} == {"b": "changed", "c": "added"}
    assert last["sites_removed"] == ["a"]


async def test_there_is_nothing_to_review(stage: Stage) -> None:
    assert await stage.db.value("select tminus.review(gen_random_uuid())", role="bob") is None
    assert await stage.db.value("select tminus.statement(gen_random_uuid())", role="bob") is None
