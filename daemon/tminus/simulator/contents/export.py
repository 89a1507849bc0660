"""What ``/export`` prints: made from the configuration, with this version's header, wrapped as RouterOS wraps."""

from __future__ import annotations

from typing import assert_never

from tminus.simulator.config.config import Item, Table
from tminus.simulator.config.menus import MENUS, of_version
from tminus.simulator.config.quoting import quote
from tminus.simulator.config.schema import Menu, Path, Selector, Shape
from tminus.simulator.router import Router
from tminus.simulator.versions import Version

_DESCRIBED = tuple(menu.path for menu in MENUS)
WIDTH = 80  # of a wrapped line, the trailing blank and backslash included
_INDENT = "    "


def export(router: Router, path: Path, *, terse: bool, verbose: bool, secrets: bool) -> str:
    """The text with LF line ends; ``path`` is the menu under which to look, empty for all."""
    key = (router.config.revision, path, terse, verbose, secrets)
    if router.cached_export is None or router.cached_export[0] != key:
        filled = router.config.filled()
        known = [menu for menu in _DESCRIBED if router.version.has_menu(menu)]
        paths = dict.fromkeys((*known, *filled)) if verbose else filled
        tables = [router.config.table(shown) for shown in paths if shown[: len(path)] == path]
        body = "".join(_table(table, router.version, terse=terse, verbose=verbose, secrets=secrets) for table in tables)
        router.cached_export = (key, body)
    return _header(router) + router.cached_export[1]


def _header(router: Router) -> str:
    version, hardware = router.version, router.hardware
    lines = [
        f"# {version.stamp(router.now())} by RouterOS {version.text}",
        f"# software id = {hardware.software_id}",
        "#",
    ]
    if hardware.chr and router.behaviour.chr_header_bare:
        lines[1:] = ["# software id = ", "#"]
    else:
        lines += [f"# model = {hardware.model}", f"# serial number = {hardware.serial}"]
    return "\n".join(lines) + "\n"


def _table(table: Table, version: Version, *, terse: bool, verbose: bool, secrets: bool) -> str:
    key = f"{terse:d}{verbose:d}{secrets:d}{version.number if verbose else ''}"  # a fleet shares tables
    if key not in table.exported:
        head = "/" + " ".join(table.menu.path)
        menu = of_version(table.menu, version) if verbose else table.menu
        lines = []
        for place, item in enumerate(table.items if table.menu.exported else ()):
            if item.dynamic:
                continue
            if key not in item.exported:
                words = _item(menu, item, place, verbose=verbose, secrets=secrets)
                item.exported[key] = "" if not words else f"{head} {' '.join(words)}\n" if terse else wrap(words)
            lines.append(item.exported[key])
        text = "".join(lines)
        table.exported[key] = text if terse or not text else f"{head}\n{text}"
    return table.exported[key]


_NAMED_BY = {Selector.NAME: "name", Selector.DEFAULT_NAME: "default-name"}


def _item(menu: Menu, item: Item, place: int, *, verbose: bool, secrets: bool) -> list[str]:
    """One command as words; empty if the item is as it came from the factory."""
    if item.values.get("builtin") == "yes":
        return []
    factory = item.factory or {}
    words = []
    for name in sorted(menu.fields):
        field = menu.fields[name]
        if field.read_only or (field.secret and not secrets):
            continue
        full = verbose or field.always
        value = item.get(menu, name) if full else item.values.get(name)
        if value is None and name in factory:
            value = field.default or ""  # it came with a value, and has none now
        known = factory.get(name, field.default)
        if value is None or (value == known and (not full or name == _NAMED_BY.get(menu.selector, ""))):
            continue
        if field.kind == "flag":
            words += [name] if value == "yes" else []
            continue
        words.append(f"{name}={quote(value)}")
    if menu.shape is Shape.SINGLE:
        return ["set", *words] if words else []
    if item.factory is None:
        return ["add", *words]
    return ["set", *_selector(menu, item, place), *words] if words else []


def _selector(menu: Menu, item: Item, place: int) -> list[str]:
    match menu.selector:
        case Selector.NAME:
            return [quote((item.factory or {})["name"])]
        case Selector.DEFAULT_NAME:
            return [f"[ find default-name={quote(item.values['default-name'])} ]"]
        case Selector.DEFAULT:
            return ["[ find default=yes ]"]
        case Selector.ID:
            return [f"*{item.id:X}"]
        case Selector.PLACE:
            return [str(place)]
        case _:
            assert_never(menu.selector)


def wrap(words: list[str]) -> str:
    r"""Join words to lines of at most ``WIDTH``: broken between words, after ``name=``, or inside a long string."""
    lines: list[str] = []
    line = words[0]
    for word in words[1:]:
        if len(line) + 1 + len(word) <= WIDTH - 2:
            line += " " + word
            continue
        name, equals, value = word.partition("=")
        if equals and len(line) + len(name) + 3 <= WIDTH:
            lines.append(f"{line} {name}=\\")
            line = _INDENT + value
        else:
            lines.append(f"{line} \\")
            line = _INDENT + word
        while len(line) > WIDTH - 2:
            cut = _cut(line)
            lines.append(line[:cut] + "\\")
            line = _INDENT + line[cut:]
    lines.append(line)
    return "".join(part + "\n" for part in lines)


def _cut(line: str) -> int:
    """Where a long value may be broken: not inside an escape, and not before a blank, which the reader would drop."""
    cut = WIDTH - 2
    while cut > len(_INDENT) + 1:
        escape = line.rfind("\\", cut - 3, cut)
        if escape >= 0 and cut - escape < 3:
            cut = escape
        elif line[cut] == " ":
            cut -= 1
        else:
            return cut
    return WIDTH - 2
