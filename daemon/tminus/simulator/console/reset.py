"""``/system reset-configuration``: back to what came from the factory, and what runs once after it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from tminus.simulator.config.defaults import base
from tminus.simulator.config.schema import Menu
from tminus.simulator.contents.permissions import ALL
from tminus.simulator.errors import RunError
from tminus.simulator.journal import Kind

from . import background

if TYPE_CHECKING:
    from .interpreter import Console

RUN_AFTER_RESET_LIMIT = timedelta(minutes=2)  # seen on 7.24


def reset(console: Console, *, bare: bool, keep_users: bool, run_after: str | None) -> None:
    """Forget the configuration; takes effect with the reboot that follows. RunError if there is no file to run."""
    router = console.router
    if run_after is not None and router.files.get(run_after) is None:
        raise RunError("failure: no such file")  # uncertain: no transcript has the router's own words
    users = router.config.table(("user",))
    router.config.become(base(0, defconf=False) if bare else router.factory)
    ethernet = ("interface", "ethernet")
    router.config.restore({ethernet: router.factory[ethernet], ("ip", "service"): router.factory["ip", "service"]})
    if keep_users:
        router.config.restore({("user",): users})
    router.host_key_generation += 1
    router.record(Kind.RESET)
    if run_after is not None:
        router.observers.append(_AfterReset(console.fork(write=lambda _: None, rights=ALL), run_after))


class _AfterReset:
    """Imports a file once, when the router is up again; its first error ends it, and is in the log."""

    def __init__(self, console: Console, name: str) -> None:
        self._console = console
        self._router = console.router
        self._name = name

    def changed(self, menu: Menu) -> None:
        pass

    def went_down(self) -> None:
        pass

    def came_up(self) -> None:
        self._router.observers.remove(self)
        self._router.tasks.start(self._run(), "run-after-reset")

    async def _run(self) -> None:
        line = f'/import file-name="{self._name}"'
        try:
            async with asyncio.timeout(RUN_AFTER_RESET_LIMIT.total_seconds()):
                error = await background.captured(self._console, line.encode("utf-8", "surrogateescape"))
        except TimeoutError:
            error = "interrupted"  # uncertain: that it stops after two minutes was seen, its words were not
        if error is not None:
            self._router.write_log("script,error", f"error while running run-after-reset script: {error}")
