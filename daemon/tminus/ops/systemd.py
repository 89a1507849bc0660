"""What systemd is told (sd_notify): ready, status, stopping, and that the process still goes round."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable

import structlog

_PATIENCE = 1.0  # seconds; systemd reads at once, and a full queue must not hold up the event loop for long

log = structlog.get_logger()


def notify(*lines: str) -> bool:
    """Send lines such as READY=1 to systemd; False where nobody listens, or what was said did not get there."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.settimeout(_PATIENCE)
            sender.connect("\0" + address[1:] if address[0] == "@" else address)
            sender.sendall("\n".join(lines).encode())
    except OSError as error:
        # What runs on routers must not end because of this; if systemd minds, it acts by itself.
        log.warning("systemd_not_told", lines=lines, error=str(error))
        return False
    return True


async def feed_watchdog(healthy: Callable[[], bool]) -> None:
    """Feed systemd's watchdog at half its interval while `healthy`; return at once where there is none."""
    interval = int(os.environ.get("WATCHDOG_USEC", "0")) / 2e6
    if not interval or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return
    fed = True
    while True:
        if healthy():
            notify("WATCHDOG=1")
            fed = True
        elif fed:
            log.error("watchdog_not_fed", ended_within_seconds=2 * interval)
            fed = False
        await asyncio.sleep(interval)


async def tell_status(describe: Callable[[], Awaitable[str]], *, every: float) -> None:
    """Say in `systemctl status` what is going on, whenever that changed; look `every` so many seconds.

    Returns at once where nobody listens. `describe` has its own deadline.
    """
    if not os.environ.get("NOTIFY_SOCKET"):
        return
    told = ""
    while True:
        now = await describe()
        if now != told and notify(f"STATUS={now}"):
            told = now
        await asyncio.sleep(every)


def working(*, launches: int, sites: int, next_in: float | None) -> str:
    """Say what is going on: launches under way, sites that are run now, and seconds to the next launch, if one comes."""
    coming = "nothing scheduled" if next_in is None else f"next in {_about(next_in)}"
    if not launches and not sites:
        return f"waiting, {coming}"
    return f"{_count(launches, 'launch', 'launches')}, {running(sites)}, {coming}"


def running(sites: int) -> str:
    return f"{_count(sites, 'site', 'sites')} running"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _about(seconds: float) -> str:
    """Round down to one unit, so that it changes seldom: 2 h, 5 min, and below a minute only that."""
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return "less than a minute"
