"""Runs ``/system scheduler`` on the router's own clock.

It owns one task, and only while there is something to wait for: most routers of a fleet have no schedules. A change of
the schedules or of the clock makes it look again. It never runs while the router is down.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from tminus.simulator.config.config import Item
from tminus.simulator.config.menus import BY_PATH
from tminus.simulator.config.schema import Menu
from tminus.simulator.contents.permissions import mode_refuses, rights, script_rights
from tminus.simulator.router import CLOCK, Router
from tminus.simulator.schedule import Schedule

from . import background
from .interpreter import Console

_MENU = BY_PATH["system", "scheduler"]
_SCRIPTS = ("system", "script")
_LONGEST_WAIT_S = 3600.0  # the clock of the host may be set, too: look again now and then


class Scheduler:
    """Attach it to a router once."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._task: asyncio.Task[None] | None = None
        self._next: dict[int, datetime] = {}  # when each item fires
        self._plans: dict[int, tuple[tuple[str, ...], Schedule]] = {}  # by item: what was written, and what it means
        self._console_started = router.now() - timedelta(seconds=router.uptime_s)
        self._wake = asyncio.Event()
        router.observers.append(self)

    def changed(self, menu: Menu) -> None:
        if menu is CLOCK:
            self._wake.set()
        elif menu.path == _MENU.path:
            self._look(at_boot=False)

    def went_down(self) -> None:
        self._task = None  # the router has cancelled it
        self._next.clear()
        self._plans.clear()

    def came_up(self) -> None:
        self._console_started = self._router.now() + timedelta(seconds=self._router.behaviour.startup_after_s)
        config = self._router.config
        for item in config.items(_MENU.path):
            config.change(_MENU, item, {"run-count": "0"})
        self._look(at_boot=True)

    def _look(self, *, at_boot: bool) -> None:
        """Plan what is new or was changed, forget what is gone, and keep the rest as it was planned."""
        router, now = self._router, self._router.now()
        active = {item.id: item for item in self._items()}
        for item_id in self._next.keys() - active.keys():
            del self._next[item_id]
        self._plans = {item_id: plan for item_id, plan in self._plans.items() if item_id in active}
        for item in active.values():
            written = tuple(item.values.get(name, "") for name in ("interval", "start-date", "start-time"))
            if item.id in self._plans and self._plans[item.id][0] == written:
                continue
            plan = Schedule.of(item.values, now)
            self._plans[item.id] = (written, plan)
            after = self._console_started - timedelta(microseconds=1) if at_boot and plan.start is None else now
            self._plan(item, plan, after, known_at_boot=at_boot)
        self._wake.set()
        if self._next and self._task is None and not router.down:
            self._task = router.tasks.start(self._run(), "scheduler")

    def _items(self) -> list[Item]:
        """Those that may run: a mode that refuses schedules leaves the ones that are there inactive."""
        if "scheduler" in mode_refuses(self._router):
            return []
        items = self._router.config.items(_MENU.path)
        return [item for item in items if item.get(_MENU, "disabled") != "yes"]

    def _plan(self, item: Item, plan: Schedule, after: datetime, *, known_at_boot: bool) -> None:
        moment = plan.next_run(after, console_started=self._console_started, known_at_boot=known_at_boot)
        if moment is None:
            self._next.pop(item.id, None)
        else:
            self._next[item.id] = moment
        shown = self._router.version.stamp(moment) if moment is not None else ""
        self._note(item.id, {"next-run": shown})

    def _note(self, item_id: int, values: dict[str, str]) -> None:
        """Write down what only the router writes."""
        for item in self._router.config.items(_MENU.path):
            if item.id == item_id:
                self._router.config.change(_MENU, item, values)

    async def _run(self) -> None:
        while self._next:
            self._wake.clear()
            wait = (min(self._next.values()) - self._router.now()).total_seconds()
            if wait > 0:
                try:
                    async with asyncio.timeout(min(wait, _LONGEST_WAIT_S)):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                continue
            now = self._router.now()
            for item in self._items():  # in the order of the list, as documented
                if self._next.get(item.id, now + timedelta.resolution) <= now:
                    self._fire(item, now)
            self._next = {item_id: moment for item_id, moment in self._next.items() if moment > now}
            await asyncio.sleep(0)
        self._task = None

    def _fire(self, item: Item, now: datetime) -> None:
        count = int(item.values.get("run-count", "0")) + 1
        self._note(item.id, {"run-count": str(count)})
        self._plan(item, self._plans[item.id][1], now, known_at_boot=False)
        run_event(self._router, item)


def run_event(router: Router, item: Item) -> None:
    """Start what a schedule names: a script, or code."""
    name, event = item.values["name"], item.values.get("on-event", "")
    owner = item.values.get("owner", "")
    may = script_rights(item.values.get("policy", ""), rights(router, owner))
    script = next((it for it in router.config.items(_SCRIPTS) if it.values["name"] == event.strip()), None)
    label, source = (event.strip(), script.values.get("source", "")) if script else (name, event)
    if script is not None:
        asked = script_rights(script.values.get("policy", ""), rights(router, script.values.get("owner", "")))
        if not asked <= may and script.values.get("dont-require-permissions") != "yes":
            router.write_log("script,error", f"could not run script {label}: not enough permissions")
            return
    output: list[str] = []
    console = Console(router, owner, write=output.append, rights=may)

    def failed(error: str) -> None:
        router.write_log("script,error,debug", error)
        router.write_log(
            "script,error", f"executing script {label} from scheduler ({name}) failed, please check it manually"
        )

    job = background.start(
        console, source.encode("utf-8", "surrogateescape"), script=label, output=output, failed=failed
    )
    job.policy = may
