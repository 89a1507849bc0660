"""A rig for faults: a database, a simulated fleet behind proxies, and daemons that are started again when they end.

The daemons are real processes with the kill points of tests/faults/armed.py; each reaches the database through a proxy of its
own. Many faults can follow one another on one rig: each brings scheduled scripts of its own, with texts of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg

from tests.faults.invariants import NO_EXCUSE, Excuses, Footprint, check_footprint, check_logs, check_runs
from tests.faults.proxy import Proxy, Target, proxied
from tests.support import SLOWNESS, Daemon, Db, fresh_database, start_daemon, until
from tminus.kill_points import Point
from tminus.simulator import Fleet, FleetSpec, simulate

TTL, REAP = 3.0 * SLOWNESS, 0.5
# Every proportion of the real thing, and recoveries that take seconds.
PROFILE: dict[str, object] = {
    "poll_interval": 0.5,
    "heartbeat_interval": 0.5 * SLOWNESS,
    "heartbeat_ttl": TTL,
    "heartbeat_margin": 0.5 * SLOWNESS,
    "reap_interval": REAP,
    "drain_timeout": 20.0,
    "connect_timeout": 3.0,
    "login_timeout": 5.0,
    "command_timeout": 8.0,
    "export_timeout": 8.0,
    "resolve_within": 10.0,
}
NOTICED_WITHIN = TTL + REAP + 1.5 * SLOWNESS
"""Seconds from the death of an instance until another has declared it dead: ttl, one round of the reaper, and the machine."""

CONTACT = 40.0
"""Seconds that a resolution may take: `resolve_within` to reach the router, and 20 s of watching what may still run."""

BOUND = TTL + REAP + CONTACT + 5.0 * SLOWNESS
"""Seconds from a fault until every site run has ended, what has to be run once more included."""

_RESTART_AFTER = 0.2  # seconds, as systemd's RestartSec
_rigs = itertools.count(1)


@dataclass(slots=True, eq=False)
class Slot:
    """A place where a daemon runs, life after life."""

    name: str
    folder: Path
    proxy: Proxy
    daemon: Daemon | None = None
    exits: list[int] = field(default_factory=list)
    halted: bool = False  # not started again
    spared: bool = False  # takes no plan: for what is measured of a process that lives long
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def pid(self) -> int:
        assert self.daemon is not None
        return self.daemon.process.pid

    @property
    def running(self) -> bool:
        return self.daemon is not None and self.daemon.process.returncode is None


class Rig:
    def __init__(self, db: Db, fleet: Fleet, folder: Path, *, settings: dict[str, object]) -> None:
        self.db = db
        self.fleet = fleet
        self.slots: list[Slot] = []
        self.routers: dict[str, Proxy] = {}
        self._folder = folder
        self._plans = folder / "plans"
        self._plans.mkdir()
        self._settings = settings
        self._numbers = itertools.count(1)
        self._frozen: set[int] = set()
        self._footprints: dict[int, Footprint] = {}
        self.submitted: list[object] = []

    # -- daemons -------------------------------------------------------------------------------------------------------

    async def supervise(self, slot: Slot) -> None:
        """Run daemons in this place, one after the other, for ever."""
        while True:
            if slot.halted:
                await asyncio.sleep(0.05)
                continue
            async with slot.starting:
                slot.daemon = await start_daemon(
                    self.db, slot.folder, self.fleet,
                    program=("tests.faults.armed", str(self._folder / "no-plans" if slot.spared else self._plans)),
                    **{"database_url": self.dsn_of(slot), "instance_name": slot.name, **self._settings},
                )  # fmt: skip
            slot.exits.append(await slot.daemon.process.wait())
            await asyncio.sleep(_RESTART_AFTER)

    def dsn_of(self, slot: Slot) -> str:
        """The database as this daemon reaches it: through its own proxy."""
        name = urlsplit(self.db.dsn).path
        return f"postgresql://tminus_serve@127.0.0.1:{slot.proxy.port}{name}?sslmode=disable"

    async def everybody_lives(self, *, within: float = 60.0 * SLOWNESS) -> None:
        """Wait until a daemon is ready in every place, and is trusted."""

        async def look() -> bool:
            for slot in self.slots:
                if slot.halted:
                    continue
                if slot.daemon is None or slot.daemon.process.returncode is not None:
                    return False
                with contextlib.suppress(AssertionError, OSError):
                    if not slot.daemon.url:
                        await slot.daemon.ready()
                    if (await slot.daemon.get("/readyz"))[0] != 200:
                        return False
                    continue
                return False
            return True

        await until(look, within=within)

    async def all_routers_are_free(self, *, within: float = 60.0 * SLOWNESS) -> None:
        """Wait until no router is held back for what an earlier fault left running there: the next one is not to pay for it."""

        async def look() -> bool:
            await self.db.run("update tminus.busy_sites set look_at = tminus.clock() where free_at is null")
            return not await self.db.value("select exists (select from tminus.busy_sites where free_at is null)")

        await until(look, within=within, every=0.5)

    def slot_of(self, pid: int) -> Slot:
        return next(slot for slot in self.slots if slot.daemon is not None and slot.pid == pid)

    def others(self, slot: Slot) -> list[Slot]:
        return [other for other in self.slots if other is not slot]

    def freeze(self, pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        self._frozen.add(pid)

    def wake(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
        self._frozen.discard(pid)

    def wake_all(self) -> None:
        """Wake whoever may be frozen: who took a plan late was not waited for."""
        for slot in self.slots:
            if slot.running:
                self.wake(slot.pid)

    # -- kill points ---------------------------------------------------------------------------------------------------

    def plan(self, point: Point, action: str) -> None:
        """Have whoever reaches `point` next do what `action` says; see tests/faults/armed.py."""
        for taken in self._plans.glob(f"{point}.*"):
            taken.unlink()
        partial = self._plans / "partial"
        partial.write_text(action)
        partial.rename(self._plans / point)

    def forget_plans(self) -> None:
        for plan in self._plans.iterdir():
            plan.unlink()

    async def taken(self, point: Point, *, within: float = 30.0 * SLOWNESS) -> int:
        """Wait until somebody took the plan for `point`; the process id."""

        async def look() -> int:
            found = [entry for entry in self._plans.glob(f"{point}.*") if entry.suffix != ".go"]
            return int(found[0].suffix[1:]) if found else 0

        pid = await until(look, within=within)
        if "stop" in (self._plans / f"{point}.{pid}").read_text():
            self._frozen.add(pid)
            await until(lambda: _stopped(pid), within=within)
        return pid

    def go_on(self, point: Point) -> None:
        """Let go who holds at `point`."""
        (self._plans / f"{point}.go").touch()

    # -- launches ------------------------------------------------------------------------------------------------------

    def text(self, *, seconds: float = 1.0, body: str = "") -> str:
        """A script that is like no other, and runs so long."""
        number = next(self._numbers)
        return (
            f"/ip dns static add name=before-{number}.example address=192.0.2.1\n{body}:delay {seconds}s\n"
            f'/ip dns static add name=after-{number}.example address=192.0.2.2\n:put "done {number}"\n'
        )

    async def launch(self, sites: Collection[str] | None = None, *, seconds: float = 1.0, **columns: object) -> Any:
        """Submit and authorize a script that is due now; its id."""
        chosen = list(sites or [site.id for site in self.fleet.sites])
        times = {"site_timeout": timedelta(seconds=30), "start_within": timedelta(seconds=30 * SLOWNESS)}
        columns = {**times, "script": self.text(seconds=seconds), **columns}
        text = str(columns.pop("script"))
        for ahead in (0.7, 5.0, 30.0):
            try:
                script = await self.db.submit(text, chosen, due_in=ahead, **columns)
            except asyncpg.ObjectNotInPrerequisiteStateError:
                continue  # a machine so busy that its time had passed before it was authorized
            break
        else:
            raise AssertionError("no script could be authorized in time")
        self.submitted.append(script)
        return script

    async def ended(self, *scripts: object, within: float = BOUND) -> float | None:
        """Wait until all site runs of these have ended; the seconds that it took, or None if it took too long."""
        begun = time.monotonic()

        async def look() -> bool:
            open_still: bool = await self.db.value(
                "select exists (select from tminus.scheduled_scripts where id = any ($1::uuid[]) and finished_at is null)",
                list(scripts),
            )
            return not open_still

        try:
            await until(look, within=within, every=0.1)
        except AssertionError:
            return None
        return time.monotonic() - begun

    async def seconds_until_dead(self, pid: int, since: float) -> float:
        """Seconds from `since` (time.time()) until the instance of that process was declared dead."""

        async def look() -> float | None:
            moment: float | None = await self.db.value(
                "select extract(epoch from ended_at)::double precision from tminus.instances"
                " where pid = $1 and state = 'dead' order by ended_at desc limit 1",
                pid,
            )
            return moment

        return float(await until(look, within=30) or 0) - since

    async def runs_of(self, pid: int, script: object) -> dict[str, asyncpg.Record]:
        """The site runs of a script that are this process's by the database, at this moment or until they ended; by site."""
        rows = await self.db.fetch(
            """
            select r.*
            from tminus.site_runs r
            join tminus.launches l on l.id = r.launch_id
            join tminus.instances i on i.id = r.instance_id
            where i.pid = $1 and l.script_id = $2
            """,
            pid,
            script,
        )
        return {row["site_id"]: row for row in rows}

    async def died(self, pid: int, *, within: float = 10.0 * SLOWNESS) -> None:
        """Wait until that process does nothing more. Nobody takes over what it had before its ttl is over."""
        await until(lambda: _dead(pid), within=within, every=0.01)

    async def is_gone(self, slot: Slot, lives: int, *, within: float) -> bool:
        """Wait until a process of that place has ended that was the next to do so after `lives` others."""

        async def look() -> bool:
            return len(slot.exits) > lives

        with contextlib.suppress(AssertionError):
            await until(look, within=within, every=0.02)
        return len(slot.exits) > lives

    # -- the oracle ----------------------------------------------------------------------------------------------------

    async def take_footprints(self) -> None:
        """Remember what the processes hold that live now, and do nothing."""
        self._footprints = {
            slot.pid: Footprint.of(slot.pid, await slot.daemon.metrics())
            for slot in self.slots
            if slot.running and slot.daemon is not None and slot.daemon.url
        }

    async def violations(self, *scripts: object, excuses: Excuses = NO_EXCUSE, footprints: bool = True) -> list[str]:
        """Everything that does not hold, of these scripts and of who lived through it. Empty is good."""
        found = await check_runs(self.db, self.fleet, scripts or self.submitted, excuses=excuses)
        return found + (await self.footprint_violations() if footprints else [])

    async def footprint_violations(self) -> list[str]:
        """What those who lived through it hold more than before, once they have nothing to do any more."""
        found: list[str] = []
        for slot in self.slots:
            before = self._footprints.get(slot.pid) if slot.running else None
            if before is not None and slot.daemon is not None and slot.daemon.url:
                found += await self._look_at(slot.daemon, before)
        return found

    async def _look_at(self, daemon: Daemon, before: Footprint) -> list[str]:
        """A footprint needs a moment to shrink: what it is at its best counts."""
        last: list[str] = []

        async def look() -> bool:
            nonlocal last
            metrics = await daemon.metrics()
            last = check_footprint(before, Footprint.of(daemon.process.pid, metrics), metrics["tminus_sessions"])
            return not last

        with contextlib.suppress(AssertionError):
            await until(look, within=10)
        return last

    def log_violations(self, excuses: Excuses = NO_EXCUSE) -> list[str]:
        key = self.fleet.client_key.export_private_key().decode().splitlines()[1]
        logs = [slot.folder / "serve.log" for slot in self.slots]
        return check_logs(logs, secrets=(self.fleet.spec.password, key), excuses=excuses)

    async def metric(self, name: str) -> dict[int, float]:
        """The sum over all labels, of each process that can be asked."""
        found: dict[int, float] = {}
        for slot in self.slots:
            if slot.running and slot.daemon is not None and slot.daemon.url:
                values = await slot.daemon.metrics()
                found[slot.pid] = sum(
                    value for key, value in values.items() if key == name or key.startswith(name + "{")
                )
        return found

    async def moved(self, name: str, before: dict[int, float]) -> bool:
        """Whether a metric grew in a process that lived through it all. Where none did, there is none to tell."""
        after = await self.metric(name)
        stayed = before.keys() & after.keys()
        return not stayed or any(value > before.get(pid, 0) for pid, value in after.items())


async def _dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):  # gone before it was opened, or before it was read
        return True


async def _stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


def database_target(dsn: str) -> Target:
    parts = urlsplit(dsn)
    given = {name: values[0] for name, values in parse_qs(parts.query).items()}
    host, port = given.get("host", parts.hostname or "localhost"), int(given.get("port", parts.port or 5432))
    return Path(host) / f".s.PGSQL.{port}" if host.startswith("/") else (host, port)


@asynccontextmanager
async def open_rig(
    postgres: str,
    folder: Path,
    *,
    daemons: int = 2,
    spared: int = 0,
    spec: FleetSpec | None = None,
    routers_by_proxy: bool = False,
    **settings: object,
) -> AsyncIterator[Rig]:
    """Open one. `daemons` may be killed by plans, `spared` more may not; with `routers_by_proxy` each site has a proxy.

    `postgres` is the DSN of a server with the template database.
    """
    number = next(_rigs)
    folder.mkdir(parents=True, exist_ok=True)
    spec = spec or FleetSpec(sites=4, export_ms=150)
    async with AsyncExitStack() as stack:
        db = await stack.enter_async_context(fresh_database(postgres, f"rig_{os.getpid()}_{number}"))
        fleet = await stack.enter_async_context(simulate(replace(spec, key_dir=None)))
        rig = Rig(db, fleet, folder, settings={**PROFILE, **settings})
        await db.run(fleet.inventory_sql(None))
        if routers_by_proxy:
            for site in fleet.sites:
                proxy = rig.routers[site.id] = await stack.enter_async_context(proxied((site.address, site.port)))
                await db.fetch(
                    "update tminus.sites set address = '127.0.0.1', port = $2 where id = $1", site.id, proxy.port
                )
        target = database_target(db.dsn)
        for place in range(daemons + spared):
            slot = Slot(f"daemon-{place}", folder / f"daemon-{place}", await stack.enter_async_context(proxied(target)))
            slot.spared = place >= daemons
            rig.slots.append(slot)
        duties = [asyncio.create_task(rig.supervise(slot)) for slot in rig.slots]
        try:
            await rig.everybody_lives()
            yield rig
        finally:
            for slot, duty in zip(rig.slots, duties, strict=True):
                async with slot.starting:  # a process that is being started would be nobody's
                    duty.cancel()
            await asyncio.gather(*duties, return_exceptions=True)
            for slot in rig.slots:
                if slot.daemon is not None:
                    await slot.daemon.kill()
