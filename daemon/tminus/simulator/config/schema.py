"""How the tables of menus are written down: a field is a word, a menu is a call of ``menu``.

A field is ``name``, ``name!`` (required by ``add``), ``name:kind``, ``name:kind=default``, with marks in front:

====  =====================================================================
``-``  read-only
``?``  read-only, and shown by ``get`` and ``find`` alone: counters and state
``#``  secret
``^``  may be negated with a leading ``!``
``+``  exported even where it has its default
====  =====================================================================

A kind is a word of ``kinds.py`` (``bool``, ``time``, ``prefix`` ...), ``num[1..4094]`` with its bounds, the allowed words
``a|b|c``, or a kind and the words that it takes besides: ``pool|static-only``. Values are kept as the text that an export shows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

Path = tuple[str, ...]

DISABLED = "disabled:bool=no"
TAIL = f"comment {DISABLED}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Field:
    name: str
    kind: str = "text"  # "enum" if only words are allowed
    words: tuple[str, ...] = ()  # allowed as they are
    bounds: tuple[int, int] | None = None
    default: str | None = None  # what an item has that was not given one; not exported
    required: bool = False
    read_only: bool = False
    quiet: bool = False
    secret: bool = False
    negatable: bool = False
    always: bool = False


class Shape(Enum):
    LIST = "list"
    FIXED = "fixed"  # a list to which nothing can be added
    SINGLE = "single"  # one item, no list
    VIEW = "view"  # computed from the router's state, read-only


class Selector(Enum):
    """How an export names an item that came with the router: the value is shown for a first item named ``x``."""

    NAME = "set x"
    DEFAULT_NAME = "set [ find default-name=x ]"
    DEFAULT = "set [ find default=yes ]"
    ID = "set *0"
    PLACE = "set 0"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Menu:
    path: Path
    fields: Mapping[str, Field]
    shape: Shape
    noun: str  # as the log names an item: "address added by admin"
    unique: tuple[str, ...]  # two items must differ in one of these
    duplicate: str  # what RouterOS says if they do not; {field} is filled in
    family: str  # menus of one family share item ids and the uniqueness rule
    exported: bool
    selector: Selector
    columns: tuple[str, ...] = ()  # of a printed table; empty: those with a value
    prose: bool = False  # printed in the form of ``print detail`` unless another is asked for
    auto: str = ""  # what an item without a name is called, with a number behind it
    temporary: str = ""  # an item that is given this property is dynamic: it is not exported, and may be removed

    @property
    def text(self) -> str:
        return "/" + "/".join(self.path)


_FIELD = re.compile(r"([-#?^+]*)([a-z0-9-]+)(!?)(?::([A-Za-z0-9|.\[\]+-]+))?(?:=(\S*))?")
_KIND = re.compile(r"([a-z]+)(?:\[(\d+)\.\.(\d+)\])?")


def field(text: str, kinds: frozenset[str]) -> Field:
    """Read one word of a table; ValueError if it is none."""
    found = _FIELD.fullmatch(text)
    if found is None:
        raise ValueError(f"no field: {text}")
    marks, name, required, kind, default = found.groups()
    first, *rest = (kind or "text").split("|")
    known = _KIND.fullmatch(first)
    bounds = None
    if known is not None and known[1] in kinds:
        words, kind = tuple(rest), known[1]
        if known[2]:
            bounds = (int(known[2]), int(known[3]))
    elif rest:
        words, kind = (first, *rest), "enum"
    else:
        raise ValueError(f"no kind: {text}")
    return Field(
        name=name,
        kind=kind,
        words=words,
        bounds=bounds,
        default=default,
        required=bool(required),
        read_only="-" in marks or "?" in marks,
        quiet="?" in marks,
        secret="#" in marks,
        negatable="^" in marks,
        always="+" in marks,
    )


_KINDS = (
    "text num size bool flag time prefix network net nets address host hosts mac range ports list words policy rate "
    "interface interfaces iflist iflists bridge pool profile table group"
)
KINDS = frozenset(_KINDS.split())
"""What a value may be; ``kinds.py`` says how each is read."""


def menu(
    path: str,
    fields: str,
    shape: Shape = Shape.LIST,
    *,
    noun: str = "",
    unique: str = "",
    duplicate: str = "failure: already have such entry",
    family: str = "",
    exported: bool = True,
    selector: Selector = Selector.NAME,
    columns: str = "",
    prose: bool = False,
    auto: str = "",
    temporary: str = "",
) -> Menu:
    parts = tuple(path.split())
    return Menu(
        path=parts,
        fields={known.name: known for known in (field(text, KINDS) for text in fields.split())},
        shape=shape,
        noun=noun or parts[-1],
        unique=tuple(unique.split()),
        duplicate=duplicate,
        family=family or path,
        exported=exported and shape is not Shape.VIEW,
        selector=selector,
        columns=tuple(columns.split()),
        prose=prose,
        auto=auto,
        temporary=temporary,
    )


def interface(
    path: str, fields: str, shape: Shape = Shape.LIST, *, selector: Selector = Selector.NAME, auto: str = ""
) -> Menu:
    """A menu of interfaces: they share their names and ids."""
    return menu(
        path,
        fields,
        shape,
        noun="device",
        unique="name",
        duplicate="failure: already have interface with name {name}",
        family="interface",
        selector=selector,
        auto=auto or path.rsplit(maxsplit=1)[-1],
    )
