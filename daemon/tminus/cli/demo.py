"""The demonstration: a simulated fleet, an embedded database, a real daemon, and one launch from INSERT to progress."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tminus.cli.common import Context, asynchronous
from tminus.errors import TminusError

if TYPE_CHECKING:
    import asyncpg

    from tminus.simulator import Fleet

_SCRIPT = """\
# Block a list of addresses at the edge.
/ip firewall address-list add list=blacklist address=203.0.113.0/24 comment="demo"
/ip firewall filter add chain=input action=drop src-address-list=blacklist comment="demo"
:if ([/system identity get name] = "sim-0007") do={ :error "this router says no" }
:put "blacklist in force"
"""
_PATIENCE = 180  # seconds
_FAULTS = "offline=2,export-error=1,refuses-login=1,drops-after-script=1,upload-late=1"


@click.command()
@click.option("--sites", default=25, show_default=True, help="How many simulated routers.")
@click.option("--keep", is_flag=True, help="Keep the folder with the database, the logs and the journal.")
@asynchronous
async def demo(_: Context, sites: int, keep: bool) -> None:
    """Launch a script on a simulated fleet, and compare what the database says with what the routers did."""
    from tminus.simulator import FleetSpec, parse_faults, simulate

    folder = Path(tempfile.mkdtemp(prefix="tminus-demo-"))
    folder.chmod(0o711)  # as root the database runs as another user
    faults = parse_faults(_FAULTS) if sites >= 10 else {}
    spec = FleetSpec(
        sites=sites,
        faults=faults,
        versions=("7.20.8", "7.16.2", "7.12.2", "6.49.10"),
        journal=folder / "journal.jsonl",
        key_dir=folder,
    )
    try:
        async with simulate(spec) as fleet:
            _say(f"{sites} simulated routers listen on {spec.base} and up; faults: {_FAULTS if faults else 'none'}")
            agrees = await _run(folder, fleet)
    finally:
        if keep:
            _say(f"kept: {folder}")
        else:
            import shutil

            shutil.rmtree(folder, ignore_errors=True)
    if not agrees:
        raise TminusError("the database and the routers' journal disagree; run again with --keep and look at both")


async def _run(folder: Path, fleet: Fleet) -> bool:
    from tminus.cli.common import Context as Settings

    config = folder / "tminus.toml"
    config.write_text(
        f'state_dir = "{folder / "state"}"\nhttp_listen = "127.0.0.1:0"\nlog_format = "json"\npoll_interval = 0.5\n'
        '[credentials.default]\nusername = "tminus"\nprivate_key_file = "'
        f'{fleet.key_file.name if fleet.key_file else ""}"\n'
    )
    context = Settings(str(config))
    # This process holds the database, so that it outlives the daemon; the daemon attaches to it.
    async with context.connect() as connection, _daemon(config, folder / "serve.log"):
        _say("PostgreSQL and the daemon run; this is what any tool does with plain SQL:")
        await connection.execute(fleet.inventory_sql(None))
        insert = (
            "insert into tminus.scheduled_scripts (created_by, description, script, sites, abort_if_offline, launch_at)\n"
            "select 'alice', 'Block a blacklist', $1, array_agg(id order by id), true, now() + interval '3 seconds'\n"
            "from tminus.sites\nreturning id"
        )
        click.echo(_indent(insert))
        script_id = await connection.fetchval(insert, _SCRIPT)
        authorize = "select tminus.authorize($1, tminus.digest($1), 'bob')"
        click.echo(_indent(authorize))
        await connection.fetchval(authorize, script_id)
        shown = await _watch(connection, script_id)
        return await _compare(connection, script_id, shown, fleet)


@asynccontextmanager
async def _daemon(config: Path, log: Path) -> AsyncIterator[None]:
    with log.open("ab") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tminus", "--config", str(config), "serve", stderr=stderr
        )
    try:
        async with asyncio.timeout(30):
            while b'"event": "ready"' not in log.read_bytes():
                if process.returncode is not None:
                    raise TminusError(f"the daemon ended: {log.read_text()[-500:]}")
                await asyncio.sleep(0.1)
        yield
        process.send_signal(signal.SIGTERM)
        if await asyncio.wait_for(process.wait(), 60) != 0:
            raise TminusError(f"the daemon did not stop cleanly: {log.read_text()[-500:]}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


async def _watch(connection: asyncpg.Connection, script_id: object) -> dict[str, Any]:
    """Say how it goes, whenever that changes, until it is finished."""
    last: tuple[object, ...] = ()
    until = asyncio.get_running_loop().time() + _PATIENCE
    while True:
        shown: dict[str, Any] = json.loads(await connection.fetchval("select tminus.scheduled_script($1)", script_id))
        counts = {name: len(sites) for name, sites in shown["progress"].items()}
        now = (shown["status"], *counts.values())
        if now != last:
            _say(f"{shown['status']}, {shown['t_minus']}: " + ", ".join(f"{n} {name}" for name, n in counts.items()))
            last = now
        if shown["finished_at"]:
            return shown
        if asyncio.get_running_loop().time() > until:
            raise TminusError(
                f"the launch was not finished within {_PATIENCE} s; run again with --keep and look at serve.log"
            )
        await asyncio.sleep(0.25)


async def _compare(connection: asyncpg.Connection, script_id: object, shown: dict[str, Any], fleet: Fleet) -> bool:
    """Print what became of each site, and check it against what the simulated routers really executed."""
    from tminus.simulator import Kind

    rows = await connection.fetch(
        "select r.* from tminus.site_runs r join tminus.launches l on l.id = r.launch_id where l.script_id = $1 order by r.position",
        script_id,
    )
    agrees = len(rows) == len(fleet.sites)
    for row in rows:
        site = row["site_id"]
        outcomes = [event.facts["outcome"] for event in fleet.journal.events(site, Kind.IMPORT_FINISHED)]
        starts = len(fleet.journal.starts(site))
        truth = (
            "ran to its end"
            if outcomes == ["ok"]
            else "failed"
            if outcomes
            else "interrupted"
            if starts
            else "untouched"
        )
        allowed = {
            "completed": {"ran to its end"},
            "failed": {"untouched"} if row["effect"] == "none" else {"failed"},
            "skipped": {"untouched"},
            "unknown": {"ran to its end", "failed", "interrupted", "untouched"},
        }
        same = truth in allowed[row["state"]] and starts <= 1 and not fleet.files(site)
        agrees = agrees and same
        reason = f" ({row['reason']})" if row["reason"] else ""
        ending = f"{row['state']}{reason}"
        click.echo(f"    {site}  {ending:<28} journal: {truth:<15} {'agrees' if same else 'DISAGREES'}")
    completed = [site.id for site in fleet.sites if _completed(fleet, site.id)]
    agrees = agrees and set(shown["progress"]["completed"]) == set(completed)
    done, failed = len(shown["progress"]["completed"]), len(shown["progress"]["failed"])
    _say(
        f"progress: {done} completed, {failed} failed, {len(shown['progress']['pending'])} pending; "
        f"the journal has {len(completed)} scripts that ran to their end: {'they agree' if agrees else 'THEY DISAGREE'}"
    )
    return agrees


def _completed(fleet: Fleet, site: str) -> bool:
    from tminus.simulator import Kind

    return [event.facts["outcome"] for event in fleet.journal.events(site, Kind.IMPORT_FINISHED)] == ["ok"]


def _say(text: str) -> None:
    click.echo(f"demo: {text}")


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


COMMANDS = (demo,)
