"""Commands of menus that are no verbs of a list: ``/ping``, ``/tool fetch``, ``reset-counters``, ``flush`` ...

There is no network behind a simulated router: only its own addresses answer, and no name is resolved but the static ones.
"""

from __future__ import annotations

import asyncio
import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tminus.simulator.config.menus import BY_PATH
from tminus.simulator.contents.items import select
from tminus.simulator.errors import RunError
from tminus.simulator.values import Duration, Value, array_of, keyed, literal, number_of, parse_duration, text_of

if TYPE_CHECKING:
    from tminus.simulator.router import Router

    from .frame import Frame

# They touch counters, caches and links, of which a simulated router has none: done at once, without a word.
_NO_EFFECT = frozenset(
    {
        "reset-counters", "reset-counters-all", "flush", "blink", "release", "renew", "wol", "beep", "clear", "reoptimize",
        "force-update", "monitor", "monitor-traffic", "reset-mac-address", "reload", "refresh", "send-reconfigure", "check-status",
        "clear-cache", "clear-history", "cancel",
    }
)  # fmt: skip
_ADDRESSES = (ipaddress.IPv4Address, ipaddress.IPv6Address)
_PORTS = {"http": 80, "https": 443, "ftp": 21, "sftp": 22}


async def act(frame: Frame) -> Value:
    """Run such a command. One that the simulator does not have fails, so that nobody takes it for done."""
    path, verb = frame.bound.path, frame.bound.verb
    if path == ("tool",) and verb == "fetch":
        return await _fetch(frame)
    if path == ("tool", "e-mail") and verb == "send":
        frame.console.router.write_log(
            "e-mail,error", f"Error sending e-mail <{await frame.text('subject')}>: connect failed"
        )
        return None
    if path == ("ip", "dhcp-server", "lease") and verb == "make-static":
        return None  # all leases of a simulated router are static
    if path == ("tool",) and verb == "ping":
        return await ping(frame)
    if verb == "monitor" and path == ("interface", "ethernet"):
        return await _monitor(frame)
    if verb in _NO_EFFECT:
        return None
    raise RunError(f"failure: {frame.bound.label} is not simulated")


async def _monitor(frame: Frame) -> Value:
    """The links of a simulated router are up, unless they are disabled."""
    menu = BY_PATH["interface", "ethernet"]
    found = select(frame.console.router, menu, await frame.needed("numbers"), frame.console.listing)
    rows: list[dict[str, Value]] = []
    for item in found:
        up = item.values.get("disabled") != "yes"
        rows.append({"name": item.values["name"], "status": "link-ok" if up else "no-link"})
        if up:
            rows[-1] |= {"auto-negotiation": "done", "rate": "1Gbps", "full-duplex": True}
    if "as-value" in frame.bound.flags:
        return keyed(rows[0].items()) if len(rows) == 1 else array_of(keyed(row.items()) for row in rows)
    for row in rows:
        frame.console.write("".join(f"{name:>22}: {text_of(value)}\n" for name, value in row.items()) + "\n")
    return None


def resolve(router: Router, name: str) -> Value:
    """The address of a static name; None if there is none."""
    for item in router.config.items(("ip", "dns", "static")):
        if item.values.get("name") == name and "address" in item.values and item.values.get("disabled") != "yes":
            return literal(item.values["address"])
    return None


async def _fetch(frame: Frame) -> Value:
    """Nothing answers: what RouterOS says then."""
    text = await frame.text("url") if "url" in frame.bound.named else ""
    url = urlsplit(text if "://" in text else f"http://{text}")
    try:
        host, port = url.hostname or await frame.text("address"), url.port or _PORTS.get(url.scheme, 80)
    except ValueError:
        raise RunError("invalid value for argument url", argument="url") from None
    if not host:
        raise RunError("missing value(s) of argument(s) url")
    if isinstance(literal(host), _ADDRESSES) or resolve(frame.console.router, host):
        raise RunError(f"failure: closing connection: <connection failed> {host}:{port} (12)")
    raise RunError("failure: resolve failed")


async def ping(frame: Frame) -> Value:
    """The number of replies. Without ``count`` it goes on until somebody stops it."""
    router, console = frame.console.router, frame.console
    host = await frame.text("address")
    found = literal(host)
    address = found if isinstance(found, _ADDRESSES) else resolve(router, host)
    if not isinstance(address, _ADDRESSES):
        raise RunError("invalid value for argument address", argument="address")
    count = number_of(await frame.value("count")) if "count" in frame.bound.named else None
    interval = await frame.value("interval") if "interval" in frame.bound.named else Duration(1)
    pause = interval if isinstance(interval, Duration) else parse_duration(text_of(interval)) or Duration(1)
    own = {item.values["address"].partition("/")[0] for item in router.config.items(("ip", "address"))}
    answers = str(address) in own or address.is_loopback
    console.write(f"  SEQ HOST{'':<37} SIZE TTL TIME       STATUS\n")
    sent = 0
    while count is None or sent < count:
        result = "  56  64 0ms" if answers else f"{'':<18}timeout"
        console.write(f"{sent:5} {address!s:<40} {result}\n")
        sent += 1
        await console.flush()
        # The last packet is waited for as well if nobody answers it; a loop of many does not hold up the fleet.
        await asyncio.sleep(0 if answers and sent == count else min(max(pause.seconds, 0.01), 1))
    received, lost = (sent, 0) if answers else (0, 100)
    console.write(f"    sent={sent} received={received} packet-loss={lost}%\n\n")
    return received
