"""Exports and where their texts are stored: each text once, whole or as what differs from another one.

A text may be there already (of another site, or of the night before), so it is looked for before it is sent. What is found
is held until the commit, so that retention cannot forget it meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from tminus.domain.likeness import Likeness
from tminus.store.pool import Transaction, statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A complete export to be stored with the next write of its run. `like`: what it has in common with one that is stored."""

    phase: str
    sha256: bytes
    text: str
    header: str
    raw_bytes: int
    like: Likeness | None = None


async def store_texts(connection: Transaction, backups: Sequence[Backup]) -> None:
    """Store the texts of exports, and hold them until the commit."""
    # In one order, so that two transactions with the same new texts cannot wait for each other.
    missing = {b.sha256: b for b in sorted(backups, key=lambda b: b.sha256)}
    while missing:
        for row in await connection.fetch(statement("hold_texts"), list(missing)):
            del missing[row["sha256"]]
        for is_like, group in groupby(list(missing.values()), key=lambda b: b.like is not None):
            store = _store_likenesses if is_like else _store_whole
            for sha256 in await store(connection, group):
                del missing[sha256]
        # What is like a text that is gone by now is stored whole.
        missing = {sha256: replace(backup, like=None) for sha256, backup in missing.items()}


async def _store_likenesses(connection: Transaction, backups: Iterable[Backup]) -> list[bytes]:
    values = [(b.sha256, b.like.sha256, b.like.head, b.like.tail, b.like.middle) for b in backups if b.like is not None]
    return [row["sha256"] for row in await connection.fetchmany(statement("store_likeness"), values)]


async def _store_whole(connection: Transaction, backups: Iterable[Backup]) -> list[bytes]:
    # A text each, not an array of all: the server would copy the texts some times more.
    texts = [(b.sha256, b.text) for b in backups]
    return [row["sha256"] for row in await connection.fetchmany(statement("store_text"), texts)]


def backup_columns(backups: Sequence[tuple[int, Backup]]) -> tuple[list[object], ...]:
    """Return the arguments of tminus.store_backups for exports, each with its site run."""
    return (
        [run for run, _ in backups],
        [b.phase for _, b in backups],
        [b.sha256 for _, b in backups],
        [b.header for _, b in backups],
        [b.raw_bytes for _, b in backups],
    )
