"""Whether the process can do its work."""

from __future__ import annotations

import time
from collections.abc import Callable

_SILENCE = 30.0  # seconds without an answer from the database before we are not ready
_STUCK = 120.0  # seconds without any attempt before the process is stuck; a query alone may take 30

_STARTERS = ("launcher", "dispatcher")
# Whose every round is a few queries, and without which nothing goes on.
_ROUNDS = (*_STARTERS, "heartbeat", "reaper", "janitor")


class Health:
    """Remembers when the services last went round, with or without the database. `now` is monotonic, in seconds."""

    def __init__(
        self,
        *,
        lives: Callable[[], bool],
        trouble: Callable[[], str | None] = lambda: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`trouble`: why this host cannot remember what it starts, or not verify signatures; None where it can."""
        self._lives = lives
        self._trouble = trouble
        self._now = now
        self._answered = dict.fromkeys(_STARTERS, now())
        self._tried = dict.fromkeys(_ROUNDS, now())
        self.draining = False
        self.ending = False
        """The services have ended, orderly or not; what has started on routers is still listened to."""
        self._paused: str | None = None

    def went_round(self, service: str, *, answered: bool) -> None:
        if service in self._tried:
            self._tried[service] = self._now()
        if answered and service in self._answered:
            self._answered[service] = self._now()

    def pause(self, why: str | None) -> None:
        """Say why the database lets nothing be started; None if it does."""
        self._paused = why

    def why_not_ready(self) -> str | None:
        """Say why nothing new can be started now; None if all is well."""
        if self.draining:
            return "draining"
        if self.ending:
            return "ending"
        if not self._lives():
            return "cannot prove to the database that this instance lives"
        if (trouble := self._trouble()) is not None:
            return trouble
        if self._paused is not None:
            return f"paused: {self._paused}"
        silent = [name for name, at in self._answered.items() if self._now() - at > _SILENCE]
        return f"no answer from the database for {' and '.join(silent)}" if silent else None

    def goes_round(self) -> bool:
        """Whether the services go round. A lost database must show in /readyz and STATUS, never in the watchdog.

        At the end there is none left that could: then this being called is all there is to prove, for no longer than a
        drain may take. To be killed earlier would cut the scripts that are waited for.
        """
        return self.ending or all(self._now() - at < _STUCK for at in self._tried.values())
