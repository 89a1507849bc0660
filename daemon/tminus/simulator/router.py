"""One simulated router: its configuration, files, log, jobs and clock. It knows nothing of SSH."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from tminus.simulator.config.config import Base, Change, Config
from tminus.simulator.config.menus import BY_PATH
from tminus.simulator.config.schema import Menu

from .behaviour import Behaviour
from .faults import UPLOAD_LATE_S, Fault
from .files import FileStore
from .jobs import Job, JobKind, Tasks
from .journal import Fact, Journal, Kind
from .safemode import SafeMode
from .setup import ORDINARY, Setup
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
    readable_at: float  # monotonic: before that `/log` does not show it


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One line of ``/system history``."""

    id: int
    action: str
    by: str
    moment: datetime
    redo: str
    undo: str = ""
    change: Change | None = field(default=None, repr=False)


class Observer(Protocol):
    """What is told of a router's life: its scheduler, and its place on the network."""

    def changed(self, menu: Menu) -> None:
        """The configuration of a menu changed."""

    def went_down(self) -> None:
        """The router stopped working; everything in memory is gone."""

    def came_up(self) -> None:
        """It works again."""


class Router:
    def __init__(
        self,
        *,
        site: str,
        version: Version,
        hardware: Hardware,
        base: Base,
        faults: frozenset[Fault],
        behaviour: Behaviour,
        timing: Timing,
        journal: Journal,
        up_for_s: float,
        setup: Setup = ORDINARY,
    ) -> None:
        self.site = site
        self.version = _answering(version, behaviour)
        self.hardware = hardware
        self.setup = setup
        self.faults = faults
        self.behaviour = behaviour
        self.timing = timing
        self.factory = base  # what a reset goes back to
        self.config = Config(base)
        self.files = FileStore(
            time.monotonic, time.time, capacity=setup.storage_kb * 1024, flash_folder=setup.flash_folder,
            listed_for_s=behaviour.removed_listed_s,
        )  # fmt: skip
        self.globals: dict[str, Value] = {}
        self.jobs: dict[int, Job] = {}
        self.tasks = Tasks(site)
        self.log: deque[LogLine] = deque(maxlen=LOG_LINES)
        self.history: deque[Action] = deque(maxlen=100)
        self.undone: deque[Action] = deque(maxlen=100)
        self.clock_error = timedelta(seconds=setup.clock_ahead_s)  # as after a power cut without a time server
        self.denied: frozenset[str] = frozenset(setup.lacks)  # policies that the groups of users lack
        self.device_mode = setup.device_mode
        self.next_version: Version | None = None  # installed by the next reboot
        self.next_firmware = version.text  # in use after the next reboot
        self.firmware = version.text
        self.host_key_generation = 0  # a reset makes a new host key, so does /ip ssh regenerate-host-key
        self.down = False
        self.observers: list[Observer] = []
        self.terminals: set[Callable[[LogLine], None]] = set()  # they show critical lines of the log
        self.safe_mode = SafeMode(self)
        self.known_rights: dict[str, tuple[object, frozenset[str]]] = {}  # by user, with what they follow from
        self.cached_export: tuple[object, str] | None = None
        self._journal = journal
        self._booted = time.monotonic() - up_for_s
        self._next_id = 1
        self._parse_errors = 0

    @property
    def identity(self) -> str:
        return self.config.value(("system", "identity"), "name")

    @property
    def uptime_s(self) -> float:
        return max(time.monotonic() - self._booted, 0.0)

    @property
    def free_storage(self) -> int:
        return self.files.free

    @free_storage.setter
    def free_storage(self, size: int) -> None:
        self.files.capacity += size - self.files.free

    @property
    def parse_error_status(self) -> int:
        """The exit status of the parse error that just happened."""
        self._parse_errors += 1
        lapse = self.behaviour.parse_error_lapse
        return 0 if lapse and self._parse_errors % lapse == 0 else self.behaviour.parse_error_status

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
        line = LogLine(
            id=self.next_id(), moment=self.now(), topics=topics, message=message,
            readable_at=time.monotonic() + self.behaviour.log_lag_s,
        )  # fmt: skip
        self.log.append(line)
        for terminal in tuple(self.terminals):
            terminal(line)

    def changed(self, menu: Menu, verb: str, item: int, by: str, redo: str) -> None:
        """Note a change of the configuration where a router notes it, and in the journal."""
        past = {"add": "added", "remove": "removed", "move": "moved"}.get(verb, "changed")
        self.write_log("system,info", f"{menu.noun} {past} by {by}")
        action = f"{menu.noun} {past}"
        self.history.append(
            Action(
                id=self.next_id(), action=action, by=by, moment=self.now(), redo=redo,
                undo=f"{menu.text}/remove *{item:X}" if verb == "add" else "", change=self.config.latest,
            )
        )  # fmt: skip
        self.undone.clear()
        self.record(Kind.CHANGED, menu=menu.text, verb=verb, item=f"*{item:X}")
        self.tell_changed(menu)

    def undo(self) -> bool:
        """Take back the newest action, whoever it was; False if there is none that can be."""
        return self._step_back(self.history, self.undone, "undo")

    def redo(self) -> bool:
        """Repeat what was taken back last."""
        return self._step_back(self.undone, self.history, "redo")

    def _step_back(self, source: deque[Action], target: deque[Action], verb: str) -> bool:
        change = source[-1].change if source else None
        if change is None:
            return False
        action = source.pop()
        opposite = self.config.revert(change)
        target.append(replace(action, change=opposite))
        menu = opposite.menu
        self.record(Kind.CHANGED, menu=menu.text, verb=verb, item="")
        self.tell_changed(menu)
        return True

    def tell_changed(self, menu: Menu) -> None:
        for observer in list(self.observers):
            observer.changed(menu)

    def set_clock(self, moment: datetime) -> None:
        """Set the clock, as an administrator or a time server does."""
        self.clock_error = moment - datetime.now(UTC)
        for observer in list(self.observers):
            observer.changed(CLOCK)

    def new_job(self, script: str, owner: str, kind: JobKind) -> Job:
        """A job that is listed from now on; whoever starts it ends it with ``end_job``."""
        job = Job(id=self.next_id(), script=script, owner=owner, kind=kind, started=self.now())
        self.jobs[job.id] = job
        return job

    def end_job(self, job: Job) -> None:
        self.jobs.pop(job.id, None)

    def stop_job(self, job_id: int) -> bool:
        """Interrupt a job where it is; False if there is none."""
        job = self.jobs.get(job_id)
        if job is None or job.task is None:
            return False
        job.task.cancel()
        return True

    def reboot(self, *, by: str = "") -> None:
        """Go down: what is only in memory is lost. After ``reboot_down_s`` it works again. ``by``: who asked for it."""
        if self.down:
            return
        self.record(Kind.REBOOT)
        self.down = True
        self._booted = time.monotonic() + self.behaviour.reboot_down_s
        self.globals.clear()
        self.log.clear()
        self.history.clear()
        self.undone.clear()
        for name in self.files.power_cycle() if not self.behaviour.ram_files_survive else ():
            self.record(Kind.FILE_REMOVED, name=name)
        self.tasks.cancel()
        self.jobs.clear()
        if self.next_version is not None:
            self.version, self.next_version = _answering(self.next_version, self.behaviour), None
            self.cached_export = None
        self.firmware = self.next_firmware
        for observer in list(self.observers):
            observer.went_down()
        self.write_log("system,info", f"router rebooted{by and ' by ' + by}")
        self.tasks.start(self._boot(), "boot")

    async def _boot(self) -> None:
        await asyncio.sleep(self.behaviour.reboot_down_s)
        self.down = False
        if not self.behaviour.clock_survives_reboot:
            self.clock_error = _BEGINNING - datetime.now(UTC)
        for observer in list(self.observers):
            observer.came_up()


def _answering(version: Version, behaviour: Behaviour) -> Version:
    """A version with the answers to what is not known of versions."""
    return replace(version, error_paths_since=behaviour.error_paths_since.number, file_add_on_6=behaviour.file_add_on_6)


_BEGINNING = datetime(1970, 1, 2, tzinfo=UTC)  # of the time of a device without a battery
CLOCK = BY_PATH["system", "clock"]
