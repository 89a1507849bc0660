"""Measure tminus against a minimal asyncssh loop that does the same SSH steps on the same simulated fleet.

Every process is its own: the fleet, the loop ("bare": asyncssh with its default options and a semaphore), the daemon and
the database. CPU is what the process itself used (user + system) once it was ready, peak memory its high-water mark.
Machines are noisy, so both sides are measured in one run, one after the other, and only their ratio means much.

"again" is a second launch, of another script on the same fleet: its routers are known by now, and their exports are stored,
which is how it is on all nights but the first. It is compared with the same bare loop.

"floor" is what the same PostgreSQL takes, on the same machine a moment later, for the least that a site run can be in a
database: its export from before whole, the one after as a difference, and a row that is inserted and written twice, in
tables without a rule, a reference or a second index.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncpg


def script(side: str) -> str:
    """Each side adds entries of its own: a second run of the same script would fail as on a router."""
    return "".join(f"/ip firewall address-list add list={side} address=198.51.100.{n}\n" for n in range(1, 6))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int = 0
    idle_bytes: int = 0
    database_cpu_seconds: float = 0.0
    database_floor_seconds: float = 0.0


# -- the other side: a minimal loop ------------------------------------------------------------------------------------


async def bare(inventory: Path, key: Path, sessions: int) -> None:
    """What somebody would write in an afternoon. Keys loaded once, or it would be ten times slower."""
    import asyncssh

    from tminus.routeros import commands
    from tminus.routeros.facts import Version

    version = Version.parse("7.20.8")
    assert version is not None  # it is one
    sites = json.loads(inventory.read_text())
    client_key = asyncssh.read_private_key(str(key))
    places = asyncio.Semaphore(sessions)
    done = 0

    async def one(number: int, site: dict[str, object]) -> None:
        nonlocal done
        nonce = commands.Nonce(f"{number:016x}")
        host_key = asyncssh.import_public_key(str(site["host_key"]))
        async with (
            places,
            asyncssh.connect(
                str(site["address"]),
                int(str(site["port"])),
                username="tminus",
                client_keys=[client_key],
                known_hosts=([host_key], [], []),
            ) as connection,
        ):
            # The lines are tminus's own, so that the routers have the same to do for both sides.
            await connection.run(commands.identify(nonce, stamp=True, resources=True))
            before = await connection.run(commands.export(nonce, version))
            async with connection.start_sftp_client() as sftp, sftp.open(nonce.file, "wb") as file:
                await file.write(script("bare").encode())
            await connection.run(commands.check_file(nonce, catch=True, dry_run=True))
            ran = await connection.run(commands.start(nonce, catches=True, stamp=True))
            after = await connection.run(commands.export(nonce, version))
            await connection.run(commands.remove(nonce))
            end = nonce.marker("END")
            if nonce.marker("OK") in str(ran.stdout) and end in str(before.stdout) and end in str(after.stdout):
                done += 1

    begin, cpu = time.monotonic(), _cpu(os.getpid())
    idle = _status(os.getpid(), "VmRSS")
    await asyncio.gather(*(one(number, site) for number, site in enumerate(sites)))
    if done != len(sites):
        raise SystemExit(f"bare: only {done} of {len(sites)} sites were done")
    print(
        json.dumps(
            {
                "cpu_seconds": _cpu(os.getpid()) - cpu,
                "wall_seconds": time.monotonic() - begin,
                "peak_bytes": _status(os.getpid(), "VmHWM"),
                "idle_bytes": idle,
            }
        )
    )


# -- the daemon --------------------------------------------------------------------------------------------------------


async def measure_daemon(folder: Path, dsn: str, sessions: int, sites: int, postmaster: int) -> tuple[Cost, Cost]:
    """The first launch on a fleet that nobody knows yet, and the one after it."""
    import asyncpg

    config = folder / "tminus.toml"
    config.write_text(
        f'database_url = "{dsn}"\nstate_dir = "{folder / "state"}"\nhttp_listen = "127.0.0.1:0"\n'
        f'max_sessions = {sessions}\nlog_level = "warning"\n'
        '[credentials.default]\nusername = "tminus"\nprivate_key_file = "id_ed25519"\n'
    )
    log = folder / "serve.log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tminus", "--config", str(config), "serve", stderr=stderr
        )
    connection = await asyncpg.connect(dsn)
    try:
        while not await connection.fetchval("select count(*) from tminus.instances where state = 'alive'"):
            if process.returncode is not None:
                raise SystemExit(f"the daemon ended: {log.read_text()}")
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.5)
        idle = _status(process.pid, "VmRSS")
        first = await measure_launch(connection, process.pid, postmaster, script("ours"), sites)
        peak = _status(process.pid, "VmHWM")
        again = await measure_launch(connection, process.pid, postmaster, script("again"), sites)
        floor = await database_floor(connection, sites)
        return replace(first, peak_bytes=peak, idle_bytes=idle, database_floor_seconds=floor), again
    finally:
        await connection.close()
        process.send_signal(signal.SIGTERM)
        await process.wait()


async def measure_launch(connection: asyncpg.Connection, daemon: int, postmaster: int, text: str, sites: int) -> Cost:
    # What the import of the inventory, or an earlier launch, left to do is not this one's.
    while await connection.fetchval("select exists (select from tminus.unsealed_events)"):
        await asyncio.sleep(0.1)
    script_id = await connection.fetchval(
        "insert into tminus.scheduled_scripts (created_by, script, sites, launch_at, start_within)"
        " select 'alice', $1, array_agg(id order by id), now() + interval '3 seconds', interval '1 hour'"
        " from tminus.sites returning id",
        text,
    )
    await connection.fetchval("select tminus.authorize($1, tminus.digest($1), 'bob')", script_id)
    due = await connection.fetchval(
        "select extract(epoch from launch_at - clock_timestamp())::float from tminus.scheduled_scripts where id = $1",
        script_id,
    )
    await asyncio.sleep(max(due - 0.1, 0))
    cpu, database = _cpu(daemon), _cpu_of_tree(postmaster)
    while not await connection.fetchval(
        "select finished_at is not null from tminus.scheduled_scripts where id = $1", script_id
    ):
        await asyncio.sleep(0.1)
    row = await connection.fetchrow(
        "select extract(epoch from finished_at - started_at)::float as wall,"
        " (select count(*) from tminus.site_runs r join tminus.launches l on l.id = r.launch_id"
        "  where l.script_id = s.id and r.state = 'completed') as completed"
        " from tminus.scheduled_scripts s where id = $1",
        script_id,
    )
    if row["completed"] != sites:
        why = await connection.fetchval(
            "select message from tminus.site_runs where state <> 'completed' order by id desc limit 1"
        )
        raise SystemExit(f"only {row['completed']} of {sites} sites were completed: {why}")
    return Cost(
        cpu_seconds=_cpu(daemon) - cpu,
        wall_seconds=row["wall"],
        database_cpu_seconds=_cpu_of_tree(postmaster) - database,
    )


async def database_floor(connection: asyncpg.Connection, sites: int) -> float:
    """CPU seconds of this connection's server for the least that `sites` site runs can be, 25 of them a transaction."""
    await connection.execute(
        """
        create schema floor;
        create table floor.texts (sha256 bytea primary key, text text not null);
        alter table floor.texts alter column text set storage external;
        create table floor.runs (id bigint primary key, state text not null, message text, output text, diff text)
            with (fillfactor = 60);
        """
    )
    rng = random.Random(1)
    server = connection.get_server_pid()
    begin = _cpu(server)
    for first in range(0, sites, 25):
        runs = range(first, min(first + 25, sites))
        texts = [_export(rng) for _ in runs]
        keys = [hashlib.sha256(text.encode()).digest() for text in texts]
        async with connection.transaction():
            await connection.execute(
                "insert into floor.runs (id, state) select n, 'running' from unnest($1::bigint[]) as n", list(runs)
            )
        async with connection.transaction():
            await connection.executemany("insert into floor.texts values ($1, $2)", zip(keys, texts, strict=True))
            await connection.execute(
                "update floor.runs set state = 'started' where id = any ($1::bigint[])", list(runs)
            )
        async with connection.transaction():
            await connection.executemany(
                "insert into floor.texts values ($1, $2)", [(key + b"after", script("floor")) for key in keys]
            )
            await connection.execute(
                "update floor.runs set state = 'completed', message = 'Done.', output = $2, diff = $2"
                " where id = any ($1::bigint[])",
                list(runs), script("floor"),
            )  # fmt: skip
    return _cpu(server) - begin


def _export(rng: random.Random) -> str:
    """50 KB that look like an export, another one each time."""
    return "".join(
        f"add address=10.{rng.randrange(256)}.{rng.randrange(256)}.1 comment=customer-{rng.randrange(10**6):06} list=all\n"
        for _ in range(870)
    )


# -- one comparison ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def fleet(folder: Path, sites: int, *, latency: bool) -> AsyncIterator[None]:
    """A simulated fleet in a process of its own; its inventory is written as SQL and as JSON."""
    slow = ["--latency-ms", "30", "--export-ms", "300", "--script-ms", "500"] if latency else []
    inventory = folder / "inventory.sql"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tminus", "simulate", "--sites", str(sites), "--export-kb", "50", *slow,
        "--key-dir", str(folder), "--inventory", str(inventory), stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while not inventory.exists():
            if process.returncode is not None:
                raise SystemExit("the simulated fleet did not start")
            await asyncio.sleep(0.1)
        yield
    finally:
        process.terminate()  # SIGINT is ignored where a shell started us in the background
        await process.wait()


async def compare(sites: int, sessions: int, *, latency: bool) -> tuple[Cost, Cost, Cost]:
    """What the bare loop costs, and the daemon's first and second launch."""
    import asyncpg

    from tminus.store.embedded import EmbeddedServer
    from tminus.store.migrate import migrate

    folder = Path(tempfile.mkdtemp(prefix="tminus-bench-"))
    folder.chmod(0o711)
    try:
        async with EmbeddedServer(folder / "state") as server, fleet(folder, sites, latency=latency):
            await migrate(server.dsn)
            connection = await asyncpg.connect(server.dsn)
            await connection.execute((folder / "inventory.sql").read_text())
            rows = await connection.fetch("select address, port, host_key from tminus.sites order by id")
            # A server that has run for a day has its log files, and does not make them first.
            for _ in range(12):
                await connection.execute(
                    "select pg_logical_emit_message(false, 'bench', 'fill'); select pg_switch_wal()"
                )
            await connection.execute("checkpoint")
            await connection.close()
            inventory = folder / "inventory.json"
            inventory.write_text(json.dumps([dict(row) for row in rows]))
            process = await asyncio.create_subprocess_exec(
                sys.executable, __file__, "bare", str(inventory), str(folder / "id_ed25519"), str(sessions),
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            said, _ = await process.communicate()
            if process.returncode:
                raise SystemExit("the bare loop failed")
            postmaster = int((folder / "state/postgres/postmaster.pid").read_text().split()[0])
            first, again = await measure_daemon(folder, server.dsn, sessions, sites, postmaster)
            return Cost(**json.loads(said)), first, again
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def due_query(rows: int) -> float:
    """Median milliseconds of the due query with `rows` scheduled scripts of which 10 are due."""
    import asyncpg

    from tminus.store.embedded import EmbeddedServer
    from tminus.store.migrate import migrate
    from tminus.store.pool import statement

    folder = Path(tempfile.mkdtemp(prefix="tminus-bench-"))
    folder.chmod(0o711)
    try:
        async with EmbeddedServer(folder, durable=False) as server:
            await migrate(server.dsn)
            connection = await asyncpg.connect(server.dsn)
            await connection.execute("insert into tminus.sites (id, name, address) values ('s', 's', '127.0.0.1')")
            # Past the triggers: a million inserts through them take minutes, and the query does not care.
            await connection.execute(
                f"""
                set session_replication_role = replica;
                insert into tminus.scheduled_scripts
                    (script, sites, created_by, updated_by, status, launch_at, authorization_id, created_at, updated_at)
                select ':put 1', '{{s}}', 'alice', 'alice', 'scheduled',
                    now() + (n - 10) * interval '1 second', n, now(), now()
                from generate_series(1, {rows}) as n;
                insert into tminus.authorizations (script_id, digest, row_digest, site_ids, site_digests, author, editor, approver)
                select id, '', '', sites, '{{}}', 'alice', 'alice', 'bob'
                from tminus.scheduled_scripts
                where launch_at < now() + interval '1 hour'
                order by launch_at;
                set session_replication_role = default;
                analyze tminus.scheduled_scripts;
                """,
                timeout=600,
            )
            taken = []
            for _ in range(50):
                begin = time.perf_counter()
                async with connection.transaction():
                    await connection.fetch(statement("due_scripts"), 20)
                taken.append(time.perf_counter() - begin)
            await connection.close()
            return sorted(taken)[len(taken) // 2] * 1000
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return 0


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _cpu_of_tree(parent: int) -> float:
    """CPU of a process, of its living children, and of those that it waited for."""
    total = 0.0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(entry.name) == parent:
                total += sum(int(f) for f in fields[11:15]) / os.sysconf("SC_CLK_TCK")
            elif int(fields[1]) == parent:
                total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def _row(sites: int, sessions: int, latency: bool, bare: Cost, ours: Cost, again: Cost) -> str:
    return (
        f"{sites:>6} {sessions:>8}  {'30 ms' if latency else '0':>7}"
        f" {bare.cpu_seconds / sites * 1000:>9.2f} {ours.cpu_seconds / sites * 1000:>9.2f} {ours.cpu_seconds / bare.cpu_seconds:>6.2f}"
        f" {bare.wall_seconds:>9.2f} {ours.wall_seconds:>9.2f} {ours.wall_seconds / bare.wall_seconds:>6.2f}"
        f" {bare.peak_bytes / 1e6:>9.0f} {ours.peak_bytes / 1e6:>9.0f}"
        f" {(ours.peak_bytes - ours.idle_bytes) / min(sites, sessions) / 1024:>9.0f}"
        f" {ours.database_cpu_seconds / sites * 1000:>8.2f} {ours.database_floor_seconds / sites * 1000:>6.2f}"
        f" {again.cpu_seconds / sites * 1000:>9.2f} {again.cpu_seconds / bare.cpu_seconds:>6.2f}"
        f" {again.database_cpu_seconds / sites * 1000:>9.2f}"
    )


async def main(sizes: list[int], sessions: int, *, latencies: tuple[bool, ...], due: bool) -> None:
    say = print
    say(
        "                           CPU ms a site           wall s                 peak MB             KiB an   database ms"
        "    again, ms a site"
    )
    say(
        " sites sessions  latency      bare    tminus  ratio      bare    tminus  ratio      bare    tminus  open site   a site  floor"
        "       CPU  ratio  database"
    )
    for latency in latencies:
        for sites in sizes:
            limit = min(sessions, sites)
            say(_row(sites, limit, latency, *await compare(sites, limit, latency=latency)), flush=True)
    say(
        "wanted, with 30 ms, 2000 sites and 1000 sessions: CPU and wall at most 1.00 x bare, 150 KiB, 0.30 ms of database"
    )
    if due:
        for rows in (1_000, 1_000_000):
            say(
                f"due query with {rows:>9,} scheduled scripts: {await due_query(rows):.2f} ms (wanted: 5 at most)",
                flush=True,
            )


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    if sys.argv[1:2] == ["bare"]:
        asyncio.run(bare(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])))
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--sites", default="100,500,2000", help="sizes of the fleet (default: %(default)s)")
        parser.add_argument(
            "--sessions", type=int, default=1000, help="connections at the same time (default: %(default)s)"
        )
        parser.add_argument("--latency-only", action="store_true", help="leave out the rows without latency")
        parser.add_argument("--no-due", action="store_true", help="leave out the due query")
        parser.add_argument("--parser-only", action="store_true", help="measure only how fast scripts are parsed")
        parser.add_argument("--api-only", action="store_true", help="measure only the HTTP API")
        parser.add_argument("--board", action="store_true", help="measure only the launch board and the API")
        options = parser.parse_args()
        if options.board:
            import bench_board

            asyncio.run(bench_board.main())
            sys.exit()
        if options.api_only:
            import bench_api

            async def api() -> None:
                async for row in bench_api.rows(10_000, 100):
                    print(row, flush=True)

            asyncio.run(api())
            sys.exit()
        import bench_parser  # not at the top: the bare loop must not pay for it

        for row in bench_parser.rows():
            print(row, flush=True)
        if options.parser_only:
            sys.exit()
        latencies = (True,) if options.latency_only else (False, True)
        sizes = [int(n) for n in options.sites.split(",")]
        asyncio.run(main(sizes, options.sessions, latencies=latencies, due=not options.no_due))
