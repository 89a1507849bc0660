"""The commands of the root menu, above all those that control what runs: ``:if``, ``:foreach``, ``:local``, ``:onerror``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from tminus.routeros.language import ast
from tminus.simulator.errors import LoopControl, Quit, Returned, RunError
from tminus.simulator.values import Array, Duration, Value, array_of, matches, number_of, parse_duration, text_of

from .actions import act, ping
from .binding import Bindings, Bound
from .effects import EFFECTS
from .frame import Frame, names_of
from .functions import FUNCTIONS
from .scope import Scope

if TYPE_CHECKING:
    from .interpreter import Console


async def run(console: Console, bound: Bound, scope: Scope, bindings: Bindings) -> Value:
    """Run a command of the root menu."""
    frame = Frame(console, bound, scope, bindings)
    compute = FUNCTIONS.get(bound.verb)
    if compute is not None:
        return compute({name: await frame.value(name) for name in bound.named})
    command = _COMMANDS.get(bound.verb)
    return await (command(frame) if command is not None else act(frame))


async def _error(frame: Frame) -> Value:
    raise RunError(text_of(await frame.value("message")))


async def _if(frame: Frame) -> Value:
    if await frame.console.condition(frame.node("condition"), frame.scope, frame.bindings):
        return await frame.body("do")
    return await frame.body("else") if "else" in frame.bound.named else None


async def _for(frame: Frame) -> Value:
    name = frame.names("counter")[0]
    start, end = number_of(await frame.needed("from")), number_of(await frame.needed("to"))
    if start is None or end is None:
        raise RunError("invalid value for argument from")
    step = number_of(await frame.value("step")) if "step" in frame.bound.named else (1 if end >= start else -1)
    if not step:
        raise RunError("invalid value for argument step")
    number = start
    while number <= end if step > 0 else number >= end:
        scope = frame.scope.child()
        scope.declare(name, number)
        if not await _turn(frame, scope):
            break
        number += step
        await _breathe(number - start)
    return None


async def _foreach(frame: Frame) -> Value:
    names = frame.names("counter")
    value = await frame.needed("in")
    items = value.items if isinstance(value, Array) else () if value is None or value == "" else ((None, value),)
    for place, (key, item) in enumerate(items):
        scope = frame.scope.child()
        if len(names) > 1:
            scope.declare(names[0], place if key is None else key)
        scope.declare(names[-1], item)
        if not await _turn(frame, scope):
            break
        await _breathe(place)
    return None


async def _while(frame: Frame) -> Value:
    turns = 0
    while await frame.console.condition(frame.node("condition"), frame.scope, frame.bindings):
        if not await _turn(frame):
            break
        turns += 1
        await _breathe(turns)
    return None


async def _turn(frame: Frame, scope: Scope | None = None) -> bool:
    """One turn of a loop; False if it was to be the last."""
    try:
        await frame.body("do", scope)
    except LoopControl as control:
        return not control.ends
    return True


async def _break(_frame: Frame) -> Value:
    raise LoopControl(ends=True)


async def _continue(_frame: Frame) -> Value:
    raise LoopControl(ends=False)


async def _breathe(turns: int) -> None:
    """Let others run now and then: an endless loop of one router must not stop the fleet."""
    if turns % 200 == 199:
        await asyncio.sleep(0)


async def _do(frame: Frame) -> Value:
    turns = 0
    if "if" in frame.bound.named and not await frame.console.condition(frame.node("if"), frame.scope, frame.bindings):
        return None
    while True:
        try:
            value = await frame.body("command")
        except LoopControl as control:
            if "while" not in frame.bound.named:
                raise
            if control.ends:
                return None
            value = None
        except RunError:
            if "on-error" not in frame.bound.named:
                raise
            value = await frame.body("on-error")
        condition = frame.node("while")
        if condition is None or not await frame.console.condition(condition, frame.scope, frame.bindings):
            return value
        turns += 1
        await _breathe(turns)


async def _onerror(frame: Frame) -> Value:
    router = frame.console.router
    try:
        await frame.body("in")
    except RunError as error:
        scope = frame.scope.child()
        with_path = router.version.error_paths and router.behaviour.caught_error_has_path
        scope.declare(frame.names("counter")[0], error.text(with_path=with_path))
        if "do" in frame.bound.named:
            await frame.body("do", scope)
        return True
    return False


async def _retry(frame: Frame) -> Value:
    limit = number_of(await frame.value("max")) if "max" in frame.bound.named else None
    pause = await frame.value("delay")
    attempt = 1
    while True:
        try:
            return await frame.body("command")
        except RunError:
            if limit is not None and attempt >= limit:
                if "on-error" in frame.bound.named:
                    return await frame.body("on-error")
                raise
        attempt += 1
        wait = pause if isinstance(pause, Duration) else parse_duration(text_of(pause)) or Duration(1)
        await asyncio.sleep(wait.seconds)


async def _declared(frame: Frame) -> tuple[str, bool, Value]:
    """The name, whether a value was given, and the value of ``:local`` or ``:global``."""
    name = frame.names("name")[0]
    argument = "do" if "do" in frame.bound.named else "value"
    return name, argument in frame.bound.named, await frame.value(argument)


async def _local(frame: Frame) -> Value:
    name, _, value = await _declared(frame)
    frame.scope.declare(name, value)
    return None


async def _global(frame: Frame) -> Value:
    name, given, value = await _declared(frame)
    frame.scope.declare_global(name)
    if given:
        frame.scope.set(name, value)
    return None


async def _set(frame: Frame) -> Value:
    argument = "do" if "do" in frame.bound.named else "value"
    await _assign(frame, frame.node("name"), await frame.value(argument), removes=argument not in frame.bound.named)
    return None


async def _assign(frame: Frame, node: ast.Value | None, value: Value, *, removes: bool = False) -> None:
    """Assign to a variable, or to an element of the array that it holds: ``($a->"k"->1)``.

    ``removes``: no value was given, which takes an element away.
    """
    while isinstance(node, ast.Group):
        node = node.inner
    if isinstance(node, ast.Binary) and node.op == "->":
        key = await frame.console.key(node.right, frame.scope, frame.bindings)
        held = await frame.console.value(node.left, frame.scope, frame.bindings)
        array = held if isinstance(held, Array) else Array()
        await _assign(frame, node.left, array.without(key) if removes else array.put(key, value))
        return
    name = names_of(node)[0]
    if not frame.scope.set(name, value):
        frame.scope.declare_global(name)
        frame.scope.set(name, value)


async def _return(frame: Frame) -> Value:
    raise Returned(await frame.value("value"))


async def _jobname(frame: Frame) -> Value:
    """The name of the script that runs, or nothing: a command of a session has none."""
    return frame.console.script


async def _grep(frame: Frame) -> Value:
    """The lines of a text, or of a file, that hold a pattern [uncertain: arguments are known, a transcript is not]."""
    if "filename" in frame.bound.named:
        file = frame.console.router.files.get(await frame.text("filename"))
        if file is None:
            raise RunError("no such item")
        text = file.content.decode("utf-8", "surrogateescape")
    else:
        node = frame.node("script")
        text = (
            await captured(frame.console, node)
            if isinstance(node, ast.Block)
            else text_of(await frame.needed("script"))
        )
    pattern = text_of(await frame.needed("pattern"))
    found = [line.rstrip("\r") for line in text.split("\n") if matches(line, pattern)]
    if "as-array" in frame.bound.flags:
        return array_of(found)
    for line in found:
        frame.console.write(f"{line}\n")
    return None


async def captured(console: Console, block: ast.Block) -> str:
    """What a block prints."""
    source, outer = block.text.encode("utf-8", "surrogateescape"), console.write
    output: list[str] = []
    console.write = output.append
    try:
        await console.run(source)
    finally:
        console.write = outer
    return "".join(output)


async def _beep(_frame: Frame) -> Value:
    return None


async def _quit(_frame: Frame) -> Value:
    raise Quit


async def _time(frame: Frame) -> Value:
    begun = time.monotonic()
    await frame.body("command")
    return Duration(time.monotonic() - begun)


_COMMANDS: Mapping[str, Callable[[Frame], Awaitable[Value]]] = {
    **EFFECTS,
    "error": _error,
    "if": _if,
    "for": _for,
    "foreach": _foreach,
    "while": _while,
    "do": _do,
    "onerror": _onerror,
    "retry": _retry,
    "local": _local,
    "global": _global,
    "set": _set,
    "return": _return,
    "break": _break,
    "continue": _continue,
    "beep": _beep,
    "grep": _grep,
    "jobname": _jobname,
    "ping": ping,
    "quit": _quit,
    "exit": _quit,
    "time": _time,
}
