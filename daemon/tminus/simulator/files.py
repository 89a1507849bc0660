"""The file store of one router, in memory: SFTP writes it, ``/file`` and ``/import`` read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

FLASH = "flash"  # a folder on devices with little storage: the rest is a RAM disk there


NO_SPACE = "failure: no space left on device"  # uncertain: no transcript has the router's own words


class StorageFull(Exception):
    """There is no room for a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    id: int
    name: str
    content: bytes
    changed: float  # seconds since 1970
    visible_at: float  # by the store's clock: before that ``/file`` and ``/import`` do not see it
    directory: bool = False


class FileStore:
    """Names are whole paths without a leading slash, as ``/file`` prints them."""

    def __init__(
        self,
        clock: Callable[[], float],
        wall: Callable[[], float],
        *,
        capacity: int = 64 << 20,
        flash_folder: bool = False,
        listed_for_s: float = 0.0,
    ) -> None:
        self.capacity = capacity  # bytes
        self._listed_for = listed_for_s  # after it was removed
        self._removed: dict[str, tuple[File, float]] = {}  # and until when ``/file`` still lists it
        self._clock = clock
        self._wall = wall
        self._files: dict[str, File] = {}
        self._next_id = 1
        self._used = 0
        self._flash = flash_folder
        if flash_folder:
            self._make(FLASH, b"", clock(), directory=True)

    @property
    def free(self) -> int:
        """Bytes that can still be written."""
        return max(self.capacity - self._used, 0)

    def put(self, name: str, content: bytes, delay_s: float = 0.0) -> File:
        """Create or replace a file; StorageFull if it does not fit. One that ``/file`` shows already stays visible."""
        old = self._files.get(name)
        if len(content) > self.free + (len(old.content) if old else 0):
            raise StorageFull(name)
        now = self._clock()
        return self._make(name, content, min(old.visible_at, now) if old else now + delay_s)

    def _make(self, name: str, content: bytes, visible_at: float, *, directory: bool = False) -> File:
        old = self._files.get(name)
        file = File(
            id=old.id if old else self._next_id,
            name=name,
            content=content,
            changed=self._wall(),
            visible_at=visible_at,
            directory=directory,
        )
        self._next_id += old is None
        self._used += len(content) - (len(old.content) if old else 0)
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
        removed = [file for file, until in self._removed.values() if until > now and file.name not in self._files]
        return [file for file in self._files.values() if file.visible_at <= now] + removed

    def all(self) -> list[File]:
        return list(self._files.values())

    def remove(self, name: str) -> bool:
        """False if there is no such file; the folder for what lasts stays."""
        file = self._files.get(name)
        if file is None or file.directory:
            return False
        self._used -= len(file.content)
        del self._files[name]
        if self._listed_for:
            self._removed[name] = (file, self._clock() + self._listed_for)
        return True

    def rename(self, name: str, new_name: str) -> bool:
        """Give a file another name, replacing what has it; False if there is no such file."""
        file = self._files.get(name)
        if file is None or file.directory:
            return False
        if name != new_name:
            self.remove(new_name)
            del self._files[name]
            self._files[new_name] = replace(file, name=new_name)
        return True

    def power_cycle(self) -> list[str]:
        """Lose what is in RAM; the names of the lost files."""
        lost = [file.name for file in self._files.values() if self._flash and not self.lasts(file.name)]
        for name in lost:
            self.remove(name)
        return lost

    def lasts(self, name: str) -> bool:
        """Whether a file of this name survives a reboot."""
        return not self._flash or name == FLASH or name.startswith(f"{FLASH}/")
