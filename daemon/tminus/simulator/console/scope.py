"""Variables: a scope per block, globals per router."""

from __future__ import annotations

from collections.abc import Callable

from tminus.simulator.values import Value


class Scope:
    """Where names are looked up. ``properties`` reads the item under test in a ``where`` condition."""

    __slots__ = ("_globals", "_parent", "_shared", "_values", "properties")

    def __init__(
        self,
        shared: dict[str, Value],
        parent: Scope | None = None,
        properties: Callable[[str], Value] | None = None,
    ) -> None:
        self._shared = shared
        self._parent = parent
        self._values: dict[str, Value] = {}
        self._globals: set[str] = set()
        inherited: Callable[[str], Value] | None = parent.properties if parent else None
        self.properties: Callable[[str], Value] | None = properties or inherited

    def child(self, properties: Callable[[str], Value] | None = None) -> Scope:
        return Scope(self._shared, self, properties)

    def function(self) -> Scope:
        """The scope of a called function: it sees its arguments, and the globals that it declares."""
        return Scope(self._shared)

    def declare(self, name: str, value: Value) -> None:
        self._globals.discard(name)
        self._values[name] = value

    def declare_global(self, name: str) -> None:
        self._values.pop(name, None)
        self._globals.add(name)
        self._shared.setdefault(name, None)

    def get(self, name: str) -> Value:
        """The value of a variable; nothing for one that is not declared."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope._values:
                return scope._values[name]
            if name in scope._globals:
                return self._shared.get(name)
            scope = scope._parent
        return None

    def set(self, name: str, value: Value) -> bool:
        """Assign to the nearest declaration; False if there is none."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope._values:
                scope._values[name] = value
                return True
            if name in scope._globals:
                self._shared[name] = value
                return True
            scope = scope._parent
        return False
