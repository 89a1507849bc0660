"""Measure the board and the API with ten thousand sites in one launch, and what a hundred viewers cost a daemon.

The API is a process of its own, as in production; the daemon, the database and the simulated fleet are others.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import shutil
import signal
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import aiohttp
import asyncpg
from bench import _cpu, fleet

from tminus.store.embedded import EmbeddedServer
from tminus.store.migrate import ensure_login, migrate
from tminus.web.tokens import SCOPES, mint

SITES = 10_000
VIEWERS = 100
LAUNCH = uuid.UUID("00000000-0000-4000-8000-000000000001")
_FILL = f"""
set session_replication_role = replica;
insert into tminus.sites (id, name, address, enabled) select 'big-' || n, 'n', 'host-' || n, false from generate_series(1, {SITES}) n;
insert into tminus.scheduled_scripts (id, description, script, sites, status, launch_at, created_by, updated_by, created_at, updated_at)
select '{LAUNCH}', 'ten thousand', ':put 1', array_agg(id order by id), 'launched', now(), 'alice', 'alice', now(), now() from tminus.sites;
insert into tminus.launches (id, script_id, state, due_at, started_at, start_until, description, script, sites, make_backup,
    abort_if_offline, start_within, site_timeout, created_by)
select id, id, 'running', now(), now(), now(), description, script, sites, true, false, start_within, site_timeout, 'alice'
from tminus.scheduled_scripts;
insert into tminus.site_runs (launch_id, site_id, position, wave, state, effect, started_at, executing_at, finished_at, nonce, output, diff)
select '{LAUNCH}', site_id, position, 1 + position / 2000, 'completed', 'applied', now(), now(), now(), 'n', repeat('line of output ', 20),
    '+/ip address add address=192.0.2.1/24' from tminus.scheduled_scripts, unnest(sites) with ordinality as u (site_id, position)
where position <= 9000;
insert into tminus.site_runs (launch_id, site_id, position, wave) select '{LAUNCH}', site_id, position, 1 + position / 2000
from tminus.scheduled_scripts, unnest(sites) with ordinality as u (site_id, position) where position > 9000;
analyze;
"""


@asynccontextmanager
async def process(*arguments: str, log: Path, ready: str) -> AsyncIterator[tuple[int, dict[str, object]]]:
    """A `tminus` process; yields its id and its first event of the name `ready`."""
    with log.open("wb") as stderr:
        running = await asyncio.create_subprocess_exec(sys.executable, "-m", "tminus", *arguments, stderr=stderr)
    try:
        while True:
            for line in log.read_text().splitlines():
                if line.startswith("{") and (event := json.loads(line))["event"] == ready:
                    yield running.pid, event
                    return
            if running.returncode is not None:
                raise SystemExit(log.read_text())
            await asyncio.sleep(0.1)
    finally:
        running.send_signal(signal.SIGTERM)
        await running.wait()


async def first_byte(session: aiohttp.ClientSession, url: str) -> tuple[float, float, int]:
    """Return the median and the worst of 15 first bytes, in milliseconds, and the size of the whole answer."""
    took, size = [], 0
    for _ in range(15):
        begin = time.perf_counter()
        async with session.get(url) as response:
            if response.status != 200:
                raise SystemExit(f"{url} answered {response.status}")
            size = len(await response.content.readany())
            took.append((time.perf_counter() - begin) * 1000)
            size += len(await response.read())
        await asyncio.sleep(0.05)
    return statistics.median(took), max(took), size


@asynccontextmanager
async def viewers(url: str, token: str) -> AsyncIterator[list[int]]:
    """A hundred people who look at the launch; yields how many bytes each was sent so far."""
    sent = [0] * VIEWERS
    async with AsyncExitStack() as stack:
        sessions = []
        for _ in range(VIEWERS // 10):  # a session keeps twelve pages at most
            session = await stack.enter_async_context(
                aiohttp.ClientSession(
                    cookie_jar=aiohttp.CookieJar(unsafe=True), connector=aiohttp.TCPConnector(limit=0)
                )
            )
            await log_in(session, url, token)
            sessions += [session] * 10

        async def look(number: int) -> None:
            async with sessions[number].get(f"{url}/board/launches/{LAUNCH}/stream", timeout=None) as response:
                async for chunk in response.content.iter_any():
                    sent[number] += len(chunk)

        tasks = [asyncio.create_task(look(number)) for number in range(VIEWERS)]
        try:
            while min(sent) < SITES:
                await asyncio.sleep(0.1)
            yield sent
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def log_in(session: aiohttp.ClientSession, url: str, token: str) -> None:
    async with session.post(f"{url}/board/login", data={"token": token}, headers={"Origin": url}) as response:
        if response.status != 200:
            raise SystemExit(f"the log-in answered {response.status}")


async def change(connection: asyncpg.Connection, position: int) -> None:
    async with connection.transaction():
        await connection.execute("set local session_replication_role = replica")
        await connection.execute(
            "update tminus.site_runs set state = 'completed', effect = 'applied', started_at = now(), executing_at = now(),"
            " finished_at = now(), nonce = 'n' where launch_id = $1 and position = $2",
            LAUNCH,
            position,
        )


async def dispatch_lag(connection: asyncpg.Connection, metrics: str) -> float:
    """Launch on the simulated sites, and return the mean dispatch lag of that launch in seconds."""

    async def numbers() -> tuple[float, float]:
        async with aiohttp.ClientSession() as session, session.get(metrics) as response:
            text = await response.text()
        found = dict(re.findall(r"^tminus_dispatch_lag_seconds_(sum|count)(?:{[^}]*})? (\S+)$", text, re.MULTILINE))
        return float(found.get("sum", 0)), float(found.get("count", 0))

    before = await numbers()
    script = await connection.fetchval(
        "insert into tminus.scheduled_scripts (script, sites, launch_at, make_backup)"
        " select ':put 1', array_agg(id order by id), now() + interval '2 seconds', false from tminus.sites where id like 'sim%'"
        " returning id"
    )
    await connection.execute("select tminus.authorize($1, tminus.digest($1))", script)
    while not await connection.fetchval(
        "select finished_at is not null from tminus.scheduled_scripts where id = $1", script
    ):
        await asyncio.sleep(0.2)
    after = await numbers()
    return (after[0] - before[0]) / max(after[1] - before[1], 1)


async def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="tminus-bench-"))
    folder.chmod(0o711)
    try:
        async with EmbeddedServer(folder / "state") as server, fleet(folder, 50, latency=False):
            await migrate(server.dsn)
            await ensure_login(server.dsn, "bench_api", member_of="tminus_gateway")
            connection = await asyncpg.connect(server.dsn)
            await connection.execute("update tminus.policy set approval = 'off'")
            await connection.execute(_FILL)
            await connection.execute("reset session_replication_role")
            await measure(folder, server, connection)
            await connection.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def measure(folder: Path, server: EmbeddedServer, connection: asyncpg.Connection) -> None:
    secret = secrets.token_hex(32)
    (folder / "api.secret").write_text(secret)
    (folder / "api.secret").chmod(0o600)
    config = folder / "api.toml"
    config.write_text(
        f'database_url = "{server.dsn_as("bench_api")}"\napi_listen = "127.0.0.1:0"\napi_secret_file = "api.secret"\n'
        "api_requests_per_minute = 100000\n"
    )
    token = mint(
        secret.encode(),
        name="bench",
        scopes=tuple(SCOPES),
        issuer="tminus",
        audience="tminus",
        valid=timedelta(hours=1),
    )
    async with process("--config", str(config), "api", log=folder / "api.log", ready="api_ready") as (pid, event):
        url = f"http://{event['listening']}"
        async with aiohttp.ClientSession(
            cookie_jar=aiohttp.CookieJar(unsafe=True), headers={"Authorization": f"Bearer {token}"}
        ) as session:
            await log_in(session, url, token)
            print(f"first byte with {SITES} sites in one launch: median and worst of 15, size of the answer")
            for path in (
                "/board/", f"/board/launches/{LAUNCH}", f"/board/launches/{LAUNCH}/parts", f"/board/launches/{LAUNCH}?outcome=pending",
                f"/launches/{LAUNCH}", f"/launches/{LAUNCH}/site-runs?limit=500", f"/scripts/scheduled/{LAUNCH}",
            ):  # fmt: skip
                median, worst, size = await first_byte(session, url + path)
                print(
                    f"  {path.replace(str(LAUNCH), 'ID'):36} {median:6.0f} ms {worst:6.0f} ms {size:10,} bytes",
                    flush=True,
                )
        async with viewers(url, token) as sent:
            before, cpu, begin = sent[0], _cpu(pid), time.monotonic()
            await asyncio.sleep(10)
            print(f"{VIEWERS} viewers, nothing changes: {(_cpu(pid) - cpu) / (time.monotonic() - begin):.1%} of a core, "
                  f"{(sent[0] - before) / 10:.0f} bytes/s each")  # fmt: skip
            before = sent[0]
            for position in range(9001, 9021):
                await change(connection, position)
                await asyncio.sleep(0.5)
            await asyncio.sleep(2)
            print(f"a site that changes: {(sent[0] - before) / 20:.0f} bytes to a viewer", flush=True)
        for position in range(9021, SITES + 1):
            await change(connection, position)
        # Told already, so that the daemon does not look at it any more.
        await connection.execute(
            "set session_replication_role = replica;"
            f" update tminus.launches set state = 'finished', finished_at = now(), told_at = now() where id = '{LAUNCH}';"
            " reset session_replication_role"
        )
        await connection.execute((folder / "inventory.sql").read_text())
        daemon = folder / "daemon.toml"
        daemon.write_text(
            f'database_url = "{server.dsn}"\nstate_dir = "{folder / "daemon"}"\nhttp_listen = "127.0.0.1:0"\n'
            '[credentials.default]\nusername = "tminus"\nprivate_key_file = "id_ed25519"\n'
        )
        async with process("--config", str(daemon), "serve", log=folder / "serve.log", ready="ready") as (_, ready):
            metrics = f"http://{ready['listening']}/metrics"
            await dispatch_lag(connection, metrics)  # the first one warms up
            alone, watched = [], []
            for _ in range(4):  # by turns, since a machine has moods
                alone.append(await dispatch_lag(connection, metrics))
                async with viewers(url, token):
                    watched.append(await dispatch_lag(connection, metrics))
        print(f"mean dispatch lag of 50 sites, the median of four launches: {statistics.median(alone):.2f} s, "
              f"with {VIEWERS} viewers {statistics.median(watched):.2f} s")  # fmt: skip
