"""Which variables are declared where. Only ``:set`` cares: of a name that is not declared it is a syntax error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum, auto


class Scope(Enum):
    """What a piece of code has to do with the variables around it."""

    BLOCK = auto()  # sees them; what it declares ends with it
    BRACKET = auto()  # a statement that is only [ ... ]: sees them, and leaves what it declares behind
    FUNCTION = auto()  # begins with nothing
    TEXT = auto()  # kept as text for later: nobody knows yet what it will see


class Variables:
    def __init__(self) -> None:
        self._scopes: list[set[str]] = [set()]
        self._floor = 0
        self._texts = 0

    def declare(self, names: Iterable[str]) -> None:
        self._scopes[-1].update(names)

    def declared(self, name: str) -> bool:
        return self._texts > 0 or any(name in scope for scope in self._scopes[self._floor :])

    @contextmanager
    def scope(self, kind: Scope) -> Iterator[None]:
        floor = self._floor
        if kind is Scope.FUNCTION:
            self._floor = len(self._scopes)
        self._texts += kind is Scope.TEXT
        self._scopes.append(set())
        try:
            yield
        finally:
            left = self._scopes.pop()
            self._floor = floor
            self._texts -= kind is Scope.TEXT
        if kind is Scope.BRACKET:
            self.declare(left)
