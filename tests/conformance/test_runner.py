"""``scripts/conformance --target``: a simulated router in the place of a real one, as it is, and one that deviates."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import asyncssh
import pytest

from tests.conformance.__main__ import parser
from tests.conformance.player import Address, Player
from tests.conformance.simulated import SITE, simulated
from tests.conformance.transcript import load
from tminus.simulator import Behaviour, Fleet, Kind

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    output: str
    errors: str
    status: int


async def conformance(address: Address, *options: str, typed: bytes | None = None) -> Ended:
    """Run it on a router; with ``typed`` at a terminal."""
    line = [str(ROOT / "scripts/conformance"), "--target", address.host, "--port", str(address.port), *options]
    inside = outside = None
    if typed is not None:
        outside, inside = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *line,
        stdin=inside if inside is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        if outside is not None:
            os.write(outside, typed or b"")
        async with asyncio.timeout(100):
            output, errors = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        for end in (inside, outside):
            if end is not None:
                os.close(end)
    return Ended(output.decode(), errors.decode(), process.returncode or 0)


def by_key(address: Address, folder: Path) -> list[str]:
    assert address.key is not None
    file = folder / "key"
    file.write_bytes(address.key.export_private_key("openssh"))
    file.chmod(0o600)
    return ["--user", address.username, "--key", str(file), "--host-key", address.host_key]


def changes(fleet: Fleet) -> int:
    return sum(len(fleet.journal.events(SITE, kind)) for kind in (Kind.CHANGED, Kind.UPLOAD))


async def test_a_router_that_agrees_is_changed_by_nothing_unless_that_is_accepted(tmp_path) -> None:
    async with simulated("7.24.4") as (fleet, address):
        ended = await conformance(address, *by_key(address, tmp_path))
        assert ended.status == 0, ended
        assert "exec.errors-are-on-stdout" in ended.output
        assert " 0 differ, " in ended.output
        assert "DIFFERS" not in ended.output
        assert changes(fleet) == 0
        before = fleet.export(SITE)
        accepted = await conformance(address, *by_key(address, tmp_path), "--accept-changes")
        assert accepted.status == 0, accepted
        assert changes(fleet) > 20
        assert (fleet.export(SITE), fleet.files(SITE)) == (before, {})


async def test_a_router_that_deviates_is_told_apart(tmp_path) -> None:
    deviates = Behaviour(last_line_lf=True, import_error_status=1)
    async with simulated("7.24.4", behaviour=deviates) as (_, address):
        ended = await conformance(address, *by_key(address, tmp_path), "--only", "exec.")
        assert ended.status == 1, ended
        lines = ended.output.splitlines()
        differing = {line.split()[0] for line in lines if line.endswith("DIFFERS")}
        assert differing == {
            "exec.no-prompt-no-echo-crlf",
            "exec.print-pads-its-lines",
            "exec.a-failed-import-exits-with-0",
        }
        assert f"Differences on {address.host}:" in lines
        assert "    exit status 1, not 0" in lines
        assert "    sent: /import file-name=tminus-conformance-none.rsc" in lines
        assert lines[-1].startswith(f"{address.host}: ")
        assert ", 3 differ, " in lines[-1]


async def test_json_has_a_row_a_transcript(tmp_path) -> None:
    async with simulated("6.49.10") as (_, address):
        ended = await conformance(address, *by_key(address, tmp_path), "--legacy", "--json", "--only", "export.")
        assert ended.status == 0, ended
        rows = {row["id"]: row for row in json.loads(ended.output)}
        assert ended.errors.splitlines()[1:] == []
        assert rows["export.header-before-7.10"]["verdict"] == "agrees"
        assert rows["export.header"] == {
            "router": address.host,
            "id": "export.header",
            "tag": "O",
            "record": "5.2 OXI",
            "verdict": "not applicable",
            "detail": "another version or device",
        }
        assert rows["export.long-lines-are-wrapped"]["detail"] == "changes the device"


async def test_a_wrong_host_key_gets_no_login(tmp_path) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    async with simulated("7.24.4") as (fleet, address):
        ended = await conformance(address, *by_key(address, tmp_path), "--host-key", other)
        assert ended.status == 2, ended
        assert "cannot be used" in ended.errors
        assert not fleet.journal.events(SITE, Kind.LOGIN)


@pytest.mark.parametrize(("typed", "status"), [(None, 2), (b"n\n", 2), (b"y\n", 0)])
async def test_a_host_key_that_is_not_given_is_shown_and_asked_for(typed: bytes | None, status: int, tmp_path) -> None:
    async with simulated("7.24.4", "takes-passwords") as (fleet, address):
        (tmp_path / "password").write_text(f"{fleet.spec.password}\n")
        given = ["--user", address.username, "--password-file", str(tmp_path / "password"), "--only", "exec.banner"]
        ended = await conformance(address, *given, typed=typed)
        assert ended.status == status, ended
        assert address.host_key in ended.errors
        assert "SHA256:" in ended.errors
        assert bool(fleet.journal.events(SITE, Kind.LOGIN)) is (status == 0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--user=-froot"], "is no user name"),
        (["--user", "admin+c"], "is no user name"),
        (["--key", "/nonexistent/key"], "cannot be read"),
        (["--host-key", "ssh-ed25519 nonsense"], "is no public host key"),
        (["--only", "nonsense"], "no transcript has 'nonsense' in its id"),
        (["--port", "1"], "cannot be used"),
    ],
)
async def test_what_cannot_be_tried_says_why(given: list[str], said: str, tmp_path) -> None:
    async with simulated("7.24.4") as (_, address):
        ended = await conformance(address, *by_key(address, tmp_path), *given)
        assert ended.status == 2, ended
        assert said in ended.errors
        assert "Traceback" not in ended.errors


async def test_the_simulator_is_replayed_without_a_target() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.conformance", "--only", "format.identity", cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    assert process.returncode == 0
    assert b"7.24.4: 1 agree, 0 differ, 0 not applicable, of 1 transcripts" in output


async def test_a_router_that_cannot_clean_up_is_a_difference() -> None:
    """What a transcript leaves behind is told, even where its answer agrees."""
    [transcript] = [one for one in load() if one.id == "run.stored-script"]
    messy = replace(transcript, after=("/system script remove tminus-conformance-none", *transcript.after))
    async with simulated("7.24.4") as (_, address):
        player = Player(address)
        result = await player.one(messy, await player.look())
        assert result.verdict == "differs"
        assert result.detail.startswith("cleaning up with '/system script remove")


def test_the_document_names_options_and_places_that_exist() -> None:
    text = (ROOT / "docs/conformance.md").read_text("utf-8")
    options = set(re.findall(r"--[a-z][a-z-]+", text)) - {"--help"}
    known = {name for action in parser()._actions for name in action.option_strings}
    assert options == known - {"-h", "--help", "--port"}
    for place in ("tests/conformance/transcripts", "tests/device/clients"):
        assert place in text
        assert (ROOT / place).is_dir()
    said = " ".join(one.output for one in load())
    for message in re.findall(r"`([a-z ]+)`", text[text.index("Of the record's messages") :].split("\n\n")[0]):
        assert message not in said, message


def test_what_is_left_on_a_router_has_a_name_of_its_own() -> None:
    """Whatever a transcript adds, uploads or removes is called tminus-conformance or is on documentation addresses."""
    for one in load():
        for name in one.uploads:
            assert name.startswith("tminus-conformance"), one.id
        for command in (*one.before, one.command, *one.after):
            for statement in command.split(";"):
                if (
                    re.search(r"(?<!where )\b(add|set|remove|save|enable|disable)\b", statement)
                    and "(false)" not in command
                ):
                    assert re.search(
                        r"tminus|numbers=\*7FFFFFFF|^/ip address remove$|delay 59s|:set a|192\.0\.2\.", statement
                    ), (
                        one.id,
                        statement,
                    )
