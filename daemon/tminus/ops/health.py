"""Whether the process can do its work."""

from __future__ import annotations

import time
from collections.abc import Callable

_SILENCE = 30.0  # seconds without an answer from the database before we are not ready
_STUCK = 120.0  # seconds without any attempt before the process is stuck; a query alone may take 30
_SERVICES = ("launcher", "dispatcher")


class Health:
    """Remembers when the services that start things last went round, with or without the database."""

    def __init__(self, *, lives: Callable[[], bool]) -> None:
        self._lives = lives
        self._answered = dict.fromkeys(_SERVICES, time.monotonic())
        self._tried = dict.fromkeys(_SERVICES, time.monotonic())
        self.draining = False

    def went_round(self, service: str, *, answered: bool) -> None:
        if service in self._tried:
            self._tried[service] = time.monotonic()
            if answered:
                self._answered[service] = time.monotonic()

    def why_not_ready(self) -> str | None:
        """Say why nothing new can be started now; None if all is well."""
        if self.draining:
            return "draining"
        if not self._lives():
            return "cannot prove to the database that this instance lives"
        silent = [name for name, at in self._answered.items() if time.monotonic() - at > _SILENCE]
        return f"no answer from the database for {' and '.join(silent)}" if silent else None

    def goes_round(self) -> bool:
        """Whether the services go round. A lost database must show in /readyz, never in the watchdog."""
        return all(time.monotonic() - at < _STUCK for at in self._tried.values())
