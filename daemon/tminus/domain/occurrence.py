"""Names an occurrence, so that a host can know it again whatever a database says: what was started once is spent.

A launch row can vanish (a restore, a failover, somebody who deletes it) and come back under another id; what was authorized
stays the same. So the name is made of what was authorized:

    once          of a scheduled script with a time of its own: its digest holds that time, and an edit makes another one
    at <moment>   of one with a cron rule, whose digest is the same for all its occurrences
    <kind> <id>   of what a person asks for once more (a test, a retry): a launch of its own
    run_now <id>  of a cron rule's launch beside its times, which a person asks for

A rehearsal starts nothing and spends nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self
from uuid import UUID

from tminus.domain.canonical import netstring
from tminus.domain.endings import LaunchKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """What is run, and which time of it."""

    digest: str
    name: str

    @classmethod
    def of(
        cls,
        *,
        digest: str | None,
        kind: LaunchKind,
        launch: UUID,
        due_at: datetime,
        recurring: bool,
        moved: bool = False,
    ) -> Self:
        if digest is None or kind is not LaunchKind.SCHEDULED:
            return cls(digest=digest or "", name=f"{kind} {launch}")
        if recurring and moved:
            return cls(digest=digest, name=f"run_now {launch}")
        if recurring:
            return cls(digest=digest, name=f"at {due_at.astimezone(UTC).isoformat(timespec='microseconds')}")
        return cls(digest=digest, name="once")

    def key(self, site: str) -> int:
        """Return 64 bits that stand for this occurrence on `site`."""
        parts = (self.digest, self.name, site)
        return int.from_bytes(hashlib.sha256(b"".join(map(netstring, parts))).digest()[:8], "big")
