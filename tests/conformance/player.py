"""Replays transcripts on one router over SSH: exec requests, uploads, and a shell for what was recorded in one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncssh

from tests.conformance.transcript import Answer, Device, Transcript, Via, difference, version_of
from tminus.device.profiles import ALGORITHMS, SshProfile, host_key_algorithms

COMMAND_S = 60.0  # for one answer
CAP = 8 << 20  # bytes of one answer
QUIET_S = 0.7  # a prompt that nothing follows for so long is the last one
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|[^\[O])")
_PROMPT = re.compile(r"^(?:\[[^\]\n]*\] (?:/[^>\n]*)?(?:> |<SAFE> ?(?:> )?)|[{\[(\"]\.\.\. )$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    host: str
    port: int
    username: str
    profile: SshProfile
    host_key: str  # KIND BASE64
    key: asyncssh.SSHKey | None = None
    password: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    transcript: Transcript
    verdict: str  # agrees | differs | not applicable
    detail: str = ""


class Unusable(Exception):
    """The router cannot be used for this: it cannot be reached, or does not say which version it runs."""


@asynccontextmanager
async def connected(address: Address, *, suffix: str = "") -> AsyncIterator[asyncssh.SSHClientConnection]:
    """A connection with nothing of the environment in it. OSError and asyncssh.Error as they come."""
    algorithms = ALGORITHMS[address.profile]
    kind = address.host_key.split()[0]
    async with asyncssh.connect(
        address.host,
        address.port,
        username=address.username + suffix,
        client_keys=[address.key] if address.key is not None else None,
        password=address.password,
        known_hosts=([asyncssh.import_public_key(address.host_key)], [], []),
        server_host_key_algs=list(host_key_algorithms(kind, address.profile)),
        kex_algs=list(algorithms.key_exchange),
        encryption_algs=list(algorithms.ciphers),
        mac_algs=list(algorithms.macs),
        config=None,
        agent_path=None,
        encoding=None,
        connect_timeout=15,
        login_timeout=20,
    ) as connection:
        yield connection


class Player:
    """One router. A connection that is lost is opened again for the next transcript."""

    def __init__(self, address: Address, *, quiet_s: float = QUIET_S) -> None:
        self._address = address
        self._quiet_s = quiet_s

    async def look(self) -> Device:
        """Which version it runs, and whether it is a virtual one. Unusable where it does not say."""
        try:
            async with connected(self._address) as connection:
                version, board, identity, mode, policy = [
                    (await _exec(connection, look)).output.decode("utf-8", "replace").strip()
                    for look in (
                        ":put [/system resource get version]",
                        ":put [/system resource get board-name]",
                        ":put [/system identity get name]",
                        ":put [/system device-mode get mode]",  # an error where there is no device-mode
                        f":put [/user group get [/user get {self._address.username} group] policy]",
                    )
                ]
        except (OSError, asyncssh.Error) as error:
            raise Unusable(f"{self._address.host}:{self._address.port} cannot be used: {error}") from error
        try:
            number = version_of(version)
        except ValueError as error:
            raise Unusable(f"{self._address.host}:{self._address.port}: {error}") from error
        kinds = {"chr" if board.startswith("CHR") else "routerboard"}
        kinds |= {"home"} if mode == "home" else set()
        kinds |= {"may-not-write"} if "!write" in re.split("[;,]", policy) else set()
        return Device(name=f"{identity!a}, RouterOS {version!a}", version=number, kinds=frozenset(kinds))

    async def play(
        self,
        transcripts: Iterable[Transcript],
        device: Device,
        *,
        changes: bool,
        told: Callable[[Result], None] = lambda _result: None,
    ) -> list[Result]:
        """Replay what applies to the device, and what changes it only if that is wanted."""
        results = []
        for transcript in transcripts:
            if not transcript.applies(device):
                result = Result(transcript=transcript, verdict="not applicable", detail="another version or device")
            elif transcript.changes and not changes:
                result = Result(transcript=transcript, verdict="not applicable", detail="changes the device")
            else:
                result = await self.one(transcript, device)
            told(result)
            results.append(result)
        return results

    async def one(self, transcript: Transcript, device: Device) -> Result:
        """Replay one, and clean up whatever came of it."""
        try:
            async with connected(self._address) as connection:
                try:
                    answer = await self._answer(connection, transcript)
                finally:
                    left = await _clean_up(connection, transcript)
        except (OSError, asyncssh.Error, TimeoutError) as error:
            return Result(transcript=transcript, verdict="differs", detail=f"{type(error).__name__}: {error}")
        detail = difference(transcript, device, answer) or left
        return Result(transcript=transcript, verdict="differs" if detail else "agrees", detail=detail or "")

    async def _answer(self, connection: asyncssh.SSHClientConnection, transcript: Transcript) -> Answer:
        for name, content in transcript.uploads.items():
            await _upload(connection, name, content.encode())
        for command in transcript.before:
            await _exec(connection, command)
        match transcript.via:
            case Via.EXEC:
                return await _exec(connection, transcript.command)
            case Via.BANNER:
                return Answer(output=str(connection.get_extra_info("server_version")).encode())
            case Via.LOGIN | Via.SHELL:
                async with connected(self._address, suffix="+ct200w1000h") as own:
                    return await _shell(own, transcript, self._quiet_s)


async def _exec(connection: asyncssh.SSHClientConnection, command: str) -> Answer:
    """One exec request. TimeoutError after a minute, ValueError for an endless answer."""
    async with asyncio.timeout(COMMAND_S), connection.create_process(command, window=16 << 20) as process:
        output = b""
        while data := await process.stdout.read(1 << 16):
            output += data
            if len(output) > CAP:
                raise asyncssh.Error(0, f"more than {CAP} bytes came")
        return Answer(output=output, status=(await process.wait()).exit_status)


async def _upload(connection: asyncssh.SSHClientConnection, name: str, content: bytes) -> None:
    """Put a file, and wait until the console sees it whole."""
    async with asyncio.timeout(COMMAND_S):
        async with connection.start_sftp_client() as sftp, sftp.open(name, "wb") as file:
            await file.write(content)
        look = f':put [/file get [find name="{name}"] size]'
        while (await _exec(connection, look)).output.strip() != str(len(content)).encode():  # noqa: ASYNC110
            await asyncio.sleep(0.2)


async def _clean_up(connection: asyncssh.SSHClientConnection, transcript: Transcript) -> str | None:
    """Undo what a transcript did; what went wrong with that."""
    commands = [*transcript.after, *(f'/file remove [find name="{name}"]' for name in transcript.uploads)]
    for command in commands:
        answer = await _exec(connection, command)
        if answer.output.strip():
            return f"cleaning up with '{command}' said {answer.output[:200]!r}"
    return None


async def _shell(connection: asyncssh.SSHClientConnection, transcript: Transcript, quiet_s: float) -> Answer:
    """What a shell shows: before its first prompt, or behind the last line of the command."""
    async with asyncio.timeout(COMMAND_S):
        process = await connection.create_process(term_type="vt100", term_size=(200, 1000))
        hello = await _until_prompt(process, quiet_s)
        if transcript.via is Via.LOGIN:
            return Answer(output="\n".join(hello).encode())
        shown: list[str] = []
        for line in transcript.command.split("\n"):
            process.stdin.write(line.encode() + b"\r")
            shown = await _until_prompt(process, quiet_s, echo=line)
        process.stdin.write(b"\x04")
        return Answer(output="\n".join(shown).encode())


async def _until_prompt(process: asyncssh.SSHClientProcess[bytes], quiet_s: float, echo: str = "") -> list[str]:
    """The lines up to a prompt that nothing follows, without prompts, and without the echo and what came before it."""
    seen = b""
    while True:
        try:
            async with asyncio.timeout(quiet_s):
                data = await process.stdout.read(1 << 16)
                if not data:
                    raise asyncssh.Error(0, "the shell ended")
                seen += data
                if len(seen) > CAP:
                    raise asyncssh.Error(0, f"more than {CAP} bytes came")
                continue
        except TimeoutError:
            pass
        text = _ESCAPES.sub("", seen.decode("utf-8", "replace"))
        lines = re.sub(r"\r*\n|\r+", "\n", text).split("\n")
        if answer := _question(lines[-1] or "".join(lines[-2:])):
            process.stdin.write(answer)
        elif _PROMPT.match(lines[-1]) and (not echo or any(_echoes(line, echo) for line in lines)):
            places = [place for place, line in enumerate(lines) if echo and _echoes(line, echo)]
            rest = lines[places[-1] + 1 :] if places else lines
            shown = "\n".join(line for line in rest if not _PROMPT.match(line.rstrip() + " "))
            return shown.strip("\n").split("\n")  # empty lines around it belong to how it is painted


def _echoes(line: str, echo: str) -> bool:
    return line.rstrip().endswith(f" {echo.rstrip()}") and not line.startswith(echo)


def _question(line: str) -> bytes | None:
    """What to answer to what a router asks before its first prompt."""
    if "software license" in line:
        return b"n"
    if 'Please press "Enter"' in line:
        return b"\r"
    return b"\x03" if "new password>" in line else None
