"""Waves, halts, and a launch that is stopped or held at each step of a site, with real daemons and simulated routers."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from tests.acceptance.test_rehearsal import tminus
from tests.support import Db, run_daemon, until
from tminus.simulator import Fault, Fleet, FleetSpec, Kind, simulate

GOOD = '/system note set note="from tminus"\n'
BAD = '/system note set note="from tminus"\n:error "no"\n'
STEPS = {"connecting": Fault.BLACKHOLE, "backing_up": Fault.SLOW, "checking": Fault.SLOW}


async def stopped_at(database: Db, fleet: Fleet, step: str) -> None:
    """Wait until the first site is at this step, and the router has heard of it."""
    site = "sim-0000"

    async def there() -> bool:
        return await database.value("select exists (select from tminus.site_runs where step = $1)", step)

    async with asyncio.timeout(20):
        await until(there, every=0.01)
        if step == "backing_up":
            await fleet.journal.wait(site, Kind.LOGIN)
        elif step == "checking":
            await fleet.journal.wait(site, Kind.UPLOAD)


async def test_a_canary_that_fails_stops_a_launch_over_200_sites(database: Db, tmp_path: Path) -> None:
    async with (
        simulate(FleetSpec(sites=200, base="127.48.0.1")) as fleet,
        run_daemon(database, tmp_path / "one", fleet) as one,
        run_daemon(database, tmp_path / "two", fleet) as two,
    ):
        daemons = (one, two)
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(BAD, wave_sizes=["1", "25%"], make_backup=False)
        runs = await database.finished(script)
        started = [site for site in runs if fleet.journal.starts(site)]
        assert started == ["sim-0000"]
        assert (runs["sim-0000"]["state"], runs["sim-0000"]["effect"]) == ("failed", "partial")
        others = {(run["state"], run["reason"], run["effect"]) for site, run in runs.items() if site != "sim-0000"}
        assert others == {("skipped", "halted", "none")}
        assert not any(fleet.journal.events(site) for site in runs if site != "sim-0000"), "nobody else was even asked"
        shown = await database.script(script)
        assert (shown["launch_state"], shown["launch_reason"], shown["wave"], shown["waves"]) == (
            "halted",
            "no site of wave 1 completed",
            1,
            3,
        )
        code, out, _ = await tminus(database, "status", str(script), login="rita")
        assert (code, "halted (no site of wave 1 completed)" in out, "wave 1 of 3" in out) == (0, True, True)

        async def told() -> bool:
            events = [event for one in daemons for event in one.log() if event.get("launch_id") == shown["launch_id"]]
            ended = [event for event in events if event["event"] == "launch_ended"]
            return {"launch_halted", "wave_opened"} & {event["event"] for event in events} == {"launch_halted"} and [
                (event["state"], event["skipped"]) for event in ended
            ] == [("halted", 199)]

        await until(told)

        code, out, _ = await tminus(database, "retry", str(script), "--site", "sim-0001", login="bob")
        assert (code, out) == (0, f"retrying {script} on 1 site; 'tminus watch {script}' shows it\n")
        await database.finished(script)
        assert [site for site in runs if fleet.journal.starts(site)] == ["sim-0000", "sim-0001"]
        shown = await database.script(script)
        assert (shown["launch_state"], len(shown["progress"]["failed"])) == ("finished", 200)


async def test_waves_follow_each_other_and_a_person_lets_the_next_one_go(database: Db, tmp_path: Path) -> None:
    async with (
        simulate(FleetSpec(sites=5, base="127.48.1.1")) as fleet,
        run_daemon(database, tmp_path / "one", fleet),
        run_daemon(database, tmp_path / "two", fleet),
    ):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(GOOD, wave_sizes=["1", "2"], wave_confirm=True)
        for wave, so_far in ((2, 1), (3, 3)):

            async def asked(wave: int = wave) -> bool:
                return await database.value("select asked_wave = $1 from tminus.launches", wave)

            await until(asked)
            assert sum(len(fleet.journal.starts(site)) for site in await database.site_ids()) == so_far
            _, out, _ = await tminus(database, "status", login="rita")
            assert f"wave {wave} waits for 'tminus confirm-wave'" in " ".join(out.split())
            code, out, _ = await tminus(database, "pause-launch", str(script), "--note", "the line", login="bob")
            assert (code, out) == (0, f"paused the launch of {script}\n")
            _, out, _ = await tminus(database, "status", str(script), login="rita")
            assert "paused by bob: the line" in " ".join(out.split())
            code, out, _ = await tminus(database, "resume-launch", str(script), login="alice")
            assert (code, out) == (0, f"resumed the launch of {script}\n")
            code, out, err = await tminus(database, "confirm-wave", str(script), str(wave), login="bob")
            assert (code, out, err) == (0, f"wave {wave} may go: {script}\n", "")
        runs = await database.finished(script)
        assert {run["state"] for run in runs.values()} == {"completed"}
        assert [len(fleet.journal.starts(site)) for site in runs] == [1] * 5
        ends = {wave: [run for run in runs.values() if run["wave"] == wave] for wave in (1, 2, 3)}
        assert max(run["finished_at"] for run in ends[1]) < min(run["executing_at"] for run in ends[2])
        assert max(run["finished_at"] for run in ends[2]) < min(run["executing_at"] for run in ends[3])


@pytest.mark.parametrize("step", STEPS)
async def test_after_a_cancel_nothing_more_is_sent(database: Db, tmp_path: Path, step: str) -> None:
    spec = FleetSpec(sites=1, faults={STEPS[step]: 1}, base="127.48.2.1")
    async with simulate(spec) as fleet, run_daemon(database, tmp_path, fleet, connect_timeout=30.0, poll_interval=10.0):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(GOOD)
        await stopped_at(database, fleet, step)
        await database.value("select tminus.cancel($1)", script, role="alice")
        run = (await database.finished(script, within=10))["sim-0000"]
        assert (run["state"], run["reason"], run["effect"]) == ("skipped", "cancelled", "none")
        took = await database.value(
            "select r.finished_at - s.cancelled_at from tminus.site_runs r, tminus.scheduled_scripts s where s.id = $1",
            script,
        )
        assert took < timedelta(seconds=2)  # without waiting for a look that comes by itself
        assert fleet.journal.starts("sim-0000") == []
        if step == "connecting":
            assert fleet.journal.events("sim-0000", Kind.EXEC) == []


@pytest.mark.parametrize("step", ["backing_up", "checking"])
async def test_a_launch_that_was_paused_goes_on_and_runs_once(database: Db, tmp_path: Path, step: str) -> None:
    spec = FleetSpec(sites=1, faults={Fault.SLOW: 1}, base="127.48.3.1")
    async with simulate(spec) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(GOOD)
        await stopped_at(database, fleet, step)
        await database.value("select tminus.pause_launch($1, 'the line')", script, role="bob")

        async def given_back() -> bool:
            rows = await database.fetch("select state from tminus.site_runs where state <> 'pending'")
            return rows == []

        await until(given_back, within=10)
        assert [fleet.journal.starts(site) for site in await database.site_ids()] == [[]]
        await database.value("select tminus.resume_launch($1)", script, role="alice")
        runs = await database.finished(script)
        assert {run["state"] for run in runs.values()} == {"completed"}
        assert [len(fleet.journal.starts(site)) for site in runs] == [1]
