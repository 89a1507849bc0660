"""What a user may do: the policies of his group, and what the device-mode refuses to everybody.

Source of both: the public manual (``user``, ``device-mode``); the refusals are texts of public transcripts.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from tminus.simulator.config.schema import Path
from tminus.simulator.errors import RunError
from tminus.simulator.faults import Fault

if TYPE_CHECKING:
    from tminus.simulator.router import Router

_READ = "local,telnet,ssh,reboot,read,test,winbox,password,web,sniff,sensitive,api,romon,rest-api"
# The groups that are always there. What follows a '!' they may not.
_GROUPS: Mapping[str, str] = {
    "read": f"{_READ},!ftp,!write,!policy",
    "write": f"{_READ},write,!ftp,!policy",
    "full": f"{_READ},ftp,write,policy",
}
ALL = frozenset(_GROUPS["full"].split(","))
SCRIPT_POLICY = ("ftp", "reboot", "read", "write", "policy", "test", "password", "sniff", "sensitive", "romon")
"""The policies that a script or a schedule can have, in the order in which RouterOS writes them."""

_USER, _GROUP = ("user",), ("user", "group")
_READING = frozenset({"print", "get", "find", "export"})
_COMMANDS: Mapping[tuple[Path, str], tuple[str, ...]] = {
    (("system",), "reboot"): ("reboot",),
    (("system",), "shutdown"): ("reboot",),
    (("system",), "reset-configuration"): ("reboot", "policy", "sensitive"),
    (("system", "backup"), "save"): ("policy", "sensitive"),
    (("system", "backup"), "load"): ("reboot", "policy", "sensitive"),
    (("system", "package", "update"), "install"): ("reboot", "policy"),
    (("system", "routerboard"), "upgrade"): ("reboot", "policy"),
    (("system", "script"), "run"): ("read",),
    (("file",), "read"): ("read",),
    (("tool",), "fetch"): ("ftp", "test"),
}

# What mode home refuses, by the menus that it concerns (7.17 and later).
_HOME: Mapping[str, tuple[Path, ...]] = {
    "scheduler": (("system", "scheduler"),),
    "socks": (("ip", "socks"),),
    "fetch": (("tool", "fetch"),),
    "bandwidth-test": (("tool", "bandwidth-test"), ("tool", "bandwidth-server")),
    "traffic-gen": (("tool", "traffic-generator"),),
    "sniffer": (("tool", "sniffer"),),
    "romon": (("tool", "romon"),),
    "proxy": (("ip", "proxy"),),
    "hotspot": (("ip", "hotspot"),),
    "email": (("tool", "e-mail"),),
    "zerotier": (("zerotier",),),
    "container": (("container",),),
}
_MODES: Mapping[str, frozenset[str]] = {"home": frozenset(_HOME)}


def group_policy(router: Router, group: str) -> str:
    """The policy text of a group, ``!`` before what it may not; empty for an unknown one."""
    for item in router.config.items(_GROUP):
        if item.values.get("name") == group and "policy" in item.values:
            policy = item.values["policy"]
            break
    else:
        policy = _GROUPS.get(group, "")
    denied = router.denied | ({"ftp"} if Fault.NO_SFTP in router.faults else set())
    return ",".join(f"!{word}" if word in denied else word for word in policy.replace(";", ",").split(",") if word)


def groups() -> tuple[str, ...]:
    return tuple(_GROUPS)


def rights(router: Router, user: str) -> frozenset[str]:
    """What a user may do. Somebody who is no user of the router, as a test from outside, may do everything."""
    config = router.config
    state = (config.table(_USER), config.table(_GROUP), router.denied, router.faults)
    known = router.known_rights.get(user)
    if known is None or known[0] != state:
        known = router.known_rights[user] = (state, _rights(router, user))
    return known[1]


def _rights(router: Router, user: str) -> frozenset[str]:
    for item in router.config.items(_USER):
        if item.values.get("name") == user:
            policy = group_policy(router, item.values.get("group", ""))
            return frozenset(word for word in policy.split(",") if not word.startswith("!"))
    return ALL


def script_rights(policy: str, owner: frozenset[str]) -> frozenset[str]:
    """What code with a policy of its own may do on behalf of its owner."""
    return frozenset(policy.replace(";", ",").split(",") if policy else SCRIPT_POLICY) & owner


@lru_cache(maxsize=1024)
def _needed(path: Path, verb: str) -> frozenset[str]:
    if (path, verb) in _COMMANDS:
        return frozenset(_COMMANDS[path, verb])
    if verb in _READING:
        return frozenset({"read"})
    if path == ("log",):
        return frozenset({"read"})
    return frozenset({"write", "policy"} if path[:1] == _USER else {"write"})


def refuse(router: Router, may: frozenset[str], path: Path, verb: str, *, to_file: bool) -> None:
    """RunError if somebody who ``may`` do that much must not run a command of a menu, or this device does not."""
    if not _needed(path, verb) <= may or (to_file and verb in ("export", "print") and "ftp" not in may):
        raise RunError("not enough permissions (9)")
    refused = mode_refuses(router)
    if refused and verb not in _READING and verb not in ("remove", "disable"):
        command = (*path, verb)
        for feature in refused:
            if any(command[: len(menu)] == menu for menu in _HOME[feature]):
                raise RunError("failure: not allowed by device-mode")


def mode_refuses(router: Router) -> frozenset[str]:
    """The features that this device's mode does not allow."""
    if router.version.number < (7, 17):
        return frozenset()
    return _MODES.get(router.device_mode, frozenset())
