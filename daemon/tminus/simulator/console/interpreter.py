"""Runs commands of the console language on a router.

A ``Console`` is one session: who is logged in, and where the output goes. Nothing here parses text; ``binding.load``
has understood every command before the first one runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import assert_never

from tminus.routeros.language import ast
from tminus.simulator.config.schema import Path
from tminus.simulator.contents import permissions
from tminus.simulator.errors import LoopControl, Returned, RunError
from tminus.simulator.faults import Fault
from tminus.simulator.jobs import Job
from tminus.simulator.router import Router
from tminus.simulator.values import NIL, Array, Code, Value, array_of, bounded, keyed, literal, text_of, truth

from . import control, menuverbs
from .binding import Bindings, Bound, load
from .operators import binary, invert, negate
from .scope import Scope

MAX_DEPTH = 100  # nested calls; deeper ones end with an error, as they must somewhere
_TOO_DEEP = "maximum recursion depth reached"
_BREATH = 500  # statements between two chances for others


def _discard(_text: str) -> None:
    pass


class Console:
    """``write`` takes text with LF line ends; ``flush`` sends what was written so far, as fast as the client takes it."""

    def __init__(
        self,
        router: Router,
        user: str,
        *,
        write: Callable[[str], None],
        flush: Callable[[], Awaitable[None]] | None = None,
        cut: Callable[[], None] = lambda: None,
        silence: Callable[[], None] = lambda: None,
        ask: Callable[[str], Awaitable[bool]] | None = None,
        rights: frozenset[str] | None = None,
        session: object = None,
        interactive: bool = False,
        jobs: list[Job] | None = None,
    ) -> None:
        self.router = router
        self._session = session
        self.user = user
        self.rights = permissions.rights(router, user) if rights is None else rights
        self.ask = ask  # a yes or no question to whoever sits there; None where nobody does
        self.write = write
        self._flush = flush
        self.cut = cut  # drops the connection, for faults
        self.silence = silence  # makes it say nothing any more, for faults
        self.listing: dict[Path, list[int]] = {}  # the ids that the last print of a menu numbered
        self.script = ""  # the name of the stored script that runs
        self.interactive = interactive  # somebody types: globals need no declaration, and an import says what it opens
        self.jobs = [] if jobs is None else jobs  # what was started in this session, and by its jobs
        self.imported = False  # whether an import ended in this session, well or not
        self._depth = 0
        self._count = 0

    @property
    def session(self) -> object:
        """Whose end undoes what was changed in safe mode: another's, where one was given."""
        return self._session or self

    async def run(self, source: bytes) -> Value:
        """Parse a line or script and run it; ScriptSyntaxError before anything ran, RunError from a statement.

        What it gives to ``:return`` is the value.
        """
        bindings = load(source, self.router.version)
        scope = Scope(self.router.globals)
        if self.interactive:
            for name in self.router.globals:
                scope.declare_global(name)
        if self._depth >= MAX_DEPTH:
            raise RunError(_TOO_DEEP)
        self._depth += 1
        try:
            for statement in bindings.program.statements:
                await self.statement(statement, scope, bindings)
        except Returned as returned:
            return returned.value
        except LoopControl:
            pass
        except RecursionError:
            raise RunError(_TOO_DEEP) from None
        finally:
            self._depth -= 1
        return None

    def fork(self, *, write: Callable[[str], None] | None = None, rights: frozenset[str] | None = None) -> Console:
        """Another console of this user. Its own ``write`` makes it one that nobody sits at."""
        if write is not None:
            return Console(self.router, self.user, write=write, rights=rights or self.rights, jobs=self.jobs)
        return Console(
            self.router, self.user, write=self.write, flush=self._flush, cut=self.cut,
            silence=self.silence, ask=self.ask, rights=rights or self.rights, jobs=self.jobs,
        )  # fmt: skip

    async def flush(self) -> None:
        if self._flush is not None:
            await self._flush()

    def write_export(self, text: str) -> None:
        """A faulty router loses the second half of an export and what the session would print after it."""
        if Fault.TRUNCATES_EXPORT in self.router.faults:
            self.write(text[: len(text) // 2])
            self.write = _discard
        else:
            self.write(text)

    async def block(self, block: ast.Block, scope: Scope, bindings: Bindings) -> Value:
        return await self.statements(block.statements, scope.child(), bindings)

    async def statements(
        self, statements: Iterable[ast.Statement], scope: Scope, bindings: Bindings, *, wanted: bool = False
    ) -> Value:
        """Run one by one; the value is the last one's."""
        value: Value = None
        for statement in statements:
            value = await self.statement(statement, scope, bindings, wanted=wanted)
        return value

    async def statement(
        self, statement: ast.Statement, scope: Scope, bindings: Bindings, *, wanted: bool = False
    ) -> Value:
        """``wanted``: the value is used, so a command that would print it does not."""
        if isinstance(statement, ast.Scope):
            return await self.block(statement.block, scope, bindings)
        self._count += 1
        if self._count % _BREATH == 0:
            await self.flush()
            await asyncio.sleep(0)
        bound = bindings.of(statement)
        if not bound.verb:
            return None
        try:
            if bound.verb == "$" and statement.callee is not None:
                return await self._call(statement.callee, bound, scope, bindings)
            if bound.builtin:
                self._refuse_without(statement.missing, bound)
                return await control.run(self, bound, scope, bindings)
            return await menuverbs.run(self, bound, scope, bindings, wanted=wanted)
        except RunError as error:
            error.locate(bound.label, statement.at.line)
            raise

    def _refuse_without(self, missing: tuple[str, ...], bound: Bound) -> None:
        if missing and (bound.verb != "return" or self.router.version.return_needs_value):
            raise RunError(f"missing value(s) of argument(s) {' '.join(missing)}")

    async def _call(self, callee: ast.Value, bound: Bound, scope: Scope, bindings: Bindings) -> Value:
        code = await self.value(callee, scope, bindings)
        if not isinstance(code, Code):
            return code
        inner = scope.function()
        if isinstance(callee, ast.Variable):
            inner.declare("0", f"${callee.name}")  # its own name, as it was called [uncertain: no transcript]
        for place, node in enumerate(bound.extra, start=1):
            inner.declare(str(place), await self.value(node, scope, bindings))
        for name, argument in bound.named.items():
            inner.declare(name, await self.value(argument, scope, bindings))
        return await self.call(code, inner)

    async def call(self, code: Code, scope: Scope) -> Value:
        """Run a function in a scope that holds its arguments."""
        if self._depth >= MAX_DEPTH:
            raise RunError(_TOO_DEEP)
        self._depth += 1
        try:
            return await self.statements(code.block.statements, scope, code.bindings)
        except Returned as returned:
            return returned.value
        except RecursionError:  # calls between which much else is nested reach the end of our stack first
            raise RunError(_TOO_DEEP) from None
        finally:
            self._depth -= 1

    async def condition(self, node: ast.Value | None, scope: Scope, bindings: Bindings) -> bool:
        return truth(await self.value(node, scope, bindings))

    async def value(  # noqa: PLR0912 - a branch a kind of node
        self, node: ast.Value | None, scope: Scope, bindings: Bindings
    ) -> Value:
        """Evaluate an expression."""
        match node:
            case None:
                return None
            case ast.Literal():
                return literal(node.text)
            case ast.Variable():
                return scope.get(node.name)
            case ast.String():
                plain = node.plain
                return plain if plain is not None else await self._joined(node.parts, scope, bindings)
            case ast.Joined():
                return literal(await self._joined(node.parts, scope, bindings))
            case ast.Substitution():
                return await self.statements(node.statements, scope.child(), bindings, wanted=True)
            case ast.Block():
                return Code(node, bindings)
            case ast.Array():
                return await self._array(node, scope, bindings)
            case ast.Property():
                return scope.properties(node.name) if scope.properties else None
            case ast.Unary():
                return await self._unary(node, scope, bindings)
            case ast.Binary():
                return await self._binary(node, scope, bindings)
            case ast.Group():
                return await self.value(node.inner, scope, bindings)
            case _:
                assert_never(node)

    async def _joined(self, parts: tuple[str | ast.Value, ...], scope: Scope, bindings: Bindings) -> str:
        texts = []
        for part in parts:
            match part:
                case str():
                    texts.append(part)
                case ast.Literal():
                    texts.append(part.text)
                case _:
                    texts.append(text_of(await self.value(part, scope, bindings)))
        return bounded("".join(texts))

    async def _array(self, node: ast.Array, scope: Scope, bindings: Bindings) -> Array:
        items = []
        for item in node.items:
            key = None if item.key is None else text_of(await self.key(item.key, scope, bindings))
            items.append((key, await self.value(item.value, scope, bindings)))
        return keyed(items)

    async def key(self, node: ast.Value, scope: Scope, bindings: Bindings) -> Value:
        """An index: a number is a place, any other constant a name."""
        if isinstance(node, ast.Literal):
            return int(node.text) if node.text.isdigit() else node.text
        return await self.value(node, scope, bindings)

    async def _unary(self, node: ast.Unary, scope: Scope, bindings: Bindings) -> Value:
        if node.op == ">":
            inner: ast.Value | None = node.operand
            while isinstance(inner, ast.Group):
                inner = inner.inner
            if isinstance(inner, ast.Substitution):
                return Code(ast.Block(at=node.at, statements=inner.statements, text=""), bindings)
            return await self.value(inner, scope, bindings)
        value = await self.value(node.operand, scope, bindings)
        match node.op:
            case "!":
                return invert(value)
            case "-":
                return negate(value)
            case "any":
                return value not in (None, NIL, "")
            case "~":
                return binary("^", value, -1)
            case _:
                raise RunError(f"operator {node.op} is not supported by the simulator")

    async def _binary(self, node: ast.Binary, scope: Scope, bindings: Bindings) -> Value:
        chain = [node]  # operators group to the left: a long chain is a tree as deep as the chain
        while isinstance(chain[-1].left, ast.Binary):
            chain.append(chain[-1].left)
        value = await self.value(chain[-1].left, scope, bindings)
        for link in reversed(chain):
            value = await self._operate(link, value, scope, bindings)
        return value

    async def _operate(self, node: ast.Binary, left: Value, scope: Scope, bindings: Bindings) -> Value:
        match node.op:
            case "&&":
                return truth(left) and truth(await self.value(node.right, scope, bindings))
            case "||":
                return truth(left) or truth(await self.value(node.right, scope, bindings))
            case "->":
                return binary("->", left, await self.key(node.right, scope, bindings))
            case "<%%":
                right = await self.value(node.right, scope, bindings)
                if not isinstance(left, Code):
                    raise RunError("cannot call what is no function")
                inner = scope.function()
                arguments = right if isinstance(right, Array) else array_of([right])
                for place, (key, item) in enumerate(arguments.items, start=1):
                    inner.declare(key or str(place), item)
                return await self.call(left, inner)
            case _:
                return binary(node.op, left, await self.value(node.right, scope, bindings))
