"""Exports with secrets: only where a site and the daemon's host agree, and then in one place of the database alone."""

from __future__ import annotations

import secrets
from pathlib import Path

import asyncssh
import pytest

from tests.acceptance.test_no_secret_leaks import every_row
from tests.acceptance.test_rehearsal import tminus
from tests.support import Db, run_daemon
from tminus.simulator import Behaviour, Fleet, FleetSpec, Setup, SiteSpec, simulate

# The value as a whole stands nowhere but on the router.
SCRIPT = '/ppp secret set [find name=canary] password=("canaryafter" . "{0}")\n'
LACKS = Setup(lacks=("sensitive",))
NOT_ALLOWED = "this daemon's allow_sensitive_exports does not allow it"


async def plant(fleet: Fleet, site: str, value: str) -> None:
    there = fleet.site(site)
    async with asyncssh.connect(
        there.address, there.port, username=there.username, client_keys=[fleet.client_key], known_hosts=None, config=None
    ) as connection:  # fmt: skip
        said = await connection.run(f"/ppp secret add name=canary password={value}", timeout=10)
        assert not said.stdout, said.stdout


async def sensitive(database: Db) -> dict[tuple[str, str], str]:
    """The stored texts with secrets, by site and phase."""
    rows = await database.fetch(
        "select site_id, phase, tminus.sensitive_backup_text(id) as text from tminus.backups where sensitive",
        role="rosa",
    )
    return {(row["site_id"], row["phase"]): row["text"] for row in rows}


async def rows_but_secrets(database: Db) -> str:
    """All that the database holds, but for the one table where secrets may be."""
    held = [row["text"] for row in await database.fetch("select t::text as text from tminus.sensitive_texts t")]
    rows = await every_row(database)
    for text in held:
        assert text in rows
        rows = rows.replace(text, "")
    return rows


@pytest.mark.timeout(120)
async def test_secrets_are_stored_in_one_place_where_both_agree_and_a_backup_never_fails_for_them(
    database: Db, tmp_path: Path
) -> None:
    tail = secrets.token_hex(6)
    before, after = f"canarybefore{tail}", f"canaryafter{tail}"
    specs = (
        SiteSpec(id="new", version="7.20.8"),
        SiteSpec(id="old", version="6.49.10"),
        SiteSpec(id="cut", version="7.20.8", behaviour=Behaviour(export_ends_line=True)),
        SiteSpec(id="silent", version="7.20.8", setup=LACKS),
        SiteSpec(id="refused", version="7.20.8", setup=LACKS, behaviour=Behaviour(show_sensitive_refused=True)),
        SiteSpec(id="plain", version="7.20.8"),
    )
    async with simulate(FleetSpec(site_specs=specs, base="127.45.17.1")) as fleet:
        for spec in specs:
            await plant(fleet, spec.id, before)
        await database.run(fleet.inventory_sql(None))
        await database.run("update tminus.sites set sensitive_export = id <> 'plain'")
        async with run_daemon(database, tmp_path, fleet, allow_sensitive_exports=True, log_level="debug") as daemon:
            script = await database.submit(SCRIPT.format(tail))
            runs = await database.finished(script, within=60)
            await daemon.stop()
        assert {run["state"] for run in runs.values()} == {"completed"}, {s: r["message"] for s, r in runs.items()}

        told = await sensitive(database)
        for site in ("new", "old", "cut"):
            assert before in told[site, "before"]
            assert after in told[site, "after"]
            assert "by RouterOS" not in told[site, "after"], "the header stands apart"
            assert runs[site]["diff"] == ""
            assert [w for w in runs[site]["warnings"] if "Only secrets were changed" in w], runs[site]["warnings"]
        assert {site for site, _ in told} == {"new", "old", "cut", "silent"}
        assert before not in told["silent", "before"]
        assert [w for w in runs["silent"]["warnings"] if "tells no more than the one without" in w]
        assert [w for w in runs["refused"]["warnings"] if "not enough permissions" in w]
        assert runs["plain"]["warnings"] == []
        assert await database.value("select count(*) from tminus.backups") == 2 * len(specs)
        assert not any(fleet.files(spec.id) for spec in specs)

        rows = await rows_but_secrets(database)
        assert "canary" in rows, "the name is there"
        assert before not in rows
        assert after not in rows
        assert before not in (tmp_path / "serve.log").read_text()
        assert after not in (tmp_path / "serve.log").read_text()

        number = str(await database.value("select id from tminus.backups where site_id = 'new' and phase = 'after'"))
        code, out, err = await tminus(database, "backup", "show", number, "--sensitive", login="rosa")
        assert (code, after in out) == (0, True), err
        code, out, err = await tminus(database, "backup", "show", number, "--sensitive", login="rita")
        assert (code != 0, out) == (True, "")
        assert "only a member of tminus_secret_reader" in err
        for login in ("rita", "rosa"):
            code, out, _ = await tminus(database, "backup", "show", number, login=login)
            assert (code, after in out) == (0, False)
        code, out, _ = await tminus(database, "backup", "list", "new", login="rita")
        assert out.count("with secrets") == 2
        ids = await database.fetch("select id from tminus.backups where site_id = 'new' order by id")
        code, out, err = await tminus(database, "backup", "diff", *(str(row["id"]) for row in ids), login="rosa")
        assert (code, out) == (0, "")
        assert "the same, but for secrets perhaps" in err
        none = str(await database.value("select id from tminus.backups where site_id = 'plain' limit 1"))
        code, _, err = await tminus(database, "backup", "show", none, "--sensitive", login="rosa")
        assert (code != 0, "is stored without secrets" in err) == (True, True)


@pytest.mark.timeout(90)
async def test_a_host_that_does_not_agree_stores_none_and_says_which_setting(database: Db, tmp_path: Path) -> None:
    value = f"canary{secrets.token_hex(8)}"
    specs = (SiteSpec(id="new", version="7.20.8"), SiteSpec(id="old", version="6.49.10"))
    async with simulate(FleetSpec(site_specs=specs, base="127.45.17.1")) as fleet:
        for spec in specs:
            await plant(fleet, spec.id, value)
        await database.run(fleet.inventory_sql(None))
        await database.run("update tminus.sites set sensitive_export = true")
        async with run_daemon(database, tmp_path, fleet):
            script = await database.submit("/ip dns set servers=192.0.2.53\n")
            runs = await database.finished(script)
        for site, run in runs.items():
            assert run["state"] == "completed", run["message"]
            assert len([w for w in run["warnings"] if NOT_ALLOWED in w]) == 1, site
            assert "+set servers=192.0.2.53" in run["diff"]
        assert await database.value("select count(*) from tminus.backups where not sensitive") == 4
        assert await database.value("select count(*) from tminus.sensitive_texts") == 0
        assert value not in await every_row(database)


@pytest.mark.timeout(90)
async def test_an_export_with_secrets_that_costs_the_connection_costs_one_attempt_and_not_the_run(
    database: Db, tmp_path: Path
) -> None:
    """Beyond export_cap the connection is given up. The next attempt does not ask for it again."""
    specs = (SiteSpec(id="large", version="7.20.8", export_kb=62),)
    async with simulate(FleetSpec(site_specs=specs, base="127.45.17.1")) as fleet:
        there = fleet.site("large")
        async with asyncssh.connect(
            there.address, there.port, username=there.username, client_keys=[fleet.client_key], known_hosts=None, config=None
        ) as connection:  # fmt: skip
            filler = "x" * 200
            line = f':for i from=1 to=40 do={{ /ppp secret add name=("n" . $i) password=({filler} . $i) }}'
            assert not (await connection.run(line, timeout=20)).stdout
        await database.run(fleet.inventory_sql(None))
        await database.run("update tminus.sites set sensitive_export = true")
        async with run_daemon(database, tmp_path, fleet, allow_sensitive_exports=True, export_cap=65536):
            script = await database.submit(":put done\n")
            run = (await database.finished(script, within=60))["large"]
        assert run["state"] == "completed", run["message"]
        assert run["attempts"] == 2
        assert [w for w in run["warnings"] if "larger than 65536 bytes" in w], run["warnings"]
        assert await database.value("select count(*) from tminus.backups where not sensitive") == 2
