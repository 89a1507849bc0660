"""What the services tell whoever measures. The metrics are plugged in from outside; tests plug in their own."""

from __future__ import annotations

from typing import Protocol

from tminus.domain.endings import Ending, LaunchState, Step


class Observer(Protocol):
    """Hears what happened. Must not block and must not raise."""

    def launched(self, sites: int) -> None: ...

    def launch_refused(self) -> None: ...

    def launch_ended(self, state: LaunchState) -> None: ...

    def dispatched(self, lag: float) -> None:
        """A start command was sent, `lag` seconds after its launch was due."""

    def sessions(self, running: int) -> None: ...

    def step_ended(self, step: Step, seconds: float) -> None: ...

    def site_ended(self, ending: Ending, count: int = 1) -> None: ...

    def site_put_off(self, reason: str) -> None: ...

    def backup_stored(self, size: int) -> None: ...

    def letters(self, result: str, count: int) -> None:
        """Letters to people were `sent`, `put_off` to be tried again, or `failed` for good."""

    def store_failed(self, service: str) -> None: ...

    def broke(self, service: str) -> None:
        """A round of a service met a bug of ours; it is tried again."""

    def ticked(self, service: str) -> None:
        """A service went through its loop with the database answering."""

    def heartbeat(self, trusted: bool) -> None: ...

    def reaped(self, instances: int, runs: int) -> None: ...
