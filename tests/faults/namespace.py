"""A network of our own, in which a route can be taken away: packets vanish, and nobody is told.

Linux alone has it, and root alone may make one. Everything that the process starts later lives in it as well.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess

_CLONE_NEWNET = 0x40000000
_IP_WITHIN = 10.0  # seconds


def enter() -> str | None:
    """Move this process into a network namespace of its own. Returns why not, where it cannot be had."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_CLONE_NEWNET) != 0:
            return os.strerror(ctypes.get_errno())
        subprocess.run(("ip", "link", "set", "lo", "up"), check=True, timeout=_IP_WITHIN, capture_output=True)
    except (OSError, AttributeError, subprocess.SubprocessError) as error:
        return str(error)
    return None


async def lose_route(address: str) -> None:
    """Packets to and from this address vanish, of connections that are open as well."""
    await _ip("route", "add", "blackhole", f"{address}/32", "table", "local")


async def find_route(address: str) -> None:
    await _ip("route", "del", "blackhole", f"{address}/32", "table", "local")


async def _ip(*words: str) -> None:
    process = await asyncio.create_subprocess_exec("ip", *words, stderr=asyncio.subprocess.PIPE)
    _, said = await asyncio.wait_for(process.communicate(), _IP_WITHIN)
    assert process.returncode == 0, f"ip {' '.join(words)}: {said.decode(errors='replace')}"
