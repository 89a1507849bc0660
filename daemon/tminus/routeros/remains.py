"""What a run did whose session proves nothing, decided from what is left on the router and from nothing else.

Read it only after our uploaded file was deleted and seen to be gone: then nothing can start late. Pure; a row of the table
of endings comes out, and `completed` only with a proof:

- the line `done` in the router's log, or the end marker in a detached script's output: it ran to its end;
- of a script that is expected to end its own session, besides: the router rebooted since, and says in its log that our own
  login had it reboot, so the script was run up to there; or the script does nothing but reboot, and that has happened.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from tminus.domain.endings import Ending, Reason, completed, not_started, partly_applied, unknown
from tminus.routeros.commands import Nonce, jobs_running
from tminus.routeros.facts import Version, parse_uptime
from tminus.routeros.text import clean_line, lines

_WORDS = ("connected", "start", "done", "failed")
_LOOKED = "looked"
_REBOOTED = re.compile(r"router .*\brebooted\b")
_TOLERANCE = timedelta(seconds=5)


class SoleEffect(Enum):
    """What a script is for that does one thing only."""

    REBOOT = "reboot"
    UPGRADE = "upgrade"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A script that is expected to end its own session. `version` is the router's before it; `username` is ours there."""

    script: bytes
    username: str
    version: Version | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """For how long the router was up before the script (None: not known), and how long `ago` that was read.

    `certain`: the process that read it has counted the time since. Else it was told by the database's clock, which may have been
    set meanwhile: then it proves no reboot.
    """

    uptime: timedelta | None
    ago: timedelta
    certain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """What was found on the router."""

    log: frozenset[str]  # of connected, start, done, failed, looked: the words of Nonce.log_line
    uptime: timedelta
    version: Version | None = None
    jobs: int | None = None  # scripts of this attempt that run as jobs; None: the router did not say
    begun: bool = False  # whatever the log has of it: something answered to its start
    reboot: str = ""  # the line of the log about the latest reboot after our own lines


def read_remains(output: bytes, nonce: Nonce) -> Remains | None:
    """Read the answer to commands.evidence; None where it is not whole."""
    said = lines(output)
    if nonce.marker("LOG") not in said:
        return None
    said = [line for line in said[: said.index(nonce.marker("LOG"))] if line]
    uptime = parse_uptime(said[-1]) if said else None
    if uptime is None:
        return None
    log, reboot = set(), ""
    for line in said:
        for word in _WORDS:
            if line == nonce.log_line(word):
                log.add(word)
                reboot = ""  # a reboot before it is not this run's
        if line == nonce.log_line(_LOOKED):
            log.add(_LOOKED)
        if _REBOOTED.match(line):
            reboot = clean_line(line, cap=200)
    version = Version.parse(said[-2]) if len(said) > 1 else None
    return Remains(log=frozenset(log), uptime=uptime, version=version, jobs=jobs_running(nonce, said), reboot=reboot)


def has_rebooted(remains: Remains, before: Before) -> bool:
    """Tell whether the router certainly rebooted since."""
    if before.uptime is None:
        return False
    # Minus a little: both times are read a moment apart, and RouterOS rounds down to seconds. And a router that booted since
    # cannot be up for longer: one whose uptime stands still, or is wrong, proves nothing.
    without_reboot = before.uptime + before.ago if before.certain else before.uptime
    return remains.uptime < without_reboot - _TOLERANCE and remains.uptime <= before.ago + _TOLERANCE


def _is_up_since(remains: Remains, before: Before) -> bool:
    """Tell whether the router certainly did not reboot since: an uptime that stands still, or is wrong, says neither."""
    if before.uptime is None or (remains.reboot and not before.certain):
        return False
    return remains.uptime >= before.uptime + before.ago - _TOLERANCE


def may_be_running(remains: Remains, before: Before, *, detached: bool = False) -> bool:
    """Tell whether the script may be running now; asked only where nothing tells how it ended."""
    if remains.jobs:
        return True
    if has_rebooted(remains, before):
        return False
    return not _never_began(remains, detached=detached)


def _never_began(remains: Remains, *, detached: bool) -> bool:
    """Tell whether the log proves that the script was not started, as long as the router was up all the time.

    Its line would stand between the one that we left before it and the one that we left when we looked; where the latter
    cannot be read yet, the former may be missing for the same reason. A job writes its line in its own time, so it must be known
    that there is none.
    """
    no_job = remains.jobs == 0 if detached else not remains.jobs
    return no_job and not remains.begun and {"connected", _LOOKED} <= remains.log and "start" not in remains.log


def why_over(remains: Remains, before: Before, *, time_is_over: bool) -> str | None:
    """Say how it is known that a script of which nobody knows how it ended is not running any more; None if it is not.

    Whether the router lists what a session runs is not known; so that it lists nothing counts only once the time of the
    site is over, and nobody holds the session.
    """
    if remains.jobs:
        return None
    if remains.log & {"done", "failed"}:
        return "The router's log has the line that follows it."
    if has_rebooted(remains, before):
        return "The router has rebooted since."
    if remains.jobs == 0 and time_is_over:
        return "Its session is gone, its time is over, and the router lists no job that runs it."
    return None


class Fence(Enum):
    """What became of the uploaded file before it was looked what is left."""

    GONE = "removed by us, and seen to be gone"
    LISTED = "asked to be removed, and still listed: a late start cannot be ruled out"
    LEFT = "left to the job that runs it"


def describe_remains(remains: Remains, before: Before, *, fence: Fence = Fence.GONE) -> str:
    """Say in lines what was found, for a person who judges where we cannot."""
    words = ", ".join(word for word in _WORDS if word in remains.log)
    uptime = "not known" if before.uptime is None else str(before.uptime)
    rebooted = "whether it rebooted is not known"
    if has_rebooted(remains, before):
        rebooted = "it rebooted since"
    elif _is_up_since(remains, before):
        rebooted = "no reboot"
    told = [
        f"file: {fence.value}",
        f"log: {'our lines ' + words if words else 'none of our lines'}",
    ]
    if remains.reboot:
        told.append(f"log: {remains.reboot}")
    if remains.version is not None:
        told.append(f"version: {remains.version.text}")
    if remains.jobs is not None:
        told.append(f"jobs that run this script: {remains.jobs}")
    told.append(
        f"uptime: {remains.uptime}; before the script {uptime}, {timedelta(seconds=round(before.ago.total_seconds()))} earlier: {rebooted}"
    )
    return "\n".join(told)


def judge_remains(
    remains: Remains,
    before: Before,
    *,
    reason: Reason,
    stamped: bool,
    detached: bool = False,
    closed: bool = False,
    expected: Expected | None = None,
) -> Ending:
    """Decide what a run did whose session was lost. `closed`: the router itself ended it, with an exit status.

    The log is in memory, or on a disk that is written late: after a reboot, or where it is not known that there was none
    (its uptime before it is None), a missing line proves nothing. Without a reboot it does only while the line that we left at
    the beginning of the same contact is still there, the one that we left when we looked is there already, nothing answered
    to the start, and no job runs the script.
    """
    rebooted = has_rebooted(remains, before)
    if "done" in remains.log:
        return completed(
            "The router's log has the line that follows the script's last statement.",
            warnings=("Proved by the router's log, not by the session.",),
        )
    if "failed" in remains.log:
        return partly_applied(
            "The router's log says that the script failed. What it did before, if anything, stays applied."
        )
    if remains.jobs:
        return unknown(reason, "The script is still running as a job of the router's.")
    if rebooted:
        proof = None if expected is None else _proof_by_reboot(remains, before, expected)
        if proof is not None:
            return completed(proof, warnings=("Proved by the reboot that was expected, not by the end marker.",))
        return unknown(
            reason, "The router rebooted during the run and nothing that survived tells what the script did."
        )
    if stamped and _is_up_since(remains, before) and _never_began(remains, detached=detached):
        return not_started(
            Reason.CONNECTION_LOST,
            "The session was lost before the script was started: the file is gone from the router and its log has no start.",
        )
    if "start" in remains.log:
        running = "" if closed else "; it may still be running"
        return unknown(reason, f"The script was started and nothing tells how it ended{running}.")
    if remains.begun:
        running = "" if closed else "; it may be running"
        return unknown(
            reason, f"Something answered to the start of the script, and nothing tells how it ended{running}."
        )
    return unknown(reason, "Nothing on the router tells whether the script was started.")


def _proof_by_reboot(remains: Remains, before: Before, expected: Expected) -> str | None:
    """Say what a reboot that was expected proves; None: a power cut would look the same.

    A script is run statement by statement, and stops at the first error: where its own command rebooted the router, all
    before that was done. Logged as "router rebooted by api:user@ip/reset" (public record; only some versions).
    """
    match sole_effect(expected.script):
        case SoleEffect.REBOOT if before.certain:  # who sent it knows that it was sent
            return "The script does nothing but reboot the router, which has rebooted since and is back."
        case SoleEffect.UPGRADE if (
            remains.version is not None
            and expected.version is not None
            and remains.version.rank > expected.version.rank
        ):
            return (
                f"The script does nothing but upgrade the router, which has rebooted since from"
                f" {expected.version.text} to {remains.version.text}."
            )
    code = _code(expected.script)
    # The one command that reboots is the last one; so no other did, nor what is not written here, and the script does not
    # write that line itself.
    reboots_at_its_end = (
        _REBOOTS_LAST.search(code) is not None
        and len(_MAY_REBOOT.findall(code)) == 1
        and _RUNS_MORE.search(code) is None
    )
    if reboots_at_its_end and remains.reboot.startswith(f"router rebooted by ssh:{expected.username}@"):
        return f"The router is back, and its log says that our session had it reboot: {remains.reboot}."
    return None


# A function, wherever it was written, is called by its variable where a statement may begin. Whether a variable may stand for
# a block is not recorded: it is taken to be run. And the commands that run what lies elsewhere.
_RUNS_MORE = re.compile(
    rb"(?:^|[\n\r;{\[])[ \t(]*\$"
    rb"|(?<![A-Za-z0-9_-])(?:do|else|on-error|command)[ \t]*=[ \t(]*\$"
    rb"|(?<![A-Za-z0-9_-])(?:do|time?)[ \t]+[ \t(]*\$"
    rb"|(?<![A-Za-z0-9_-])onerror\b[^\n;{]*=[ \t(]*\$"
    rb"|(?<![A-Za-z0-9_-])(?:imp|par|exe|ru)[a-z-]*(?![a-z=-])",  # and not the property parent=
    re.IGNORECASE,
)
# The menu that names a router, as short as the console takes it, and what sets a whole configuration or has a script run later.
_RENAMES = re.compile(
    rb"(?<![A-Za-z0-9_-])(?:id(?:e(?:n(?:t(?:i(?:ty?)?)?)?)?)?(?![A-Za-z0-9_=-])|res|loa|lo |sc|fet)", re.IGNORECASE
)


def may_rename(script: bytes) -> bool:
    """Tell whether a script, or what it has run that is not written in it, may change what its router calls itself. In doubt
    it may.
    """
    return _RENAMES.search(script) is not None or _RUNS_MORE.search(script) is not None


_BLANK = re.compile(rb"[ \t]*(?:#[^\n]*)?")
_HARMLESS = re.compile(rb':?(?:put|log (?:debug|info|warning|error)|delay) (?:"[^"\\$\[]*"|[0-9a-zA-Z.:]+);?')
_REBOOT = rb"/ ?system[ /]+reboot[ \t]*;?"
_UPGRADE = rb"/ ?system[ /]+package[ /]+update[ /]+install[ \t]*;?"
_WHOLE = {SoleEffect.REBOOT: re.compile(_REBOOT), SoleEffect.UPGRADE: re.compile(_UPGRADE)}
_REBOOTS_LAST = re.compile(rb"(?:^|[\n;])[ \t]*" + _REBOOT + rb"\Z")
# Whatever else may reboot a router, the words in full or as short as the console takes them.
_MAY_REBOOT = re.compile(rb"(?<![A-Za-z0-9_-])(?:reb|rese|res|ins|loa|lo |shu|upg|rest)", re.IGNORECASE)


def _code(script: bytes) -> bytes:
    """Return a script without its comments at the beginning of lines and without blank lines."""
    kept = [line.strip() for line in script.split(b"\n") if not _BLANK.fullmatch(line.strip())]
    return b"\n".join(kept)


def sole_effect(script: bytes) -> SoleEffect | None:
    """Return what a script is for, if it does nothing else: told only of the plainest ones, a statement a line."""
    code = _code(script).split(b"\n")
    doing = [line for line in code if not _HARMLESS.fullmatch(line)]
    if len(doing) != 1 or code[-1] != doing[0]:
        return None
    return next((effect for effect, pattern in _WHOLE.items() if pattern.fullmatch(doing[0])), None)
