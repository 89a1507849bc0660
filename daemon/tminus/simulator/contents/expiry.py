"""Items that end by themselves: an address list entry with a ``timeout`` is gone when that has passed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from tminus.simulator.config.config import Item
from tminus.simulator.config.schema import Menu
from tminus.simulator.router import Router
from tminus.simulator.values import Duration, parse_duration

_CREATED = "creation-time"


def created(router: Router) -> dict[str, str]:
    """What a new item of this kind remembers."""
    return {_CREATED: router.now().isoformat()}


def living(router: Router, menu: Menu) -> Sequence[Item]:
    """The items that have not ended yet, each with the time that it has left; those that have are removed."""
    items = router.config.items(menu.path)
    if not router.config.has_dynamic(menu.path):
        return items
    left = []
    for item in items:
        rest = _rest(router, menu, item)
        if rest is not None and rest <= timedelta(0):
            router.config.remove(menu, item)
        elif rest is None:
            left.append(item)
        else:
            shown = Duration(max(int(rest.total_seconds()), 1)).short()
            left.append(replace(item, values={**item.values, menu.temporary: shown}))
    return left


def _rest(router: Router, menu: Menu, item: Item) -> timedelta | None:
    moment = parse_duration(item.values.get(menu.temporary, "")) if item.dynamic else None
    if moment is None or _CREATED not in item.values:
        return None
    return datetime.fromisoformat(item.values[_CREATED]) + timedelta(seconds=moment.seconds) - router.now()
