"""Which site runs this process has in hand.

The database says whose a run is; this says what the process knows of. Where they differ (the answer to a claim was lost,
or a run could not be given back while the database was away), the dispatcher sweeps: a run that is ours by the database
and known to nobody would stay open for ever, and keep its router locked.
"""

from __future__ import annotations

import asyncio


class Holdings:
    """Claim only while holding `lock`, and add what was claimed before releasing it; a sweep does the same."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self._runs: set[int] = set()

    def add(self, run: int) -> None:
        self._runs.add(run)

    def remove(self, run: int) -> None:
        self._runs.discard(run)

    def known(self) -> list[int]:
        return list(self._runs)
