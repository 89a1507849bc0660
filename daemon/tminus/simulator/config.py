"""The configuration of one router: tables of items. A change replaces values, so that routers share their defaults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from .errors import RunError
from .menus import BY_PATH, Menu, Path, Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    id: int
    values: Mapping[str, str]  # as an export shows them; what equals the default may be missing
    dynamic: bool = False
    factory: Mapping[str, str] | None = None  # what it came with, for items that are always there
    exported: dict[str, str] = field(default_factory=dict, compare=False, repr=False)  # cache of export lines

    def get(self, menu: Menu, name: str) -> str | None:
        if name in self.values:
            return self.values[name]
        field = menu.fields.get(name)
        return field.default if field else None


@dataclass(slots=True, eq=False)
class Table:
    """The items of one menu. ``exported`` caches what an export makes of them; a table is never changed, only replaced."""

    menu: Menu
    items: tuple[Item, ...]
    exported: dict[str, str]

    @classmethod
    def of(cls, menu: Menu, items: Iterable[Item]) -> Table:
        return cls(menu, tuple(items), {})


EMPTY: Mapping[Path, Table] = MappingProxyType(
    {
        menu.path: Table.of(menu, [Item(id=1, values={})] if menu.shape is Shape.SINGLE else [])
        for menu in BY_PATH.values()
    }
)

INTERFACE_MENUS = tuple(menu.path for menu in BY_PATH.values() if menu.family == "interface" and menu.exported)


class Config:
    """Reads fall through to ``base``, which many routers share; writes stay here."""

    def __init__(self, base: Mapping[Path, Table] = EMPTY) -> None:
        self._base = base
        self._own: dict[Path, Table] = {}
        self._next: dict[str, int] = {}
        self.revision = 0  # counts the changes

    def table(self, path: Path) -> Table:
        return self._own.get(path) or self._base[path]

    def items(self, path: Path) -> tuple[Item, ...]:
        return self.table(path).items

    def freeze(self) -> Mapping[Path, Table]:
        """These tables as the base of other routers."""
        return MappingProxyType({**self._base, **self._own})

    def restore(self, tables: Mapping[Path, Table]) -> None:
        """Take whole tables over, as a backup or a reset does."""
        self._own.update(tables)
        self._next.clear()
        self.revision += 1

    def _replace(self, menu: Menu, items: Iterable[Item]) -> None:
        self._own[menu.path] = Table.of(menu, items)
        self.revision += 1

    def _family(self, menu: Menu) -> tuple[Path, ...]:
        return INTERFACE_MENUS if menu.family == "interface" else (menu.path,)

    def next_id(self, menu: Menu) -> int:
        if menu.family not in self._next:
            taken = [item.id for path in self._family(menu) for item in self.items(path)]
            self._next[menu.family] = max(taken, default=0) + 1
        number = self._next[menu.family]
        self._next[menu.family] = number + 1
        return number

    def add(self, menu: Menu, values: Mapping[str, str], *, dynamic: bool = False, before: int | None = None) -> Item:
        """Append an item, or put it before the one with id ``before``; refuses a duplicate."""
        self._refuse_duplicate(menu, Item(id=0, values=values))
        item = Item(id=self.next_id(menu), values=values, dynamic=dynamic)
        items = list(self.items(menu.path))
        places = [index for index, known in enumerate(items) if known.id == before]
        items.insert(places[0] if places else len(items), item)
        self._replace(menu, items)
        return item

    def extend(self, menu: Menu, rows: Iterable[Mapping[str, str]]) -> None:
        """Append many items that are known to be distinct; for building a base."""
        always = menu.shape is Shape.FIXED
        new = [Item(id=self.next_id(menu), values=row, factory=row if always else None) for row in rows]
        self._replace(menu, (*self.items(menu.path), *new))

    def change(self, menu: Menu, item: Item, values: Mapping[str, str]) -> None:
        """Set some values of an item."""
        changed = replace(item, values={**item.values, **values}, exported={})
        if any(name in values for name in menu.unique):
            self._refuse_duplicate(menu, changed)
        self._replace(menu, (changed if known.id == item.id else known for known in self.items(menu.path)))

    def unset(self, menu: Menu, item: Item, name: str) -> None:
        left = {key: value for key, value in item.values.items() if key != name}
        changed = replace(item, values=left, exported={})
        self._replace(menu, (changed if known.id == item.id else known for known in self.items(menu.path)))

    def remove(self, menu: Menu, item: Item) -> None:
        self._replace(menu, (known for known in self.items(menu.path) if known.id != item.id))

    def move(self, menu: Menu, item: Item, before: Item | None) -> None:
        items = [known for known in self.items(menu.path) if known.id != item.id]
        place = items.index(before) if before in items else len(items)
        self._replace(menu, (*items[:place], item, *items[place:]))

    def single(self, path: Path) -> Item:
        return self.items(path)[0]

    def value(self, path: Path, name: str) -> str:
        """A value of a menu with one item; empty if unset."""
        return self.single(path).get(BY_PATH[path], name) or ""

    def interfaces(self) -> list[tuple[Menu, Item]]:
        return [(BY_PATH[path], item) for path in INTERFACE_MENUS for item in self.items(path)]

    def interface_names(self) -> set[str]:
        return {item.values["name"] for _, item in self.interfaces()}

    def names(self, path: Path) -> set[str]:
        return {item.values["name"] for item in self.items(path)}

    def _refuse_duplicate(self, menu: Menu, new: Item) -> None:
        if not menu.unique:
            return
        first, *others = menu.unique
        wanted = new.get(menu, first)
        for path in self._family(menu):
            other_menu = BY_PATH[path]
            default = other_menu.fields[first].default
            for item in self.items(path):  # lists can be long: the first property sorts out most
                if item.values.get(first, default) != wanted or item.id == new.id:
                    continue
                if all(item.get(other_menu, name) == new.get(menu, name) for name in others):
                    raise RunError(menu.duplicate.format_map(new.values))
