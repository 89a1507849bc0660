"""An interactive login: the line editor, what keys do, and how a line is run. tminus itself never asks for a
shell or a terminal; this is here for people, and for the clients that others wrote.

A line is run by the same ``Console`` as an exec request. Editing is at the end of the line only, and there is no completion
by Tab. How lines are painted follows public captures of terminals; see ``terminal`` for what these leave open.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from enum import Enum, auto
from typing import Protocol

from tminus.routeros.language import ScriptSyntaxError, ast, names
from tminus.simulator import terminal
from tminus.simulator.console.binding import Bindings, load
from tminus.simulator.console.interpreter import Console
from tminus.simulator.errors import Quit, Rebooted, RunError
from tminus.simulator.faults import SLOW_S, Fault
from tminus.simulator.jobs import Job
from tminus.simulator.journal import Kind
from tminus.simulator.router import LogLine, Router
from tminus.simulator.terminal import Brackets, LoginName

from . import undeclared
from .greeting import CRITICAL, greet
from .keyboard import CTRL_C, CTRL_D, CTRL_X, DOWN, F1, F4, UP, Gone, Keyboard
from .screen import Screen

MAX_LINE = 64 * 1024
MAX_LINES = 2_000  # that belong together
MAX_HISTORY = 100


class Line(Protocol):
    """Where a shell's bytes go, and what it has of its session."""

    def send(self, data: bytes) -> None: ...

    async def drain(self) -> None: ...

    def cut(self) -> None: ...

    def silence(self) -> None: ...

    @property
    def started(self) -> list[Job]: ...

    def rebooted(self) -> None: ...

    def job(self, command: str, task: asyncio.Task[None] | None) -> AbstractContextManager[None]: ...


class _Leave(Enum):
    QUIT = auto()  # changes in safe mode stay
    DROP = auto()  # they are undone


class Shell:
    """One shell of one user. ``size`` is what the client said of its terminal, None if it asked for none."""

    def __init__(
        self,
        router: Router,
        login: LoginName,
        *,
        size: tuple[int, int] | None,
        read: Callable[[], Awaitable[bytes]],
        line: Line,
    ) -> None:
        self._router = router
        self._login = login
        self._line = line
        self._keys = Keyboard(read)
        self._screen = Screen(login, router.behaviour, router.version, size=size, send=line.send)
        self._switches = router.behaviour
        self._menu: tuple[str, ...] = ()
        self._typed = bytearray()  # the line so far
        self._whole: list[bytes] = []  # lines before it that belong to it
        self._brackets = Brackets()  # of these
        self._lines: list[bytes] = []  # the history
        self._back = 0
        self._idle = False
        self._late: deque[LogLine] = deque(maxlen=MAX_HISTORY)  # came while a command ran
        self._listing: dict[tuple[str, ...], list[int]] = {}  # what the last print of each menu numbered
        self._task: asyncio.Task[None] | None = None

    def resize(self, width: int, height: int) -> None:
        self._screen.resize(width, height)

    async def run(self) -> None:
        """Talk until the user leaves or the connection ends. Dropped and Rebooted go through."""
        self._router.record(Kind.SHELL, terminal=not self._screen.plain)
        pump = asyncio.create_task(self._keys.pump(), name=f"keys of {self._router.site}")
        self._router.terminals.add(self._logged)
        left = _Leave.DROP
        try:
            left = await (self._pipe() if self._screen.plain else self._talk())
        except Gone:
            pass
        finally:
            self._router.terminals.discard(self._logged)
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
            if left is _Leave.QUIT and self._holds_safe_mode:
                self._router.safe_mode.release()
            self._router.safe_mode.ended(self)

    # --- without a terminal

    async def _pipe(self) -> _Leave:
        """Each line is run as it comes; nothing is echoed."""
        while True:
            if self._switches.terminal_pipe_prompts:
                self._screen.write(self._prompt())
            line = await self._keys.line()
            if line is None:
                return _Leave.DROP
            if self._complete(line) and await self._execute():
                return _Leave.QUIT

    # --- the prompt

    async def _talk(self) -> _Leave:
        await greet(self._router, self._login, self._screen, self._keys)
        self._show_prompt()
        return await self._edit()

    async def _edit(self) -> _Leave:
        """One key after the other."""
        last = b""
        while True:
            self._idle = True
            key = await self._keys.answer()
            self._idle = False
            if key == b"\r" or (key == b"\n" and last != b"\r"):
                if await self._enter():
                    return _Leave.QUIT
            elif key == b"\n":
                if self._switches.terminal_newline_pause_s:
                    await asyncio.sleep(self._switches.terminal_newline_pause_s)
                    self._repaint(b"")
            elif key == CTRL_D and not self._typed:
                self._screen.write("\n")
                return _Leave.DROP
            else:
                await self._press(key)
            last = key

    async def _press(self, key: bytes) -> None:
        match key:
            case _ if key == CTRL_C:
                self._typed.clear()
                self._forget()
                self._screen.write("\n")
                self._show_prompt()
            case _ if key in (CTRL_X, F4):
                await self._toggle_safe_mode()
            case _ if key in (UP, DOWN):
                self._recall(key)
            case _ if key == F1 or (key == b"?" and self._router.version.legacy):
                self._screen.write("\n" + self._help())
                self._repaint(b"")
            case b"\x7f" | b"\b":
                del self._typed[-1:]
                self._repaint(b"")
            case _ if len(key) == 1 and key >= b" " and len(self._typed) < MAX_LINE:
                self._typed += key
                self._repaint(key)
            case _:
                self._repaint(b"")

    def _recall(self, key: bytes) -> None:
        self._back = min(max(self._back + (1 if key == UP else -1), 0), len(self._lines))
        self._typed[:] = self._lines[-self._back] if self._back else b""
        self._repaint(b"")

    def _help(self) -> str:
        """What the current menu has: its menus first."""
        menu = names.base().at(self._menu)
        shown = (*sorted(menu.menus), *sorted(menu.commands)) if menu is not None else ()
        return "".join(f"{name}\n" for name in shown)

    async def _enter(self) -> bool:
        """Run what was typed, if it is whole. True if the session ends."""
        typed = bytes(self._typed)
        self._screen.entered(self._prompt(), typed)
        self._typed.clear()
        self._back = 0
        if typed.strip():
            self._lines = [*self._lines[-MAX_HISTORY + 1 :], typed]
        if self._complete(typed) and await self._execute():
            return True
        self._show_prompt()
        return False

    def _complete(self, line: bytes) -> bool:
        """Add a line to those before it; whether they are whole now."""
        self._whole.append(line)
        self._brackets.feed(line.decode("utf-8", "surrogateescape"))
        return self._brackets.open is None or sum(map(len, self._whole)) > MAX_LINE or len(self._whole) > MAX_LINES

    def _forget(self) -> bytes:
        """Begin anew; what was there."""
        source = b"\n".join(self._whole)
        self._whole, self._brackets = [], Brackets()
        return source

    def _prompt(self) -> str:
        if self._whole:
            return f"{self._brackets.open}... "
        ending = " > " if self._switches.terminal_safe_angle else " "
        safe = ending if self._holds_safe_mode else None
        return terminal.prompt(self._login.user, self._router.identity, self._menu, self._router.version, safe=safe)

    def _show_prompt(self) -> None:
        while self._late:
            self._screen.alarm(self._late.popleft())
        self._screen.prompt(self._prompt())

    def _repaint(self, key: bytes) -> None:
        self._screen.repaint(self._prompt(), bytes(self._typed), key)

    def _logged(self, line: LogLine) -> None:
        """Show a critical line at once while nothing runs, else before the next prompt."""
        if CRITICAL not in line.topics.split(",") or self._screen.plain:
            return
        self._late.append(line)
        if self._idle:
            self._show_prompt()
            self._screen.raw(self._screen.coloured(bytes(self._typed)))

    # --- safe mode

    @property
    def _holds_safe_mode(self) -> bool:
        return self._router.safe_mode.held_by(self)

    async def _toggle_safe_mode(self) -> None:
        safe_mode = self._router.safe_mode
        if self._holds_safe_mode:
            safe_mode.release()
            self._screen.write("\n[Safe mode released]\n")
        elif not safe_mode.held or await self._hijack():
            safe_mode.take(self)
            self._screen.write("\n[Safe Mode taken]\n")
        self._show_prompt()

    async def _hijack(self) -> bool:
        """Another session holds it: undo its changes, keep them, or leave everything as it is (documented)."""
        self._screen.write("\nHijacking Safe Mode from someone - unroll/release/don't take it [u/r/d]: ")
        while True:
            match await self._keys.answer():
                case b"u":
                    self._router.safe_mode.unroll()
                    return True
                case b"r":
                    self._router.safe_mode.release()
                    return True
                case b"d" | b"\x03":
                    return False
                case _:
                    pass

    # --- running

    async def _execute(self) -> bool:
        """Run the lines that are whole now. True if the session ends."""
        source = self._forget()
        if not source.strip():
            return False
        self._router.record(Kind.TYPED, command=source.decode("utf-8", "surrogateescape"))
        if Fault.SLOW in self._router.faults:
            await asyncio.sleep(SLOW_S)
        output: list[str] = []

        async def flush() -> None:
            await self._show(output, paged=False)

        console = Console(
            self._router,
            self._login.user,
            write=output.append,
            flush=flush,
            cut=self._line.cut,
            silence=self._line.silence,
            ask=self._ask,
            session=self,
            interactive=True,
            jobs=self._line.started,
        )
        console.listing = self._listing
        self._task = asyncio.create_task(self._run(console, source), name=f"line typed on {self._router.site}")
        self._keys.interrupted = self._interrupt
        try:
            with self._line.job(source.decode("utf-8", "replace"), self._task):
                await self._task
        except asyncio.CancelledError:
            if not self._task.cancelled() or _is_cancelled(asyncio.current_task()):
                self._task.cancel()
                raise  # the session ends, not the command alone
            if self._router.behaviour.says_interrupted:
                output.append("interrupted\n")
        except Quit:
            await flush()
            return True
        finally:
            self._keys.interrupted = None
        await self._show(output, paged=self._pages(source))
        return False

    async def _ask(self, question: str) -> bool:
        """A command asks for a yes or no; Enter means no."""
        self._screen.write(question)
        answer = await self._keys.answer()
        self._screen.write(answer.decode("ascii", "replace") + "\n" if answer > b" " else "\n")
        return answer.lower() == b"y"

    def _interrupt(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self, console: Console, source: bytes) -> None:
        """Run in the current menu: it is named in front of the first line, and taken off the columns of messages."""
        head = b"/" + b" ".join(name.encode() for name in self._menu) + b";" if self._menu else b""
        version = self._router.version
        try:
            bindings = load(head + source, version)
            undeclared.refuse(bindings.program, self._router.globals)
            await console.run(head + source)
        except ScriptSyntaxError as error:
            column = error.column - len(head) if error.line == 1 else error.column
            console.write(f"{ScriptSyntaxError(error.message, error.line, column)}\n")
        except RunError as error:
            console.write(error.text(with_path=version.error_paths) + "\n")
        except Rebooted:
            self._line.rebooted()  # at once: the connection is cut right after the command
            raise
        else:
            self._menu = _menu_after(bindings)

    async def _show(self, output: list[str], *, paged: bool) -> None:
        """Send what a command wrote, as fast as the client takes it, and screen by screen if it is paged."""
        text = "".join(output).replace("\r\n", "\n")
        output.clear()
        if self._screen.hidden or not text:
            return
        lines = text.split("\n")
        while paged and len(lines) > self._screen.height:
            self._screen.write("\n".join(lines[: self._screen.height - 1]) + "\n")
            del lines[: self._screen.height - 1]
            self._screen.raw(terminal.PAGER)
            key = await self._keys.key()
            self._screen.raw("\r" + " " * len(terminal.PAGER) + "\r")
            if key.lower() in (b"q", CTRL_C, b""):
                return
            if key.lower() == b"d":
                break
        self._screen.write("\n".join(lines))
        await self._line.drain()

    def _pages(self, source: bytes) -> bool:
        """Whether a line is a ``print`` that stops at the end of the screen."""
        if self._screen.plain or not self._switches.terminal_pages:
            return False
        return b"print" in source and b"without-paging" not in source and not source.startswith(b":")


def _is_cancelled(task: asyncio.Task[None] | None) -> bool:
    return task is not None and task.cancelling() > 0


def _menu_after(bindings: Bindings) -> tuple[str, ...]:
    """The menu that a line leaves the console in: the last one that it names without a command."""
    menu: tuple[str, ...] = ()
    for statement in bindings.program.statements:
        if isinstance(statement, ast.Command):
            bound = bindings.of(statement)
            if not bound.verb:
                menu = bound.path
    return menu
