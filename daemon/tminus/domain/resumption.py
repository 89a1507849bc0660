"""What an approver signs to let hosts go on after their database lost starts, and whether a signature covers one host's hold.

A host that remembers a start which the database does not know holds itself back, with an id that it draws for that (`Hold`).
What lets it go on names this id and all that is lost. So a signature counts for one hold: after the next restore it is another
one, whatever the database brings back.

Canonical form of the digest, as tminus.resume_digest has it (netstring: see domain/digest.py)::

    "tminus1:" hex(sha256(netstring("resume_all") netstring(number of holds) and for each hold, in order: netstring(id)
        and for each start, in order: netstring(nonce) netstring(launch) netstring(site) netstring(moment)))

Holds are in the order of their ids, starts in that of their four texts, compared by their bytes in UTF-8.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from tminus.domain.canonical import moment_text, netstring

ACT = "resume_all"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class RememberedStart:
    """A start that a host remembers and its database does not know."""

    nonce: str
    launch: UUID
    site: str
    at: datetime

    def texts(self) -> tuple[str, str, str, str]:
        return self.nonce, str(self.launch), self.site, moment_text(self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """What one host waits for a signature for. Its starts become more while it lasts; its id stays."""

    id: UUID
    starts: frozenset[RememberedStart]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """That hosts may go on, as the database tells it: what somebody signed for all of these holds and starts together."""

    holds: frozenset[UUID]
    starts: frozenset[RememberedStart]
    approver: str
    expires: datetime

    def digest(self) -> str:
        return resume_digest(self.holds, self.starts)

    def text(self) -> bytes:
        """Return the bytes that are signed. ValueError: the name is no line."""
        lines = [
            "tminus authorization, version 1",
            f"act: {ACT}",
            f"holds: {len(self.holds)}",
            f"starts: {len(self.starts)}",
            f"digest: {self.digest()}",
            f"approver: {self.approver}",
            f"expires: {moment_text(self.expires)}",
        ]
        if any("\n" in line or "\0" in line for line in lines):
            raise ValueError("a name in the statement holds a line break")
        return "".join(line + "\n" for line in lines).encode()

    def why_not(self, hold: Hold, now: datetime) -> str | None:
        """Say why it does not let go on who holds back by `hold`, besides its signature; None if it does."""
        if hold.id not in self.holds:
            return "it was signed for other hosts, or for an earlier restore"
        if more := len(hold.starts - self.starts):
            return f"{more} of the starts that are lost are not among those that were signed for"
        if now > self.expires:
            return f"it expired at {self.expires.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        return None


def resume_digest(holds: Iterable[UUID], starts: Iterable[RememberedStart]) -> str:
    ids = sorted({str(hold) for hold in holds})
    parts = [netstring(ACT), netstring(str(len(ids))), *map(netstring, ids)]
    for texts in sorted({start.texts() for start in starts}):
        parts += map(netstring, texts)
    return f"tminus1:{hashlib.sha256(b''.join(parts)).hexdigest()}"
