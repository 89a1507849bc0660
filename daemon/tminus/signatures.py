"""SSH signatures (the format of `ssh-keygen -Y sign`), made and verified by OpenSSH's own ssh-keygen.

Not in Python: what counts is not the signature alone but `allowed_signers` with its patterns, namespaces, validity dates,
certificates and revocation lists, where a reading of our own that differs in one case would let somebody in. It is run once for
a launch, never once for a site, and gets what it reads as files that exist in memory only.

The one file that runs ssh-keygen. It knows nothing of what is signed.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tminus.errors import ConfigError, TminusError, UsageError

_PROGRAM = "ssh-keygen"
_WITHIN = 10.0  # seconds
_LARGEST = 16 * 1024 * 1024  # bytes: a list of revoked keys can be long
_ASKED_FOR = 300.0  # seconds that a person has for a passphrase or a touch


class CannotVerify(TminusError):
    """Whether a signature is good cannot be found out now; nothing is concluded from that."""

    exit_code = 3


class Signers:
    """Whose signatures count: an allowed_signers file of this host, and what is revoked (a KRL, or public keys).

    Both are read each time, so that a change takes effect at once.
    """

    def __init__(self, allowed_signers: Path, revoked_keys: Path | None) -> None:
        self._allowed_signers = allowed_signers
        self._revoked_keys = revoked_keys

    def stamp(self) -> tuple[object, ...]:
        """Return what changes whenever one of the files does. Raises CannotVerify where one cannot be read."""
        return tuple(_stamp(file) for file in self._files())

    async def why_invalid(self, message: bytes, signature: str, *, signer: str, namespace: str) -> str | None:
        """Say why `signature` over `message` is not one that `signer` may give now; None if it is. Raises CannotVerify."""
        content = [_read(file) for file in self._files()]
        with _in_memory(signature.encode(), *content) as files:
            arguments = ["-Y", "verify", "-f", files[1], "-I", signer, "-n", namespace, "-s", files[0]]
            if self._revoked_keys is not None:
                arguments += ["-r", files[2]]
            code, _, said = await _run(arguments, message, pass_fds=[int(file.rsplit("/", 1)[1]) for file in files])
        if code == 0:
            return None
        return said or f"{_PROGRAM} refused it (exit code {code})"

    def _files(self) -> list[Path]:
        return [self._allowed_signers, *([self._revoked_keys] if self._revoked_keys is not None else [])]


def check_program() -> None:
    """Raise ConfigError where there is no ssh-keygen."""
    if shutil.which(_PROGRAM) is None:
        raise ConfigError(f"signatures need the program {_PROGRAM}; install openssh-client")


async def sign(message: bytes, key: Path, *, namespace: str) -> str:
    """Sign with a private key, or with the agent or hardware that holds it where `key` is its public half.

    Passphrase, PIN and touch are asked for on the terminal. Raises UsageError with what ssh-keygen says.
    """
    check_program()
    process = await asyncio.create_subprocess_exec(
        _PROGRAM, "-Y", "sign", "-f", str(key), "-n", namespace,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_ASKED_FOR):
            signature, _ = await process.communicate(message)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise UsageError(f"{_PROGRAM} did not sign with {key}; nothing was changed")
    return signature.decode()


async def _run(arguments: list[str], message: bytes, *, pass_fds: list[int]) -> tuple[int, bytes, str]:
    try:
        process = await asyncio.create_subprocess_exec(
            _PROGRAM,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=pass_fds,
            env={name: value for name, value in os.environ.items() if name in ("PATH", "TZ")} | {"LC_ALL": "C"},
        )
    except OSError as error:
        raise CannotVerify(f"{_PROGRAM} cannot be run: {error.strerror}; install openssh-client") from error
    try:
        async with asyncio.timeout(_WITHIN):
            out, said = await process.communicate(message)
    except TimeoutError as error:
        raise CannotVerify(f"{_PROGRAM} did not answer within {_WITHIN:.0f} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode is None or process.returncode < 0:
        raise CannotVerify(f"{_PROGRAM} was ended by signal {-(process.returncode or 0)}")
    return process.returncode, out, _one_line(out + b"\n" + said)


def _one_line(said: bytes) -> str:
    """Return what it said, fit to stand in a sentence."""
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    return "".join(character if character.isprintable() else "?" for character in "; ".join(lines))[:300]


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST + 1)
    except OSError as error:
        raise CannotVerify(f"{file} cannot be read: {error.strerror}; signatures cannot be verified") from error
    if len(content) > _LARGEST:
        raise CannotVerify(f"{file} is larger than {_LARGEST} bytes; signatures cannot be verified")
    return content


def _stamp(file: Path) -> tuple[int, int, int]:
    try:
        found = file.stat()
        if not os.access(file, os.R_OK):
            raise PermissionError(13, os.strerror(13))
    except OSError as error:
        raise CannotVerify(f"{file} cannot be read: {error.strerror}; signatures cannot be verified") from error
    return found.st_mtime_ns, found.st_size, found.st_ino


@contextmanager
def _in_memory(*contents: bytes) -> Iterator[list[str]]:
    """Yield names, good in a child that gets the descriptors, of files that hold `contents`."""
    descriptors: list[int] = []
    try:
        for content in contents:
            descriptor = os.memfd_create("tminus", os.MFD_CLOEXEC)
            descriptors.append(descriptor)
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.write(content)
            os.lseek(descriptor, 0, os.SEEK_SET)
        yield [f"/proc/self/fd/{descriptor}" for descriptor in descriptors]
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
