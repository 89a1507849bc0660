"""The socket of the HTTP API, which bears clients that are slow, silent, or too many.

A connection that has no request in hand within PATIENCE is closed: one that never sends its header, and one that does not
take its answer. TLS, and any more elaborate defence, is the reverse proxy's in front of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from tminus.errors import ConfigError

_PATIENCE = 30.0  # seconds
_LAST_ANSWERS = (
    5.0  # seconds that an end waits for answers under way; a client that never reads its own must not keep the process
)
_LOOK_EVERY = 2.0
_MOST_CONNECTIONS = 1000
_KEEP_ALIVE = 20.0
_QUIET: dict[str, Any] = {"access_log": None}
"""aiohttp's own types do not know that there may be no access log."""


class _Connections:
    """When each open connection last had a request in hand; None while it has one."""

    def __init__(self, patience: float, most: int) -> None:
        self._patience = patience
        self._most = most
        self._idle_since: dict[asyncio.BaseTransport, float | None] = {}

    def opened(self, transport: asyncio.BaseTransport) -> bool:
        """Take a connection into account; return False if there are too many."""
        if len(self._idle_since) >= self._most:
            return False
        self._idle_since[transport] = time.monotonic()
        return True

    def closed(self, transport: asyncio.BaseTransport | None) -> None:
        if transport is not None:
            self._idle_since.pop(transport, None)

    @web.middleware
    async def follow(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        transport = request.transport
        if transport in self._idle_since:
            self._idle_since[transport] = None
        try:
            return await handler(request)
        finally:
            if transport in self._idle_since:
                self._idle_since[transport] = time.monotonic()

    async def watch(self) -> None:
        while True:
            await asyncio.sleep(min(_LOOK_EVERY, self._patience / 2))
            late = time.monotonic() - self._patience
            for transport, since in list(self._idle_since.items()):
                if since is not None and since < late and isinstance(transport, asyncio.Transport):
                    transport.abort()


@asynccontextmanager
async def listen_http(
    address: tuple[str, int],
    application: web.Application,
    *,
    setting: str,
    refuse: Callable[[int], web.StreamResponse],
    patience: float = _PATIENCE,
    most: int = _MOST_CONNECTIONS,
) -> AsyncIterator[tuple[str, int]]:
    """Serve an application until the block ends; yields the address. ConfigError, which names `setting`, if it is taken.

    `refuse` makes the answer, with this status, to what never became a request.
    """
    connections = _Connections(patience, most)
    application.middlewares.insert(0, connections.follow)
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=_LAST_ANSWERS)
    await runner.setup()
    server = runner.server
    assert server is not None  # noqa: S101 - set-up makes it
    loop = asyncio.get_running_loop()

    class Connection(RequestHandler):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            if not connections.opened(transport) and isinstance(transport, asyncio.Transport):
                transport.abort()

        def connection_lost(self, exc: BaseException | None) -> None:
            connections.closed(self.transport)
            super().connection_lost(exc)

        def handle_error(
            self,
            request: web.BaseRequest,  # noqa: ARG002 - the signature is aiohttp's
            status: int = 500,
            exc: BaseException | None = None,  # noqa: ARG002
            message: str | None = None,  # noqa: ARG002
        ) -> web.StreamResponse:
            """Answer what is no HTTP. aiohttp would log what arrived, and send it back: it may be a token."""
            response = refuse(status)
            response.force_close()
            return response

    def connect() -> RequestHandler:
        # Nothing is unpacked: a small body could become a large one.
        return Connection(server, loop=loop, keepalive_timeout=_KEEP_ALIVE, auto_decompress=False, **_QUIET)

    host, port = address
    try:
        try:
            listening = await loop.create_server(connect, host, port, reuse_address=True)
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host}:{port}: {error.strerror or error}; set {setting} to a free address"
            ) from error
        watching = asyncio.create_task(connections.watch())
        try:
            bound = listening.sockets[0].getsockname()
            yield str(bound[0]), int(bound[1])
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            listening.close()
    finally:
        await runner.cleanup()
