"""Safe mode (``/safe-mode``, 7.18 and later): what a session changed is undone when it ends without a release.

Documented: the latest 100 actions are remembered; beyond them the session leaves safe mode silently and nothing is
undone. Changes of other sessions are undone, too. Files, reboots and passwords of others are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tminus.simulator.config.config import Table
from tminus.simulator.config.menus import find
from tminus.simulator.config.schema import Menu, Path

from .journal import Kind

if TYPE_CHECKING:
    from .router import Router

MAX_ACTIONS = 100


class SafeMode:
    """One holder at a time; who he is, is his own affair."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._holder: object | None = None
        self._before: Mapping[Path, Table] = {}
        self._actions = 0
        router.observers.append(self)

    def held_by(self, holder: object) -> bool:
        return self._holder is holder

    @property
    def held(self) -> bool:
        return self._holder is not None

    def take(self, holder: object) -> None:
        """Begin to remember. Who held it before has lost it, and what he changed stays."""
        self._holder, self._before, self._actions = holder, self._router.config.freeze(), 0

    def release(self) -> None:
        """Keep what was changed."""
        self._holder, self._before = None, {}

    def unroll(self) -> None:
        """Undo what was changed."""
        before = self._before
        self.release()
        touched = self._router.config.become(before)
        if not touched:
            return
        self._router.record(Kind.UNROLLED, menus=" ".join("/" + "/".join(path) for path in touched))
        for path in touched:
            if (menu := find(path)) is not None:
                self._router.tell_changed(menu)

    def ended(self, holder: object) -> None:
        """A session ended: whoever holds safe mode then did not release it."""
        if self._holder is holder:
            self.unroll()

    def changed(self, menu: Menu) -> None:  # noqa: ARG002
        self._actions += self.held
        if self._actions > MAX_ACTIONS:
            self.release()

    def went_down(self) -> None:
        self.release()

    def came_up(self) -> None:
        pass
