"""``/import``: a file is parsed as a whole and then run; ``verbose=yes`` goes line by line, ``dry-run`` only looks."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

from tminus.routeros.language import ScriptSyntaxError
from tminus.simulator.errors import Dropped, Quit, Rebooted, Returned, RunError
from tminus.simulator.faults import Fault
from tminus.simulator.files import File
from tminus.simulator.journal import Kind

from .binding import Bindings, load
from .scope import Scope

if TYPE_CHECKING:
    from .interpreter import Console

DONE = "Script file loaded and executed successfully"
CLEAN = "No syntax errors found in the import file"


async def run_import(console: Console, *, name: str, verbose: bool, dry_run: bool, from_line: int) -> None:
    """Raises RunError with RouterOS's text; what ran before an error stays applied."""
    file = console.router.files.get(name.lstrip("/"))
    if file is None:
        raise RunError("Cannot open import file, file does not exist")
    if file.directory:
        raise RunError("Cannot open import file, file does not exist")
    limit = console.router.behaviour.import_max_bytes
    if limit and not verbose and len(file.content) > limit:
        raise RunError(
            "failure: file is too big to parse at once, use verbose"
        )  # uncertain: only its advice is recorded
    if (dry_run or from_line > 1) and not verbose:
        raise RunError("dry-run and from-line need verbose=yes")
    if console.interactive:
        console.write(f"Opening script file {file.name}\n\n")
    source = b"\n" * (from_line - 1) + b"\n".join(file.content.split(b"\n")[from_line - 1 :])
    if dry_run:
        _look(console, file, source)
    else:
        await _Import(console, file, verbose=verbose).run(source)


def _look(console: Console, file: File, source: bytes) -> None:
    error: ScriptSyntaxError | None = None
    try:
        load(source, console.router.version)
    except ScriptSyntaxError as exc:
        error = exc
    console.router.record(Kind.DRY_RUN, name=file.name, errors=int(error is not None))
    _echo(console, source, 1, error.line if error else None)
    if error is None:
        console.write(CLEAN + "\n")
        return
    console.write(f"{error}\n")
    failure = RunError("Script Error: found 1 error(s) in import file")
    failure.locate("", 0)  # this one comes without a path
    raise failure


def _echo(console: Console, source: bytes, first: int, last: int | None) -> None:
    for number, line in enumerate(source.decode("utf-8", "surrogateescape").split("\n"), start=1):
        if number >= first and (last is None or number <= last) and line.strip():
            console.write(f"#line {number}\n{line.rstrip()}\n")


class _Import:
    def __init__(self, console: Console, file: File, *, verbose: bool) -> None:
        self._console = console
        self._router = console.router
        self._file = file
        self._verbose = verbose
        self._done = 0  # statements that ran to their end
        self._digest = hashlib.sha256(file.content).hexdigest()

    @property
    def _failure(self) -> str:
        lower = self._router.version.legacy and self._router.behaviour.script_error_lower
        return "script error: " if lower else "Script Error: "

    async def run(self, source: bytes) -> None:
        try:
            bindings, late = load(source, self._router.version), None
        except ScriptSyntaxError as error:
            behaviour = self._router.behaviour
            applies = behaviour.verbose_applies_before_error if self._verbose else behaviour.applies_before_error
            if not applies:
                self._record(Kind.IMPORT_REJECTED, message=str(error))
                raise RunError(f"{self._failure}{error}") from None
            bindings, late = self._before(source, error)
        self._record(Kind.IMPORT_STARTED)
        try:
            await self._statements(bindings, source, late)
        except RunError as error:
            text = error.text(with_path=self._router.version.error_paths and not self._verbose)
            self._record(Kind.IMPORT_FINISHED, outcome="error", message=text)
            self._console.imported = True
            raise RunError(f"{self._failure}{text}") from error
        except Returned:
            pass
        except (asyncio.CancelledError, Dropped, Rebooted, Quit):
            self._record(Kind.IMPORT_INTERRUPTED, statements=self._done)
            raise
        self._record(Kind.IMPORT_FINISHED, outcome="ok", message="")
        self._console.imported = True
        self._console.write(DONE + "\n")

    def _before(self, source: bytes, error: ScriptSyntaxError) -> tuple[Bindings, ScriptSyntaxError]:
        """The lines before a syntax error: read one by one, they were executed before it was met."""
        lines = source.split(b"\n")
        first, end = error, error.line - 1
        while end > 0:
            try:
                return load(b"\n".join(lines[:end]), self._router.version), first
            except ScriptSyntaxError as earlier:  # the broken command began on an earlier line
                end = min(earlier.line, end) - 1
        return load(b"", self._router.version), first

    async def _statements(self, bindings: Bindings, source: bytes, late: ScriptSyntaxError | None) -> None:
        """Run them one by one; ``late`` is the syntax error that is met behind them."""
        statements = bindings.program.statements
        scope = Scope(self._router.globals)
        pause = self._router.timing.script_s / 2
        middle = len(statements) // 2
        for index, statement in enumerate(statements):
            if index == middle:
                await self._middle(pause)
            if self._verbose:
                end = statements[index + 1].at.line - 1 if index + 1 < len(statements) else None
                _echo(self._console, source, statement.at.line, end)
            await self._console.statement(statement, scope, bindings)
            self._done += 1
        if not statements:
            await self._middle(pause)
        if late is not None:
            raise RunError(str(late))
        if pause:
            await asyncio.sleep(pause)

    async def _middle(self, pause: float) -> None:
        """Half of the statements ran. This is where the faults of a script strike."""
        if pause:
            await asyncio.sleep(pause)
        if Fault.REBOOTS in self._router.faults:
            self._router.reboot()
            raise Rebooted
        if Fault.SILENT_MID_SCRIPT in self._router.faults:
            self._console.silence()
        if Fault.DROPS_MID_SCRIPT in self._router.faults:
            self._console.cut()
            if not self._router.behaviour.foreground_survives_close:
                raise Dropped

    def _record(self, kind: Kind, **facts: str | int) -> None:
        self._router.record(kind, name=self._file.name, sha256=self._digest, **facts)
