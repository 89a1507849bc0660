"""Every line that tminus sends to a router.

An exec request is one console line, parsed whole before anything of it runs; after a failing statement the rest does not
run. So a marker at its end, printed by the device, proves that the line was executed to there. Each marker is put
together by the device from two strings, so that an echo of our own line is never taken for it.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from tminus.routeros.facts import Version

_NONCE = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Nonce:
    """Sixteen random hexadecimal digits that name one attempt: its file, its markers, its lines in the router's log."""

    value: str

    def __post_init__(self) -> None:
        if not _NONCE.fullmatch(self.value):
            raise ValueError("a nonce is 16 hexadecimal digits")

    @classmethod
    def fresh(cls) -> Nonce:
        return cls(secrets.token_hex(8))

    @property
    def file(self) -> str:
        return f"tminus-{self.value}.rsc"

    def marker(self, kind: str) -> str:
        """Return the line that the device prints, for example TMINUS-OK-0123456789abcdef."""
        return f"TMINUS-{kind}-{self.value}"

    def _put(self, kind: str, more: str = "") -> str:
        return f':put ("TMINUS-{kind}-" . "{self.value}"{more})'

    def log_line(self, what: str) -> str:
        return f"tminus {self.value} {what}"


def identify(nonce: Nonce, *, stamp: bool) -> str:
    """Ask for version, identity and uptime, and prove that commands run. `stamp` leaves a line in the router's log."""
    asked = (
        ":put [/system resource get version]; :put [/system identity get name]; :put [/system resource get uptime]; "
    )
    stamped = f':log info "{nonce.log_line("connected")}"; ' if stamp else ""
    return asked + stamped + nonce._put("ID")


def serial_number() -> str:
    """A line of its own: on a CHR it fails."""
    return ":put [/system routerboard get serial-number]"


def export(nonce: Nonce, version: Version) -> str:
    return f"/export{_hide(version)}; {nonce._put('END')}"


def remove_and_export(nonce: Nonce, version: Version) -> str:
    """Remove our file, say how many are left, then export: one round trip instead of two."""
    return f"{remove(nonce)}; {export(nonce, version)}"


def remove(nonce: Nonce) -> str:
    """Remove our file and say how many of its name are left: TMINUS-LEFT-<nonce>-0 is what proves it gone."""
    found = f'[/file find name="{nonce.file}"]'
    left = nonce._put("LEFT", f' . "-" . [:len {found}]')
    # One by one: what `remove` says to an empty list is not the same in every version, and would keep the rest from running.
    return f":foreach i in={found} do={{ /file remove $i }}; {left}"


def says_gone(nonce: Nonce, said: list[str]) -> bool:
    """Read the answer to `remove`."""
    return f"{nonce.marker('LEFT')}-0" in said


def after_removal(nonce: Nonce, output: bytes) -> bytes:
    """Return what of the answer to `remove_and_export` is the export."""
    head, found, rest = output.partition(f"{nonce.marker('LEFT')}-".encode())
    return rest.partition(b"\n")[2] if found else head


def without_markers(nonce: Nonce, text: str) -> str:
    """Return cleaned output without the lines that we had the device print."""
    kept = [line for line in text.split("\n") if not (line.startswith("TMINUS-") and nonce.value in line)]
    return "\n".join(kept).strip("\n")


def file_size(nonce: Nonce) -> str:
    return f':put [/file get [/file find name="{nonce.file}"] size]'


def dry_run(nonce: Nonce) -> str:
    """Since 7.16, with verbose only, and a bare flag. Finds syntax errors and unknown parameters; executes nothing."""
    return f'/import file-name="{nonce.file}" verbose=yes dry-run'


def file_size_and_dry_run(nonce: Nonce) -> str:
    """Both in one round trip: while the file is not listed the first fails, and then the second does not run."""
    return f"{file_size(nonce)}; {dry_run(nonce)}"


def start(nonce: Nonce, version: Version, *, stamp: bool) -> str:
    """The line that starts the script. Not verbose: the whole file is parsed before anything of it runs."""
    run = f'/import file-name="{nonce.file}"; {nonce._put("OK")}'
    if stamp:
        run += f'; :log info "{nonce.log_line("done")}"'
    if version.has_onerror:
        caught = nonce._put("ERR", ' . " " . $e')
        if stamp:
            caught += f'; :log info "{nonce.log_line("failed")}"'
        # Without it the error would still be printed, but not told apart from what the script itself prints.
        run = f":onerror e in={{ {run} }} do={{ {caught} }}"
    if stamp:
        run = f':log info "{nonce.log_line("start")}"; {run}'
    return run


def evidence(nonce: Nonce) -> str:
    """After a lost connection, and after the file is gone: what the log has of this attempt, and what still runs."""
    return (
        f':foreach i in=[/log find where message~"tminus {nonce.value}"] do={{ :put [/log get $i message] }}; '
        f":put [/system resource get uptime]; {nonce._put('LOG')}"
    )


def jobs() -> str:
    """What runs on the router now. For a person to read: whether a foreground import is listed is not known."""
    return "/system script job print"


def history() -> str:
    """The changes of the configuration that the router remembers (the 100 latest, documented), and by whom."""
    return "/system history print"


def _hide(version: Version) -> str:
    return " hide-sensitive" if version.exports_secrets else ""
