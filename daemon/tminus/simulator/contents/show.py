"""What ``print`` shows. Lines are padded with blanks, as RouterOS pads them; widths do not depend on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from tminus.simulator.config.config import Item
from tminus.simulator.config.kinds import typed
from tminus.simulator.config.menus import SINGLE_VIEWS
from tminus.simulator.config.quoting import quote
from tminus.simulator.config.schema import Field, Menu, Shape
from tminus.simulator.values import Array, ItemId, Value, array_of, parse_duration
from tminus.simulator.versions import Version

_LETTERS = (
    ("dynamic", "D"), ("disabled", "X"), ("active", "A"), ("connect", "c"), ("static", "s"), ("running", "R"),
)  # fmt: skip
_HIDDEN = frozenset({"contents", "redo", "undo"})  # shown by detail alone, if at all


def alone(menu: Menu) -> bool:
    """Whether a menu has one item and no list."""
    return menu.shape is Shape.SINGLE or menu.path in SINGLE_VIEWS


Only = Sequence[str] | None  # the properties of proplist=, or all


def as_value(menu: Menu, items: Iterable[Item], only: Only = None) -> Array:
    """An array of arrays, one an item."""
    return array_of(row_value(menu, item, only) for item in items)


def row_value(menu: Menu, item: Item, only: Only = None) -> Array:
    cells: list[tuple[str | None, Value]] = [] if alone(menu) else [(".id", ItemId(item.id))]
    values = item.values
    for field in _shown(menu):
        text = values.get(field.name, None if field.quiet else field.default)
        if text is not None and (value := typed(field, text)) is not None:
            cells.append((field.name, value))
    return Array(tuple(cell for cell in cells if only is None or cell[0] in only))


@lru_cache(maxsize=512)
def _shown(menu: Menu) -> tuple[Field, ...]:
    return tuple(menu.fields[name] for name in sorted(menu.fields) if not menu.fields[name].secret)


def single(menu: Menu, item: Item) -> str:
    """``key: value`` lines, the keys flush right."""
    shown = [(name, _cell(menu, name, item)) for name in menu.fields]
    shown = [(name, text) for name, text in shown if text is not None]
    width = max((len(name) for name, _ in shown), default=0) + 2
    padded = max((len(text or "") for _, text in shown), default=0)
    return "".join(f"{name:>{width}}: {text:<{padded}}\n" for name, text in shown) + "\n"


def value_list(menu: Menu, items: Sequence[Item], only: Only = None) -> str:
    """A line a property, with its values of all items side by side."""
    rows = [dict(_cells(menu, item, only)) for item in items]
    names = [name for name in menu.fields if any(name in row for row in rows)]
    width = max((len(name) for name in names), default=0) + 2
    return "".join(f"{name:>{width}}: {' '.join(row.get(name, '') for row in rows)}\n" for name in names) + "\n"


def terse(menu: Menu, items: Sequence[tuple[int, Item]], only: Only = None) -> str:
    """One line an item; values with blanks are not quoted (seen on 7.24)."""
    lines = []
    wide = _flag_width(menu, items)
    for number, item in items:
        words = [f"{name}={text}" for name, text in _cells(menu, item, only)]
        if comment := item.get(menu, "comment"):
            words.insert(0, f"comment={comment}")
        lines.append(f"{number:2} {_flags(menu, item):<{wide}} {' '.join(words)} \n")
    return "".join(lines)


def detail(menu: Menu, items: Sequence[tuple[int, Item]], version: Version, only: Only = None) -> str:
    lines = [_legend(menu, items, version)]
    wide = _flag_width(menu, items)
    for number, item in items:
        words = [f"{name}={quote(text)}" for name, text in _cells(menu, item, only, everything=True)]
        comment = item.get(menu, "comment")
        head = f"{number:2} {_flags(menu, item):<{wide}} "
        lines.append(f"{head}{';;; ' + comment if comment else ' '.join(words)}\n")
        if comment:
            lines.append(f"      {' '.join(words)}\n")
        lines.append("\n")
    return "".join(lines)


def table(menu: Menu, items: Sequence[tuple[int, Item]], version: Version, only: Only = None) -> str:
    """Columns, as wide as their widest cell."""
    if not items:
        return ""
    filled = [dict(_cells(menu, item, only)) for _, item in items]
    columns = _columns(menu, [item for _, item in items], filled, only)
    cells = [[row.get(name, "") for name in columns] for row in filled]
    widths = [max(len(name), *(len(row[place]) for row in cells)) for place, name in enumerate(columns)]
    digits = max(len(str(number)) for number, _ in items)
    flagged = any(_flags(menu, item).strip() for _, item in items)
    wide = _flag_width(menu, items)
    lines = [_legend(menu, items, version)]
    if version.legacy:
        lines.append(_row(f" # {'':{wide}} ", [name.upper() for name in columns], widths))
    else:
        lines.append(f"Columns: {', '.join(name.upper() for name in columns)}\n")
        lines.append(_row("#".ljust(digits + (wide + 2 if flagged else 1)), [name.upper() for name in columns], widths))
    for (number, item), row in zip(items, cells, strict=True):
        if comment := item.get(menu, "comment"):
            lines.append(f";;; {comment}\n")
        flags = f" {_flags(menu, item):<{wide}}" if flagged or version.legacy else ""
        lines.append(_row(f"{number:{2 if version.legacy else digits}}{flags} ", row, widths))
    return "".join(lines)


_COLUMNS = 6  # of the properties that no item was given: a table has no room for all defaults


def _columns(menu: Menu, items: Sequence[Item], filled: Sequence[dict[str, str]], only: Only) -> list[str]:
    """The properties that a table shows."""
    if only is None and menu.columns:
        return [name for name in menu.columns if any(name in row for row in filled)]
    shown = [name for name in menu.fields if any(name in row for row in filled)]
    given = {name for item in items for name in item.values}
    return [name for place, name in enumerate(shown) if only is not None or place < _COLUMNS or name in given]


def _row(head: str, cells: Sequence[str], widths: Sequence[int]) -> str:
    return head + "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + "\n"


def _flag_width(menu: Menu, items: Sequence[tuple[int, Item]]) -> int:
    return max((len(_flags(menu, item)) for _, item in items), default=1)


def _legend(menu: Menu, items: Sequence[tuple[int, Item]], version: Version) -> str:
    used = "".join(_flags(menu, item) for _, item in items)
    names = [(letter, name) for name, letter in _LETTERS if letter in used]
    if version.legacy:
        return "Flags: X - disabled, I - invalid, D - dynamic \n" if "disabled" in menu.fields else ""
    return f"Flags: {'; '.join(f'{letter} - {name.upper()}' for letter, name in names)}\n" if names else ""


def _flags(menu: Menu, item: Item) -> str:
    """The letters in front of an item; one blank for none."""
    disabled = item.get(menu, "disabled") == "yes"
    letters = "D" if item.dynamic else ""
    letters += "X" if disabled else "A" if "active" in menu.fields else ""
    if "connect" in menu.fields:
        letters += "c" if item.dynamic else "s"
    letters += "R" if item.values.get("running") == "yes" else ""
    return letters or " "


def _cells(menu: Menu, item: Item, only: Only = None, *, everything: bool = False) -> list[tuple[str, str]]:
    cells = []
    for name, field in menu.fields.items():
        if name in ("comment", "disabled") or field.secret or (name in _HIDDEN and not everything):
            continue
        if only is None and field.quiet and (name not in menu.columns or name not in item.values):
            continue
        if only is not None and name not in only:
            continue
        text = _cell(menu, name, item)
        if text:
            cells.append((name, text))
    return cells


def _cell(menu: Menu, name: str, item: Item) -> str | None:
    text = item.get(menu, name)
    if text is None or menu.fields[name].secret or (menu.fields[name].quiet and name not in item.values):
        return None
    match menu.fields[name].kind:
        case "size" if text.isdigit():
            return size(int(text))
        case "time" if menu.shape is Shape.VIEW:
            moment = parse_duration(text)
            return moment.short() if moment else text
        case _:
            unit = {"cpu-load": "%", "cpu-frequency": "MHz"}.get(name, "")
            return text + unit


def size(count: int) -> str:
    """``45.5MiB``, ``3428.0KiB``, ``712``: a unit above 10,000 of the one below."""
    for unit, scale in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= 10 * scale:
            return f"{count / scale:.1f}{unit}"
    return str(count)
