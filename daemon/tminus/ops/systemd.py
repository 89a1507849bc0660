"""What systemd is told (sd_notify): ready, status, stopping, and that the process still goes round."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable


def notify(*lines: str) -> bool:
    """Send lines such as READY=1 to systemd; False where nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.connect("\0" + address[1:] if address[0] == "@" else address)
        sender.sendall("\n".join(lines).encode())
    return True


async def feed_watchdog(healthy: Callable[[], bool]) -> None:
    """Feed systemd's watchdog at half its interval while `healthy`; return at once where there is none."""
    interval = int(os.environ.get("WATCHDOG_USEC", "0")) / 2e6
    if not interval or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return
    while True:
        if healthy():
            notify("WATCHDOG=1")
        await asyncio.sleep(interval)
