"""SFTP over a router's file store. Nothing of the host's file system is ever touched."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import AsyncIterator

import asyncssh
from asyncssh import constants

from tminus.simulator.console.autorun import AUTO, run_uploaded
from tminus.simulator.faults import Fault
from tminus.simulator.files import FLASH, File, StorageFull
from tminus.simulator.journal import Kind
from tminus.simulator.router import Router

MAX_FILE_BYTES = 64 << 20  # more than any script; bounds what a client can make this process keep


class _Handle:
    __slots__ = ("content", "name", "writes")

    def __init__(self, name: str, content: bytes, *, writes: bool) -> None:
        self.name = name
        self.content = bytearray(content)
        self.writes = writes


class SftpServer(asyncssh.SFTPServer):
    """Paths are names of the store; a leading slash means nothing."""

    def __init__(self, chan: asyncssh.SSHServerChannel[bytes], router: Router, user: str) -> None:
        super().__init__(chan)
        self._chan = chan
        self._router = router
        self._user = user

    def exit(self) -> None:
        """End with an exit status, without which ``scp`` calls its copy a failure."""
        if not self._chan.is_closing():
            self._chan.exit(0)

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:  # noqa: ARG002
        name = _name(path)
        file = self._router.files.raw(name)
        writes = bool(pflags & (constants.FXF_WRITE | constants.FXF_APPEND))
        if file is None and not pflags & constants.FXF_CREAT:
            raise asyncssh.SFTPNoSuchFile("No such file")
        if not name or (file is not None and file.directory):
            raise asyncssh.SFTPFailure("Not a file")
        fresh = file is None or pflags & constants.FXF_TRUNC
        return _Handle(name, b"" if fresh or file is None else file.content, writes=writes)

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        return bytes(_handle(file_obj).content[offset : offset + size])

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        handle = _handle(file_obj)
        if not handle.writes:
            raise asyncssh.SFTPPermissionDenied("Not open for writing")
        old = self._router.files.raw(handle.name)
        room = 0 if Fault.FULL_STORAGE in self._router.faults else self._router.files.free
        if offset + len(data) > min(MAX_FILE_BYTES, room + (len(old.content) if old is not None else 0)):
            raise asyncssh.SFTPFailure("No space left on device")
        if offset > len(handle.content):
            handle.content.extend(bytes(offset - len(handle.content)))
        handle.content[offset : offset + len(data)] = data
        return len(data)

    def close(self, file_obj: object) -> None:
        handle = _handle(file_obj)
        if not handle.writes:
            return
        content, files = bytes(handle.content), self._router.files
        try:
            files.put(handle.name, content, self._router.file_delay_s)
        except StorageFull:
            raise asyncssh.SFTPFailure("No space left on device") from None
        digest = hashlib.sha256(content).hexdigest()
        self._router.record(Kind.UPLOAD, name=handle.name, size=len(content), sha256=digest)
        if handle.name.endswith(AUTO) and self._router.behaviour.auto_rsc:
            run_uploaded(self._router, self._user, handle.name)

    def stat(self, path: bytes) -> asyncssh.SFTPAttrs:
        name = _name(path)
        if name in ("", "."):
            return asyncssh.SFTPAttrs(size=0, permissions=stat.S_IFDIR | 0o755)
        file = self._router.files.raw(name)
        if file is None:
            raise asyncssh.SFTPNoSuchFile("No such file")
        if file.directory:
            return asyncssh.SFTPAttrs(size=0, permissions=stat.S_IFDIR | 0o755)
        return _attrs(file)

    def lstat(self, path: bytes) -> asyncssh.SFTPAttrs:
        return self.stat(path)

    def fstat(self, file_obj: object) -> asyncssh.SFTPAttrs:
        return asyncssh.SFTPAttrs(size=len(_handle(file_obj).content), permissions=stat.S_IFREG | 0o644)

    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        """Accepted and ignored: the store has no permissions or times to set."""

    def fsetstat(self, file_obj: object, attrs: asyncssh.SFTPAttrs) -> None:
        """As setstat."""

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        folder = _name(path).rstrip("/")
        at_top = folder in ("", ".")
        found = self._router.files.raw(folder)
        if not at_top and (found is None or not found.directory):
            raise asyncssh.SFTPNoSuchFile("No such directory")
        for file in self._router.files.all():
            inside, _, name = file.name.rpartition("/")
            if at_top and inside != FLASH:
                name = file.name
            elif inside != folder:
                continue
            attrs = _attrs(file) if not file.directory else asyncssh.SFTPAttrs(permissions=stat.S_IFDIR | 0o755)
            yield asyncssh.SFTPName(name.encode("utf-8", "surrogateescape"), attrs=attrs)

    def remove(self, path: bytes) -> None:
        name = _name(path)
        if not self._router.files.remove(name):
            raise asyncssh.SFTPNoSuchFile("No such file")
        self._router.record(Kind.FILE_REMOVED, name=name)

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        if not self._router.files.rename(_name(oldpath), _name(newpath)):
            raise asyncssh.SFTPNoSuchFile("No such file")

    posix_rename = rename

    def realpath(self, path: bytes) -> bytes:
        return b"/" + _name(path).encode("utf-8", "surrogateescape")

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:  # noqa: ARG002
        raise asyncssh.SFTPOpUnsupported("Not supported")

    def rmdir(self, path: bytes) -> None:  # noqa: ARG002
        raise asyncssh.SFTPOpUnsupported("Not supported")

    def readlink(self, path: bytes) -> bytes:  # noqa: ARG002
        raise asyncssh.SFTPOpUnsupported("Not supported")

    def symlink(self, oldpath: bytes, newpath: bytes) -> None:  # noqa: ARG002
        raise asyncssh.SFTPOpUnsupported("Not supported")

    def link(self, oldpath: bytes, newpath: bytes) -> None:  # noqa: ARG002
        raise asyncssh.SFTPOpUnsupported("Not supported")

    def statvfs(self, path: bytes) -> asyncssh.SFTPVFSAttrs:  # noqa: ARG002
        raise asyncssh.SFTPOpUnsupported("Not supported")

    def fstatvfs(self, file_obj: object) -> asyncssh.SFTPVFSAttrs:  # noqa: ARG002
        raise asyncssh.SFTPOpUnsupported("Not supported")

    def fsync(self, file_obj: object) -> None:
        """Everything is stored when the handle is closed."""


def _name(path: bytes) -> str:
    name = path.decode("utf-8", "surrogateescape").lstrip("/")
    return name[2:] if name.startswith("./") else name


def _handle(file_obj: object) -> _Handle:
    if not isinstance(file_obj, _Handle):
        raise asyncssh.SFTPInvalidHandle("Invalid handle")
    return file_obj


def _attrs(file: File) -> asyncssh.SFTPAttrs:
    return asyncssh.SFTPAttrs(
        size=len(file.content), permissions=stat.S_IFREG | 0o644, atime=int(file.changed), mtime=int(file.changed)
    )
