"""What can be wrong with an export that arrives whole: comments that say so, and comments that come and go."""

from __future__ import annotations

from .faults import Fault
from .router import Router

_TRANSIENT = (
    "# inactive time",
    "# poe-out status: short_circuit",
    "# ether5 not ready",
    "# received packet from bridge bad format",
)


def spoil(router: Router, text: str) -> str:
    """Put error comments and transient ones between the sections, where the router has them."""
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


def _error(router: Router) -> str:
    """As seen on RouterOS 6, on 7, and with the reason since 7.11."""
    if router.version.legacy:
        return "#error exporting /ip socks"
    reason = " (timeout)" if router.version.number >= (7, 11) else ""
    return f'#error exporting "/system/routerboard/mode-button"{reason}'
