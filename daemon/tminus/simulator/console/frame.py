"""A command that is about to run, and its arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tminus.routeros.language import ast
from tminus.simulator.errors import RunError
from tminus.simulator.values import Code, Value, text_of

from .binding import Bindings, Bound
from .scope import Scope

if TYPE_CHECKING:
    from .interpreter import Console


class Frame:
    """One command about to run: its arguments are evaluated when asked for."""

    __slots__ = ("bindings", "bound", "console", "scope")

    def __init__(self, console: Console, bound: Bound, scope: Scope, bindings: Bindings) -> None:
        self.console = console
        self.bound = bound
        self.scope = scope
        self.bindings = bindings

    def node(self, name: str) -> ast.Value | None:
        return self.bound.named.get(name)

    async def value(self, name: str) -> Value:
        return await self.console.value(self.node(name), self.scope, self.bindings)

    async def needed(self, name: str) -> Value:
        if name not in self.bound.named:
            raise RunError(f"missing value(s) of argument(s) {name}")
        return await self.value(name)

    async def text(self, name: str) -> str:
        """A value as text; a constant keeps its spelling."""
        node = self.node(name)
        return node.text if isinstance(node, ast.Literal) else text_of(await self.value(name))

    def names(self, name: str) -> list[str]:
        """The variables that an argument names: ``i``, or ``k,v``."""
        return names_of(self.node(name))

    async def body(self, name: str, scope: Scope | None = None) -> Value:
        """Run the code of an argument in a scope of its own."""
        inner = (scope or self.scope).child()
        node = self.node(name)
        if isinstance(node, ast.Block):
            return await self.console.statements(node.statements, inner, self.bindings)
        value = await self.console.value(node, inner, self.bindings)
        if isinstance(value, Code):
            return await self.console.statements(value.block.statements, inner, value.bindings)
        return value


def names_of(node: ast.Value | None) -> list[str]:
    match node:
        case ast.Literal(text=text):
            return text.split(",")
        case ast.String() if node.plain is not None:
            return [node.plain]
        case ast.Variable(name=name) | ast.Property(name=name):
            return [name]
        case ast.Binary(op=",", left=left, right=right):
            return names_of(left) + names_of(right)
        case ast.Group(inner=inner):
            return names_of(inner)
        case _:
            raise RunError("invalid variable name")
