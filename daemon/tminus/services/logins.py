"""Lets few sites of a launch be asked for a login until one of them has taken it, and halts the launch when none does.

A wrong password that goes to hundreds of routers at once locks an account that a RADIUS server keeps for all of them. So until
one site of a launch has taken a credential, no more logins with it are under way than may be refused; the others wait where
they are connected and have shown their host key, and nobody was asked yet. Sites that are offline hold up nobody.

It must never keep a launch from going on once a login worked, and it fails by letting a site wait for its next turn.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from uuid import UUID

import structlog

from tminus.domain.logins import LoginTally, is_common, may_try, why_halted
from tminus.store import logins
from tminus.store.pool import Database

_REMEMBERED = 400  # launches and credentials
_PATIENCE = 30.0  # seconds that a site waits for the answers of others

log = structlog.get_logger()


class NotAsked(Exception):
    """The site was not asked for a login: others with the same credential have not answered yet, or have refused."""


@dataclass(slots=True)
class _State:
    refused: int = 0
    accepted: int = 0
    trying: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def tally(self) -> LoginTally:
        return LoginTally(refused=self.refused, accepted=self.accepted)

    def wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class Ticket:
    """One login of a launch. `enter` before the credential is used, then `took` or `refused`; and `leave` in any case."""

    def __init__(self, state: _State, bound: int) -> None:
        self._state = state
        self._bound = bound
        self._entered = False

    async def enter(self) -> None:
        """Wait until this site may be asked. Raises NotAsked."""
        state = self._state
        try:
            async with asyncio.timeout(_PATIENCE):
                while not may_try(state.tally, state.trying, self._bound):
                    if is_common(state.tally, self._bound):
                        raise NotAsked("the credential was refused by the sites that were asked first")
                    await state.changed.wait()
        except TimeoutError as error:
            raise NotAsked(f"the sites that were asked first did not answer within {_PATIENCE:g} s") from error
        state.trying += 1
        self._entered = True

    def took(self) -> None:
        self._state.accepted += 1
        self._state.wake()

    def refused(self) -> None:
        self._state.refused += 1

    def leave(self) -> None:
        if self._entered:
            self._entered = False
            self._state.trying -= 1
            self._state.wake()


class Logins:
    """`bound`: so many refused logins of one credential, and none that was taken, halt a launch; 0: none do."""

    def __init__(self, db: Database, *, bound: int) -> None:
        self._db = db
        self._bound = bound
        self._states: OrderedDict[tuple[UUID, str], _State] = OrderedDict()

    def ticket(self, launch: UUID, credential: str) -> Ticket:
        return Ticket(self._state(launch, credential), self._bound)

    async def look(self, launch: UUID, credential: str) -> None:
        """Halt the launch where the failure is common to its sites, as all daemons know them. Raises StoreError."""
        state = self._state(launch, credential)
        if self._bound == 0 or state.accepted:
            return
        known = await logins.tally(self._db, launch, credential)
        if known.accepted:
            # Another daemon's site took it: those that wait here would wait in vain for one of ours.
            state.accepted += known.accepted
            state.wake()
            return
        # An ending that could not be written is a refusal all the same.
        tally = replace(known, refused=max(known.refused, state.refused))
        if is_common(tally, self._bound):
            reason = why_halted(credential, tally)
            if await logins.halt(self._db, launch, reason):
                log.error(
                    "launch_halted",
                    launch_id=str(launch),
                    reason=reason,
                    todo="compare the credential with the routers' before anything else is tried; then 'tminus retry'",
                )

    def _state(self, launch: UUID, credential: str) -> _State:
        key = (launch, credential)
        if key not in self._states:
            self._states[key] = _State()
            while len(self._states) > _REMEMBERED:
                self._states.popitem(last=False)
        return self._states[key]
