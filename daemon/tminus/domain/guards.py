"""Guards: what has to hold on a router, or a script is not started there.

Each is a limit that its author set and its approver saw. What the router did not say does not hold: no answer is no proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """The limits of one scheduled script; None asks for nothing."""

    version: str | None = None  # a range such as ">=7.12 <8"
    free_space: int | None = None  # bytes at least
    uptime: timedelta | None = None  # at least
    cpu_load: int | None = None  # percent at most

    @property
    def ask_resources(self) -> bool:
        """Whether the router has to be asked for more than who it is."""
        return self.free_space is not None or self.cpu_load is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one router said of itself just now; None is what it did not say."""

    version: str
    version_in_range: bool  # of the guard; anything where there is none
    uptime: timedelta
    free_space: int | None = None
    cpu_load: int | None = None


def broken_guards(guards: Guards, measured: Measured) -> list[str]:
    """Return a clause for each guard that does not hold, with what was measured. Empty: the script may be started."""
    broken = []
    if guards.version is not None and not measured.version_in_range:
        broken.append(f"it runs RouterOS {measured.version}, and guard_version asks for {guards.version}")
    if guards.free_space is not None:
        wanted = f"guard_free_space asks for {guards.free_space} bytes"
        if measured.free_space is None:
            broken.append(f"it does not say how much space is free, and {wanted}")
        elif measured.free_space < guards.free_space:
            broken.append(f"it has {measured.free_space} bytes free, and {wanted}")
    if guards.uptime is not None and measured.uptime < guards.uptime:
        broken.append(f"it is up for {measured.uptime}, and guard_uptime asks for {guards.uptime}")
    if guards.cpu_load is not None:
        wanted = f"guard_cpu_load allows {guards.cpu_load} %"
        if measured.cpu_load is None:
            broken.append(f"it does not say how loaded its CPU is, and {wanted}")
        elif measured.cpu_load > guards.cpu_load:
            broken.append(f"its CPU is loaded with {measured.cpu_load} %, and {wanted}")
    return broken
