"""Which variables are declared where. Only ``:set`` cares: of a name that is not declared it is a syntax error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Variables:
    """A block sees what is declared around it. The body of a function does not: it begins with nothing."""

    def __init__(self) -> None:
        self._scopes: list[set[str]] = [set()]
        self._floor = 0

    def declare(self, names: Iterable[str]) -> None:
        self._scopes[-1].update(names)

    def declared(self, name: str) -> bool:
        return any(name in scope for scope in self._scopes[self._floor :])

    @contextmanager
    def scope(self, *, function: bool = False) -> Iterator[None]:
        floor = self._floor
        if function:
            self._floor = len(self._scopes)
        self._scopes.append(set())
        try:
            yield
        finally:
            self._scopes.pop()
            self._floor = floor
