"""A JSON array of sites, as inventory tools give it: the columns of the CSV as keys."""

from __future__ import annotations

import json

from tminus.cli.inventory import Inventory, SiteLine, checked_columns, checked_site, note_place
from tminus.errors import UsageError


class _Twice(ValueError):
    """A key that an object has more than once."""


def is_json(text: str) -> bool:
    """No CSV with our columns begins so."""
    return text.lstrip().startswith(("[", "{"))


def read_json(text: str, name: str) -> Inventory:
    """Read an array of objects, all with the same keys. UsageError names the file and the object, counted from 1."""
    try:
        document = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise UsageError(f"{name}, line {error.lineno}: this is not JSON: {error.msg}") from None
    except _Twice as error:
        raise UsageError(f"{name}: the key {error.args[0]!r} is there twice in one object") from None
    except RecursionError:
        raise UsageError(f"{name} is nested too deeply; an array of objects is expected") from None
    if not isinstance(document, list) or not document:
        raise UsageError(f'{name} is not an array of sites, such as [{{"id": "a", "address": "192.0.2.1"}}]')
    columns: tuple[str, ...] = ()
    sites: list[SiteLine] = []
    places: dict[str, str] = {}
    for number, site in enumerate(document, 1):
        where = f"{name}, object {number}"
        if not isinstance(site, dict):
            raise UsageError(f"{where}: a site is an object with the keys id and address, at least")
        keys = checked_columns(tuple(site), where)
        columns = columns or keys
        for key in sorted(set(keys) ^ set(columns)):
            has, lacks = (where, f"{name}, object 1") if key in keys else (f"{name}, object 1", where)
            raise UsageError(f"{has} has the key {key!r} and {lacks} has not; give it to all, null takes the default")
        cells = {key: _cell(key, value, where) for key, value in site.items() if key != "tags"}
        sites.append(checked_site(cells, _tags(site.get("tags"), where), where))
        note_place(places, sites[-1].id, f"object {number}", where)
    return Inventory(columns=columns, places=places, sites=tuple(sites))


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Twice(next(key for key, _ in pairs if [other for other, _ in pairs].count(key) > 1))
    return made


def _cell(key: str, value: object, where: str) -> str:
    """Return a value as the CSV would have it. Ids and ports may be numbers; `enabled` and `sensitive_export` booleans."""
    match value:
        case None:
            return ""
        case bool() if key in ("enabled", "sensitive_export"):
            return "true" if value else "false"
        case str():
            return value.strip()
        case int() if key in ("id", "port") and not isinstance(value, bool):
            return str(value)
        case _:
            raise UsageError(f"{where}: {key} {json.dumps(value)[:80]} is no text")


def _tags(value: object, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise UsageError(f"{where}: tags is no array of texts")
    for tag in value:
        if not isinstance(tag, str) or not tag.strip() or not tag.isprintable():
            raise UsageError(f"{where}: the tag {json.dumps(tag)[:80]} is no printable text")
    return tuple(tag.strip() for tag in value)
