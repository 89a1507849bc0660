"""The menu tree of a router: the menus that ``tables/`` describes, and all others that the parser's device has.

What the tables do not describe is made from the parser's list of names: it keeps what it is given, unchecked, and knows no
defaults. So a script that touches ``/routing bgp connection`` runs, and its export shows what it wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from tminus.routeros.language import names
from tminus.simulator.versions import Version

from .schema import Field, Menu, Path, Selector, Shape
from .tables import firewall, interfaces, ip, system

__all__ = [
    "BY_PATH",
    "MENUS",
    "SINGLE_VIEWS",
    "Field",
    "Menu",
    "Path",
    "Selector",
    "Shape",
    "commands",
    "device",
    "find",
    "of_version",
]

SINGLE_VIEWS = system.SINGLE_VIEWS

_NOT_EXPORTED = frozenset({("certificate",), ("user", "ssh-keys"), ("disk",), ("ip", "hotspot", "cookie")})
_NO_PROPERTIES = frozenset({"numbers", "number", "copy-from", "place-before"})
_BOOLS = frozenset({"disabled", "enabled"})


def commands(path: Path) -> Mapping[str, names.Signature]:
    """The commands that the parser's device has in a menu."""
    menu = names.base().at(path)
    return menu.commands if menu is not None else {}


def _properties(path: Path) -> dict[str, Field]:
    """The properties that ``add`` and ``set`` take on the parser's device, of which nothing else is known."""
    known = [signature for signature in (commands(path).get(verb) for verb in ("add", "set")) if signature is not None]
    flags = frozenset[str]().union(*(signature.flags for signature in known))
    words = flags.union(*(signature.values for signature in known)) - _NO_PROPERTIES
    switches = _BOOLS.union(*(signature.switches for signature in known))
    fields = {}
    for name in sorted(words):
        kind = "flag" if name in flags else "bool" if name in switches else "text"
        required = "add" in commands(path) and name in commands(path)["add"].required
        fields[name] = Field(name=name, kind=kind, default="no" if name == "disabled" else None, required=required)
    return fields


def _completed(menu: Menu) -> Menu:
    """A described menu as the parser's device has it.

    The device may have properties that the description does not mention, and lack some that several menus share there.
    """
    known = _properties(menu.path)
    if not known or menu.shape is Shape.VIEW:
        return menu
    fields = {name: field for name, field in menu.fields.items() if field.read_only or name in known}
    for name, field in known.items():
        described = fields.get(name, field)
        fields[name] = replace(described, required=True) if field.required else described
    return replace(menu, fields=fields)


# In the order in which an export prints them: what is referred to comes before what refers to it.
MENUS: tuple[Menu, ...] = tuple(
    _completed(menu)
    for menu in (
        *interfaces.MENUS,
        *ip.POOLS,
        *system.PROFILES,
        *interfaces.MEMBERS,
        *ip.MENUS,
        *firewall.MENUS,
        *system.MENUS,
        *interfaces.VIEWS,
        *system.VIEWS,
    )
)

BY_PATH: Mapping[Path, Menu] = {menu.path: menu for menu in MENUS}


@lru_cache(maxsize=1024)
def find(path: Path) -> Menu | None:
    """A menu that has items; None if there is none at this path."""
    return BY_PATH.get(path) or _undescribed(path)


def _undescribed(path: Path) -> Menu | None:
    known = commands(path)
    if not path or not known.keys() & {"print", "get", "find", "set"}:
        return None
    shape, fields = Shape.VIEW, _properties(path)
    if "add" in known:
        shape = Shape.LIST
    elif "set" in known:
        shape = Shape.FIXED if {"numbers", "number"} & known["set"].values else Shape.SINGLE
    return Menu(
        path=path,
        fields=fields,
        shape=shape,
        noun=path[-1],
        unique=("name", *(("server",) if "server" in fields else ()))
        if shape is Shape.LIST and "name" in fields
        else (),
        duplicate="failure: already have such entry",
        family=" ".join(path),
        exported=shape is not Shape.VIEW and "export" in known and path not in _NOT_EXPORTED,
        selector=Selector.NAME,
    )


@lru_cache(maxsize=4096)
def of_version(menu: Menu, version: Version) -> Menu:
    """The menu without the properties that a version does not have."""
    lacking = version.missing_arguments(menu.path, "set")
    if not lacking & menu.fields.keys():
        return menu
    return replace(menu, fields={name: field for name, field in menu.fields.items() if name not in lacking})


_VERBS = {
    Shape.LIST: "add set remove enable disable comment move print get find export unset reset",
    Shape.FIXED: "set enable disable comment print get find export unset reset",
    Shape.SINGLE: "set print get export reset",
    Shape.VIEW: "print get find",
}
_MORE: Mapping[Path, tuple[str, ...]] = {("system", "routerboard"): ("upgrade",)}
_TARGETS = frozenset({"where", "numbers", "number", "value-name"})


@lru_cache(maxsize=64)
def device(version: Version) -> names.Menu:
    """The names that a version reads scripts by: those of the parser's device, and the described menus that it lacks.

    Its device is a virtual one: a router has ``/system routerboard`` besides. What the version does not have is left out, so
    it cannot be shortened to, and is refused as any other unknown name is.
    """
    root = _of_version(_all(), version, ())
    if root is None:
        raise AssertionError("a router without a menu")
    return root


@lru_cache(maxsize=1)
def _all() -> names.Menu:
    root = _copy(names.base())
    for menu in MENUS:
        here = root
        for word in menu.path:
            here = here.menus.setdefault(word, names.Menu())
        if not here.commands:
            writable = frozenset(name for name, field in menu.fields.items() if not field.read_only)
            for verb in (*_VERBS[menu.shape].split(), *_MORE.get(menu.path, ())):
                takes = writable if verb in ("add", "set", "reset") else frozenset()
                here.commands[verb] = names.Signature(
                    values=_TARGETS | takes, flags=frozenset(), required=(), unnamed=names.UNLIMITED
                )
    return root


def _copy(menu: names.Menu) -> names.Menu:
    return names.Menu(menus={name: _copy(inner) for name, inner in menu.menus.items()}, commands=dict(menu.commands))


def _of_version(menu: names.Menu, version: Version, path: Path) -> names.Menu | None:
    """A menu with what is in it, without what the version lacks; None if it lacks the menu."""
    if not version.has_menu(path):
        return None
    inner = {name: _of_version(below, version, (*path, name)) for name, below in menu.menus.items()}
    return names.Menu(
        menus={name: below for name, below in inner.items() if below is not None},
        commands={
            name: _without(signature, version.missing_arguments(path, name))
            for name, signature in menu.commands.items()
            if version.has_command(path, name)
        },
    )


def _without(signature: names.Signature, missing: frozenset[str]) -> names.Signature:
    if not missing:
        return signature
    return replace(
        signature,
        values=signature.values - missing,
        flags=signature.flags - missing,
        switches=signature.switches - missing,
        plain={spelling: name for spelling, name in signature.plain.items() if name not in missing},
        _found={},
    )
