"""An interactive login: the screens before the prompt, the line editor, and what keys do. tminus itself never asks for a
shell or a terminal; this is here for people, and for the clients that others wrote.

A line is run by the same ``Console`` as an exec request. Editing is at the end of the line only, and there is no completion
by Tab. How lines are painted follows public captures of terminals; see ``terminal`` for what these leave open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from enum import Enum, auto
from typing import Protocol

from tminus.routeros.language import ScriptSyntaxError, ast, names

from . import menus, terminal, undeclared
from .binding import Bindings, load
from .errors import Quit, Rebooted, RunError
from .faults import SLOW_S, Fault
from .interpreter import Console
from .journal import Kind
from .keyboard import CTRL_C, CTRL_D, CTRL_X, DOWN, F1, F4, UP, Keyboard
from .router import LogLine, Router
from .terminal import LoginName

MAX_LINE = 64 * 1024
MAX_HISTORY = 100
_ECHOED = "critical"  # lines of this topic go to every terminal: a rule that routers come with
_SHOWN_AT_LOGIN = 5


class Line(Protocol):
    """Where a shell's bytes go, and what it has of its session."""

    def send(self, data: bytes) -> None: ...

    async def drain(self) -> None: ...

    def cut(self) -> None: ...

    def silence(self) -> None: ...

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
        self._plain = size is None
        width, height = size or (0, 0)
        self._width = login.width or width or 80
        self._height = login.height or height or 24
        self._switches = router.behaviour
        self._menu: tuple[str, ...] = ()
        self._typed = bytearray()  # the line so far
        self._whole = b""  # lines before it that belong to it
        self._lines: list[bytes] = []  # the history
        self._back = 0
        self._idle = False
        self._late: list[LogLine] = []  # came while a command ran
        self._hidden = False
        self._task: asyncio.Task[None] | None = None

    def resize(self, width: int, height: int) -> None:
        """The client's window changed; a size in the login name stays."""
        self._width = self._login.width or width or self._width
        self._height = self._login.height or height or self._height

    async def run(self) -> None:
        """Talk until the user leaves or the connection ends. Dropped and Rebooted go through."""
        self._router.record(Kind.SHELL, terminal=not self._plain)
        pump = asyncio.create_task(self._keys.pump(), name=f"keys of {self._router.site}")
        self._router.terminals.add(self._logged)
        left = _Leave.DROP
        try:
            left = await (self._pipe() if self._plain else self._talk())
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
                self._write(self._prompt())
            line = await self._keys.line()
            if line is None:
                return _Leave.DROP
            if self._complete(line) and await self._execute():
                return _Leave.QUIT

    # --- before the prompt

    async def _greet(self) -> None:
        license_question, unlicensed, new, again = terminal.QUESTIONS
        if self._switches.terminal_asks_license:
            self._write(f"\n{license_question}")
            answer = await self._answer()
            self._write("\n")
            if answer.lower() in (b"y", b"\r", b"\n"):
                self._write("The licence of RouterOS is not part of the simulator.\n")
        self._write(terminal.banner(self._router.version))
        if self._switches.terminal_is_unlicensed:
            self._write(f"\n{unlicensed}\n")
            while await self._answer() not in (b"\r", b"\n"):
                pass
        self._write(self._messages())
        if self._login.probes and not self._login.dumb:
            await self._probe()
        if self._switches.terminal_asks_password:
            await self._ask_password(new, again)

    async def _answer(self) -> bytes:
        key = await self._keys.key()
        if not key:
            raise _Gone
        return key

    def _messages(self) -> str:
        router = self._router
        note = router.config.single(("system", "note")).values
        shown = [f"{note['note']}\n"] if note.get("note") and note.get("show-at-login", "yes") == "yes" else []
        critical = [line for line in router.log if _ECHOED in line.topics.split(",")][-_SHOWN_AT_LOGIN:]
        shown += [f"{router.version.stamp(line.moment)} {line.topics} {line.message}\n" for line in critical]
        return "".join(shown)

    async def _probe(self) -> None:
        """Ask the terminal where its right edge is."""
        wait = self._switches.terminal_probe_wait_s
        if self._router.version.legacy:
            self._raw("\x1bZ  \x1b[6n")
            answered = await self._keys.report(wait) is not None
        else:
            self._raw("\x1b[H\x1b[9999C\x1b[6n")
            column = await self._keys.report(wait)
            answered = column is not None
            if column is not None:
                self._raw(" \x1b[6n")
                await self._keys.report(wait)
                self.resize(column, self._height)
        self._hidden = not answered and self._switches.terminal_hides_without_probe

    async def _ask_password(self, new: str, again: str) -> None:
        self._write("\n\nChange your password" + ("" if self._router.version.legacy else " (Ctrl-C to skip)") + "\n")
        while True:
            self._raw(f"\r\r\r{self._bottom}{new}\r{new}{self._erase}")
            first = await self._secret()
            if first is None:
                break
            self._raw(f"\r\n\r\r\r{self._bottom}{again}\r{again}{self._erase}")
            second = await self._secret()
            if second is None or second == first:
                if second:
                    self._change_password(second.decode("utf-8", "surrogateescape"))
                break
            self._write("\n")
        self._write("\n")

    def _change_password(self, password: str) -> None:
        menu, config = menus.BY_PATH[("user",)], self._router.config
        for item in config.items(menu.path):
            if item.values.get("name") == self._login.user:
                config.change(menu, item, {"password": password})

    async def _secret(self) -> bytes | None:
        typed = bytearray()
        while (key := await self._answer()) not in (b"\r", b"\n"):
            if key in (CTRL_C, CTRL_D):
                return None
            if key in (b"\x7f", b"\b"):
                del typed[-1:]
            elif len(key) == 1 and len(typed) < MAX_LINE:
                typed += key
        return bytes(typed)

    # --- the prompt

    async def _talk(self) -> _Leave:
        try:
            await self._greet()
            self._show_prompt()
            return await self._edit()
        except _Gone:
            return _Leave.DROP

    async def _edit(self) -> _Leave:
        """One key after the other."""
        last = b""
        while True:
            self._idle = True
            key = await self._answer()
            self._idle = False
            if key == b"\r" or (key == b"\n" and last != b"\r"):
                if await self._enter():
                    return _Leave.QUIT
            elif key == b"\n":
                if self._switches.terminal_newline_pause_s:
                    await asyncio.sleep(self._switches.terminal_newline_pause_s)
                    self._repaint(b"")
            elif key == CTRL_D and not self._typed:
                self._write("\n")
                return _Leave.DROP
            else:
                await self._press(key)
            last = key

    async def _press(self, key: bytes) -> None:
        match key:
            case _ if key == CTRL_C:
                self._typed.clear()
                self._whole = b""
                self._write("\n")
                self._show_prompt()
            case _ if key in (CTRL_X, F4):
                await self._toggle_safe_mode()
            case _ if key in (UP, DOWN):
                self._recall(key)
            case _ if key == F1 or (key == b"?" and self._router.version.legacy):
                self._write("\n" + self._help())
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
        self._raw(f"\r{self._prompt()}{self._coloured(typed)}{self._erase}\r\n\r")
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
        self._whole = self._whole + b"\n" + line if self._whole else line
        return len(self._whole) > MAX_LINE or terminal.open_bracket(self._text()) is None

    def _text(self) -> str:
        return self._whole.decode("utf-8", "surrogateescape")

    def _prompt(self) -> str:
        if self._whole:
            return f"{terminal.open_bracket(self._text())}... "
        ending = " > " if self._switches.terminal_safe_angle else " "
        safe = ending if self._holds_safe_mode else None
        return terminal.prompt(self._login.user, self._router.identity, self._menu, self._router.version, safe=safe)

    # --- painting

    @property
    def _erase(self) -> str:
        return "" if self._login.dumb else terminal.ERASE

    @property
    def _bottom(self) -> str:
        """Late versions go to the bottom of the screen in any case, old ones where they probed for it."""
        skipped = self._login.dumb or (self._router.version.legacy and not self._login.probes)
        return "" if skipped else terminal.BOTTOM

    def _blanks(self, shown: int) -> str:
        return " " * max(self._width - 1 - shown, 0) if self._switches.terminal_pads else ""

    def _coloured(self, typed: bytes) -> str:
        text = typed.decode("utf-8", "surrogateescape")
        return f"\x1b[36m{text}\x1b[m" if text and self._login.colours and not self._login.dumb else text

    def _show_prompt(self) -> None:
        late, self._late = self._late, []
        for line in late:
            self._write(self._echo(line))
        text = self._prompt()
        self._raw(f"\r\r\r\r{self._bottom}{text}")
        if self._switches.terminal_prompts_twice:
            self._raw(f"{self._blanks(len(text))}\r{text}")

    def _repaint(self, key: bytes) -> None:
        """After a key: the key, and the line again over itself, unless that is longer than the terminal is wide."""
        echo = key.decode("utf-8", "surrogateescape")
        if (key and not self._switches.terminal_repaints_keys) or len(self._typed) > self._width:
            self._raw(echo)
            return
        text = f"{self._prompt()}{self._coloured(bytes(self._typed))}"
        shown = len(self._prompt()) + len(self._typed)
        self._raw(f"{echo}\r\r{text}{self._blanks(shown)}{self._erase}\r{text}")

    def _echo(self, line: LogLine) -> str:
        moment = f"{line.moment:%H:%M:%S}"
        return f"\r{moment} echo: {line.topics} {line.message}{self._erase}\n"

    def _logged(self, line: LogLine) -> None:
        """Show a critical line at once while nothing runs, else before the next prompt."""
        if _ECHOED not in line.topics.split(",") or self._plain:
            return
        self._late.append(line)
        if self._idle:
            self._show_prompt()
            self._raw(self._coloured(bytes(self._typed)))

    def _raw(self, text: str) -> None:
        self._line.send(text.encode("utf-8", "surrogateescape"))

    def _write(self, text: str) -> None:
        """Text with LF line ends."""
        self._raw(text.replace("\r\n", "\n").replace("\n", "\r\n"))

    # --- safe mode

    @property
    def _holds_safe_mode(self) -> bool:
        return self._router.safe_mode.held_by(self)

    async def _toggle_safe_mode(self) -> None:
        safe_mode = self._router.safe_mode
        if self._holds_safe_mode:
            safe_mode.release()
            self._write("\n[Safe mode released]\n")
        elif not safe_mode.held or await self._hijack():
            safe_mode.take(self)
            self._write("\n[Safe Mode taken]\n")
        self._show_prompt()

    async def _hijack(self) -> bool:
        """Another session holds it: undo its changes, keep them, or leave everything as it is (documented)."""
        self._write("\nHijacking Safe Mode from someone - unroll/release/don't take it [u/r/d]: ")
        while True:
            match await self._answer():
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
        source, self._whole = self._whole, b""
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
        )
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
        self._write(question)
        answer = await self._answer()
        self._write(answer.decode("ascii", "replace") + "\n" if answer > b" " else "\n")
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
        if self._hidden or not text:
            return
        lines = text.split("\n")
        while paged and len(lines) > self._height:
            self._write("\n".join(lines[: self._height - 1]) + "\n")
            del lines[: self._height - 1]
            self._raw(terminal.PAGER)
            key = await self._keys.key()
            self._raw("\r" + " " * len(terminal.PAGER) + "\r")
            if key.lower() in (b"q", CTRL_C, b""):
                return
            if key.lower() == b"d":
                break
        self._write("\n".join(lines))
        await self._line.drain()

    def _pages(self, source: bytes) -> bool:
        """Whether a line is a ``print`` that stops at the end of the screen."""
        if self._plain or not self._switches.terminal_pages:
            return False
        return b"print" in source and b"without-paging" not in source and not source.startswith(b":")


class _Gone(Exception):
    """The client will send nothing any more."""


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
