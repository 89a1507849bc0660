"""One simulated router: its configuration, files, log, jobs and clock. It knows nothing of SSH."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from .behaviour import Behaviour
from .config import Config, Table
from .faults import UPLOAD_LATE_S, Fault
from .files import FileStore
from .journal import Fact, Journal, Kind
from .menus import Menu, Path
from .safemode import SafeMode
from .values import Value
from .versions import Version

MIB = 1 << 20
LOG_LINES = 1000  # RouterOS keeps as many in memory unless told otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What kind of device it is; ``chr`` is the virtual one, without a routerboard."""

    model: str
    board: str
    serial: str
    software_id: str
    chr: bool
    architecture: str
    cpu: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long things take, in seconds."""

    latency_s: float = 0.0  # a round trip: between a request and the first byte of its answer
    export_s: float = 0.0
    script_s: float = 0.0  # an import


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    id: int
    moment: datetime
    topics: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One line of ``/system history``."""

    id: int
    action: str
    by: str
    moment: datetime
    redo: str


@dataclass(slots=True, eq=False, kw_only=True)
class Job:
    id: int
    script: str
    owner: str
    kind: str  # command | login
    started: datetime
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class Router:
    def __init__(
        self,
        *,
        site: str,
        version: Version,
        hardware: Hardware,
        base: Mapping[Path, Table],
        faults: frozenset[Fault],
        behaviour: Behaviour,
        timing: Timing,
        journal: Journal,
        up_for_s: float,
    ) -> None:
        self.site = site
        self.version = version
        self.hardware = hardware
        self.faults = faults
        self.behaviour = behaviour
        self.timing = timing
        self.config = Config(base)
        self.files = FileStore(time.monotonic, time.time)
        self.globals: dict[str, Value] = {}
        self.jobs: dict[int, Job] = {}
        self.log: deque[LogLine] = deque(maxlen=LOG_LINES)
        self.history: deque[Action] = deque(maxlen=100)
        self.clock_error = timedelta()  # as after a power cut without a time server
        self.free_storage = 3 * MIB + 356 * 1024
        self.denied: frozenset[str] = frozenset()  # policies that the groups of users lack
        self.device_mode = "advanced"
        self.on_reboot: Callable[[], None] = lambda: None
        self.on_password: Callable[[str], None] = lambda _password: None
        self.on_log: set[Callable[[LogLine], None]] = set()  # terminals, which show critical lines
        self.safe_mode: SafeMode | None = None
        self.cached_export: tuple[object, str] | None = None
        self._journal = journal
        self._booted = time.monotonic() - up_for_s
        self._next_id = 1

    @property
    def identity(self) -> str:
        return self.config.value(("system", "identity"), "name")

    @property
    def uptime_s(self) -> float:
        return time.monotonic() - self._booted

    @property
    def file_delay_s(self) -> float:
        return UPLOAD_LATE_S if Fault.UPLOAD_LATE in self.faults else self.behaviour.file_delay_s

    def now(self) -> datetime:
        return datetime.now(UTC) + self.clock_error

    def next_id(self) -> int:
        number = self._next_id
        self._next_id += 1
        return number

    def record(self, kind: Kind, **facts: Fact) -> None:
        self._journal.record(self.site, kind, **facts)

    def write_log(self, topics: str, message: str) -> None:
        line = LogLine(id=self.next_id(), moment=self.now(), topics=topics, message=message)
        self.log.append(line)
        for listener in tuple(self.on_log):
            listener(line)

    def changed(self, menu: Menu, verb: str, item: int, by: str, redo: str) -> None:
        """Note a change of the configuration where a router notes it, and in the journal."""
        past = {"add": "added", "remove": "removed", "move": "moved"}.get(verb, "changed")
        self.write_log("system,info", f"{menu.noun} {past} by {by}")
        action = f"{menu.noun} {past}"
        self.history.append(Action(id=self.next_id(), action=action, by=by, moment=self.now(), redo=redo))
        self.record(Kind.CHANGED, menu=menu.text, verb=verb, item=f"*{item:X}")

    def reboot(self) -> None:
        """Go down: what is only in memory is lost. ``on_reboot`` cuts the connections and brings the service back."""
        self.record(Kind.REBOOT)
        self._booted = time.monotonic() + self.behaviour.reboot_down_s
        self.safe_mode = None
        self.globals.clear()
        self.log.clear()
        self.history.clear()
        for job in list(self.jobs.values()):
            if job.task is not None and job.task is not asyncio.current_task():
                job.task.cancel()
        self.jobs.clear()
        self.write_log("system,info", "router rebooted")
        self.on_reboot()
