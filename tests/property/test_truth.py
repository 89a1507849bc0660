"""Whatever goes wrong at whatever moment: the database never says better of a router than what it really did.

Real daemons, real SSH, simulated routers that keep a journal of what they did. Hypothesis chooses what each router is
like, what is wrong with it, and what strikes it when.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support import Db, run_daemon, until
from tminus.simulator import (
    DEFAULT,
    WORST,
    Behaviour,
    ChannelEnd,
    Event,
    Fault,
    Fleet,
    FleetSpec,
    Kind,
    SiteSpec,
    simulate,
)

SITES = 24
EXAMPLES = int(os.environ.get("TMINUS_TRUTH_EXAMPLES", "3"))  # some twenty seconds each; scripts/truth draws more
ADD = "/ip dns static add name=host{0}.example address=192.0.2.{0}\n"
BODY = ADD.format(1) + ":delay 400ms\n" + ADD.format(2)
SHORT = timedelta(seconds=8)


class Script(Enum):
    """What a router is to do: the text, and the options of the scheduled script."""

    PLAIN = (BODY, {})
    DETACHED = (BODY, {"detached": True})
    FAILS = (BODY + ':error "no WAN"\n' + ADD.format(3), {})
    FAILS_DETACHED = (BODY + ':error "no WAN"\n', {"detached": True})
    REFUSED = (ADD.format(1) + "/ip dns static add name=\n", {})
    SLOW = (BODY + ":delay 12s\n", {})
    REBOOTS = (BODY + "/system reboot\n", {"expects_disconnect": True})
    REBOOTS_LATER = (BODY + ':execute script=":delay 1s; /system reboot"\n', {"expects_disconnect": True})
    JUST_REBOOTS = ("/system reboot\n", {"expects_disconnect": True})


class Blow(Enum):
    CUT = "cut"
    REBOOT = "reboot"
    AWAY = "away"  # cut, and not there for two seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    after: Kind
    count: int
    delay: float
    blow: Blow


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    version: str
    behaviour: str  # of BEHAVIOURS
    fault: Fault | None
    script: Script
    strike: Strike | None


BEHAVIOURS = {
    "default": DEFAULT,
    "worst": WORST,
    "goes on": Behaviour(foreground_survives_close=True),
    "hidden": Behaviour(foreground_listed=False),
    "goes on hidden": Behaviour(foreground_survives_close=True, foreground_listed=False),
    "late files": Behaviour(file_delay_s=0.5),
    "silent reboots": Behaviour(reboot_ends_channel=ChannelEnd.SILENT),
    "told reboots": Behaviour(reboot_ends_channel=ChannelEnd.STATUS_0, reboot_says_who=True),
    "no status": Behaviour(sends_status=False),
}
# A router that runs what was to be a dry run does what nobody asked for: test_every_fault.py has it.
FAULTS = tuple(fault for fault in Fault if fault is not Fault.RUNS_DRY_RUN)
# Nobody logs in there: waited for in vain until the time is over, unless the script gives up at once.
NOT_THERE = {Fault.OFFLINE, Fault.BLACKHOLE}
STRIKES = st.builds(
    Strike,
    after=st.sampled_from([Kind.LOGIN, Kind.EXEC, Kind.UPLOAD, Kind.IMPORT_STARTED, Kind.IMPORT_FINISHED]),
    count=st.integers(1, 2),
    delay=st.sampled_from([0.0, 0.01, 0.05, 0.2, 0.5]),
    blow=st.sampled_from(Blow),
)
SCENES = st.builds(
    Scene,
    version=st.sampled_from(["7.24.4", "7.20.8", "7.12.2", "6.49.10"]),
    behaviour=st.sampled_from(sorted(BEHAVIOURS)),
    fault=st.one_of(st.none(), st.sampled_from(FAULTS)),
    script=st.sampled_from(Script),
    strike=st.one_of(st.none(), STRIKES),
)
# Seconds after the first start at which the daemon is killed and another takes over; or never.
DEATHS = st.one_of(st.none(), st.sampled_from([0.0, 0.3, 1.0]))


@pytest.mark.timeout(60 + 60 * EXAMPLES)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # to shrink would take hours; the note tells the scene
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(scenes=st.lists(SCENES, min_size=SITES, max_size=SITES), death=DEATHS)
async def test_the_record_is_never_better_than_the_truth(
    database: Db, tmp_path_factory: pytest.TempPathFactory, scenes: list[Scene], death: float | None
) -> None:
    prefix = f"x{await database.value('select count(*) from tminus.sites')}"
    by_site = {f"{prefix}-{number}": scene for number, scene in enumerate(scenes)}
    specs = tuple(
        SiteSpec(
            id=site,
            version=scene.version,
            behaviour=BEHAVIOURS[scene.behaviour],
            faults=frozenset({scene.fault} if scene.fault else ()),
        )
        for site, scene in by_site.items()
    )
    folder = tmp_path_factory.mktemp("truth")
    async with (
        simulate(FleetSpec(site_specs=specs, base="127.50.0.1")) as fleet,
        serving(database, folder, fleet, death) as started,
        striking(fleet, by_site, started),
    ):
        await database.run(fleet.inventory_sql(None))
        runs: dict[str, Any] = {}
        scripts = []
        for script, there in itertools.product(Script, (True, False)):
            on = [
                site
                for site, scene in by_site.items()
                if scene.script is script and there is (scene.fault not in NOT_THERE)
            ]
            if on:
                text, options = script.value
                wish = options | {"site_timeout": SHORT, "abort_if_offline": not there}
                scripts.append(await database.submit(text, on, **wish))
        for script_id in scripts:
            runs |= await database.finished(script_id, within=90)
        assert runs.keys() == by_site.keys()
        lies = [
            f"{lie}: {by_site[site]} -> {run['state']}/{run['effect']} {run['message']}"
            for site, run in runs.items()
            for lie in lies_about(by_site[site], run, fleet.journal.events(site))
        ]
        assert not lies, "\n".join(lies)
        # A script may wait for ever (for an answer, on a router that asks): then a person says that it is over.
        await database.run(
            "select tminus.resolve(id, 'failed/partial', 'the test') from tminus.site_runs where outcome = 'unknown'",
            role="bob",
        )
        await until(lambda: nothing_is_left(database, fleet, by_site), within=60, every=0.5)
    # Its routers are gone: the next example has others.
    await database.run("update tminus.cleanup_debts set settled_at = now() where settled_at is null")


def lies_about(scene: Scene, run: Any, events: list[Event]) -> list[str]:
    """Compare what was recorded of a router with what it did; return what does not agree."""
    starts = len(_of(events, Kind.IMPORT_STARTED))
    ended_well = [e.facts["outcome"] for e in _of(events, Kind.IMPORT_FINISHED)] == ["ok"]
    match run["state"], run["effect"]:
        case "completed", "applied":
            true = ended_well or _rebooted_at_its_end(scene, run, events)
        case "failed", "applied":
            true = ended_well
        case "failed", "partial":
            true = starts == 1 and not ended_well
        case "failed" | "skipped", "none":
            true = starts == 0
        case "unknown", "unknown":
            true = _nobody_can_know(scene, run, events)
        case _:
            true = False
    return [*([] if true else ["not true"]), *(["started twice"] if starts > 1 else [])]


def _of(events: list[Event], kind: Kind) -> list[Event]:
    return [event for event in events if event.kind is kind]


def _rebooted_since_sent(run: Any, events: list[Event]) -> bool:
    """Whether the router rebooted between the start of the script (where it was not started: the upload) and the ending."""
    sent = _of(events, Kind.IMPORT_STARTED) or _of(events, Kind.UPLOAD)
    at = run["finished_at"].timestamp()
    return bool(sent) and any(sent[-1].wall <= event.wall < at for event in _of(events, Kind.REBOOT))


def _rebooted_at_its_end(scene: Scene, run: Any, events: list[Event]) -> bool:
    """A script that reboots as its last statement never ends; what counts is that it came to there."""
    if not _rebooted_since_sent(run, events):
        return False
    done = [e.facts["statements"] for e in _of(events, Kind.IMPORT_INTERRUPTED)]
    return scene.script is Script.JUST_REBOOTS or (scene.script is Script.REBOOTS and done == [3])


def _nobody_can_know(scene: Scene, run: Any, events: list[Event]) -> bool:
    """Whether `unknown` is the truth, and not an excuse.

    It is where the router was not to be reached for as long as it was looked for, or forgot by a reboot what it had done since
    the script was sent. Else the script was started, and was interrupted or still runs; or, before 7.13, where a failure is
    told to the session alone, it failed; or what the router says is garbled.
    """
    if "could not be asked" in run["message"] or _rebooted_since_sent(run, events):
        return True
    if len(_of(events, Kind.IMPORT_STARTED)) != 1:
        return False
    at = run["finished_at"].timestamp()
    ended = [e.facts["outcome"] for e in _of(events, Kind.IMPORT_FINISHED) if e.wall < at]
    failed_untold = ended == ["error"] and scene.version in ("7.12.2", "6.49.10")
    return not ended or failed_untold or scene.fault is Fault.HOSTILE_OUTPUT


async def nothing_is_left(database: Db, fleet: Fleet, sites: dict[str, Scene]) -> bool:
    """All files of ours are removed once it is tried again, which the clock of the test does not wait for."""
    await database.run(
        "update tminus.cleanup_debts set next_try_at = now() where settled_at is null;"
        "update tminus.busy_sites set look_at = now() where free_at is null"
    )
    left = [(site, name) for site in sites for name in fleet.files(site) if name.startswith("tminus-")]
    if left:
        owed = await database.fetch(
            "select site_id, file_name, last_error from tminus.cleanup_debts where settled_at is null"
        )
        busy = await database.fetch("select site_id, seen from tminus.busy_sites where free_at is null")
        print("left:", left, [sites[site] for site, _ in left], [dict(row) for row in (*owed, *busy)])  # noqa: T201
    return not left


async def has_started(fleet: Fleet) -> bool:
    return bool(fleet.journal.events(kind=Kind.IMPORT_STARTED))


@contextlib.asynccontextmanager
async def serving(database: Db, folder: Path, fleet: Fleet, death: float | None) -> AsyncIterator[asyncio.Event]:
    """Run a daemon; where one is to die, kill it after the first start and run another."""
    ready = asyncio.Event()

    async def relay() -> None:
        async with run_daemon(database, folder / "a", fleet) as first:
            ready.set()
            if death is None:
                await asyncio.Event().wait()
            await until(lambda: has_started(fleet), within=60, every=0.02)
            await asyncio.sleep(death or 0)
            await first.kill()
        async with run_daemon(database, folder / "b", fleet):
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(relay())
        await asyncio.wait_for(ready.wait(), 30)
        yield ready
        task.cancel()


@contextlib.asynccontextmanager
async def striking(fleet: Fleet, sites: dict[str, Scene], started: asyncio.Event) -> AsyncIterator[None]:
    async def strike(site: str, what: Strike) -> None:
        await started.wait()
        await fleet.journal.wait(site, what.after, count=what.count)
        await asyncio.sleep(what.delay)
        match what.blow:
            case Blow.CUT:
                fleet.cut(site)
            case Blow.REBOOT:
                fleet.router(site).reboot()
            case Blow.AWAY:
                faults = fleet.router(site).faults
                await fleet.set_faults(site, {Fault.OFFLINE})
                fleet.cut(site)
                await asyncio.sleep(2)
                await fleet.set_faults(site, faults)

    async with asyncio.TaskGroup() as tasks:
        strikes = [tasks.create_task(strike(site, s.strike)) for site, s in sites.items() if s.strike is not None]
        yield
        for task in strikes:
            task.cancel()


SENT = (Kind.LOGIN, Kind.UPLOAD)
STARTED = (*SENT, Kind.IMPORT_STARTED)


@pytest.mark.parametrize(
    ("kinds", "version", "message", "true"),
    [
        (SENT, "7.24.4", "", False),  # never started: that was to be found out
        ((Kind.REBOOT, *SENT), "7.24.4", "", False),  # it rebooted before, and forgot nothing of ours
        ((*SENT, Kind.REBOOT), "7.24.4", "", True),
        (SENT, "7.24.4", "The router could not be asked about it: no answer.", True),
        (STARTED, "7.24.4", "", True),
        ((*STARTED, Kind.IMPORT_INTERRUPTED), "7.24.4", "", True),
        ((*STARTED, Kind.IMPORT_FINISHED), "7.24.4", "", False),  # its router remembers
        ((*STARTED, Kind.IMPORT_FINISHED, Kind.REBOOT), "7.24.4", "", True),
        ((*STARTED, Kind.IMPORT_FINISHED), "6.49.10", "", True),  # it failed, and said so to a session that was gone
    ],
)
def test_an_unknown_ending_is_no_excuse(kinds: tuple[Kind, ...], version: str, message: str, true: bool) -> None:
    events = [
        Event(site="r1", kind=kind, monotonic=at, wall=at, facts={"outcome": "error", "statements": 1})
        for at, kind in enumerate(kinds, start=1)
    ]
    run = {
        "state": "unknown", "effect": "unknown", "message": message, "finished_at": datetime.fromtimestamp(100, UTC)
    }  # fmt: skip
    scene = Scene(version=version, behaviour="default", fault=None, script=Script.FAILS, strike=None)
    assert (lies_about(scene, run, events) == []) is true
