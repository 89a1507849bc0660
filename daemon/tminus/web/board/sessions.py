"""Who is logged in on the board: a token is exchanged for a cookie, which is worth as much and lasts no longer.

Sessions are kept in memory: whoever restarts the process logs everybody out, and what a browser keeps is a random number that tells
nothing. A session ends with its token, by logging out, and when a person has too many.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tminus.web.tokens import Person

_MOST = 10_000
_MOST_OF_A_PERSON = 20


@dataclass(slots=True, kw_only=True, eq=False)
class Session:
    key: str = field(repr=False)
    person: Person
    expires: datetime
    csrf: str = field(repr=False)
    """Goes with every form of this session."""
    ended: bool = False
    streams: int = 0
    """Pages that are being kept up to date."""

    def lasts(self, now: datetime) -> bool:
        return not self.ended and now < self.expires

    def signed(self, given: str | None) -> bool:
        """Whether a form that was sent is one of this session's."""
        return given is not None and hmac.compare_digest(given.encode(), self.csrf.encode())


class Sessions:
    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._known: dict[str, Session] = {}  # the oldest first

    def begin(self, person: Person, expires: datetime) -> Session:
        """Begin one. The oldest end where there would be too many, of this person or of all."""
        self._forget()
        own = [session for session in self._known.values() if session.person.name == person.name]
        for session in own[: max(len(own) - _MOST_OF_A_PERSON + 1, 0)]:
            self.end(session)
        while len(self._known) >= _MOST:
            self.end(next(iter(self._known.values())))
        session = Session(key=secrets.token_urlsafe(32), person=person, expires=expires, csrf=secrets.token_urlsafe(32))
        self._known[session.key] = session
        return session

    def find(self, key: str | None) -> Session | None:
        """Return the session of a cookie, if it lasts."""
        session = self._known.get(key or "")
        return session if session is not None and self.lasts(session) else None

    def lasts(self, session: Session) -> bool:
        return session.lasts(self._clock())

    def end(self, session: Session) -> None:
        session.ended = True
        self._known.pop(session.key, None)

    def seconds_left(self, session: Session) -> float:
        return (session.expires - self._clock()).total_seconds()

    def _forget(self) -> None:
        now = self._clock()
        for session in [known for known in self._known.values() if not known.lasts(now)]:
            self.end(session)
