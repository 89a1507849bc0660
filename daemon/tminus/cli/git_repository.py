"""A git repository that another program's history is written into, by the git command.

Commits go to a ref of our own, by `git fast-import`, and the branch follows at the end by a fast-forward: so an export that
is cut leaves branch and files as they were, and the next one goes on from our ref.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path

from tminus.cli import screen
from tminus.errors import TminusError, UsageError

_OUR_REF = "refs/tminus/export"
_PATIENCE = 600.0  # seconds for one command of git, or for it to take what is written to it
_SHOWN = 4096  # bytes of what git complains


class Repository:
    """Made by `open_repository`."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("git")
        if program is None:
            raise TminusError("git is not installed; install it to export backups into a repository")
        self.folder = folder
        # Neither hooks nor a conversion of line ends may change what is written.
        self._command = (program, "-C", str(folder), "-c", "core.hooksPath=/dev/null", "-c", "core.autocrlf=false")
        # Variables such as GIT_DIR would name another repository.
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    async def run(self, *arguments: str) -> str:
        """Run one command and return what it printed. Raises TminusError with git's own words."""
        code, out, complaint = await self._call(*arguments)
        if code != 0:
            raise TminusError(f"git {arguments[0]} failed in {self.folder}: {complaint}")
        return out

    async def ask(self, *arguments: str) -> str | None:
        """Run one command; None if it fails, which is an answer."""
        code, out, _ = await self._call(*arguments)
        return out if code == 0 else None

    async def _call(self, *arguments: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
        )
        try:
            async with asyncio.timeout(_PATIENCE):
                out, err = await process.communicate()
        except TimeoutError as error:
            raise TminusError(f"git {arguments[0]} did not end within {_PATIENCE:g} s in {self.folder}") from error
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        return process.returncode or 0, out.decode("utf-8", "replace").strip("\n"), _sentence(err)

    async def is_bare(self) -> bool:
        return await self.run("rev-parse", "--is-bare-repository") == "true"

    @contextmanager
    def locked(self, git_folder: Path) -> Iterator[None]:
        """Keep another export out."""
        with (git_folder / "tminus-export.lock").open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise TminusError(f"another export into {self.folder} is under way; wait for it") from None
            yield

    async def refuse_changes(self, below: str) -> None:
        """Raise UsageError if files in the folder `below` are not as committed."""
        if not await self.is_bare():
            changed = await self.run("status", "--porcelain", "--untracked-files=all", "--", below)
            if changed:
                first = screen.visible(changed.splitlines()[0].strip())
                raise UsageError(
                    f"{self.folder} has changes in {below}/ that are not committed ({first}); undo or move them"
                )

    async def tip(self) -> str | None:
        """Return the commit to go on from: our ref where it is ahead of the branch, else the branch; None: there is no commit."""
        branch = await self.ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        ours = await self.ask("rev-parse", "--verify", "--quiet", f"{_OUR_REF}^{{commit}}")
        if ours is not None and (
            branch is None or await self.ask("merge-base", "--is-ancestor", branch, ours) is not None
        ):
            return ours
        return branch

    @asynccontextmanager
    async def importing(self, tip: str | None) -> AsyncIterator[Importer]:
        """Write commits on top of `tip`; they are there once the block ends without an error."""
        process = await asyncio.create_subprocess_exec(
            *self._command,
            "fast-import",
            "--quiet",
            "--done",
            "--force",  # our own ref may stand elsewhere
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
        )
        importer = Importer(process, tip)
        try:
            yield importer
            await importer.finish()
        finally:
            await importer.abort()

    async def show(self) -> None:
        """Move the branch, and the files with it, to what was written."""
        ours = await self.ask("rev-parse", "--verify", "--quiet", _OUR_REF)
        if ours is None:
            return
        if await self.is_bare():
            await self.run("update-ref", await self.run("symbolic-ref", "HEAD"), ours)
        else:
            await self.run("merge", "--quiet", "--ff-only", ours)


class Importer:
    """A running `git fast-import`. Raises TminusError, with git's words, as soon as it has ended."""

    def __init__(self, process: asyncio.subprocess.Process, tip: str | None) -> None:
        assert process.stdin is not None  # noqa: S101 - both are pipes
        assert process.stderr is not None  # noqa: S101
        self._process = process
        self._stdin = process.stdin
        self._complaint = asyncio.create_task(_read_end(process.stderr))
        self._parent = tip

    async def commit(self, message: str, at: datetime) -> None:
        """Begin a commit; its files follow."""
        when = f"{int(at.timestamp())} +0000"
        head = f"commit {_OUR_REF}\ncommitter tminus <tminus@localhost> {when}\n"
        await self._write(head.encode() + _data(message.encode()))
        if self._parent is not None:
            await self._write(f"from {self._parent}\n".encode())
            self._parent = None  # of the first; the others follow it by themselves

    async def file(self, path: str, text: str) -> None:
        """Write a file of the commit that was begun last. `path` has nothing that would have to be quoted."""
        await self._write(f"M 100644 inline {path}\n".encode() + _data(text.encode()))

    async def checkpoint(self) -> None:
        """Have what was written so far survive a cut."""
        await self._write(b"checkpoint\n\n")

    async def finish(self) -> None:
        await self._write(b"done\n")
        self._stdin.close()
        try:
            async with asyncio.timeout(_PATIENCE):
                code = await self._process.wait()
        except TimeoutError as error:
            raise TminusError(f"git fast-import did not end within {_PATIENCE:g} s") from error
        if code != 0:
            raise TminusError(f"git fast-import failed: {await self._complaint}")

    async def abort(self) -> None:
        """End it; nothing happens if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._complaint
        # The transport of a pipe that broke is closed by its own error only when somebody waits for it.
        with contextlib.suppress(OSError):
            self._stdin.close()
            await self._stdin.wait_closed()

    async def _write(self, data: bytes) -> None:
        self._stdin.write(data)
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._stdin.drain()
        except TimeoutError as error:
            raise TminusError(f"git fast-import took nothing for {_PATIENCE:g} s") from error
        except (BrokenPipeError, ConnectionResetError) as error:
            raise TminusError(f"git fast-import failed: {await self._complaint}") from error


def _data(content: bytes) -> bytes:
    return b"data %d\n%b\n" % (len(content), content)


async def _read_end(stream: asyncio.StreamReader) -> str:
    """Read to the end, and return the last words as a sentence."""
    last = b""
    while more := await stream.read(_SHOWN):
        last = (last + more)[-_SHOWN:]
    return _sentence(last)


def _sentence(complaint: bytes) -> str:
    lines = [line.strip() for line in complaint.decode("utf-8", "replace").splitlines() if line.strip()]
    return screen.visible("; ".join(lines[:3])) or "it did not say why"


async def open_repository(folder: Path) -> tuple[Repository, Path]:
    """Open the repository whose root is `folder`, or make one where there is nothing yet; return it and its git folder.

    Raises UsageError for anything else that lies there.
    """
    repository = Repository(folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; name one for --git, or one that does not exist yet")
    if not folder.exists() or not any(folder.iterdir()):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # exports are nobody else's business
        except OSError as error:
            raise UsageError(f"{folder} cannot be made: {error.strerror}") from error
        await repository.run("init", "--quiet")
        await repository.run("symbolic-ref", "HEAD", "refs/heads/main")
    elif not (folder / ".git").exists() and not (folder / "HEAD").is_file():
        raise UsageError(f"{folder} is neither empty nor a git repository; name another folder for --git")
    git_folder = Path(await repository.run("rev-parse", "--absolute-git-dir"))
    root = git_folder if await repository.is_bare() else Path(await repository.run("rev-parse", "--show-toplevel"))
    if root.resolve() != folder.resolve():
        raise UsageError(f"{folder} is no git repository of its own; name another folder for --git")
    if await repository.ask("symbolic-ref", "--quiet", "HEAD") is None:
        raise UsageError(f"{folder} is on no branch (detached HEAD); check one out first")
    return repository, git_folder
