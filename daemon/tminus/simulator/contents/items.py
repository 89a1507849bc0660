"""The items of a menu: which there are, which ones a command means, and what ``get`` and ``find`` see of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tminus.simulator.config.config import Item
from tminus.simulator.config.kinds import typed
from tminus.simulator.config.schema import Menu, Path
from tminus.simulator.errors import RunError
from tminus.simulator.router import Router
from tminus.simulator.values import Array, ItemId, Value, argument_text, literal

from .clock import ticking
from .expiry import living
from .views import derived, mac_of, rows

CLOCK = ("system", "clock")


def listed(router: Router, menu: Menu) -> Sequence[Item]:
    """The items of a menu, kept or computed."""
    computed = rows(router, menu.path)
    if menu.path == CLOCK:
        kept = router.config.single(CLOCK)
        return (replace(kept, values={**kept.values, **ticking(router)}),)
    if menu.temporary:
        return living(router, menu)
    return (*router.config.items(menu.path), *derived(router, menu.path)) if computed is None else computed


def select(
    router: Router, menu: Menu, numbers: Value, listing: Mapping[Path, Sequence[int]] | None = None
) -> list[Item]:
    """The items that ``numbers`` names: ids, names, places in the list, or several of them.

    A place is that in what the session printed last (``listing``: ids by menu), else in the list as it is now.
    """
    known = listed(router, menu)
    if isinstance(numbers, Array):
        by_id = {item.id: item for item in known}  # find may give many
        found = [
            [by_id[number.number]]
            if isinstance(number, ItemId) and number.number in by_id
            else select(router, menu, number, listing)
            for number in numbers.values
        ]
        return [item for items in found for item in items]
    text = argument_text(numbers)
    if isinstance(numbers, str) and "," in text:
        return [item for part in text.split(",") for item in select(router, menu, part, listing)]
    return _named(known, text, (listing or {}).get(menu.path))


def select_one(router: Router, menu: Menu, number: Value, listing: Mapping[Path, Sequence[int]] | None = None) -> Item:
    """The first of the items that are meant; RunError if there is none."""
    found = select(router, menu, number, listing)
    if not found:
        raise RunError("no such item")
    return found[0]


def _named(known: Sequence[Item], text: str, printed: Sequence[int] | None) -> list[Item]:
    """The items with this id, name, or place; several may have a name."""
    number: int | None = None
    if isinstance(wanted := literal(text), ItemId):
        number = wanted.number
    elif found := [item for item in known if text and item.values.get("name") == text]:
        return found
    elif text.isascii() and text.isdigit() and len(text) < 10:
        ids = printed or [item.id for item in known]
        number = ids[int(text)] if int(text) < len(ids) else None
    matching = [item for item in known if item.id == number]
    if not matching:
        raise RunError("no such item")
    return matching


def property_of(router: Router, menu: Menu, item: Item, name: str) -> Value:
    """What ``get`` and ``find`` see of an item: its properties, and its state, which no export shows."""
    disabled = item.get(menu, "disabled") == "yes"
    match name:
        case ".id":
            return ItemId(item.id)
        case "dynamic":
            return item.dynamic
        case "static" if "static" not in item.values:
            return not item.dynamic
        case "builtin":
            return item.values.get("builtin") == "yes"
        case "default" if name not in item.values:
            return item.factory is not None
        case "running" | "active" if name not in item.values:
            return not disabled
        case "invalid" | "inactive" if name not in item.values:
            return not disabled and any(value.startswith("*") for value in item.values.values())
        case "slave":
            ports = router.config.items(("interface", "bridge", "port"))
            return any(port.values.get("interface") == item.values.get("name") for port in ports)
        case "actual-mtu" if name not in item.values:
            return typed(menu.fields[name], item.get(menu, "mtu")) if name in menu.fields else None
        case "mac-address" if menu.family == "interface" and name in menu.fields:
            return mac_of(router.config, item)
        case "actual-interface":
            return item.values.get("interface")
    field = menu.fields.get(name)
    return typed(field, item.get(menu, name)) if field else None
