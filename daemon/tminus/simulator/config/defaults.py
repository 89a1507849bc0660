"""What a simulated router is configured with before anyone touches it: like a small branch office."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Mapping
from functools import lru_cache

from .config import LAST_ID, Base, Config
from .menus import BY_PATH
from .quoting import quote

_ACCEPTED = "established,related,untracked"

# What the default configuration of a small router adds to that ("defconf").
_ROWS: tuple[tuple[str, dict[str, str]], ...] = (
    ("interface bridge", {"name": "bridge", "auto-mac": "no", "admin-mac": "48:8F:5A:00:00:01", "comment": "defconf"}),
    ("interface list", {"name": "WAN", "comment": "defconf"}),
    ("interface list", {"name": "LAN", "comment": "defconf"}),
    ("ip pool", {"name": "default-dhcp", "ranges": "192.168.88.10-192.168.88.254"}),
    ("ip dhcp-server", {"name": "defconf", "interface": "bridge", "address-pool": "default-dhcp"}),
    *(
        ("interface bridge port", {"bridge": "bridge", "interface": f"ether{number}", "comment": "defconf"})
        for number in range(2, 6)
    ),
    ("interface list member", {"interface": "bridge", "list": "LAN", "comment": "defconf"}),
    ("interface list member", {"interface": "ether1", "list": "WAN", "comment": "defconf"}),
    (
        "ip address",
        {"address": "192.168.88.1/24", "interface": "bridge", "network": "192.168.88.0", "comment": "defconf"},
    ),
    (
        "ip dhcp-server network",
        {"address": "192.168.88.0/24", "gateway": "192.168.88.1", "dns-server": "192.168.88.1", "comment": "defconf"},
    ),
    ("ip dns static", {"name": "router.lan", "address": "192.168.88.1", "comment": "defconf"}),
    (
        "ip firewall filter",
        {"chain": "input", "connection-state": _ACCEPTED, "comment": f"defconf: accept {_ACCEPTED}"},
    ),
    (
        "ip firewall filter",
        {"chain": "input", "action": "drop", "connection-state": "invalid", "comment": "defconf: drop invalid"},
    ),
    ("ip firewall filter", {"chain": "input", "protocol": "icmp", "comment": "defconf: accept ICMP"}),
    (
        "ip firewall filter",
        {"chain": "input", "action": "drop", "in-interface-list": "!LAN", "comment": "defconf: drop all not from LAN"},
    ),
    (
        "ip firewall filter",
        {
            "chain": "forward",
            "action": "fasttrack-connection",
            "connection-state": "established,related",
            "comment": "defconf: fasttrack",
        },
    ),
    (
        "ip firewall filter",
        {"chain": "forward", "connection-state": _ACCEPTED, "comment": f"defconf: accept {_ACCEPTED}"},
    ),
    (
        "ip firewall filter",
        {
            "chain": "forward",
            "action": "drop",
            "connection-nat-state": "!dstnat",
            "connection-state": "new",
            "in-interface-list": "WAN",
            "comment": "defconf: drop all from WAN not DSTNATed",
        },
    ),
    (
        "ip firewall nat",
        {
            "chain": "srcnat",
            "action": "masquerade",
            "ipsec-policy": "out,none",
            "out-interface-list": "WAN",
            "comment": "defconf: masquerade",
        },
    ),
)

# What the groups that are always there may do; what follows a '!' they may not.
_READ = "local,telnet,ssh,reboot,read,test,winbox,password,web,sniff,sensitive,api,romon,rest-api"

# What is there without any configuration, and is not exported unless it was changed.
_ALWAYS: tuple[tuple[str, dict[str, str]], ...] = (
    *(
        (
            "interface ethernet",
            {"name": f"ether{number}", "default-name": f"ether{number}", "mac-address": f"48:8F:5A:00:00:{number:02X}"},
        )
        for number in range(1, 6)
    ),
    ("interface list", {"name": "all", "builtin": "yes"}),
    ("interface list", {"name": "none", "builtin": "yes"}),
    ("interface list", {"name": "dynamic", "builtin": "yes"}),
    ("interface list", {"name": "static", "builtin": "yes"}),
    *(
        ("ip service", {"name": name, "port": port})
        for name, port in (
            ("telnet", "23"),
            ("ftp", "21"),
            ("www", "80"),
            ("ssh", "22"),
            ("www-ssl", "443"),
            ("api", "8728"),
            ("winbox", "8291"),
            ("api-ssl", "8729"),
        )
    ),
    *(
        ("ip firewall service-port", {"name": name, "ports": ports})
        for name, ports in (
            ("ftp", "21"), ("tftp", "69"), ("irc", "6667"), ("h323", ""), ("sip", "5060,5061"), ("pptp", ""),
            ("rtsp", "554"), ("udplite", ""), ("dccp", ""), ("sctp", ""),
        )
    ),
    ("user", {"name": "admin", "group": "full", "comment": "system default user"}),
)  # fmt: skip

# Lists to which a user adds, that are not empty from the start. Of these items an export shows what was changed.
_FACTORY: tuple[tuple[str, int | None, dict[str, str]], ...] = (
    ("ppp profile", 0, {"name": "default", "change-tcp-mss": "yes"}),
    ("ppp profile", LAST_ID + 0x7FFFFFFE, {"name": "default-encryption", "change-tcp-mss": "yes", "use-encryption": "yes"}),
    ("ip ipsec profile", None, {"name": "default"}),
    ("ip ipsec proposal", None, {"name": "default"}),
    ("ip hotspot profile", None, {"name": "default"}),
    ("ip hotspot user profile", None, {"name": "default"}),
    ("queue type", None, {"name": "default", "kind": "pfifo", "pfifo-limit": "50"}),
    ("queue type", None, {"name": "ethernet-default", "kind": "pfifo", "pfifo-limit": "50"}),
    ("queue type", None, {"name": "wireless-default", "kind": "sfq", "sfq-perturb": "5", "sfq-allot": "1514"}),
    ("queue type", None, {"name": "default-small", "kind": "pfifo", "pfifo-limit": "10"}),
    ("routing table", None, {"name": "main", "fib": "yes"}),
    ("snmp community", None, {"name": "public"}),
    ("system logging action", None, {"name": "memory", "target": "memory", "memory-lines": "1000", "memory-stop-on-full": "no"}),
    ("system logging action", None, {"name": "disk", "target": "disk", "disk-lines-per-file": "1000", "disk-file-count": "2",
                                     "disk-file-name": "log"}),
    ("system logging action", None, {"name": "echo", "target": "echo", "remember": "yes"}),
    ("system logging action", None, {"name": "remote", "target": "remote", "remote-port": "514"}),
    ("system logging", None, {"topics": "info", "action": "memory"}),
    ("system logging", None, {"topics": "error", "action": "memory"}),
    ("system logging", None, {"topics": "warning", "action": "memory"}),
    ("system logging", None, {"topics": "critical", "action": "echo"}),
    ("ipv6 nd", None, {"interface": "all"}),
    ("user group", None, {"name": "read", "policy": f"{_READ},!ftp,!write,!policy"}),
    ("user group", None, {"name": "write", "policy": f"{_READ},write,!ftp,!policy"}),
    ("user group", None, {"name": "full", "policy": f"{_READ},ftp,write,policy"}),
)  # fmt: skip

# Without it the firewall would let nobody log in from the uplink, where the management is.
_MANAGEMENT = {
    "chain": "input",
    "dst-port": "22",
    "protocol": "tcp",
    "src-address": "172.20.0.0/16",
    "comment": "management",
}


@lru_cache(maxsize=16)
def base(export_kb: int, *, defconf: bool = True) -> Base:
    """The tables that all routers of a fleet share until they change them; padded to an export of about that size.

    Without ``defconf`` they are those of a router that was reset with no-defaults=yes.
    """
    config = Config()
    for path, number, values in _FACTORY:
        config.extend(BY_PATH[tuple(path.split())], [values], factory=True, number=number)
    for path, values in (*_ALWAYS, *(_ROWS if defconf else ())):
        config.extend(BY_PATH[tuple(path.split())], [values])
    config.extend(BY_PATH["ip", "firewall", "address-list"], _padding(export_kb * 1024))
    return config.freeze()


def _padding(size: int) -> list[dict[str, str]]:
    """Entries of an address list whose export lines add up to what a default configuration lacks of ``size`` bytes."""
    rng = random.Random(size)  # noqa: S311 - looks, not secrecy
    left = size - 2600 if size else 0  # the default configuration is about this long
    rows: list[dict[str, str]] = []
    while left > 0:
        number = len(rows)
        address = f"{10 + number // 65536 % 200}.{number // 256 % 256}.{number % 256}.0/24"
        comment = f"branch {number:05d} ticket {rng.randrange(10**6):06d}"
        rows.append({"list": "branches", "address": address, "comment": comment})
        left -= len(f"add address={address} comment={quote(comment)} list=branches\r\n")
    return rows


def personal(
    config: Config, *, identity: str, number: int, username: str, ssh: Mapping[str, str] | None = None
) -> None:
    """What differs from router to router. ``ssh``: properties of ``/ip ssh``."""
    if ssh:
        config.change(BY_PATH["ip", "ssh"], config.single(("ip", "ssh")), ssh)
    config.change(BY_PATH["system", "identity"], config.single(("system", "identity")), {"name": identity})
    config.add(
        BY_PATH["ip", "address"],
        {"address": f"{uplink(number)}/16", "network": "172.20.0.0", "interface": "ether1", "comment": "uplink"},
    )
    filters = BY_PATH["ip", "firewall", "filter"]
    closing = next((item.id for item in config.items(filters.path) if item.values.get("in-interface-list")), None)
    config.add(filters, _MANAGEMENT, before=closing)
    if username not in config.names(("user",)):
        config.add(BY_PATH["user",], {"name": username, "group": "full"})


def uplink(number: int) -> ipaddress.IPv4Address:
    """The address by which the management reaches the router with that number in its fleet."""
    return ipaddress.IPv4Address(f"172.20.{number // 254 % 256}.{number % 254 + 1}")
