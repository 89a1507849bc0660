"""The HTTP API before a launch on many sites: how long the first byte takes, and whether pollers delay the daemon."""

from __future__ import annotations

import asyncio
import itertools
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
from bench import fleet

from tminus.store.embedded import EmbeddedServer
from tminus.store.migrate import ensure_login, migrate
from tminus.web.tokens import SCOPES, mint

_SECRET = "0123456789abcdef" * 2
_POLL_EVERY = 5.0  # seconds
# Past the triggers: what is measured is reading. A third has ended, as in the middle of a launch.
_LAUNCH = """
set session_replication_role = replica;
insert into tminus.sites (id, name, address)
select 'many-' || n, n::text, '10.0.' || n / 256 || '.' || n % 256 from generate_series(1, {sites}) n;
insert into tminus.scheduled_scripts (id, script, sites, created_by, updated_by, status, launch_at, started_at, created_at, updated_at)
select '{script}', ':put 1', array_agg(id order by id), 'alice', 'alice', 'launched', now(), now(), now(), now()
from tminus.sites where id like 'many-%';
insert into tminus.launches (id, script_id, state, due_at, started_at, start_until, description, script, sites, make_backup,
    abort_if_offline, start_within, site_timeout, created_by, authorized_by)
select '{launch}', s.id, 'running', now(), now(), now(), '', s.script, s.sites, true, false, s.start_within, s.site_timeout, 'alice', 'bob'
from tminus.scheduled_scripts s where s.id = '{script}';
insert into tminus.site_runs (launch_id, site_id, position, state, effect, message, output, nonce, executing_at, started_at, finished_at)
select '{launch}', u.site_id, u.position, case when ended then 'completed' else 'pending' end, case when ended then 'applied' end,
    case when ended then 'It ended.' end, case when ended then 'a line of output' end, case when ended then '0123456789abcdef' end,
    case when ended then now() end, case when ended then now() end, case when ended then now() end
from tminus.scheduled_scripts s, unnest(s.sites) with ordinality as u (site_id, position), lateral (select u.position % 3 = 0 as ended) e
where s.id = '{script}';
set session_replication_role = default;
analyze tminus.sites; analyze tminus.site_runs;
"""


async def rows(sites: int, pollers: int) -> AsyncIterator[str]:
    """Measure, and say it in lines."""
    folder = Path(tempfile.mkdtemp(prefix="tminus-bench-"))
    folder.chmod(0o711)
    try:
        async with EmbeddedServer(folder / "state") as server, fleet(folder, 1, latency=False):
            await migrate(server.dsn)
            await ensure_login(server.dsn, "tminus_api", member_of="tminus_gateway")
            db = await asyncpg.connect(server.dsn)
            await db.execute((folder / "inventory.sql").read_text())
            script, launch = str(uuid.uuid4()), str(uuid.uuid4())
            await db.execute(_LAUNCH.format(sites=sites, script=script, launch=launch), timeout=300)
            async with _process(folder, "api", server.dsn_as("tminus_api")) as url, _session() as session:
                for path in (
                    f"/scripts/scheduled/{script}",
                    f"/scripts/scheduled/{script}/progress",
                    f"/launches/{launch}",
                    f"/launches/{launch}/site-runs?limit=500",
                    f"/launches/{launch}/site-runs?limit=500&outcome=completed",
                ):
                    took = [await _first_byte(session, url + path) for _ in range(20)]
                    name = path.replace(script, "ID").replace(launch, "ID")
                    yield f"{sites:,} sites, GET {name:<48} first byte {statistics.median(took):6.1f} ms, at most {max(took):6.1f} ms"
                async with _process(folder, "serve", server.dsn):
                    for count in (0, pollers):
                        async with _pollers(session, f"{url}/launches/{launch}", count):
                            lag = await _dispatch_lag(db)
                        yield f"{count:>3} pollers every {_POLL_EVERY:.0f} s: taken up {lag:6.1f} ms after its time (median of 10)"
            await db.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _session() -> aiohttp.ClientSession:
    token = mint(
        _SECRET.encode(),
        name="bench",
        scopes=tuple(SCOPES),
        issuer="tminus",
        audience="tminus",
        valid=timedelta(hours=1),
    )
    return aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}, connector=aiohttp.TCPConnector(limit=0))


async def _first_byte(session: aiohttp.ClientSession, url: str) -> float:
    begun = time.perf_counter()
    async with session.get(url) as response:
        took = time.perf_counter() - begun
        if response.status != 200:
            raise SystemExit(f"{url}: {await response.text()}")
        await response.read()
    return took * 1000


@asynccontextmanager
async def _process(folder: Path, command: str, dsn: str) -> AsyncIterator[str]:
    """`tminus api` or `tminus serve`; yields where it listens."""
    place = folder / command
    place.mkdir()
    for name, text in (("api.secret", _SECRET), ("id_ed25519", (folder / "id_ed25519").read_text())):
        (place / name).write_text(text)
        (place / name).chmod(0o600)
    (place / "tminus.toml").write_text(
        f'database_url = "{dsn}"\nstate_dir = "{place}"\nhttp_listen = "127.0.0.1:0"\napi_listen = "127.0.0.1:0"\n'
        'api_secret_file = "api.secret"\napi_requests_per_minute = 1000000\nlog_format = "json"\n'
        '[credentials.default]\nusername = "tminus"\nprivate_key_file = "id_ed25519"\n'
    )
    log = place / "log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tminus", "--config", str(place / "tminus.toml"), command, stderr=stderr
        )
    try:
        listening = '"listening": "'
        while listening not in log.read_text():
            if process.returncode is not None:
                raise SystemExit(f"tminus {command} ended: {log.read_text()}")
            await asyncio.sleep(0.1)
        yield "http://" + log.read_text().split(listening)[1].split('"')[0]
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


@asynccontextmanager
async def _pollers(session: aiohttp.ClientSession, url: str, count: int) -> AsyncIterator[None]:
    async def poll(after: float) -> None:
        await asyncio.sleep(after)
        while True:
            await _first_byte(session, url)
            await asyncio.sleep(_POLL_EVERY)

    async with AsyncExitStack() as stack:
        for number in range(count):
            stack.callback(asyncio.create_task(poll(number * _POLL_EVERY / count)).cancel)
        yield


async def _dispatch_lag(db: asyncpg.Connection) -> float:
    """Launch on the one simulated router, one time after the other; return the median of what its start was late, in ms."""
    site = await db.fetchval("select id from tminus.sites where id not like 'many-%'")
    late = []
    for _ in itertools.repeat(None, 10):
        script = await db.fetchval(
            "insert into tminus.scheduled_scripts (created_by, script, sites, launch_at, make_backup)"
            " values ('alice', ':put 1', array[$1], now() + interval '1 second', false) returning id",
            site,
        )
        await db.fetchval("select tminus.authorize($1, tminus.digest($1), 'bob')", script)
        taken = None
        while taken is None:
            await asyncio.sleep(0.05)
            taken = await db.fetchrow(
                "select extract(epoch from r.started_at - s.launch_at) * 1000 as late from tminus.scheduled_scripts s"
                " join tminus.launches l on l.script_id = s.id join tminus.site_runs r on r.launch_id = l.id"
                " where s.id = $1 and r.finished_at is not null",
                script,
            )
        late.append(float(taken["late"]))
    return statistics.median(late)
