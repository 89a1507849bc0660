"""What 'tminus check' looks at in the database, over a connection that can only read. An embedded one is not started."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tminus.cli.check_finding import Finding, Grade, failed, ok, refused, skipped, warning
from tminus.errors import ConfigError, EmbeddedError, SchemaMismatch, StoreError

if TYPE_CHECKING:
    from tminus.settings import Settings
    from tminus.store.inspection import Inspection
    from tminus.store.intent_files import Intent

_CLOCK_WARNS, _CLOCK_FAILS = 1.0, 5.0  # seconds
_HOW_TO_GO_ON = "cancel what ran already and must not run again, then 'tminus resume --note WHY'"

OF_THE_DATABASE = ("database", "login", "schema", "clock", "pause", "fleet")


def _rest(after: str, why: str) -> list[Finding]:
    """The checks of the database after one of them, skipped."""
    return [skipped(check, why) for check in OF_THE_DATABASE[OF_THE_DATABASE.index(after) + 1 :]]


async def database(settings: Settings, last: Intent | None) -> list[Finding]:
    """Each of OF_THE_DATABASE; `last` is the latest start that this host remembers."""
    from tminus.store.inspection import inspect

    try:
        dsn = _dsn(settings)
        if dsn is None:
            said = f"the embedded one in {settings.state_dir} does not run and was not started; the daemon starts it"
            return [skipped("database", said), *_rest("database", "needs the database")]
        async with inspect(dsn) as inspection:
            return await _inspect(settings, inspection, last)
    except (StoreError, EmbeddedError) as error:
        # Any answer that is lost, also in the middle.
        return [refused("database", error), *_rest("database", "needs the database")]


def _dsn(settings: Settings) -> str | None:
    from tminus.app import EMBEDDED_LOGIN
    from tminus.store.embedded import dsn_of_running

    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return dsn_of_running(settings.state_dir, EMBEDDED_LOGIN)


async def _inspect(settings: Settings, inspection: Inspection, last: Intent | None) -> list[Finding]:
    from tminus.store.migrate import check_server_version

    server = await inspection.server()
    try:
        check_server_version(server.major)
    except SchemaMismatch as error:
        return [refused("database", error), *_rest("database", "needs another server")]
    whose = "" if settings.database_url is not None else "embedded "
    reached = f"{whose}PostgreSQL {server.version}, connected as {server.login}"
    if server.standby:
        said = f"{reached}, but it is a standby, where nothing can be written; connect to the primary"
        return [failed("database", said, StoreError), *_rest("database", "needs the primary")]
    found = [ok("database", reached)]
    if not server.durable:
        found = [
            warning("database", f"{reached}; fsync is off: after a crash a script could be started twice; turn it on")
        ]

    login = await _login(inspection, server.login)
    found.append(login)
    if login.grade is Grade.FAILED:
        return found + _rest("login", "needs a login with the rights of a daemon")
    try:
        await inspection.check_schema()
    except StoreError as error:
        return [*found, refused("schema", error), *_rest("schema", "needs this program's schema")]
    found.append(ok("schema", "as this program has it"))
    found += [await _clock(inspection), await _pause(settings, inspection, last), await _fleet(settings, inspection)]
    if settings.test_sites:
        found.append(await _test_sites(settings, inspection))
    return found


async def _login(inspection: Inspection, name: str) -> Finding:
    login = await inspection.login()
    if login.roles is None:
        return skipped("login", "the roles of tminus are not there yet; 'tminus migrate' makes them")
    if login.superuser:
        return warning(
            "login",
            f"{name} is a superuser, whom no grant holds back; use a login of the daemon's own:"
            " create role tminus_serve login in role tminus_daemon",
        )
    if "tminus_daemon" not in login.roles:
        return failed(
            "login", f"{name} has not the rights of tminus_daemon; run 'grant tminus_daemon to {name}'", StoreError
        )
    beyond = sorted(login.roles - {"tminus_daemon", "tminus_reader"})
    if beyond:
        return warning(
            "login",
            f"{name} also is {' and '.join(beyond)}, so who has the daemon could write and approve scripts;"
            f" run 'revoke {', '.join(beyond)} from {name}'",
        )
    return ok("login", f"{name} is a tminus_daemon, and can neither author nor approve")


async def _clock(inspection: Inspection) -> Finding:
    ahead = await inspection.ahead()
    if abs(ahead) <= _CLOCK_WARNS:
        return ok("clock", f"the database's differs from this host's by {abs(ahead):.2f} s")
    said = (
        f"the database's clock, by which scripts are launched, is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'}"
        " this host's; keep both right with NTP"
    )
    return failed("clock", said) if abs(ahead) > _CLOCK_FAILS else warning("clock", said)


async def _pause(settings: Settings, inspection: Inspection, last: Intent | None) -> Finding:
    """Whether anything is started at all: a database that was set back lets nothing run twice."""
    from tminus.store.hold_log import HoldLog

    pause = await inspection.pause(last)
    if settings.authorization.require_signature:
        try:
            hold = HoldLog(settings.state_dir).current
        except ConfigError as error:
            return refused("pause", error)
        if hold is not None:
            lost = "a start" if len(hold.starts) == 1 else f"{len(hold.starts)} starts"
            return warning(
                "pause",
                f"this host starts nothing: it remembers {lost} that the database lost, and waits for an approver's signature;"
                " cancel what ran already and must not run again, then 'tminus resume --note WHY --sign KEY'",
            )
    if pause.lost or pause.lost_acts:
        scripts = "a script that was started" if pause.lost == 1 else f"{pause.lost} scripts that were started"
        gone = [what for what, is_lost in ((scripts, pause.lost), ("what people did last", pause.lost_acts)) if is_lost]
        return warning(
            "pause", f"all is paused, for this database does not know of {', and of '.join(gone)}; {_HOW_TO_GO_ON}"
        )
    if last is not None and not pause.known:
        return warning(
            "pause",
            f"this database was set back: it does not know of the script that was started on {last.site} at"
            f" {last.at.isoformat(sep=' ', timespec='seconds')}; the daemon will start paused; {_HOW_TO_GO_ON}",
        )
    return ok("pause", "nothing is held back")


async def _fleet(settings: Settings, inspection: Inspection) -> Finding:
    """Whether the configuration has what the inventory and the scheduled scripts ask for."""
    fleet = await inspection.fleet(settings.runners)
    absent = [
        f"{count} of {fleet.sites} enabled sites name a {what} that is not configured; add {tables}"
        for what, count, tables in (
            ("credential", *_absent("credentials", fleet.sites_by_credential, settings.credentials)),
            ("jump host", *_absent("jump_hosts", fleet.sites_by_jump_host, settings.jump_hosts)),
        )
        if count
    ]
    if absent:
        return warning("fleet", ". ".join(absent))
    longest = fleet.longest_site_timeout
    if longest is not None and longest > settings.drain_timeout:
        return warning(
            "fleet",
            f"a scheduled script may run {longest:g} s on a site, and a drain waits drain_timeout = {settings.drain_timeout:g}"
            " s; raise it, and TimeoutStopSec in the unit two minutes beyond",
        )
    return ok(
        "fleet", f"{fleet.sites} enabled sites for this daemon, whose credentials and jump hosts are all configured"
    )


async def _test_sites(settings: Settings, inspection: Inspection) -> Finding:
    """Whether tests would run where the configuration names sites for them."""
    unfit = await inspection.test_sites(settings.runners, settings.test_sites)
    if unfit:
        more = f" (and {len(unfit) - 1} more)" if len(unfit) > 1 else ""
        site, why = unfit[0]
        return warning("test sites", f"no test runs on {site}: it {why}{more}; mend it there, or correct test_sites")
    return ok("test sites", f"tests may run on {', '.join(settings.test_sites)}")


def _absent(table: str, asked: Mapping[str, int], has: Mapping[str, object]) -> tuple[int, str]:
    """How many sites ask for what `table` of the configuration does not have, and what is to be added."""
    names = sorted(asked.keys() - has.keys())
    shown = ", ".join(f"[{table}.{name}]" for name in names[:5]) + (" …" if len(names) > 5 else "")
    return sum(asked[name] for name in names), shown
