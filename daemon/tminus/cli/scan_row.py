"""One site of a scan: what was found, beside what is known, and what follows from the two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncpg

    from tminus.services.scanner import Finding

FACTS = ("identity", "model", "serial", "version")


@dataclass(slots=True, kw_only=True)
class Row:
    """One site as it is shown: what was found, beside what is known."""

    finding: Finding
    known: asyncpg.Record
    # Another site that this router is already, by its serial number.
    twin: str | None = None
    accepted: bool = False

    @property
    def id(self) -> str:
        return self.finding.site.id

    @property
    def facts(self) -> dict[str, str | None]:
        survey = self.finding.survey
        if survey is None:
            return dict.fromkeys(FACTS)
        return {
            "identity": survey.facts.identity,
            "model": survey.model,
            "serial": survey.serial,
            "version": survey.facts.version.text,
        }

    @property
    def key_changed(self) -> bool:
        from tminus.services.scanner import KeyState

        return self.finding.key is KeyState.CHANGED

    @property
    def device_changed(self) -> bool:
        """Another device answers: its serial number is not the known one."""
        known = self.known["serial"]
        return self.finding.survey is not None and known is not None and self.facts["serial"] != known

    @property
    def pinned(self) -> bool:
        from tminus.services.scanner import KeyState

        return self.finding.key is KeyState.PINNED or self.accepted

    @property
    def differences(self) -> list[str]:
        found = [
            f"{name} was {self.known[name]}"
            for name, value in self.facts.items()
            if self.known[name] is not None and value != self.known[name] and self.finding.survey is not None
        ]
        return ["the host key was another", *found] if self.key_changed else found

    @property
    def problems(self) -> list[str]:
        readiness = self.finding.readiness
        problems = list(readiness.problems) if readiness else []
        if self.twin is not None:
            problems.insert(0, f"this router is site {self.twin} already (serial number {self.facts['serial']})")
        elif self.device_changed and not self.accepted:
            problems.insert(0, "another device answers here than before (its serial number is another)")
        return problems

    @property
    def ready(self) -> bool:
        return self.pinned and self.finding.trouble is None and not self.problems

    def acceptable(self, changed: frozenset[str], *, accept: bool) -> bool:
        """Whether what was found is to be written. What is another needs to be named; a twin is never written."""
        if self.finding.presented is None or self.twin is not None:
            return False
        return self.id in changed or (accept and not self.key_changed and not self.device_changed)

    def document(self) -> dict[str, object]:
        finding, known = self.finding, self.known
        readiness, survey = finding.readiness, finding.survey
        return {
            "id": self.id,
            "address": known["address"],
            "port": known["port"],
            "key": str(finding.key),
            "host_key": finding.presented.text if finding.presented else None,
            "fingerprint": finding.presented.fingerprint if finding.presented else None,
            "known_fingerprint": _fingerprint(finding.site.host_key),
            **self.facts,
            "free_space": survey.free_space if survey else None,
            "device_mode": survey.device_mode if survey else None,
            "differences": self.differences,
            "problems": self.problems,
            "notes": list(readiness.notes) if readiness else [],
            "unknown": list(readiness.unknown) if readiness else [],
            "trouble": finding.trouble,
            "accepted": self.accepted,
        }


def _fingerprint(key: str | None) -> str | None:
    from tminus.device.hostkeys import HostKey

    if key is None:
        return None
    try:
        return HostKey.parse(key).fingerprint
    except ValueError:
        return None
