"""How a run ended, decided from what the router said and from nothing else.

`judge_import` reads the answer to the start command. It is pure, returns a row of the table of endings, and never says
`completed` without proof: our nonce printed by the device after the script's last statement, and RouterOS's own success
line. What is left on the router after a lost session is judged in `remains`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from tminus.domain.endings import (
    Effect,
    Ending,
    Reason,
    State,
    check_failed,
    completed,
    not_started,
    partly_applied,
    unknown,
)
from tminus.routeros import messages
from tminus.routeros.commands import Nonce
from tminus.routeros.facts import behind_greeting
from tminus.routeros.text import clean_line, lines

_LEFT_OPEN = "The router kept the session open after the proof had arrived; it was closed without an exit status."
_NO_STATUS = "The session ended without an exit status, after the proof had arrived."


class Close(Enum):
    """How the channel of the start command came to its end."""

    CLOSED = "closed"
    LOST = "lost"
    TIMED_OUT = "timed_out"
    LEFT_OPEN = "left_open"  # after the end marker had arrived, for long enough


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportAnswer:
    output: bytes
    exit_status: int | None
    close: Close


@dataclass(frozen=True, slots=True, kw_only=True)
class Unresolved:
    """The session proves nothing; look on the router. `reason` is that of the `unknown` which it is if that fails."""

    reason: Reason
    message: str


def judge_import(
    answer: ImportAnswer, nonce: Nonce, script: bytes, *, catches: bool = False, greeting: tuple[str, ...] = ()
) -> Ending | Unresolved:
    """Decide from the answer to commands.start. `catches`: the router knows :onerror, so an error comes with a marker.

    `greeting`: what the router says to whoever logs in, which is no output of the script.
    """
    said = behind_greeting(greeting, lines(answer.output))
    ok, failed = nonce.marker("OK"), nonce.marker("ERR")
    for index, line in enumerate(said):
        if line == ok:
            return _judge_proof(answer, said[:index])
        if line == failed or line.startswith(failed + " "):
            text = line.removeprefix(failed) or next((more for more in said[index + 1 :] if more), "")
            return _judge_error(messages.import_error(text), script, said[:index])
    if answer.close in (Close.TIMED_OUT, Close.LEFT_OPEN):
        return Unresolved(reason=Reason.TIMED_OUT, message="The script did not end within its time.")
    if answer.close is Close.LOST:
        return Unresolved(
            reason=Reason.CONNECTION_LOST, message="The connection was lost while the script was running."
        )
    if answer.exit_status is None:
        # The session was cut. What it said last may be an error, or a line that the script printed on its way.
        return Unresolved(
            reason=Reason.CONNECTION_LOST,
            message="The session ended without the end marker and without an exit status.",
        )
    # An error text as the last line and no marker is how versions before 7.13 report a failing import. Error text before
    # other output tells nothing: where the import stops at an error, nothing is printed after it.
    last = next((line for line in reversed(said) if line), "")
    if messages.is_error_line(last):
        if catches:
            # Ours is marked; so the script printed it and then left, or the line that starts the script was not taken.
            return Unresolved(
                reason=Reason.CONNECTION_LOST,
                message=f"The session ended without the end marker; the last that it said was '{clean_line(last, cap=200)}'.",
            )
        return _judge_error(messages.import_error(last), script, said[: len(said) - 1 - said[::-1].index(last)])
    if answer.exit_status != 0:
        return partly_applied(
            f"The import ended with exit status {answer.exit_status} and without its end marker{_quoted(last)}."
        )
    return Unresolved(
        reason=Reason.CONNECTION_LOST,
        message=f"The session ended without the end marker and without a known error{_quoted(last)}.",
    )


def judge_difference(ending: Ending, *, differs: bool) -> Ending:
    """Decide once more when the export after the script is there, and `differs` from the one before it.

    That nothing was run is read from an error by what is documented of /import, or from what the router's log lacks; a change
    on the router weighs more. Without an error it may still be running.
    """
    if ending.state is not State.FAILED or ending.effect is not Effect.NONE or not differs:
        return ending
    message = (
        f"{ending.message} Yet the export afterwards differs from the one before, so some of it may have been run."
    )
    if ending.reason is Reason.CONNECTION_LOST:
        return unknown(ending.reason, message, warnings=ending.warnings)
    return partly_applied(message, warnings=ending.warnings)


def judge_output(output: bytes, nonce: Nonce, script: bytes) -> Ending | None:
    """Decide from what a detached script printed into its file; None where that proves nothing.

    A job has no exit status, and its output is written when it ends; so only a marker of ours decides.
    """
    verdict = judge_import(ImportAnswer(output=output, exit_status=None, close=Close.LOST), nonce, script)
    if isinstance(verdict, Unresolved):
        return None
    kept = tuple(text for text in verdict.warnings if text != _NO_STATUS)
    return replace(verdict, warnings=kept)


def _judge_proof(answer: ImportAnswer, before: list[str]) -> Ending:
    warnings = tuple(f"The output contains '{clean_line(line)}'." for line in before if messages.is_error_line(line))[
        :10
    ]
    # RouterOS prints it last of all. One further up is that of another import, which the script made.
    if next((line for line in reversed(before) if line), "") != messages.SUCCESS:
        return unknown(
            Reason.CONNECTION_LOST,
            "The end marker arrived, but RouterOS's success line does not stand before it.",
            warnings=warnings,
        )
    if answer.exit_status not in (0, None):
        said = (
            f"The success line and the end marker are there, but its line ended with exit status {answer.exit_status}."
        )
        return partly_applied(said, warnings=warnings)
    if answer.exit_status is None:
        warnings += (_LEFT_OPEN if answer.close is Close.LEFT_OPEN else _NO_STATUS,)
    return completed("The script ran to its end.", warnings=warnings)


def _judge_error(error: str, script: bytes, before: list[str]) -> Ending:
    # Where the script printed something, some of it was run, whatever the error says.
    nothing_printed = not any(line for line in before if not messages.is_import_notice(line))
    if nothing_printed and (messages.is_missing_file(error, script) or messages.is_parse_error(error, script)):
        return _judge_unstarted(error)
    return partly_applied(f"The script failed; what it did before stays applied: {_shown(error)}.")


def _judge_unstarted(error: str) -> Ending:
    """Name the error before which nothing ran."""
    if messages.is_missing_file(error, b""):
        return not_started(
            Reason.UPLOAD_FAILED, f"RouterOS did not find the uploaded file, so nothing was run: {_shown(error)}."
        )
    return not_started(
        Reason.SCRIPT_REJECTED, f"RouterOS rejected the script before running any of it: {_shown(error)}."
    )


def _shown(error: str) -> str:
    return clean_line(error, cap=500).rstrip(".") or "an error without text"


def judge_dry_run(output: bytes, script: bytes) -> Ending | tuple[str, ...]:
    """Decide from the answer to commands.dry_run: an ending if the file has errors, else warnings (mostly none)."""
    said = [line for line in lines(output) if line]
    if said and said[-1] == messages.DRY_RUN_CLEAN:
        return ()
    if said and said[-1] == messages.SUCCESS:
        # What an import says that was run. Started once more, it would be the second time.
        return check_failed(
            "The router was asked for a dry run and answered that it ran the script, which was not started again."
        )
    found = messages.dry_run_errors(said)
    if found is None and said and messages.is_error_line(said[-1]):
        found = said[-1]
        if not messages.is_found_unrun(messages.import_error(found), script):
            return partly_applied(
                "The router was asked for a dry run and answered with what only a script meets that is run; it was not"
                f" started again, and what it did before stays applied: {_shown(messages.import_error(found))}."
            )
    if found is not None:
        return _judge_unstarted(messages.import_error(found))
    return ("The dry run did not say that the file is free of errors.",)


def _quoted(line: str) -> str:
    return f" ('{clean_line(line, cap=200)}')" if line else ""
