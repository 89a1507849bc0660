"""One launch per answer to what nobody knows of RouterOS: the record is never better than what the routers did.

Each switch of the simulator is flipped alone, beside the profiles ``default`` and ``worst``, on an old and on a new
version; and the same scripts are ones that succeed, that fail half way, that reboot the router that they run on, and that
cut us off for a while. A detached one and a reboot that is expected rest on answers of their own.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.support import Db, run_daemon, until
from tminus.simulator import PROFILES, Behaviour, Fleet, FleetSpec, Kind, SiteSpec, flipped, simulate
from tminus.simulator.options import changed

# What takes seconds or minutes of real time on a router, quickly.
QUICK = {"reboot_down_s": 0.5, "startup_after_s": 0.1}
GOOD = '/ip firewall address-list add list=tested address=198.51.100.1\n:put "done here"\n'
HALF = f"{GOOD}/interface bridge add name=bridge\n{GOOD.replace('100.1', '100.2')}"
REBOOT = f"{GOOD}/system reboot\n"
CUT = f"""
:execute script={{ :delay 2s; /ip firewall filter remove [find comment=cut] }}
/ip firewall filter add chain=input action=drop place-before=0 comment=cut
{GOOD}"""
# A detached one is still at work when the session that started it is gone.
SCRIPTS: dict[str, tuple[str, dict[str, bool]]] = {
    "cut": (CUT, {}),
    "detached": (f":delay 1s\n{GOOD}", {"detached": True}),
    "expected": (REBOOT, {"expects_disconnect": True}),
    "good": (GOOD, {}),
    "half": (HALF, {}),
    "reboot": (REBOOT, {}),
}
VERSIONS = ("6.49.10", "7.24.4")
# Versions in between, where a switch is about them.
MORE_VERSIONS = {"error_paths_since": ("7.12.2", "7.16.2")}
STATEMENTS_BEFORE_REBOOT = 2


def answers() -> dict[str, Behaviour]:
    """All answers by name."""
    return {
        name: changed(behaviour, {key: value for key, value in QUICK.items() if not name.startswith(key)})
        for name, behaviour in (PROFILES | flipped()).items()
    }


def fleet_of(script: str) -> tuple[SiteSpec, ...]:
    return tuple(
        SiteSpec(
            id=f"{script}-{number}-{version}", version=version, behaviour=behaviour, identity=name.replace("=", "-")
        )
        for number, (name, behaviour) in enumerate(answers().items())
        if not (SCRIPTS[script][1] and name.startswith("terminal_"))
        for version in (*VERSIONS, *MORE_VERSIONS.get(name.partition("=")[0], ()))
        # A detached one is refused on 6, and there no answer makes more of an expected reboot.
        if not (version.startswith("6.") and (script == "detached" or (script == "expected" and name != "default")))
    )


def truth(fleet: Fleet, site: str) -> tuple[int, list[object]]:
    """How often a script was started, and how the starts ended."""
    return (
        len(fleet.journal.starts(site)),
        [event.facts["outcome"] for event in fleet.journal.events(site, Kind.IMPORT_FINISHED)],
    )


def rebooted_at_its_end(fleet: Fleet, site: str) -> bool:
    """Whether a script that reboots as its last statement came to there, and the router did."""
    done = [event.facts["statements"] for event in fleet.journal.events(site, Kind.IMPORT_INTERRUPTED)]
    return done == [STATEMENTS_BEFORE_REBOOT] and len(fleet.journal.events(site, Kind.REBOOT)) == 1


def named(sites: tuple[SiteSpec, ...], script: str, answer: str) -> list[SiteSpec]:
    return [site for site in sites if site.id.startswith(script) and site.identity == answer.replace("=", "-")]


@pytest.mark.timeout(360)
async def test_the_record_is_never_better_than_the_truth_whatever_routeros_does(database: Db, tmp_path: Path) -> None:
    sites = tuple(site for script in SCRIPTS for site in fleet_of(script))
    spec = FleetSpec(site_specs=sites, base="127.47.0.1")
    async with simulate(spec) as fleet, run_daemon(database, tmp_path, fleet, max_sessions=60) as daemon:
        await database.run(fleet.inventory_sql(None))
        launched = {
            name: await database.submit(
                script,
                [site.id for site in sites if site.id.startswith(name)],
                site_timeout=timedelta(seconds=40),
                **options,
            )
            for name, (script, options) in SCRIPTS.items()
        }
        for name, script_id in launched.items():
            runs = await database.finished(script_id, within=300)
            assert runs.keys() == {site.id for site in sites if site.id.startswith(name)}
            for site, run in runs.items():
                what = f"{site} ({fleet.router(site).identity}): {run['state']} {run['reason']} {run['message']}"
                starts, ends = truth(fleet, site)
                assert starts <= 1, what
                match run["state"], run["effect"]:
                    case "completed", _:
                        proved_by_reboot = name == "expected" and rebooted_at_its_end(fleet, site)
                        assert ends == ["ok"] or proved_by_reboot, what
                        assert name != "half", what
                        assert "198.51.100.1" in fleet.export(site), what
                        noise = [line for line in (run["diff"] or "").splitlines() if line.startswith(("+#", "-#"))]
                        assert not noise, f"{what}: comments that come and go are no change: {noise}"
                    case _, "none":
                        assert starts == 0, what
                        assert "198.51.100.1" not in fleet.export(site), what
                    case "failed", "partial":
                        assert starts == 1, what
                        assert ends != ["ok"], what
                    case _:
                        assert run["state"] == "unknown", what
        default = {site.id for site in sites if site.behaviour == answers()["default"]}
        endings = {
            site: run["state"]
            for runs in [await database.site_runs(it) for it in launched.values()]
            for site, run in runs.items()
        }
        assert {
            site: endings[site] for site in default if site.startswith("good") if endings[site] != "completed"
        } == {}
        assert {endings[site] for site in default if site.startswith("half")} == {"failed"}
        assert {endings[site] for site in default if site.startswith("detached")} == {"completed"}
        # Which session had it reboot is said by RouterOS 7 alone.
        assert {site.rpartition("-")[2]: endings[site] for site in default if site.startswith("expected")} == {
            "6.49.10": "unknown",
            "7.24.4": "completed",
        }
        for script, answer in (("expected", "reboot_says_who=False"), ("detached", "job_survives_session=False")):
            assert {endings[s.id] for s in named(sites, script, answer)} == {"unknown"}, answer
        assert {endings[s.id] for s in named(sites, "detached", "job_file_at_start=True")} == {"completed"}
        for name, few in (("good", 8), ("detached", 12)):
            failed = [site.id for site in sites if site.id.startswith(name) and endings[site.id] != "completed"]
            assert len(failed) <= few, f"an answer that matters to few made many launches of {name} fail: {failed}"

        def left() -> list[str]:
            """The sites with a file of ours, and how their runs ended."""
            ours = (s.id for s in sites if any(name.startswith("tminus-") for name in fleet.files(s.id)))
            return [f"{site} {fleet.router(site).identity} {endings[site]}" for site in ours]

        async def removed() -> bool:
            """What could not be removed at once is tried again minutes later: make it due now."""
            await database.run("update tminus.cleanup_debts set next_try_at = tminus.clock() where settled_at is null")
            return not left()

        await until(removed, within=90, every=1)
        assert left() == []
        assert await daemon.stop() == 0
        assert not [event for event in daemon.log() if event["level"] in ("error", "critical")]
