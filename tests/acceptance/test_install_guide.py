"""The commands of docs/install.md, as they stand there: logins, backup, and the way back from a newer schema."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.acceptance.test_configuration import tminus
from tests.acceptance.test_readme import run_psql
from tests.support import clean_environment, until
from tminus.store.embedded import EmbeddedServer, psql
from tminus.store.migrate import check_schema_of, migrate

_TEXT = (Path(__file__).parents[2] / "docs/install.md").read_text(encoding="utf-8")


def _sql(who: str) -> list[str]:
    return re.findall(rf"<!-- test: {who} -->\n```sql\n(.*?)```", _TEXT, re.DOTALL)


def _shell(name: str) -> str:
    found = re.search(rf"<!-- test: {name} -->\n((?: {{4}}.+\n)+)", _TEXT)
    assert found is not None
    return found[1]


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
        roles = {"tminus_serve": "daemon", "netbox": "gateway", "alice": "author", "bob": "approver", "noc": "reader"}
        for login, role in roles.items():
            await check_schema_of(dsn_of(login))
            all_roles = "select string_agg(r.rolname, ' ') from pg_roles r where r.rolname ~ '^tminus_' and pg_has_role(r.oid, 'usage')"
            others = f"{all_roles} and r.rolname <> session_user"
            assert await run_psql(dsn_of(login), others) == f"tminus_{role}\n"


async def test_a_backup_brings_back_what_a_newer_version_changed(folder: Path) -> None:
    state = folder / "state"
    environment = {"TMINUS_STATE_DIR": str(state), "TMINUS_HTTP_LISTEN": "127.0.0.1:0"}

    async def run(text: str) -> None:
        """The guide's lines with our places for its own."""
        text = text.replace("/var/lib/tminus", str(state)).replace("/root/", f"{folder}/")
        text = re.sub(r"\$\(echo /opt/\S+\)", shlex.quote(str(psql().parent)), text)
        text = re.sub(r"^    tminus ", f"{shlex.quote(sys.executable)} -m tminus ", text, flags=re.MULTILINE)
        process = await asyncio.create_subprocess_exec(
            "sh", "-ec", text, env=clean_environment() | environment,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, err = await process.communicate()
        assert process.returncode == 0, err.decode()

    async def sql(text: str) -> str:
        code, out, err = await tminus("psql", "-Atqc", text, **environment)
        assert code == 0, err
        return out

    async with serving(environment, folder / "log"):
        code, out, err = await tminus("check", "--json", **environment)
        found = {entry["check"]: (entry["verdict"], entry["said"]) for entry in json.loads(out)["checks"]}
        assert (code, err) == (0, "")
        assert {found[check][0] for check in ("database", "login", "schema", "clock", "fleet")} == {"ok"}
        assert found["database"][1].startswith("embedded PostgreSQL 18")
        assert found["database"][1].endswith("connected as tminus_serve")
        await sql(
            "insert into tminus.sites (id, name, address, timezone) values ('s1', 'one', '192.0.2.1', 'Europe/Berlin');"
            " insert into tminus.scheduled_scripts (script, sites, cron, timezone)"
            " values (':put 1', '{s1}', '0 4 * * *', 'Europe/Berlin')"
        )
        await run(_shell("backup"))
        # What a newer version would leave.
        await sql(
            "create table tminus.newer (id integer); insert into tminus.schema_migrations (version, name, sha256)"
            " values (9999, '9999_newer.sql', ''); delete from tminus.scheduled_scripts; delete from tminus.sites"
        )
    assert (folder / "tminus.sql").stat().st_mode & 0o077 == 0
    assert "CREATE ROLE tminus_serve" in (folder / "tminus-roles.sql").read_text()
    code, _, err = await tminus("serve", **environment)
    assert (code, "newer than this program" in err) == (5, True)

    await run(_shell("restore"))
    async with serving(environment, folder / "log"):
        assert await sql(
            "select s.id, cron, status, to_regclass('tminus.newer') is null from tminus.sites s, tminus.scheduled_scripts"
        ) == ("s1|0 4 * * *|unauthorized|t\n")
