"""Decides about the waves of launches: opens the next one, asks a person for it, or halts the launch.

It starts nothing itself: it lets sites be claimed, or ends them unstarted. Several daemons may decide at once; each applies
to the state that it looked at, or not at all. It looks after every ending of this daemon's and at each poll; while it
cannot, no wave is opened. It must never open a wave of a launch that was stopped.
"""

from __future__ import annotations

import structlog

from tminus.domain.rollout import Decision, Move, decide
from tminus.services.heartbeat import Trust
from tminus.services.loop import Hint, repeat
from tminus.services.observer import Observer
from tminus.store import rollout
from tminus.store.pool import Database
from tminus.store.rollout import RolloutState

log = structlog.get_logger()


class Rollout:
    def __init__(self, db: Database, trust: Trust, *, poll_interval: float, observer: Observer) -> None:
        self._db = db
        self._trust = trust
        self._poll_interval = poll_interval
        self._observer = observer
        self.hint = Hint()

    async def run(self) -> None:
        await repeat("rollout", self._work, hint=self.hint, observer=self._observer)

    async def _work(self) -> float:
        wait = self._poll_interval
        if not self._trust.lives():
            return wait
        for state in await rollout.rollout_states(self._db):
            decision, unattended = decide_about(state)
            await self._apply(state, decision, unattended=unattended)
            if decision.at is not None:
                wait = min(wait, max((decision.at - state.now).total_seconds(), 0.01))
        return wait

    async def _apply(self, state: RolloutState, decision: Decision, *, unattended: bool) -> None:
        facts = {
            "launch_id": str(state.launch),
            "script_id": str(state.script),
            "description": state.description,
            "waves": len(state.waves),
        }
        following = state.wave + 1
        match decision.move:
            case Move.HALT:
                assert decision.reason is not None  # noqa: S101 - a halt has one
                if await rollout.halt(self._db, state.launch, state.wave, decision.reason, unattended=unattended):
                    log.warning("launch_halted", **facts, wave=state.wave, reason=decision.reason)
            case Move.OPEN:
                if await rollout.open_wave(self._db, state.launch, following):
                    log.info("wave_opened", **facts, wave=following, sites=state.waves[following - 1].sites)
            case Move.ASK:
                if await rollout.ask_wave(self._db, state.launch, following):
                    log.warning(
                        "wave_waits",
                        **facts,
                        wave=following,
                        sites=state.waves[following - 1].sites,
                        todo=f"see how it went: 'tminus status {state.script}'; then 'tminus confirm-wave {state.script}"
                        f" {following}', or cancel it; it is halted after {state.confirm_within}",
                    )
            case Move.WAIT | Move.DONE:
                pass


def decide_about(state: RolloutState) -> tuple[Decision, bool]:
    """Return the decision, and whether it is a halt because nobody came."""
    decision = decide(
        state.waves,
        state.wave,
        state.limits,
        now=state.now,
        ended_at=state.ended_at,
        pause=state.pause,
        confirm=state.confirm,
        confirmed=state.confirmed_wave > state.wave,
    )
    if decision.move is Move.HALT:
        return decision, False
    if state.paused_at is not None:
        if state.now >= state.paused_at + state.confirm_within:
            reason = f"paused by {state.paused_by}, and nobody resumed it within {state.confirm_within}"
            return Decision(move=Move.HALT, reason=reason), True
        return Decision(move=Move.WAIT), False
    if decision.move is Move.ASK and state.ended_at is not None and state.now >= state.ended_at + state.confirm_within:
        return (
            Decision(move=Move.HALT, reason=f"nobody confirmed wave {state.wave + 1} within {state.confirm_within}"),
            True,
        )
    return decision, False
