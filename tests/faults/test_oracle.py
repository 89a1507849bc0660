"""The oracle of the fault tests: each invariant is violated on purpose, and it has to say so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.invariants import Cut, Excuses, Footprint, check_footprint, check_logs, check_runs
from tests.support import Db, fresh_database, run_daemon
from tminus.simulator import Fleet, FleetSpec, Kind, simulate

SITE = "sim-0000"
SCRIPT = ':put "seen"\n'

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Seen:
    """One launch on one site that went well."""

    db: Db
    fleet: Fleet
    log: Path

    async def violations(self) -> list[str]:
        return await check_runs(self.db, self.fleet)

    async def falsify(self, change: str) -> Callable[[], Awaitable[None]]:
        """Change the site run behind all rules; returns what takes it back."""
        before = (await self.db.fetch("select to_jsonb(r)::text from tminus.site_runs r"))[0][0]
        await self.db.run(f"set session_replication_role = replica; update tminus.site_runs set {change}")

        async def restore() -> None:
            columns = "state, effect, reason, nonce, executing_at, finished_at"
            await self.db.run(
                f"set session_replication_role = replica; update tminus.site_runs r set ({columns}) ="
                f" (select {columns} from jsonb_populate_record(null::tminus.site_runs, '{before.replace(chr(39), chr(39) * 2)}'::jsonb))"
            )

        return restore


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seen(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Seen]:
    folder = tmp_path_factory.mktemp("oracle")
    async with fresh_database(postgres, "oracle") as db, simulate(FleetSpec(sites=1)) as fleet:
        async with run_daemon(db, folder, fleet) as daemon:
            await db.run(fleet.inventory_sql(None))
            await db.finished(await db.submit(SCRIPT))
            log = daemon.log_file
        yield Seen(db, fleet, log)


async def test_nothing_is_found_where_all_went_well(seen: Seen) -> None:
    assert await seen.violations() == []
    assert check_logs([seen.log], secrets=("simulated",)) == []


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("nonce = '0000000000000000'", "A2"),
        ("executing_at = now() + interval '1 hour'", "A2"),
        ("state = 'running', effect = null, finished_at = null", "A3"),
        ("state = 'failed', effect = 'partial', reason = 'script_error'", "A4"),
        ("state = 'failed', effect = 'none', reason = 'offline'", "A5"),
        ("state = 'unknown', effect = 'unknown', reason = 'daemon_lost'", "A5"),
    ],
)
async def test_a_row_that_tells_another_story_than_the_router_is_found(seen: Seen, change: str, rule: str) -> None:
    restore = await seen.falsify(change)
    found = await seen.violations()
    await restore()
    assert any(violation.startswith(rule) for violation in found), found
    assert await seen.violations() == []


async def test_that_nobody_could_look_excuses_the_runs_of_that_site_and_time_alone(seen: Seen) -> None:
    restore = await seen.falsify("state = 'unknown', effect = 'unknown', reason = 'daemon_lost'")
    row = (await seen.db.fetch("select executing_at, finished_at from tminus.site_runs"))[0]
    since, until = row["executing_at"].timestamp(), row["finished_at"].timestamp()

    async def violations(cut: Cut) -> list[str]:
        found = await check_runs(seen.db, seen.fleet, excuses=Excuses(cuts=[cut]))
        return [violation for violation in found if violation.startswith("A5")]

    meanwhile = await violations(Cut(site=SITE, since=since - 2, until=since + 0.001))
    before = await violations(Cut(site=SITE, since=since - 2, until=since - 1))
    after = await violations(Cut(site=SITE, since=until + 1, until=until + 2))
    elsewhere = await violations(Cut(site="sim-0001", since=since, until=until))
    await restore()
    assert meanwhile == []
    assert [len(found) for found in (before, after, elsewhere)] == [1, 1, 1]


async def test_a_second_start_is_found(seen: Seen) -> None:
    sha256 = hashlib.sha256(SCRIPT.encode()).hexdigest()
    nonce = await seen.db.value("select nonce from tminus.site_runs")
    events = seen.fleet.journal._by_site[SITE]
    seen.fleet.journal.record(SITE, Kind.IMPORT_STARTED, name=f"tminus-{nonce}.rsc", sha256=sha256)
    found = await seen.violations()
    events.pop()
    assert [violation[:2] for violation in found] == ["A1"]


async def test_a_success_that_the_router_did_not_have_is_found(seen: Seen) -> None:
    events = seen.fleet.journal._by_site[SITE]
    kept = list(events)
    events[:] = [event for event in events if event.kind is not Kind.IMPORT_FINISHED]
    found = await seen.violations()
    events[:] = kept
    assert [violation[:2] for violation in found] == ["A4"]


async def test_a_file_that_is_left_is_found_unless_it_is_owed(seen: Seen) -> None:
    name = "tminus-00112233aabbccdd.rsc"
    files = seen.fleet.router(SITE).files
    files.put(name, b":put 1")
    assert [violation[:2] for violation in await seen.violations()] == ["A0"]
    await seen.db.fetch(
        "insert into tminus.cleanup_debts (site_id, site_run_id, file_name) select site_id, id, $1 from tminus.site_runs",
        name,
    )
    assert await seen.violations() == []


@pytest.mark.parametrize(
    "line",
    [
        "Traceback (most recent call last):",
        "Task was destroyed but it is pending!",
        json.dumps({"event": "site_run_broke", "level": "error"}),
        json.dumps({"event": "hello", "level": "info", "password": "simulated"}),
    ],
)
async def test_what_does_not_belong_into_a_log_is_found(tmp_path: Path, line: str) -> None:
    log = tmp_path / "serve.log"
    log.write_text(json.dumps({"event": "ready", "level": "info"}) + "\n" + line + "\n")
    assert [violation[:2] for violation in check_logs([log], secrets=("simulated",))] == ["A8"]


async def test_what_a_process_did_not_give_back_is_found() -> None:
    before = Footprint(pid=1, memory=100 << 20, files=30, tasks=20)
    for more in ({"memory": 200 << 20}, {"files": 60}, {"tasks": 40}):
        found = check_footprint(before, replace(before, **more), 0)
        assert [violation[:2] for violation in found] == ["A7"]
    for sessions in (1, 2):
        found = check_footprint(before, before, sessions)
        assert [violation[:2] for violation in found] == ["A7"]
    assert not check_footprint(before, before, 0)
