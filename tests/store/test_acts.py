"""Authorizing and cancelling: who may, what it is bound to, and what the refusal says."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta

import asyncpg
import pytest

from tests.store.stage import HOST_KEY, Stage, WarmDb, add_sites, authorize, insert, refused
from tests.support import Db

pytestmark = pytest.mark.asyncio(loop_scope="module")

AUTHORIZE = "select tminus.authorize($1, tminus.digest($1))"
AUTHORIZE_FOR = "select tminus.authorize($1, tminus.digest($1), $2)"
CHANGES_OF_A_SITE = (
    "address = '192.0.2.8'",
    "port = 2222",
    "username = 'u'",
    "credential = 'c'",
    f"host_key = '{HOST_KEY}'",
    "jump_host = 'j'",
)
CANCEL = "select tminus.cancel($1)"


class TestAuthorize:
    async def test_it_is_bound_to_what_was_seen_and_names_who_did_it(self, shared: WarmDb) -> None:
        script = await insert(shared)
        digest = await shared.value("select tminus.digest($1)", script, role="bob")
        await authorize(shared, script)
        row = (await shared.fetch("select * from tminus.scheduled_scripts where id = $1", script))[0]
        assert (row["status"], row["authorized_by"], row["status_reason"]) == ("scheduled", "bob", None)
        kept = (await shared.fetch("select * from tminus.authorizations where id = $1", row["authorization_id"]))[0]
        assert (kept["digest"], kept["approver"], kept["session"], kept["site_ids"]) == (
            digest,
            "bob",
            "bob",
            row["sites"],
        )
        event = (
            await shared.fetch("select * from tminus.events where script_id = $1 and kind = 'authorized'", script)
        )[0]
        assert event["principal"] == "bob"
        assert digest in event["detail"]

    async def test_a_stale_digest(self, shared: WarmDb) -> None:
        script = await insert(shared)
        stale = await shared.value("select tminus.digest($1)", script)
        await shared.fetch("update tminus.scheduled_scripts set script = ':put 2' where id = $1", script, role="alice")
        now = await shared.value("select tminus.digest($1)", script)
        text = await refused(shared, "bob", "select tminus.authorize($1, $2)", script, stale)
        assert f"the digest does not match: scheduled script {script} is now {now}" in text
        assert "Review it again" in text

    @pytest.mark.parametrize("digest", [None, "", "tminus1:"])
    async def test_no_digest(self, shared: WarmDb, digest: str | None) -> None:
        script = await insert(shared)
        assert "does not match" in await refused(shared, "bob", "select tminus.authorize($1, $2)", script, digest)

    @pytest.mark.parametrize(
        "change",
        [
            "address = '192.0.2.8'",
            "port = 2222",
            "username = 'u'",
            "credential = 'c'",
            f"host_key = '{HOST_KEY}'",
            "jump_host = 'j'",
        ],
    )
    async def test_a_site_that_was_changed_after_it_was_seen(self, clean: Db, change: str) -> None:
        await add_sites(clean, "a")
        script = await insert(clean)
        seen = await clean.value("select tminus.digest($1)", script)
        await clean.fetch(f"update tminus.sites set {change}", role="api")
        assert "does not match" in await refused(clean, "bob", "select tminus.authorize($1, $2)", script, seen)

    async def test_the_author(self, shared: WarmDb) -> None:
        script = await insert(shared, "api", created_by="bob")
        assert f"bob is the author of scheduled script {script}" in await refused(shared, "bob", AUTHORIZE, script)

    async def test_the_last_editor(self, shared: WarmDb) -> None:
        script = await insert(shared, "api", created_by="carol")
        await shared.fetch(
            "update tminus.scheduled_scripts set script = ':put 2', updated_by = 'bob' where id = $1",
            script,
            role="api",
        )
        assert "bob is the last editor of" in await refused(shared, "bob", AUTHORIZE, script)

    async def test_the_author_through_a_gateway(self, shared: WarmDb) -> None:
        script = await insert(shared)
        assert "alice is the author" in await refused(shared, "api", AUTHORIZE_FOR, script, "alice")

    @pytest.mark.parametrize("name", ["Alice", "ALICE ", " alice"])
    async def test_the_author_however_the_name_is_written(self, shared: WarmDb, name: str) -> None:
        script = await insert(shared)
        assert f"{name} is the author" in await refused(shared, "api", AUTHORIZE_FOR, script, name)

    async def test_not_an_approver(self, shared: WarmDb) -> None:
        script = await insert(shared)
        assert "arthur is not an approver" in await refused(shared, "arthur", AUTHORIZE, script)
        for role in ("rita", "tminus_serve"):
            assert "permission denied" in await refused(shared, role, AUTHORIZE, script, clear=False)

    async def test_in_anothers_name(self, shared: WarmDb) -> None:
        script = await insert(shared)
        assert "bob may not act for carol" in await refused(shared, "bob", AUTHORIZE_FOR, script, "carol")

    async def test_a_gateway_names_the_approver(self, shared: WarmDb) -> None:
        script = await insert(shared)
        await shared.value(AUTHORIZE_FOR, script, "carol", role="api")
        kept = (await shared.fetch("select * from tminus.authorizations where script_id = $1", script))[0]
        assert (kept["approver"], kept["session"]) == ("carol", "api")

    async def test_after_t_0(self, clean: Db) -> None:
        await add_sites(clean, "a")
        script = await insert(clean)
        await clean.move_clock(timedelta(hours=1))
        text = await refused(clean, "bob", AUTHORIZE, script)
        assert "has passed; it can no longer be authorized (Set launch_at to a time that is still to come" in text
        await clean.fetch(
            "update tminus.scheduled_scripts set launch_at = tminus.clock() + interval '1 minute'", role="alice"
        )
        await authorize(clean, script)

    async def test_what_is_authorized(self, shared: WarmDb) -> None:
        script = await insert(shared)
        await authorize(shared, script)
        assert "is authorized already, by bob at 20" in await refused(shared, "bob", AUTHORIZE, script)

    async def test_what_is_cancelled(self, shared: WarmDb) -> None:
        script = await insert(shared)
        await shared.fetch(CANCEL, script, role="alice")
        assert "is cancelled; it can no longer be authorized" in await refused(shared, "bob", AUTHORIZE, script)

    async def test_what_is_not_there(self, shared: WarmDb) -> None:
        nothing = uuid.uuid4()
        for sql in (AUTHORIZE, CANCEL):
            assert f"there is no scheduled script {nothing}" in await refused(shared, "bob", sql, nothing)
        assert await shared.value("select tminus.digest($1)", nothing) is None

    async def test_an_occurrence_that_passed_unauthorized_is_not_made_up_for(self, stage: Stage) -> None:
        await add_sites(stage.db, "a")
        script = await insert(stage.db, cron="0 2 * * *")
        await stage.plan()
        instance = await stage.instance(ttl=864000)
        planned = (await stage.row(script))["launch_at"]
        await stage.db.fetch(
            "update public.moved_clock set by = $1 - statement_timestamp() + interval '10 minutes'", planned
        )
        await authorize(stage.db, script)
        assert await stage.launch_due(instance) == []
        await stage.plan()
        assert (await stage.row(script))["launch_at"] == planned + timedelta(days=1)

    async def test_the_sites_stand_still_while_it_is_being_authorized(self, clean: Db) -> None:
        await add_sites(clean, "a")
        script = await insert(clean)
        async with clean.connect("bob") as approver, clean.connect("api") as tool, approver.transaction():
            await approver.fetch(AUTHORIZE, script)
            await tool.execute("set lock_timeout = '50ms'")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await tool.execute("update tminus.sites set address = '192.0.2.1'")

    async def test_one_of_two_at_the_same_time_is_told_so(self, clean: Db) -> None:
        await add_sites(clean, "a")
        script = await insert(clean)
        outcomes = await asyncio.gather(*(authorize(clean, script) for _ in range(4)), return_exceptions=True)
        assert sum(outcome is None for outcome in outcomes) == 1
        assert all("is authorized already" in str(outcome) for outcome in outcomes if outcome is not None)
        assert await clean.value("select count(*) from tminus.authorizations") == 1


class TestPolicy:
    async def test_off_lets_one_person_do_both(self, clean: Db) -> None:
        await add_sites(clean, "a")
        await clean.fetch("update tminus.policy set approval = 'off'")
        await clean.run("grant tminus_author to bob")
        try:
            script = await insert(clean, "bob")
            await authorize(clean, script)
        finally:
            await clean.run("revoke tminus_author from bob")
        other = await insert(clean)
        assert "alice is not an approver" in await refused(clean, "alice", AUTHORIZE, other)

    async def test_a_policy_that_is_missing_is_the_strict_one(self, clean: Db) -> None:
        await add_sites(clean, "a")
        await clean.fetch("delete from tminus.policy")
        script = await insert(clean, "api", created_by="bob")
        assert "bob is the author" in await refused(clean, "bob", AUTHORIZE, script)

    async def test_nobody_but_the_owner_changes_it(self, shared: WarmDb) -> None:
        for role in ("alice", "bob", "api", "rita", "tminus_serve"):
            await refused(shared, role, "update tminus.policy set approval = 'off'", clear=False)
            await refused(shared, role, "delete from tminus.policy", clear=False)


class TestCancel:
    async def test_before_the_launch_nothing_will_run(self, stage: Stage) -> None:
        await add_sites(stage.db, "a")
        instance = await stage.instance()
        script = await insert(stage.db)
        await authorize(stage.db, script)
        await stage.db.fetch(CANCEL, script, role="alice")
        row = await stage.row(script)
        assert (row["status"], row["cancelled_by"], row["status_reason"]) == (
            "cancelled",
            "alice",
            "cancelled by alice",
        )
        assert row["finished_at"] is not None
        await stage.db.move_clock(timedelta(hours=1, minutes=1))
        assert await stage.launch_due(instance) == []

    async def test_during_the_launch_what_was_not_started_is_skipped_and_the_rest_finishes(self, stage: Stage) -> None:
        instance = await stage.instance()
        script = await stage.launch(instance, "a", "b", "c", "d")
        claims = await stage.claim(instance, 2)
        assert await stage.execute(instance, claims["a"].id) == [claims["a"].id]
        await stage.db.fetch(CANCEL, script, role="bob")
        runs = await stage.db.site_runs(script)
        assert [runs[site]["state"] for site in "abcd"] == ["running", "running", "skipped", "skipped"]
        assert (runs["c"]["reason"], runs["c"]["effect"]) == ("cancelled", "none")
        assert "Cancelled by bob" in runs["c"]["message"]
        assert await stage.execute(instance, claims["b"].id) == [], "nothing starts any more"
        assert await stage.end(instance, claims["a"].id) == [claims["a"].id]
        shown = await stage.db.script(script)
        assert (shown["status"], shown["launch_state"], shown["finished_at"]) == ("cancelled", "cancelled", None)
        assert await stage.end(instance, claims["b"].id, state="failed") == [claims["b"].id]
        await stage.store.fetch("housekeeping")
        shown = await stage.db.script(script)
        assert shown["finished_at"] is not None
        assert shown["progress"] == {"completed": ["a"], "failed": ["b", "c", "d"], "pending": []}

    async def test_a_run_that_is_given_back_after_it_ends_as_cancelled_at_once(self, stage: Stage) -> None:
        instance = await stage.instance()
        script = await stage.launch(instance, "a")
        claims = await stage.claim(instance)
        await stage.db.fetch(CANCEL, script, role="alice")
        await stage.store.fetch("release_site_runs", instance, [claims["a"].id], [60.0], ["offline"], ["No answer."])
        assert await stage.claim(instance) == {}
        await stage.store.fetch("housekeeping")
        run = (await stage.db.site_runs(script))["a"]
        assert (run["state"], run["reason"], run["message"]) == (
            "skipped",
            "cancelled",
            "Cancelled before it was started.",
        )
        assert (await stage.row(script))["finished_at"] is not None

    async def test_what_has_finished(self, stage: Stage) -> None:
        instance = await stage.instance()
        script = await stage.launch(instance, "a")
        await stage.run_through(instance, (await stage.claim(instance))["a"].id)
        await stage.store.fetch("housekeeping")
        for role in ("alice", "bob", "api"):
            assert "has finished at 20" in await refused(stage.db, role, CANCEL, script)

    async def test_what_is_cancelled(self, shared: WarmDb) -> None:
        script = await insert(shared)
        await shared.fetch(CANCEL, script, role="alice")
        assert f"scheduled script {script} is cancelled already, by alice at 20" in await refused(
            shared, "bob", CANCEL, script
        )

    async def test_anothers(self, shared: WarmDb) -> None:
        script = await insert(shared)
        text = await refused(shared, "arthur", CANCEL, script)
        assert f"scheduled script {script} belongs to alice, so arthur may not cancel it" in text
        for role in ("rita", "tminus_serve"):
            assert "permission denied" in await refused(shared, role, CANCEL, script, clear=False)
        assert "alice may not act for bob" in await refused(shared, "alice", "select tminus.cancel($1, 'bob')", script)

    async def test_a_gateway_cancels_for_a_person(self, shared: WarmDb) -> None:
        script = await insert(shared)
        await shared.fetch("select tminus.cancel($1, 'carol')", script, role="api")
        assert await shared.value("select cancelled_by from tminus.scheduled_scripts where id = $1", script) == "carol"


class TestEditsTooLate:
    async def test_after_the_launch(self, stage: Stage) -> None:
        instance = await stage.instance()
        script = await stage.launch(instance, "a")
        sql = "update tminus.scheduled_scripts set script = ':put 2' where id = $1"
        for role in ("alice", "api", None):
            text = await refused(stage.db, role, sql, script)
            assert f"scheduled script {script} was launched at 20" in text
            assert "cannot be edited any more (Insert a new scheduled script.)" in text

    async def test_after_it_was_cancelled(self, shared: WarmDb) -> None:
        script = await insert(shared)
        await shared.fetch(CANCEL, script, role="alice")
        sql = "update tminus.scheduled_scripts set script = ':put 2' where id = $1"
        assert "is cancelled (cancelled by alice); it cannot be edited" in await refused(shared, "alice", sql, script)

    async def test_an_edit_between_the_occurrences_pauses_the_rest_and_leaves_the_running_launch_alone(
        self, stage: Stage
    ) -> None:
        await add_sites(stage.db, "a")
        instance = await stage.instance(ttl=1e6)
        script = await insert(stage.db, cron="* * * * *")
        await authorize(stage.db, script)
        await stage.plan()
        await stage.db.move_clock(timedelta(minutes=1))
        [launch] = await stage.launch_due(instance)
        await stage.db.fetch(
            "update tminus.scheduled_scripts set script = ':put 2' where id = $1", script, role="alice"
        )
        assert (await stage.row(script))["status"] == "unauthorized"
        assert await stage.db.value("select script from tminus.launches where id = $1", launch) == ":put hello"
        await stage.run_through(instance, (await stage.claim(instance))["a"].id)
        await stage.db.move_clock(timedelta(minutes=1))
        assert await stage.launch_due(instance) == []
        assert (await stage.db.script(script))["progress"]["completed"] == ["a"]


async def test_the_audit_trail_is_append_only_for_everybody(shared: WarmDb) -> None:
    script = await insert(shared)
    await authorize(shared, script)
    for table in ("events", "authorizations"):
        for sql in (
            f"delete from tminus.{table}",
            f"update tminus.{table} set session = 'x'",
            f"truncate tminus.{table} cascade",
        ):
            assert "is append-only" in await refused(shared, None, sql)
            for role in ("alice", "bob", "api", "tminus_serve"):
                await refused(shared, role, sql, clear=False)
