"""When starts happen, on real daemons and on the command line, and the examples of docs/scheduling.md verbatim."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.acceptance.test_cli import UUID, Cli, cli
from tests.acceptance.test_readme import run_psql
from tests.support import Db, run_daemon, until
from tminus.simulator import FleetSpec, simulate

__all__ = ["cli"]

_GUIDE = (Path(__file__).parents[2] / "docs" / "scheduling.md").read_text(encoding="utf-8")
_ROLLOUT = (Path(__file__).parents[2] / "docs" / "rollout.md").read_text(encoding="utf-8")
_EXAMPLES = re.findall(r"<!-- test: (\w+) -->\n```sql\n(.*?)```", _GUIDE, re.DOTALL)


async def test_the_examples_of_the_guide_do_what_it_says(database: Db) -> None:
    await database.run(
        "insert into tminus.sites (id, name, address, tags, timezone) values"
        " ('site_41', 'Berlin', '192.0.2.41', '{core}', 'Europe/Berlin'),"
        " ('site_42', 'New York', '192.0.2.42', '{edge}', 'America/New_York')"
    )
    assert len(_EXAMPLES) == _GUIDE.count("```sql")
    for who, sql in _EXAMPLES:
        await run_psql(database.dsn_as(who), sql)
    [weekly] = await database.fetch("select * from tminus.scheduled_scripts where cron is not null")
    assert (weekly["missed_policy"], weekly["max_launches"], weekly["until"] is not None) == ("run_latest", 50, True)
    [local] = await database.fetch("select * from tminus.scheduled_scripts where local_time is not null")
    assert local["launch_at"] == datetime(2034, 3, 5, 2, tzinfo=UTC)
    assert (local["stop_starting_at"].hour, local["max_concurrency"]) == (20, 10)
    windows = await database.fetch(
        "select name, scope, tag, cardinality(weekly) as rules from tminus.windows order by 1"
    )
    assert [tuple(row) for row in windows] == [("core at weekends", "tag", "core", 1), ("nights", "named", None, 2)]
    assert await database.value("select windows from tminus.scheduled_scripts where description = 'In a night'") == [
        "nights"
    ]
    [freeze] = await database.fetch("select * from tminus.freezes")
    assert (freeze["tag"], freeze["frozen_by"], freeze["thawed_by"]) == ("core", "bob", "bob")


async def test_the_command_lines_of_the_guides_are_taken(
    database: Db, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli = Cli(database)
    await cli.ok("site", "import", "-", login="api", stdin="id,address,tags\none,192.0.2.1,edge;core;pop:berlin\n")
    monkeypatch.chdir(tmp_path)
    lines = [line for guide in (_GUIDE, _ROLLOUT) for line in re.findall(r"^    tminus (.*)$", guide, re.MULTILINE)]
    assert len(lines) >= 15
    by_whom = {"submit": "alice", "window": "api", "cap": "bob", "freeze": "bob", "thaw": "bob"}
    for line in lines:
        command, *arguments = shlex.split(line, comments=True)
        if command == "submit":
            Path(arguments[0]).write_text(":put 1\n")
        await cli.ok(command, *arguments, login=by_whom[command])
    rows = await database.fetch("select * from tminus.scheduled_scripts order by created_at")
    assert [row["wave_sizes"] for row in rows if row["wave_sizes"]] == [["1", "10", "25%"]] * 2
    assert await database.fetch("select from tminus.tag_caps") == []
    assert await database.value("select array_agg(name) from tminus.windows") == ["nights"]


async def test_a_freeze_stops_starts_within_a_second_on_two_daemons(database: Db, tmp_path: Path) -> None:
    async with (
        simulate(FleetSpec(sites=16)) as fleet,
        # Each has places for half of what may run at once, so that neither can take all of it.
        run_daemon(database, tmp_path / "a", fleet, poll_interval=10.0, max_sessions=3),
        run_daemon(database, tmp_path / "b", fleet, poll_interval=10.0, max_sessions=3),
    ):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(":delay 2s\n:put done", max_concurrency=6)

        async def started(count: int) -> bool:
            rows = (await database.site_runs(script)).values()
            return sum(row["executing_at"] is not None for row in rows) >= count

        await until(lambda: started(2))
        number = await database.value(
            "select tminus.freeze(null, tminus.clock() + interval '1 hour', 'test')", role="bob"
        )

        async def at_rest() -> bool:
            return all(row["state"] != "running" for row in (await database.site_runs(script)).values())

        await until(at_rest)
        frozen_at = await database.value("select since from tminus.freezes where id = $1", number)
        runs = await database.site_runs(script)
        starts = {site: row["executing_at"] for site, row in runs.items() if row["executing_at"] is not None}
        assert 2 <= len(starts) < len(runs)
        assert all(at <= frozen_at + timedelta(seconds=1) for at in starts.values())
        assert {site for site in runs if fleet.journal.starts(site)} == set(starts)
        await database.value("select tminus.thaw($1, 'over')", number, role="bob")
        runs = await database.finished(script, within=90)
        assert {row["state"] for row in runs.values()} == {"completed"}
        assert all(len(fleet.journal.starts(site)) == 1 for site in runs)
        assert len({row["instance_id"] for row in runs.values()}) == 2


async def test_freeze_and_thaw_on_the_command_line(cli: Cli) -> None:
    (await cli("freeze", "--tag", "core", login="bob")).refused("say why")
    (await cli("freeze", "--reason", "storm", login="bob")).refused("say until when")
    (await cli("freeze", "--reason", "storm", "--until", "2030", login="bob")).refused("--until '2030'")
    (await cli("freeze", "--reason", "storm", "--for", "1h", login="alice")).refused("may not freeze")
    (await cli("freeze", "--tag", "croe", "--reason", "storm", "--for", "1h", login="bob")).refused(
        "no site has the tag"
    )
    answer = await cli.ok("freeze", "--tag", "core", "--for", "2h", "--reason", "storm", login="bob")
    number = re.findall(r"tminus thaw (\d+)", answer.out)[0]
    [listed] = (await cli("freeze", "--json", login="rita")).json()
    assert (str(listed["id"]), listed["tag"], listed["reason"]) == (number, "core", "storm")
    assert "Frozen on sites with the tag core" in (await cli.ok("freeze", login="rita")).out
    assert "Frozen on sites with the tag core" in (await cli.ok("status", login="rita")).out
    assert (await cli("status", "--json", login="rita")).json()["freezes"] == [listed]
    (await cli("thaw", number, "--note", "x", login="alice")).refused("may not thaw")
    await cli.ok("thaw", number, "--note", "over", login="bob")
    assert (await cli("freeze", "--json", login="rita")).json() == []
    assert (await cli.ok("freeze", login="rita")).err == "nothing is frozen\n"


async def test_a_daemon_opens_and_shuts_windows(database: Db, tmp_path: Path) -> None:
    async with simulate(FleetSpec(sites=1)) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        await database.run(
            "insert into tminus.windows (name, weekly, spans) values"
            " ('always', '{daily 00:00-24:00}', '{}'), ('in a year', '{}',"
            " array[tstzrange(now() + interval '1 year', now() + interval '2 years')])"
        )
        waits = await database.submit(":put no", windows=["in a year"], start_within=timedelta(seconds=2))
        runs = await database.submit(":put yes", windows=["in a year", "always"])
        assert [run["state"] for run in (await database.finished(runs)).values()] == ["completed"]
        [run] = (await database.finished(waits)).values()
        assert (run["state"], run["reason"], run["attempts"]) == ("skipped", "missed", 0)
        assert "outside of the windows of the script: in a year (20" in run["message"]


async def test_a_script_is_submitted_for_a_window_and_its_approver_sees_it(cli: Cli) -> None:
    (
        await cli("submit", "-", "--site", "site_a", "--in", "1h", "--window", "nights", login="alice", stdin=":put 1")
    ).refused("there is no window 'nights'")
    await cli.db.run("insert into tminus.windows (name, weekly) values ('nights', '{daily 22:00-04:00}')")
    script = await cli.submit("--window", "nights")
    assert await cli.db.value("select windows from tminus.scheduled_scripts where id = $1::uuid", script) == ["nights"]
    await cli.submit("--window", "nights", "--id", script)
    (
        await cli("submit", "-", "--site", "site_a", "--in", "1h", "--id", script, login="alice", stdin=":put hello\n")
    ).refused("another scheduled script")


async def test_a_script_is_submitted_for_the_clocks_of_its_sites(cli: Cli) -> None:
    submit = ("submit", "-", "--site", "site_a")
    for options, words in {
        ("--local-time", "2034-03-05T03:00Z"): "without an offset",
        ("--local-time", "2034-03-05"): "without an offset",
        ("--local-time", "soon"): "without an offset",
        ("--local-time", "2034-03-05T03:00", "--timezone", "UTC"): "leave out --timezone",
        ("--local-time", "2034-03-05T03:00", "--in", "1h"): "say when, in one way",
        ("--in", "1h", "--stop-starting-at", "x"): "--stop-starting-at 'x'",
    }.items():
        (await cli(*submit, *options, login="alice", stdin=":put 1")).refused(words)
    options = ("--local-time", "2034-03-05T03:00", "--stop-starting-at", "2034-03-06T03:00Z")
    first = await cli.ok(*submit, *options, login="alice", stdin=":put 1")
    assert "2034-03-05 03:00:00 on the clock of each site; first 2034-03-05" in first.out
    script = UUID.findall(first.out)[0]
    await cli.ok(*submit, *options, "--id", script, login="alice", stdin=":put 1")
    (await cli(*submit, "--local-time", "2034-03-05T04:00", "--id", script, login="alice", stdin=":put 1")).refused(
        "another scheduled script"
    )


async def test_a_rule_with_an_end_is_submitted(cli: Cli) -> None:
    rule = ("--cron", "@weekly", "--run-latest", "--max-launches", "3", "--until", "2090-01-01T00:00Z")
    answer = await cli.ok("submit", "-", "--site", "site_a", *rule, login="alice", stdin=":put 1")
    script = UUID.findall(answer.out)[0]
    shown = " ".join(answer.out.split())
    assert "3 times at most" in shown
    assert "until 2090-01-01" in shown
    assert "the latest that was missed is made up for" in shown
    await cli.ok("submit", "-", "--site", "site_a", *rule, "--id", script, login="alice", stdin=":put 1")
    (await cli("submit", "-", "--site", "site_a", "--in", "1h", "--run-latest", login="alice", stdin=":put 1")).refused(
        "go with cron"
    )


async def test_what_is_to_come_is_shown_in_order_with_what_holds_it_back(cli: Cli) -> None:
    assert (await cli.ok("upcoming", login="rita")).err == "nothing is to come\n"
    await cli.db.run("insert into tminus.windows (name, weekly) values ('nights', '{daily 22:00-04:00}')")
    daily = await cli.submit(
        "--cron", "0 3 * * *", "--timezone", "Asia/Tokyo", "--max-launches", "3", "--window", "nights"
    )
    once = await cli.submit("--in", "60h", "--tag", "north")
    assert [row["launch_at"] for row in (await cli("upcoming", "--json", login="rita")).json()][-1] is None
    first = await cli.db.value("select date_trunc('hour', tminus.clock()) + interval '2 days'")
    await cli.db.fetch("select tminus.plan($1::uuid, $2)", daily, first, role="tminus_serve")
    await cli.db.value("select tminus.authorize($1::uuid, tminus.digest($1::uuid))", daily, role="bob")
    await cli.db.value("select tminus.freeze('north', tminus.clock() + interval '70 hours', 'storm')", role="bob")
    coming = (await cli("upcoming", "--json", login="rita")).json()
    assert len(coming) == 4
    assert [row["script_id"] for row in coming].count(daily) == 3
    times = [row["launch_at"] for row in coming]
    assert times == sorted(times)
    [one] = [row for row in coming if row["script_id"] == once]
    assert (one["authorized"], one["sites"]) == (False, 2)
    assert one["frozen"].startswith("starts on sites with the tag 'north' are frozen until 20")
    # site_a has that tag as well: the first launch of the rule is in the freeze, the last one is not.
    rule = [row for row in coming if row["script_id"] == daily]
    assert all(row["authorized"] and row["authorized_by"] == "bob" and row["windows"] == ["nights"] for row in rule)
    assert rule[0]["frozen"] is not None
    assert rule[-1]["frozen"] is None
    assert all(datetime.fromisoformat(row["launch_at"]).hour == 18 for row in rule[1:])
    shown = (await cli.ok("upcoming", "--limit", "2", login="rita")).out
    assert "Asia/Tokyo" in shown
    assert "window nights" in shown
