"""The configuration of one router: tables of items. A change replaces values, so that routers share their defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TypeVar

from tminus.simulator.errors import RunError

from .menus import BY_PATH, find
from .schema import Menu, Path, Shape

T = TypeVar("T")
LAST_ID = 0x80000000  # the ids above are not given to what a user adds


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
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


Key = tuple[str | None, ...]


@dataclass(slots=True, eq=False)
class Table:
    """The items of one menu. ``exported`` caches what an export makes of them; a table is never changed, only replaced."""

    menu: Menu
    items: tuple[Item, ...]
    exported: dict[str, str]
    keys: dict[Key, int] | None = None  # the ids by what must be unique; made when it is needed

    @classmethod
    def of(cls, menu: Menu, items: Iterable[Item]) -> Table:
        return cls(menu, tuple(items), {})

    def index(self) -> dict[Key, int]:
        if self.keys is None:
            pairs = ((key_of(self.menu, item), item.id) for item in self.items)
            self.keys = {key: number for key, number in pairs if key is not None}
        return self.keys


def key_of(menu: Menu, item: Item) -> Key | None:
    """What no other item may have; None where nothing of it was given."""
    found = tuple(item.get(menu, name) for name in menu.unique)
    return (
        None
        if all(value == menu.fields[name].default for name, value in zip(menu.unique, found, strict=True))
        else found
    )


def empty(menu: Menu) -> Table:
    return Table.of(menu, [Item(id=1, values={})] if menu.shape is Shape.SINGLE else [])


@lru_cache(maxsize=1024)
def _untouched(path: Path) -> Table:
    """The table of a menu that no description mentions, of a router that has not touched it."""
    menu = find(path)
    if menu is None:
        raise KeyError(path)
    return empty(menu)


_ORDER = {path: place for place, path in enumerate(BY_PATH)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One item of a menu before and after, or all items of it before; enough to take it back."""

    menu: Menu
    old: Item | None = None
    new: Item | None = None
    place: int = 0
    items: tuple[Item, ...] | None = None


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
        self._dynamic: dict[Path, bool] = {}
        self._computed: dict[str, tuple[int, object]] = {}
        self._filled: tuple[Path, ...] | None = None
        self.revision = 0  # counts the changes
        self.latest: Change | None = None

    def table(self, path: Path) -> Table:
        return self._own.get(path) or self._base.get(path) or _untouched(path)

    def filled(self) -> tuple[Path, ...]:
        """The menus in which something is configured, in the order of an export; those without a description at its end."""
        if self._filled is None:
            paths = self._base.filled | self._own.keys()
            self._filled = tuple(sorted(paths, key=lambda path: (_ORDER.get(path, len(_ORDER)), path)))
        return self._filled

    def has_dynamic(self, path: Path) -> bool:
        """Whether there are, or were, dynamic items; without a look at each of a long list."""
        if path not in self._dynamic:
            self._dynamic[path] = any(item.dynamic for item in self.items(path))
        return self._dynamic[path]

    def items(self, path: Path) -> tuple[Item, ...]:
        return self.table(path).items

    def freeze(self) -> Base:
        """These tables as the base of other routers."""
        return Base({**self._base, **self._own})

    def restore(self, tables: Mapping[Path, Table]) -> None:
        """Take whole tables over, as a backup or a reset does. Their indexes stay with whoever else has them."""
        self._own.update({path: Table(table.menu, table.items, table.exported) for path, table in tables.items()})
        self._next.clear()
        self._dynamic.clear()
        self._filled = None
        self.revision += 1

    def become(self, tables: Mapping[Path, Table]) -> list[Path]:
        """Have these tables and no other; the menus that were different."""
        touched = [path for path in {**self._own, **tables} if self.table(path) is not tables.get(path)]
        self._own = {}
        self.restore({path: table for path, table in tables.items() if self._base.get(path) is not table})
        return touched

    def _replace(self, menu: Menu, items: tuple[Item, ...], keys: dict[Key, int] | None = None) -> None:
        if menu.path not in self._own:
            self._filled = None
        self._own[menu.path] = Table(menu, items, {}, keys)
        self.revision += 1

    def revert(self, change: Change) -> Change:
        """Take a change back; what was changed since stays. Its own opposite."""
        menu, items = change.menu, self.items(change.menu.path)
        if change.items is not None:
            self._replace(menu, change.items)
            return Change(menu=menu, items=items)
        current = next((item for item in items if change.new is not None and item.id == change.new.id), None)
        place = items.index(current) if current is not None else min(change.place, len(items))
        self._put(menu, current, change.old, place)
        return Change(menu=menu, old=current, new=change.old, place=place)

    def _put(self, menu: Menu, old: Item | None, new: Item | None, place: int) -> None:
        """Put an item in the place of another; None for nothing. Long lists are changed often: the index is kept."""
        self.latest = Change(menu=menu, old=old, new=new, place=place)
        table = self.table(menu.path)
        items = table.items[:place] + ((new,) if new is not None else ()) + table.items[place + (old is not None) :]
        keys = table.keys
        if keys is not None:
            keys = keys if menu.path in self._own else dict(keys)  # a base is not ours
            if old is not None and (key := key_of(menu, old)) is not None:
                keys.pop(key, None)
            if new is not None and (key := key_of(menu, new)) is not None:
                keys[key] = new.id
        self._replace(menu, items, keys)

    def kept(self, path: Path, item: Item) -> Item:
        """An item as it is now; itself if it is not kept any more."""
        items = self.items(path)
        try:
            return items[items.index(item)]
        except ValueError:  # changed since
            return next((known for known in items if known.id == item.id), item)

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
        if dynamic:
            self._dynamic[menu.path] = True
        items = self.items(menu.path)
        places = [] if before is None else [index for index, known in enumerate(items) if known.id == before]
        self._put(menu, None, item, places[0] if places else len(items))
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
        kept = self.kept(menu.path, item)
        self._put(menu, kept, changed, self.items(menu.path).index(kept))

    def remove(self, menu: Menu, item: Item) -> None:
        kept = self.kept(menu.path, item)
        if kept in self.items(menu.path):
            self._put(menu, kept, None, self.items(menu.path).index(kept))

    def move(self, menu: Menu, item: Item, before: Item | None) -> None:
        items = [known for known in self.items(menu.path) if known.id != item.id]
        place = items.index(before) if before in items else len(items)
        self.latest = Change(menu=menu, items=self.items(menu.path))
        self._replace(menu, (*items[:place], item, *items[place:]), self.table(menu.path).keys)

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
        key = key_of(menu, new) if menu.unique else None
        if key is None:
            return
        for path in self._family(menu):
            if self.table(path).index().get(key, new.id) != new.id:
                raise RunError(menu.duplicate.format_map(new.values))
