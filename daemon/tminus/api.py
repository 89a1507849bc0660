"""The HTTP API as it is wired: its own login of the database, what proves tokens, its listener.

Apart from `app`: it runs as a process of its own (`tminus api`), or in the daemon's (`tminus serve --api`).
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from tminus.errors import ConfigError
from tminus.ops import systemd
from tminus.place import Place, database_of
from tminus.settings import Settings
from tminus.store.inspection import inspect
from tminus.store.migrate import check_schema_of, ensure_login
from tminus.store.pool import open_database
from tminus.web.app import Limits, make_application, refusal
from tminus.web.jwks import LARGEST, PublishedKeys
from tminus.web.key_file import KeyFile
from tminus.web.listener import listen_http
from tminus.web.tokens import Checker, Key, KeySource, parse_jwks, read_secret, secret_key

EMBEDDED_LOGIN = "tminus_api"
"""Whom the API is in an embedded server."""

log = structlog.get_logger()


async def serve_api(settings: Settings, *, base: Path) -> None:
    """Run the API until SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with database_of(settings) as place:
        await place.make_ready()
        async with open_api(settings, place, base=base, beside_daemon=False):
            systemd.notify("READY=1")
            # That this is fed at all shows that the loop goes round. Without the database it answers so, and goes on.
            feeding = asyncio.create_task(systemd.feed_watchdog(lambda: True))
            try:
                await stop.wait()
            finally:
                feeding.cancel()
            systemd.notify("STOPPING=1")
    log.info("api_stopped")


@asynccontextmanager
async def open_api(settings: Settings, place: Place, *, base: Path, beside_daemon: bool) -> AsyncIterator[None]:
    """Listen until the block ends. Raises ConfigError, or what the database says."""
    checker = Checker(issuer=settings.api_issuer, audience=settings.api_audience, source=key_source(settings, base))
    dsn = await _login(settings, place, beside_daemon=beside_daemon)
    await check_schema_of(dsn)
    await _check_gateway(dsn)
    limits = Limits(
        requests_per_minute=settings.api_requests_per_minute,
        at_once=max(settings.api_connections // 2, 1),
        body=settings.api_body_limit,
    )
    async with open_database(dsn, size=settings.api_connections, application="tminus api") as db:
        application = make_application(
            db, checker, limits, public_url=settings.api_public_url or "", board=settings.board, dsn=dsn
        )
        async with listen_http(
            settings.api_address, application, setting="api_listen", refuse=refusal(settings.api_public_url or "")
        ) as bound:
            log.info("api_ready", listening=f"{bound[0]}:{bound[1]}", pid=os.getpid())
            yield


def key_source(settings: Settings, base: Path) -> KeySource:
    """Return what proves tokens. Raises ConfigError unless exactly one source is configured."""
    match settings.api_jwks_url, settings.api_jwks_file, settings.api_secret_file:
        case str() as url, None, None:
            return PublishedKeys(url)
        case None, Path() as file, None:
            return KeyFile(located(file, base), keys_of)
        case None, None, Path() as file:
            return KeyFile(located(file, base), lambda secret: (secret_key(read_secret(secret)),))
        case _:
            raise ConfigError(
                "the API needs what proves its tokens: set one of api_jwks_url, api_jwks_file and api_secret_file"
            )


def located(file: Path, base: Path) -> Path:
    """Return where a relative file is: in systemd's credentials directory if it is there, else beside the configuration."""
    if given := os.environ.get("CREDENTIALS_DIRECTORY"):
        there = Path(given) / file
        if there.exists():
            return there
    return base / file


def keys_of(file: Path) -> tuple[Key, ...]:
    try:
        if file.stat().st_size > LARGEST:
            raise ConfigError(f"{file} (api_jwks_file) is larger than any JWK set")
        return parse_jwks(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"{file} (api_jwks_file) cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{file} (api_jwks_file): {error}") from error


async def _login(settings: Settings, place: Place, *, beside_daemon: bool) -> str:
    if settings.api_database_url is not None:
        return settings.api_database_url.get_secret_value()
    if place.server is not None:
        await ensure_login(place.server.dsn, EMBEDDED_LOGIN, member_of="tminus_gateway")
        return place.server.dsn_as(EMBEDDED_LOGIN)
    if beside_daemon:
        raise ConfigError(
            "the login of the daemon must not act for people: set api_database_url, with a login that is a tminus_gateway"
        )
    return place.dsn


async def _check_gateway(dsn: str) -> None:
    async with inspect(dsn) as inspection:
        login = await inspection.login()
        server = await inspection.server()
    if "tminus_gateway" not in (login.roles or ()):
        raise ConfigError(
            f"the login {server.login} is no tminus_gateway, so the API could act for nobody: grant tminus_gateway to it"
        )
