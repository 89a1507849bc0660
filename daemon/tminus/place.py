"""Where the database is: at `database_url`, or embedded in the state directory.

Apart from `app`, so that a command that only talks to the database does not load the daemon.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tminus.settings import Settings
from tminus.store.embedded import EmbeddedServer
from tminus.store.migrate import migrate


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the database is; `server` is the embedded one, if it is that."""

    dsn: str
    server: EmbeddedServer | None = None

    async def make_ready(self) -> None:
        """Bring an embedded server that was started here to this program's schema.

        One that another process runs is left alone: that process may be a daemon of another version.
        """
        if self.server is not None and self.server.started_here:
            await migrate(self.server.dsn)


@asynccontextmanager
async def database_of(settings: Settings, *, role: str | None = None) -> AsyncIterator[Place]:
    """Yield the place of `database_url`, else of the embedded server, which is started, or attached to, for the time being.

    `role` is whom to be in the embedded server; a `database_url` names its own login.
    """
    if settings.database_url is not None:
        yield Place(dsn=settings.database_url.get_secret_value())
        return
    async with EmbeddedServer(
        settings.state_dir, run_as=settings.embedded_user, socket_group=settings.embedded_socket_group
    ) as server:
        yield Place(dsn=server.dsn if role is None else server.dsn_as(role), server=server)
