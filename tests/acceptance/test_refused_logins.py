"""A credential that all routers refuse halts its launch before it locks accounts; one that some refuse does not."""

from __future__ import annotations

from pathlib import Path

from tests.support import Db, run_daemon
from tminus.simulator import Fault, Fleet, FleetSpec, Kind, SiteSpec, simulate

GOOD = ":put hello\n"


def refused(fleet: Fleet, *sites: str) -> list[int]:
    return [len(fleet.journal.events(site, Kind.LOGIN_REFUSED)) for site in sites]


async def test_a_login_failure_common_to_many_sites_halts_the_launch(database: Db, tmp_path: Path) -> None:
    names = [f"r{number:02}" for number in range(40)]
    specs = tuple(SiteSpec(id=name, version="7.20.8", faults=frozenset({Fault.REFUSES_LOGIN})) for name in names)
    async with (
        simulate(FleetSpec(site_specs=specs, base="127.45.8.1")) as fleet,
        run_daemon(database, tmp_path / "one", fleet) as one,
        run_daemon(database, tmp_path / "two", fleet) as two,
    ):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(GOOD)
        runs = await database.finished(script)
        asked = [count for count in refused(fleet, *names) if count]
        assert set(asked) == {1}, "a site that refused was not asked again"
        assert 5 <= len(asked) <= 10, "of two daemons each asks at most five"
        reasons = [run["reason"] for run in runs.values()]
        # A login that the other daemon had under way when the launch was halted is dropped with its connection.
        assert 5 <= reasons.count("auth_failed") <= len(asked)
        assert reasons.count("halted") == 40 - reasons.count("auth_failed")
        reason = await database.value("select reason from tminus.launches")
        assert "sites refused the login with credential 'default' and none took it" in reason
        # People are told of this event: see tminus.news_kinds.
        assert await database.value("select count(*) from tminus.events where kind = 'halted'") == 1
        logged = [event for daemon in (one, two) for event in daemon.log() if event["event"] == "launch_halted"]
        assert len(logged) == 1


async def test_where_one_site_takes_the_credential_the_launch_goes_on(database: Db, tmp_path: Path) -> None:
    bad = frozenset({Fault.REFUSES_LOGIN})
    specs = tuple(
        SiteSpec(id=f"r{n:02}", version="7.20.8", faults=frozenset() if n == 4 or n > 9 else bad) for n in range(16)
    )
    async with (
        simulate(FleetSpec(site_specs=specs, base="127.45.9.1")) as fleet,
        run_daemon(database, tmp_path, fleet),
    ):
        await database.run(fleet.inventory_sql(None))
        # Of the first five, one is good.
        runs = await database.finished(await database.submit(GOOD, wave_sizes=["5"]))
        states = {site: run["reason"] or run["state"] for site, run in runs.items()}
        assert states == {spec.id: "auth_failed" if spec.faults else "completed" for spec in specs}
        assert refused(fleet, *states) == [1 if spec.faults else 0 for spec in specs]


async def test_the_bound_can_be_taken_off(database: Db, tmp_path: Path) -> None:
    specs = tuple(SiteSpec(id=f"r{n}", version="7.20.8", faults=frozenset({Fault.REFUSES_LOGIN})) for n in range(8))
    async with (
        simulate(FleetSpec(site_specs=specs, base="127.45.10.1")) as fleet,
        run_daemon(database, tmp_path, fleet, max_refused_logins=0),
    ):
        await database.run(fleet.inventory_sql(None))
        runs = await database.finished(await database.submit(GOOD))
        assert {run["reason"] for run in runs.values()} == {"auth_failed"}
        assert refused(fleet, *runs) == [1] * 8
