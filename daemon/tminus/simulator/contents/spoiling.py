"""What can be wrong with an export that arrives whole: comments that say so, and comments that come and go."""

from __future__ import annotations

from tminus.simulator.faults import Fault
from tminus.simulator.router import Router

from .permissions import mode_refuses

_TRANSIENT = (
    "# inactive time",
    "# poe-out status: short_circuit",
    "# ether5 not ready",
    "# received packet from bridge bad format",
)


def spoil(router: Router, text: str) -> str:
    """Put error comments and transient ones between the sections, where the router has them."""
    if "scheduler" in mode_refuses(router):
        text = _inactivated(text)
    lines: list[str] = []
    if Fault.EXPORT_ERROR in router.faults:
        lines.append(_error(router))
    if router.behaviour.transient_comments:
        lines.append(_TRANSIENT[router.next_id() % len(_TRANSIENT)])
    if lines:
        head, found, rest = text.partition("\n/")
        comments = "".join(line + "\n" for line in lines)
        text = f"{head}\n{comments}{found[1:]}{rest}"
    if Fault.INTERRUPTS_EXPORT in router.faults:
        text = text[: text.rfind("\n", 0, len(text) // 2) + 1] + "#interrupted\n"
    return text


def _inactivated(text: str) -> str:
    """Schedules that the device-mode does not allow stay in the configuration, each with a comment (7.17 and later)."""
    lines: list[str] = []
    inside = False
    for line in text.splitlines(keepends=True):
        inside = line.startswith("/system scheduler") if line.startswith("/") else inside
        if inside and line.startswith(("add ", "/system scheduler add ")):
            lines.append("# inactivated, not allowed by device-mode\n")
        lines.append(line)
    return "".join(lines)


def _error(router: Router) -> str:
    """As seen on RouterOS 6, on 7, and with the reason since 7.11."""
    if router.version.legacy:
        return "#error exporting /ip socks"
    reason = " (timeout)" if router.version.number >= (7, 11) else ""
    return f'#error exporting "/system/routerboard/mode-button"{reason}'
