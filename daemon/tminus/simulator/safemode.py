"""Safe mode: one session holds it, and what was changed since then is undone if that session ends without releasing it.

Documented: all changes count, also those of other sessions; the history keeps 100 actions, and with more of them safe mode
ends without a word and nothing is undone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .journal import Kind

if TYPE_CHECKING:
    from .config import Table
    from .menus import Path
    from .router import Router


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SafeMode:
    """Held by one session, whose identity is this object's."""

    first: int  # the id that the first action since then has, or a smaller one
    before: Mapping[Path, Table]


def take(router: Router) -> SafeMode:
    """Hold safe mode from now on, whoever held it before."""
    router.safe_mode = SafeMode(first=router.next_id(), before=router.config.saved())
    return router.safe_mode


def holds(router: Router, held: SafeMode | None) -> bool:
    """Whether this one is in force; it is not if another session took it or too much was changed."""
    if held is None or router.safe_mode is not held:
        return False
    history = router.history
    if len(history) == history.maxlen and history[0].id > held.first:
        router.safe_mode = None
        return False
    return True


def release(router: Router) -> None:
    """Keep the changes."""
    router.safe_mode = None


def unroll(router: Router) -> None:
    """Undo the changes since safe mode was taken."""
    held = router.safe_mode
    if held is None:
        return
    router.safe_mode = None
    router.config.restore(held.before)
    while router.history and router.history[-1].id > held.first:
        router.history.pop()
    router.record(Kind.UNROLLED)
