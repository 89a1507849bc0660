"""After a lost connection: what the router's log and uptime prove, and what they do not."""

from __future__ import annotations

from datetime import timedelta
from itertools import combinations
from uuid import UUID

import pytest

from tminus.domain.endings import Effect, Reason, State
from tminus.routeros.commands import Nonce
from tminus.routeros.remains import (
    Before,
    Expected,
    Fence,
    Remains,
    describe_remains,
    has_rebooted,
    judge_remains,
    may_be_running,
    read_remains,
    why_over,
)

NONCE = Nonce.of_run("0123456789abcdef", UUID(int=41))
BEFORE = timedelta(days=3)
SINCE = timedelta(minutes=2)
SAME_BOOT = BEFORE + SINCE
JUST_BOOTED = timedelta(seconds=40)
WORDS = ("connected", "start", "done", "failed", "looked")


def judge(
    log: str,
    *,
    uptime: timedelta = SAME_BOOT,
    before: timedelta | None = BEFORE,
    stamped: bool = True,
    jobs: int | None = None,
    detached: bool = False,
) -> tuple[str, str, str | None]:
    ending = judge_remains(
        Remains(log=frozenset(log.split()), uptime=uptime, jobs=jobs),
        Before(uptime=before, ago=SINCE, certain=True),
        reason=Reason.DAEMON_LOST,
        stamped=stamped,
        detached=detached,
    )
    return ending.state, ending.effect, ending.reason


COMPLETED = ("completed", "applied", None)
PARTIAL = ("failed", "partial", "script_error")
NOT_STARTED = ("failed", "none", "connection_lost")
UNKNOWN = ("unknown", "unknown", "daemon_lost")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (judge("connected start done"), COMPLETED),
        (judge("start done"), COMPLETED),  # the log turned over
        (judge("connected start done", uptime=JUST_BOOTED), COMPLETED),  # a log on a disk
        (judge("connected start failed"), PARTIAL),
        (judge("failed", before=None), PARTIAL),
        (judge("connected looked"), NOT_STARTED),
        (judge("connected"), UNKNOWN),  # what we have just written cannot be read, so no more can a start
        (judge("looked"), UNKNOWN),  # the log turned over
        (judge("connected looked", detached=True), UNKNOWN),  # a job writes its line in its own time
        (judge("connected looked", detached=True, jobs=0), NOT_STARTED),
        (judge("connected looked", jobs=1), UNKNOWN),
        (judge("connected start"), UNKNOWN),
        (judge(""), UNKNOWN),  # the log turned over, or was cleared
        (judge("connected looked", uptime=JUST_BOOTED), UNKNOWN),  # on a disk, written late: the start may be lost
        (judge("", uptime=JUST_BOOTED), UNKNOWN),
        (judge("connected start", uptime=JUST_BOOTED), UNKNOWN),
        (judge("connected looked", before=None), UNKNOWN),  # nobody knows whether it rebooted
        (judge("connected looked", stamped=False), UNKNOWN),  # then the start leaves no line either
        (judge("", stamped=False), UNKNOWN),
    ],
)
def test_what_is_found_decides(found: tuple[str, str, str | None], expected: tuple[str, str, str | None]) -> None:
    assert found == expected


def test_what_answered_to_its_start_was_begun_whatever_the_log_lacks() -> None:
    remains = Remains(log=frozenset({"connected", "looked"}), uptime=SAME_BOOT, jobs=0, begun=True)
    before = Before(uptime=BEFORE, ago=SINCE, certain=True)
    ending = judge_remains(remains, before, reason=Reason.CONNECTION_LOST, stamped=True)
    assert (ending.state, ending.message) == (
        "unknown",
        "Something answered to the start of the script, and nothing tells how it ended; it may be running.",
    )
    assert may_be_running(remains, before)
    assert "our lines connected\n" in describe_remains(remains, before), "the log has no more than it has"


def test_no_combination_is_completed_without_done_or_unapplied_with_a_start() -> None:
    for count in range(len(WORDS) + 1):
        for log in combinations(WORDS, count):
            for uptime in (SAME_BOOT, JUST_BOOTED, timedelta(0)):
                for before in (BEFORE, None):
                    for stamped in (True, False):
                        state, effect, _ = judge(" ".join(log), uptime=uptime, before=before, stamped=stamped)
                        assert (state == State.COMPLETED) == ("done" in log)
                        if effect == Effect.NONE:
                            assert log == ("connected", "looked")
                            assert (uptime, before, stamped) == (SAME_BOOT, BEFORE, True)


@pytest.mark.parametrize(
    ("uptime", "rebooted"),
    [
        (SAME_BOOT, False),
        (SAME_BOOT - timedelta(seconds=4), False),  # both were read a moment apart, and rounded down
        (SAME_BOOT + timedelta(seconds=30), False),
        (SAME_BOOT - timedelta(seconds=6), True),
        (JUST_BOOTED, True),
    ],
)
def test_a_reboot_is_told_by_the_uptime(uptime: timedelta, rebooted: bool) -> None:
    assert judge("connected looked", uptime=uptime) == (UNKNOWN if rebooted else NOT_STARTED)


@pytest.mark.parametrize("uptime", [BEFORE, BEFORE - timedelta(hours=1)])
def test_an_uptime_that_stands_still_proves_neither_a_reboot_nor_that_there_was_none(uptime: timedelta) -> None:
    remains = Remains(log=frozenset({"connected", "looked"}), uptime=uptime, jobs=0)
    since = timedelta(minutes=2)
    assert not has_rebooted(remains, Before(uptime=BEFORE, ago=since, certain=True))
    ending = judge_remains(
        remains,
        Before(uptime=BEFORE, ago=since, certain=True),
        reason=Reason.CONNECTION_LOST,
        stamped=True,
        expected=Expected(script=b"/system reboot\n", username="tminus", version=None),
    )
    assert (ending.state, ending.effect) == ("unknown", "unknown")


def test_a_router_that_had_just_booted_and_booted_again_is_told_too() -> None:
    remains = Remains(log=frozenset({"connected", "looked"}), uptime=timedelta(seconds=25))
    ending = judge_remains(
        remains,
        Before(uptime=timedelta(seconds=10), ago=timedelta(seconds=50), certain=True),
        reason=Reason.TIMED_OUT,
        stamped=True,
    )
    assert (ending.state, ending.reason) == ("unknown", "timed_out")
    assert "rebooted" in ending.message


UP = timedelta(minutes=1)
STEPPED = Before(
    uptime=UP, ago=timedelta(hours=1), certain=False
)  # by the database's clock, which was set an hour ahead


@pytest.mark.parametrize("log", ["connected looked", "connected start looked", "connected", "looked"])
def test_a_database_whose_clock_was_set_ahead_makes_no_reboot(log: str) -> None:
    """The router had just booted, and is up for a minute and a half: nothing happened to it."""
    remains = Remains(log=frozenset(log.split()), uptime=UP + timedelta(seconds=30), jobs=None)
    assert not has_rebooted(remains, STEPPED)
    ending = judge_remains(
        remains,
        STEPPED,
        reason=Reason.DAEMON_LOST,
        stamped=True,
        expected=Expected(script=b"/system reboot\n", username="tminus", version=None),
    )
    assert ending.state == "unknown"
    assert why_over(remains, STEPPED, time_is_over=False) is None
    assert may_be_running(remains, STEPPED) is (log != "connected looked")


def test_an_uptime_that_is_less_than_before_is_a_reboot_whatever_clock_tells_the_time_between() -> None:
    remains = Remains(
        log=frozenset(), uptime=timedelta(seconds=20), reboot="router rebooted by ssh:tminus@192.0.2.1/reboot"
    )
    assert has_rebooted(remains, STEPPED)
    assert why_over(remains, STEPPED, time_is_over=False) == "The router has rebooted since."


def test_that_a_router_rebooted_proves_its_only_statement_to_who_sent_it_alone() -> None:
    """A daemon that died may have died before it sent it; then a power cut would look the same."""
    expected = Expected(script=b"/system reboot\n", username="tminus", version=None)

    def state(*, sent: bool, reboot: str = "") -> str:
        before = Before(uptime=BEFORE, ago=SINCE, certain=sent)
        remains = Remains(log=frozenset(), uptime=JUST_BOOTED, reboot=reboot)
        return judge_remains(remains, before, reason=Reason.DAEMON_LOST, stamped=True, expected=expected).state

    assert state(sent=True) == "completed"
    assert state(sent=False) == "unknown"
    assert state(sent=False, reboot="router rebooted by ssh:tminus@192.0.2.1/reboot") == "completed"
    assert state(sent=False, reboot="router rebooted by ssh:admin@192.0.2.1/reboot") == "unknown"


def log(*words: str, uptime: str = "3d00:02:00", marker: str = NONCE.marker("LOG")) -> bytes:
    said = [NONCE.log_line(word) for word in words]
    return "".join(f"{line}\r\n" for line in [*said, uptime, marker]).encode()


@pytest.mark.parametrize(
    "words",
    [(), ("connected",), ("connected", "start"), ("connected", "start", "done"), ("failed",), ("connected", "looked")],
)
def test_the_answer_to_evidence(words: tuple[str, ...]) -> None:
    assert read_remains(log(*words), NONCE) == Remains(log=frozenset(words), uptime=timedelta(days=3, minutes=2))


@pytest.mark.parametrize(
    "line",
    [
        "tminus 0123456789abcdef done",  # as a script could write it
        f"{NONCE.log_line('done')} again",
        "script: tminus 0123456789abcdef done",
        "tminus fedcba9876543210 done",
        "TMINUS 0123456789abcdef done",
        'user ops: :log info "tminus 0123456789abcdef done"',
    ],
)
def test_a_line_of_the_log_that_only_looks_like_ours_proves_nothing(line: str) -> None:
    found = read_remains(line.encode() + b"\r\n" + log(), NONCE)
    assert found == Remains(log=frozenset(), uptime=timedelta(days=3, minutes=2))


@pytest.mark.parametrize(
    "output",
    [
        b"",
        log("connected")[:-4],
        log("connected", marker="TMINUS-LOG-fedcba9876543210"),
        log("connected", marker="x " + NONCE.marker("LOG")),
        log("connected", uptime="no such item"),
        log("connected", uptime=""),
        NONCE.marker("LOG").encode() + b"\r\n",
    ],
)
def test_what_is_no_whole_answer(output: bytes) -> None:
    assert read_remains(output, NONCE) is None


def test_what_was_found_is_told_to_the_person_who_has_to_judge() -> None:
    remains = Remains(log=frozenset({"start", "connected", "looked"}), uptime=timedelta(hours=2))
    told = describe_remains(
        remains, Before(uptime=timedelta(hours=1), ago=timedelta(hours=1, seconds=0.4), certain=True)
    )
    assert "our lines connected, start\n" in told, "the line of our look is not of the run"
    assert "uptime: 2:00:00; before the script 1:00:00, 1:00:00 earlier: no reboot" in told
    assert "file: removed by us, and seen to be gone\n" in told
    still = describe_remains(remains, Before(uptime=None, ago=SINCE, certain=True), fence=Fence.LISTED)
    assert "file: asked to be removed, and still listed" in still
    remains = Remains(log=frozenset(), uptime=timedelta(minutes=1))
    told = describe_remains(remains, Before(uptime=timedelta(hours=1), ago=timedelta(minutes=5), certain=True))
    assert "none of our lines" in told
    assert told.endswith("it rebooted since")
    assert describe_remains(remains, Before(uptime=None, ago=timedelta(minutes=5), certain=True)).endswith(
        "whether it rebooted is not known"
    )
