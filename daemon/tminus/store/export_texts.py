"""Exports and where their texts are stored: each text once, whole or as what differs from another one.

A text may be there already (of another site, or of the night before), so it is looked for before it is sent. What is found
is held until the commit, so that retention cannot forget it meanwhile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from tminus.domain.likeness import Likeness
from tminus.store.pool import Transaction, statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A complete export to be stored with the next write of its run. `like`: what it has in common with one that is stored.

    `sensitive` is the same export with its secrets, where they are to be stored as well.
    """

    phase: str
    sha256: bytes
    text: str
    header: str
    raw_bytes: int
    like: Likeness | None = None
    sensitive: str | None = field(default=None, repr=False)


async def store_texts(connection: Transaction, backups: Sequence[tuple[int, Backup]]) -> tuple[list[object], ...]:
    """Store the texts of exports, each with its site run, and hold them until the commit.

    Returns the arguments of tminus.store_backups for them.
    """
    await _store_plain(connection, [backup for _, backup in backups])
    ids: Mapping[bytes, int] = {}
    if any(backup.sensitive is not None for _, backup in backups):
        ids = await _store_sensitive(connection, [b.sensitive for _, b in backups if b.sensitive is not None])
    return (
        [run for run, _ in backups],
        [b.phase for _, b in backups],
        [b.sha256 for _, b in backups],
        [b.header for _, b in backups],
        [b.raw_bytes for _, b in backups],
        [None if b.sensitive is None else ids[_sha256(b.sensitive)] for _, b in backups],
    )


async def _store_plain(connection: Transaction, backups: Sequence[Backup]) -> None:
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
    columns = zip(
        *((b.sha256, b.like.sha256, b.like.head, b.like.tail, b.like.middle) for b in backups if b.like is not None),
        strict=True,
    )
    return [row["sha256"] for row in await connection.fetch(statement("store_likenesses"), *map(list, columns))]


async def _store_whole(connection: Transaction, backups: Iterable[Backup]) -> list[bytes]:
    # A text each, not an array of all: the server would copy the texts some times more.
    texts = [(b.sha256, b.text) for b in backups]
    return [row["sha256"] for row in await connection.fetchmany(statement("store_text"), texts)]


async def _store_sensitive(connection: Transaction, texts: Sequence[str]) -> Mapping[bytes, int]:
    """Store texts with secrets, each whole, and hold them until the commit. Returns their ids by SHA-256."""
    missing = dict(sorted((_sha256(text), text) for text in texts))
    ids: dict[bytes, int] = {}
    while missing:
        found = await connection.fetch(statement("hold_sensitive_texts"), list(missing))
        if new := missing.keys() - {row["sha256"] for row in found}:
            found += await connection.fetchmany(
                statement("store_sensitive_text"), [(sha256, text) for sha256, text in missing.items() if sha256 in new]
            )
        for row in found:
            ids[row["sha256"]] = row["id"]
            del missing[row["sha256"]]
    return ids


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
