"""The connection to a router is cut, or the route to it lost, at each moment (F13)."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from functools import partial

from tests.faults.invariants import Excuses
from tests.faults.namespace import find_route, lose_route
from tests.faults.proxy import Proxy
from tests.faults.rig import BOUND, SLOWNESS, Rig
from tests.faults.scenarios.scenario import Measured, Scenario, settle
from tests.support import until
from tminus.simulator import Kind

_CUTS: dict[str, Callable[[Proxy], None]] = {
    "freeze": Proxy.freeze,
    "drop": Proxy.drop,
    "reset": Proxy.reset,
    "half close": Proxy.half_close,
}
_MOMENTS: dict[str, Kind] = {
    "in the export": Kind.EXPORT,
    "after the upload": Kind.UPLOAD,
    "after the start": Kind.IMPORT_STARTED,
    "after the end": Kind.IMPORT_FINISHED,
}


def scenarios() -> Iterator[Scenario]:
    for moment in ("before the connect", "in the handshake", *_MOMENTS):
        for cut in _CUTS:
            if moment == "before the connect" and cut not in ("freeze", "reset"):
                continue
            act = partial(_cut_when, moment, cut, True)
            yield Scenario(fault="F13", name=f"{cut} {moment}", act=act, routers_by_proxy=True)
    act = partial(_cut_when, "after the start", "freeze", False)
    yield Scenario(fault="F13", name="gone for good after the start", act=act, routers_by_proxy=True)
    for moment in _MOMENTS:
        act = partial(_route_lost_when, moment, True)
        yield Scenario(fault="F13", name=f"route lost {moment}", act=act, own_network=True)
    act = partial(_route_lost_when, "after the start", False)
    yield Scenario(fault="F13", name="route lost for good", act=act, own_network=True)


async def _cut_when(moment: str, cut: str, comes_back: bool, rig: Rig, rng: random.Random) -> Measured:
    measured = Measured()
    site = rng.choice(rig.fleet.sites).id
    proxy = rig.routers[site]
    if moment == "before the connect":
        proxy.freeze() if cut == "freeze" else proxy.refuse()
        script = await rig.launch()
    elif moment == "in the handshake":
        proxy.when_down(rng.randrange(1, 3000), lambda: _CUTS[cut](proxy))
        script = await rig.launch()
        await _sleep_until(lambda: proxy.down.trigger_at is None)
    else:
        kind = _MOMENTS[moment]
        count = len(rig.fleet.journal.events(site, kind))
        script = await rig.launch()
        async with asyncio.timeout(30 * SLOWNESS):
            await rig.fleet.journal.wait(site, kind, count=count + 1)
        _CUTS[cut](proxy)
    since = time.time()
    if comes_back:
        await asyncio.sleep(rng.uniform(0.5, 3))
        await mend(proxy)
    excuses = Excuses(unreachable=() if comes_back else (site,))
    # Who cannot be reached is looked for again and again, which is work in hand.
    await settle(
        rig, measured, script, since=since, excuses=excuses, within=BOUND + 30 * SLOWNESS, footprints=comes_back
    )
    await mend(proxy)
    if not comes_back:
        await rig.all_routers_are_free()
        measured.violations += await rig.footprint_violations()
    runs = await rig.db.site_runs(script)
    for other, run in runs.items():
        measured.demand(
            other == site or run["state"] == "completed", f"A6: {other} has nothing to do with it: {run['message']}"
        )
    return measured


async def _route_lost_when(moment: str, comes_back: bool, rig: Rig, rng: random.Random) -> Measured:
    """The route to a router is gone: packets vanish in both directions, and neither side hears of it."""
    measured = Measured()
    site = rng.choice(rig.fleet.sites)
    kind = _MOMENTS[moment]
    count = len(rig.fleet.journal.events(site.id, kind))
    script = await rig.launch()
    async with asyncio.timeout(30 * SLOWNESS):
        await rig.fleet.journal.wait(site.id, kind, count=count + 1)
    await lose_route(site.address)
    since = time.time()
    try:
        if comes_back:
            await asyncio.sleep(rng.uniform(0.5, 12))
            await find_route(site.address)
        excuses = Excuses(unreachable=() if comes_back else (site.id,))
        await settle(
            rig, measured, script, since=since, excuses=excuses, within=BOUND + 30 * SLOWNESS, footprints=comes_back
        )
    finally:
        if not comes_back:
            await find_route(site.address)
    await rig.all_routers_are_free()
    if not comes_back:
        measured.violations += await rig.footprint_violations()
    for other, run in (await rig.db.site_runs(script)).items():
        measured.demand(
            other == site.id or run["state"] == "completed", f"A6: {other} has nothing to do with it: {run['message']}"
        )
    return measured


async def _sleep_until(condition: Callable[[], bool]) -> None:
    async def look() -> bool:
        return condition()

    await until(look, within=30 * SLOWNESS, every=0.01)


async def mend(proxy: Proxy) -> None:
    proxy.thaw()
    proxy.down.bytes_per_second = proxy.up.bytes_per_second = None
    proxy.down.delay = proxy.up.delay = 0.0
    proxy.reset()
    proxy.refuse()
    await proxy.listen()
