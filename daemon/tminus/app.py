"""What `tminus serve` opens, from the outermost to the innermost: the ways to routers and people, the database, the daemon in it."""

from __future__ import annotations

import resource
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tminus.assembly import Parts
from tminus.configured import load_credentials, load_jump_hosts, load_mail, load_signers, load_webhooks
from tminus.device.connector import Connector
from tminus.device.jump_hosts import Gate
from tminus.device.target import Limits
from tminus.errors import ConfigError
from tminus.lifecycle import Lifecycle
from tminus.place import database_of
from tminus.services.contact import Contact
from tminus.services.holdings import Holdings
from tminus.services.notifier import Lane
from tminus.settings import Settings
from tminus.signatures import Signers
from tminus.store.audit import TrailMemory
from tminus.store.history import History
from tminus.store.hold_log import HoldLog
from tminus.store.instances import session_name
from tminus.store.intent_log import IntentLog
from tminus.store.migrate import check_schema_of, ensure_login, migrate
from tminus.store.pool import open_database
from tminus.store.state_dir import alone_in
from tminus.store.writer import LANES

EMBEDDED_LOGIN = "tminus_serve"
"""Whom the daemon is in an embedded server: a login that can neither author nor approve."""

_OTHER_FILES = 200
"""Open files beside those of the sessions: the database, the listener, the logs."""


@asynccontextmanager
async def open_contact(settings: Settings, credentials_base: Path) -> AsyncIterator[Contact]:
    """Yield all that it takes to reach sites from here. Raises ConfigError."""
    credentials = load_credentials(settings, credentials_base)
    jump_hosts = load_jump_hosts(settings, credentials_base, credentials)
    connector = _connector(settings)
    gates = {host.name: Gate(host, connector.dial, silence=connector.limits.silence) for host in jump_hosts}
    try:
        yield Contact(connector, credentials, gates=gates, runners=settings.runners)
    finally:
        for gate in gates.values():
            await gate.close()


async def serve(settings: Settings, *, credentials_base: Path, with_api: bool = False) -> int:
    """Run the daemon until it is told to stop; return the exit code."""
    signers = load_signers(settings, credentials_base)
    lanes = _lanes(settings, credentials_base)
    with alone_in(settings.state_dir):
        return await _serve(settings, credentials_base, signers, lanes, with_api=with_api)


async def _serve(
    settings: Settings, credentials_base: Path, signers: Signers | None, lanes: list[Lane], *, with_api: bool
) -> int:
    async with open_contact(settings, credentials_base) as contact:
        _allow_open_files(settings.max_sessions)
        async with database_of(settings, role=EMBEDDED_LOGIN) as place:
            if place.server is not None:
                await migrate(place.server.dsn)
                await ensure_login(place.server.dsn, EMBEDDED_LOGIN, member_of="tminus_daemon")
            await check_schema_of(place.dsn)
            holds = HoldLog(settings.state_dir) if signers is not None else None
            intents = IntentLog(
                settings.state_dir,
                uuid.uuid4(),
                keep_days=settings.intents_days,
                is_held=holds.is_held if holds is not None else lambda: False,
            )
            holdings = Holdings()
            trail = TrailMemory(settings.state_dir)
            history = History(intents, in_hand=holdings.known, holds=holds, trail=trail)
            async with (
                # Each connection is asked first whether this database still knows what we started.
                open_database(
                    place.dsn,
                    size=4,
                    application=session_name(intents.instance),
                    greet=history.compare,
                    idle_within=settings.heartbeat_ttl,  # who is declared dead must not hold its runs for longer
                ) as db,
                # Starts and endings wait for no other duty. A connection for each lane of the writer, so that each plans its
                # few statements once: to plan all on every connection costs more than to run them.
                open_database(
                    place.dsn,
                    size=LANES,
                    ready=LANES,
                    application=session_name(intents.instance, "tminus writer"),
                    greet=history.compare,
                    idle_within=settings.heartbeat_ttl,
                ) as writing,
                # The heartbeat waits for nobody; and who lives on a server has told it what it started.
                open_database(
                    place.dsn,
                    size=1,
                    application=session_name(intents.instance, "tminus heartbeat"),
                    greet=history.compare,
                ) as heart,
                AsyncExitStack() as beside,
            ):
                if with_api:
                    from tminus.api import open_api  # noqa: PLC0415 - without it nothing of the web is loaded

                    await beside.enter_async_context(
                        open_api(settings, place, base=credentials_base, beside_daemon=True)
                    )
                parts = Parts(
                    settings=settings,
                    db=db,
                    writing=writing,
                    heart=heart,
                    contact=contact,
                    intents=intents,
                    history=history,
                    trail=trail,
                    holds=holds,
                    holdings=holdings,
                    signers=signers,
                    lanes=lanes,
                )
                return await Lifecycle(parts, settings, place).run()


def _lanes(settings: Settings, credentials_base: Path) -> list[Lane]:
    """Return the ways to people that are configured here. Raises ConfigError."""
    mail = load_mail(settings, credentials_base)
    lanes = [] if mail is None else [Lane(kind="mail", address=None, channel=mail)]
    webhooks = load_webhooks(settings, credentials_base)
    return [*lanes, *(Lane(kind="webhook", address=hook.name, channel=hook) for hook in webhooks)]


def check_open_files(max_sessions: int) -> tuple[int, int]:
    """Return how many open files a daemon needs for so many sessions, and how many it may have (the hard limit).

    Raises ConfigError where it may not have so many.
    """
    wanted = max_sessions + _OTHER_FILES
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise ConfigError(
            f"max_sessions = {max_sessions} needs {wanted} open files and the limit here is {hard}; lower it, or raise the"
            " limit (LimitNOFILE in the unit)"
        )
    return wanted, hard


def _allow_open_files(max_sessions: int) -> None:
    """Raise our own limit of open files as far as we may. Raises ConfigError if the sessions do not fit."""
    wanted, hard = check_open_files(max_sessions)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _connector(settings: Settings) -> Connector:
    limits = Limits(
        connect_timeout=settings.connect_timeout,
        login_timeout=settings.login_timeout,
        # RouterOS drops what does not fit into the window, so every cap has to lie well below it.
        window=max(2 * settings.export_cap, 16 * 1024 * 1024),
    )
    return Connector(limits=limits, policy=settings.host_key_policy)
