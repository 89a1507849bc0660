"""What the public record about RouterOS leaves open, as switches.

Each field is one question that no transcript answers for good; tests run tminus against both answers. ``DEFAULT`` is the
likelier answer everywhere, ``WORST`` the one that makes an executor's life hardest.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .terminal import NOISY, QUIET, Terminal


class OverLength(StrEnum):
    """What happens to an exec command above ``max_command_bytes``."""

    ERROR = "error"  # a message and exit status 1
    TRUNCATE = "truncate"  # the head is executed
    CLOSE = "close"  # the channel is closed without a word


class ChannelEnd(StrEnum):
    """How the channel of a command ends that reboots the router; all three were seen by clients."""

    STATUS_0 = "status-0"
    NO_STATUS = "no-status"
    SILENT = "silent"  # nothing at all is sent: the TCP connection just stops answering


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    parse_error_status: int = 1
    """Exit status after a parse error: 1 in most reports, 0 in some."""

    run_error_status: int = 0
    """Exit status after a run-time error: seen as 0 and as 1."""

    import_error_status: int = 0
    """Exit status after a failed ``/import``: 0 in every report."""

    max_command_bytes: int = 4096
    """Longest exec command; undocumented, clients in the field stay under 3,500 bytes."""

    over_length: OverLength = OverLength.ERROR

    foreground_survives_close: bool = False
    """Whether a running command goes on when its session ends. The API stops it; for SSH nobody recorded it."""

    reboot_ends_channel: ChannelEnd = ChannelEnd.NO_STATUS

    password_beside_key: bool = True
    """Whether a user with a public key may log in by password (``always-allow-password-login``, off by default)."""

    window_overflow_drops: bool = True
    """Output beyond the client's receive window is dropped, then exit status and close follow (seen on 6 and 7)."""

    file_delay_s: float = 0.0
    """Seconds between the end of an upload and the file's appearance in ``/file``; no figure is in the record."""

    caught_error_has_path: bool = True
    """Whether the text that ``:onerror`` catches ends with ``(<path>; line N)`` on versions that print it."""

    short_uptime: bool = False
    """``get uptime`` above a day: ``1d02:03:04``, or ``1d2h3m4s`` as ``print`` shows it; only short ones were recorded."""

    last_line_lf: bool = False
    """Whether the last line of an output ends with LF alone; seen once, all others end with CRLF."""

    reboot_down_s: float = 2.0
    """Seconds without service while rebooting. Real devices need 20 seconds to minutes; tests do not have them."""

    terminal: Terminal = QUIET
    """How an interactive login behaves."""


DEFAULT = Behaviour()

WORST = Behaviour(
    parse_error_status=0,
    max_command_bytes=3500,
    over_length=OverLength.TRUNCATE,
    foreground_survives_close=True,
    reboot_ends_channel=ChannelEnd.SILENT,
    password_beside_key=False,
    file_delay_s=0.5,
    caught_error_has_path=False,
    short_uptime=True,
    last_line_lf=True,
    terminal=NOISY,
)
