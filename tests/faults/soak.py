"""What scripts/soak runs: daemons over many sites with faults at random, for as long as one likes.

Launches follow one another over random sites; every few seconds something goes wrong with a daemon, the database or a router.
At the end, and on the way, all that has to hold after a single fault has to hold after all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from tests.faults.invariants import Cut, Excuses, check_runs
from tests.faults.rig import BOUND, REAP, SLOWNESS, TTL, Rig, Slot, open_rig
from tests.support import make_template, start_postgres, until
from tminus.kill_points import Point
from tminus.simulator import FleetSpec

_BETWEEN_FAULTS = (1.0, 5.0)  # seconds
_BETWEEN_LAUNCHES = (0.5, 3.0)
_SITE_TIMEOUT = 40.0
_START_WITHIN = 60.0
_LATE = _START_WITHIN + _SITE_TIMEOUT + BOUND + 30.0
"""Seconds from its time until every site of a launch has ended, whatever happened meanwhile, the next fault included."""

_TIDY_WITHIN = 60.0 * SLOWNESS
"""Seconds at the end, with nothing broken any more, until no file of ours is left on any router."""
_ROUNDS = 20  # of a process's services, in which its database serves it again
_GROWTH = 40.0  # MiB an hour, of the process that is spared; asked for where it ran long enough to tell
_LONG_ENOUGH = 10.0  # minutes

_POINTS = (
    Point.CLAIMED, Point.EXPORTING, Point.UPLOADED, Point.READY, Point.START_WRITING, Point.START_COMMITTING,
    Point.START_WRITTEN, Point.SENDING,
    Point.SENT, Point.ANSWERED, Point.ENDING, Point.ENDING_WRITING, Point.ENDING_WRITTEN, Point.REAPED, Point.ORPHAN_TAKEN,
    Point.ORPHAN_RESOLVED, Point.LAUNCHING, Point.LAUNCHED, Point.HOUSEKEPT, Point.BEATING,
)  # fmt: skip


@dataclass(slots=True)
class Told:
    """How often each fault was made, the site runs that were open then, and the worst time until they had ended, in seconds."""

    count: int = 0
    worst: float = 0.0
    runs: set[int] = field(default_factory=set)
    violations: int = 0  # of these runs


@dataclass(slots=True)
class Soak:
    rig: Rig
    rng: random.Random
    faults: dict[str, Told] = field(default_factory=dict)
    memory: list[tuple[float, float]] = field(default_factory=list)  # seconds since the start, MiB of the spared daemon
    violations: list[str] = field(default_factory=list)
    watches: set[asyncio.Task[None]] = field(default_factory=set)
    cuts: list[Cut] = field(default_factory=list)

    # -- the faults: each ends what it has begun -----------------------------------------------------------------------

    async def kill(self) -> None:
        await self._at_a_point("kill")

    async def freeze(self) -> None:
        pid = await self._at_a_point("stop")
        await asyncio.sleep(self.rng.uniform(0.5, 3 * TTL))
        if pid:
            self.rig.wake(pid)

    async def block(self) -> None:
        await self._at_a_point(f"block {self.rng.uniform(0.5, 2 * TTL)}")

    async def _at_a_point(self, action: str) -> int | None:
        point = self.rng.choice(_POINTS)
        self.rig.plan(point, action)
        try:
            return await self.rig.taken(point, within=5)
        except AssertionError:
            self.rig.forget_plans()  # nobody came by
            return None

    async def terminate(self) -> None:
        slot = self._slot()
        if slot.running and slot.daemon is not None:
            slot.daemon.process.terminate()

    async def freeze_database(self) -> None:
        slots = [self._slot()]
        if together := self.rng.random() < 0.4:
            slots = self.rig.slots
        for slot in slots:
            slot.proxy.freeze()
        # The spared one must not be taken for dead.
        await asyncio.sleep(self.rng.uniform(0.2, TTL / 2 if together else 3 * TTL))
        for slot in slots:
            slot.proxy.thaw()

    async def cut_database(self) -> None:
        slot = self._slot()
        slot.proxy.down.swallows = self.rng.random() < 0.5
        await asyncio.sleep(self.rng.uniform(0, 0.5))
        slot.proxy.reset()
        slot.proxy.thaw()

    async def cut_routers(self) -> None:
        sites = self.rng.sample(sorted(self.rig.routers), k=max(len(self.rig.routers) // 10, 1))
        how = self.rng.choice(("freeze", "drop", "reset", "half_close"))
        since = time.time()
        for site in sites:
            getattr(self.rig.routers[site], how)()
        await asyncio.sleep(self.rng.uniform(0.2, 5))
        for site in sites:
            self.rig.routers[site].thaw()
            self.rig.routers[site].reset()
        self.cuts += [Cut(site=site, since=since, until=time.time()) for site in sites]

    def _slot(self) -> Slot:
        return self.rng.choice([slot for slot in self.rig.slots if not slot.spared])

    # -- what goes on beside -------------------------------------------------------------------------------------------

    async def launch_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        sites = [site.id for site in self.rig.fleet.sites]
        while time.monotonic() < end:
            chosen = self.rng.sample(sites, k=self.rng.randrange(1, max(len(sites) // 4, 2)))
            cap = self.rng.choice((None, None, 5, 20))
            script = await self.rig.launch(
                chosen, seconds=self.rng.choice((0.1, 0.5, 2.0)), max_concurrency=cap,
                site_timeout=timedelta(seconds=_SITE_TIMEOUT), start_within=timedelta(seconds=_START_WITHIN),
            )  # fmt: skip
            if self.rng.random() < 0.05:
                await asyncio.sleep(self.rng.uniform(0, 3))
                with contextlib.suppress(Exception):  # it may have finished
                    await self.rig.db.value("select tminus.cancel($1)", script, role="alice")
            await asyncio.sleep(self.rng.uniform(*_BETWEEN_LAUNCHES))
            await until(self._has_room, within=_LATE, every=0.5)

    async def fault_for(self, seconds: float) -> None:
        kinds: dict[str, Callable[[], Awaitable[object]]] = {
            "killed at a point": self.kill,
            "frozen at a point": self.freeze,
            "blocked at a point": self.block,
            "told to end": self.terminate,
            "database frozen": self.freeze_database,
            "database cut": self.cut_database,
            "routers cut": self.cut_routers,
        }
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await asyncio.sleep(self.rng.uniform(*_BETWEEN_FAULTS))
            name = self.rng.choice(sorted(kinds))
            open_now = [
                row["id"] for row in await self.rig.db.fetch("select id from tminus.site_runs where state = 'running'")
            ]
            since = time.monotonic()
            await kinds[name]()
            self.rig.wake_all()
            told = self.faults.setdefault(name, Told())
            told.count += 1
            told.runs.update(open_now)
            watch = asyncio.create_task(self._watch(told, open_now, since))
            self.watches.add(watch)
            watch.add_done_callback(self.watches.discard)

    async def _watch(self, told: Told, runs: list[int], since: float) -> None:
        """Time until what ran at that moment is over, or runs again."""

        async def settled() -> bool:
            return not await self.rig.db.value(
                "select exists (select from tminus.site_runs where id = any ($1::bigint[]) and finished_at is null)",
                runs,
            )

        with contextlib.suppress(AssertionError):  # whoever is late is found by `watch_bounds`
            await until(settled, within=_LATE, every=0.5)
        told.worst = max(told.worst, time.monotonic() - since)

    async def watch_bounds(self) -> None:
        """No site run is past its bound, at any moment."""
        started = time.monotonic()
        while True:
            late = await self.rig.db.fetch(
                "select r.id, r.site_id, r.state, r.step from tminus.site_runs r join tminus.launches l on l.id = r.launch_id"
                " where r.finished_at is null and r.turn_at + make_interval(secs => $1) < tminus.clock()",
                _LATE,
            )
            self.violations += [f"A3: past its bound: {dict(row)}" for row in late]
            for slot in self.rig.slots:
                if slot.spared and slot.running:
                    text = Path(f"/proc/{slot.pid}/status").read_text()
                    size = int(next(x.split()[1] for x in text.splitlines() if x.startswith("VmRSS"))) / 1024
                    self.memory.append((time.monotonic() - started, size))
            await asyncio.sleep(5)

    # -- the end -------------------------------------------------------------------------------------------------------

    async def warm_up(self) -> None:
        """A launch on all sites in peace: what a process holds after it is what it may hold at the end."""
        script = await self.rig.launch(seconds=0.1, site_timeout=timedelta(seconds=_SITE_TIMEOUT))
        assert await self.rig.ended(script, within=_LATE) is not None, "not even the first launch ended"
        await self.rig.take_footprints()

    async def mended(self) -> None:
        """With nothing broken any more everybody is ready, no file of ours is left anywhere, and nothing fails."""
        try:
            await self.rig.everybody_lives()
        except AssertionError:
            self.violations.append("A9: /readyz did not return to 200 everywhere")
        left: list[str] = []

        async def tidy() -> bool:
            await self.rig.db.run("select tminus.hasten_cleanup()")
            left[:] = [
                f"{name} on {site.id}"
                for site in self.rig.fleet.sites
                for name in self.rig.fleet.files(site.id)
                if name.startswith("tminus-")
            ]
            owed = await self.rig.db.value("select count(*) from tminus.cleanup_debts where settled_at is null")
            return not left and not owed

        try:
            await until(tidy, within=_TIDY_WITHIN, every=1.0)
        except AssertionError:
            self.violations.append(
                f"A0: after {_TIDY_WITHIN:.0f} s there are debts, and still {', '.join(left[:10]) or 'no file'}"
            )
        errors = await self.rig.metric("tminus_store_errors_total")
        rounds = await self.rig.metric("tminus_service_ticks_total")

        async def went_round() -> bool:
            now = await self.rig.metric("tminus_service_ticks_total")
            return all(now.get(pid, 0) >= count + _ROUNDS for pid, count in rounds.items())

        try:
            await until(went_round, within=_TIDY_WITHIN)
        except AssertionError:
            self.violations.append("A9: a process ended, or its services stand still, with nothing broken any more")
        if await self.rig.metric("tminus_store_errors_total") != errors:
            self.violations.append("A9: the database still fails somebody, with nothing broken any more")

    async def judge(self) -> list[str]:
        """All that does not hold, and how much of it each fault met."""
        excuses = Excuses(cuts=self.cuts)
        for told in self.faults.values():
            told.violations = len(await check_runs(self.rig.db, self.rig.fleet, runs=told.runs, excuses=excuses))
        return self.violations + await self.rig.violations(excuses=excuses) + self.rig.log_violations(excuses)

    async def _has_room(self) -> bool:
        """Overload is another test."""
        waiting: int = await self.rig.db.value("select count(*) from tminus.site_runs where finished_at is null")
        return waiting < 2 * len(self.rig.fleet.sites)


def slope(points: list[tuple[float, float]]) -> float:
    """Least squares, in MiB an hour; the first quarter, in which caches fill, is left out."""
    points = points[len(points) // 4 :]
    if len(points) < 2:
        return 0.0
    mean_x, mean_y = (sum(axis) / len(points) for axis in zip(*points, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return 3600 * sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


async def soak(
    postgres: str, folder: Path, *, minutes: float, sites: int, daemons: int, seed: int, quiet: bool = False
) -> list[str]:
    """Run it, print the table, and return the violations.

    One daemon more is spared what ends a process, so that there is one whose memory tells something after an hour.
    """
    spec = FleetSpec(sites=sites, export_ms=100, seed=seed, versions=("7.20.8", "7.12.2"), base="127.78.0.1")
    seconds = minutes * 60
    async with open_rig(
        postgres, folder, daemons=daemons, spared=1, spec=spec, routers_by_proxy=True, max_sessions=sites
    ) as rig:
        soaked = Soak(rig, random.Random(seed))
        await soaked.warm_up()
        bounds = asyncio.create_task(soaked.watch_bounds())
        async with asyncio.TaskGroup() as work:
            work.create_task(soaked.launch_for(seconds))
            work.create_task(soaked.fault_for(seconds))
        rig.forget_plans()
        await asyncio.sleep(1)
        rig.wake_all()
        if await rig.ended(*rig.submitted, within=_LATE) is None:
            soaked.violations.append(f"A3: not all had ended {_LATE:.0f} s after the last fault")
        bounds.cancel()
        await soaked.mended()
        if soaked.watches:
            await asyncio.wait(soaked.watches, timeout=5)
        found = await soaked.judge()
        if minutes >= _LONG_ENOUGH and slope(soaked.memory) > _GROWTH:
            found.append(f"A7: {slope(soaked.memory):.0f} MiB an hour more in the process that was spared")
        states = Counter(
            (row["state"], row["reason"]) for row in await rig.db.fetch("select state, reason from tminus.site_runs")
        )
        starts = sum(len(rig.fleet.journal.starts(site.id)) for site in rig.fleet.sites)
        if not quiet:
            _tell(soaked, states, starts, found, minutes, seed)
    return found


def _tell(
    soaked: Soak, states: Counter[tuple[str, str | None]], starts: int, found: list[str], minutes: float, seed: int
) -> None:
    head = f"{'fault':24} {'times':>6} {'violations':>10} {'worst recovery, s':>18}"
    print(head, "-" * len(head), sep="\n")
    for name, told in sorted(soaked.faults.items()):
        print(f"{name:24} {told.count:6} {told.violations:10} {told.worst:18.1f}")
    print(
        f"{len(soaked.rig.submitted)} launches, {sum(states.values())} site runs, {starts} scripts started by the journal"
    )
    for (state, reason), count in states.most_common():
        print(f"  {count:6} {state}{'/' + reason if reason else ''}")
    lives = sum(len(slot.exits) + 1 for slot in soaked.rig.slots)
    memory = f"{soaked.memory[-1][1]:.0f} MiB, slope {slope(soaked.memory):+.1f} MiB/h"
    print(f"{lives} lives of {len(soaked.rig.slots)} daemons; memory of the one that is spared: {memory}")
    print(f"{len(found)} violations in {minutes:g} minutes, seed {seed}; ttl {TTL} s, reap {REAP} s")
    for violation in found[:40]:
        print(f"  {violation}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak", description="Daemons over many sites, with faults at random.")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--sites", type=int, default=200)
    parser.add_argument("--daemons", type=int, default=2)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tminus-soak-"))
    with start_postgres() as dsn:
        asyncio.run(make_template(dsn))
        found = asyncio.run(
            soak(
                dsn,
                folder / "rig",
                minutes=options.minutes,
                sites=options.sites,
                daemons=options.daemons,
                seed=options.seed,
            )
        )
    if found:
        print(f"the logs are in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
