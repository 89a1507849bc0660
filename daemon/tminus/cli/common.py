"""What the commands share: settings, a connection as the right person, and how things are printed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import click

if TYPE_CHECKING:
    import asyncpg

    from tminus.settings import Settings

P = ParamSpec("P")


class Context:
    """The configuration of this call, read when it is first needed."""

    def __init__(self, config: str | None) -> None:
        self.config_file = Path(config) if config else None
        self._settings: Settings | None = None

    @property
    def settings(self) -> Settings:
        if self._settings is None:
            from tminus.settings import load_settings  # noqa: PLC0415 - commands that need none start faster

            self._settings = load_settings(self.config_file)
        return self._settings

    @asynccontextmanager
    async def connect(self, *, role: str | None = None) -> AsyncIterator[asyncpg.Connection]:
        """Connect to the configured database, with its schema checked. `role` is whom to be in the embedded one."""
        import asyncpg  # noqa: PLC0415

        from tminus.app import database_of  # noqa: PLC0415
        from tminus.store.migrate import check_schema_of  # noqa: PLC0415
        from tminus.store.pool import store_errors  # noqa: PLC0415

        async with database_of(self.settings, role=role) as dsn:
            await check_schema_of(dsn)
            async with store_errors("talk to the database"):
                connection = await asyncpg.connect(dsn, timeout=10, command_timeout=60)
                try:
                    yield connection
                finally:
                    await connection.close(timeout=5)


def asynchronous(
    command: Callable[Concatenate[Context, P], Coroutine[Any, Any, None]],
) -> Callable[P, None]:
    """Make a click callback of a coroutine that takes our Context first."""

    def call(*arguments: P.args, **options: P.kwargs) -> None:
        context = click.get_current_context().find_object(Context)
        assert context is not None  # noqa: S101 - the group always makes one
        asyncio.run(command(context, *arguments, **options))

    return update_wrapper(call, command)


def print_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, default=str))
