"""Commands that are processes: the daemon, the migration, a shell on the database, the simulated fleet."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path

import click

from tminus.cli.common import Context, asynchronous
from tminus.errors import TminusError, UsageError


@click.command()
@click.option("--api", "with_api", is_flag=True, help="Serve the HTTP API, too.")
@click.pass_obj
def serve(context: Context, *, with_api: bool) -> None:
    """Run the daemon until SIGTERM, which drains it."""
    import structlog

    from tminus.app import serve as run
    from tminus.ops.logging import configure_logging
    from tminus.ops.memory import collect_seldom
    from tminus.settings import credentials_base

    settings = context.settings
    configure_logging(level=settings.log_level, form=settings.log_format)
    try:
        base = credentials_base(context.config_file)
        collect_seldom()
        code = asyncio.run(run(settings, credentials_base=base, with_api=with_api))
    except TminusError:
        raise
    except Exception:  # noqa: BLE001 - told in full, and the process ends
        # An event like all others: a bare traceback is lost on who reads the log as JSON.
        structlog.get_logger().critical(
            "daemon_broke",
            exc_info=True,
            todo="a bug of the daemon; systemd starts it again, and what it ran is resolved; report it with this traceback",
        )
        code = TminusError.exit_code
    sys.exit(code)


@click.command()
@asynchronous
async def migrate(context: Context) -> None:
    """Bring the database to this program's schema."""
    from tminus.place import database_of
    from tminus.store.migrate import migrate as apply

    async with database_of(context.settings) as place:
        applied = await apply(place.dsn)
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("The database is up to date.")


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--as", "role", metavar="ROLE", help="Whom to be in the embedded database (its owner, unless given).")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@asynchronous
async def psql(context: Context, role: str | None, arguments: tuple[str, ...]) -> None:
    """Open psql on the database, as it is; ARGUMENTS go to psql."""
    from tminus.place import database_of
    from tminus.store.embedded import psql as shipped

    if context.settings.database_url is not None and role is not None:
        raise UsageError("--as is for the embedded database; database_url names its own login")
    async with database_of(context.settings, role=role) as place:
        process = await asyncio.create_subprocess_exec(
            shipped(),
            *arguments,
            env={**os.environ, "PGDATABASE": "", "PGAPPNAME": "tminus psql"} | _connection(place.dsn),
        )
        code = await process.wait()
    sys.exit(code)


def _connection(dsn: str) -> dict[str, str]:
    """libpq's variables instead of an argument: a URL may hold a password, and arguments are seen by everyone."""
    from urllib.parse import parse_qsl, unquote, urlsplit

    parts = urlsplit(dsn)
    names = {
        "host": "PGHOST",
        "port": "PGPORT",
        "user": "PGUSER",
        "password": "PGPASSWORD",
        "dbname": "PGDATABASE",
        "sslmode": "PGSSLMODE",
    }
    found = {
        "PGHOST": parts.hostname,
        "PGPORT": str(parts.port) if parts.port else None,
        "PGUSER": unquote(parts.username) if parts.username else None,
        "PGPASSWORD": unquote(parts.password) if parts.password else None,
        "PGDATABASE": unquote(parts.path.lstrip("/")) or None,
    }
    found |= {names[key]: value for key, value in parse_qsl(parts.query) if key in names}
    return {key: value for key, value in found.items() if value}


class _WithSwitches(click.Command):
    """Lists the faults, the switches and the set-ups below the options."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        from tminus.simulator import DEFAULT, ORDINARY, Fault, options

        with formatter.section("Faults (--faults)"):
            formatter.write_text(", ".join(Fault))
        for title, known in (("Switches (--switch)", DEFAULT), ("Set-ups (--setup)", ORDINARY)):
            rows = [(f"{it.name}={it.default}", f"{it.meaning} [{it.values}]") for it in options.documented(known)]
            with formatter.section(title):
                formatter.write_dl(rows, col_max=34)


@click.command(cls=_WithSwitches)
@click.option("--sites", default=25, show_default=True, help="How many routers.")
@click.option(
    "--faults", default="", metavar="KIND=N,…", help="Give that many sites a fault, for example offline=3,slow=2."
)
@click.option(
    "--version",
    "versions",
    multiple=True,
    metavar="V",
    help="RouterOS version; several are given to the sites in turn.",
)
@click.option(
    "--profile",
    type=click.Choice(["default", "worst"]),
    default="default",
    show_default=True,
    help="How the routers answer what nobody knows of RouterOS.",
)
@click.option(
    "--switch", "switches", multiple=True, metavar="NAME=VALUE", help="Answer one of these questions differently."
)
@click.option(
    "--setup", "setups", multiple=True, metavar="NAME=VALUE", help="What the devices are, and how they are set up."
)
@click.option(
    "--fleet",
    "fleet_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A TOML file with the sites one by one, instead of --sites and --faults.",
)
@click.option("--latency-ms", default=0.0, help="A round trip.")
@click.option("--export-kb", default=0, help="Size of each export; 0: as a branch office has.")
@click.option("--export-ms", default=0.0, help="How long an export takes.")
@click.option("--script-ms", default=0.0, help="How long any script takes at least.")
@click.option("--seed", default=0, help="Which sites get which fault.")
@click.option(
    "--base", default="127.44.0.1", show_default=True, help="Address of the first site; the next has the next one."
)
@click.option("--port", default=0, help="SSH port of all sites; 0 takes a free one.")
@click.option("--key-dir", type=click.Path(path_type=Path), help="Where the key pair that may log in is written.")
@click.option("--journal", type=click.Path(path_type=Path), help="Write what was really executed, as JSON lines.")
@click.option(
    "--inventory", type=click.Path(path_type=Path), help="Write the inventory as SQL here instead of to stdout."
)
@click.option("--credential", help="Name of the credential that the inventory gives to its sites.")
@asynchronous
async def simulate(
    _: Context,
    sites: int,
    faults: str,
    versions: tuple[str, ...],
    profile: str,
    switches: tuple[str, ...],
    setups: tuple[str, ...],
    fleet_file: Path | None,
    latency_ms: float,
    export_kb: int,
    export_ms: float,
    script_ms: float,
    seed: int,
    base: str,
    port: int,
    key_dir: Path | None,
    journal: Path | None,
    inventory: Path | None,
    credential: str | None,
) -> None:
    """Run a simulated fleet until Ctrl-C, and print its inventory as SQL that loads with psql."""
    from tminus.ops.memory import collect_seldom
    from tminus.simulator import ORDINARY, PROFILES, FleetSpec, options, parse_faults, read_fleet
    from tminus.simulator import simulate as run

    behaviour = options.changed(PROFILES[profile], options.pairs(switches))
    setup = options.changed(ORDINARY, options.pairs(setups))
    spec = FleetSpec(
        behaviour=behaviour,
        setup=setup,
        sites=sites,
        faults=parse_faults(faults),
        latency_ms=latency_ms,
        export_kb=export_kb,
        export_ms=export_ms,
        script_ms=script_ms,
        seed=seed,
        base=base,
        port=port,
        key_dir=key_dir,
        journal=journal,
    )
    if versions:
        spec = replace(spec, versions=versions)
    if fleet_file is not None:
        if faults:
            raise click.UsageError("--fleet says which site has which fault; leave --faults out")
        spec = replace(
            spec, site_specs=read_fleet(fleet_file, version=spec.versions[0], behaviour=behaviour, setup=setup)
        )
    async with run(spec) as fleet:
        text = fleet.inventory_sql(credential)
        if inventory is not None:
            partial = inventory.with_name(inventory.name + ".part")
            partial.write_text(text)
            partial.replace(inventory)  # whoever waits for the file finds it whole
        else:
            click.echo(text)
        collect_seldom()
        click.echo(
            f"{len(fleet.sites)} routers listen; key {fleet.key_file or '(none written; give --key-dir)'}", err=True
        )
        await asyncio.Event().wait()


COMMANDS = (serve, migrate, psql, simulate)
