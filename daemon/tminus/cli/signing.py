"""Signs statements with an SSH key: what is signed is put together here, from what was shown, and never taken from the database."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tminus.cli import screen
from tminus.cli.common import Context
from tminus.cli.inputs import Duration
from tminus.errors import UsageError

if TYPE_CHECKING:
    from tminus.domain.authorization import Statement
    from tminus.domain.resumption import Resumption

_LASTS = timedelta(hours=24)  # what is signed for one launch, unless the signer says otherwise

_key = click.option(
    "--sign",
    "key",
    metavar="KEY",
    type=click.Path(path_type=Path),
    help="Sign it with this SSH key (its .pub: agent or hardware), where daemons ask for that.",
)
_lasts = click.option(
    "--expires",
    "lasts",
    type=Duration(),
    metavar="DURATION",
    default=None,
    help="With --sign: it counts for so long from now (24h).",
)


def with_signature(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of an act that is signed for one launch: `key` and `lasts`."""
    return _key(_lasts(command))


def check_signing(key: Path | None, lasts: timedelta | None, *, yes: bool) -> None:
    """Raise UsageError where nothing could be shown that is signed, or there is nothing to sign."""
    if key is None and lasts is not None:
        raise UsageError("--expires goes with --sign")
    if key is not None and not yes and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("there is no terminal to show what would be run; look at it there, or say --yes")


def expiry(lasts: timedelta | None) -> datetime:
    return (datetime.now(UTC) + (lasts or _LASTS)).replace(microsecond=0)


async def signer(context: Context, person: str | None) -> str:
    """Return who signs. The database is asked only who the caller is."""
    if person is not None:
        return person
    async with context.connect() as connection:
        return str(await connection.fetchval("select session_user"))


async def sign_statement(stated: Statement | Resumption, key: Path) -> str:
    """Show what is signed, and sign it."""
    from tminus.domain.authorization import NAMESPACE
    from tminus.signatures import sign as ssh_sign

    try:
        text = stated.text()
    except ValueError as error:
        raise UsageError(f"{error}; it cannot be signed") from error
    click.echo(_shown(text), err=True, nl=False)
    return await ssh_sign(text, key, namespace=NAMESPACE)


def _shown(text: bytes) -> str:
    return "".join(f"  {screen.visible(line)}\n" for line in text.decode().rstrip("\n").split("\n"))
