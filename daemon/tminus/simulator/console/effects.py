"""The commands of the root menu that have an effect, or ask the router for something: ``:put``, ``:execute``, ``/import``."""

from __future__ import annotations

import asyncio
import random
import string
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from tminus.routeros.language import ScriptSyntaxError, ast
from tminus.simulator.contents.export import export
from tminus.simulator.contents.spoiling import spoil
from tminus.simulator.errors import Quit, RunError
from tminus.simulator.files import NO_SPACE, StorageFull
from tminus.simulator.journal import Kind
from tminus.simulator.values import Code, Duration, ItemId, Value, literal, number_of, parse_duration, text_of

from . import background
from .actions import resolve
from .binding import load
from .frame import Frame
from .importing import run_import

if TYPE_CHECKING:
    from tminus.simulator.router import Router

_LEVELS = ("debug", "error", "info", "warning")


async def _put(frame: Frame) -> Value:
    ends = "\n\n" if frame.console.router.behaviour.blank_after_put else "\n"
    frame.console.write(text_of(await frame.value("message")) + ends)
    return None


async def _log(frame: Frame) -> Value:
    level = await frame.text("level")
    if level not in _LEVELS:
        raise RunError("input does not match any value of level")
    frame.console.router.write_log(f"script,{level}", text_of(await frame.needed("message")))
    return None


async def _delay(frame: Frame) -> Value:
    value = await frame.needed("delay-time")
    pause = value if isinstance(value, Duration) else parse_duration(text_of(value))
    if pause is None:
        raise RunError("invalid value for argument delay-time")
    await frame.console.flush()
    await asyncio.sleep(max(pause.seconds, 0))
    return None


async def _nothing(_frame: Frame) -> Value:
    return None


async def _resolve(frame: Frame) -> Value:
    """There is no network behind a simulated router: only its static names are known."""
    address = resolve(frame.console.router, await frame.text("domain-name"))
    if address is None:
        raise RunError("failure: dns name does not exist")
    return address


async def _rndnum(frame: Frame) -> Value:
    low, high = number_of(await frame.needed("from")), number_of(await frame.needed("to"))
    if low is None or high is None or low > high:
        raise RunError("invalid value for argument from")
    return random.randint(low, high)  # noqa: S311 - of a simulated router


async def _rndstr(frame: Frame) -> Value:
    letters = await frame.text("from") or string.ascii_letters + string.digits
    length = number_of(await frame.value("length")) if "length" in frame.bound.named else 16
    return "".join(random.choices(letters, k=min(length or 0, 65535)))  # noqa: S311 - of a simulated router


async def _timestamp(_frame: Frame) -> Value:
    return Duration(time.time())


async def _parse(frame: Frame) -> Value:
    """The code of a text. On RouterOS 7 bad text gives a value that says so, on 6 an error."""
    text = text_of(await frame.needed("value"))
    source = text.encode("utf-8", "surrogateescape")
    router = frame.console.router
    try:
        bindings = load(source, router.version)
    except ScriptSyntaxError as error:
        if router.version.legacy:
            raise RunError(str(error)) from None
        return f"(evl (<%% {error}))"
    block = ast.Block(at=ast.Position(0, 1, 1), statements=bindings.program.statements, text=text)
    return Code(block, bindings)


async def _execute(frame: Frame) -> Value:
    """Start a job that has no session and outlives this one; its output goes to a file, if one is named."""
    node = frame.node("script")
    script = node.text if isinstance(node, ast.Block) else text_of(await frame.needed("script"))
    file = await frame.text("file") if "file" in frame.bound.named else None
    source = script.encode("utf-8", "surrogateescape")
    if len(source) > background.MAX_SCRIPT_BYTES:
        raise RunError("failure: script too long")  # documented is the limit; no transcript has the words
    console = frame.console
    output: list[str] = []
    inner = console.fork(write=output.append)
    if "as-string" in frame.bound.flags:
        await background.captured(inner, source)
        return "".join(output)

    def failed(error: str) -> None:
        console.router.write_log("script,error", error)

    job = background.start(inner, source, script=script, output=output, file=file, failed=failed)
    return ItemId(job.id)


async def _export(frame: Frame) -> Value:
    if not ({"read", "ftp"} if "file" in frame.bound.named else {"read"}) <= frame.console.rights:
        raise RunError("not enough permissions (9)")
    await run_export(frame, ())
    return None


async def run_export(frame: Frame, path: tuple[str, ...]) -> None:
    """Print the configuration below a menu, or write it to a file."""
    console, router, flags = frame.console, frame.console.router, frame.bound.flags
    for chosen in ("path", "where"):
        if chosen in frame.bound.named:  # better than to export what was not asked for
            raise RunError(f"failure: {chosen} of {frame.bound.label} is not simulated")
    if "show-sensitive" in flags and "sensitive" not in console.rights and router.behaviour.show_sensitive_refused:
        raise RunError("not enough permissions (9)")
    secrets = "sensitive" in console.rights and (
        "show-sensitive" in flags or (router.version.shows_secrets and "hide-sensitive" not in flags)
    )
    text = export(router, path, terse="terse" in flags, verbose="verbose" in flags, secrets=secrets)
    name = await frame.text("file") if "file" in frame.bound.named else None
    file = name if name is None or name.endswith(".rsc") else f"{name}.rsc"
    try:
        if router.timing.export_s:
            await asyncio.sleep(router.timing.export_s)
    except asyncio.CancelledError:  # what was written by then stays, and says that it is not all
        half = text[: text.rfind("\n", 0, len(text) // 2) + 1] + "#interrupted\n"
        if file is None:
            console.write(half)
        elif not router.down:
            save_output(router, file, half)
        raise
    text = spoil(router, text)
    router.record(Kind.EXPORT, bytes=len(text))
    if file is None:
        console.write_export(text)
        if router.behaviour.export_ends_line and console.ask is not None:
            raise Quit
    else:
        save_output(router, file, text)


def save_output(router: Router, name: str, text: str, *, append: bool = False) -> None:
    """Write the output of a command to a file, with the line ends that a router uses."""
    old = router.files.get(name) if append else None
    content = text.replace("\n", "\r\n").encode("utf-8", "surrogateescape")
    try:
        router.files.put(name, (old.content if old else b"") + content)
    except StorageFull:
        raise RunError(NO_SPACE) from None


async def _import(frame: Frame) -> Value:
    await run_import(
        frame.console,
        name=text_of(await frame.text("file-name")),
        verbose=await frame.text("verbose") in ("yes", "true"),
        dry_run="dry-run" in frame.bound.flags,
        from_line=number_of(literal(await frame.text("from-line"))) or 1,
    )
    return None


async def _undo(frame: Frame) -> Value:
    return _step(frame, frame.console.router.undo)


async def _redo(frame: Frame) -> Value:
    return _step(frame, frame.console.router.redo)


def _step(frame: Frame, step: Callable[[], bool]) -> Value:
    """Take back or repeat the newest action. Needs policy write, as what it changes did."""
    if "write" not in frame.console.rights:
        raise RunError("not enough permissions (9)")
    if not step():
        raise RunError("failure: nothing to do")  # uncertain: no transcript has the router's own words
    return None


EFFECTS: Mapping[str, Callable[[Frame], Awaitable[Value]]] = {
    "put": _put,
    "log": _log,
    "delay": _delay,
    "nothing": _nothing,
    "resolve": _resolve,
    "rndnum": _rndnum,
    "rndstr": _rndstr,
    "timestamp": _timestamp,
    "parse": _parse,
    "execute": _execute,
    "export": _export,
    "import": _import,
    "undo": _undo,
    "redo": _redo,
}
