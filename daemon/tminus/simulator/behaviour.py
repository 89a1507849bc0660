"""What the public record about RouterOS leaves open, as switches.

Each field is one question that no transcript answers for good; tests run tminus against every answer. ``DEFAULT`` is the
likelier answer everywhere, ``WORST`` the one that makes an executor's life hardest.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from .terminal import Terminal


class OverLength(StrEnum):
    """What happens to an exec command above ``max_command_bytes``."""

    ERROR = "error"  # a message and exit status 1
    TRUNCATE = "truncate"  # the head is executed
    CLOSE = "close"  # the channel is closed without a word


class Newline(StrEnum):
    """What happens to an exec command of several lines: documented is only that it will fail."""

    ERROR = "error"  # a syntax error at the line end; nothing runs
    FIRST_LINE = "first-line"  # the first line runs, the rest is lost
    CLOSE = "close"  # the channel is closed without a word


class ChannelEnd(StrEnum):
    """How the channel of a command ends that reboots the router; all three were seen by clients."""

    STATUS_0 = "status-0"
    NO_STATUS = "no-status"
    SILENT = "silent"  # nothing at all is sent: the TCP connection just stops answering


class Question(StrEnum):
    """What a command does that asks "yes? [y/N]" where nobody can answer: ``/system reboot`` on an exec channel."""

    YES = "yes"  # it does not ask without a terminal
    NO = "no"  # it takes silence for a no
    WAITS = "waits"  # it asks, and waits until the session ends


class Keyboard(StrEnum):
    """Whether keyboard-interactive is offered beside password; no client recorded it."""

    ABSENT = "absent"
    OFFERED = "offered"


class PathsSince(StrEnum):
    """The first version that writes ``(<path>; line N)`` behind a run-time error: not on 6 and early 7, seen on 7.20."""

    V7_1 = "7.1"
    V7_18 = "7.18"
    V7_20 = "7.20"

    @property
    def number(self) -> tuple[int, int]:
        major, _, minor = self.partition(".")
        return int(major), int(minor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour(Terminal):
    parse_error_status: int = 1
    """Exit status after a parse error: 1 in most reports, 0 in some."""

    parse_error_lapse: int = 0
    """One parse error in so many ends with exit status 0 instead: one in 8 was seen on one device. 0: none."""

    run_error_status: int = 0
    """Exit status after a run-time error: seen as 0 and as 1."""

    import_error_status: int = 0
    """Exit status after a failed ``/import``: 0 in every report."""

    sends_status: bool = True
    """Whether an exit status is sent at all; clients saw channels that closed without one."""

    max_command_bytes: int = 4096
    """Longest exec command; undocumented, clients in the field stay under 3,500 bytes."""

    over_length: OverLength = OverLength.ERROR
    """What happens to a longer one."""

    newline: Newline = Newline.ERROR
    """What happens to an exec command of several lines."""

    max_channels: int = 0
    """Channels that one connection may have open at a time; no limit is known. 0: none."""

    foreground_survives_close: bool = False
    """Whether a running command goes on when its session ends. The API stops it; for SSH nobody recorded it."""

    foreground_listed: bool = True
    """Whether ``/system script job`` shows the command of an exec channel; shown for terminals, not recorded for exec."""

    job_survives_session: bool = True
    """Whether what ``:execute`` started goes on when the session that started it ends: documented, seen by nobody who wrote of it."""

    answers_keepalive: bool = True
    """Whether ``keepalive@openssh.com`` is answered, if only with a refusal, as every server does."""

    notices_loss_s: float = 540.0
    """Seconds until the router notices that a connection went silent; 9 minutes are documented for safe mode."""

    says_interrupted: bool = False
    """Whether a command that is stopped prints ``interrupted``; in exports it is seen as ``#interrupted``."""

    questions: Question = Question.YES
    """What ``/system reboot`` and its like do on a channel without a terminal."""

    reboot_ends_channel: ChannelEnd = ChannelEnd.NO_STATUS
    """How the channel of a command ends that reboots the router."""

    reboot_says_who: bool = True
    """Whether the log of RouterOS 7 names who had it reboot: ``router rebooted by api:user@ip/reset`` was seen."""

    reboot_delay_s: float = 0.0
    """Seconds between ``/system reboot`` and the end of service, in which the rest of the script still runs."""

    reboot_down_s: float = 2.0
    """Seconds without service while rebooting. Real devices need 20 seconds to minutes; tests do not have them."""

    startup_after_s: float = 3.0
    """Seconds from the start of the console to ``start-time=startup``; 3 are documented."""

    clock_survives_reboot: bool = True
    """Whether the clock is right after a reboot. Devices without a battery begin in 1970 until they have the time."""

    ram_files_survive: bool = False
    """Whether files outside of ``flash/`` survive a reboot where there is such a folder; documented is that they do not."""

    keyboard_interactive: Keyboard = Keyboard.ABSENT
    """Whether passwords are taken by keyboard-interactive, too."""

    offers_curves: bool = True
    """Whether RouterOS 7 offers curve25519 and GCM; no list of its algorithms is known. No: what strong-crypto left."""

    refuses_after_failures: int = 0
    """Refused logins after which a client's next connections are dropped, as firewall block-lists do. 0: never."""

    window_overflow_drops: bool = True
    """Output beyond the client's receive window is dropped, then exit status and close follow (seen on 6 and 7)."""

    shows_jobs: bool = True
    """Whether ``/system script job`` is there for the user; what rights it takes is not recorded."""

    shows_log: bool = True
    """Whether ``:log`` and ``/log`` are there for the user; what rights they take is not recorded."""

    knows_dry_run: bool = True
    """Whether ``/import`` has ``dry-run`` where the version says so; in which beta of 7.16 it came is not recorded."""

    knows_onerror: bool = True
    """Whether an exec line may have ``:onerror`` where the version says so; it came with 7.13."""

    blank_after_put: bool = False
    """Whether a blank line follows what ``:put`` prints; in no report."""

    import_keeps_open: bool = False
    """Whether the channel of a command with ``/import`` stays open when it has said all; in no report."""

    note_on_exec: bool = False
    """Whether ``/system note`` is shown on an exec channel, too, as it is on a terminal."""

    log_on_exec: bool = False
    """Whether critical log lines are mixed into an exec channel's output, as they are into a terminal's."""

    log_lag_s: float = 0.0
    """Seconds until a line of the log can be read; that it is at once was never recorded."""

    safe_mode_outlives_exec: bool = False
    """Whether safe mode that one exec took ends with the connection instead of with the exec."""

    file_delay_s: float = 0.0
    """Seconds between the end of an upload and the file's appearance in ``/file``; no figure is in the record."""

    removed_listed_s: float = 0.0
    """Seconds for which ``/file`` still lists what was removed; in no report."""

    job_file_at_start: bool = False
    """Whether the file of ``:execute file=`` is there, and empty, while the job runs; seen only when it had ended."""

    auto_rsc: bool = True
    """Whether an uploaded ``*.auto.rsc`` is run at once when it comes by SFTP; documented for FTP."""

    verbose_applies_before_error: bool = True
    """Whether ``/import verbose=yes`` has applied the lines before a syntax error; the record has it for run-time errors."""

    applies_before_error: bool = False
    """Whether ``/import`` has applied them without ``verbose``, too; documented is that the whole file is read first."""

    import_max_bytes: int = 0
    """Longest file that a non-verbose ``/import`` takes; very long ones were refused on 7.17. 0: any."""

    export_ends_line: bool = False
    """Whether what follows ``/export;`` on the same line is not run; that it runs was never recorded."""

    show_sensitive_refused: bool = False
    """Whether ``/export show-sensitive`` fails without policy sensitive; that it needs it is documented, not what happens."""

    error_paths_since: PathsSince = PathsSince.V7_18
    """The first version that writes ``(<path>; line N)`` behind a run-time error; 7.20 does, and 6 does not."""

    file_add_on_6: bool = False
    """Whether RouterOS 6 has ``/file add``; 7.9 has it, and no tree of 6 is in the record."""

    caught_error_has_path: bool = True
    """Whether the text that ``:onerror`` catches ends with ``(<path>; line N)`` on versions that print it."""

    script_error_lower: bool = False
    """Whether a failed import says ``script error: `` instead of ``Script Error: `` on RouterOS 6."""

    chr_header_bare: bool = True
    """Whether the export of a virtual router has an empty software id and no model and serial number."""

    transient_comments: bool = False
    """Whether exports have comments that come and go: ``# inactive time``, ``# poe-out status: ...``."""

    short_uptime: bool = False
    """``get uptime`` above a day: ``1d02:03:04``, or ``1d2h3m4s`` as ``print`` shows it; only short ones were recorded."""

    last_line_lf: bool = False
    """Whether the last line of an output ends with LF alone; seen once, all others end with CRLF."""

    change_in_force_s: float = 0.0
    """Seconds until a changed firewall or address is in force; up to one was measured after an import."""


DEFAULT = Behaviour()

WORST = Behaviour(
    parse_error_status=0,
    max_command_bytes=3500,
    over_length=OverLength.TRUNCATE,
    newline=Newline.FIRST_LINE,
    foreground_survives_close=True,
    foreground_listed=False,
    says_interrupted=True,
    questions=Question.WAITS,
    reboot_ends_channel=ChannelEnd.SILENT,
    reboot_says_who=False,
    reboot_delay_s=0.2,
    clock_survives_reboot=False,
    keyboard_interactive=Keyboard.OFFERED,
    offers_curves=False,
    refuses_after_failures=3,
    note_on_exec=True,
    safe_mode_outlives_exec=True,
    log_on_exec=True,
    log_lag_s=1.5,
    file_delay_s=0.5,
    job_file_at_start=True,
    verbose_applies_before_error=False,
    import_max_bytes=256 * 1024,
    show_sensitive_refused=True,
    error_paths_since=PathsSince.V7_1,
    file_add_on_6=True,
    caught_error_has_path=False,
    script_error_lower=True,
    chr_header_bare=False,
    transient_comments=True,
    short_uptime=True,
    last_line_lf=True,
    change_in_force_s=0.3,
    terminal_asks_license=True,
    terminal_is_unlicensed=True,
    terminal_asks_password=True,
    terminal_repaints_keys=False,
    terminal_prompts_twice=False,
    terminal_newline_pause_s=0.0,
    terminal_pads=False,
    terminal_pages=False,
    terminal_hides_without_probe=True,
    terminal_safe_angle=True,
    terminal_pipe_prompts=True,
)

PROFILES = {"default": DEFAULT, "worst": WORST}

_FLIPPED: dict[str, object] = {
    "parse_error_lapse": 8,
    "run_error_status": 1,
    "import_error_status": 1,
    "max_channels": 1,
    "notices_loss_s": 1.0,
    "removed_listed_s": 1.0,
    "reboot_down_s": 0.5,
    "startup_after_s": 0.0,
    "terminal_probe_wait_s": 0.0,
}
"""The other answer of the numbers to which ``WORST`` gives none."""


def flipped() -> dict[str, Behaviour]:
    """``DEFAULT`` with one switch at a time at every other answer; named ``over_length=close``."""
    variants: dict[str, Behaviour] = {}
    for field in fields(Behaviour):
        usual = getattr(DEFAULT, field.name)
        match usual:
            case bool():
                others: list[object] = [not usual]
            case StrEnum():
                others = [answer for answer in type(usual) if answer is not usual]
            case _:
                worst = getattr(WORST, field.name)
                others = [worst if worst != usual else _FLIPPED[field.name]]
        for other in others:
            given: dict[str, Any] = {field.name: other}  # a keyword of a name that varies
            variants[f"{field.name}={other}"] = replace(DEFAULT, **given)
    return variants
