"""Backups as a git repository: one file a site, their history as commits.

A commit holds the exports of one launch and phase, as far as they were taken about the same time; its date is that of the
latest of them. Which are exported is read from the repository itself: the newest commit with a trailer ``Tminus-Exported: N``
says that all up to N are, and ``Tminus-Also: 7 9-12`` names those above N. (A number is given before it is committed, so for a
moment a higher one is seen and a lower one is not. Those of one site are seen in their order: one site run runs on a router at
a time.) Neither the history nor a fleet is ever held in memory.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from tminus.cli import screen
from tminus.cli.git_repository import Importer, Repository, open_repository
from tminus.errors import UsageError

if TYPE_CHECKING:
    import asyncpg

FOLDER = "sites"
_PAGE = 500  # backups that are asked for at once
_SIDE_BY_SIDE = 1000  # backups in the commits that are gathered at the same time
_CHECKPOINT = 5000  # backups after which what was written survives a cut
_NAMED = 200  # sites in a commit message


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """All backups up to `until`, and those of `also`, which are higher."""

    until: int = 0
    also: frozenset[int] = frozenset()

    @property
    def highest(self) -> int:
        return max(self.until, *self.also) if self.also else self.until

    def trailers(self) -> str:
        lines = [f"Tminus-Exported: {self.until}"]
        if self.also:
            lines.append(f"Tminus-Also: {' '.join(_ranges(self.also))}")
        return "\n".join(lines) + "\n"

    @classmethod
    def read(cls, message: str) -> Exported | None:
        """Read the last paragraph of a commit message; None if it is not ours."""
        last = message.rstrip("\n").rpartition("\n\n")[2]
        until = re.search(r"^Tminus-Exported: ([0-9]{1,19})$", last, re.MULTILINE)
        if until is None:
            return None
        also: set[int] = set()
        named = re.search(r"^Tminus-Also: ([0-9 -]+)$", last, re.MULTILINE)
        for part in named[1].split() if named else ():
            low, _, high = part.partition("-")
            also.update(range(int(low), int(high or low) + 1))
        return cls(until=int(until[1]), also=frozenset(also))


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    backups: int
    commits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Backup:
    id: int
    site_id: str
    phase: str
    taken_at: datetime
    sha256: bytes
    launch_id: UUID
    script_id: UUID
    kind: str
    description: str
    due_at: datetime
    changed: bool


@dataclass(slots=True)
class _Gathered:
    """Commits that are gathered side by side, one a launch and phase; no site is in them twice."""

    commits: dict[tuple[UUID, str], list[_Backup]] = field(default_factory=dict)
    sites: set[str] = field(default_factory=set)

    def add(self, backup: _Backup) -> None:
        self.commits.setdefault((backup.launch_id, backup.phase), []).append(backup)
        self.sites.add(backup.site_id)


def file_name(site_id: str) -> str:
    """Return the name of a site's file: always the same, another for every id, harmless on every file system.

    An id of small letters, digits, '.', '_' and '-' keeps its name. Of any other, what is odd becomes '_', and a part of its
    SHA-256 follows after '~', which no plain name has; so ids that differ in upper and lower case alone stay apart, too.
    """
    if re.fullmatch(r"[a-z0-9_][a-z0-9._-]{0,99}", site_id):
        return f"{site_id}.rsc"
    shown = re.sub(r"^-|[^A-Za-z0-9_-]", "_", site_id)[:80]
    return f"{shown}~{hashlib.sha256(site_id.encode()).hexdigest()[:16]}.rsc"


async def export(connection: asyncpg.Connection, folder: Path) -> Summary:
    """Write every backup that is not in the repository yet. Raises UsageError or TminusError."""
    from tminus.store.pool import statement

    repository, git_folder = await open_repository(folder)
    with repository.locked(git_folder):
        await repository.refuse_changes(FOLDER)
        tip = await repository.tip()
        done = await _exported(repository, tip)
        start = await connection.fetchrow(statement("export_start"), done.until)
        assert start is not None  # noqa: S101 - an aggregate has one row
        if done.highest > start["highest"]:
            raise UsageError(
                f"{folder} has backups up to {done.highest} and the database only {start['highest']};"
                " it is the repository of another database, or the database was restored: export into another folder"
            )
        async with repository.importing(tip) as importer:
            walk = _Walk(connection, importer, done, settled=start["settled"], files=await _files(repository, tip))
            summary = await walk.run(start["highest"])
        await repository.show()
    return summary


async def _exported(repository: Repository, tip: str | None) -> Exported:
    if tip is None:
        return Exported()
    message = await repository.run("log", "-1", "--format=%B", "--grep=^Tminus-Exported: [0-9]", tip)
    return Exported.read(message) or Exported()


async def _files(repository: Repository, tip: str | None) -> set[str]:
    """Return the names of the files that are there."""
    if tip is None:
        return set()
    listed = await repository.run("ls-tree", "--name-only", "-z", tip, f"{FOLDER}/")
    return {name.removeprefix(f"{FOLDER}/") for name in listed.split("\0") if name}


class _Walk:
    """Goes through the backups in the order of their numbers."""

    def __init__(
        self, connection: asyncpg.Connection, importer: Importer, done: Exported, *, settled: int, files: set[str]
    ) -> None:
        self._connection = connection
        self._importer = importer
        self._done = done
        self._settled = settled  # no backup up to here can appear any more
        self._files = files
        self._above = set(done.also)  # what is exported, or gathered for it, and not below `until` yet
        self._gathered = _Gathered()
        self._backups = self._commits = self._since_checkpoint = 0

    async def run(self, highest: int) -> Summary:
        from tminus.store.pool import statement

        after = self._done.until
        while rows := await self._connection.fetch(statement("export_page"), after, _PAGE, highest):
            for row in rows:
                backup = _Backup(**dict(row))
                if backup.id not in self._done.also:
                    if backup.site_id in self._gathered.sites or len(self._gathered.sites) >= _SIDE_BY_SIDE:
                        await self._write(after)
                    self._gathered.add(backup)
                    self._above.add(backup.id)
                after = backup.id
        await self._write(after)
        return Summary(backups=self._backups, commits=self._commits)

    async def _write(self, last: int) -> None:
        """Write the commits that were gathered; with them all backups up to `last` are exported."""
        gathered, self._gathered = self._gathered, _Gathered()
        until = min(last, self._settled)
        self._above = {number for number in self._above if number > until}
        exported = Exported(until=until, also=frozenset(self._above))
        for number, backups in enumerate(gathered.commits.values(), 1):
            await self._commit(backups, exported if number == len(gathered.commits) else None)
        self._commits += len(gathered.commits)
        self._backups += len(gathered.sites)
        self._since_checkpoint += len(gathered.sites)
        if self._since_checkpoint >= _CHECKPOINT:
            await self._importer.checkpoint()
            self._since_checkpoint = 0

    async def _commit(self, backups: list[_Backup], exported: Exported | None) -> None:
        from tminus.store.pool import statement

        changed = [b for b in backups if b.changed or file_name(b.site_id) not in self._files]
        await self._importer.commit(_message(backups, changed, exported), max(b.taken_at for b in backups))
        for backup in changed:
            text = await self._connection.fetchval(statement("export_text"), backup.sha256)
            if text is not None:
                await self._importer.file(f"{FOLDER}/{file_name(backup.site_id)}", text)
                self._files.add(file_name(backup.site_id))


def _message(backups: list[_Backup], changed: list[_Backup], exported: Exported | None) -> str:
    first = backups[0]
    called = screen.one_line(first.description, 50) or str(first.script_id)
    is_changed = {b.id for b in changed}
    parts = [
        f"{first.phase}: {called} ({screen.plural(len(backups), 'site')}, {len(changed)} changed)",
        f"scheduled script {first.script_id}\nlaunch {first.launch_id}, {first.kind}, due {screen.moment(first.due_at)}",
    ]
    for heading, some in (("changed", changed), ("unchanged", [b for b in backups if b.id not in is_changed])):
        if some:
            names = [f"  {screen.visible(b.site_id)}" for b in some[:_NAMED]]
            more = [f"  and {len(some) - _NAMED} more"] if len(some) > _NAMED else []
            parts.append("\n".join([f"{heading}:", *names, *more]))
    return "\n\n".join(parts) + "\n" + (f"\n{exported.trailers()}" if exported is not None else "")


def _ranges(numbers: Iterable[int]) -> list[str]:
    """Return numbers as 1 3-5 7."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return [str(low) if low == high else f"{low}-{high}" for low, high in found]
