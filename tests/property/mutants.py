"""Tests the tests: each guard of the SQL is taken away in a copy, and something has to notice.

Prints a table: the mutant, and what noticed it after how many examples; or why nothing can.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_SQL = "store/sql"
_WALK = "tests/property/test_ownership.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One line of one file, changed; `also` another one. `seen_by`: arguments of pytest where the walk cannot see it; `equivalent`: why nothing could."""

    name: str
    file: str
    old: str
    new: str
    also: tuple[str, str] | None = None
    seen_by: str = _WALK
    equivalent: str | None = None


def _statement(name: str, file: str, old: str, new: str, **more: str) -> Mutant:
    return Mutant(name=name, file=f"{file}.sql", old=old, new=new, **more)


def _act(name: str, old: str, new: str, **more: str) -> Mutant:
    return Mutant(name=name, file="migrations/0006_acts.sql", old=old, new=new, **more)


def _launching(name: str, old: str, new: str, **more: str) -> Mutant:
    return Mutant(name=name, file="migrations/0007_launching.sql", old=old, new=new, **more)


def _running(name: str, old: str, new: str, *, also: tuple[str, str] | None = None, **more: str) -> Mutant:
    return Mutant(name=name, file="migrations/0008_running.sql", old=old, new=new, also=also, **more)


def _trigger(name: str, old: str, new: str, **more: str) -> Mutant:
    return Mutant(name=name, file="migrations/0004_launches.sql", old=old, new=new, **more)


def _lock(name: str, file: str, old: str, new: str, scene: str, **more: str) -> Mutant:
    """A lock that is not taken. One act after the other does not miss it."""
    seen_by = f"tests/property/test_interleavings.py -k {scene}"
    return Mutant(name=name, file=f"{file}.sql", old=old, new=new, seen_by=seen_by, **more)


_LIVES = "exists (select from tminus.instances i where i.id = $1 and i.state in ('alive', 'draining'))"

MUTANTS = (
    _statement("start: whoever owns it", "start_executing", "r.instance_id is not distinct from $1 and ", ""),
    _statement("start: without a live heartbeat", "start_executing", " and i.heartbeat_at + i.ttl > tminus.clock()", ""),
    _statement("start: by one declared dead", "start_executing", "i.state in ('alive', 'draining') and ", ""),
    _statement("start: of a cancelled launch", "start_executing", "and l.state = 'running' and l.paused_at is null", "and l.paused_at is null"),
    _statement("start: after the authorization expired", "start_executing", "\n        and coalesce(l.authorization_expires_at > tminus.clock(), true)", "", seen_by="tests/store/test_authorizing.py -k expired"),
    _statement("start: once more", "start_executing", " and r.executing_at is null", "", seen_by="tests/store/test_claiming.py"),
    _statement("start: in any state", "start_executing", "r.state = (select 'running') and ", ""),
    _statement("end: whoever owns it", "end_site_runs", "r.instance_id is not distinct from $1 and r.state", "r.state"),
    _statement("end: by one that stopped", "end_site_runs", f"and {_LIVES}", ""),
    _statement("end: what has ended", "end_site_runs", "r.state = (select 'running')", "true"),
    _statement("release: whoever owns it", "release_site_runs", "r.instance_id is not distinct from $1 and ", ""),
    _statement("release: after the start", "release_site_runs", " and r.executing_at is null", ""),
    _statement("release: by one that stopped", "release_site_runs", f"and {_LIVES}", ""),
    _statement("heartbeat: of the dead", "heartbeat", " and i.state in ('alive', 'draining')", ""),
    _running("reap: who is heard of", "where q.state in ('alive', 'draining') and q.heartbeat_at + q.ttl < tminus.clock()", "where q.state in ('alive', 'draining')"),
    _running("reap: runs of the living", "where i.state in ('stopped', 'dead') and r.finished_at is null", "where r.finished_at is null"),
    _running("abandon: what had started is pending", "set state = case when r.executing_at is null then 'pending' else 'running' end,", "set state = 'pending',"),
    _running("abandon: keep the owner", "instance_id = null, not_before = null\n        where r.id = any (p_runs)", "not_before = null\n        where r.id = any (p_runs)"),
    _running("claim: by one that may start nothing", "if tminus.living_state(p_instance) is distinct from 'alive' or p_capacity < 1", "if p_capacity < 1"),
    _running("claim: on a busy router", "and not exists (select from tminus.site_runs o where o.site_id = r.site_id and o.state = 'running' offset 0)", "",),
    _running("claim: before its next try", " and (r.not_before is null or r.not_before <= tminus.clock())", ""),
    _running("claim: of a cancelled launch", "where l.finished_at is null and l.state = 'running' and l.paused_at is null and (l.max_concurrency is null", "where l.finished_at is null and l.paused_at is null and (l.max_concurrency is null"),
    _running("claim: two on one router", "where c.site_rank = 1", "where true"),
    _running("claim: a test on any site", "and (not w.of_test or r.site_id = any (me.test_sites))", "", seen_by="tests/store/test_test_runs.py"),
    _running("claim: beyond the cap", "else least(p_capacity, l.max_concurrency - (", "else greatest(p_capacity, l.max_concurrency - ("),
    _running("claim: the old nonce", "nonce = case when r.rehearsal then '0' else '1' end || left(replace(gen_random_uuid()::text, '-', ''), 15),", "nonce = coalesce(r.nonce, '10112233aabbccdd'),"),
    # Twice it is asked: in what is chosen, and where it is taken.
    _running("orphans: of the living", "where q.state = 'running' and q.instance_id is null\n            and (tminus.can_serve", "where q.state = 'running' and q.executing_at is not null\n            and (tminus.can_serve",
             also=("where r.id = c.id and r.state = (select 'running') and r.instance_id is null\n        returning r.id\n    )\n    select array_agg(c.id)", "where r.id = c.id and r.state = (select 'running')\n        returning r.id\n    )\n    select array_agg(c.id)")),
    _running("orphans: to the dead", "if tminus.living_state(p_instance) is distinct from 'alive' then", "if false then"),
    _running("sweep: what is known", " and r.id <> all (p_known)", ""),
    _running("sweep: of others", "where r.instance_id = p_instance and r.finished_at is null and r.state = 'running' and r.id", "where r.finished_at is null and r.state = 'running' and r.id"),
    _launching("due: before its time", "s.launch_at <= tminus.clock() and tminus.clock() <= s.launch_at + s.start_within\n        and (s", "tminus.clock() <= s.launch_at + s.start_within\n        and (s",
              equivalent="tminus.launch asks once more; this one saves it the look"),
    _launching("launch: by the dead", "or tminus.living_state(p_instance) is null", "or false"),
    _launching("launch: before its time", "due is null or due > tminus.clock() or tminus.clock()", "due is null or tminus.clock()",
              equivalent="tminus.due_scripts asks before; together they are tested by the mutant that lacks both"),
    _act("cancel: what runs", "where l.script_id = s.id and l.finished_at is null and r.launch_id = l.id and r.state = 'pending';", "where l.script_id = s.id and l.finished_at is null and r.launch_id = l.id and r.finished_at is null;"),
    _running("settle: whose time is not over", "and (p.turn_at + l.start_within < tminus.clock()", "and (p.turn_at < tminus.clock()", seen_by="tests/store/test_claiming.py"),
    _trigger("trigger: an ending changes", "when (old.state not in ('pending', 'running'))", "when (false)"),
    _trigger("trigger: a start is undone", "and (new.executing_at is distinct from old.executing_at or new.nonce", "and (false and new.executing_at is distinct from old.executing_at or false and new.nonce",
             equivalent="the condition of new.state, and the constraint of the pending, hold it"),
    _trigger("trigger: an owner is replaced", "when (old.instance_id <> new.instance_id)", "when (false)"),
    _trigger("trigger: the living are robbed", "when (old.state = 'running' and new.state = 'running' and old.instance_id is not null and new.instance_id is null)", "when (false)", seen_by="tests/store/test_site_run_states.py"),
    _trigger("index: two on one router", "create unique index site_runs_one_running_per_site on tminus.site_runs (site_id) where state = 'running';", "create index site_runs_one_running_per_site on tminus.site_runs (site_id) where state = 'running';", seen_by="tests/store/test_claiming.py"),
    _lock("lock: the launch of a start", "start_executing", "    for key share skip locked\n), stored", "), stored", "claimed"),
    _lock("lock: the launch of a cancel", "migrations/0006_acts", "    perform from tminus.launches l where l.script_id = s.id and l.state = 'running' and l.finished_at is null for update;\n", "", "claimed"),
    _lock("lock: the launch of a halt", "migrations/0016_rollout", "q.confirmed_wave <= q.wave)\n    for update;", "q.confirmed_wave <= q.wave);", "claimed"),
    _lock("lock: the launch of a pause", "migrations/0016_rollout", "q.state = 'running' and q.finished_at is null\n    for update;", "q.state = 'running' and q.finished_at is null;", "claimed"),
    _lock("lock: what a person acts on", "migrations/0006_acts", "where id = p_id for update;", "where id = p_id;", "waiting"),
    _lock("lock: the sites of an authorization", "migrations/0006_acts", "    perform from tminus.sites where sites.id = any (s.sites) order by sites.id for share;\n    if", "    if", "waiting",
          equivalent="an edit that comes within is like one that comes after: the site's digest differs at its claim, and it is not run"),
    _lock("lock: the sites of a rehearsal", "migrations/0006_acts", "    perform from tminus.sites where sites.id = any (s.sites) order by sites.id for share;\n    -- Now", "    -- Now", "waiting"),
    _lock("lock: the places of a launch", "migrations/0008_running", "l.max_concurrency is not null\n        for no key update skip locked\n", "l.max_concurrency is not null\n", "launched"),
    _lock("lock: who is reaped", "migrations/0008_running", "q.heartbeat_at + q.ttl < tminus.clock()\n            for update skip locked)", "q.heartbeat_at + q.ttl < tminus.clock())", "silent"),
    _lock("lock: what is late", "migrations/0007_launching", "        for update of q skip locked\n    loop", "    loop", "late"),
    _lock("lock: what is closed", "migrations/0007_launching", "        for no key update of q, s skip locked\n", "", "ended"),
    _lock("lock: the text that is stored", "hold_texts", " order by t.sha256 for key share", "", "text"),
    _lock("lock: the text that is forgotten", "migrations/0011_retention", "\n        for update of t skip locked);", ");", "text"),
    _lock("lock: what is resolved", "migrations/0006_acts", "where q.id = resolve.site_run for no key update;", "where q.id = resolve.site_run;", "over"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    mutant: Mutant
    killed_by: str | None
    examples: str
    seconds: float

    @property
    def accepted(self) -> bool:
        return self.killed_by is not None or self.mutant.equivalent is not None


def apply(mutant: Mutant, package: Path) -> None:
    """Change one place of the copy. SystemExit where the file does not hold the text exactly once."""
    file = package / _SQL / mutant.file
    text = file.read_text()
    for old, new in ((mutant.old, mutant.new), *([mutant.also] if mutant.also else [])):
        if text.count(old) != 1:
            raise SystemExit(f"mutant '{mutant.name}': {mutant.file} holds its text {text.count(old)} times; adapt it")
        text = text.replace(old, new)
    file.write_text(text)


def judge(mutant: Mutant, examples: int) -> Verdict:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tminus-mutant-") as folder:
        package = Path(folder) / "tminus"
        shutil.copytree(_ROOT / "daemon/tminus", package, ignore=shutil.ignore_patterns("__pycache__"))
        apply(mutant, package)
        killed_by, seen = None, "-"
        test = mutant.seen_by
        passed, said = _run(test, Path(folder), examples)
        if found := re.search(r"walked (\d+) examples.*wrong at (\d+|None)|(\d+) schedules of", said):
            seen = found[3] or (found[2] if found[2] != "None" else f"> {found[1]}")
        if not passed:
            killed_by = (
                "the walk" if "known races" in said else "a known race" if test == _WALK else _name_of(test)
            )  # fmt: skip
    return Verdict(mutant=mutant, killed_by=killed_by, examples=seen, seconds=time.monotonic() - begun)


def _name_of(test: str) -> str:
    """The module, and which of its tests."""
    module, *which = test.split(" -k ")
    return " ".join((Path(module).stem, *which))


def _run(test: str, package_parent: Path, examples: int) -> tuple[bool, str]:
    """Whether a test passes with the copy. SystemExit where it cannot be run at all."""
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *test.split(), "-x", "-q", "-s"],
        cwd=_ROOT,
        env=os.environ
        | {
            "PYTHONPATH": str(package_parent),
            "OWNERSHIP_EXAMPLES": str(examples),
            "OWNERSHIP_UNSHRUNK": "1",
            "INTERLEAVINGS": "first",
        },
        capture_output=True,
        text=True,
        timeout=3600,  # a machine may be busy with other things
        check=False,
    )
    if ran.returncode not in (0, 1):
        raise SystemExit(
            f"{test} could not be run (exit status {ran.returncode}):\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}"
        )
    return ran.returncode == 0, ran.stdout


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/mutants", description="Take each guard of the SQL away in a copy; something has to notice."
    )
    parser.add_argument("--only", metavar="PART", help="mutants whose name contains this")
    parser.add_argument("--examples", type=int, default=300, help="how many walks at most for each (300)")
    options = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if not options.only or options.only in mutant.name]
    head = f"{'mutant':40} {'killed by':32} {'examples':>9} {'seconds':>8}"
    print(head, "-" * len(head), sep="\n", flush=True)
    passed, _ = _run(_WALK, _ROOT / "daemon", 50)
    if not passed:
        raise SystemExit("the walk fails without any mutant; mend that first")
    verdicts = []
    for mutant in chosen:
        verdict = judge(mutant, options.examples)
        verdicts.append(verdict)
        killed = verdict.killed_by or ("equivalent" if mutant.equivalent else "NOBODY")
        print(f"{mutant.name:40} {killed:32} {verdict.examples:>9} {verdict.seconds:8.0f}", flush=True)
        if verdict.killed_by is None and mutant.equivalent:
            print(f"    {mutant.equivalent}", flush=True)
    killed_count = sum(verdict.killed_by is not None for verdict in verdicts)
    left = [verdict.mutant.name for verdict in verdicts if not verdict.accepted]
    print(
        f"{killed_count} of {len(verdicts)} killed, {len(verdicts) - killed_count - len(left)} equivalent, {len(left)} alive: {left}"
    )
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
