"""Values that a property accepts, by its kind."""

from __future__ import annotations

from tminus.simulator.config.schema import Field, Menu

# Two of each kind, in the form in which an export shows them.
VALUES: dict[str, tuple[str, str]] = {
    "text": ("one", "two"),
    "num": ("7", "8"),
    "size": ("100KiB", "2MiB"),
    "bool": ("yes", "no"),
    "time": ("1m10s", "2h"),
    "prefix": ("10.7.0.1/24", "10.8.0.1/30"),
    "network": ("10.7.0.0/24", "10.8.0.0/30"),
    "net": ("10.7.0.0/24", "10.8.0.1-10.8.0.9"),
    "nets": ("10.7.0.0/24,10.8.0.1/32", "10.9.0.0/16"),
    "address": ("10.7.0.7", "10.7.0.8"),
    "host": ("10.7.0.7", "ntp.example.org"),
    "hosts": ("10.7.0.7", "ntp.example.org"),
    "mac": ("02:00:00:00:00:07", "02:00:00:00:00:08"),
    "range": ("10.7.0.10-10.7.0.20", "10.8.0.10-10.8.0.20"),
    "ports": ("80,443", "8000-8100"),
    "list": ("a,b", "c"),
    "policy": ("read,write", "ssh"),
    "rate": ("10M/5M", "512k/1G"),
    "interface": ("ether1", "bridge"),
    "interfaces": ("ether1,ether2", "bridge"),
    "iflist": ("WAN", "LAN"),
    "iflists": ("WAN,LAN", "WAN"),
    "bridge": ("bridge", "bridge"),
    "pool": ("default-dhcp", "default-dhcp"),
    "profile": ("default", "default-encryption"),
    "table": ("main", "main"),
    "group": ("full", "read"),
}

_SPECIAL = {
    # Where the form of a kind does not suffice, or the default configuration has the sample already.
    (("interface", "bridge", "port"), "interface"): "ether1",
    (("interface", "list", "member"), "interface"): "ether3",
    (("ip", "arp"), "address"): "10.7.0.7",
    (("ip", "dhcp-server"), "interface"): "ether1",
    (("ip", "firewall", "address-list"), "address"): "10.7.0.7",
    (("interface", "wireguard"), "private-key"): '"cHJpdmF0ZSBrZXkgb2YgYSBzaW11bGF0ZWQgcm91dGU="',
    (("ipv6", "pool"), "prefix"): "fd00::/48",
    (("queue", "tree"), "priority"): "7",
    (("ipv6", "address"), "address"): "fd00::1/64",
}


_IMPLIED = {
    (("interface", "wireguard"), "private-key"),
    (("system", "scheduler"), "policy"), (("system", "scheduler"), "start-date"), (("system", "scheduler"), "start-time"),
    (("system", "script"), "policy"),
}  # fmt: skip


def sample(menu: Menu, field: Field, place: int = 0) -> str:
    if (menu.path, field.name) in _SPECIAL:
        return _SPECIAL[menu.path, field.name]
    if field.kind == "enum":
        return field.words[place % len(field.words)]
    if field.kind == "words":
        return field.words[place]
    if field.bounds is not None and field.kind in ("num", "ports"):
        low, high = field.bounds
        return str(min(high, low + 2 + place))
    return VALUES[field.kind][place]


# What makes an item of a menu that requires nothing in particular.
_INSTEAD = {
    ("ip", "dns", "static"): ("name", "address"),
    ("ip", "dhcp-server", "lease"): ("address", "mac-address"),
    ("ip", "route"): ("dst-address", "gateway"),
    ("radius",): ("address",),
    ("routing", "rule"): ("dst-address",),
    ("system", "logging"): ("topics",),
    ("interface", "pppoe-server", "server"): ("interface", "service-name"),
    ("ipv6", "route"): ("gateway",),
}


def arguments(menu: Menu) -> dict[str, str]:
    """What ``add`` needs, and no more."""
    names = [field.name for field in menu.fields.values() if field.required]
    names += ["name"] if menu.auto else []
    names += [name for name in _INSTEAD.get(menu.path, ()) if name not in names]
    return {name: sample(menu, menu.fields[name]) for name in names}


def changes(menu: Menu) -> dict[str, tuple[str, str]]:
    """Properties beyond those of ``arguments``: another value than the default, and what takes it back."""
    found = {}
    for field in menu.fields.values():
        if field.read_only or field.name in arguments(menu) or field.kind == "flag" or menu.temporary == field.name:
            continue
        if menu.path == ("ip", "address") and field.name in ("netmask", "network"):
            continue  # they follow from the address
        if (menu.path, field.name) in _IMPLIED:
            continue  # a router fills these in
        default = field.default
        if default is None and field.kind in ("bool", "enum", "num", "prefix", "range"):
            continue  # nothing but unset takes these back
        options = [sample(menu, field, place) for place in (0, 1)]
        value = next((option for option in options if option != default), None)
        if value is not None:
            found[field.name] = (value, default if default else '""')
    return found
