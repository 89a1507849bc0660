"""The commands of menus: ``find``, ``get``, ``print``, ``export`` and those that change something."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from tminus.routeros.language import ast
from tminus.simulator.config.config import Item
from tminus.simulator.config.menus import BY_PATH, SINGLE_VIEWS, find, of_version
from tminus.simulator.config.schema import Menu, Shape
from tminus.simulator.contents import permissions, show
from tminus.simulator.contents.editor import Editor
from tminus.simulator.contents.items import listed, property_of, select
from tminus.simulator.errors import RunError
from tminus.simulator.values import Array, ItemId, Value, array_of, text_of, truth

from .actions import act
from .acts import ACTS
from .binding import Bindings, Bound
from .effects import run_export, save_output
from .frame import Frame
from .scope import Scope

if TYPE_CHECKING:
    from .interpreter import Console


_STATE = frozenset(
    {".id", "dynamic", "static", "default", "builtin", "running", "active", "invalid", "inactive", "slave"}
)
_VERBS = frozenset(
    {"add", "set", "remove", "enable", "disable", "print", "get", "find", "comment", "move", "unset", "reset"}
)


async def run(console: Console, bound: Bound, scope: Scope, bindings: Bindings, *, wanted: bool) -> Value:
    """Run a command of a menu; ``wanted`` if its value is used."""
    frame = Frame(console, bound, scope, bindings)
    permissions.refuse(console.router, console.rights, bound.path, bound.verb, to_file="file" in bound.named)
    own = ACTS.get((bound.path, bound.verb))
    if own is not None:
        return await own(frame)
    match bound.path, bound.verb:
        case (_, "export"):
            await run_export(frame, bound.path)
            return None
        case (("log",), "debug" | "error" | "info" | "warning"):
            console.router.write_log(f"script,{bound.verb}", text_of(await frame.needed("message")))
            return None
        case (("environment",), "print"):
            for item in listed(console.router, BY_PATH["system", "script", "environment"]):
                console.write(f"{item.values['name']}={item.values['value']}\n")
            return None
    menu = find(bound.path)
    if menu is None or bound.verb not in _VERBS:
        return await act(frame)
    match bound.verb:
        case "find":
            return array_of(ItemId(item.id) for item in await _where(frame, menu))
        case "get":
            return await _get(frame, of_version(menu, frame.console.router.version))
        case "print":
            return await _print(frame, of_version(menu, frame.console.router.version), wanted=wanted)
        case _:
            return await _change(frame, menu)


async def _where(frame: Frame, menu: Menu) -> list[Item]:
    """The items that a condition selects: an expression, or ``name=value`` pairs that all hold."""
    condition = frame.node("where")
    pairs = {name: await frame.text(name) for name in frame.bound.named if name in menu.fields}
    found = []
    for item in listed(frame.console.router, menu):
        if condition is not None:
            scope = frame.scope.child(partial(property_of, frame.console.router, menu, item))
            value = await frame.console.value(condition, scope, frame.bindings)
            if value is None or value == "" or not truth(value):
                continue
        if all((item.get(menu, name) or "") == text for name, text in pairs.items()):
            found.append(item)
    return found


async def _get(frame: Frame, menu: Menu) -> Value:
    """One property of one item, or all of them."""
    router = frame.console.router
    if show.alone(menu):
        item = listed(router, menu)[0]
    else:
        found = select(router, menu, await frame.needed("number"), frame.console.listing)
        if len(found) != 1:
            raise RunError("no such item" if not found else "can not get value of several items")
        item = found[0]
    if "value-name" not in frame.bound.named:
        return show.row_value(menu, item)
    name = await frame.text("value-name")
    known = menu.fields.get(name)
    if known is None and name not in _STATE:
        raise RunError("input does not match any value of value-name", argument="value-name")
    value = item.get(menu, name)
    if name == "uptime" and router.behaviour.short_uptime:
        return value
    if value is None and menu.path in SINGLE_VIEWS:  # a virtual router has no serial number, for example
        raise RunError("input does not match any value of value-name", argument="value-name")
    found_value = property_of(router, menu, item, name)
    return text_of(found_value) if frame.bound.flags & {"as-string", "as-string-value"} else found_value


async def _print(frame: Frame, menu: Menu, *, wanted: bool) -> Value:
    console, flags = frame.console, frame.bound.flags
    router = console.router
    items = await _where(frame, menu)
    if "from" in frame.bound.named:
        chosen = {item.id for item in select(router, menu, await frame.value("from"), console.listing)}
        items = [item for item in items if item.id in chosen]
    if "count-only" in flags:
        if not wanted:
            console.write(f"{len(items)}\n")
        return len(items)
    only = (await frame.text("proplist")).split(",") if "proplist" in frame.bound.named else None
    if "as-value" in flags:
        return show.row_value(menu, items[0], only) if show.alone(menu) else show.as_value(menu, items, only)
    text = _rendered(frame, menu, items, only)
    if "file" in frame.bound.named:
        name = await frame.text("file")
        name = name if name.endswith(".txt") else f"{name}.txt"
        save_output(router, name, text, append="append" in flags)
    else:
        console.write(text)
    return None


def _rendered(frame: Frame, menu: Menu, items: list[Item], only: list[str] | None) -> str:
    console, flags = frame.console, frame.bound.flags
    version = console.router.version
    if show.alone(menu):
        return show.single(menu, items[0])
    ids = [item.id for item in listed(console.router, menu)]
    console.listing[menu.path] = ids
    places = {number: place for place, number in enumerate(ids)}
    numbered = [(places[item.id], item) for item in items]
    if "value-list" in flags:
        return show.value_list(menu, items, only)
    if "terse" in flags:
        return show.terse(menu, numbered, only)
    if "detail" in flags or (menu.prose and only is None and "brief" not in flags):
        return show.detail(menu, numbered, version, only)
    return show.table(menu, numbered, version, only)


async def _change(frame: Frame, menu: Menu) -> Value:  # noqa: PLR0912 - a branch a verb
    console, named = frame.console, frame.bound.named
    if menu.shape is Shape.VIEW:
        return await act(frame)
    editor = Editor(console.router, console.user, console.rights, console.listing)
    args = {name: await _argument(frame, name) for name in named if name not in ("numbers", "number", "where")}
    args |= {flag: True for flag in frame.bound.flags if flag in menu.fields}
    unset = [flag[1:] for flag in frame.bound.flags if flag.startswith("!")]
    if frame.bound.verb == "add":
        return editor.add(menu, args)
    if menu.shape is Shape.SINGLE:
        items: Sequence[Item] = listed(console.router, menu)
    else:
        numbers = await frame.needed("numbers")
        if numbers is None:
            raise RunError("missing value(s) of argument(s) numbers")
        items = editor.select(menu, numbers)
    match frame.bound.verb:
        case "set":
            editor.set(menu, items, args, unset)
        case "comment":
            editor.set(menu, items, {"comment": args.get("comment", "")})
        case "enable" | "disable":
            editor.set(menu, items, {"disabled": frame.bound.verb == "disable"})
        case "remove":
            editor.remove(menu, items)
        case "unset":
            editor.unset(menu, items, text_of(args.get("value-name")))
        case "reset":
            editor.reset(menu, items, tuple(args))
        case "move":
            editor.move(menu, items, args.get("destination"))
        case _:
            return await act(frame)
    return None


async def _argument(frame: Frame, name: str) -> Value:
    """The value of a property: a constant keeps its spelling, ``{ ... }`` its text."""
    node = frame.node(name)
    if isinstance(node, ast.Literal):
        return node.text
    value = await frame.value(name)
    return Array() if value is None and node is not None and isinstance(node, ast.Array) else value
