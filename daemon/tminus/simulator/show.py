"""What ``print`` shows. Lines are padded with blanks, as RouterOS pads them; widths do not depend on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .config import Item
from .export import quote
from .kinds import typed
from .menus import SINGLE_VIEWS, Menu, Shape
from .values import Array, ItemId, Value, array_of, parse_duration
from .versions import Version

_LETTERS = (("dynamic", "D"), ("disabled", "X"))
_HIDDEN = frozenset({"contents", "redo", "undo"})  # shown by detail alone, if at all


def as_value(menu: Menu, items: Iterable[Item]) -> Array:
    """An array of arrays, one an item."""
    return array_of(row_value(menu, item) for item in items)


def row_value(menu: Menu, item: Item) -> Array:
    alone = menu.shape is Shape.SINGLE or menu.path in SINGLE_VIEWS  # such an item has no id
    cells: list[tuple[str | None, Value]] = [] if alone else [(".id", ItemId(item.id))]
    for name in sorted(menu.fields):
        value = typed(menu.fields[name], item.get(menu, name))
        if value is not None and not menu.fields[name].secret:
            cells.append((name, value))
    return Array(tuple(cells))


def single(menu: Menu, item: Item) -> str:
    """``key: value`` lines, the keys flush right."""
    shown = [(name, _cell(menu, name, item)) for name in menu.fields]
    shown = [(name, text) for name, text in shown if text is not None]
    width = max((len(name) for name, _ in shown), default=0) + 2
    padded = max((len(text or "") for _, text in shown), default=0)
    return "".join(f"{name:>{width}}: {text:<{padded}}\n" for name, text in shown) + "\n"


def terse(menu: Menu, items: Sequence[tuple[int, Item]]) -> str:
    """One line an item; values with blanks are not quoted (seen on 7.24)."""
    lines = []
    for number, item in items:
        words = [f"{name}={text}" for name, text in _cells(menu, item)]
        if comment := item.get(menu, "comment"):
            words.insert(0, f"comment={comment}")
        lines.append(f"{number:2} {_flags(menu, item)} {' '.join(words)} \n")
    return "".join(lines)


def detail(menu: Menu, items: Sequence[tuple[int, Item]], version: Version) -> str:
    lines = [_legend(menu, items, version)]
    for number, item in items:
        words = [f"{name}={quote(text)}" for name, text in _cells(menu, item, everything=True)]
        comment = item.get(menu, "comment")
        head = f"{number:2} {_flags(menu, item)} "
        lines.append(f"{head}{';;; ' + comment if comment else ' '.join(words)}\n")
        if comment:
            lines.append(f"      {' '.join(words)}\n")
        lines.append("\n")
    return "".join(lines)


def table(menu: Menu, items: Sequence[tuple[int, Item]], version: Version) -> str:
    """Columns, as wide as their widest cell."""
    if not items:
        return ""
    columns = [name for name in menu.fields if any(name in dict(_cells(menu, item)) for _, item in items)]
    cells = [[dict(_cells(menu, item)).get(name, "") for name in columns] for _, item in items]
    widths = [max(len(name), *(len(row[place]) for row in cells)) for place, name in enumerate(columns)]
    digits = max(len(str(number)) for number, _ in items)
    flagged = any(_flags(menu, item).strip() for _, item in items)
    lines = [_legend(menu, items, version)]
    if version.legacy:
        lines.append(_row(" #   ", [name.upper() for name in columns], widths))
    else:
        lines.append(f"Columns: {', '.join(name.upper() for name in columns)}\n")
        lines.append(_row("#".ljust(digits + (3 if flagged else 1)), [name.upper() for name in columns], widths))
    for (number, item), row in zip(items, cells, strict=True):
        if comment := item.get(menu, "comment"):
            lines.append(f";;; {comment}\n")
        flags = f" {_flags(menu, item)}" if flagged else ""
        head = f"{number:2} {_flags(menu, item)} " if version.legacy else f"{number:{digits}}{flags} "
        lines.append(_row(head, row, widths))
    return "".join(lines)


def _row(head: str, cells: Sequence[str], widths: Sequence[int]) -> str:
    return head + "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + "\n"


def _legend(menu: Menu, items: Sequence[tuple[int, Item]], version: Version) -> str:
    used = "".join(_flags(menu, item) for _, item in items)
    names = [(letter, name) for name, letter in _LETTERS if letter in used]
    if version.legacy:
        return "Flags: X - disabled, I - invalid, D - dynamic \n" if "disabled" in menu.fields else ""
    return f"Flags: {'; '.join(f'{letter} - {name.upper()}' for letter, name in names)}\n" if names else ""


def _flags(menu: Menu, item: Item) -> str:
    if item.dynamic:
        return "D"
    return "X" if item.get(menu, "disabled") == "yes" else " "


def _cells(menu: Menu, item: Item, *, everything: bool = False) -> list[tuple[str, str]]:
    cells = []
    for name, field in menu.fields.items():
        if name in ("comment", "disabled") or field.secret or (name in _HIDDEN and not everything):
            continue
        text = _cell(menu, name, item)
        if text:
            cells.append((name, text))
    return cells


def _cell(menu: Menu, name: str, item: Item) -> str | None:
    text = item.get(menu, name)
    if text is None or menu.fields[name].secret:
        return None
    match menu.fields[name].kind:
        case "size":
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
