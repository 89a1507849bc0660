"""How a site run can end: the table of the contract, and values that cannot say anything else. And how a launch can."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


class Step(StrEnum):
    CONNECTING = "connecting"
    BACKING_UP = "backing_up"
    CHECKING = "checking"
    EXECUTING = "executing"
    VERIFYING = "verifying"


class LaunchKind(StrEnum):
    SCHEDULED = "scheduled"
    TEST = "test"
    REHEARSAL = "rehearsal"
    RETRY = "retry"


class LaunchState(StrEnum):
    """All but the first are final."""

    RUNNING = "running"
    FINISHED = "finished"
    HALTED = "halted"
    CANCELLED = "cancelled"
    MISSED = "missed"


class Effect(StrEnum):
    """What the script did to the router, as far as it was proved."""

    NONE = "none"
    PARTIAL = "partial"
    APPLIED = "applied"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    OFFLINE = "offline"
    AUTH_FAILED = "auth_failed"
    HOST_KEY_CHANGED = "host_key_changed"
    IDENTITY_CHANGED = "identity_changed"
    UPLOAD_FAILED = "upload_failed"
    BACKUP_INCOMPLETE = "backup_incomplete"
    SCRIPT_REJECTED = "script_rejected"
    GUARD_FAILED = "guard_failed"
    SITE_CHANGED = "site_changed"
    STORE_LOST = "store_lost"
    TIMED_OUT = "timed_out"
    CONNECTION_LOST = "connection_lost"
    SCRIPT_ERROR = "script_error"
    CHECK_FAILED = "check_failed"
    MISSED = "missed"
    BUSY = "busy"
    HALTED = "halted"
    CANCELLED = "cancelled"
    SITE_DISABLED = "site_disabled"
    REHEARSED = "rehearsed"
    DAEMON_LOST = "daemon_lost"


# (state, effect) -> the reasons that may stand with it. None: no reason is needed.
TABLE: dict[tuple[State, Effect], frozenset[Reason | None]] = {
    (State.COMPLETED, Effect.APPLIED): frozenset({None}),
    (State.FAILED, Effect.NONE): frozenset(
        {
            Reason.OFFLINE,
            Reason.AUTH_FAILED,
            Reason.HOST_KEY_CHANGED,
            Reason.IDENTITY_CHANGED,
            Reason.UPLOAD_FAILED,
            Reason.BACKUP_INCOMPLETE,
            Reason.SCRIPT_REJECTED,
            Reason.GUARD_FAILED,
            Reason.SITE_CHANGED,
            Reason.STORE_LOST,
            Reason.TIMED_OUT,
            Reason.CONNECTION_LOST,
        }
    ),
    (State.FAILED, Effect.PARTIAL): frozenset({Reason.SCRIPT_ERROR}),
    (State.FAILED, Effect.APPLIED): frozenset({Reason.CHECK_FAILED}),
    (State.SKIPPED, Effect.NONE): frozenset(
        {Reason.MISSED, Reason.BUSY, Reason.HALTED, Reason.CANCELLED, Reason.SITE_DISABLED, Reason.REHEARSED}
    ),
    (State.UNKNOWN, Effect.UNKNOWN): frozenset({Reason.TIMED_OUT, Reason.CONNECTION_LOST, Reason.DAEMON_LOST}),
}


# What a person may say of an unknown run, in the words of `tminus.resolve`, and the ending that it then counts as.
VERDICTS: dict[str, tuple[State, Effect]] = {
    "completed": (State.COMPLETED, Effect.APPLIED),
    "failed/partial": (State.FAILED, Effect.PARTIAL),
    "failed/none": (State.FAILED, Effect.NONE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A row of the table, with one sentence for a person. `warnings` change nothing of the outcome.

    `evidence` is what was found on the router where the session proved nothing, in lines for whoever has to judge it.

    Raises ValueError for a combination that the table does not know.
    """

    state: State
    effect: Effect
    reason: Reason | None = None
    message: str
    warnings: tuple[str, ...] = ()
    evidence: str | None = None

    def __post_init__(self) -> None:
        if self.reason not in TABLE.get((self.state, self.effect), frozenset()):
            raise ValueError(f"no such ending: {self.state}/{self.effect}/{self.reason}")


def completed(message: str, *, warnings: tuple[str, ...] = ()) -> Ending:
    return Ending(state=State.COMPLETED, effect=Effect.APPLIED, message=message, warnings=warnings)


def not_started(reason: Reason, message: str) -> Ending:
    """A failure that left the router as it was."""
    return Ending(state=State.FAILED, effect=Effect.NONE, reason=reason, message=message)


def partly_applied(message: str, *, warnings: tuple[str, ...] = ()) -> Ending:
    return Ending(
        state=State.FAILED, effect=Effect.PARTIAL, reason=Reason.SCRIPT_ERROR, message=message, warnings=warnings
    )


def check_failed(message: str, *, warnings: tuple[str, ...] = ()) -> Ending:
    """The script ran to its end, and what was to be seen after it was not."""
    return Ending(
        state=State.FAILED, effect=Effect.APPLIED, reason=Reason.CHECK_FAILED, message=message, warnings=warnings
    )


def skipped(reason: Reason, message: str, *, warnings: tuple[str, ...] = ()) -> Ending:
    """Not run, and not by a fault of the site. `rehearsed`: all that a rehearsal does was done, and it is ready."""
    return Ending(state=State.SKIPPED, effect=Effect.NONE, reason=reason, message=message, warnings=warnings)


def unknown(reason: Reason, message: str, *, warnings: tuple[str, ...] = ()) -> Ending:
    return Ending(state=State.UNKNOWN, effect=Effect.UNKNOWN, reason=reason, message=message, warnings=warnings)
