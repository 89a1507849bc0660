"""A lane gathers what is asked of it into batches and writes one batch after the other.

A caller that waits gets exactly one answer: what the database said, StoreUnavailable, which means that it is not known
whether it was written, or another StoreError, where a rule of the database refused it.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, Self, TypeVar

import structlog

from tminus.errors import StoreError, StoreUnavailable

_R = TypeVar("_R")
_A = TypeVar("_A")

log = structlog.get_logger()


class Batch(Protocol):
    """What one transaction writes."""

    def apart(self) -> Sequence[Self]:
        """Return a batch for each thing in this one."""

    def fail(self, error: StoreError) -> None:
        """Tell whoever waits for something in it."""


_B = TypeVar("_B", bound=Batch)


@dataclass(slots=True)
class Questions(Generic[_R, _A]):
    """Requests of one kind, each with the caller that waits for its answer."""

    asked: list[tuple[_R, asyncio.Future[_A]]] = field(default_factory=list)

    def requests(self) -> list[_R]:
        """Return what is to be written: not the requests of callers that gave up waiting."""
        return [request for request, answer in self.asked if not answer.done()]

    def add(self, request: _R) -> asyncio.Future[_A]:
        answer: asyncio.Future[_A] = asyncio.get_running_loop().create_future()
        self.asked.append((request, answer))
        return answer

    def answer(self, answer: Callable[[_R], _A]) -> None:
        for request, future in self.asked:
            if not future.done():
                future.set_result(answer(request))

    def apart(self) -> list[Questions[_R, _A]]:
        return [Questions([one]) for one in self.asked]

    def fail(self, error: StoreError) -> None:
        for _, answer in self.asked:
            if not answer.done():
                answer.set_exception(error)


class Lane(ABC, Generic[_B]):
    """`serve` has to be running for anything to be written."""

    def __init__(self, *, gather: float, failed: Callable[[], None]) -> None:
        """`gather`: for how long, in seconds, a batch is gathered before it is written. `failed` hears of each that failed."""
        self.next = self.new()
        self._gather = gather
        self._failed = failed
        self._wanted = asyncio.Event()
        self._ended = False

    @abstractmethod
    def new(self) -> _B:
        """Return an empty batch."""

    @abstractmethod
    async def write(self, batch: _B) -> None:
        """Write it in one transaction, and then answer whoever waits. Raises StoreError, with nobody answered."""

    def keep(self, batch: _B) -> None:
        """Keep for a later batch what nobody waits for, since this one could not be written."""

    def want(self) -> None:
        """Something was put into `next`."""
        self._wanted.set()

    async def ask(self, questions: Questions[_R, _A], request: _R) -> _A:
        """Put a request among the questions of `next`, and wait for its answer."""
        if self._ended:
            raise StoreUnavailable("the daemon ends and writes nothing more")
        self.want()
        return await questions.add(request)

    async def serve(self) -> None:
        """Write what was gathered, for ever. Ends only by being cancelled; whoever still waits is told so."""
        batch = self.new()
        try:
            while True:
                await self._wanted.wait()
                if self._gather:
                    await asyncio.sleep(self._gather)
                self._wanted.clear()
                batch, self.next = self.next, self.new()
                await self._write_or_fail(batch)
        finally:
            self._ended = True
            for left in (batch, self.next):
                left.fail(StoreUnavailable("the daemon ended; it is not known whether it was written"))

    async def _write_or_fail(self, batch: _B) -> None:
        try:
            await self.write(batch)
        except StoreUnavailable as error:
            self._failed()
            batch.fail(error)
            self.keep(batch)
        except Exception as error:
            self._failed()
            # A rule of the database refused one of them, and with it all; or a bug of ours is met by one of them. Each alone,
            # so that one cannot spoil the rest, nor end what writes them.
            parts = batch.apart()
            if len(parts) < 2:
                if isinstance(error, StoreError):
                    batch.fail(error)
                    log.error("write_refused", error=str(error))  # noqa: TRY400 - a traceback would add nothing
                else:
                    batch.fail(StoreError(f"the daemon met an error of its own while it wrote: {error!r}"))
                    log.exception("write_broke", todo="a bug of the daemon; report it with this traceback")
                return
            for part in parts:
                await self._write_or_fail(part)
