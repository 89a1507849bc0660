"""The commands of docs/install.md, as they stand there: logins, backup, and the way back from a newer schema."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import shutil
import signal
import stat
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.acceptance.test_configuration import tminus
from tests.acceptance.test_readme import run_psql
from tests.support import clean_environment, until
from tminus.settings import load_settings
from tminus.simulator import Fleet, FleetSpec, simulate
from tminus.store.embedded import EmbeddedServer, psql
from tminus.store.migrate import check_schema_of, migrate
from tminus.web.tokens import Checker, FixedKeys, read_secret, secret_key

_TEXT = (Path(__file__).parents[2] / "docs/install.md").read_text(encoding="utf-8")


def _sql(who: str) -> list[str]:
    return re.findall(rf"<!-- test: {who} -->\n```sql\n(.*?)```", _TEXT, re.DOTALL)


def _shell(name: str) -> str:
    found = re.search(rf"<!-- test: {name} -->\n((?: {{4}}.+\n)+)", _TEXT)
    assert found is not None
    return found[1]


def test_an_uninstall_ends_every_service_that_could_have_been_enabled() -> None:
    stopped = re.search(r"^ {4}systemctl disable --now (.+)$", _TEXT, re.MULTILINE)
    assert stopped is not None
    units = [
        unit for unit in (Path(__file__).parents[2] / "systemd").glob("*.service") if "[Install]" in unit.read_text()
    ]
    assert set(stopped[1].split()) == {unit.stem for unit in units}
    for unit in units:
        assert f"/usr/local/lib/systemd/system/{unit.name}" in _TEXT[stopped.end() :]


@asynccontextmanager
async def serving(environment: dict[str, str], log: Path) -> AsyncIterator[None]:
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tminus", "serve", stderr=stderr, env=clean_environment() | environment
        )
    try:

        async def ready() -> bool:
            assert process.returncode is None, log.read_text()
            return '"event": "ready"' in log.read_text()

        await until(ready, within=60)
        yield
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the server's user can reach where the tests are root."""
    made = Path(tempfile.mkdtemp(prefix="tminus-guide-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


async def test_the_logins_of_the_guide_are_what_it_says_on_a_server_that_never_saw_tminus(folder: Path) -> None:
    async with EmbeddedServer(folder / "state", durable=False) as server:

        def dsn_of(login: str) -> str:
            return server.dsn_as(login)

        # The embedded server brings a database of that name, and its superuser has it, too.
        await run_psql(server.dsn.replace("/tminus?", "/postgres?"), "drop database tminus;")
        for statement in _sql("superuser")[0].split(";\n"):
            await run_psql(server.dsn.replace("/tminus?", "/postgres?"), statement)
        assert await migrate(dsn_of("tminus_admin"))
        for sql in _sql("admin"):
            await run_psql(dsn_of("tminus_admin"), sql)
        roles = {
            "tminus_serve": "daemon",
            "netbox": "gateway",
            "alice": "author",
            "bob": "approver",
            "noc": "reader",
            "tminus_api": "gateway",
        }
        for login, role in roles.items():
            await check_schema_of(dsn_of(login))
            all_roles = "select string_agg(r.rolname, ' ') from pg_roles r where r.rolname ~ '^tminus_' and pg_has_role(r.oid, 'usage')"
            others = f"{all_roles} and r.rolname <> session_user"
            assert await run_psql(dsn_of(login), others) == f"tminus_{role}\n"


async def test_the_configuration_of_the_api_is_for_its_owner_alone_and_makes_a_token(folder: Path) -> None:
    text = re.sub(r"^ {4}", "", _shell("api"), flags=re.MULTILINE).replace("/etc/tminus", str(folder))
    done = await asyncio.create_subprocess_exec("sh", "-ec", text)
    assert await done.wait() == 0
    for name in ("api.toml", "api.secret"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    settings = load_settings(folder / "api.toml")
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://tminus_api:change-me@db.example.net/tminus"
    (token,) = re.findall(r"`tminus --config /etc/tminus/api.toml (token [^`]+)`", _TEXT)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tminus", "--config", str(folder / "api.toml"), *token.split(),
        stdout=asyncio.subprocess.PIPE, env=clean_environment(), cwd="/",
    )  # fmt: skip
    out, _ = await process.communicate()
    key = secret_key(read_secret(folder / "api.secret"))
    checker = Checker(issuer="tminus", audience="tminus", source=FixedKeys((key,)))
    person = await checker.person(f"Bearer {out.decode().strip()}")
    assert (person.name, person.scopes) == ("alice", {"script:view"})


@pytest.mark.timeout(240)
async def test_a_backup_brings_back_what_a_newer_version_changed_and_runs_nothing_twice(folder: Path) -> None:
    async with simulate(FleetSpec(sites=1)) as fleet:
        await _back_up_and_restore(folder, fleet)


async def _back_up_and_restore(folder: Path, fleet: Fleet) -> None:
    state, key = folder / "state", folder / "id_ed25519"
    key.write_bytes(fleet.client_key.export_private_key())
    key.chmod(0o600)
    environment = {
        "TMINUS_STATE_DIR": str(state),
        "TMINUS_HTTP_LISTEN": "127.0.0.1:0",
        "TMINUS_POLL_INTERVAL": "0.2",
        "TMINUS_CREDENTIALS__DEFAULT__USERNAME": "tminus",
        "TMINUS_CREDENTIALS__DEFAULT__PRIVATE_KEY_FILE": str(key),
    }
    site = fleet.sites[0].id

    async def run(text: str) -> str:
        """Run the guide's lines with our places for its own; return what they print."""
        text = text.replace("/var/lib/tminus", str(state)).replace("/root/", f"{folder}/")
        text = re.sub(r"\$\(echo /opt/\S+\)", shlex.quote(str(psql().parent)), text)
        text = re.sub(r"^    tminus ", f"{shlex.quote(sys.executable)} -m tminus ", text, flags=re.MULTILINE)
        process = await asyncio.create_subprocess_exec(
            "sh", "-ec", text, env=clean_environment() | environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode()

    async def sql(text: str) -> str:
        return await run_psql(f"postgresql:///tminus?host={state}/run&user=tminus", text)

    async def authorize(script: str, change: str) -> None:
        """Make a change, and have bob authorize the script at the same instant: psql sends both as one message."""
        await sql(f"{change} \\; select tminus.authorize('{script}', tminus.digest('{script}'), 'bob');")

    async def schedule(text: str, after: str) -> str:
        """Have alice's script launched after an interval; return its id."""
        script = str(uuid.uuid4())
        await authorize(
            script,
            "insert into tminus.scheduled_scripts (id, created_by, script, sites, launch_at)"
            f" values ('{script}', 'alice', '{text}', '{{{site}}}', now() + interval '{after}')",
        )
        return script

    async def completed(script: str) -> None:
        state = f"select r.state from tminus.site_runs r join tminus.launches l on l.id = r.launch_id where script_id = '{script}'"

        async def look() -> bool:
            return await sql(state) == "completed\n"

        await until(look, within=30, every=0.3)

    async def checked(name: str) -> tuple[str, str]:
        _, out, _ = await tminus("check", "--json", **environment)
        return {entry["check"]: (entry["grade"], entry["said"]) for entry in json.loads(out)["checks"]}[name]

    async with serving(environment, folder / "log"):
        code, out, err = await tminus("check", "--json", **environment)
        found = {entry["check"]: (entry["grade"], entry["said"]) for entry in json.loads(out)["checks"]}
        assert (code, err) == (0, "")
        assert {found[check][0] for check in ("database", "login", "schema", "clock", "pause", "fleet")} == {"ok"}
        assert found["database"][1].startswith("embedded PostgreSQL 18")
        assert found["database"][1].endswith("connected as tminus_serve")
        await sql(fleet.inventory_sql(None))
        await sql(
            "insert into tminus.scheduled_scripts (script, sites, cron, timezone)"
            f" values (':put 1', '{{{site}}}', '0 4 * * *', 'Europe/Berlin')"
        )
        before = await schedule(":put before", "0.3 seconds")
        await completed(before)
        later = await schedule(":put later", "30 minutes")
        await run(_shell("backup"))
        # It is run now, which the backup does not know, and what a newer version would leave.
        await authorize(
            later,
            f"update tminus.scheduled_scripts set launch_at = now() + interval '0.3 seconds' where id = '{later}'",
        )
        await completed(later)
        assert len(fleet.journal.starts(site)) == 2
        await sql(
            "create table tminus.newer (id integer); insert into tminus.schema_migrations (version, name, sha256)"
            " values (9999, '9999_newer.sql', '')"
        )
    assert (folder / "tminus.sql").stat().st_mode & 0o077 == 0
    assert "CREATE ROLE tminus_serve" in (folder / "tminus-roles.sql").read_text()
    code, _, err = await tminus("serve", **environment)
    assert (code, "newer than this program" in err) == (5, True)

    await run(_shell("restore"))
    async with serving(environment, folder / "log"):
        assert await sql(
            "select s.id, cron, status, to_regclass('tminus.newer') is null from tminus.sites s, tminus.scheduled_scripts"
            " w order by w.created_at"
        ) == (f"{site}|0 4 * * *|unauthorized|t\n{site}||launched|t\n{site}||scheduled|t\n")
        await completed(before)

        verdict, said = await checked("pause")
        assert (verdict, "all is paused" in said) == ("warning", True)
        assert await sql("select tminus.is_paused()") == "t\n"
        printed = await run(_shell("resume").replace("cancel ID", f"cancel {later}"))
        assert "All is paused" in printed
        assert later[:8] in printed.split("\ncancelled")[0], "what is to be cancelled is listed"
        assert "resumed; 1 lost start accepted" in printed
        assert (await checked("pause"))[0] == "ok"
        assert await sql(f"select status from tminus.scheduled_scripts where id = '{later}'") == "cancelled\n"
    assert len(fleet.journal.starts(site)) == 2, "once before the backup, once after it, and never again"
