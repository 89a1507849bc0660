"""A daemon is held up around its point of no return: what is late is not started, and what has ended is not begun again."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from tests.faults.proxy import proxied
from tests.faults.server import own_server
from tests.faults.test_cancelled_at_each_step import SITE, held
from tests.faults.witness import bear_witness
from tests.support import Db, run_daemon, until
from tminus.kill_points import Point
from tminus.simulator import Fault, FleetSpec, Kind, SiteSpec, simulate

SITE_TIMEOUT = 20
LEAST_TIME = SITE_TIMEOUT / 2
"""Seconds that have to be left for the script, where its site has so little time."""


@pytest.mark.timeout(120)
async def test_a_start_that_was_committed_too_late_is_not_sent(database: Db, tmp_path: Path) -> None:
    async with simulate(FleetSpec(sites=1)) as fleet:
        here, daemon = await held(database, fleet, tmp_path)
        try:
            await daemon.ready()
            script = await here.launch_until(Point.START_WRITTEN, site_timeout=timedelta(seconds=SITE_TIMEOUT))
            committed = (await database.site_runs(script))[SITE]
            assert committed["executing_at"] is not None
            late = "select clock_timestamp() > $1::timestamptz + make_interval(secs => $2)"
            await until(lambda: database.value(late, committed["started_at"], LEAST_TIME + 0.5), within=15)
            here.go_on(Point.START_WRITTEN)
            run = (await database.finished(script, within=20))[SITE]
            assert (run["state"], run["reason"], run["effect"]) == ("failed", "timed_out", "none")
            assert "were left for the script" in run["message"]
            assert run["executing_at"] == committed["executing_at"]
            assert fleet.journal.starts(SITE) == []
            assert not fleet.files(SITE)
        finally:
            await daemon.kill()


@pytest.mark.timeout(120)
async def test_a_refused_login_is_not_repeated_though_it_could_not_be_written_until_trust_was_lost(
    tmp_path: Path,
) -> None:
    refusing = SiteSpec(id=SITE, version="7.20.8", faults=frozenset({Fault.REFUSES_LOGIN}))
    quick = {"heartbeat_ttl": 3.0, "heartbeat_margin": 0.5, "heartbeat_interval": 0.5}
    async with (
        own_server() as (server, db),
        simulate(FleetSpec(site_specs=(refusing,), base="127.77.2.1")) as fleet,
        proxied((fleet.sites[0].address, fleet.sites[0].port)) as way,
        run_daemon(db, tmp_path, fleet, **quick) as daemon,
    ):
        await db.run(fleet.inventory_sql(None))
        await db.fetch("update tminus.sites set address = '127.0.0.1', port = $1", way.port)
        way.down.flows.clear()  # it is connected to, and says nothing yet
        script = await db.submit(":put 1")

        async def is_connecting() -> bool:
            return way.open > 0

        await until(is_connecting)
        await server.crash()
        way.thaw()
        async with asyncio.timeout(20):
            await fleet.journal.wait(SITE, Kind.LOGIN_REFUSED)

        async def lost_its_trust() -> bool:
            return any(event["event"] == "trust_lost" for event in daemon.log())

        await until(lost_its_trust, within=20)
        # Whatever was not started is stopped in that moment, and not yet where it has ended: this answers for it.
        assert (await daemon.get("/healthz"))[0] == 200
        await server.start()
        run = (await db.finished(script, within=40))[SITE]
        assert (run["state"], run["reason"], run["attempts"]) == ("failed", "auth_failed", 1)
        assert len(fleet.journal.events(SITE, Kind.LOGIN_REFUSED)) == 1
        assert not [event for event in daemon.log() if event["event"] == "site_given_back"]
        await bear_witness(db, fleet, tmp_path)
