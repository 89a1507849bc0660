"""The chain of the audit trail, computed as migration 0015_audit does it in SQL, and what a break of it is called."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from tminus.domain.canonical import moment_text, netstring


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """An event as it is hashed; `detail` is jsonb's own text."""

    id: int
    at: datetime
    kind: str
    script_id: str | None
    launch_id: str | None
    site_id: str | None
    principal: str
    session: str
    source: str | None
    detail: str

    def hash(self) -> str:
        fields = (
            ("id", str(self.id)),
            ("at", moment_text(self.at)),
            ("kind", self.kind),
            ("script_id", self.script_id),
            ("launch_id", self.launch_id),
            ("site_id", self.site_id),
            ("principal", self.principal),
            ("session", self.session),
            ("source", self.source),
            ("detail", self.detail),
        )
        return _sha256(
            "tminus-audit1", *(part for name, value in fields if value is not None for part in (name, value))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    seq: int
    event_id: int
    event_hash: str
    sealed_at: datetime
    hash: str
    act: Act | None  # None: it is gone

    def computed(self, before: str) -> str:
        return _sha256(before, str(self.seq), str(self.event_id), self.event_hash, moment_text(self.sealed_at))


@dataclass(slots=True, kw_only=True)
class Verification:
    """Seals are fed to it in their order. `kept_since`: an act that was sealed later must be there; None: each must."""

    kept_since: datetime | None
    heads: dict[int, str]  # what is known from elsewhere: seal, hash
    seq: int = 0
    hash: str = ""
    forgotten: int = 0

    def why_broken(self, seal: Seal) -> str | None:
        """Say what is wrong with the next seal; None if nothing is."""
        if seal.seq != self.seq + 1:
            missing = f"seal {self.seq + 1}" if seal.seq == self.seq + 2 else f"seals {self.seq + 1} to {seal.seq - 1}"
            return f"{missing} missing before seal {seal.seq}"
        if seal.computed(self.hash) != seal.hash:
            return f"seal {seal.seq} (event {seal.event_id}, sealed {moment_text(seal.sealed_at)}) does not follow from what is before it"
        if seal.hash != self.heads.get(seal.seq, seal.hash):
            return f"seal {seal.seq} is not the one that is remembered: the chain was written anew, or the database was set back"
        if seal.act is None:
            if self.kept_since is None or seal.sealed_at > self.kept_since:
                return f"event {seal.event_id}, sealed {moment_text(seal.sealed_at)} as seal {seal.seq}, is gone"
            self.forgotten += 1
        elif seal.act.hash() != seal.event_hash:
            return f"event {seal.event_id} ({seal.act.kind} by {seal.act.principal}) is not as it was sealed"
        self.seq, self.hash = seal.seq, seal.hash
        return None

    def why_too_short(self) -> str | None:
        """Say, at the end, whether seals are remembered that are not there any more."""
        beyond = max(self.heads, default=0)
        if beyond > self.seq:
            return f"the trail ends with seal {self.seq}, and seal {beyond} is remembered: it was cut off, or the database set back"
        return None


def _sha256(*parts: str) -> str:
    return hashlib.sha256(b"".join(map(netstring, parts))).hexdigest()
