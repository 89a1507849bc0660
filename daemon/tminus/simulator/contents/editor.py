"""The verbs that change a menu: ``add set remove enable disable comment move unset reset``."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from itertools import count
from types import MappingProxyType

from tminus.simulator.config.config import Item
from tminus.simulator.config.kinds import canonical
from tminus.simulator.config.quoting import quote
from tminus.simulator.config.references import referred, rename
from tminus.simulator.config.schema import Field, Menu, Path
from tminus.simulator.errors import RunError
from tminus.simulator.files import NO_SPACE, StorageFull
from tminus.simulator.journal import Kind
from tminus.simulator.router import Router
from tminus.simulator.values import ItemId, Value, argument_text

from .clock import set_clock
from .expiry import created, living
from .implied import implied
from .items import CLOCK, select, select_one
from .permissions import ALL
from .wireguard import keys

MAX_CONTENTS = 60_416  # of a file written by ``/file set``: seen accepted; 61,440 bytes were refused

_ABSENT: Mapping[tuple[Path, str], str] = {
    (("interface", "bonding"), "slaves"): "failure: need at least one slave interface"
}
_FILE = ("file",)
_INTERFACE = ("interface",)
_ADDRESS = ("ip", "address")
_WIREGUARD = ("interface", "wireguard")
_ENVIRONMENT = ("system", "script", "environment")


class Editor:
    """Changes a router's configuration on behalf of a user. ``listing`` as in ``select``."""

    def __init__(
        self,
        router: Router,
        by: str,
        may: frozenset[str] = ALL,
        listing: Mapping[Path, Sequence[int]] | None = None,
    ) -> None:
        self._router = router
        self._by = by
        self._may = may
        self._listing = listing

    def add(self, menu: Menu, args: Mapping[str, Value]) -> ItemId:
        given = {name: argument_text(value) for name, value in args.items()}
        if menu.path == _FILE:
            return self._add_file(given)
        before = args.get("place-before")
        given.pop("place-before", None)
        if "copy-from" in given:
            source = select_one(self._router, menu, args["copy-from"], self._listing)
            given.pop("copy-from")
            copied = {
                name: value
                for name, value in source.values.items()
                if name in menu.fields and not menu.fields[name].read_only
            }
            given = {**copied, **given}
        if menu.auto and not given.get("name"):
            given["name"] = self._free_name(menu)
        missing = [field.name for field in menu.fields.values() if field.required and field.name not in given]
        if missing:
            raise RunError(
                _ABSENT.get((menu.path, missing[0])) or f"missing value(s) of argument(s) {' '.join(missing)}"
            )
        values = {name: value for name, value in self._canonical(menu, given).items() if value is not None}
        values = {**implied(self._router, menu, self._by, self._may, values), **values}
        if menu.path == _WIREGUARD:
            values |= keys(values, new=True)
        place = select_one(self._router, menu, before, self._listing).id if before is not None else None
        dynamic = menu.temporary in values and values[menu.temporary] != "none-static"
        if dynamic:
            values |= created(self._router)
        if menu.temporary:
            living(self._router, menu)  # what has ended is no duplicate
        item = self._router.config.add(menu, values, dynamic=dynamic, before=place)
        self._note(menu, "add", item.id, given)
        return ItemId(item.id)

    def _free_name(self, menu: Menu) -> str:
        """What RouterOS calls an item that was given no name: ``bridge1``, ``pool2``."""
        config = self._router.config
        taken = set(referred(config, "interface")) if menu.family == "interface" else config.names(menu.path)
        return next(name for number in count(1) if (name := f"{menu.auto}{number}") not in taken)

    def select(self, menu: Menu, numbers: Value) -> list[Item]:
        return select(self._router, menu, numbers, self._listing)

    def set(self, menu: Menu, items: Sequence[Item], args: Mapping[str, Value], unset: Sequence[str] = ()) -> None:
        """Set properties, and take some away."""
        given = {name: argument_text(value) for name, value in args.items()}
        for item in items:
            if menu.path == _FILE:
                self._set_file(item, given)
                continue
            if menu.path == CLOCK:
                given = set_clock(self._router, given)
            if menu.path == _ENVIRONMENT:
                self._router.globals[item.values["name"]] = args.get("value")
                continue
            owner, current = self._kept(menu, item)
            if current.dynamic and not owner.temporary:
                raise RunError(f"failure: can not change dynamic {menu.noun}")
            values = {**self._canonical(owner, given, current.values), **_without(owner, unset)}
            if owner.path == _WIREGUARD:
                values |= keys(values, new=False)
            if current.dynamic and owner.temporary in values:
                values |= created(self._router)
            self._router.config.change(owner, current, values)
            self._renamed(owner, current, values.get("name"))
            self._note(owner, "set", item.id, given)

    def unset(self, menu: Menu, items: Sequence[Item], name: str) -> None:
        if name not in menu.fields or menu.fields[name].read_only:
            raise RunError("input does not match any value of value-name", argument="value-name")
        for item in items:
            owner, current = self._kept(menu, item)
            self._router.config.change(owner, current, _without(owner, [name]))
            self._note(menu, "unset", item.id, {"value-name": name})

    def reset(self, menu: Menu, items: Sequence[Item], names: Sequence[str]) -> None:
        """Back to what the item came with; all properties if none is named [uncertain: no transcript]."""
        for item in items:
            owner, current = self._kept(menu, item)
            kept = {field.name for field in owner.fields.values() if field.required or field.read_only}
            chosen = [name for name in names or current.values if name not in kept | {"name", "comment"}]
            factory = current.factory or {}
            self._router.config.change(owner, current, {name: factory.get(name) for name in chosen})
            self._note(owner, "reset", item.id, {})

    def remove(self, menu: Menu, items: Sequence[Item]) -> None:
        for item in items:
            if menu.path == _FILE:
                name = item.values["name"]
                if self._router.files.remove(name):
                    self._router.record(Kind.FILE_REMOVED, name=name)
                continue
            if menu.path == _ENVIRONMENT:
                self._router.globals.pop(item.values["name"], None)
                continue
            if item.dynamic and not menu.temporary:
                raise RunError(f"failure: can not remove dynamic {menu.noun}")
            if item.values.get("builtin") == "yes" or item.factory is not None:
                raise RunError("failure: can not remove builtin item")  # [uncertain: no transcript]
            self._router.config.remove(menu, item)
            self._renamed(menu, item, str(ItemId(item.id)))
            self._note(menu, "remove", item.id, {})

    def move(self, menu: Menu, items: Sequence[Item], destination: Value) -> None:
        before = select_one(self._router, menu, destination, self._listing) if destination is not None else None
        for item in items:
            self._router.config.move(menu, item, before)
            self._note(menu, "move", item.id, {})

    def _kept(self, menu: Menu, item: Item) -> tuple[Menu, Item]:
        """Where an item is kept, and as what: ``/interface`` shows those of the menus below it."""
        if menu.path == _INTERFACE:
            return next(pair for pair in self._router.config.interfaces() if pair[1].id == item.id)
        return menu, self._router.config.kept(menu.path, item)

    def _renamed(self, menu: Menu, item: Item, name: str | None) -> None:
        old = item.values.get("name")
        if old is not None and name is not None and name != old:
            rename(self._router.config, menu.path, old, name)

    def _canonical(
        self, menu: Menu, given: Mapping[str, str], current: Mapping[str, str] = MappingProxyType({})
    ) -> dict[str, str | None]:
        """The values to keep; None for those that were emptied."""
        values: dict[str, str | None] = {}
        for name, text in given.items():
            field = menu.fields.get(name) or Field(name=name)
            value = canonical(field, text, self._router.config)
            if value == "" and name == "name" and "name" in menu.unique:
                raise RunError("invalid value for argument name", argument="name")  # [uncertain: no transcript]
            values[name] = None if value == "" and field.default is None else value
        if menu.path == _ADDRESS and not values.keys().isdisjoint({"address", "netmask", "network"}):
            _with_netmask(values, current.get("address"))
        return values

    def _note(self, menu: Menu, verb: str, item: int, given: Mapping[str, str]) -> None:
        public = {name: text for name, text in given.items() if name not in menu.fields or not menu.fields[name].secret}
        words = [f"{name}={quote(text)}" for name, text in public.items()]
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


def _without(menu: Menu, names: Sequence[str]) -> dict[str, str | None]:
    """Properties taken away. RunError for one that an item must have [uncertain: no transcript has the words]."""
    for name in names:
        if name == "name" or (name in menu.fields and menu.fields[name].required):
            raise RunError(f"failure: can not unset {name}")
    return dict.fromkeys(names)


def _network(address: str | None) -> str | None:
    return str(ipaddress.ip_interface(address).network.network_address) if address else None


def _with_netmask(values: dict[str, str | None], current: str | None) -> None:
    """An address has its network beside it; a mask that was given apart becomes the length."""
    mask, given = values.pop("netmask", None), values.get("address") or current
    if mask is not None:
        address = str(given).partition("/")[0]
        try:
            values["address"] = str(ipaddress.ip_interface(f"{address}/{mask}"))
        except ValueError:
            raise RunError("invalid value for argument netmask", argument="netmask") from None
    if values.get("network") is None:
        values["network"] = _network(values.get("address") or current)


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
