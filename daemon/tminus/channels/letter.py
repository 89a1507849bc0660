"""What every channel takes, and what it has to be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One message to one address. `id` stays the same however often it is sent; who gets it twice can tell by that.

    `subject` is one clean line, `text` clean and capped, `document` the same as JSON for a machine.
    """

    id: UUID
    made_at: datetime
    address: str
    subject: str
    text: str
    document: str


Send = Callable[[Letter], Awaitable[None]]


class Channel(Protocol):
    def open(self) -> AbstractAsyncContextManager[Send]:
        """Yield what hands a letter over. Opening and sending raise ChannelError, or LetterRefused for a letter that no
        repetition would bring through. Each ends within `patience` seconds."""

    @property
    def patience(self) -> float:
        """Seconds that opening, and handing over one letter, may take each."""
