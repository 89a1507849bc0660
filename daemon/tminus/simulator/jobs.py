"""What runs on a router: commands of sessions, ``:execute``, the scheduler. ``/system script job`` lists it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class JobKind(StrEnum):
    COMMAND = "command"  # has no session
    LOGIN = "login"  # ends with its session


@dataclass(slots=True, eq=False, kw_only=True)
class Job:
    id: int
    script: str
    owner: str
    kind: JobKind
    started: datetime
    policy: frozenset[str] = frozenset()  # what it may do
    listed: bool = True
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class Tasks:
    """Owns every task of one router, so that none is lost and none fails unheard."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: set[asyncio.Task[None]] = set()
        self.on_failure: Callable[[], None] = lambda: None

    def start(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"{name} on {self._name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": f"the simulator failed in {task.get_name()}", "exception": error, "task": task}
            asyncio.get_running_loop().call_exception_handler(context)
            self.on_failure()

    def cancel(self) -> None:
        """Stop all but the one that asks for it."""
        for task in list(self._tasks):
            if task is not asyncio.current_task():
                task.cancel()

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
