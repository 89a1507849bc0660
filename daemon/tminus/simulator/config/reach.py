"""Whether a router still answers its management: what a script does when it cuts off the branch that it sits on.

The management comes in by the uplink to the address that a site has there. Its firewall is walked as a router walks it;
a rule with a condition that is not understood here is taken not to match.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from .config import Config, Item
from .menus import BY_PATH
from .schema import Path

MANAGER = ipaddress.IPv4Address("172.20.255.254")  # where the management sits, as the routers see it
_EVERYBODYS = ipaddress.IPv4Address("127.0.0.1")
UPLINK = "ether1"
SSH_PORT = 22

_FILTER: Path = ("ip", "firewall", "filter")
_ADDRESSES: Path = ("ip", "address")
_SERVICES: Path = ("ip", "service")
_MAX_JUMPS = 16
WATCHED: frozenset[Path] = frozenset(
    {
        _FILTER,
        _ADDRESSES,
        _SERVICES,
        ("ip", "firewall", "address-list"),
        ("interface",),
        ("interface", "ethernet"),
        ("interface", "list", "member"),
    }
)
"""The menus on which the answer depends."""


class Answer(Enum):
    YES = "yes"
    SILENCE = "silence"  # packets are dropped
    REFUSAL = "refusal"  # a reset, or an ICMP error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Packet:
    established: bool
    destination: ipaddress.IPv4Address
    config: Config


def answer(config: Config, home: ipaddress.IPv4Address, *, established: bool) -> Answer:
    """What becomes of a packet from the management: of an open connection, or of a new one."""
    if not _has_address(config, home):
        return Answer.SILENCE
    packet = _Packet(established=established, destination=home, config=config)
    found = _walk("input", packet, 0) or Answer.YES
    return _service(config) if found is Answer.YES and not established else found


def loopback_addresses(config: Config) -> frozenset[ipaddress.IPv4Address]:
    """The addresses of a router that it can really be reached at on this machine; not 127.0.0.1, which is everybody's."""
    found = (_interface(item.values["address"]) for item in config.items(_ADDRESSES))
    own = {it for it in found if isinstance(it, ipaddress.IPv4Address) and it.is_loopback and it != _EVERYBODYS}
    return frozenset(it for it in own if _has_address(config, it))


def _has_address(config: Config, home: ipaddress.IPv4Address) -> bool:
    """An enabled address on an enabled interface."""
    menu = BY_PATH[_ADDRESSES]
    for item in config.items(_ADDRESSES):
        if item.get(menu, "disabled") == "yes" or _interface(item.values["address"]) != home:
            continue
        name = item.values["interface"]
        return any(it.values["name"] == name and it.get(kind, "disabled") != "yes" for kind, it in config.interfaces())
    return False


def _interface(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_interface(text).ip
    except ValueError:
        return None


def _service(config: Config) -> Answer:
    menu = BY_PATH[_SERVICES]
    for item in config.items(_SERVICES):
        if item.values.get("name") == "ssh":
            allowed = item.get(menu, "address") or ""
            right = item.get(menu, "disabled") != "yes" and item.get(menu, "port") == str(SSH_PORT)
            return Answer.YES if right and (not allowed or _inside(MANAGER, allowed)) else Answer.REFUSAL
    return Answer.REFUSAL


def _walk(chain: str, packet: _Packet, depth: int) -> Answer | None:
    """The verdict of a chain; None if it has none."""
    menu = BY_PATH[_FILTER]
    for item in packet.config.items(_FILTER):
        if item.values.get("chain") != chain or item.get(menu, "disabled") == "yes" or not _matches(item, packet):
            continue
        match item.get(menu, "action"):
            case "accept":
                return Answer.YES
            case "drop" | "tarpit":
                return Answer.SILENCE
            case "reject":
                return Answer.REFUSAL
            case "return":
                return None
            case "jump" if depth < _MAX_JUMPS:
                found = _walk(item.values.get("jump-target", ""), packet, depth + 1)
                if found is not None:
                    return found
    return None


def _matches(item: Item, packet: _Packet) -> bool:
    for name, text in item.values.items():
        if name in _NO_CONDITION or not text:
            continue
        wanted = text.removeprefix("!")
        test = _TESTS.get(name)
        if test is None:
            return False
        if test(wanted, packet) is text.startswith("!"):
            return False
    return True


def _inside(address: ipaddress.IPv4Address, texts: str) -> bool:
    """Whether an address is in a list of addresses, prefixes and ranges."""
    for text in texts.split(","):
        first, dash, last = text.partition("-")
        try:
            if dash and ipaddress.IPv4Address(first) <= address <= ipaddress.IPv4Address(last):
                return True
            if not dash and address in ipaddress.ip_network(text, strict=False):
                return True
        except ValueError:
            continue  # a name, or of another family
    return False


def _listed(address: ipaddress.IPv4Address, name: str, config: Config) -> bool:
    path = ("ip", "firewall", "address-list")
    menu = BY_PATH[path]
    entries = (item for item in config.items(path) if item.values.get("list") == name)
    return any(_inside(address, item.values["address"]) for item in entries if item.get(menu, "disabled") != "yes")


def _port(text: str) -> bool:
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if first.isdigit() and int(first) <= SSH_PORT <= (int(last) if dash and last.isdigit() else int(first)):
            return True
    return False


def _in_list(name: str, config: Config) -> bool:
    if name == "all":
        return True
    path = ("interface", "list", "member")
    menu = BY_PATH[path]
    return any(
        item.values.get("list") == name and item.values.get("interface") == UPLINK
        for item in config.items(path)
        if item.get(menu, "disabled") != "yes"
    )


_NO_CONDITION = frozenset({"chain", "action", "comment", "disabled", "log", "log-prefix", "jump-target", "reject-with"})
_TESTS: Mapping[str, Callable[[str, _Packet], bool]] = {
    "protocol": lambda text, _: text in ("tcp", "6"),
    "src-address": lambda text, _: _inside(MANAGER, text),
    "dst-address": lambda text, packet: _inside(packet.destination, text),
    "src-address-list": lambda text, packet: _listed(MANAGER, text, packet.config),
    "dst-address-list": lambda text, packet: _listed(packet.destination, text, packet.config),
    "dst-port": lambda text, _: _port(text),
    "port": lambda text, _: _port(text),
    "in-interface": lambda text, _: text in (UPLINK, "all"),
    "in-interface-list": lambda text, packet: _in_list(text, packet.config),
    "connection-state": lambda text, packet: ("established" if packet.established else "new") in text.split(","),
    "connection-nat-state": lambda _text, _packet: False,
    "dst-address-type": lambda text, _: text == "local",
    "src-address-type": lambda text, _: text == "unicast",
    "limit": lambda _text, _packet: True,  # it is not exceeded
}
