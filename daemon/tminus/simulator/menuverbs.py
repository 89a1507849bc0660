"""The commands of menus: ``find``, ``get``, ``print``, ``export`` and those that change something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tminus.routeros.language import ast

from . import permissions, show
from .acts import ACTS
from .binding import Bindings, Bound
from .config import Item
from .effects import run_export, save_output
from .errors import RunError
from .frame import Frame
from .items import Editor, listed, select
from .kinds import typed
from .menus import BY_PATH, SINGLE_VIEWS, Menu, Shape
from .scope import Scope
from .values import Array, ItemId, Value, array_of, text_of, truth

if TYPE_CHECKING:
    from .interpreter import Console


async def run(console: Console, bound: Bound, scope: Scope, bindings: Bindings, *, wanted: bool) -> Value:
    """Run a command of a menu; ``wanted`` if its value is used."""
    frame = Frame(console, bound, scope, bindings)
    permissions.refuse(console.router, console.rights, bound)
    act = ACTS.get((bound.path, bound.verb))
    if act is not None:
        return await act(frame)
    match bound.path, bound.verb:
        case (_, "export"):
            await run_export(frame, bound.path)
            return None
        case (("log",), "debug" | "error" | "info" | "warning"):
            console.router.write_log(f"script,{bound.verb}", text_of(await frame.needed("message")))
            return None
    menu = BY_PATH[bound.path]
    match bound.verb:
        case "find":
            return array_of(ItemId(item.id) for item in await _where(frame, menu))
        case "get":
            return await _get(frame, menu)
        case "print":
            return await _print(frame, menu, wanted=wanted)
        case _:
            return await _change(frame, menu)


async def _where(frame: Frame, menu: Menu) -> list[Item]:
    """The items that a condition selects: an expression, or ``name=value`` pairs that all hold."""
    condition = frame.node("where")
    pairs = {name: await frame.text(name) for name in frame.bound.named if name in menu.fields}
    found = []
    for item in listed(frame.console.router, menu):
        if condition is not None:
            value = await frame.console.value(condition, _properties(frame.scope, menu, item), frame.bindings)
            if value is None or value == "" or not truth(value):
                continue
        if all((item.get(menu, name) or "") == text for name, text in pairs.items()):
            found.append(item)
    return found


def _properties(scope: Scope, menu: Menu, item: Item) -> Scope:
    def read(name: str) -> Value:
        if name == ".id":
            return ItemId(item.id)
        if name == "dynamic":
            return item.dynamic
        field = menu.fields.get(name)
        return typed(field, item.get(menu, name)) if field else None

    return scope.child(read)


async def _get(frame: Frame, menu: Menu) -> Value:
    """One property of one item, or all of them."""
    router = frame.console.router
    if menu.shape is Shape.SINGLE or menu.path in SINGLE_VIEWS:
        item = listed(router, menu)[0]
    else:
        found = select(router, menu, await frame.needed("numbers"))
        if len(found) != 1:
            raise RunError("no such item" if not found else "can not get value of several items")
        item = found[0]
    if "value-name" not in frame.bound.named:
        return show.row_value(menu, item)
    name = await frame.text("value-name")
    if name not in menu.fields:
        raise RunError("input does not match any value of value-name", argument="value-name")
    if menu.path == ("system", "clock") and name in ("date", "time", "gmt-offset"):
        now = router.now()
        if name == "gmt-offset":
            return "+00:00"
        return router.version.date(now) if name == "date" else now.strftime("%H:%M:%S")
    value = item.get(menu, name)
    if name == "uptime" and router.behaviour.short_uptime:
        return value
    if value is None and menu.path in SINGLE_VIEWS:  # a virtual router has no serial number, for example
        raise RunError("input does not match any value of value-name", argument="value-name")
    return typed(menu.fields[name], value)


async def _print(frame: Frame, menu: Menu, *, wanted: bool) -> Value:
    router, flags = frame.console.router, frame.bound.flags
    items = await _where(frame, menu)
    if "from" in frame.bound.named:
        chosen = {item.id for item in select(router, menu, await frame.value("from"))}
        items = [item for item in items if item.id in chosen]
    if "count-only" in flags:
        if not wanted:
            frame.console.write(f"{len(items)}\n")
        return len(items)
    if "as-value" in flags:
        single = menu.shape is Shape.SINGLE or menu.path in SINGLE_VIEWS
        return show.row_value(menu, items[0]) if single else show.as_value(menu, items)
    text = _rendered(frame, menu, items)
    if "file" in frame.bound.named:
        name = await frame.text("file")
        save_output(router, name if name.endswith(".txt") else f"{name}.txt", text)
    else:
        frame.console.write(text)
    return None


def _rendered(frame: Frame, menu: Menu, items: list[Item]) -> str:
    version, flags = frame.console.router.version, frame.bound.flags
    if menu.shape is Shape.SINGLE or menu.path in SINGLE_VIEWS:
        return show.single(menu, items[0])
    places = {item.id: place for place, item in enumerate(listed(frame.console.router, menu))}
    numbered = [(places[item.id], item) for item in items]
    if "terse" in flags:
        return show.terse(menu, numbered)
    if "detail" in flags:
        return show.detail(menu, numbered, version)
    return show.table(menu, numbered, version)


async def _change(frame: Frame, menu: Menu) -> Value:
    console, named = frame.console, frame.bound.named
    editor = Editor(console.router, console.user, console.rights)
    args = {name: await _argument(frame, name) for name in named if name not in ("numbers", "where")}
    if frame.bound.verb == "add":
        return editor.add(menu, args)
    if menu.shape is Shape.SINGLE:
        editor.set(menu, listed(console.router, menu), args)
        return None
    numbers = await frame.needed("numbers")
    if numbers is None:
        raise RunError("missing value(s) of argument(s) numbers")
    items = select(console.router, menu, numbers)
    match frame.bound.verb:
        case "set":
            editor.set(menu, items, args)
        case "comment":
            editor.set(menu, items, {"comment": args.get("comment", "")})
        case "enable" | "disable":
            editor.set(menu, items, {"disabled": frame.bound.verb == "disable"})
        case "remove":
            editor.remove(menu, items)
        case "unset":
            editor.unset(menu, items, text_of(args.get("value-name")))
        case "move":
            editor.move(menu, items, args.get("destination"))
        case verb:
            raise RunError(f"{verb} is not supported by the simulator in {menu.text}")
    return None


async def _argument(frame: Frame, name: str) -> Value:
    """The value of a property: a constant keeps its spelling, ``{ ... }`` its text."""
    node = frame.node(name)
    if isinstance(node, ast.Literal):
        return node.text
    value = await frame.value(name)
    return Array() if value is None and node is not None and isinstance(node, ast.Array) else value
