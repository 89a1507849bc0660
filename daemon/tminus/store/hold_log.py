"""What this host holds back for, after its database lost starts, where the database is not trusted (`require_signature`).

Whoever owns the database can write there that a person accepted what is lost. So this host keeps for itself which starts it
found missing, and goes on only when services/resumption.py has verified an approver's signature for that. A JSON object a line:

    holds.jsonl
        hold     an id, drawn when the first start was missed
        starts   those that it holds back for since then: nonce, launch, site, at
        resumed  by whom: the hold is over, and does not come back

It grows with restores, and with nothing else. What cannot be kept holds back all the same, as long as this process lives, and
is found missing again by the next.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

from tminus.domain.resumption import Hold, RememberedStart
from tminus.store import memory_file

_FILE = "holds.jsonl"


class HoldLog:
    """Raises ConfigError where what was kept cannot be read."""

    def __init__(self, state_dir: Path) -> None:
        self._file = state_dir / _FILE
        self._lock = asyncio.Lock()
        self.current: Hold | None = None
        self.accepted: set[str] = set()
        """Nonces of lost starts that an approver has signed for."""
        self.over: set[UUID] = set()
        """Holds that ended."""
        for line in memory_file.read_lines(self._file, holds="what this host holds back for"):
            try:
                value = json.loads(line)
                hold = UUID(value["hold"])
                starts = frozenset(map(_read_start, value.get("starts", ())))
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # it was not written whole: what it held back for is found missing again
            self._take(hold, starts, is_over="resumed" in value)

    def is_held(self) -> bool:
        return self.current is not None

    async def hold(self, starts: Collection[RememberedStart]) -> None:
        """Hold back for these as well. Raises OSError where that could not be kept; it holds back nevertheless."""
        async with self._lock:
            known = self.current.starts if self.current is not None else frozenset()
            new = frozenset(starts) - known
            if not new:
                return
            hold = self.current.id if self.current is not None else uuid4()
            self._take(hold, new, is_over=False)
            shown = [dict(zip(("nonce", "launch", "site", "at"), start.texts(), strict=True)) for start in sorted(new)]
            await self._append({"hold": str(hold), "starts": shown})

    async def release(self, hold: Hold, *, by: str) -> bool:
        """Go on. False: more was found missing meanwhile. Raises OSError where it could not be kept; then nothing goes on."""
        async with self._lock:
            if self.current != hold:
                return False
            await self._append({"hold": str(hold.id), "resumed": by})
            self._take(hold.id, frozenset(), is_over=True)
            return True

    async def _append(self, value: dict[str, object]) -> None:
        await asyncio.to_thread(memory_file.append, self._file, json.dumps(value, ensure_ascii=False).encode() + b"\n")

    def _take(self, hold: UUID, starts: frozenset[RememberedStart], *, is_over: bool) -> None:
        if hold in self.over:
            return
        if self.current is None or self.current.id != hold:
            self.current = Hold(id=hold, starts=starts)
        else:
            self.current = replace(self.current, starts=self.current.starts | starts)
        if is_over:
            self.accepted.update(start.nonce for start in self.current.starts)
            self.over.add(hold)
            self.current = None


def _read_start(value: dict[str, str]) -> RememberedStart:
    return RememberedStart(
        nonce=str(value["nonce"]),
        launch=UUID(value["launch"]),
        site=str(value["site"]),
        at=datetime.fromisoformat(value["at"]),
    )
