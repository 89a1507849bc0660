"""`tminus api` and `tminus serve --api` as processes, with tokens of `tminus token`, and the request of the API that tminus follows."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.store.stage import add_sites
from tests.store.test_api_object import MOMENT, check_shape
from tests.support import Db, clean_environment, run_daemon, skip_without, until, write_config
from tminus.simulator import FleetSpec, simulate

# The request that the documentation of that API shows, and its answer; the base URL and the token are ours.
REQUEST = """\
curl --request PUT \\
--url https://v1.api.altostrat.io/scripts/scheduled/{scheduledScriptId} \\
--header 'Authorization: Bearer <token>' \\
--header 'Content-Type: application/json' \\
--data '
{
"make_backup": true,
"description": "Nightly BGP peer maintenance (Updated)",
"script": "/routing bgp peer enable [find name=peer1]",
"sites": [
"site_1AbCdEfGhIjKlMnOpQrStUv"
],
"notify": [
"auth0|5f9d4b3c2e1a0b006f8b4c5d",
"auth0|6a0e5c4d3f2b1c007g9c5d6e"
],
"test_site_id": "site_2Al5z3gXyY5f6Z7h8j9k0l1m"
}
'"""
ANSWER: dict[str, Any] = json.loads(r"""{
"id": "018f5bda-4690-4432-8472-358b2734f19b",
"created_by": "auth0|642b7f3b8b3b3e3e3e3e3e3e",
"test_site_id": "site_2Al5z3gXyY5f6Z7h8j9k0l1m",
"make_backup": true,
"abort_if_offline": false,
"description": "Weekly firewall rule update",
"summary": "This script adds a firewall filter rule to drop input from a specific address list named \"blacklist\".",
"script": "/ip firewall filter add action=drop chain=input src-address-list=blacklist",
"status": "scheduled",
"authorized_at": "2025-10-30T10:00:00.000000Z",
"cancelled_at": null,
"launch_at": "2025-11-01T02:00:00.000000Z",
"t_minus": "in 2 days",
"started_at": "2025-11-01T02:00:05.000000Z",
"sites": ["site_1AbCdEfGhIjKlMnOpQrStUv"],
"notify": ["auth0|5f9d4b3c2e1a0b006f8b4c5d"],
"progress": {
"completed": ["site_1AbCdEfGhIjKlMnOpQrStUv"],
"failed": ["site_2BcDeFgHiJkLmNoPqRsTuVw"],
"pending": ["site_3CdEfGhIjKlMnOpQrStUvWx"]
},
"created_at": "2025-10-29T12:44:27.000000Z",
"updated_at": "2025-10-29T13:05:00.000000Z"
}""")
SECRET = "0123456789abcdef0123456789abcdef"


def configure(folder: Path, db: Db, **settings: object) -> Path:
    (folder / "api.secret").write_text(SECRET + "\n")
    (folder / "api.secret").chmod(0o600)
    return write_config(
        folder,
        key_file=None,
        database_url=db.dsn_as("api"),
        state_dir=str(folder / "state"),
        api_listen="127.0.0.1:0",
        api_secret_file="api.secret",
        **settings,
    )


async def tminus(config: Path, *arguments: str, input_: str = "") -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tminus", "--config", str(config), *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=clean_environment(),
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(input_.encode()), 60)
    return process.returncode or 0, out.decode(), err.decode()


async def token(config: Path, person: str, *scopes: str) -> str:
    code, out, err = await tminus(config, "token", person, *(word for scope in scopes for word in ("--scope", scope)))
    assert code == 0, err
    return out.strip()


@asynccontextmanager
async def run_api(config: Path) -> AsyncIterator[str]:
    """A `tminus api` process; yields its URL, and ends it with SIGTERM."""
    log_file = config.parent / "api.log"
    with log_file.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tminus", "--config", str(config), "api", stderr=log, env=clean_environment()
        )
    try:

        async def ready() -> str:
            assert process.returncode is None, log_file.read_text()
            events = [json.loads(line) for line in log_file.read_text().splitlines()]
            return next((f"http://{event['listening']}" for event in events if event["event"] == "api_ready"), "")

        yield await until(ready)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def shell(command: str) -> tuple[str, dict[str, Any]]:
    """Run a curl command line; return the status line and the body."""
    process = await asyncio.create_subprocess_shell(
        command.replace("curl ", "curl --silent --include ", 1), stdout=asyncio.subprocess.PIPE, env=clean_environment()
    )
    out, _ = await asyncio.wait_for(process.communicate(), 20)
    head, _, body = out.decode().partition("\r\n\r\n")
    return head.splitlines()[0], json.loads(body)


@skip_without("curl", unless="REQUIRE_CURL")
async def test_the_documented_request_works_with_base_url_and_token_changed(database: Db, tmp_path: Path) -> None:
    await add_sites(database, "site_1AbCdEfGhIjKlMnOpQrStUv", "site_2Al5z3gXyY5f6Z7h8j9k0l1m")
    await database.fetch(
        "insert into tminus.scheduled_scripts (id, description, script, sites, launch_at, created_by)"
        " values ($1, 'Nightly', ':put x', '{site_2Al5z3gXyY5f6Z7h8j9k0l1m}', tminus.clock() + interval '49 hours', $2)",
        ANSWER["id"],
        ANSWER["created_by"],
        role="api",
    )
    await database.value("select tminus.authorize($1, tminus.digest($1))", ANSWER["id"], role="bob")
    config = configure(tmp_path, database)
    async with run_api(config) as url:
        command = REQUEST.replace("https://v1.api.altostrat.io", url)
        command = command.replace("<token>", await token(config, "auth0|642b", "script:view", "script:update"))
        status, answer = await shell(command.replace("{scheduledScriptId}", ANSWER["id"]))
        assert status.split()[1] == "200", answer
        check_shape(answer)
        sent = json.loads(REQUEST[REQUEST.index("'\n{") + 1 : REQUEST.rindex("'")])
        assert {key: answer[key] for key in sent} == sent
        assert (answer["id"], answer["created_by"], answer["updated_by"]) == (
            ANSWER["id"],
            ANSWER["created_by"],
            "auth0|642b",
        )
        assert (answer["status"], answer["authorized_at"]) == ("unauthorized", None)
        assert answer["t_minus"] == "in 2 days"
        assert list(answer)[: len(ANSWER)] == list(ANSWER), "the keys of the example, in its order"
        for key, value in ANSWER.items():
            nullable = key in ("authorized_at", "started_at", "summary")
            assert isinstance(answer[key], type(value)) or (nullable and answer[key] is None), key
            if isinstance(value, str) and MOMENT.fullmatch(value) and answer[key] is not None:
                assert MOMENT.fullmatch(answer[key]), key
    log = (tmp_path / "api.log").read_text()
    assert SECRET not in log
    assert "eyJ" not in log, "no token"


async def test_a_daemon_serves_the_api_with_a_login_of_its_own_and_runs_what_it_was_told_there(
    database: Db, tmp_path: Path
) -> None:
    (tmp_path / "api.secret").write_text(SECRET)
    (tmp_path / "api.secret").chmod(0o600)
    config = configure(tmp_path, database)
    bearer = {
        "alice": await token(config, "alice", "script:create", "script:view"),
        "bob": await token(config, "bob", "script:authorize", "script:view"),
    }
    settings = {
        "api_listen": "127.0.0.1:0",
        "api_secret_file": "api.secret",
        "api_database_url": database.dsn_as("api"),
    }
    import aiohttp  # noqa: PLC0415

    spec = FleetSpec(sites=1, base="127.51.0.1")
    async with (
        simulate(spec) as fleet,
        run_daemon(database, tmp_path, fleet, arguments=("--api",), **settings) as daemon,
    ):
        await database.run(fleet.inventory_sql(None))
        url = next(f"http://{event['listening']}" for event in daemon.log() if event["event"] == "api_ready")

        async with aiohttp.ClientSession() as session:

            async def call(person: str, method: str, path: str, body: object = None, kind: str = "json") -> Any:
                headers = {"Authorization": f"Bearer {bearer[person]}"}
                async with session.request(method, url + path, json=body, headers=headers) as response:
                    assert response.status < 300, await response.text()
                    return await (response.json() if kind == "json" else response.text())

            soon = await database.value("select tminus.api_time(tminus.clock() + interval '2 seconds')")
            new = {"script": ':put "by the api"', "sites": ["sim-0000"], "launch_at": soon}
            path = f"/scripts/scheduled/{(await call('alice', 'POST', '/scripts/scheduled', new))['id']}"
            digest = (await call("bob", "GET", f"{path}/review"))["digest"]
            await call("bob", "POST", f"{path}/authorize", {"digest": digest})

            async def completed() -> bool:
                return bool((await call("alice", "GET", f"{path}/progress"))["completed"])

            await until(completed, within=40, every=0.3)
            (launch,) = await call("alice", "GET", f"{path}/launches")
            assert (launch["kind"], launch["authorized_by"], launch["counts"]["completed"]) == ("scheduled", "bob", 1)
            (run,) = await call("alice", "GET", f"/launches/{launch['id']}/site-runs?outcome=completed")
            kept = {
                what: await call("alice", "GET", f"/site-runs/{run['id']}/{what}", kind="text")
                for what in ("output", "backup", "backup?phase=after")
            }
            assert "by the api" in kept["output"]
            assert kept["backup"].startswith("# ")
            assert "/ip address" in kept["backup"]
        assert await daemon.stop() == 0
        assert "eyJ" not in daemon.log_file.read_text()


async def test_a_daemon_without_the_api_loads_nothing_of_it() -> None:
    code = (
        "import sys, tminus.app; "
        "loaded = [name for name in sys.modules if name == 'jwt' or name.startswith('tminus.web.') or name == 'tminus.api']; "
        "assert loaded == ['tminus.web.probes'], loaded"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, env=clean_environment())
    assert await process.wait() == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"api_secret_file": None}, "set one of api_jwks_url, api_jwks_file and api_secret_file"),
        ({"api_jwks_file": "keys.json"}, "set one of"),
        ({"api_jwks_url": "http://login.example.net/", "api_secret_file": None}, "use https"),
        ({"database_url": "alice"}, "grant tminus_gateway to it"),
        ({"database_url": "tminus_serve"}, "grant tminus_gateway to it"),
    ],
)
async def test_an_api_that_could_not_tell_who_calls_or_act_for_them_does_not_start(
    database: Db, tmp_path: Path, settings: dict[str, str | None], words: str
) -> None:
    configure(tmp_path, database)
    given: dict[str, object] = {
        "database_url": database.dsn_as("api"),
        "api_listen": "127.0.0.1:0",
        "api_secret_file": "api.secret",
    }
    for name, value in settings.items():
        given[name] = database.dsn_as(value) if name == "database_url" and value else value
    config = write_config(
        tmp_path, key_file=None, **{name: value for name, value in given.items() if value is not None}
    )
    code, _, err = await tminus(config, "api")
    assert (code, words in err) == (3, True), err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("alice", "--scope", "script:everything"), "there is no scope 'script:everything'"),
        (("alice",), "--scope"),
        (("a\nb", "--scope", "script:view"), "printable"),
        (("alice", "--scope", "script:view", "--for", "900d"), "a year at most"),
    ],
)
async def test_a_token_for_nobody_or_nothing_is_not_made(
    database: Db, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    code, out, err = await tminus(configure(tmp_path, database), "token", *arguments)
    assert (code, out) == (2, "")
    assert words in err
