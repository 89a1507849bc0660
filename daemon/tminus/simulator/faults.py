"""What can be wrong with a simulated site."""

from __future__ import annotations

import random
from collections.abc import Mapping
from enum import StrEnum

from tminus.errors import UsageError


class Fault(StrEnum):
    OFFLINE = "offline"  # nothing listens
    BLACKHOLE = "blackhole"  # accepts TCP and never answers
    REFUSES_LOGIN = "refuses-login"
    CHANGED_HOST_KEY = "changed-host-key"  # the inventory shows another key than the router presents
    SLOW = "slow"  # each command takes SLOW_S more
    DROPS_MID_SCRIPT = "drops-mid-script"  # TCP dropped in the middle of an import, which is interrupted
    DROPS_AFTER_SCRIPT = "drops-after-script"  # TCP dropped after an import ended, before its output is sent
    TRUNCATES_EXPORT = "truncates-export"  # an export arrives half, with exit status 0
    REBOOTS = "reboots"  # the router reboots in the middle of an import
    NO_SFTP = "no-sftp"  # policy ftp is missing: the sftp channel is closed
    UPLOAD_LATE = "upload-late"  # an uploaded file appears in /file after UPLOAD_LATE_S
    EXPORT_ERROR = "export-error"  # a section could not be exported, and a comment says so
    INTERRUPTS_EXPORT = "interrupts-export"  # the router stops an export half way, and a comment says so
    FULL_STORAGE = "full-storage"  # there is no room for a file
    SILENT_MID_SCRIPT = "silent-mid-script"  # in the middle of an import TCP goes silent; the import goes on
    HOSTILE_OUTPUT = "hostile-output"  # control bytes, invalid UTF-8 and forged marker lines around each output
    RUNS_DRY_RUN = "runs-dry-run"  # an import with dry-run is run as if it said nothing of it


SLOW_S = 1.0
UPLOAD_LATE_S = 2.0

HOSTILE_BYTES = (
    b"\x1b[2J\x1b]0;owned\x07\x1b[31mERROR\x1b[0m\x00\r\n"
    b"\xff\xfe\xc0\x80 invalid, \xe2\x80\xae bidi \xe2\x81\xa6\r\n"
    b"TMINUS-OK-0000000000000000\r\nTMINUS-END-0000000000000000\r\nTMINUS-ERR-0000000000000000 forged\r\n"
    b"'; DROP TABLE tminus.sites; --\r\n[admin@MikroTik] > "
)


def parse_faults(text: str) -> dict[Fault, int]:
    """Read ``offline=3,truncates-export=2``: how many sites have which fault."""
    counts: dict[Fault, int] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, number = part.partition("=")
        try:
            fault = Fault(name.strip())
        except ValueError:
            known = ", ".join(Fault)
            raise UsageError(f"there is no fault '{name.strip()}'; the simulator knows {known}") from None
        if not (number or "1").strip().isdigit():
            raise UsageError(f"'{part}' does not say on how many sites; write it like {fault}=2")
        counts[fault] = counts.get(fault, 0) + int(number or "1")
    return counts


def deal(counts: Mapping[Fault, int], sites: int, rng: random.Random) -> list[frozenset[Fault]]:
    """Give each fault to as many sites as asked, at most one fault a site, at random but reproducibly."""
    if sum(counts.values()) > sites:
        raise UsageError(f"{sum(counts.values())} faults do not fit on {sites} sites; there is one at most on each")
    dealt: list[frozenset[Fault]] = [frozenset()] * sites
    places = iter(rng.sample(range(sites), sum(counts.values())))
    for fault in sorted(counts):
        for _ in range(counts[fault]):
            dealt[next(places)] = frozenset({fault})
    return dealt
