"""What ``/export`` prints: made from the configuration, with this version's header, wrapped as RouterOS wraps."""

from __future__ import annotations

from .config import Item, Table
from .menus import MENUS, Menu, Path, Shape
from .router import Router

WIDTH = 80  # of a wrapped line, the trailing blank and backslash included
_INDENT = "    "


def export(router: Router, path: Path, *, terse: bool, verbose: bool, secrets: bool) -> str:
    """The text with LF line ends; ``path`` is the menu under which to look, empty for all."""
    key = (router.config.revision, path, terse, verbose, secrets)
    if router.cached_export is None or router.cached_export[0] != key:
        tables = [router.config.table(menu.path) for menu in MENUS if menu.exported and menu.path[: len(path)] == path]
        body = "".join(_table(table, terse=terse, verbose=verbose, secrets=secrets) for table in tables)
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


def _table(table: Table, *, terse: bool, verbose: bool, secrets: bool) -> str:
    key = f"{terse:d}{verbose:d}{secrets:d}"
    if key not in table.exported:
        head = "/" + " ".join(table.menu.path)
        lines = []
        for item in table.items:
            if item.dynamic:
                continue
            if key not in item.exported:
                words = _item(table.menu, item, verbose=verbose, secrets=secrets)
                item.exported[key] = "" if not words else f"{head} {' '.join(words)}\n" if terse else wrap(words)
            lines.append(item.exported[key])
        text = "".join(lines)
        table.exported[key] = text if terse or not text else f"{head}\n{text}"
    return table.exported[key]


def _item(menu: Menu, item: Item, *, verbose: bool, secrets: bool) -> list[str]:
    """One command as words; empty if the item is as it came from the factory."""
    if item.values.get("builtin") == "yes":
        return []
    factory = item.factory or {}
    words = []
    for name in sorted(menu.fields):
        field = menu.fields[name]
        value = item.get(menu, name) if verbose else item.values.get(name)
        if value is None or field.read_only or (field.secret and not secrets) or name == menu.key:
            continue
        if not verbose and value == factory.get(name, field.default):
            continue
        words.append(f"{name}={quote(value)}")
    if menu.shape is Shape.LIST:
        return ["add", *words]
    if not words:
        return []
    if menu.shape is Shape.SINGLE:
        return ["set", *words]
    if menu.key == "name":
        return ["set", item.values["name"], *words]
    return ["set", f"[ find {menu.key}={quote(item.values[menu.key or ''])} ]", *words]


_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.,:/!*@+")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "$": "\\$", "\n": "\\n", "\r": "\\r", "\t": "\\t", "?": "\\?"}


def quote(text: str) -> str:
    """A value as an export writes it, so that reading it gives the same text."""
    if text and all(char in _PLAIN for char in text):
        return text
    quoted = []
    for char in text:
        if char in _ESCAPES:
            quoted.append(_ESCAPES[char])
        elif " " <= char <= "~":
            quoted.append(char)
        else:
            quoted += [f"\\{byte:02X}" for byte in char.encode("utf-8", "surrogateescape")]
    return '"' + "".join(quoted) + '"'


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
