"""The state machine of a site run: the table of endings, and every transition that must never be."""

from __future__ import annotations

import itertools
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from tests.store.stage import Stage
from tminus.domain.endings import TABLE, Effect, Reason, State

pytestmark = pytest.mark.asyncio(loop_scope="module")

WRITERS = ("tminus_serve", None)  # the daemon's login and the superuser
# Rows of each kind, made from a claimed run by statements that are allowed.
MAKE = {
    "pending": "state = 'pending', step = null, instance_id = null",
    "running": "step = 'backing_up'",
    "executing": "step = 'executing', executing_at = now(), nonce = 'n'",
    "completed": "state = 'completed', effect = 'applied', step = null, finished_at = now()",
    "failed": "state = 'failed', effect = 'none', reason = 'offline', step = null, finished_at = now()",
    "skipped": "state = 'skipped', effect = 'none', reason = 'busy', step = null, finished_at = now()",
    "unknown": "state = 'unknown', effect = 'unknown', reason = 'daemon_lost', step = null, finished_at = now()",
}
PAST_NO_RETURN = ("executing", "completed", "unknown")
ENDED = ("completed", "failed", "skipped", "unknown")


@pytest_asyncio.fixture(loop_scope="module")
async def instance(stage: Stage) -> UUID:
    return await stage.instance()


async def make(stage: Stage, instance: UUID, kind: str) -> int:
    """A site run of this kind."""
    await stage.launch(instance, kind)
    run = (await stage.claim(instance))[kind].id
    if kind in PAST_NO_RETURN:
        await stage.db.fetch(f"update tminus.site_runs set {MAKE['executing']} where id = $1", run, role="tminus_serve")
    if kind != "executing":
        await stage.db.fetch(f"update tminus.site_runs set {MAKE[kind]} where id = $1", run, role="tminus_serve")
    return run


async def is_refused(stage: Stage, run: int, setting: str) -> None:
    before = await stage.db.fetch("select * from tminus.site_runs where id = $1", run)
    for role in WRITERS:
        with pytest.raises(asyncpg.PostgresError) as caught:
            await stage.db.fetch(f"update tminus.site_runs set {setting} where id = $1", run, role=role)
        assert isinstance(
            caught.value,
            asyncpg.ObjectNotInPrerequisiteStateError
            | asyncpg.CheckViolationError
            | asyncpg.InsufficientPrivilegeError,
        ), caught.value
    assert await stage.db.fetch("select * from tminus.site_runs where id = $1", run) == before


@pytest.mark.parametrize("kind", ENDED)
async def test_an_ending_never_changes(stage: Stage, instance: UUID, kind: str) -> None:
    run = await make(stage, instance, kind)
    for setting in (
        *MAKE.values(),
        "output = 'more'",
        "diff = 'x'",
        "warnings = '{x}'",
        "message = 'x'",
        "instance_id = null",
    ):
        await is_refused(stage, run, setting)


async def test_past_the_point_of_no_return_a_run_is_never_pending_and_never_started_again(
    stage: Stage, instance: UUID
) -> None:
    run = await make(stage, instance, "executing")
    for setting in (
        MAKE["pending"],
        MAKE["pending"] + ", executing_at = null",
        MAKE["pending"] + ", executing_at = null, nonce = null",
        "executing_at = null",
        "executing_at = executing_at + interval '1 second'",
        "nonce = 'another'",
        "nonce = null",
        MAKE["skipped"],
    ):
        await is_refused(stage, run, setting)
    assert await stage.execute(instance, run) == []
    assert await stage.store.fetch("release_site_runs", instance, [run], [0.0], [None], [None]) == []


async def test_a_pending_run_ends_only_in_ways_that_need_no_run(stage: Stage, instance: UUID) -> None:
    run = await make(stage, instance, "pending")
    for setting in (
        MAKE["completed"],
        MAKE["unknown"],
        MAKE["completed"] + ", executing_at = now(), nonce = 'n', started_at = now()",
        "executing_at = now(), nonce = 'n'",
        f"state = 'running', {MAKE['executing']}, instance_id = '{instance}'",
        "instance_id = '" + str(instance) + "'",
    ):
        await is_refused(stage, run, setting)


async def test_a_running_run_has_an_owner_and_no_ending(stage: Stage, instance: UUID) -> None:
    run = await make(stage, instance, "running")
    for setting in (
        "instance_id = null",
        "state = 'pending'",
        "effect = 'none'",
        "reason = 'offline'",
        "finished_at = now()",
        "step = 'executing'",
        "executing_at = now()",
        "executing_at = now(), step = 'executing', nonce = null",
        "step = 'dancing'",
        MAKE["completed"],
        MAKE["unknown"],
        "state = 'failed', effect = 'partial', reason = 'script_error', finished_at = now()",
    ):
        await is_refused(stage, run, setting)


async def test_a_run_is_not_taken_from_an_instance_that_lives(stage: Stage, instance: UUID) -> None:
    other = await stage.instance(name="two")
    run = await make(stage, instance, "executing")
    await is_refused(stage, run, f"instance_id = '{other}'")
    await is_refused(stage, run, "instance_id = null")


async def test_what_a_run_is_of_never_changes(stage: Stage, instance: UUID) -> None:
    run = await make(stage, instance, "running")
    await stage.launch(instance, "other")
    launch = await stage.db.value("select id from tminus.launches order by due_at desc limit 1")
    for setting in (
        "site_id = 'other'",
        "position = 7",
        "site_digest = 'x'",
        f"launch_id = '{launch}'",
    ):
        await is_refused(stage, run, setting)


async def test_runs_and_launches_are_not_deleted(stage: Stage, instance: UUID) -> None:
    await make(stage, instance, "pending")
    for role, sql in itertools.product(WRITERS, ("delete from tminus.{0}", "truncate tminus.{0} cascade")):
        for table in ("site_runs", "launches"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await stage.db.fetch(sql.format(table), role=role)


async def test_only_the_endings_of_the_table_can_be_written(stage: Stage, instance: UUID) -> None:
    """All combinations, nulls included, before and past the point of no return, against the daemon's own table."""
    allowed: dict[bool, set[tuple[str, str | None, str | None]]] = {False: set(), True: set()}
    async with stage.db.anew("tminus_serve") as connection:
        for kind in ("running", "executing"):
            run = await make(stage, instance, kind)
            sql = (
                "update tminus.site_runs set state = $2, effect = $3, reason = $4, step = null, finished_at = now()"
                " where id = $1"
            )
            for state, effect, reason in itertools.product(
                (State.COMPLETED, State.FAILED, State.SKIPPED, State.UNKNOWN), (*Effect, None), (*Reason, None)
            ):
                transaction = connection.transaction()
                await transaction.start()
                try:
                    await connection.fetch(sql, run, state, effect, reason)
                except asyncpg.CheckViolationError:
                    pass
                else:
                    allowed[kind == "executing"].add((state, effect, reason))
                finally:
                    await transaction.rollback()
    table = {(state, effect, reason) for (state, effect), reasons in TABLE.items() for reason in reasons}
    table.remove((State.SKIPPED, Effect.NONE, Reason.REHEARSED))  # of rehearsals alone
    assert allowed[False] | allowed[True] == table
    nothing_was_applied = {row for row in table if row[1] is Effect.NONE}
    assert allowed[False] == nothing_was_applied
    assert allowed[True] == {row for row in table if row[0] is not State.SKIPPED}


async def test_each_ending_leaves_one_event(stage: Stage, instance: UUID) -> None:
    run = await make(stage, instance, "executing")
    await stage.db.fetch(f"update tminus.site_runs set {MAKE['unknown']} where id = $1", run, role="tminus_serve")
    [event] = await stage.events("site_unknown")
    assert (event["principal"], event["site_id"]) == (str(instance), "executing")
    assert '"reason": "daemon_lost"' in event["detail"]


async def test_steps_are_written_of_our_own_runs_and_only_on_their_side_of_the_point_of_no_return(
    stage: Stage, instance: UUID
) -> None:
    other = await stage.instance(name="two")
    await stage.launch(instance, "a", "b")
    claims = await stage.claim(instance)
    await stage.execute(instance, claims["b"].id)

    async def steps(who: UUID, step: str) -> list[str]:
        runs = [claims["a"].id, claims["b"].id]
        await stage.store.fetch("note_steps", who, runs, [step, step])
        return [row["step"] for row in await stage.db.fetch("select step from tminus.site_runs order by id")]

    assert await steps(other, "checking") == ["connecting", "executing"]
    assert await steps(instance, "checking") == ["checking", "executing"]
    assert await steps(instance, "verifying") == ["checking", "verifying"]
    assert await steps(instance, "connecting") == ["connecting", "verifying"]


class TestLaunches:
    async def test_the_content_never_changes(self, stage: Stage, instance: UUID) -> None:
        await stage.launch(instance, "a")
        for setting in (
            "script = 'x'",
            "site_timeout = '1 hour'",
            "sites = '{x}'",
            "digest = 'x'",
            "authorized_by = 'x'",
            "started_at = now()",
            "kind = 'test'",
        ):
            with pytest.raises(asyncpg.CheckViolationError, match="the content of launch"):
                await stage.db.run(f"update tminus.launches set {setting}")

    async def test_what_has_ended_stays_ended(self, stage: Stage, instance: UUID) -> None:
        await stage.launch(instance, "a")
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
            await stage.db.run("update tminus.launches set state = 'missed'")
        await stage.run_through(instance, (await stage.claim(instance))["a"].id)
        await stage.store.fetch("housekeeping")
        for setting in (
            "state = 'running'",
            "state = 'cancelled'",
            "finished_at = null",
            "finished_at = now()",
            "reason = 'x'",
        ):
            with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
                await stage.db.run(f"update tminus.launches set {setting}")


class TestInstances:
    @pytest.mark.parametrize("state", ["dead", "stopped"])
    async def test_the_end_of_an_instance_is_final(self, stage: Stage, instance: UUID, state: str) -> None:
        await stage.db.fetch("update tminus.instances set state = $1, ended_at = now()", state, role="tminus_serve")
        for role, setting in itertools.product(WRITERS, ("state = 'alive', ended_at = null", "heartbeat_at = now()")):
            with pytest.raises(
                asyncpg.ObjectNotInPrerequisiteStateError, match=f"is {state}; it cannot write any more"
            ):
                await stage.db.fetch(f"update tminus.instances set {setting}", role=role)

    async def test_what_an_instance_is_never_changes(self, stage: Stage, instance: UUID) -> None:
        for setting in ("id = gen_random_uuid()", "ttl = '1 day'", "name = 'x'", "pid = 1"):
            with pytest.raises(asyncpg.CheckViolationError):
                await stage.db.run(f"update tminus.instances set {setting}")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await stage.db.fetch(f"update tminus.instances set {setting}", role="tminus_serve")

    async def test_who_drains_does_not_go_back(self, stage: Stage, instance: UUID) -> None:
        await stage.db.run("update tminus.instances set state = 'draining'")
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError, match="drains"):
            await stage.db.run("update tminus.instances set state = 'alive'")


async def test_only_a_file_of_ours_is_ever_owed_to_be_removed(stage: Stage, instance: UUID) -> None:
    run = await make(stage, instance, "running")
    sql = "insert into tminus.cleanup_debts (site_id, site_run_id, file_name) values ('running', $1, $2)"
    ours = "tminus-0123456789abcdef.rsc"
    bad = ("startup.rsc", "tminus-x.rsc", f"../{ours}", f"{ours}; /system reset", ours.upper())
    for role, name in itertools.product(WRITERS, bad):
        with pytest.raises(asyncpg.CheckViolationError):
            await stage.db.fetch(sql, run, name, role=role)
    await stage.db.fetch(sql, run, ours, role="tminus_serve")
