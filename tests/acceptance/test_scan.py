"""`tminus site scan`: many routers looked at side by side, and accepted in one go."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from tests.acceptance.test_cli import call, on_terminal
from tests.support import Db, write_config
from tminus.simulator import Behaviour, Fault, Fleet, FleetSpec, Kind, Setup, SiteSpec, simulate

VERSION = "7.20.8"


def spec(*sites: str, **faults: Fault) -> FleetSpec:
    return FleetSpec(
        site_specs=tuple(
            SiteSpec(id=site, version=VERSION, faults=frozenset({faults[site]} if site in faults else ()))
            for site in (*sites, *(set(faults) - set(sites)))
        )
    )


async def scan_with(config: Path, *arguments: str) -> tuple[int, str, str]:
    answer = await asyncio.to_thread(call, None, ("--config", str(config), "site", "scan", *arguments), "")
    return answer.code, answer.out, answer.err


class Scan:
    """Calls `tminus site scan` with the gateway's login and the fleet's key."""

    def __init__(self, database: Db, folder: Path, fleet: Fleet) -> None:
        key_file = folder / "id_ed25519"
        key_file.write_bytes(fleet.client_key.export_private_key())
        key_file.chmod(0o600)
        self.config = write_config(
            folder, key_file=key_file, database_url=database.dsn_as("api"), connect_timeout=3.0, instance_name="here"
        )

    async def __call__(self, *arguments: str) -> tuple[int, str, str]:
        return await scan_with(self.config, *arguments)

    async def found(self, *arguments: str) -> tuple[dict[str, Any], int, str]:
        code, out, err = await self(*arguments, "--json")
        assert out, err
        return {row["id"]: row for row in json.loads(out)}, code, err


async def site(database: Db, site_id: str) -> Any:
    return (await database.fetch("select * from tminus.sites where id = $1", site_id))[0]


async def test_new_routers_are_shown_and_pinned_in_one_go(database: Db, tmp_path: Path) -> None:
    async with simulate(FleetSpec(sites=30, versions=("7.20.8", "7.12.2"))) as fleet:
        await database.run(fleet.inventory_sql(None))
        await database.run("update tminus.sites set host_key = null")
        scan = Scan(database, tmp_path, fleet)
        found, code, err = await scan.found("--all")
        assert code == 1, "nothing is pinned yet"
        assert "30 without a pinned key" in err
        for site_id, row in found.items():
            assert (row["key"], row["identity"], row["serial"]) == (
                "new",
                site_id,
                fleet.router(site_id).hardware.serial,
            )
            assert (row["problems"], row["unknown"], row["trouble"], row["accepted"]) == ([], [], None, False)
            assert row["fingerprint"].startswith("SHA256:")
        assert (
            await database.value("select count(*) from tminus.sites where host_key is not null or serial is not null")
            == 0
        )

        found, code, err = await scan.found("--all", "--accept")
        assert code == 0, err
        for site_id, row in found.items():
            assert row["accepted"]
            known = await site(database, site_id)
            assert known["host_key"] == row["host_key"]
            assert (known["serial"], known["identity"], known["model"]) == (row["serial"], site_id, "RB750Gr3")
            assert known["version"] == row["version"]
        events = await database.fetch(
            "select principal, site_id, detail from tminus.events where kind = 'site_accepted'"
        )
        assert {event["site_id"] for event in events} == set(found)
        assert {event["principal"] for event in events} == {"api"}
        assert json.loads(events[0]["detail"])["host_key"] == found[events[0]["site_id"]]["host_key"]

        found, code, _ = await scan.found("--all")
        assert code == 0
        assert {(row["key"], tuple(row["differences"])) for row in found.values()} == {("pinned", ())}
        # Nothing was uploaded or run anywhere, and nothing stamped.
        kinds = {event.kind for site_id in found for event in fleet.journal.events(site_id)}
        assert not kinds & {Kind.IMPORT_STARTED, Kind.CHANGED}


async def test_what_would_stop_a_run_is_told_site_by_site(database: Db, tmp_path: Path) -> None:
    fleet_spec = spec(
        "good", "clock", "full", "home", "tests",
        nosftp=Fault.NO_SFTP, off=Fault.OFFLINE, refused=Fault.REFUSES_LOGIN, hostile=Fault.HOSTILE_OUTPUT,
    )  # fmt: skip
    async with simulate(fleet_spec) as fleet:
        await database.run(fleet.inventory_sql(None))
        await database.run(
            "insert into tminus.sites (id, name, address, runner) values ('far', 'far', '127.9.9.9', 'north')"
        )
        await database.run(
            "insert into tminus.sites (id, name, address, credential) values ('odd', 'odd', '127.9.9.8', 'none')"
        )
        fleet.router("clock").clock_error = timedelta(days=-400)
        fleet.router("full").free_storage = 100_000
        fleet.router("home").device_mode = "home"
        fleet.router("tests").denied = frozenset({"test", "write"})
        found, code, err = await Scan(database, tmp_path, fleet).found("--all")
        assert code == 1
        said = {
            site_id: "; ".join([row["trouble"] or "", *row["problems"], *row["notes"]])
            for site_id, row in found.items()
        }
        assert {site_id for site_id, text in said.items() if text == "; ".join([""])} == {"good", "hostile"}
        assert "the clock is wrong: it says" in said["clock"]
        assert "only 97 KiB" in said["full"]
        assert "device-mode is home" in said["home"]
        assert "lacks the policies write, test" in said["tests"]
        assert "lacks the policy ftp" in said["nosftp"]
        assert "no SFTP: nosftp" in said["nosftp"]
        assert "is offline: Connection refused" in said["off"]
        assert "refused the login" in said["refused"]
        assert "runner 'north'" in said["far"]
        assert "[credentials.none]" in said["odd"]
        assert "3 of 11 sites ready" in err


async def test_a_changed_key_gets_no_credential_and_is_accepted_by_name_alone(database: Db, tmp_path: Path) -> None:
    async with simulate(spec("a", b=Fault.CHANGED_HOST_KEY, c=Fault.CHANGED_HOST_KEY)) as fleet:
        await database.run(fleet.inventory_sql(None))
        before = {site_id: (await site(database, site_id))["host_key"] for site_id in "abc"}
        scan = Scan(database, tmp_path, fleet)
        found, code, err = await scan.found("--all", "--accept")
        assert code == 1
        assert "2 with another key" in err
        for site_id in "bc":
            row = found[site_id]
            assert (row["key"], row["accepted"], row["version"]) == ("changed", False, None)
            assert row["host_key"] != before[site_id]
            assert row["known_fingerprint"] in row["trouble"]
            assert row["fingerprint"] in row["trouble"]
            assert not fleet.journal.events(site_id, Kind.LOGIN)
            assert not fleet.journal.events(site_id, Kind.LOGIN_REFUSED)
            assert (await site(database, site_id))["host_key"] == before[site_id]

        script = await database.submit(":put 1", due_in=3600.0)
        found, _, err = await scan.found("--all", "--accept", "--accept-changed", "b")
        assert str(script) in err
        assert "does not cover 1 site as changed" in err
        assert (found["b"]["accepted"], found["c"]["accepted"]) == (True, False)
        assert (await site(database, "b"))["host_key"] == found["b"]["host_key"]
        assert (await site(database, "c"))["host_key"] == before["c"]
        [event] = await database.fetch(
            "select detail from tminus.events where kind = 'site_accepted' and site_id = 'b'"
        )
        assert json.loads(event["detail"])["host_key_before"] == before["b"]
        found, code, _ = await scan.found("b")
        assert (code, found["b"]["key"], found["b"]["identity"]) == (0, "pinned", "b")


async def test_another_device_on_a_known_address_is_not_accepted_unless_it_is_named(
    database: Db, tmp_path: Path
) -> None:
    async with simulate(spec("a", "b")) as fleet:
        await database.run(fleet.inventory_sql(None))
        other = fleet.router("b").hardware.serial
        await database.run("update tminus.sites set serial = 'HC0OLD' where id = 'a'")
        scan = Scan(database, tmp_path, fleet)
        found, code, _ = await scan.found("a", "--accept")
        assert code == 1
        assert found["a"]["problems"] == ["another device answers here than before (its serial number is another)"]
        assert found["a"]["differences"] == ["serial was HC0OLD"]
        assert (await site(database, "a"))["serial"] == "HC0OLD"
        found, code, _ = await scan.found("a", "--accept-changed", "a")
        assert (code, (await site(database, "a"))["serial"]) == (0, fleet.router("a").hardware.serial)
        # One router under two names.
        await database.run(f"update tminus.sites set serial = '{other}' where id = 'a'")
        found, code, _ = await scan.found("--all", "--accept", "--accept-changed", "b")
        assert code == 1
        assert f"this router is site a already (serial number {other})" in found["b"]["problems"]
        assert (await site(database, "b"))["serial"] is None


async def test_a_password_is_not_sent_to_a_host_that_proved_nothing(database: Db, tmp_path: Path) -> None:
    async with simulate(replace(spec("a"), setup=Setup(password_login=True))) as fleet:
        await database.run(fleet.inventory_sql(None))
        await database.run("update tminus.sites set host_key = null")
        (tmp_path / "word").write_text("simulated\n")
        config = tmp_path / "by-password.toml"
        config.write_text(
            f"database_url = {json.dumps(database.dsn_as('api'))}\n"
            '[credentials.default]\nusername = "tminus"\npassword_file = "word"\n'
        )
        code, out, err = await scan_with(config, "a", "--json", "--accept")
        [row] = json.loads(out)
        assert "a password is not sent" in row["trouble"], err
        assert (row["accepted"], row["version"]) == (True, None)
        assert not fleet.journal.events("a", Kind.LOGIN)
        code, out, err = await scan_with(config, "a", "--json")
        assert (code, json.loads(out)[0]["identity"]) == (0, "a"), err


async def test_a_sheet_for_a_spreadsheet_holds_no_formula(database: Db, tmp_path: Path) -> None:
    evil = FleetSpec(site_specs=(SiteSpec(id="a", version=VERSION, identity='=HYPERLINK("http://x")'),))
    async with simulate(evil) as fleet:
        await database.run(fleet.inventory_sql(None))
        code, out, err = await Scan(database, tmp_path, fleet)("--tag", "simulated", "--csv")
        assert code == 0, err
        [row] = csv.DictReader(io.StringIO(out))
        assert row["identity"] == '\'=HYPERLINK("http://x")'
        assert row["fingerprint"].startswith("SHA256:")
        assert (row["problems"], row["accepted"]) == ("", "False")
        table = (await Scan(database, tmp_path, fleet)("a"))[1]
        assert "ready" in table
        assert asyncssh.import_public_key(row["host_key"]).get_fingerprint() in table


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "say which sites"),
        (("a", "--all"), "say which sites"),
        (("nowhere",), "no site 'nowhere'"),
        (("--tag", "none"), "has the tag 'none'"),
        (("a", "--csv", "--json"), "exclude"),
        (("a", "--accept-changed", "b"), "'b', which is not among"),
    ],
)
async def test_a_scan_that_makes_no_sense_is_one_sentence(
    database: Db, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    async with simulate(spec("a")) as fleet:
        await database.run(fleet.inventory_sql(None))
        code, out, err = await Scan(database, tmp_path, fleet)(*arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert words in err


async def test_on_a_terminal_what_was_found_is_shown_and_asked_about(database: Db, tmp_path: Path) -> None:
    async with simulate(spec("a", "b")) as fleet:
        await database.run(fleet.inventory_sql(None))
        await database.run("update tminus.sites set host_key = null")
        config = str(Scan(database, tmp_path, fleet).config)
        for answer, pinned in (("n", 0), ("y", 2)):
            scanning = on_terminal(database, "api", "--config", config, "site", "scan", "--all", "--accept")
            async with scanning as terminal:
                await terminal.shows("Pin 2 keys and keep what 2 routers said?")
                assert "SHA256:" in terminal.shown
                assert await database.value("select count(*) from tminus.sites where host_key is not null") == 0
                terminal.type(f"{answer}\n")
                assert await terminal.end() == (0 if pinned else 1)
            assert await database.value("select count(*) from tminus.sites where host_key is not null") == pinned


async def test_what_a_router_shows_to_everybody_hides_none_of_its_answers(database: Db, tmp_path: Path) -> None:
    sites = (SiteSpec(id="r", version=VERSION, behaviour=Behaviour(note_on_exec=True)),)
    async with simulate(FleetSpec(site_specs=sites)) as fleet:
        where = fleet.site("r")
        async with asyncssh.connect(
            where.address, where.port, username="tminus", client_keys=[fleet.client_key], known_hosts=None
        ) as connection:
            await connection.run('/system note set note="Authorized access only!"', check=True)
        await database.run(fleet.inventory_sql(None))
        found, code, err = await Scan(database, tmp_path, fleet).found("--all")
        assert code == 0, err
        row = found["r"]
        assert (row["serial"], row["model"]) == (fleet.router("r").hardware.serial, "RB750Gr3")
        assert (row["problems"], row["unknown"], row["trouble"]) == ([], [], None)
