"""Tells people what happened: makes letters of the news in the outbox, and hands them to the channels.

It owns the letters' states and nothing else. It must never hold up a launch, so it works beside everything with a few
letters in hand at a time, and each channel has a lane of its own: a mail server that stalls keeps no webhook waiting. A
letter is delivered at least once: its id is the message's each time, so who gets it twice can tell. It fails by trying
again, with growing pauses, until a letter is too old to be of use; that is told in the log and counted.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from tminus.channels.letter import Channel, Send
from tminus.domain.news import pause_after
from tminus.errors import ChannelError, LetterRefused
from tminus.services.letters import compose
from tminus.services.loop import Hint, repeat
from tminus.services.observer import Observer
from tminus.store import news
from tminus.store.news import Taken
from tminus.store.pool import Database

_AT_ONCE = 10
_GRACE = 60.0  # seconds that a lease is longer than its letters may take

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One channel, or one address of it, and what hands letters over there."""

    kind: str
    address: str | None
    channel: Channel


class Notifier:
    def __init__(
        self,
        db: Database,
        lanes: Sequence[Lane],
        *,
        before: timedelta | None,
        within: timedelta,
        review_url: str | None,
        poll_interval: float,
        observer: Observer,
        first_pause: float = 30.0,
    ) -> None:
        """`before`: how long before its time a launch is told as coming. `within`: for how long a letter is tried."""
        self._db = db
        self._lanes = lanes
        self._before = before
        self._within = within
        self._review_url = review_url
        self._poll_interval = poll_interval
        self._observer = observer
        self._first_pause = first_pause
        self.hint = Hint()
        self._hints = [Hint() for _ in lanes]

    async def run(self) -> None:
        async with asyncio.TaskGroup() as duties:
            duties.create_task(repeat("notifier", self.gather, hint=self.hint, observer=self._observer))
            for lane, hint in zip(self._lanes, self._hints, strict=True):
                duties.create_task(self._serve(lane, hint))

    async def _serve(self, lane: Lane, hint: Hint) -> None:
        async def work() -> float:
            return await self.deliver(lane)

        await repeat("notifier", work, hint=hint, observer=self._observer)

    async def gather(self) -> float:
        """Make letters of what is due; return the seconds until the next look."""
        await news.raise_news(self._db, before=self._before)
        given_up = await news.gather(self._db, within=self._within)
        if given_up:
            self._observer.letters("failed", given_up)
            log.error("letters_given_up", letters=given_up, message="They could not be delivered in time.")
        for hint in self._hints:
            hint.give()
        return self._poll_interval

    async def deliver(self, lane: Lane) -> float:
        """Hand over the letters of a lane that are due, some at a time; return the seconds until the next look."""
        lease = lane.channel.patience * (_AT_ONCE + 1) + _GRACE
        taken = deque(await news.take(self._db, lane.kind, lane.address, limit=_AT_ONCE, lease=lease))
        if not taken:
            return self._poll_interval
        try:
            async with lane.channel.open() as send:
                while taken:
                    if not await self._hand_over(send, taken[0], patience=lane.channel.patience):
                        break
                    taken.popleft()
        except ChannelError as error:
            await self._put_off(taken, str(error))
            return self._poll_interval
        await self._put_off(taken, "the channel stalled; tried again later")
        return 0.0 if not taken else self._poll_interval

    async def _hand_over(self, send: Send, taken: Taken, *, patience: float) -> bool:
        """False: the channel stalled, and would stall the others."""
        refused: str | None = None
        try:
            letter = compose(taken, review_url=self._review_url)
            # The channel keeps to its patience; this is for one that does not.
            async with asyncio.timeout(patience + 1):
                await send(letter)
        except LetterRefused as error:
            refused = str(error)
        except TimeoutError:
            return False
        except ChannelError as error:
            await self._put_off([taken], str(error))
        except Exception as error:
            # A bug of ours that this letter meets must not keep the others waiting.
            log.exception("letter_broke", letter=str(taken.id), person=taken.person)
            await self._put_off([taken], f"the daemon met an error of its own: {error!r}")
        else:
            if await news.note(self._db, taken, "sent"):
                self._observer.letters("sent", 1)
            log.info("letter_sent", letter=str(taken.id), person=taken.person, news=len(taken.news))
        if refused is not None:
            if await news.note(self._db, taken, "failed", error=refused):
                self._observer.letters("failed", 1)
            log.error("letter_refused", letter=str(taken.id), person=taken.person, error=refused)
        return True

    async def _put_off(self, letters: Sequence[Taken], why: str) -> None:
        for taken in letters:
            pause = pause_after(taken.attempts, first=self._first_pause) * random.uniform(0.75, 1.0)  # noqa: S311 - jitter
            if await news.note(self._db, taken, "pending", pause=pause, error=why):
                self._observer.letters("put_off", 1)
        if letters:
            log.warning("letters_put_off", letters=len(letters), error=why)
