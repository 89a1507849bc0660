"""No false `completed`, and no false `none`: whatever a router says, in whatever order."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from tminus.domain.endings import Effect, Ending, State
from tminus.routeros.commands import Nonce, start
from tminus.routeros.outcome import Close, ImportAnswer, judge_dry_run, judge_import
from tminus.routeros.remains import read_remains

NONCE, OTHER = Nonce.of_run("0123456789abcdef", UUID(int=41)), Nonce("fedcba9876543210")
OK = NONCE.marker("OK").encode()
DONE = b"Script file loaded and executed successfully"
PIECES = [
    OK,
    OK[:-1],
    b"TMINUS-OK-",
    NONCE.value.encode(),
    OTHER.marker("OK").encode(),
    Nonce(NONCE.value).marker("OK").encode(),  # what a script can find out
    NONCE.marker("ERR").encode(),
    OTHER.marker("ERR").encode() + b" failure: x",
    DONE,
    DONE[:20],
    start(NONCE, catches=True, stamp=True).encode(),
    start(NONCE, catches=False, stamp=False).encode(),
    b"failure: already have such address",
    b"syntax error (line 1 column 7)",
    b"Cannot open import file, file does not exist",
    b"Script Error: found 1 error(s) in import file",
    b"No syntax errors found in the import file",
    b"\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\x1b[2K",
    b"\x00",
    b"\xff",
    b"[admin@edge] > ",
]
OUTPUT = st.lists(st.sampled_from(PIECES) | st.binary(max_size=3), max_size=14).map(b"".join)
# Made of whole lines only, so that the proof is met often.
LINED = st.lists(st.sampled_from([OK, DONE, b"", b"failure: x", NONCE.marker("ERR").encode()]), max_size=5).map(
    b"\r\n".join
)
STATUS = st.none() | st.sampled_from([0, 0, 0, 1, 255])


def holds_proof(output: bytes) -> bool:
    """The rule once more, over bytes: our marker alone on a line, and the line before it is the success line."""
    lines = [line.rstrip(b" \t\r") for line in output.split(b"\n")]
    if OK not in lines:
        return False
    before = [line for line in lines[: lines.index(OK)] if line]
    return bool(before) and before[-1] == DONE


@settings(max_examples=600)
@given(OUTPUT | LINED, STATUS, st.sampled_from(Close), st.sampled_from([b":put 1\n", b"/import x\n"]))
def test_completed_only_with_the_whole_proof(output: bytes, status: int | None, close: Close, script: bytes) -> None:
    verdict = judge_import(ImportAnswer(output=output, exit_status=status, close=close), NONCE, script)
    if isinstance(verdict, Ending) and verdict.state is State.COMPLETED:
        assert holds_proof(output)
        assert status in (0, None)


@given(LINED)
def test_the_whole_proof_and_no_caught_error_is_completed(before: bytes) -> None:
    output = (
        before.replace(OK, b"").replace(NONCE.marker("ERR").encode(), b"") + b"\r\n" + DONE + b"\r\n" + OK + b"\r\n"
    )
    verdict = judge_import(ImportAnswer(output=output, exit_status=0, close=Close.CLOSED), NONCE, b":put 1\n")
    assert isinstance(verdict, Ending)
    assert verdict.state is State.COMPLETED


@settings(max_examples=300)
@given(OUTPUT | LINED, STATUS, st.sampled_from(Close))
def test_of_a_script_that_can_run_other_code_nothing_is_called_unapplied(
    output: bytes, status: int | None, close: Close
) -> None:
    verdict = judge_import(ImportAnswer(output=output, exit_status=status, close=close), NONCE, b"/import more.rsc\n")
    assert not isinstance(verdict, Ending) or verdict.effect is not Effect.NONE


@settings(max_examples=300)
@given(OUTPUT)
def test_a_cut_session_without_a_marker_decides_nothing(output: bytes) -> None:
    if NONCE.value.encode() in output:
        output = output.replace(NONCE.value.encode(), OTHER.value.encode())
    for close in Close:
        verdict = judge_import(ImportAnswer(output=output, exit_status=None, close=close), NONCE, b":put 1\n")
        assert not isinstance(verdict, Ending)


@given(st.binary(max_size=200) | OUTPUT)
def test_judging_never_raises(output: bytes) -> None:
    judge_dry_run(output, output)
    read_remains(output, NONCE)
    for close in Close:
        judge_import(ImportAnswer(output=output, exit_status=0, close=close), NONCE, output)
