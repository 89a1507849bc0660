"""The lines of a run on every version and under both profiles of what is not known about RouterOS."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import fields

import pytest

from tests.device.simulator.client import SITE, connected, one, run, upload
from tminus.simulator import DEFAULT, TESTED, WORST, Behaviour, Fault, Kind, OverLength, flipped
from tminus.simulator.versions import Version

GOOD = b"/ip address add address=10.9.9.1/24 interface=bridge\n"
BAD = GOOD + b"/interface bridge add name=bridge\n"
NAMES = [field.name for field in fields(Behaviour)]
PROFILES = pytest.mark.parametrize("behaviour", [DEFAULT, WORST], ids=["default", "worst"])


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not check():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


@PROFILES
@pytest.mark.parametrize("version", TESTED)
async def test_a_run_that_succeeds_and_one_that_fails(version: str, behaviour: Behaviour) -> None:
    has = Version.parse(version)
    async with one(version=version, behaviour=behaviour) as fleet, connected(fleet) as connection:
        who, _ = await run(connection, ":put [/system resource get version]; :put [/system identity get name]; :put OK")
        assert who.split() == [version.encode(), f"({has.channel})".encode(), b"a", b"OK"]
        before, _ = await run(connection, '/export; :put ("END-" . "1")')
        assert f"by RouterOS {version}\r\n".encode() in before
        assert before.rstrip().endswith(b"\r\nEND-1")

        for name, content in (("good.rsc", GOOD), ("bad.rsc", BAD)):
            await upload(connection, name, content)
        await until(lambda: len(fleet.router(SITE).files.visible()) == 2)

        output, _ = await run(connection, '/import file-name="good.rsc"; :put ("OK-" . "1")')
        assert output.split(b"\r\n")[:2] == [b"Script file loaded and executed successfully", b"OK-1".rstrip()] or (
            output == b"Script file loaded and executed successfully\r\nOK-1\n"
        )
        await run(connection, "/ip address remove [find address=10.9.9.1/24]")
        caught = ':put ("ERR-" . "1")' if not has.has_onerror else ':put ("ERR-" . "1 " . $e)'
        line = '/import file-name="bad.rsc"; :put ("OK-" . "1")'
        line = f":onerror e in={{ {line} }} do={{ {caught} }}" if has.has_onerror else line
        output, _ = await run(connection, line)
        assert b"OK-1" not in output
        said = b"script error: " if has.legacy and behaviour.script_error_lower else b"Script Error: "
        assert said + b"failure: already have interface with name bridge" in output
        assert (b"(/interface/bridge/add; line 2)" in output) is fleet.router(SITE).version.error_paths

        after, _ = await run(connection, '/export; :put ("END-" . "1")')
        assert b"add address=10.9.9.1/24" in after
        assert b"add address=10.9.9.1/24" not in before


async def test_the_default_and_the_worst_differ_in_every_switch_but_those_with_one_answer() -> None:
    same = {name for name in NAMES if getattr(DEFAULT, name) == getattr(WORST, name)}
    assert same == {
        # Waiting times, and limits that would only be met by other tests.
        "max_channels", "notices_loss_s", "reboot_down_s", "startup_after_s", "terminal_probe_wait_s",
        # Each of these alone ends a launch before its script is started, or takes the proof away.
        "answers_keepalive", "export_ends_line", "job_survives_session", "parse_error_lapse", "sends_status",
        # Each of these hides what the other answers of `worst` show.
        "knows_dry_run", "knows_onerror", "shows_jobs", "shows_log",
        # Not in any report.
        "blank_after_put", "import_keeps_open", "removed_listed_s",
        # Seen as they are in every report, or documented so.
        "applies_before_error", "auto_rsc", "import_error_status", "ram_files_survive", "run_error_status", "window_overflow_drops",
    }  # fmt: skip
    assert WORST.over_length is OverLength.TRUNCATE
    assert len({*map(repr, flipped().values())}) == len(flipped()) >= len(NAMES)


async def test_a_running_command_is_a_job_that_others_can_see_and_stop() -> None:
    async with one() as fleet, connected(fleet) as connection, connected(fleet) as other:
        await upload(connection, "a.rsc", b":delay 1h\n")
        process = await connection.create_process("/import a.rsc")
        async with asyncio.timeout(10):
            await fleet.journal.wait(SITE, Kind.IMPORT_STARTED)
        look = ':put [/system script job print count-only where script~"import a.rsc"]'
        listed, _ = await run(other, look)
        assert listed.strip() == b"2"  # the one that looks has these words in its line, too
        await run(other, '/system script job remove [find where script="/import a.rsc"]')
        async with asyncio.timeout(10):
            assert (await process.wait()).exit_status is None
        assert fleet.journal.events(SITE, Kind.IMPORT_INTERRUPTED)


async def test_closing_a_fleet_ends_connections_that_hang() -> None:
    async with one(Fault.BLACKHOLE) as fleet:
        site = fleet.site(SITE)
        reader, writer = await asyncio.open_connection(site.address, site.port)
        writer.write(b"x")
        await until(lambda: bool(fleet.connections(SITE)))
    async with asyncio.timeout(5):
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
    writer.close()
