"""What is run now, and what is tested, needs a signature of its own: who owns the database starts neither.

The attacker is a superuser who writes past every trigger and recomputes what the schema would. What judges is the daemon's
Authority.
"""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.signing import Approver
from tests.store.stage import HOST_KEY, Stage, add_sites, insert, refused
from tests.store.test_signed_acts import BEHIND, Scene, soon
from tminus.domain.authorization import as_tested, why_not_covered
from tminus.domain.digest import combine, row_digest, site_digest
from tminus.services.authority import Refusal
from tminus.store import launches
from tminus.store.instances import Reach
from tminus.store.launches import DueScript

pytestmark = pytest.mark.asyncio(loop_scope="module")

RUN_NOW = "select tminus.run_now($1, 'bob', null, $2, $3, $4)"
STATED = "select tminus.run_now_statement($1, $2, 'bob', $3)"
TEST = "select tminus.request_test($1, 'bob', $2, $3, $4)"
TESTED = "select tminus.test_statement($1, $2, 'bob', $3)"


async def waiting(stage: Stage, folder: Path, **columns: object) -> Scene:
    """Something that bob signed for a time that is still to come."""
    await add_sites(stage.db, "a", "b", "lab")
    await stage.db.fetch("update tminus.sites set host_key = $1", HOST_KEY, role="api")
    await stage.db.run("update tminus.sites set allow_tests = true where id = 'lab'")
    bob = Approver.make(folder, "bob")
    lab = Reach(credentials=("default",), test_sites=("lab",))
    made = Scene(stage=stage, folder=folder, bob=bob, instance=await stage.instance(ttl=1e6, reach=lab))
    made.script = await insert(stage.db, **{"sites": ["a", "b"], "test_site_id": "lab", **columns})
    await bob.authorize(stage.db, made.script)
    await stage.plan()
    await stage.db.run(BEHIND + "update tminus.instances set requires_signature = true")
    return made


async def run_now(made: Scene, *, key: Approver | None = None, launch: UUID | None = None) -> UUID:
    db, expires, launch = made.stage.db, await soon(made.stage), launch or uuid4()
    text = await db.value(STATED, made.script, launch, expires, role="rita")
    await db.value(RUN_NOW, made.script, launch, await made.sign(text, key), expires, role="api")
    return launch


async def due(made: Scene) -> DueScript:
    async with launches.due_scripts(made.stage.store, limit=5) as transaction:
        [script] = [each for each in transaction.due if each.id == made.script]
    return script


async def why_not_launched(made: Scene) -> str | None:
    """Why a daemon makes no launch of it now; None if it would."""
    answer = await made.authority().may_launch(await due(made))
    assert answer is not None
    return answer.why if isinstance(answer, Refusal) else None


async def launch_due(made: Scene) -> UUID:
    [launch] = await made.stage.launch_due(made.instance)
    assert launch is not None
    return launch


@pytest.mark.parametrize("columns", [{}, {"cron": "0 3 1 1 *"}], ids=["once", "rule"])
async def test_a_signed_run_now_starts_at_once_as_the_launch_that_was_signed(
    stage: Stage, tmp_path: Path, columns: dict[str, object]
) -> None:
    made = await waiting(stage, tmp_path, **columns)
    launch = await run_now(made)
    assert await why_not_launched(made) is None
    assert await launch_due(made) == launch
    content = await made.content(launch)
    assert await made.why_not(made.authority(), content, "a") is None
    statement = content.occasion.statement()
    assert (statement.act, statement.launch, statement.approver) == ("run_now", launch, "bob")
    [row] = await stage.db.fetch("select * from tminus.authorizations where act = 'run_now'")
    assert (row["launch_id"], row["expires_at"]) == (launch, statement.expires)
    late = made.authority(now=lambda: datetime.now(UTC) + timedelta(hours=2))
    assert "expired" in (await made.why_not(late, content, "a") or "")
    (tmp_path / "allowed").write_text("")
    authority = made.authority()
    (tmp_path / "allowed").write_text(Approver.make(tmp_path, "carol").signs_for())
    assert "counts here" in (await made.why_not(authority, content, "a") or ""), "the key is not bob's any more"


async def test_run_now_is_refused_without_a_signature_of_somebody_who_may(stage: Stage, tmp_path: Path) -> None:
    made = await waiting(stage, tmp_path)
    launch, expires = uuid4(), await soon(stage)
    assert "runs only what its approver has signed" in await refused(
        stage.db, "bob", "select tminus.run_now($1)", made.script
    )
    signature = made.bob.sign(await stage.db.value(STATED, made.script, launch, expires))
    by_alice = RUN_NOW.replace("'bob'", "'alice'")
    assert "alice is the author" in await refused(stage.db, "api", by_alice, made.script, launch, signature, expires)
    assert "give its id" in await refused(stage.db, "api", RUN_NOW, made.script, None, signature, expires)
    assert "has to expire" in await refused(stage.db, "api", RUN_NOW, made.script, launch, signature, None)
    assert "ssh-keygen" in await refused(stage.db, "api", RUN_NOW, made.script, launch, "me", expires)
    await stage.db.fetch("update tminus.sites set port = 23 where id = 'b'", role="api")
    assert "not what was authorized" in await refused(stage.db, "api", RUN_NOW, made.script, launch, signature, expires)
    await stage.db.fetch("update tminus.sites set port = 22 where id = 'b'", role="api")
    await stage.db.value(RUN_NOW, made.script, launch, signature, expires, role="api")
    [event] = await stage.events("run_now")
    assert '"signed": true' in event["detail"]
    await launch_due(made)
    other = await insert(stage.db, sites=["a"])
    await made.bob.authorize(stage.db, other)
    said = await refused(stage.db, "api", RUN_NOW, other, launch, signature, expires)
    assert "asked for already" in said


SIGNED_BEFORE = "update tminus.scheduled_scripts set run_now_at = tminus.clock(), run_now_by = 'bob', run_now_launch = "


async def test_a_run_now_that_the_superuser_wrote(stage: Stage, tmp_path: Path) -> None:
    """Without a signature, and with that for its own time given out as one for now."""
    made = await waiting(stage, tmp_path)
    launch = uuid4()
    await stage.db.run(BEHIND + SIGNED_BEFORE + f"'{launch}' where id = '{made.script}'")
    assert "needs a signature of its own" in (await why_not_launched(made) or "")
    columns = "script_id, digest, row_digest, site_ids, site_digests, author, editor, approver, signature"
    await stage.db.run(
        BEHIND + f"insert into tminus.authorizations ({columns}, act, launch_id, expires_at)"
        f" select {columns}, 'run_now', '{launch}', tminus.clock() + interval '1 hour' from tminus.authorizations"
    )  # fmt: skip
    assert "counts here" in (await why_not_launched(made) or "")
    # The launch itself, with one authorization or the other: neither now nor as if it were its time.
    await launch_due(made)
    for act in ("launch", "run_now"):
        await stage.db.run(
            BEHIND + "update tminus.launches set authorization_id ="
            f" (select id from tminus.authorizations where act = '{act}')"
        )  # fmt: skip
        for by in ("'bob'", "null"):
            await stage.db.run(BEHIND + f"update tminus.launches set run_now_by = {by}")
            assert await made.why_not(made.authority(), await made.content(launch), "a") is not None


async def test_a_run_now_with_somebody_elses_signature(stage: Stage, tmp_path: Path) -> None:
    made = await waiting(stage, tmp_path)
    launch = await run_now(made, key=Approver.make(tmp_path, "mallory"))
    assert "counts here" in (await why_not_launched(made) or "")
    await launch_due(made)
    assert "counts here" in (await made.why_not(made.authority(), await made.content(launch), "a") or "")


async def test_replay_of_a_run_now_signature(stage: Stage, tmp_path: Path) -> None:
    """Under another id it is not what was signed; under its own, at whatever time, what it started is spent."""
    made = await waiting(stage, tmp_path, cron="0 3 1 1 *")
    launch, again = await run_now(made), uuid4()
    first = await made.content(await launch_due(made))
    await stage.db.run(BEHIND + f"update tminus.launches set id = '{again}', due_at = due_at + interval '1 minute'")
    assert "counts here" in (await made.why_not(made.authority(), await made.content(again), "a") or "")
    await stage.db.run(BEHIND + f"update tminus.authorizations set launch_id = '{again}' where act = 'run_now'")
    assert "counts here" in (await made.why_not(made.authority(), await made.content(again), "a") or "")
    await stage.db.run(BEHIND + f"update tminus.launches set id = '{launch}'")
    second = await made.content(launch)
    assert second.due_at != first.due_at
    assert second.occurrence.key("a") == first.occurrence.key("a"), "the intent log knows it"
    # As an occurrence of the rule it is another one, and its time is none of the rule's.
    await stage.db.run(
        BEHIND + "update tminus.launches set run_now_by = null,"
        " authorization_id = (select id from tminus.authorizations where act = 'launch')"
    )  # fmt: skip
    assert "none of the cron rule" in (await made.why_not(made.authority(), await made.content(launch), "a") or "")


async def test_what_was_run_now_is_not_run_at_its_own_time_too(stage: Stage, tmp_path: Path) -> None:
    made = await waiting(stage, tmp_path)
    now = await made.content(await run_now(made) and await launch_due(made))
    await stage.db.run(
        BEHIND + "update tminus.launches set run_now_by = null, due_at = launch_at,"
        " authorization_id = (select id from tminus.authorizations where act = 'launch')"
    )  # fmt: skip
    at_its_time = await made.content(now.id)
    assert why_not_covered(at_its_time.occasion, distinct=True) is None
    assert at_its_time.occurrence == now.occurrence


async def test_a_run_now_of_other_content_or_sites_than_were_signed(stage: Stage, tmp_path: Path) -> None:
    made = await waiting(stage, tmp_path)
    launch = await run_now(made)
    await launch_due(made)
    await stage.db.run(BEHIND + "update tminus.launches set script = ':put evil'")
    assert "not what was signed" in (await made.why_not(made.authority(), await made.content(launch), "a") or "")
    await stage.db.run(BEHIND + "update tminus.launches l set script = s.script from tminus.scheduled_scripts s")
    assert await made.why_not(made.authority(), await made.content(launch), "a") is None
    assert "not as it was signed" in (await made.why_not(made.authority(), await made.content(launch), "lab") or "")


async def test_a_refused_run_now_leaves_a_rule_to_its_times(stage: Stage, tmp_path: Path) -> None:
    made = await waiting(stage, tmp_path, cron="0 3 1 1 *")
    await run_now(made, key=Approver.make(tmp_path, "mallory"))
    await stage.db.value("select tminus.refuse_launch($1, 'because')", made.script)
    row = await stage.row(made.script)
    assert (row["status"], row["run_now_at"], row["run_now_launch"]) == ("scheduled", None, None)
    [event] = await stage.events("launch_refused")
    assert "because" in event["detail"]


async def signed_test(made: Scene, **given: Any) -> UUID:
    db, expires, launch = made.stage.db, await soon(made.stage), uuid4()
    text = await db.value(TESTED, made.script, launch, expires, role="rita")
    return await db.value(TEST, made.script, launch, await made.sign(text, **given), expires, role="api")


IN_WAVES: dict[str, object] = {
    "wave_sizes": ["1"], "wave_order": ["x"], "wave_pause": timedelta(minutes=1), "wave_confirm": True,
    "confirm_within": timedelta(hours=1), "max_failures": "0", "max_failures_in_wave": "0", "max_offline": "0",
    "max_concurrency": 1, "start_within": timedelta(hours=1),
}  # fmt: skip
BY_A_RULE: dict[str, object] = {
    "cron": "0 3 1 1 *", "missed_policy": "run_latest", "until": datetime(2040, 1, 1, tzinfo=UTC), "max_launches": 3,
    "start_within": timedelta(minutes=5), "abort_if_offline": True, "post_checks": ["true"],
}  # fmt: skip


@pytest.mark.parametrize("columns", [IN_WAVES, BY_A_RULE], ids=["in waves", "by a rule"])
async def test_a_signed_test_is_of_what_is_tested_and_of_its_site_alone(
    stage: Stage, tmp_path: Path, columns: dict[str, object]
) -> None:
    made = await waiting(stage, tmp_path, **columns)
    content = await made.content(await signed_test(made))
    authority = made.authority()
    assert await made.why_not(authority, content, "lab") is None
    for other in ("a", "b"):
        assert "not as it was signed" in (await made.why_not(authority, content, other) or "")
    # The signer's side computes it of what is shown, and gets the same.
    row = (await stage.db.fetch("select * from tminus.scheduled_scripts where id = $1", made.script))[0]
    shown = as_tested(launches.row_part(row, made.script))
    digest = combine(row_digest(shown), [("lab", site_digest(await made.site("lab")))])
    assert content.occasion.statement().digest == digest
    late = made.authority(now=lambda: datetime.now(UTC) + timedelta(hours=2))
    assert "expired" in (await made.why_not(late, content, "lab") or "")
    await stage.db.run(BEHIND + "update tminus.launches set script = ':put evil'")
    assert "not what was signed" in (await made.why_not(authority, await made.content(content.id), "lab") or "")


async def test_a_test_is_refused_without_a_signature_of_somebody_who_may(stage: Stage, tmp_path: Path) -> None:
    made = await waiting(stage, tmp_path)
    unsigned = "select tminus.request_test($1)"
    assert "tests only what its approver has signed" in await refused(stage.db, "alice", unsigned, made.script)
    launch, expires = uuid4(), await soon(stage)
    signature = made.bob.sign(await stage.db.value(TESTED, made.script, launch, expires))
    by_alice = TEST.replace("'bob'", "'alice'")
    assert "alice is the author" in await refused(stage.db, "api", by_alice, made.script, launch, signature, expires)
    assert "Alice is the author" in await refused(
        stage.db, "api", by_alice.replace("alice", "Alice"), made.script, launch, signature, expires
    )
    assert "alice is not an approver" in await refused(
        stage.db, "alice", by_alice, made.script, launch, signature, expires
    )
    assert "give its id" in await refused(stage.db, "api", TEST, made.script, None, signature, expires)
    assert "has to expire" in await refused(stage.db, "api", TEST, made.script, launch, signature, None)


async def test_a_test_that_the_superuser_wrote_or_replays(stage: Stage, tmp_path: Path) -> None:
    made = await waiting(stage, tmp_path)
    await stage.db.run(BEHIND + "update tminus.instances set requires_signature = false")
    unsigned = await stage.db.value("select tminus.request_test($1)", made.script, role="alice")
    assert await made.why_not(made.authority(), await made.content(unsigned), "lab") == "nobody authorized it"
    await stage.db.run(
        BEHIND + "update tminus.launches set authorization_id = (select max(id) from tminus.authorizations)"
    )
    assert await made.why_not(made.authority(), await made.content(unsigned), "lab") is not None
    await stage.db.run(BEHIND + "update tminus.launches set finished_at = tminus.clock(), state = 'cancelled'")
    first = await made.content(await signed_test(made))
    again = uuid4()
    await stage.db.run(
        BEHIND + f"update tminus.launches set id = '{again}' where id = '{first.id}';"
        f" update tminus.authorizations set launch_id = '{again}' where launch_id = '{first.id}'"
    )  # fmt: skip
    assert "counts here" in (await made.why_not(made.authority(), await made.content(again), "lab") or "")
    # What an approver signed to be tested is not signed to be launched, and the other way round.
    for kind in ("scheduled", "rehearsal", "retry"):
        one = dataclasses.replace(first.occasion, kind=kind)
        assert one.statement().text() != first.occasion.statement().text()


async def test_a_password_is_sent_to_a_site_on_which_a_test_was_signed(stage: Stage, tmp_path: Path) -> None:
    made = await waiting(stage, tmp_path)
    lab = await made.site("lab")
    assert not await made.authority().vouches_for(lab)
    mallory = Approver.make(tmp_path, "mallory")
    await signed_test(made, key=mallory)
    assert not await made.authority().vouches_for(lab)
    await stage.db.run(BEHIND + "update tminus.launches set finished_at = tminus.clock(), state = 'cancelled'")
    await signed_test(made)
    assert await made.authority().vouches_for(lab), "also after a start of the daemon"
