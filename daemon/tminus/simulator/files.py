"""The file store of one router, in memory: SFTP writes it, ``/file`` and ``/import`` read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    id: int
    name: str
    content: bytes
    changed: float  # seconds since 1970
    visible_at: float  # by the store's clock: before that ``/file`` and ``/import`` do not see it


class FileStore:
    """Names are whole paths without a leading slash, as ``/file`` prints them."""

    def __init__(self, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self._clock = clock
        self._wall = wall
        self._files: dict[str, File] = {}
        self._next_id = 1

    def put(self, name: str, content: bytes, delay_s: float = 0.0) -> File:
        """Create or replace a file. One that ``/file`` shows already stays visible."""
        old = self._files.get(name)
        file = File(
            id=old.id if old else self._next_id,
            name=name,
            content=content,
            changed=self._wall(),
            visible_at=min(old.visible_at, self._clock()) if old else self._clock() + delay_s,
        )
        self._next_id += old is None
        self._files[name] = file
        return file

    def raw(self, name: str) -> File | None:
        """A file as SFTP sees it, whether ``/file`` shows it yet or not."""
        return self._files.get(name)

    def get(self, name: str) -> File | None:
        file = self._files.get(name)
        return file if file is not None and file.visible_at <= self._clock() else None

    def visible(self) -> list[File]:
        now = self._clock()
        return [file for file in self._files.values() if file.visible_at <= now]

    def all(self) -> list[File]:
        return list(self._files.values())

    def remove(self, name: str) -> bool:
        return self._files.pop(name, None) is not None

    def rename(self, name: str, new_name: str) -> bool:
        file = self._files.pop(name, None)
        if file is None:
            return False
        self._files[new_name] = File(
            id=file.id, name=new_name, content=file.content, changed=file.changed, visible_at=file.visible_at
        )
        return True
