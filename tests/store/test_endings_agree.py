"""The constraint of `site_runs` allows exactly the endings that the daemon can write."""

from __future__ import annotations

import itertools
import json

import asyncpg
import pytest

from tests.support import Db
from tminus.domain.endings import TABLE, Effect, Reason, State

# Has the script been started, in an ending of this kind? None: it may have been, or not.
STARTED = {
    (State.COMPLETED, Effect.APPLIED): True,
    (State.FAILED, Effect.NONE): None,
    (State.FAILED, Effect.PARTIAL): True,
    (State.FAILED, Effect.APPLIED): True,
    (State.SKIPPED, Effect.NONE): False,
    (State.UNKNOWN, Effect.UNKNOWN): True,
}
# Tries each combination on a table with the real constraints, and without the triggers and keys that surround them.
TRY_ALL = """
create table public.trial (like tminus.site_runs including constraints including defaults including identity);
create table public.allowed (state text, effect text, reason text, started boolean);
do $$
declare
    t record;
begin
    for t in select * from jsonb_to_recordset('%s') as x (state text, effect text, reason text, started boolean) loop
        begin
            insert into public.trial
                (launch_id, site_id, position, rehearsal, state, effect, reason, executing_at, instance_id, started_at, finished_at)
            values (gen_random_uuid(), 'site', 1, t.reason is not distinct from 'rehearsed',
                t.state, t.effect, t.reason, case when t.started then now() end,
                case when t.state = 'running' then gen_random_uuid() end, case when t.state <> 'pending' then now() end,
                case when t.state not in ('pending', 'running') then now() end);
            insert into public.allowed values (t.state, t.effect, t.reason, t.started);
        exception when check_violation then
            null;
        end;
    end loop;
end $$;
"""


def agreed() -> set[tuple[str, str | None, str | None, bool]]:
    rows: set[tuple[str, str | None, str | None, bool]] = {
        ("pending", None, None, False),
        ("running", None, None, False),
        ("running", None, None, True),
    }
    for (state, effect), reasons in TABLE.items():
        started = STARTED[state, effect]
        for reason, is_started in itertools.product(reasons, (False, True)):
            if started is None or started is is_started:
                rows.add((state.value, effect.value, reason.value if reason else None, is_started))
    return rows


async def test_the_database_and_the_daemon_know_the_same_endings(database: Db) -> None:
    combinations = [
        {"state": state, "effect": effect, "reason": reason, "started": started}
        for state, effect, reason, started in itertools.product(State, [None, *Effect], [None, *Reason], (False, True))
    ]
    await database.run(TRY_ALL % json.dumps(combinations))
    allowed = {tuple(row) for row in await database.fetch("select * from public.allowed")}
    assert allowed == agreed()


async def test_an_ending_has_a_time_and_nothing_else_has_one(database: Db) -> None:
    await database.run(
        "create table public.trial (like tminus.site_runs including constraints including defaults including identity)"
    )
    insert = """
        insert into public.trial (launch_id, site_id, position, state, effect, executing_at, instance_id, started_at, finished_at)
        values (gen_random_uuid(), 'site', 1, $1, $2, case when $2::text is not null then now() end, gen_random_uuid(), now(),
            case when $3::boolean then now() end)
    """
    await database.fetch(insert, "completed", "applied", True)
    await database.fetch(insert, "running", None, False)
    for state, effect, timed in (("completed", "applied", False), ("running", None, True)):
        with pytest.raises(asyncpg.CheckViolationError, match="site_runs_state"):
            await database.fetch(insert, state, effect, timed)
