"""What a router fills in when somebody adds a script or a schedule without saying it."""

from __future__ import annotations

from collections.abc import Mapping

from tminus.simulator.config.schema import Menu
from tminus.simulator.errors import RunError
from tminus.simulator.router import Router
from tminus.simulator.schedule import STARTUP

from .permissions import SCRIPT_POLICY

_SCRIPT, _SCHEDULE = ("system", "script"), ("system", "scheduler")


def implied(router: Router, menu: Menu, by: str, may: frozenset[str], given: Mapping[str, str]) -> dict[str, str]:
    """RunError if the item would be allowed more than its owner."""
    if menu.path not in (_SCRIPT, _SCHEDULE):
        return {}
    policy = given.get("policy") or ",".join(word for word in SCRIPT_POLICY if word in may)
    if not set(policy.split(",")) <= may:
        raise RunError("not enough permissions (9)")
    values = {"owner": by, "policy": policy, "run-count": "0"}
    if menu.path == _SCHEDULE and given.get("start-time") != STARTUP:
        now = router.now()
        values |= {"start-date": router.version.date(now)}
        if "start-time" not in given:
            values |= {"start-time": now.strftime("%H:%M:%S")}
    return values
