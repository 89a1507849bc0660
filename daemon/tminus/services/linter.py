"""Looks at each scheduled script once, and at its edits, and stores what was found beside it.

It never changes what is to be run, nor an authorization, and nothing waits for it: a script that was not looked at yet can
be authorized and launched. What was found is written only if the script is still the one that was looked at. Several
daemons may look at the same script; the first one's findings stay. It fails by trying again, except where a script itself
cannot be looked at: then that is the finding.
"""

from __future__ import annotations

from uuid import UUID

import structlog

from tminus.services.analysis import Analyst
from tminus.services.loop import Hint, repeat
from tminus.services.observer import Observer
from tminus.store import findings
from tminus.store.pool import Database

_BATCH = 5  # a script may have a mebibyte

log = structlog.get_logger()


class Linter:
    def __init__(
        self,
        db: Database,
        instance: UUID,
        *,
        poll_interval: float,
        observer: Observer,
        analyst: Analyst | None = None,
    ) -> None:
        self._db = db
        self._instance = instance
        self._poll_interval = poll_interval
        self._observer = observer
        self._analyst = analyst or Analyst()
        self.draining = False
        self.hint = Hint()

    async def run(self) -> None:
        try:
            await repeat("linter", self._work, hint=self.hint, observer=self._observer)
        finally:
            await self._analyst.stop()

    async def _work(self) -> float:
        if self._told_to_stop():
            return self._poll_interval
        scripts = await findings.unlinted_scripts(self._db, self._instance, limit=_BATCH)
        for script in scripts:
            analysis = await self._analyst.look_at(script.script, script.site_timeout, script.post_checks)
            if self._told_to_stop():  # and so was perhaps the process that looked
                return self._poll_interval
            kept = await findings.keep_findings(
                self._db, script, findings=analysis.findings_json(), summary=analysis.summary
            )
            if kept and analysis.failed is not None:
                log.warning("findings_missing", script_id=str(script.id), error=analysis.failed)
            elif kept:
                log.info(
                    "findings_stored",
                    script_id=str(script.id),
                    findings=sum(each.count for each in analysis.findings),
                    worst=str(analysis.findings[0].severity) if analysis.findings else None,
                )
        if scripts:
            return 0.0
        await self._analyst.stop()
        return self._poll_interval

    def _told_to_stop(self) -> bool:
        return self.draining
