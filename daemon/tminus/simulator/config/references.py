"""Which properties name an item of another menu, so that a rename or a removal there is seen here.

RouterOS keeps such a reference as the item's id: after a rename the new name is shown everywhere, and after a removal the
bare id (``interface=*B``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .config import INTERFACE_MENUS, Config
from .menus import MENUS
from .schema import Menu, Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    menus: tuple[Path, ...]
    several: bool = False  # the property is a list of names
    always: tuple[str, ...] = ()  # names that need no item


REFERENCES: Mapping[str, Target] = {
    "interface": Target(menus=INTERFACE_MENUS),
    "interfaces": Target(menus=INTERFACE_MENUS, several=True),
    "bridge": Target(menus=(("interface", "bridge"),)),
    "iflist": Target(menus=(("interface", "list"),)),
    "iflists": Target(menus=(("interface", "list"),), several=True),
    "pool": Target(menus=(("ip", "pool"),)),
    "profile": Target(menus=(("ppp", "profile"),)),
    "table": Target(menus=(("routing", "table"),), always=("main",)),
    "group": Target(menus=(("user", "group"),)),
}
"""By the kind of the property that refers."""


def referred(config: Config, kind: str) -> Iterator[str]:
    """The names that a property of this kind may have."""
    target = REFERENCES[kind]
    yield from target.always
    for path in target.menus:
        for item in config.items(path):
            yield item.values["name"]


def _referring() -> Mapping[Path, tuple[tuple[Menu, str], ...]]:
    """For each menu that is referred to: which properties of which menus do so."""
    found: dict[Path, list[tuple[Menu, str]]] = {}
    for menu in MENUS:
        for field in menu.fields.values():
            if field.kind in REFERENCES and not field.read_only:
                for path in REFERENCES[field.kind].menus:
                    found.setdefault(path, []).append((menu, field.name))
    return {path: tuple(pairs) for path, pairs in found.items()}


_REFERRING = _referring()


def rename(config: Config, path: Path, old: str, new: str) -> None:
    """An item of the menu at ``path`` is called otherwise now: so do all that refer to it."""
    for menu, name in _REFERRING.get(path, ()):
        several = REFERENCES[menu.fields[name].kind].several
        for item in config.items(menu.path):
            value = item.values.get(name)
            if value is None or old not in value:
                continue
            changed = _renamed(value, old, new, several=several)
            if changed != value:
                config.change(menu, item, {name: changed})


def _renamed(value: str, old: str, new: str, *, several: bool) -> str:
    if several:
        return ",".join(new if part == old else part for part in value.split(","))
    mark = "!" if value.startswith("!") else ""
    return mark + new if value.removeprefix("!") == old else value
