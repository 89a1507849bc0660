"""/metrics, /healthz and /readyz on one listener, on loopback unless configured otherwise.

/healthz: the process goes round. /readyz: it can do its work, which includes the database; 503 with the reason else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.aiohttp import make_aiohttp_handler

from tminus.errors import ConfigError

_LAST_ANSWERS = 2.0  # seconds that an end waits for answers under way: a scraper that hangs must not keep the process


@asynccontextmanager
async def serve_probes(
    address: tuple[str, int],
    registry: CollectorRegistry,
    *,
    why_not_ready: Callable[[], str | None],
    refresh: Callable[[], Awaitable[None]],
) -> AsyncIterator[tuple[str, int]]:
    """Listen until the block ends; yields the address that is listened on. ConfigError if it is taken."""
    expose = make_aiohttp_handler(registry=registry)

    async def metrics(request: web.Request) -> web.StreamResponse:
        await refresh()
        response: web.StreamResponse = await expose(request)
        return response

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        reason = why_not_ready()
        return web.Response(text="ready\n") if reason is None else web.Response(text=f"{reason}\n", status=503)

    application = web.Application(client_max_size=16 * 1024)
    application.router.add_get("/metrics", metrics)
    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", readyz)
    runner = web.AppRunner(
        application, access_log=None, keepalive_timeout=30, handle_signals=False, shutdown_timeout=_LAST_ANSWERS
    )
    await runner.setup()
    try:
        host, port = address
        try:
            site = web.TCPSite(runner, host, port)
            await site.start()
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host}:{port}: {error.strerror or error}; set http_listen to a free address"
            ) from error
        bound = runner.addresses[0]
        yield str(bound[0]), int(bound[1])
    finally:
        await runner.cleanup()
