"""The configuration of one router: tables of items. A change replaces values, so that routers share their defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from .errors import RunError
from .menus import BY_PATH, find
from .schema import Menu, Path, Shape

T = TypeVar("T")
LAST_ID = 0x80000000  # the ids above are not given to what a user adds


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


def empty(menu: Menu) -> Table:
    return Table.of(menu, [Item(id=1, values={})] if menu.shape is Shape.SINGLE else [])


_ORDER = {path: place for place, path in enumerate(BY_PATH)}


class Base(dict[Path, Table]):
    """Tables that many routers share; nobody changes them."""

    def __init__(self, tables: Mapping[Path, Table]) -> None:
        super().__init__(tables)
        self.filled = frozenset(
            path for path, table in tables.items() if any(item.values for item in table.items)
        )  # what is left out exports nothing


EMPTY = Base({menu.path: empty(menu) for menu in BY_PATH.values()})

INTERFACE_MENUS = tuple(menu.path for menu in BY_PATH.values() if menu.family == "interface" and menu.exported)


class Config:
    """Reads fall through to ``base``, which many routers share; writes stay here."""

    def __init__(self, base: Base = EMPTY) -> None:
        self._base = base
        self._own: dict[Path, Table] = {}
        self._next: dict[str, int] = {}
        self._computed: dict[str, tuple[int, object]] = {}
        self._filled: tuple[Path, ...] | None = None
        self.revision = 0  # counts the changes

    def table(self, path: Path) -> Table:
        table = self._own.get(path) or self._base.get(path)
        if table is None:  # a menu that no table describes, and that this router has not touched
            menu = find(path)
            if menu is None:
                raise KeyError(path)
            table = empty(menu)
        return table

    def filled(self) -> tuple[Path, ...]:
        """The menus in which something is configured, in the order of an export; those without a description at its end."""
        if self._filled is None:
            paths = self._base.filled | self._own.keys()
            self._filled = tuple(sorted(paths, key=lambda path: (_ORDER.get(path, len(_ORDER)), path)))
        return self._filled

    def items(self, path: Path) -> tuple[Item, ...]:
        return self.table(path).items

    def freeze(self) -> Base:
        """These tables as the base of other routers."""
        return Base({**self._base, **self._own})

    def _replace(self, menu: Menu, items: Iterable[Item]) -> None:
        if menu.path not in self._own:
            self._filled = None
        self._own[menu.path] = Table.of(menu, items)
        self.revision += 1

    def _family(self, menu: Menu) -> tuple[Path, ...]:
        return INTERFACE_MENUS if menu.family == "interface" else (menu.path,)

    def next_id(self, menu: Menu) -> int:
        if menu.family not in self._next:
            taken = [item.id for path in self._family(menu) for item in self.items(path) if item.id < LAST_ID]
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

    def extend(
        self, menu: Menu, rows: Iterable[Mapping[str, str]], *, factory: bool = False, number: int | None = None
    ) -> None:
        """Append many items that are known to be distinct; for building a base.

        ``factory``: they are always there. ``number``: the id of the only row.
        """
        always = factory or menu.shape is Shape.FIXED
        new = [
            Item(id=self.next_id(menu) if number is None else number, values=row, factory=row if always else None)
            for row in rows
        ]
        self._replace(menu, (*self.items(menu.path), *new))

    def change(self, menu: Menu, item: Item, values: Mapping[str, str | None]) -> None:
        """Set some values of an item; None takes one away."""
        merged = {**item.values, **values}
        left = {name: value for name, value in merged.items() if value is not None}
        changed = replace(item, values=left, exported={})
        if any(name in values for name in menu.unique):
            self._refuse_duplicate(menu, changed)
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
        return self.single(path).get(self.table(path).menu, name) or ""

    def interfaces(self) -> list[tuple[Menu, Item]]:
        return [(BY_PATH[path], item) for path in INTERFACE_MENUS for item in self.items(path)]

    def computed(self, name: str, compute: Callable[[Config], T]) -> T:
        """What is made from the configuration alone, until it changes."""
        held = self._computed.get(name)
        if held is None or held[0] != self.revision:
            held = self._computed[name] = (self.revision, compute(self))
        return held[1]  # type: ignore[return-value]  # the caller asks for a name with one function only

    def names(self, path: Path) -> set[str]:
        return {item.values["name"] for item in self.items(path)}

    def _refuse_duplicate(self, menu: Menu, new: Item) -> None:
        if not menu.unique or all(new.get(menu, name) == menu.fields[name].default for name in menu.unique):
            return
        first, *others = menu.unique
        wanted = new.get(menu, first)
        for path in self._family(menu):
            other_menu = menu if path == menu.path else BY_PATH[path]
            default = other_menu.fields[first].default
            for item in self.items(path):  # lists can be long: the first property sorts out most
                if item.values.get(first, default) != wanted or item.id == new.id:
                    continue
                if all(item.get(other_menu, name) == new.get(menu, name) for name in others):
                    raise RunError(menu.duplicate.format_map(new.values))
