"""The menu tree of a router: the menus that ``tables/`` describes, and all others that the parser's device has.

What the tables do not describe is made from the parser's list of names: it keeps what it is given, unchecked, and knows no
defaults. So a script that touches ``/routing bgp connection`` runs, and its export shows what it wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from tminus.routeros.language import names

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
    "exists",
    "find",
]

SINGLE_VIEWS = system.SINGLE_VIEWS

_NOT_EXPORTED = frozenset({("certificate",), ("user", "ssh-keys"), ("disk",), ("ip", "hotspot", "cookie")})
_NO_PROPERTIES = frozenset(
    {
        "numbers",
        "number",
        "copy-from",
        "place-before",
        "where",
        "file",
        "proplist",
        "interval",
        "as-string",
        "value-name",
    }
)
_BOOLS = frozenset({"disabled", "enabled"})


def commands(path: Path) -> Mapping[str, names.Signature]:
    """The commands that the parser's device has in a menu."""
    menu = names.base().at(path)
    return menu.commands if menu is not None else {}


def _properties(path: Path) -> dict[str, Field]:
    """The properties that ``add`` and ``set`` take on the parser's device, of which nothing else is known."""
    fields = {}
    for signature in (commands(path).get(verb) for verb in ("add", "set")):
        for name in sorted((signature.values | signature.flags) - _NO_PROPERTIES) if signature is not None else ():
            kind = "flag" if signature and name in signature.flags else "bool" if name in _BOOLS else "text"
            fields[name] = Field(name=name, kind=kind, default="no" if name == "disabled" else None)
    return fields


def _completed(menu: Menu) -> Menu:
    """A described menu with the properties that its description does not mention."""
    more = {name: field for name, field in _properties(menu.path).items() if name not in menu.fields}
    return replace(menu, fields={**menu.fields, **more}) if menu.shape is not Shape.VIEW else menu


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
    shape = Shape.VIEW
    if "add" in known:
        shape = Shape.LIST
    elif "set" in known:
        shape = Shape.FIXED if {"numbers", "number"} & known["set"].values else Shape.SINGLE
    return Menu(
        path=path,
        fields=_properties(path),
        shape=shape,
        noun=path[-1],
        unique=("name",) if shape is Shape.LIST and "name" in known["add"].required else (),
        duplicate="failure: already have such entry",
        family=" ".join(path),
        exported=shape is not Shape.VIEW and "export" in known and path not in _NOT_EXPORTED,
        selector=Selector.NAME,
        described=False,
    )


_EXISTING: frozenset[Path] = frozenset(path[:depth] for path in BY_PATH for depth in range(len(path) + 1))


def exists(path: Path) -> bool:
    return path in _EXISTING or names.base().at(path) is not None
