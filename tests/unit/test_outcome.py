"""How a run ended, by what the router said: each kind of evidence, and the transcripts of real routers."""

from __future__ import annotations

from uuid import UUID

import pytest

from tminus.domain.endings import Ending, Reason, not_started
from tminus.routeros.commands import Nonce
from tminus.routeros.outcome import Close, ImportAnswer, Unresolved, judge_difference, judge_dry_run, judge_import

NONCE = Nonce.of_run("0123456789abcdef", UUID(int=41))
OK, ERR = NONCE.marker("OK"), NONCE.marker("ERR")
OTHER = Nonce("f" * 16).marker("OK")
DONE = "Script file loaded and executed successfully"
ERROR = "Script Error: syntax error (line 2 column 15)"
PLAIN = b"/ip dns set servers=192.0.2.53\n"
DYNAMIC = b"/ip dns set servers=192.0.2.53\n/import more.rsc\n"

COMPLETED = "completed/applied"
PARTIAL = "failed/partial/script_error"
REJECTED = "failed/none/script_rejected"
NO_FILE = "failed/none/upload_failed"
UNKNOWN = "unknown/unknown/connection_lost"
LOOK = "look: connection_lost"
LOOK_LATE = "look: timed_out"


def judge(
    *said: str, status: int | None = 0, close: Close = Close.CLOSED, script: bytes = PLAIN
) -> Ending | Unresolved:
    output = "".join(f"{line}\r\n" for line in said).encode()
    return judge_import(ImportAnswer(output=output, exit_status=status, close=close), NONCE, script)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (("Authorized access only!", "", ERROR), REJECTED),
        (("Authorized access only!", ERROR), PARTIAL),  # no greeting: it is the script that said this
        (("Authorized access only!", "", "printed", ERROR), PARTIAL),
        ((ERROR,), REJECTED),
        (("Authorized access only!", "", DONE, OK), COMPLETED),
    ],
)
def test_what_a_router_says_to_everybody_is_no_output_of_the_script(said: tuple[str, ...], expected: str) -> None:
    output = "".join(f"{line}\r\n" for line in said).encode()
    answer = ImportAnswer(output=output, exit_status=0, close=Close.CLOSED)
    assert short(judge_import(answer, NONCE, PLAIN, greeting=("Authorized access only!", ""))) == expected


def short(verdict: Ending | Unresolved) -> str:
    if isinstance(verdict, Unresolved):
        return f"look: {verdict.reason}"
    return "/".join(filter(None, (verdict.state, verdict.effect, verdict.reason)))


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        # the proof
        (judge(DONE, OK), COMPLETED),
        (judge("", DONE, "", OK, ""), COMPLETED),
        (judge("what the script prints", DONE, OK), COMPLETED),
        (judge(DONE, OK, status=None), COMPLETED),
        (judge(DONE, OK, status=None, close=Close.LOST), COMPLETED),
        (judge(DONE, OK, status=None, close=Close.TIMED_OUT), COMPLETED),
        (judge("failure: caught by the script", DONE, OK), COMPLETED),
        (judge(OTHER, DONE, OK), COMPLETED),
        # the proof with something wrong
        (judge(DONE, OK, status=1), PARTIAL),
        (judge(OK), UNKNOWN),
        (judge("x", OK), UNKNOWN),
        (judge(OK, DONE), UNKNOWN),
        (judge(f"x{DONE}", OK), UNKNOWN),
        (judge(DONE, "failure: of the outer file", OK, script=DYNAMIC), UNKNOWN),  # the success is the inner file's
        # an error that we caught
        (judge(f"{ERR} failure: already have such address"), PARTIAL),
        (judge(f"{ERR} failure: x", status=None, close=Close.LOST), PARTIAL),
        (judge(f"{ERR} failure: x", status=None, close=Close.TIMED_OUT), PARTIAL),
        (judge(DONE, OK, status=None, close=Close.LEFT_OPEN), COMPLETED),
        (judge(DONE, OK, status=1, close=Close.LEFT_OPEN), PARTIAL),
        (judge(f"{ERR} failure: x", status=None, close=Close.LEFT_OPEN), PARTIAL),
        (judge(f"{ERR} Script Error: syntax error (line 2 column 15) (:import; line 1)"), REJECTED),
        (judge(f"{ERR} Script Error: bad command name x (line 1 column 1)"), REJECTED),
        (judge(f"{ERR} Script Error: bad command name x (line 1 column 1)", script=DYNAMIC), PARTIAL),
        (judge(f"{ERR} Script Error: Script Error: syntax error (line 2 column 15) (:import; line 2) (:import; line 1)"), PARTIAL),
        (judge(f"{ERR} Cannot open import file, file does not exist (:import; line 1)"), NO_FILE),
        (judge(f"{ERR} Script Error: Cannot open import file, file does not exist (:import; line 2)", script=DYNAMIC), PARTIAL),
        (judge(f"{ERR} missing value(s) of argument(s) password (/system/backup/load; line 1)"), PARTIAL),
        (judge(f"{ERR}", "failure: on the next line"), PARTIAL),
        (judge(f"{ERR}"), PARTIAL),
        (judge("output before", f"{ERR} no WAN"), PARTIAL),
        # what was printed was run before it
        (judge("output before", f"{ERR} Script Error: syntax error (line 2 column 15)"), PARTIAL),
        (judge("output before", f"{ERR} Cannot open import file, file does not exist"), PARTIAL),
        (judge("Opening script file x.rsc", f"{ERR} Script Error: syntax error (line 2 column 15)"), REJECTED),
        (judge("output before", "syntax error (line 2 column 15)"), PARTIAL),
        (judge("", "Opening script file x.rsc", "", "syntax error (line 2 column 15)"), REJECTED),
        # alarms come at any time
        (judge(DONE, "10:11:12 echo: system,error,critical login failure for user x", OK), COMPLETED),
        (judge(DONE, "10:11:12 said", OK), UNKNOWN),
        # no marker: how versions without :onerror report a failing import
        (judge("failure: already have interface with name bridge"), PARTIAL),
        (judge("no such item", ""), PARTIAL),
        (judge("syntax error (line 2 column 15)"), REJECTED),
        (judge("syntax error (line 2 column 15)", status=1), REJECTED),
        (judge("syntax error (line 2 column 15)", status=1, script=DYNAMIC), PARTIAL),
        (judge("what the script prints", "input does not match any value of interface"), PARTIAL),
        (judge("Cannot open import file, file does not exist"), NO_FILE),
        (judge("anything", status=1), PARTIAL),
        (judge(status=1), PARTIAL),
        (judge(DONE, status=1), PARTIAL),
        # nothing is proved: :exit, /quit, a reboot, a cut session
        (judge(), LOOK),
        (judge("anything"), LOOK),
        (judge(DONE), LOOK),
        (judge(status=None), LOOK),
        (judge("failure: printed by the script, before the session was cut", status=None), LOOK),
        (judge("failure: printed by the script", "and then it went on"), LOOK),
        (judge(DONE, OTHER), LOOK),
        (judge(f"{ERR.replace('0', '1')} failure: of another run"), LOOK),
        (judge(DONE, status=None, close=Close.LOST), LOOK),
        (judge("failure: x", status=None, close=Close.LOST), LOOK),
        (judge(DONE, OK[:-1], status=None, close=Close.LOST), LOOK),
        (judge(status=None, close=Close.TIMED_OUT), LOOK_LATE),
        (judge(DONE, f"{OK} x", status=None, close=Close.LEFT_OPEN), LOOK_LATE),
        (judge("failure: x", status=None, close=Close.TIMED_OUT), LOOK_LATE),
    ],
)  # fmt: skip
def test_the_evidence_decides(verdict: Ending | Unresolved, expected: str) -> None:
    assert short(verdict) == expected


@pytest.mark.parametrize(
    "last",
    [
        "syntax error (line 1 column 5)",
        "Cannot open import file, file does not exist",
        "failure: printed by the script",
    ],
)
def test_where_errors_are_marked_one_without_a_marker_decides_nothing(last: str) -> None:
    # A script that prints what another device answered, and then leaves or reboots.
    for before in ([], ["what the script prints"]):
        output = "".join(f"{line}\r\n" for line in [*before, last]).encode()
        answer = ImportAnswer(output=output, exit_status=0, close=Close.CLOSED)
        verdict = judge_import(answer, NONCE, PLAIN, catches=True)
        assert short(verdict) == LOOK
        assert f"'{last}'" in verdict.message


@pytest.mark.parametrize(
    "line",
    [
        f':put ("TMINUS-OK-" . "{NONCE.value}")',
        f':log info "tminus {NONCE.value} start"; :onerror e in={{ /import file-name="{NONCE.file}" }}',
        f"x {OK}",
        f"{OK} x",
        f" {OK}",
        f"\r{OK}",
        f"x\r{OK}",
        f"\x1b[0m{OK}",
        OK.lower(),
        OK.replace("OK", "ID"),
        OTHER,
        f"TMINUS-OK-{NONCE.value}",  # the name of the file tells as much to the script
        f"TMINUS-OK-{NONCE.value}-0123456789abcdef",
        f"TMINUS-ERR-{NONCE.value} failure: x",
    ],
)
def test_nothing_but_the_marker_alone_on_its_line_is_proof(line: str) -> None:
    assert short(judge(DONE, line)) == LOOK


def test_trailing_blanks_and_either_line_end_are_no_matter() -> None:
    for output in (f"{DONE}\n{OK}\n", f"{DONE}  \r\n{OK} \r\n", f"{DONE}\r\n{OK}", f"{DONE}\r\r\n{OK}\n"):
        answer = ImportAnswer(output=output.encode(), exit_status=0, close=Close.CLOSED)
        assert short(judge_import(answer, NONCE, PLAIN)) == COMPLETED


def test_error_text_before_the_proof_is_a_warning_and_no_more() -> None:
    verdict = judge("failure: caught", "all is well", *(f"no such item {n}" for n in range(20)), DONE, OK)
    assert isinstance(verdict, Ending)
    assert verdict.warnings[0] == "The output contains 'failure: caught'."
    assert len(verdict.warnings) == 10


def test_the_missing_exit_status_is_a_warning_where_the_proof_had_arrived() -> None:
    verdict = judge(DONE, OK, status=None, close=Close.LOST)
    assert isinstance(verdict, Ending)
    assert verdict.warnings == ("The session ended without an exit status, after the proof had arrived.",)

    left_open = judge(DONE, OK, status=None, close=Close.LEFT_OPEN)
    assert isinstance(left_open, Ending)
    assert "kept the session open" in left_open.warnings[0]


def test_the_message_names_the_error_and_its_line() -> None:
    verdict = judge(
        f"{ERR} Script Error: failure: already have interface with name bridge (/interface/bridge/add; line 2) (:import; line 1)"
    )
    assert verdict.message == (
        "The script failed; what it did before stays applied:"
        " failure: already have interface with name bridge (/interface/bridge/add; line 2)."
    )


def test_a_change_on_the_router_weighs_more_than_an_error_before_which_nothing_was_run() -> None:
    rejected = judge(f"{ERR} Script Error: bad command name nonsense (line 9 column 1)")
    assert short(rejected) == REJECTED
    assert isinstance(rejected, Ending)
    assert judge_difference(rejected, differs=False) == rejected
    changed = judge_difference(rejected, differs=True)
    assert short(changed) == PARTIAL
    assert changed.message.startswith(rejected.message)
    never_began = not_started(Reason.CONNECTION_LOST, "Lost before the start.")
    assert short(judge_difference(never_began, differs=True)) == UNKNOWN
    for other in (judge(DONE, OK), judge(f"{ERR} failure: no"), judge(OK)):
        assert isinstance(other, Ending)
        assert judge_difference(other, differs=True) == other


def test_a_hostile_error_is_cut_and_cleaned() -> None:
    verdict = judge(f"{ERR} \x1b[31mfailure: \u202e" + "x" * 10_000)
    assert verdict.message.startswith("The script failed; what it did before stays applied: failure: xxx")
    assert len(verdict.message) < 700
    assert "\x1b" not in verdict.message


FOUND = "Script Error: found 1 error(s) in import file"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (["No syntax errors found in the import file"], ()),
        (["#line 1", "/ip/dns/static add", "", "No syntax errors found in the import file", ""], ()),
        (["#line 1", "/ip/dns/static add ...", "#line 2", "...", "expected name value (line 7 column 1)", FOUND], REJECTED),
        ([FOUND], REJECTED),
        (["#line 1", DONE], "failed/applied/check_failed"),  # it was run
        (["#line 1", "Script Error: failure: already have such entry (/ip/pool/add; line 1) (:import; line 1)"], PARTIAL),  # so was this
        (["#line 1", "no such item"], PARTIAL),
        (["input does not match any value of action (line 1 column 40)"], REJECTED),
        (["Script Error: uplink missing (:import; line 1)"], PARTIAL),  # as :error says it
        (["Script Error: syntax error (line 1 column 1) (:error; line 2) (:import; line 1)"], PARTIAL),
        (["Script Error: failure: file is too big to parse at once, use verbose (:import; line 1)"], REJECTED),
        (["bad parameter no-such-property (line 2 column 23)"], REJECTED),
        (["not enough permissions (9)"], REJECTED),
        (["Cannot open import file, file does not exist (:import; line 1)"], NO_FILE),
        (["No syntax errors found in the import file", "expected name value (line 7 column 1)", FOUND], REJECTED),
        ([], ("The dry run did not say that the file is free of errors.",)),
        (["#line 1", ":put 1"], ("The dry run did not say that the file is free of errors.",)),
        (["x No syntax errors found in the import file"], ("The dry run did not say that the file is free of errors.",)),
    ],
)  # fmt: skip
def test_a_dry_run(said: list[str], expected: object) -> None:
    verdict = judge_dry_run("".join(f"{line}\r\n" for line in said).encode(), PLAIN)
    assert (short(verdict) if isinstance(verdict, Ending) else verdict) == expected


@pytest.mark.parametrize("place", ["", " (:import; line 1)", " (/import; line 1)"])  # as in other errors of later 7
def test_a_dry_run_names_what_it_found(place: str) -> None:
    verdict = judge_dry_run(
        f"#line 1\r\nx\r\nexpected name value (line 7 column 1)\r\n{FOUND}{place}\r\n".encode(), PLAIN
    )
    assert isinstance(verdict, Ending)
    assert verdict.message.endswith("before running any of it: expected name value (line 7 column 1).")


def test_an_error_of_a_dry_run_that_the_script_could_have_said_itself_rejects_nothing() -> None:
    said = b"syntax error (line 1 column 2)\r\n"
    assert short(judge_dry_run(said, PLAIN)) == REJECTED  # type: ignore[arg-type]
    assert short(judge_dry_run(said, b':error "syntax error (line 1 column 2)"\n')) == PARTIAL  # type: ignore[arg-type]
    assert short(judge_dry_run(said + FOUND.encode(), DYNAMIC)) == REJECTED  # type: ignore[arg-type]
