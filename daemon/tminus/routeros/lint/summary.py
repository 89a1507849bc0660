"""One to three sentences on what a script does, made of its commands: the same for the same script, and no secrets.

Only what is written out is counted. Where code is made at run time, comes from elsewhere, or is not known here, it is not
said what the script leaves alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate, takewhile

from tminus.routeros.text import clean_line

from .paths import up_to_unknown
from .selection import Which
from .steps import Reading, Step

MAX_LENGTH = 300  # characters
_MAX_WORD = 32
_MAX_WORDS = 4

_NOUNS = {
    "/ip/firewall/filter": "firewall filter rule",
    "/ip/firewall/nat": "NAT rule",
    "/ip/firewall/mangle": "mangle rule",
    "/ip/firewall/raw": "raw firewall rule",
    "/ip/firewall/address-list": "address list entry",
    "/ipv6/firewall/filter": "IPv6 firewall filter rule",
    "/ipv6/firewall/address-list": "IPv6 address list entry",
    "/ip/address": "address",
    "/ipv6/address": "IPv6 address",
    "/ip/route": "route",
    "/ipv6/route": "IPv6 route",
    "/ip/service": "service",
    "/ip/ssh": "SSH settings",
    "/ip/dns": "DNS settings",
    "/ip/dns/static": "static DNS entry",
    "/ip/pool": "address pool",
    "/ip/dhcp-server": "DHCP server",
    "/ip/dhcp-server/lease": "DHCP lease",
    "/ip/dhcp-server/network": "DHCP network",
    "/ip/dhcp-client": "DHCP client",
    "/interface": "interface",
    "/interface/bridge": "bridge",
    "/interface/bridge/port": "bridge port",
    "/interface/bridge/vlan": "bridge VLAN",
    "/interface/ethernet": "ethernet interface",
    "/interface/vlan": "VLAN interface",
    "/interface/list": "interface list",
    "/interface/list/member": "interface list member",
    "/interface/wireguard": "WireGuard interface",
    "/interface/wireguard/peers": "WireGuard peer",
    "/ppp/secret": "PPP secret",
    "/ppp/profile": "PPP profile",
    "/queue/simple": "simple queue",
    "/user": "user",
    "/user/group": "user group",
    "/user/ssh-keys": "SSH key",
    "/system/identity": "identity",
    "/system/clock": "clock",
    "/system/ntp/client": "NTP client",
    "/system/scheduler": "scheduler entry",
    "/system/script": "stored script",
    "/system/logging": "logging rule",
    "/system/note": "note",
    "/snmp": "SNMP settings",
    "/snmp/community": "SNMP community",
    "/tool/netwatch": "netwatch entry",
    "/file": "file",
    "/certificate": "certificate",
}
# What the script leaves alone is said of these.
_ASPECTS = {
    "addresses": (("ip", "address"), ("ipv6", "address"), ("ip", "dhcp-client"), ("ipv6", "dhcp-client")),
    "users": (("user",), ("radius",)),
    "services": (("ip", "service"), ("ip", "ssh")),
    "routes": (("ip", "route"), ("ipv6", "route"), ("routing",)),
}
_VERBS = {
    "add": "adds",
    "set": "changes",
    "edit": "changes",
    "unset": "changes",
    "reset": "changes",
    "remove": "removes",
    "enable": "enables",
    "disable": "disables",
    "move": "moves",
    "comment": "comments",
}
_READS = frozenset(
    [
        "print",
        "find",
        "get",
        "export",
        "monitor",
        "monitor-traffic",
        "check-for-updates",
        "check-installation",
        "next",
        "ping",
    ]
)
_READING_MENUS = (("log",), ("terminal",), ("console",))
_DEEDS = {
    ("system", "reboot"): "reboots the router",
    ("system", "shutdown"): "shuts the router down",
    ("system", "reset-configuration"): "erases the configuration",
    ("system", "backup", "load"): "loads a backup",
    ("system", "backup", "save"): "saves a backup",
    ("system", "package", "update", "install"): "installs another RouterOS version",
    ("system", "routerboard", "upgrade"): "upgrades the boot firmware",
    ("system", "script", "run"): "runs scripts that are stored on the router",
    ("import",): "runs another file",
    ("tool", "fetch"): "fetches from a server",
    ("tool", "e-mail", "send"): "sends e-mail",
    ("user", "ssh-keys", "import"): "imports SSH keys",
    ("certificate", "import"): "imports certificates",
    ("password",): "changes a password",
}
_URGENT = frozenset(list(_DEEDS.values())[:8]) - {"saves a backup"}
_WHOLE = frozenset(
    [
        ("system", "reset-configuration"),
        ("system", "backup", "load"),
        ("system", "script", "run"),
        ("import",),
        ("undo",),
        ("redo",),
    ]
)
# Parameters whose values tell something and are never secret. A value is shown with the second word before it.
_TELLING = (
    ("action", ""),
    ("chain", ""),
    ("list", "list "),
    ("src-address-list", "list "),
    ("protocol", ""),
    ("dst-port", "port "),
    ("dst-address", ""),
    ("address", ""),
    ("gateway", "via "),
    ("interface", "on "),
    ("bridge", "in "),
    ("vlan-id", "VLAN "),
    ("name", ""),
    ("interval", "every "),
)


# Where the name is what others must not know.
_SECRET_NAMES = (("snmp", "community"), ("ip", "hotspot", "user"), ("ppp", "secret"))


@dataclass(slots=True)
class _Group:
    verb: str
    noun: str
    counted: int = 0
    unknown: bool = False
    everything: bool = False
    words: tuple[str, ...] | None = None  # what all of them have in common
    steps: list[Step] = field(default_factory=list)

    def say(self, *, words: bool) -> str:
        some = self.unknown or self.everything
        noun = _plural(self.noun) if some or self.counted > 1 else self.noun
        if self.verb == "runs":
            what = self.noun
        elif self.everything:
            what = f"all {noun}"
        elif self.unknown or not self.counted:
            what = noun if some else f"the {noun}"
        else:
            what = f"{self.counted} {noun}"
        told = f" ({', '.join(self.words)})" if words and self.words else ""
        return f"{self.verb} {what}{told}"


def summary(reading: Reading, *, refusal: str | None = None, unseen: str | None = None) -> str:
    """Describe a script. ``refusal``: what a router's parser says against it; ``unseen``: what of it could not be read."""
    first = f"{refusal}." if refusal else ""
    steps = [step for step in reading.steps if not step.around.later]
    deeds, groups = _deeds(steps), _groups(steps)
    conditional = any(
        step.around.guarded or step.around.loop or step.around.function for group in groups for step in group.steps
    )
    blind = bool(reading.troubles) or any(
        not (step.command.known or step.elsewhere) or (*step.menu, step.verb) in _WHOLE or step.calls_stored
        for step in reading.steps
    )
    left_alone = "" if blind or refusal else _left_alone(reading.steps)
    if not reading.steps:
        return first or "Does nothing: it has no commands."
    if not (deeds or groups):
        if unseen:
            return first
        does = "Runs code that is not seen here." if blind else "Changes no configuration: it only reads and prints."
        return _join(first, does)
    rest = "What else it does is not seen here." if blind or unseen else ""
    some = "Some of it only under a condition, in a loop or in a function." if conditional else ""
    for most in range(_most_told(groups), -1, -1):
        for words in (True, False):
            told = [*deeds, *(group.say(words=words) for group in groups[:most])]
            if most < len(groups):
                told.append(f"{len(groups) - most} other kinds of change" if most else "makes many changes")
            text = _join(
                first,
                _sentence(told, left_alone),
                rest or some,
            )
            if len(text) <= MAX_LENGTH:
                return text
    return _join(first, "Makes many changes.")[:MAX_LENGTH]


def _most_told(groups: list[_Group]) -> int:
    """Return how many groups could be told at most, however short the rest of the summary is."""
    lengths = accumulate(len(group.say(words=False)) for group in groups)
    return sum(1 for _ in takewhile(lambda length: length <= MAX_LENGTH, lengths))


def _join(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)


def _sentence(told: list[str], left_alone: str) -> str:
    text = told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"
    return f"{text[0].upper()}{text[1:]}{left_alone and '; ' + left_alone}."


def _plural(noun: str) -> str:
    if noun.endswith("settings") or noun.startswith("items of "):
        return noun
    if noun.startswith("item of "):
        return f"items of {noun.removeprefix('item of ')}"
    if noun.endswith(("ss", "ch", "x")):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if noun.endswith("y") and not noun.endswith("ey") else f"{noun}s"


def _deeds(steps: Iterable[Step]) -> list[str]:
    done = dict.fromkeys(_DEEDS[path] for step in steps if (path := (*step.menu, step.verb or "")) in _DEEDS)
    return sorted(done, key=lambda deed: deed not in _URGENT)


def _groups(steps: Iterable[Step]) -> list[_Group]:
    groups: dict[tuple[str, str], _Group] = {}
    for step in steps:
        if not step.menu or step.verb is None or (*step.menu, step.verb) in _DEEDS or _only_reads(step):
            continue
        path = f"/{'/'.join(step.menu)}"
        count: int | None = None
        words: tuple[str, ...] = ()
        if not step.command.known and not step.elsewhere:
            verb, noun = "runs", up_to_unknown((*step.menu, step.verb))
        elif step.verb not in _VERBS:
            verb, noun = "runs", f"{path}/{step.verb}"
        else:
            verb, noun = _VERBS[step.verb], _NOUNS.get(path, f"item of {path}")
            count, words = _count(step), _words(step)
        group = groups.setdefault((verb, noun), _Group(verb=verb, noun=noun))
        group.steps.append(step)
        if verb == "runs":
            group.noun = noun
            continue
        if step.selection.which is Which.ALL and step.verb != "add":
            group.everything = True
        elif count is None:
            group.unknown = True
        else:
            group.counted += count
        group.words = words if group.words is None else tuple(word for word in group.words if word in words)
    for group in groups.values():
        if group.verb == "runs":
            group.noun = clean_line(group.noun, cap=80)
        group.words = tuple((group.words or ())[:_MAX_WORDS])
    return list(groups.values())


def _only_reads(step: Step) -> bool:
    return step.verb is None or step.verb in _READS or step.menu[:1] in _READING_MENUS


def _count(step: Step) -> int | None:
    """How many items; 0 for the one of a menu that has no list, None if it is not known."""
    if step.verb == "add":
        return 1
    selection = step.selection
    match selection.which:
        case Which.NOTHING:
            return 0
        case Which.NAMED:
            return len(selection.names)
        case Which.NUMBERED:
            return 1
        case Which.ALL | Which.SOME | Which.COMPUTED:
            return None


def _words(step: Step) -> tuple[str, ...]:
    if step.verb in ("set", "unset"):
        names = [clean_line(name, cap=_MAX_WORD) for name in step.args if name not in ("numbers", "comment")]
        return tuple(names)
    if step.verb != "add":
        return ()
    words = []
    for name, before in _TELLING:
        value = None if name == "name" and step.menu in _SECRET_NAMES else step.value(name)
        if value and re.fullmatch(r"[\w .,:/!*+<>@-]+", value) and len(value) <= _MAX_WORD:
            words.append(f"{before}{clean_line(value, cap=_MAX_WORD)}")
    return tuple(words)


def _left_alone(steps: Iterable[Step]) -> str:
    changed = {
        name
        for step in steps
        if not _only_reads(step)
        for name, menus in _ASPECTS.items()
        if any(step.menu[: len(menu)] == menu for menu in menus) or (name == "users" and step.verb == "password")
    }
    left = [name for name in _ASPECTS if name not in changed]
    if not left:
        return ""
    listed = left[0] if len(left) == 1 else f"{', '.join(left[:-1])} or {left[-1]}"
    return f"changes no {listed}"
