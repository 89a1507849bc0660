"""What has to hold after every fault, whatever it was. The journal of the simulated routers is the truth.

A1  a script is started at most once per launch and site
A2  no start without its committed point of no return, with the same nonce, before it
A3  every site run has ended within its bound, exactly once
A4  no false success, and no other ending better than what the router did
A5  no effect is denied that there was; `unknown` only where a start was interrupted, or nobody could look
A7  the processes that lived through it hold no more memory, files and sessions than before
A8  no unhandled error, nothing in a log that is no event, no secret in it
A0  no file of ours is left on a router unless it is noted as a debt
(A6, the latency of others, and A9, the metrics that tell, are asked by the faults that they belong to: see scenarios.)
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from tests.support import Db
from tminus.simulator import Fleet, Kind
from tminus.simulator.journal import Event

_CLOCKS_AGREE = 0.1  # seconds: the database and the routers read the same clock, to different precision
_MORE_MEMORY = 64 * 1024 * 1024  # bytes
_MORE_TASKS = 3  # a service may be at work just now
_MORE_FILES = 10  # the pool of the database may have opened its other connections since

# What a log may say at `error` when such things are done to a daemon: it is told, with what to do. Anything else is a bug.
TOLD = frozenset({"declared_dead"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """When nobody could look at a site, in seconds of time.time()."""

    site: str
    since: float
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Excuses:
    """What a fault makes unavoidable.

    `unreachable`: sites on which nobody could look, to the end. `cuts`: for a while. `told`: events at level error.
    `clock_moved`: by how many seconds the clock of the database may have been ahead of the routers'.
    """

    unreachable: Collection[str] = ()
    cuts: Collection[Cut] = ()
    told: Collection[str] = TOLD
    clock_moved: float = 0.0

    def covers(self, run: asyncpg.Record) -> bool:
        """Whether nobody could look at the site of this run, at some time between its start and its end."""
        since, until = run["executing_at"].timestamp(), run["finished_at"].timestamp()
        return run["site_id"] in self.unreachable or any(
            cut.site == run["site_id"] and cut.since <= until and since <= cut.until for cut in self.cuts
        )


NO_EXCUSE = Excuses()


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What a process holds."""

    pid: int
    memory: int  # bytes
    files: int
    tasks: int

    @classmethod
    def of(cls, pid: int, metrics: Mapping[str, float]) -> Footprint:
        """Read what the system, and its own metrics, say of a process."""
        status = Path(f"/proc/{pid}/status").read_text()
        kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
        return cls(
            pid=pid,
            memory=int(kilobytes) * 1024,
            files=len(list(Path(f"/proc/{pid}/fd").iterdir())),
            tasks=int(metrics["tminus_tasks"]),
        )


@dataclass(slots=True)
class Findings:
    """Sentences, each beginning with the invariant that was violated."""

    found: list[str] = field(default_factory=list)

    def demand(self, holds: object, rule: str, sentence: str) -> None:
        if not holds:
            self.found.append(f"{rule}: {sentence}")


async def check_runs(
    db: Db,
    fleet: Fleet,
    scripts: Iterable[object] | None = None,
    *,
    runs: Collection[int] | None = None,
    excuses: Excuses = NO_EXCUSE,
) -> list[str]:
    """Check A0 to A5 for these scheduled scripts and site runs (None: for all); each script has a text of its own."""
    findings = Findings()
    rows = await db.fetch(
        """
        select r.*, l.script, l.finished_at as launch_finished_at,
            -- Of an occurrence that was missed as a whole one event tells.
            (select count(*) from tminus.events e
             where e.launch_id = r.launch_id and case when l.state = 'missed' then e.kind = 'launch_missed'
                else e.site_id = r.site_id and e.kind = 'site_' || r.state end) as told
        from tminus.site_runs r
        join tminus.launches l on l.id = r.launch_id
        where ($1::uuid[] is null or l.script_id = any ($1)) and ($2::bigint[] is null or r.id = any ($2))
        """,
        None if scripts is None else list(scripts),
        None if runs is None else list(runs),
    )
    texts = Counter(_sha256(row["script"]) for row in {row["launch_id"]: row for row in rows}.values())
    findings.demand(all(count == 1 for count in texts.values()), "A1", "two launches have one text; nothing is proved")
    for row in rows:
        _check_run(findings, row, fleet, excuses)
    owed = {
        (row["site_id"], row["file_name"])
        for row in await db.fetch("select site_id, file_name from tminus.cleanup_debts where settled_at is null")
    }
    for site in {row["site_id"] for row in rows} - set(excuses.unreachable):
        for name in fleet.files(site):
            if name.startswith("tminus-") and (site, name) not in owed:
                findings.demand(False, "A0", f"{name} is left on {site} and nobody owes its removal")
    return findings.found


def _check_run(findings: Findings, row: asyncpg.Record, fleet: Fleet, excuses: Excuses) -> None:
    site, sha256 = row["site_id"], _sha256(row["script"])
    where = f"{site} (site run {row['id']}, {row['state']}/{row['effect']}/{row['reason']}: {row['message']})"

    def of(kind: Kind) -> list[Event]:
        return [event for event in fleet.journal.events(site, kind) if event.facts["sha256"] == sha256]

    starts, finished = of(Kind.IMPORT_STARTED), of(Kind.IMPORT_FINISHED)
    findings.demand(len(starts) <= 1, "A1", f"started {len(starts)} times on {where}")
    for start in starts:
        own = start.facts["name"] == f"tminus-{row['nonce']}.rsc"
        findings.demand(own and row["executing_at"], "A2", f"started as {start.facts['name']} without a row on {where}")
        if own and row["executing_at"]:
            early = row["executing_at"].timestamp() - start.wall
            findings.demand(
                early <= _CLOCKS_AGREE + excuses.clock_moved,
                "A2",
                f"started {early:.3f} s before its row said so on {where}",
            )

    findings.demand(row["finished_at"], "A3", f"not ended: {where}, step {row['step']}")
    if not row["finished_at"]:
        return
    findings.demand(row["told"] == 1, "A3", f"{row['told']} endings were recorded of {where}")
    findings.demand(row["launch_finished_at"], "A3", f"its launch is not finished: {where}")
    outcomes = [event.facts["outcome"] for event in finished]
    match row["state"], row["effect"]:
        case "completed", _:
            findings.demand(outcomes == ["ok"], "A4", f"the router says {outcomes} of {where}")
        case "failed", "partial":
            findings.demand(starts and outcomes != ["ok"], "A4", f"the router says {outcomes} of {where}")
        case "unknown", _:
            interrupted = starts and "ok" not in outcomes
            findings.demand(
                interrupted or excuses.covers(row), "A5", f"{len(starts)} starts, {outcomes}, and yet: {where}"
            )
        case _:
            findings.demand(not starts, "A5", f"it was started: {where}")


def check_logs(logs: Iterable[Path], *, secrets: Collection[str], excuses: Excuses = NO_EXCUSE) -> list[str]:
    """Check A8. The last line of a process that was killed may be torn."""
    findings = Findings()
    for log in logs:
        text = log.read_text(errors="replace")
        for secret in secrets:
            findings.demand(secret not in text, "A8", f"a secret is in {log}")
        for line in filter(str.strip, text.splitlines()):
            if line.startswith(
                "tminus: "
            ):  # the one sentence of a command that could not begin, the database being away
                continue
            try:
                event = json.loads(line)
            except ValueError:
                findings.demand(False, "A8", f"no event in {log}: {line[:300]}")
                continue
            # What a library says has no name that a rule or a runbook could know.
            named = event["event"].replace("_", "").isalnum() and event["event"].islower()
            findings.demand(named, "A8", f"not an event of ours in {log}: {line[:1500]}")
            bad = event["level"] in ("error", "critical") and event["event"] not in excuses.told
            findings.demand(not bad, "A8", f"{event['event']} in {log}: {line[:1500]}")
    return findings.found


def check_footprint(before: Footprint, after: Footprint, sessions: float) -> list[str]:
    """Check A7, of a process that lived through the fault and has nothing to do any more."""
    findings = Findings()
    grown = (after.memory - before.memory) / 1024 / 1024
    findings.demand(after.memory <= before.memory + _MORE_MEMORY, "A7", f"{grown:.0f} MiB more in {after.pid}")
    findings.demand(
        after.files <= before.files + _MORE_FILES,
        "A7",
        f"{after.files} open files in {after.pid}, {before.files} before",
    )
    findings.demand(
        after.tasks <= before.tasks + _MORE_TASKS, "A7", f"{after.tasks} tasks in {after.pid}, {before.tasks} before"
    )
    findings.demand(sessions == 0, "A7", f"{sessions:.0f} sessions are still open in {after.pid}")
    return findings.found


def _sha256(script: str) -> str:
    return hashlib.sha256(script.encode()).hexdigest()
