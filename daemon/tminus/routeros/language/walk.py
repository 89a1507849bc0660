"""Every command of a program, and the parts of a value, for whoever looks for something in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import assert_never

from . import ast

_Node = ast.Statement | ast.Value


def walk(program: ast.Program) -> Iterator[ast.Command]:
    """All commands in the order of the source, those inside blocks, brackets, strings and expressions included.

    A command comes before the commands in its arguments.
    """
    pending: list[_Node] = list(reversed(program.statements))
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Command):
            yield node
        pending.extend(reversed(list(_children(node))))


def _children(node: _Node) -> Iterable[_Node]:
    match node:
        case ast.Command():
            if node.callee is not None:
                yield node.callee
            for arg in node.args:
                if arg.value is not None:
                    yield arg.value
            if node.where is not None:
                yield node.where
        case ast.Scope():
            yield node.block
        case ast.Substitution() | ast.Block():
            yield from node.statements
        case _:
            yield from parts(node)


def parts(node: ast.Value) -> Iterator[ast.Value]:
    """What a value is made of, in the order of the source; code in it (``[ ]``, ``{ }``) is not gone into."""
    match node:
        case ast.String():
            yield from (part for part in node.parts if not isinstance(part, str))
        case ast.Joined():
            yield from node.parts
        case ast.Array():
            for item in node.items:
                if item.key is not None:
                    yield item.key
                yield item.value
        case ast.Unary():
            yield node.operand
        case ast.Binary():
            yield node.left
            yield node.right
        case ast.Group():
            if node.inner is not None:
                yield node.inner
        case ast.Literal() | ast.Variable() | ast.Property() | ast.Substitution() | ast.Block():
            pass
        case _:
            assert_never(node)
