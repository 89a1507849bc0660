"""Follows a started script to its end: what its session proves, or else what the router knows of it, and what comes after.

Nothing is aborted on doubt here: the script may be running. What is decided is never decided again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from tminus.device.connection import Connection, Execution
from tminus.device.output import Ended, ExecResult
from tminus.domain.endings import Ending, Reason, State, Step
from tminus.kill_points import Point, reach
from tminus.routeros import commands
from tminus.routeros.export import Export
from tminus.routeros.facts import behind_greeting
from tminus.routeros.outcome import Unresolved, judge_import
from tminus.routeros.text import clean_line, lines
from tminus.services import aftermath
from tminus.services.contact import CLOSES_WITHIN, Contact
from tminus.services.post_checks import unchecked
from tminus.services.resolver import Answer, Question, resolve
from tminus.services.run import Run, answer_of
from tminus.services.run_settings import RunSettings

BUSY_FOR = 15.0
"""Seconds until a daemon looks whether a script that may be running is over."""
_LISTENED_FOR = 180.0  # the same where this daemon goes on listening to it

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a started run ended, and what is stored with it."""

    ending: Ending
    output: bytes
    after: Export | None = None
    left: bool = False  # files of ours are on the router
    busy_for: float | None = None  # the script may be running


class Verification:
    def __init__(self, *, contact: Contact, settings: RunSettings, step: Callable[[Run, Step], None]) -> None:
        self._contact = contact
        self._settings = settings
        self._step = step
        self._loop = asyncio.get_running_loop()

    async def follow(self, run: Run, connection: Connection, execution: Execution) -> Outcome:
        """Return how the script ended that was started on this connection."""
        if run.content.detached:
            return await self._follow_job(run, connection, execution)
        return await self._follow_session(run, connection, execution)

    async def _follow_session(self, run: Run, connection: Connection, execution: Execution) -> Outcome:
        """Listen to the script until it ends, and judge what its session proves; else look on the router."""
        result, verdict = await self._listen(run, execution)
        reach(Point.ANSWERED)
        self._step(run, Step.VERIFYING)
        if isinstance(verdict, Ending):
            run.verdict = verdict
            if verdict.state is State.COMPLETED and run.post_checks:
                run.verdict = unchecked(verdict, "the daemon met an error of its own before them; see its log")
            return await self._verify(run, verdict, connection, result)
        # With its exit status, or closed, the session of the script is over, though the connection is there.
        listening = not connection.closed and result.exit_status is None and result.ended is not Ended.CLOSED
        found = await self._resolve(run, verdict, connection, result=result, session_open=listening)
        return self._found(found, result.output, listening=listening)

    async def _listen(self, run: Run, execution: Execution) -> tuple[ExecResult, Ending | Unresolved]:
        """Listen until the session ends, or has said all that it has to; at most until the site's time is over."""
        for linger in (CLOSES_WITHIN, None):
            result = await execution.wait(max(run.deadline - self._loop.time(), 1.0), linger=linger)
            verdict = judge_import(answer_of(result), run.nonce, run.script, catches=run.catches, greeting=run.greeting)
            if result.ended is not Ended.TOLD:
                break
            if isinstance(verdict, Ending) and verdict.state is not State.UNKNOWN:
                execution.hang_up()  # of a script that is over: it is not what keeps the channel open
                break
        return result, verdict

    async def _follow_job(self, run: Run, connection: Connection, execution: Execution) -> Outcome:
        """The script runs without us: see that it was started, then look over new connections until it is over."""
        result = await execution.wait(self._settings.command_timeout, linger=CLOSES_WITHIN)
        job = commands.job_started(run.nonce, lines(result.output))
        connection.abort()  # it holds nothing up
        self._step(run, Step.VERIFYING)
        if job is None:
            reason = Unresolved(
                reason=Reason.CONNECTION_LOST, message="The router did not say that it started the script."
            )
        else:
            log.info("job_started", job=clean_line(job, cap=40))
            reason = Unresolved(reason=Reason.TIMED_OUT, message="")
        found = await self._resolve(run, reason, connection, job_started=job is not None)
        return self._found(found, found.output or (b"" if job else result.output), listening=False)

    def _found(self, found: Answer, output: bytes, *, listening: bool) -> Outcome:
        busy_for = (_LISTENED_FOR if listening else BUSY_FOR) if found.may_be_running else None
        return Outcome(
            ending=found.ending, output=output, after=found.export, left=not found.file_gone, busy_for=busy_for
        )

    async def _verify(self, run: Run, ending: Ending, connection: Connection, result: ExecResult) -> Outcome:
        """Decided. See the router come back, make the post-checks, remove our files, take the export afterwards."""
        is_new = False
        if run.content.expects_disconnect and ending.state is State.COMPLETED:
            ending, returned = await aftermath.see_it_return(run, connection, ending, self._contact, self._settings)
            if returned is None:
                return Outcome(ending=ending, output=result.output, left=True)
            is_new, connection = returned is not connection, returned
        if ending.state is State.COMPLETED and run.post_checks:
            ending, connection = await aftermath.check(
                run, connection, ending, self._contact, self._settings, is_new=is_new
            )
        run.verdict = ending
        contact = None if run.post_checks else self._contact  # post-checks have logged in again, or tried to
        tidied = await aftermath.tidy_up(run, connection, contact, self._settings)
        ending = replace(ending, warnings=(*ending.warnings, *tidied.warnings))
        return Outcome(ending=ending, output=result.output, after=tidied.export, left=tidied.left)

    async def _resolve(
        self,
        run: Run,
        verdict: Unresolved,
        connection: Connection,
        *,
        result: ExecResult | None = None,
        session_open: bool = False,
        job_started: bool = False,
    ) -> Answer:
        """The session proves nothing. Look on the router, over a new connection; the old one is left alone till then."""
        assert run.facts is not None  # noqa: S101
        content, message = run.content, verdict.message
        if (problem := connection.jump_problem) is not None and message:
            message = f"{message.removesuffix('.')}: {problem}."
        if message:
            log.warning(
                "site_unresolved", reason=str(verdict.reason), message=f"{message} The router is asked about it."
            )
        question = Question(
            sought=run.sought,
            script=run.script,
            reason=verdict.reason,
            message=message,
            uptime_before=run.facts.uptime,
            identified_at=run.identified_at,
            stamped=run.stamped,
            version=run.facts.version,
            take_export=True,
            with_secrets=run.with_secrets,
            deadline=run.deadline,
            session_open=session_open,
            detached=content.detached,
            job_started=job_started,
            answered=result is not None and any(behind_greeting(run.greeting, lines(result.output))),
            closed=result is not None and result.exit_status is not None,
            expects_disconnect=content.expects_disconnect,
            post_checks=run.post_checks,
        )
        answer = await resolve(question, self._contact, self._settings)
        run.answers_at = answer.moved_to
        return answer
