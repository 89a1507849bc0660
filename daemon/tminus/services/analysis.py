"""Looks at scripts in a process of its own.

Reading a script of a mebibyte takes seconds of pure computation. In a thread it would hold the interpreter's lock, and with
it heartbeat, watchdog and the sessions that run; and neither a thread nor a task can be stopped when it takes too long, or
be survived when it takes all memory. A process can. It is started when there is something to look at, serves one script
after the other, and is let go when there is nothing more.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from tminus.routeros.lint import Finding, Severity, from_json
from tminus.routeros.text import clean_line

_COMMAND = (sys.executable, "-I", "-m", "tminus.services.analysis_child")
_DEADLINE = 60.0  # seconds for one script, the start of the process included
_TRIES = 2
_LONGEST_ANSWER = 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    findings: tuple[Finding, ...]
    summary: str | None
    failed: str | None = None  # why it could not be looked at

    def findings_json(self) -> str:
        return json.dumps([each.as_json() for each in self.findings])


class _Failed(Exception):
    """The script could not be looked at."""


class _Ended(_Failed):
    """The process ended, or spoke nonsense. Perhaps somebody stopped it; that is no fault of the script."""


class Analyst:
    """Asks one process at a time. `stop` must be called at the end."""

    def __init__(self, *, command: Sequence[str] = _COMMAND, deadline: float = _DEADLINE) -> None:
        self._command = command
        self._deadline = deadline
        self._process: asyncio.subprocess.Process | None = None

    async def look_at(self, script: bytes, site_timeout: timedelta, post_checks: Sequence[str] = ()) -> Analysis:
        """Return what is found in a script. Where that fails, the only finding says so: it is not tried for ever."""
        why = ""
        for _ in range(_TRIES):
            try:
                return await self._ask(script, site_timeout, post_checks)
            except _Ended as ended:
                await self.stop()
                why = str(ended)
            except _Failed as failed:
                await self.stop()
                why = str(failed)
                break
        return Analysis(findings=(_not_analysed(why),), summary=None, failed=why)

    async def _ask(self, script: bytes, site_timeout: timedelta, post_checks: Sequence[str]) -> Analysis:
        try:
            async with asyncio.timeout(self._deadline):
                answer = json.loads(await self._exchange(script, site_timeout, post_checks))
        except TimeoutError:
            raise _Failed(f"it took longer than {self._deadline:g} s") from None
        except (OSError, EOFError, ValueError) as problem:
            raise _Ended(f"the process that looks at it ended: {problem}") from problem
        match answer:
            case {"findings": list(findings), "summary": str(summary)}:
                return Analysis(findings=from_json(findings), summary=summary)
            case {"error": str(error)}:
                raise _Failed(error)
            case _:
                raise _Failed("the process that looks at it gave no answer that is understood")

    async def _exchange(self, script: bytes, site_timeout: timedelta, post_checks: Sequence[str]) -> bytes:
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={"LC_ALL": "C.UTF-8"},
                cwd="/",
                start_new_session=True,  # a Ctrl-C at a terminal is for the daemon, which then ends it
            )
        to, from_ = self._process.stdin, self._process.stdout
        assert to is not None and from_ is not None  # noqa: S101, PT018 - both are pipes
        microseconds = site_timeout // timedelta(microseconds=1)
        checks = json.dumps(post_checks).encode()
        to.write(b"%d %d %d\n" % (len(script), microseconds, len(checks)) + script + checks)
        await to.drain()
        length = int(await from_.readuntil(b"\n"))
        if not 0 < length <= _LONGEST_ANSWER:
            raise ValueError(f"an answer of {length} bytes")
        return await from_.readexactly(length)

    async def stop(self) -> None:
        """End the process, if there is one. Another is started when there is something to look at."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _not_analysed(why: str) -> Finding:
    return Finding(
        code="not-analysed",
        severity=Severity.WARNING,
        line=1,
        column=1,
        message=f"This script could not be looked at ({clean_line(why, cap=200)}), so nothing is known of its hazards; read it with more"
        " care.",
    )
