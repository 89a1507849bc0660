"""Replay what the public record shows of RouterOS, against the simulator or a router, and say what agrees.

Without --target every version that is simulated is replayed, with all transcripts. With --target only those that change
nothing, unless --accept-changes is given: these create things named tminus-conformance and remove them again.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import asyncssh

from tests.conformance import report
from tests.conformance.player import Address, Player, Result, Unusable
from tests.conformance.simulated import replay
from tests.conformance.transcript import Transcript, load
from tminus.device.profiles import ALGORITHMS, SshProfile, host_key_algorithms
from tminus.simulator import TESTED


def parser() -> argparse.ArgumentParser:
    given = argparse.ArgumentParser(
        prog="scripts/conformance", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    given.add_argument("--target", metavar="HOST", help="a router; without it, the simulator")
    given.add_argument("--port", type=int, default=22)
    given.add_argument("--user", default="admin")
    given.add_argument("--key", type=Path, metavar="FILE", help="private key, without a passphrase")
    given.add_argument("--password-file", type=Path, metavar="FILE")
    given.add_argument(
        "--host-key", metavar='"KIND BASE64"', help="the router's public host key; else it is shown, and asked for"
    )
    given.add_argument("--legacy", action="store_true", help="offer the algorithms of RouterOS 6, too")
    given.add_argument("--accept-changes", action="store_true", help="replay what changes the router, too")
    given.add_argument("--only", default="", metavar="TEXT", help="transcripts with this text in their id")
    given.add_argument("--json", action="store_true")
    return given


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if nothing differs, 1 if something does, 2 if it could not be tried."""
    warnings.filterwarnings("ignore", message="Diffie-Hellman")  # of RouterOS 6; announced to end, at each use
    options = parser().parse_args(arguments)
    transcripts = tuple(one for one in load() if options.only in one.id)
    if not transcripts:
        parser().error(f"no transcript has '{options.only}' in its id")
    try:
        results = asyncio.run(_target(options, transcripts) if options.target else _simulator(transcripts))
    except Unusable as error:
        print(f"scripts/conformance: {error}", file=sys.stderr)
        return 2
    print(report.as_json(results) if options.json else report.table(results))
    return 1 if report.differences(results) else 0


async def _simulator(transcripts: Sequence[Transcript]) -> dict[str, list[Result]]:
    return {version: await replay(version, transcripts) for version in TESTED}


async def _target(options: argparse.Namespace, transcripts: Sequence[Transcript]) -> dict[str, list[Result]]:
    address = Address(
        host=options.target,
        port=options.port,
        username=_username(options.user),
        profile=SshProfile.LEGACY if options.legacy else SshProfile.MODERN,
        host_key=_host_key(options.host_key) if options.host_key else await _ask_host_key(options),
        key=_key(options.key) if options.key else None,
        password=_read(options.password_file).rstrip("\r\n") if options.password_file else None,
    )
    player = Player(address)
    device = await player.look()
    print(f"{device.name}: {len(transcripts)} transcripts", file=sys.stderr)
    played = await player.play(transcripts, device, changes=options.accept_changes, told=_tell)
    return {options.target: played}


def _tell(result: Result) -> None:
    """It takes minutes on a small router: say how far it is."""
    if sys.stderr.isatty():
        print(f"  {result.verdict:14} {result.transcript.id}", file=sys.stderr)


def _host_key(text: str) -> str:
    try:
        asyncssh.import_public_key(text)
    except asyncssh.KeyImportError as error:
        raise Unusable(f"'{text}' is no public host key; give it as KIND BASE64") from error
    return text


def _username(name: str) -> str:
    if not name or name.startswith("-") or "+" in name:
        raise Unusable(f"'{name}' is no user name that is sent to a router: no '-' in front, no '+'")
    return name


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"{path} cannot be read: {error}") from error


def _key(path: Path) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_private_key(_read(path))
    except asyncssh.KeyImportError as error:
        raise Unusable(f"{path} is no private key that can be used: {error}") from error


async def _ask_host_key(options: argparse.Namespace) -> str:
    """Show the host key that the router presents; nothing is sent to it unless a person says that it is the right one."""
    profile = SshProfile.LEGACY if options.legacy else SshProfile.MODERN
    algorithms = ALGORITHMS[profile]
    try:
        async with asyncio.timeout(20):
            key = await asyncssh.get_server_host_key(
                options.target,
                options.port,
                server_host_key_algs=list(host_key_algorithms(None, profile)),
                kex_algs=list(algorithms.key_exchange),
                config=None,
            )
    except (OSError, asyncssh.Error, TimeoutError) as error:
        raise Unusable(f"{options.target}:{options.port} cannot be reached: {error!r}") from error
    if key is None:
        raise Unusable(f"{options.target}:{options.port} showed no host key")
    public = key.export_public_key().decode("ascii").strip()
    print(f"{options.target} shows the host key\n  {public}\n  {key.get_fingerprint()}", file=sys.stderr)
    if not sys.stdin.isatty():
        raise Unusable("its host key is not known; give it with --host-key")
    print("Is it the right one? [y/N] ", end="", file=sys.stderr, flush=True)
    if (await asyncio.to_thread(sys.stdin.readline)).strip().lower() not in ("y", "yes"):
        raise Unusable("the host key was not accepted; nothing was sent")
    return public


if __name__ == "__main__":
    sys.exit(main())
