"""The menu tree: which menus, commands and parameters exist. One compact table, read once at import.

A field is written ``name``, ``name!`` (required by ``add``), ``name:kind``, ``name:kind=default``, with ``-`` in front for
read-only and ``#`` for secret ones. A kind is one of ``text num size bool time prefix address list range interface iflist
bridge`` or the allowed words, ``a|b|c``. Values are kept as the text that an export would show.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

Path = tuple[str, ...]

DISABLED = "disabled:bool=no"
TAIL = f"comment {DISABLED}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    name: str
    kind: str  # "enum" if it has choices
    choices: tuple[str, ...]
    default: str | None  # what an item has that was not given one; not exported
    required: bool
    read_only: bool
    secret: bool


class Shape(Enum):
    LIST = "list"
    FIXED = "fixed"  # a list to which nothing can be added
    SINGLE = "single"  # one item, no list
    VIEW = "view"  # computed from the router's state, read-only


@dataclass(frozen=True, slots=True, kw_only=True)
class Menu:
    path: Path
    fields: Mapping[str, Field]
    shape: Shape
    noun: str  # as the log names an item: "address added by admin"
    unique: tuple[str, ...]  # two items must differ in one of these
    duplicate: str  # what RouterOS says if they do not; {field} is filled in
    family: str  # menus of one family share item ids and the uniqueness rule
    exported: bool
    key: str | None  # by which an export finds an item that is always there

    @property
    def text(self) -> str:
        return "/" + "/".join(self.path)

    @property
    def verbs(self) -> frozenset[str]:
        return _VERBS[self.shape]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a command takes: values without a name in this order, values with one, and bare words."""

    positional: tuple[str, ...] = ()
    named: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset()
    free_named: bool = False  # any name is accepted


_VERBS = {
    Shape.LIST: frozenset(
        {"add", "set", "remove", "enable", "disable", "print", "get", "find", "export", "comment", "move", "unset"}
    ),
    Shape.FIXED: frozenset({"set", "enable", "disable", "print", "get", "find", "export", "comment"}),
    Shape.SINGLE: frozenset({"set", "print", "get", "export"}),
    Shape.VIEW: frozenset({"print", "get", "find"}),
}


def _field(text: str) -> Field:
    found = re.fullmatch(r"([-#]*)([a-z0-9-]+)(!?)(?::([A-Za-z0-9|-]+))?(?:=(\S*))?", text)
    if found is None:
        raise ValueError(f"no field: {text}")
    marks, name, required, kind, default = found.groups()
    choices = tuple(kind.split("|")) if kind and "|" in kind else ()
    return Field(
        name=name,
        kind="enum" if choices else kind or "text",
        choices=choices,
        default=default,
        required=bool(required),
        read_only="-" in marks,
        secret="#" in marks,
    )


def _menu(
    path: str,
    fields: str,
    shape: Shape = Shape.LIST,
    *,
    noun: str = "",
    unique: str = "",
    duplicate: str = "failure: already have such entry",
    family: str = "",
    exported: bool = True,
    key: str | None = None,
) -> Menu:
    parts = tuple(path.split())
    return Menu(
        path=parts,
        fields={field.name: field for field in map(_field, fields.split())},
        shape=shape,
        noun=noun or parts[-1],
        unique=tuple(unique.split()),
        duplicate=duplicate,
        family=family or path,
        exported=exported and shape is not Shape.VIEW,
        key=key,
    )


def _interface(path: str, fields: str, shape: Shape = Shape.LIST, *, key: str | None = None) -> Menu:
    duplicate = "failure: already have interface with name {name}"
    return _menu(path, fields, shape, noun="device", unique="name", duplicate=duplicate, family="interface", key=key)


_MATCHERS = (
    "chain! src-address dst-address src-address-list dst-address-list protocol src-port dst-port port "
    "in-interface:interface out-interface:interface in-interface-list:iflist out-interface-list:iflist "
    "connection-state connection-nat-state connection-mark packet-mark icmp-options tcp-flags limit "
    "ipsec-policy src-address-type dst-address-type src-mac-address layer7-protocol content ttl dscp "
    f"address-list address-list-timeout jump-target log:bool=no log-prefix {TAIL}"
)

# In the order in which an export prints them.
MENUS: tuple[Menu, ...] = (
    _interface(
        "interface bridge",
        "name! mtu:num=auto protocol-mode:none|rstp|stp|mstp=rstp vlan-filtering:bool=no admin-mac auto-mac:bool=yes "
        f"arp:disabled|enabled|local-proxy-arp|proxy-arp|reply-only=enabled igmp-snooping:bool=no {TAIL}",
    ),
    _interface(
        "interface ethernet",
        f"name -default-name mtu:num=1500 l2mtu:num -mac-address speed auto-negotiation:bool=yes {TAIL}",
        Shape.FIXED,
        key="default-name",
    ),
    _interface("interface vlan", f"name! interface!:interface vlan-id!:num mtu:num=1500 {TAIL}"),
    _interface(
        "interface wireguard",
        f"name! listen-port:num mtu:num=1420 #private-key {TAIL}",
    ),
    _menu(
        "interface list", "name! include exclude comment -builtin:bool", unique="name",
        duplicate="failure: already have interface list with such name",
    ),
    _menu("ip pool", "name! ranges!:range next-pool=none comment", unique="name",
          duplicate="failure: pool with such name already exists"),
    _menu("ip dhcp-server", f"name! interface!:interface address-pool=static-only lease-time:time=30m {TAIL}",
          unique="interface", duplicate="failure: server with such interface already exists"),
    _menu("interface bridge port", f"bridge!:bridge interface!:interface pvid:num=1 hw:bool=yes {TAIL}",
          unique="interface", duplicate="failure: device already added as bridge port", noun="bridge port"),
    _menu("interface list member", f"interface!:interface list!:iflist {TAIL}", unique="interface list",
          duplicate="failure: already have such entry", noun="interface list member"),
    _menu("ip address", f"address!:prefix network:address interface!:interface {TAIL}", unique="address interface",
          duplicate="failure: already have such address"),
    _menu("ip dhcp-client", f"interface!:interface add-default-route:yes|no|special-classless=yes "
          f"use-peer-dns:bool=yes use-peer-ntp:bool=yes default-route-distance:num=1 {TAIL}", unique="interface",
          duplicate="failure: dhcp-client on that interface already exists"),
    _menu("ip dhcp-server network", "address!:prefix gateway dns-server:list domain comment", unique="address",
          duplicate="failure: already have such network"),
    _menu("ip dns", "servers:list= allow-remote-requests:bool=no cache-size=2048KiB cache-max-ttl:time=1w "
          "max-udp-packet-size:num=4096", Shape.SINGLE),
    _menu("ip dns static", f"name address:address cname text type:A|AAAA|CNAME|MX|NS|NXDOMAIN|SRV|TXT|FWD=A regexp "
          f"forward-to ttl:time=1d {TAIL}", unique="name address regexp type cname",
          duplicate="failure: entry already exists", noun="static dns entry"),
    _menu("ip firewall address-list", f"list! address! timeout:time {TAIL}", unique="address list",
          duplicate="failure: already have such entry", noun="address list entry"),
    _menu("ip firewall filter", f"action=accept reject-with {_MATCHERS}", noun="filter rule"),
    _menu("ip firewall mangle", f"action=accept new-packet-mark new-connection-mark new-routing-mark new-mss "
          f"passthrough:bool=yes {_MATCHERS}", noun="mangle rule"),
    _menu("ip firewall nat", f"action=accept to-addresses to-ports {_MATCHERS}", noun="nat rule"),
    _menu("ip route", f"dst-address:prefix=0.0.0.0/0 gateway! distance:num=1 routing-table=main scope:num=30 "
          f"target-scope:num=10 check-gateway:none|arp|ping|bfd=none pref-src blackhole:bool {TAIL}", noun="route"),
    _menu("ip service", f"name port:num address:list= certificate=none -proto {TAIL}".replace(" comment", ""),
          Shape.FIXED, key="name", noun="service"),
    _menu("ppp secret", f"name! #password service:any|async|l2tp|ovpn|pppoe|pptp|sstp=any profile=default "
          f"local-address remote-address {TAIL}", unique="name",
          duplicate="failure: secret with the same name already exists"),
    _menu("queue simple", f"name! target!:list max-limit=0/0 priority=8/8 parent=none {TAIL}", unique="name",
          duplicate="failure: already have such name", noun="simple queue"),
    _menu("snmp", "enabled:bool=no contact= location= trap-version:num=1", Shape.SINGLE),
    _menu("system clock", "time-zone-name=manual time-zone-autodetect:bool=yes -date -time -gmt-offset", Shape.SINGLE),
    _menu("system identity", "name=MikroTik", Shape.SINGLE),
    _menu("system note", "note= show-at-login:bool=yes", Shape.SINGLE),
    _menu("system ntp client", "enabled:bool=no servers:list= mode:broadcast|manycast|multicast|unicast=unicast",
          Shape.SINGLE),
    _menu("system scheduler", f"name! interval:time=0s on-event= start-date start-time policy -owner -run-count:num "
          f"-next-run {TAIL}", unique="name",
          duplicate="failure: item with this name already exists", noun="schedule"),
    _menu("system script", "name! source= policy -owner -last-started -run-count:num comment "
          "dont-require-permissions:bool=no", unique="name",
          duplicate="failure: item with this name already exists"),
    _menu("user", f"name! group!:full|read|write #password address:list= {TAIL}", unique="name", exported=False,
          duplicate="failure: user with the same name already exists"),
    # Computed.
    _menu("user group", "name policy skin", Shape.VIEW),
    _menu("system device-mode", "mode scheduler:bool", Shape.VIEW),
    _menu("interface", f"name type mtu:num actual-mtu:num mac-address running:bool {TAIL}", Shape.FIXED, exported=False),
    _menu("file", "name type size:size creation-time last-modified contents", Shape.LIST, exported=False),
    _menu("log", "time topics message", Shape.VIEW),
    _menu("system resource", "uptime:time version build-time factory-software free-memory:size total-memory:size cpu "
          "cpu-count:num cpu-frequency:num cpu-load:num free-hdd-space:size total-hdd-space:size architecture-name "
          "board-name platform", Shape.VIEW),
    _menu("system routerboard", "routerboard:bool board-name model serial-number firmware-type factory-firmware "
          "current-firmware upgrade-firmware", Shape.VIEW),
    _menu("system license", "software-id nlevel features system-id level", Shape.VIEW),
    _menu("system package", "name version build-time scheduled size disabled:bool", Shape.VIEW),
    _menu("system package update", "channel installed-version latest-version status", Shape.VIEW),
    _menu("system history", "action by policy time redo undo", Shape.VIEW),
    _menu("system script job", "script owner policy started type parent", Shape.VIEW),
)  # fmt: skip

BY_PATH: Mapping[Path, Menu] = {menu.path: menu for menu in MENUS}

SINGLE_VIEWS = frozenset(
    {
        ("system", "resource"),
        ("system", "routerboard"),
        ("system", "license"),
        ("system", "device-mode"),
        ("system", "package", "update"),
    }
)
"""Views of one row, printed as ``key: value`` lines."""

_PRINT = Signature(
    positional=(),
    named=frozenset({"proplist", "file", "from", "interval", "where", "count"}),
    flags=frozenset(
        {"detail", "terse", "brief", "as-value", "count-only", "value-list", "without-paging", "append", "show-ids"}
    ),
)
_PRINT_SINGLE = Signature(named=frozenset({"file", "interval"}), flags=frozenset({"as-value", "without-paging"}))
_EXPORT = Signature(
    named=frozenset({"file", "path"}),
    flags=frozenset({"compact", "verbose", "terse", "hide-sensitive", "show-sensitive"}),
)


def _s(positional: str = "", named: str = "", flags: str = "", *, free: bool = False) -> Signature:
    return Signature(
        positional=tuple(positional.split()),
        named=frozenset(named.split()) | frozenset(positional.split()),
        flags=frozenset(flags.split()),
        free_named=free,
    )


BUILTINS: Mapping[str, Signature] = {
    "put": _s("message"),
    "log": _s("level message"),
    "delay": _s("delay-time"),
    "error": _s("message"),
    "if": _s("condition", "do else"),
    "for": _s("counter", "from to step do"),
    "foreach": _s("counter", "in do"),
    "while": _s("condition", "do"),
    "do": _s("command", "on-error while"),
    "onerror": _s("counter", "in do"),
    "retry": _s("", "command delay max on-error"),
    "local": _s("name value", "do"),
    "global": _s("name value", "do"),
    "set": _s("name value", "do"),
    "len": _s("value"),
    "pick": _s("counter begin end"),
    "find": _s("in key from"),
    "tostr": _s("value"),
    "tonum": _s("value"),
    "toarray": _s("value"),
    "tobool": _s("value"),
    "toid": _s("value"),
    "toip": _s("value"),
    "totime": _s("value"),
    "typeof": _s("value"),
    "nothing": _s(),
    "resolve": _s("domain-name", "server type"),
    "rndnum": _s("", "from to"),
    "rndstr": _s("", "from length"),
    "timestamp": _s(),
    "return": _s("value"),
    "execute": _s("script", "file", "as-string"),
    "parse": _s("value"),
    "import": _s("file-name", "verbose from-line", "dry-run"),
    "export": _EXPORT,
    "quit": _s(),
    "time": _s("command"),
}
"""Commands of the root menu; most are written with a colon."""

COMMANDS: Mapping[tuple[Path, str], Signature] = {
    (("system",), "reboot"): _s(),
    (("system",), "shutdown"): _s(),
    (("system",), "reset-configuration"): _s("", "no-defaults keep-users skip-backup run-after-reset caps-mode"),
    (("system", "backup"), "save"): _s("", "name password encryption dont-encrypt"),
    (("system", "backup"), "load"): _s("", "name password"),
    (("system", "package", "update"), "install"): _s(),
    (("system", "package", "update"), "check-for-updates"): _s("", "duration", "once"),
    (("system", "routerboard"), "upgrade"): _s(),
    (("system", "script"), "run"): _s("number", "", "use-script-permissions", free=True),
    (("file",), "read"): _s("", "file chunk-size offset"),
    (("safe-mode",), "take"): _s("", "on-error"),
    (("safe-mode",), "release"): _s(),
    (("safe-mode",), "unroll"): _s(),
    (("safe-mode",), "toggle"): _s(),
    (("system", "script", "job"), "remove"): _s("numbers"),
    (("log",), "debug"): _s("message"),
    (("log",), "error"): _s("message"),
    (("log",), "info"): _s("message"),
    (("log",), "warning"): _s("message"),
}
"""Commands of menus beyond the verbs that their shape gives them."""

_EXISTING: frozenset[Path] = frozenset(
    path[:depth] for path in (*BY_PATH, *(path for path, _ in COMMANDS)) for depth in range(len(path) + 1)
)


def exists(path: Path) -> bool:
    return path in _EXISTING


@lru_cache(maxsize=1024)
def signature(path: Path, verb: str) -> Signature | None:  # noqa: PLR0912 - a branch a verb
    """What a command of a menu takes; None if there is no such command."""
    if (path, verb) in COMMANDS:
        return COMMANDS[path, verb]
    menu = BY_PATH.get(path)
    if menu is None:
        return _EXPORT if verb == "export" else None
    if verb not in menu.verbs:
        return None
    writable = frozenset(field.name for field in menu.fields.values() if not field.read_only)
    single = menu.shape is Shape.SINGLE or path in SINGLE_VIEWS
    match verb:
        case "add":
            return Signature(named=writable | {"place-before", "copy-from"})
        case "set" if single:
            return Signature(named=writable)
        case "set":
            return Signature(positional=("numbers",), named=writable | {"numbers"})
        case "get" if single:
            return _s("value-name")
        case "get" | "unset":
            return _s("numbers value-name")
        case "print":
            return _PRINT_SINGLE if single else _PRINT
        case "find":
            return Signature(named=frozenset(menu.fields))
        case "export":
            return _EXPORT
        case "comment":
            return _s("numbers comment")
        case "move":
            return _s("numbers destination")
        case "remove" | "enable" | "disable":
            return _s("numbers")
        case _:
            return None
