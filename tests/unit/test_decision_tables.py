"""The two tables of the executor, row by row: what the session says, and what is found on the router after it was lost.

Each row of the public record's decision table has a test here that is named after its evidence.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from tminus.domain.endings import Ending, Reason
from tminus.routeros.commands import Nonce
from tminus.routeros.facts import Version
from tminus.routeros.outcome import Close, ImportAnswer, Unresolved, judge_dry_run, judge_import, judge_output
from tminus.routeros.remains import (
    Before,
    Expected,
    Remains,
    SoleEffect,
    judge_remains,
    may_be_running,
    read_remains,
    sole_effect,
    why_over,
)

NONCE = Nonce.of_run("0123456789abcdef", UUID(int=41))
OK, ERR = NONCE.marker("OK"), NONCE.marker("ERR")
DONE = "Script file loaded and executed successfully"
SCRIPT = b"/ip dns set servers=192.0.2.53\n"
BEFORE, SINCE = timedelta(days=3), timedelta(minutes=2)
SAME_BOOT, JUST_BOOTED = BEFORE + SINCE, timedelta(seconds=40)


def short(verdict: Ending | Unresolved | None) -> str:
    match verdict:
        case None:
            return "nothing"
        case Unresolved():
            return f"look: {verdict.reason}"
        case Ending():
            return "/".join(filter(None, (verdict.state, verdict.effect, verdict.reason)))


def session(*said: str, status: int | None = 0, close: Close = Close.CLOSED) -> str:
    output = "".join(f"{line}\r\n" for line in said).encode()
    return short(judge_import(ImportAnswer(output=output, exit_status=status, close=close), NONCE, SCRIPT))


@pytest.mark.parametrize(
    ("evidence", "verdict", "expected"),
    [
        ("marker, success line, exit status 0", session(DONE, OK), "completed/applied"),
        ("the same with error text before it", session("failure: x", DONE, OK), "completed/applied"),
        ("marker without the success line", session(OK), "unknown/unknown/connection_lost"),
        ("a dry run that found an error", short(judge_dry_run(b"syntax error (line 1 column 2)\r\n", b"")), "failed/none/script_rejected"),
        ("a parse error from the import", session(f"{ERR} Script Error: syntax error (line 1 column 2)"), "failed/none/script_rejected"),
        ("an error that we caught", session(f"{ERR} failure: x"), "failed/partial/script_error"),
        ("a run-time error as the last line", session("failure: x"), "failed/partial/script_error"),
        ("an exit status other than 0", session("x", status=1), "failed/partial/script_error"),
        ("the connection is up and the time is over", session(status=None, close=Close.TIMED_OUT), "look: timed_out"),
        ("closed without an exit status", session(status=None), "look: connection_lost"),
        ("the connection was lost", session(status=None, close=Close.LOST), "look: connection_lost"),
        ("exit status 0, no marker, no error text", session("x"), "look: connection_lost"),
        ("exit status 0 and nothing at all", session(), "look: connection_lost"),
    ],
)  # fmt: skip
def test_what_the_session_says(evidence: str, verdict: str, expected: str) -> None:
    assert verdict == expected, evidence


def found(log: str, *, uptime: timedelta = SAME_BOOT, **more: Any) -> Remains:
    return Remains(log=frozenset(log.split()), uptime=uptime, **more)


def booted(**more: Any) -> Remains:
    return found("", uptime=JUST_BOOTED, **more)


def after_loss(
    remains: Remains, *, before: timedelta | None = BEFORE, script: bytes | None = None, version: str = "7.20.8"
) -> str:
    expected = None
    if script is not None:
        expected = Expected(script=script, username="tminus", version=Version.parse(version))
    return short(
        judge_remains(
            remains,
            Before(uptime=before, ago=SINCE, certain=True),
            reason=Reason.CONNECTION_LOST,
            stamped=True,
            expected=expected,
        )
    )


UNKNOWN = "unknown/unknown/connection_lost"
REBOOT_ONLY = b"# at night\n/system reboot\n"
LONGER = b"/ip dns set servers=192.0.2.53\n/system reboot\n"
TWO_REBOOTS = b":if ($x) do={ /system reboot }\n" + LONGER
PARENT = b"/queue tree add name=x parent=global\n"
ELSEWHERE = (b"/import other.rsc", b"/system script run other", b"[:parse $x]", b":global f; $f", b":execute $x")
UPGRADE = b"/system package update install\n"
OLD, NEWER = Version.parse("7.20.8"), Version.parse("7.24.4")
EVES = "router rebooted by ssh:eve@192.0.2.9/reboot"
OURS = "router rebooted by ssh:tminus@192.0.2.9/reboot"


@pytest.mark.parametrize(
    ("evidence", "verdict", "expected"),
    [
        ("the end in the log", after_loss(found("connected start done")), "completed/applied"),
        ("the end in a log that survived a reboot", after_loss(found("connected start done", uptime=JUST_BOOTED)), "completed/applied"),
        ("the failure in the log", after_loss(found("connected start failed")), "failed/partial/script_error"),
        ("no start in the log, no reboot", after_loss(found("connected looked")), "failed/none/connection_lost"),
        ("no start in a log that does not show our look yet", after_loss(found("connected")), UNKNOWN),
        ("no start in the log, but a job that runs it", after_loss(found("connected looked", jobs=1)), UNKNOWN),
        ("a start, and a job that runs it", after_loss(found("connected start", jobs=1)), UNKNOWN),
        ("a start and nothing more", after_loss(found("connected start", jobs=0)), UNKNOWN),
        ("a reboot, and no durable marker", after_loss(booted()), UNKNOWN),
        ("a log that was cleared", after_loss(found("")), UNKNOWN),
        ("it is not known whether it rebooted", after_loss(found("connected looked"), before=None), UNKNOWN),
        # A script that is expected to end its own session.
        ("nothing but a reboot, and it rebooted", after_loss(booted(), script=REBOOT_ONLY), "completed/applied"),
        ("nothing but a reboot, and it did not", after_loss(found("connected start"), script=REBOOT_ONLY), UNKNOWN),
        ("a reboot of which nobody knows who ordered it", after_loss(booted(), script=LONGER), UNKNOWN),
        ("a reboot that our session ordered", after_loss(booted(reboot=OURS), script=LONGER), "completed/applied"),
        ("a reboot that another user ordered", after_loss(booted(reboot=EVES), script=LONGER), UNKNOWN),
        ("ordered by us, of a script that is not expected to", after_loss(booted(reboot=OURS)), UNKNOWN),
        ("ordered by us, and the uptime says no", after_loss(found("connected start", reboot=OURS), script=LONGER), UNKNOWN),
        ("ordered by us, in the middle of the script", after_loss(booted(reboot=OURS), script=LONGER + b":put 1\n"), UNKNOWN),
        ("two commands that may have rebooted", after_loss(booted(reboot=OURS), script=TWO_REBOOTS), UNKNOWN),
        ("ordered by us, with a property that is no command", after_loss(booted(reboot=OURS), script=PARENT + LONGER), "completed/applied"),
        *(
            (f"ordered by us, or by what is run before: {what!r}", after_loss(booted(reboot=OURS), script=what + b"\n" + LONGER), UNKNOWN)
            for what in ELSEWHERE
        ),
        ("an upgrade with a newer version", after_loss(booted(version=NEWER), script=UPGRADE), "completed/applied"),
        ("an upgrade with the old version", after_loss(booted(version=OLD), script=UPGRADE), UNKNOWN),
        ("an upgrade with no version", after_loss(booted(), script=UPGRADE), UNKNOWN),
        ("a failure before the reboot", after_loss(found("failed", uptime=JUST_BOOTED), script=LONGER), "failed/partial/script_error"),
    ],
)  # fmt: skip
def test_what_is_found_after_the_session_was_lost(evidence: str, verdict: str, expected: str) -> None:
    assert verdict == expected, evidence


@pytest.mark.parametrize(
    ("evidence", "remains", "running"),
    [
        ("a job that runs it", found("connected start", jobs=1), True),
        ("a job that runs it, of which the log knows nothing", found("", jobs=1), True),
        ("a start and no job: not every session is listed", found("connected start", jobs=0), True),
        ("a start, and a router that lists no jobs", found("connected start"), True),
        ("a log that was cleared", found(""), True),
        ("a reboot", booted(), False),
        ("a reboot, and a start in a log on a disk", found("connected start", uptime=JUST_BOOTED), False),
        ("no start, and the file is gone", found("connected looked"), False),
        ("no start in a log that does not show our look yet", found("connected"), True),
    ],
)
def test_whether_a_script_may_be_running(evidence: str, remains: Remains, running: bool) -> None:
    assert may_be_running(remains, Before(uptime=BEFORE, ago=SINCE, certain=True)) is running, evidence


@pytest.mark.parametrize(
    ("evidence", "remains", "time_is_over", "over"),
    [
        ("a job that runs it", found("connected start", jobs=1), True, False),
        ("a job that runs it, though its end is logged", found("done", jobs=1), True, False),
        ("its end in the log", found("connected start done", jobs=0), False, True),
        ("its end in the log of a router that lists no jobs", found("done"), False, True),
        ("a reboot", booted(), False, True),
        ("no job, and its time is not over", found("connected start", jobs=0), False, False),
        ("no job, and its time is over", found("connected start", jobs=0), True, True),
        ("a router that lists no jobs", found("connected start"), True, False),
    ],
)
def test_when_a_router_is_free_again(evidence: str, remains: Remains, time_is_over: bool, over: bool) -> None:
    why = why_over(remains, Before(uptime=BEFORE, ago=SINCE, certain=True), time_is_over=time_is_over)
    assert (why is not None) is over, evidence


@pytest.mark.parametrize(
    ("script", "effect"),
    [
        (b"/system reboot\n", SoleEffect.REBOOT),
        (b"/system/reboot", SoleEffect.REBOOT),
        (b"# x\n\n:log info \"bye\"\n:delay 5s\n/system reboot;\n", SoleEffect.REBOOT),
        (b"/system package update install\n", SoleEffect.UPGRADE),
        (b"/system/package/update/install\n", SoleEffect.UPGRADE),
        (b"/system reboot\n:put 1\n", None),
        (b"/system reboot\n/system reboot\n", None),
        (b"/ip dns set servers=192.0.2.53\n/system reboot\n", None),
        (b':log info "$[/ip dns set servers=192.0.2.53]"\n/system reboot\n', None),
        (b":log info [/ip dns set servers=192.0.2.53]\n/system reboot\n", None),
        (b":put 1; /ip dns set servers=192.0.2.53\n/system reboot\n", None),
        (b":if (true) do={\n/system reboot\n}\n", None),
        (b"/system reboot delay=5\n", None),
        (b"", None),
    ],
)  # fmt: skip
def test_a_script_does_one_thing_only_if_that_is_plain(script: bytes, effect: SoleEffect | None) -> None:
    assert sole_effect(script) is effect


def said(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode()


def test_a_reboot_in_the_log_counts_only_behind_our_own_lines() -> None:
    start, end = NONCE.log_line("start"), NONCE.marker("LOG")
    old = read_remains(said(OURS, start, "7.20.8 (stable)", "00:01:00", end), NONCE)
    new = read_remains(
        said(start, "router rebooted", OURS, NONCE.log_line("looked"), "7.20.8 (stable)", "00:01:00", end), NONCE
    )
    wiped = read_remains(said(OURS, "7.20.8 (stable)", "00:01:00", end), NONCE)
    crash = read_remains(said(OURS, "router was rebooted without proper shutdown", "00:01:00", end), NONCE)
    assert old is not None
    assert new is not None
    assert wiped is not None
    assert crash is not None
    assert old.reboot == ""
    assert new.reboot == wiped.reboot == OURS
    assert not crash.reboot.startswith("router rebooted by")
    assert new.version == Version.parse("7.20.8 (stable)")
    assert new.jobs is None


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ((DONE, OK), "completed/applied"),
        (("after", DONE, OK), "completed/applied"),
        ((f"{ERR} failure: x (:error; line 3)",), "failed/partial/script_error"),
        ((f"{ERR} Script Error: syntax error (line 2 column 15)",), "failed/none/script_rejected"),
        ((OK,), "unknown/unknown/connection_lost"),
        (("failure: x",), "nothing"),  # printed by the script, perhaps: a job has no exit status that would tell
        ((DONE,), "nothing"),
        ((), "nothing"),
    ],
)
def test_what_a_detached_script_printed(output: tuple[str, ...], expected: str) -> None:
    verdict = judge_output(said(*output), NONCE, SCRIPT)
    assert short(verdict) == expected
    assert verdict is None or not verdict.warnings
