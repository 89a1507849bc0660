"""What changes, asked once for all who look: one poller a process, which runs only while somebody looks.

Nobody has a queue. Who is told that something changed asks for all that changed since what they have; who is slow asks later and
gets it in one piece. So a viewer costs a wake-up and a few hundred bytes, however many there are, and a slow one costs nothing.

It must never hold a viewer's pace against the others. When the database does not answer, viewers keep what they see and are told so.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from uuid import UUID

import asyncpg
import structlog

from tminus.errors import StoreError
from tminus.store.listen import listen
from tminus.store.pool import Database
from tminus.web.board import cells

T = TypeVar("T")
log = structlog.get_logger()

_EVERY = 0.4  # seconds, between two looks while launches go on
_EVERY_IDLE = 2.0  # while none does
_OUTLOOK_EVERY = 1.5  # what comes next changes seldom
_EASE = 3.0
_UPCOMING = 50
_MOST_ENCODED = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A launch as a whole."""

    state: str
    wave: int
    waves: int
    paused: bool
    waits: bool
    finished: bool


@dataclass(slots=True, kw_only=True)
class Watched:
    """A launch as it was seen last. `since` has, for each site and at last for the head, the version at which it changed."""

    head: Head
    letters: str
    version: int
    since: list[int]
    head_since: int

    def encode(self, after: int | None) -> bytes:
        """Return JSON of what changed since a version: head and counts, and `all` letters or those `set` at some places."""
        shown: dict[str, object] = {
            **{name: getattr(self.head, name) for name in Head.__dataclass_fields__},
            "counts": cells.counts(self.letters),
            "ready": cells.ready(self.letters),
        }
        places = None if after is None else [place for place, at in enumerate(self.since) if at > after]
        if places is None or len(places) > len(self.letters) // 4:
            shown["all"] = self.letters
        else:
            shown["set"] = cells.patch(self.letters, places)
        return json.dumps(shown, separators=(",", ":")).encode()


@dataclass(slots=True)
class Feed:
    """`dsn`: where to listen for hints, or None to poll alone."""

    db: Database
    dsn: str | None = None
    epoch: str = field(default_factory=lambda: secrets.token_hex(4))
    """Of this process: versions of another one mean nothing here."""
    version: int = 0
    mark: str = ""
    """Changes when the page of what comes next has other things on it."""
    lost: bool = False
    """The database does not answer."""
    closed: bool = False
    polls: int = 0
    launches: dict[UUID, Watched] = field(default_factory=dict)
    _watchers: Counter[UUID | None] = field(default_factory=Counter)
    _new: set[asyncio.Event] = field(default_factory=set)
    _waiting: set[asyncio.Event] = field(default_factory=set)
    _encoded: dict[tuple[UUID, int | None, int], bytes] = field(default_factory=dict)
    _hint: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def watch(self, launch: UUID | None) -> AsyncIterator[asyncio.Event]:
        """Look at a launch, or at what comes next. The event is set whenever something may have changed; the viewer clears it.

        It is set for the first time once somebody has looked for this viewer: what was seen before may be of yesterday.
        """
        woken = asyncio.Event()
        self._watchers[launch] += 1
        self._new.add(woken)
        if not self.alive:
            self._task = asyncio.create_task(self._run())
        self._hint.set()
        try:
            yield woken
        finally:
            self._new.discard(woken)
            self._waiting.discard(woken)
            self._watchers[launch] -= 1
            if not self._watchers[launch]:
                del self._watchers[launch]
            if not self._watchers and self._task is not None:
                self._task.cancel()
                self._task = None

    @property
    def alive(self) -> bool:
        """Whether somebody looks; if not, viewers go, come back, and it begins anew."""
        return self._task is not None and not self._task.done() and not self.closed

    def news(self, launch: UUID, after: int | None) -> bytes | None:
        """Return what changed of a launch since a version, as JSON: all of it, after None. None if nothing did."""
        watched = self.launches.get(launch)
        if watched is None:
            return b'{"gone":true}'
        if after is not None and watched.version <= after and watched.head_since <= after:
            return None
        key = (launch, after, self.version)
        if key not in self._encoded:
            if len(self._encoded) >= _MOST_ENCODED:
                self._encoded.clear()
            self._encoded[key] = watched.encode(after)
        return self._encoded[key]

    def outlook(self) -> bytes:
        """Return how all launches stand that go on, as JSON."""
        going = {
            str(launch): {"counts": cells.counts(watched.letters), "ready": cells.ready(watched.letters)}
            for launch, watched in self.launches.items()
            if not watched.head.finished
        }
        return json.dumps({"mark": self.mark, "launches": going}, separators=(",", ":")).encode()

    async def close(self) -> None:
        """Let all viewers go, and end."""
        self.closed = True
        self._wake()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        try:
            async with AsyncExitStack() as stack:
                if self.dsn is not None:
                    listening = asyncio.create_task(listen(self.dsn, self._hint.set))
                    stack.callback(listening.cancel)
                await self._poll()
        except Exception:
            # Those who look are let go, come back, and a new one begins.
            log.exception("board_defect")
        finally:
            self._wake()

    async def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        outlook_at = loop.time()
        while True:
            self._hint.clear()
            hinted = loop.time()
            try:
                changed = await self._look_at_launches()
                if self._watchers[None] and loop.time() >= outlook_at:
                    changed |= await self._look_ahead()
                    outlook_at = loop.time() + _OUTLOOK_EVERY
                changed |= self.lost
                self.lost = False
            except StoreError as error:
                log.warning("board_cannot_read", error=str(error))
                changed, self.lost = not self.lost, True
            self.polls += 1
            new, self._new = self._new, set()
            self._waiting |= new
            if changed:
                self._wake()
            for woken in new:
                woken.set()
            going = any(not watched.head.finished for watched in self.launches.values())
            # However many hints there are, the database is asked at this pace, and is left in peace for most of the time.
            took = loop.time() - hinted
            await asyncio.sleep(max(_EVERY - took, _EASE * took))
            if not going:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_EVERY_IDLE - _EVERY):
                        await self._hint.wait()

    async def _look_at_launches(self) -> bool:
        wanted = [launch for launch in self._watchers if launch is not None]
        rows = await self.db.fetch("launch_cells", wanted)
        next_version = self.version + 1
        changed = False
        for row in rows:
            changed |= self._take(row, next_version)
        for gone in self.launches.keys() - {row["id"] for row in rows}:
            del self.launches[gone]
            changed = True
        if changed:
            self.version = next_version
        return changed

    def _take(self, row: asyncpg.Record, version: int) -> bool:
        """Compare a launch with how it was seen last; return whether it changed."""
        letters = row["cells"]
        head = Head(**{name: row[name] for name in Head.__dataclass_fields__})
        known = self.launches.get(row["id"])
        if known is None or len(known.letters) != len(letters):
            self.launches[row["id"]] = Watched(
                head=head, letters=letters, version=version, since=[version] * len(letters), head_since=version
            )
            return True
        places = [] if known.letters == letters else cells.changed(known.letters, letters)
        for place in places:
            known.since[place] = version
        if known.head != head:
            known.head, known.head_since = head, version
        elif not places:
            return False
        known.letters, known.version = letters, version
        return True

    async def _look_ahead(self) -> bool:
        row = await self.db.fetchrow("outlook_mark", _UPCOMING)
        mark = "" if row is None else str(row["mark"])
        changed, self.mark = mark != self.mark, mark
        return changed

    def _wake(self) -> None:
        for woken in self._waiting | self._new:
            woken.set()


@dataclass(slots=True)
class Shared(Generic[T]):
    """One answer for all who ask within a moment: while it is being made the others wait for the same one."""

    within: float  # seconds
    most: int = 64
    _kept: dict[object, tuple[float, asyncio.Task[T]]] = field(default_factory=dict)

    async def get(self, key: object, make: Callable[[], Coroutine[object, object, T]]) -> T:
        now = asyncio.get_running_loop().time()
        known = self._kept.get(key)
        if known is None or (known[1].done() and now - known[0] > self.within) or _failed(known[1]):
            while len(self._kept) >= self.most:
                del self._kept[next(iter(self._kept))]
            known = self._kept[key] = (now, asyncio.create_task(make()))
        return await asyncio.shield(known[1])


def _failed(task: asyncio.Task[object]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
