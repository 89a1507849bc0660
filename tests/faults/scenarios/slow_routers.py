"""Routers answer slowly, or never, and the others must not notice (F14)."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial

from tests.faults.invariants import Excuses
from tests.faults.rig import BOUND, SLOWNESS, Rig
from tests.faults.scenarios.network import mend
from tests.faults.scenarios.scenario import Measured, Scenario, settle
from tests.support import until
from tminus.simulator import Fault

_SILENT, _GOOD = 200, 50


def scenarios() -> Iterator[Scenario]:
    for what in ("trickle", "round trip of 2 s", "8 kbit"):
        yield Scenario(fault="F14", name=what, act=partial(_slow, what), routers_by_proxy=True)
    yield Scenario(fault="F14", name="silent logins beside good ones", act=_silent_many, sites=_SILENT + _GOOD)


async def _slow(what: str, rig: Rig, rng: random.Random) -> Measured:
    """One router trickles; the others must not notice."""
    measured = Measured()
    site = rng.choice(rig.fleet.sites).id
    proxy = rig.routers[site]
    match what:
        case "trickle":
            proxy.down.bytes_per_second = 50
        case "round trip of 2 s":
            proxy.down.delay = proxy.up.delay = 1.0
        case "8 kbit":
            proxy.down.bytes_per_second = proxy.up.bytes_per_second = 1000
    script = await rig.launch(site_timeout=timedelta(seconds=20))
    since = time.time()
    others = [other.id for other in rig.fleet.sites if other.id != site]

    async def done() -> bool:
        runs = await rig.db.site_runs(script)
        return all(runs.get(other, {}).get("state") == "completed" for other in others)

    try:
        await until(done, within=10 * SLOWNESS)
    except AssertionError:
        measured.demand(False, f"A6: the others did not end within {10 * SLOWNESS:.0f} s beside a {what}")
    await settle(rig, measured, script, since=since, excuses=Excuses(unreachable=(site,)), within=BOUND + 30 * SLOWNESS)
    await mend(proxy)
    return measured


_LAGS = """
    select extract(epoch from r.executing_at - l.due_at)::double precision as lag
    from tminus.site_runs r
    join tminus.launches l on l.id = r.launch_id
    where l.script_id = $1 and r.site_id = any ($2::text[]) and r.executing_at is not null
    order by lag
    """


async def _silent_many(rig: Rig, rng: random.Random) -> Measured:
    """Most routers accept a connection and never say a word: the others start as soon as if they were alone."""
    measured = Measured()
    sites = [site.id for site in rig.fleet.sites]
    good = sites[:: len(sites) // _GOOD]  # among the others, whatever the order in which they are claimed
    silent = [site for site in sites if site not in good]
    lags: list[float] = []
    for chosen in (good, good, sites):  # the first time much is done that is done once
        script = await rig.launch(chosen, start_within=timedelta(seconds=10 * SLOWNESS))
        since = time.time()
        unreachable = silent if chosen is sites else []
        await settle(rig, measured, script, since=since, excuses=Excuses(unreachable=unreachable), within=2 * BOUND)
        found = [row["lag"] for row in await rig.db.fetch(_LAGS, script, good)]
        measured.demand(len(found) == _GOOD, f"A6: {_GOOD - len(found)} of {_GOOD} good routers were not started")
        lags.append(found[int(len(found) * 0.95)] if found else 0.0)
        for site in silent:
            await rig.fleet.set_faults(site, {Fault.BLACKHOLE})
    for site, run in (await rig.db.site_runs(script)).items():
        ending = (run["state"], run["reason"])
        expected = ("failed", "offline") if site in silent else ("completed", None)
        measured.demand(ending == expected, f"A6: {site} ended as {ending}: {run['message']}")
    _, alone, beside = lags
    # A fifth more, and the machine's own work: it makes two hundred connections more meanwhile.
    measured.demand(
        beside <= 1.2 * alone + 1.0 * SLOWNESS, f"A6: started after {beside:.1f} s, and {alone:.1f} s alone"
    )
    measured.said = (
        f"95 % of {_GOOD} good routers started within {alone:.1f} s alone, {beside:.1f} s beside {_SILENT} silent ones"
    )
    for site in silent:
        await rig.fleet.set_faults(site, ())
    return measured
