"""The row of this process life: registered at start, kept warm by heartbeats, closed at the end."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from uuid import UUID

from tminus import __version__
from tminus.store.pool import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaped:
    """What a sweep settled: instances declared dead, runs given back, runs that need to be resolved on their router."""

    dead: int
    released: int
    orphaned: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Which sites an instance can serve, beside those whose runner is its name: see tminus.can_serve."""

    runner_tags: tuple[str, ...] = ()
    credentials: tuple[str, ...] = ()
    jump_hosts: tuple[str, ...] = ()
    test_sites: tuple[str, ...] = ()  # where it runs what nobody has authorized


async def register(
    db: Database,
    *,
    instance: UUID,
    name: str,
    reach: Reach,
    max_sessions: int,
    ttl: float,
    memory: UUID | None = None,
    requires_signature: bool = False,
) -> None:
    """Begin the row. `ttl` in seconds; `memory`: which intent log it writes (IntentLog.identity), None: one of its own."""
    await db.fetch(
        "register_instance",
        instance,
        name,
        socket.gethostname(),
        os.getpid(),
        __version__,
        max_sessions,
        ttl,
        list(reach.runner_tags),
        list(reach.credentials),
        list(reach.jump_hosts),
        memory or instance,
        requires_signature,
        list(reach.test_sites),
    )


async def beat(db: Database, instance: UUID, *, draining: bool) -> bool:
    """Say that this instance lives. False: it was declared dead and can never write again."""
    return await db.fetchrow("heartbeat", instance, draining) is not None


async def stop(db: Database, instance: UUID) -> None:
    await db.fetch("stop_instance", instance)


async def disclaim_crashes(db: Database, instance: UUID) -> None:
    """Say that this instance, which was declared dead, did not crash: nothing that it ran is to blame."""
    await db.fetch("disclaim_crashes", instance)


def session_name(instance: UUID, use: str = "tminus") -> str:
    """What the sessions of an instance are called in the database (at most 63 bytes): `cut_off_the_dead` finds them by it."""
    return f"{use} {instance}"


async def cut_off_the_dead(db: Database) -> int:
    """End what dead instances hold open; return how many sessions. What they held is settled by the next `reap`."""
    return int((await db.fetch("cut_off_the_dead"))[0]["cut_off"])


async def reap(db: Database, instance: UUID | None = None) -> Reaped:
    """Settle what the dead left, and declare dead who is; `instance` asks, and has to be heard of itself for that."""
    row = (await db.call("select * from tminus.reap($1)", instance))[0]
    return Reaped(dead=row["dead"], released=row["released"], orphaned=row["orphaned"])
