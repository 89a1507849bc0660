"""The verbs that change a menu: ``add set remove enable disable comment move unset``."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

from .config import Item
from .errors import RunError
from .export import quote
from .files import StorageFull
from .implied import implied
from .journal import Kind
from .kinds import canonical
from .menus import BY_PATH, Menu
from .permissions import ALL
from .router import Router
from .values import Array, ItemId, Value, argument_text
from .views import rows

MAX_CONTENTS = 60_416  # of a file written by ``/file set``: seen accepted; 61,440 bytes were refused

NO_SPACE = "failure: no space left on device"  # uncertain: no transcript has the router's own words

_FILE = ("file",)
_INTERFACE = ("interface",)


def listed(router: Router, menu: Menu) -> Sequence[Item]:
    """The items of a menu, kept or computed."""
    computed = rows(router, menu.path)
    return router.config.items(menu.path) if computed is None else computed


def select(router: Router, menu: Menu, numbers: Value) -> list[Item]:
    """The items that ``numbers`` names: ids, names, places in the list, or several of them."""
    if isinstance(numbers, Array):
        return [item for number in numbers.values for item in select(router, menu, number)]
    known = listed(router, menu)
    text = argument_text(numbers)
    if isinstance(numbers, str) and "," in text:
        return [item for part in text.split(",") for item in select(router, menu, part)]
    if text.startswith("*"):
        found = [item for item in known if str(ItemId(item.id)) == text.upper()]
    else:
        found = [item for item in known if item.values.get("name") == text and text]
        if not found and text.isdigit() and int(text) < len(known):
            found = [known[int(text)]]
    if not found:
        raise RunError("no such item")
    return found


class Editor:
    """Changes a router's configuration on behalf of a user."""

    def __init__(self, router: Router, by: str, may: frozenset[str] = ALL) -> None:
        self._router = router
        self._by = by
        self._may = may

    def add(self, menu: Menu, args: Mapping[str, Value]) -> ItemId:
        given = {name: argument_text(value) for name, value in args.items()}
        if menu.path == _FILE:
            return self._add_file(given)
        before = given.pop("place-before", None)
        if "copy-from" in given:
            source = select(self._router, menu, args["copy-from"])[0]
            given.pop("copy-from")
            given = {**source.values, **given}
        missing = [field.name for field in menu.fields.values() if field.required and field.name not in given]
        if missing:
            raise RunError(f"missing value(s) of argument(s) {' '.join(missing)}")
        values = self._canonical(menu, given)
        values = {**implied(self._router, menu, self._by, self._may, values), **values}
        place = select(self._router, menu, before)[0].id if before is not None else None
        item = self._router.config.add(menu, values, before=place)
        self._note(menu, "add", item.id, given)
        return ItemId(item.id)

    def set(self, menu: Menu, items: Sequence[Item], args: Mapping[str, Value]) -> None:
        given = {name: argument_text(value) for name, value in args.items()}
        for item in items:
            if menu.path == _FILE:
                self._set_file(item, given)
                continue
            owner, current = self._owner(menu, item)
            if current.dynamic:
                raise RunError(f"failure: can not change dynamic {menu.noun}")
            self._router.config.change(owner, current, self._canonical(owner, given))
            self._note(owner, "set", item.id, given)

    def unset(self, menu: Menu, items: Sequence[Item], name: str) -> None:
        if name not in menu.fields:
            raise RunError("input does not match any value of value-name", argument="value-name")
        for item in items:
            self._router.config.unset(menu, item, name)
            self._note(menu, "unset", item.id, {"value-name": name})

    def remove(self, menu: Menu, items: Sequence[Item]) -> None:
        for item in items:
            if menu.path == _FILE:
                name = item.values["name"]
                if self._router.files.remove(name):
                    self._router.record(Kind.FILE_REMOVED, name=name)
                continue
            if item.dynamic:
                raise RunError(f"failure: can not remove dynamic {menu.noun}")
            if item.values.get("builtin") == "yes":
                raise RunError("failure: can not remove builtin item")
            self._router.config.remove(menu, item)
            self._note(menu, "remove", item.id, {})

    def move(self, menu: Menu, items: Sequence[Item], destination: Value) -> None:
        before = select(self._router, menu, destination)[0] if destination is not None else None
        for item in items:
            self._router.config.move(menu, item, before)
            self._note(menu, "move", item.id, {})

    def _owner(self, menu: Menu, item: Item) -> tuple[Menu, Item]:
        """Where an item is kept: ``/interface`` shows those of the menus below it."""
        if menu.path != _INTERFACE:
            return menu, item
        return next(pair for pair in self._router.config.interfaces() if pair[1].id == item.id)

    def _canonical(self, menu: Menu, given: Mapping[str, str]) -> dict[str, str]:
        config = self._router.config
        values = {name: canonical(menu.fields[name], text, config) for name, text in given.items()}
        if menu.path == ("ip", "address") and "address" in values and "network" not in values:
            values["network"] = str(ipaddress.ip_interface(values["address"]).network.network_address)
        return values

    def _note(self, menu: Menu, verb: str, item: int, given: Mapping[str, str]) -> None:
        secret = {field.name for field in menu.fields.values() if field.secret}
        words = [f"{name}={quote(text)}" for name, text in given.items() if name not in secret]
        number = [f"*{item:X}"] if verb != "add" else []
        self._router.changed(menu, verb, item, self._by, " ".join([f"{menu.text}/{verb}", *number, *words]))

    def _add_file(self, given: Mapping[str, str]) -> ItemId:
        name = given.get("name")
        if not name:
            raise RunError("missing value(s) of argument(s) name")
        if self._router.files.raw(name):
            raise RunError("failure: file already exists")
        return ItemId(_put(self._router, name, given.get("contents", "")))

    def _set_file(self, item: Item, given: Mapping[str, str]) -> None:
        name = item.values["name"]
        if "contents" in given:
            _put(self._router, name, given["contents"])
        if "name" in given:
            self._router.files.rename(name, given["name"])


def _contents(text: str) -> bytes:
    content = text.encode("utf-8", "surrogateescape")
    if len(content) > MAX_CONTENTS:
        raise RunError("failure: contents too long")
    return content


def _put(router: Router, name: str, text: str) -> int:
    """Write a file; its id."""
    try:
        return router.files.put(name, _contents(text)).id
    except StorageFull:
        raise RunError(NO_SPACE) from None


FILE_MENU = BY_PATH[_FILE]
