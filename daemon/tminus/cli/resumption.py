"""Go on after a restore of the database: what is lost is shown, and signed for where daemons ask for that."""

from __future__ import annotations

import sys
from collections.abc import Sized
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tminus.cli import screen
from tminus.cli.common import Context, as_person, asynchronous
from tminus.cli.signing import check_signing, expiry, sign_statement, signer, with_signature
from tminus.errors import TminusError

if TYPE_CHECKING:
    import asyncpg

    from tminus.domain.resumption import Resumption


def told_of_hold(row: asyncpg.Record) -> str:
    """Say of one host that holds itself back, and why what was signed does not count there."""
    daemon = f"The host of {screen.visible(row['name'])}" + (" (which does not live now)" if row["silent"] else "")
    lost = screen.plural(row["starts"], "start")
    why = f" So far {screen.visible(row['why'])}." if row["why"] is not None else ""
    return (
        f"{daemon} starts nothing since {screen.moment(row['since'])}: it remembers {lost} that this database lost,"
        f" and waits for an approver's signature: 'tminus resume --note WHY --sign KEY'.{why}"
    )


def what_is_lost(starts: Sized, acts: Sized) -> str:
    """Say what a database that was set back does not know; the end of a sentence."""
    of_acts = "what people did last (cancelled, withdrew or edited, perhaps)"
    parts = ("scripts that were started", of_acts)
    return ", and of ".join(part for part, lost in zip(parts, (starts, acts), strict=True) if len(lost))


@click.command()
@click.option("--note", metavar="TEXT", required=True, help="What was restored, and what you did about it.")
@click.option("--yes", is_flag=True, help="Do not ask on a terminal.")
@with_signature
@as_person
@asynchronous
async def resume(
    context: Context, *, note: str, yes: bool, key: Path | None, lasts: timedelta | None, person: str | None
) -> None:
    """Let launches start again after the database went back in time.

    Scheduled scripts that are authorized and due, and site runs that wait, start at once: cancel before what ran already, or was
    cancelled or withdrawn.
    Hosts whose daemons ask for signatures go on when an approver has signed (--sign).
    """
    from tminus.store.pool import statement

    check_signing(key, lasts, yes=yes)
    async with context.connect() as connection:
        lost = await connection.fetch(statement("held_starts"))
        acts = await connection.fetch(statement("lost_acts"))
        holds = await connection.fetch(statement("open_holds"))
    for row in acts:
        click.echo(
            f"What people did up to seal {row['seal']} of the audit trail is not all in this database, says a daemon's host;"
            " a cancel, a withdrawal or an edit may be gone. 'audit_sealed' in its log says when that was."
        )
    for row in lost:
        click.echo(
            f"Started on {screen.visible(row['site_id'])} at {screen.moment(row['started_at'])}, launch {row['launch_id']};"
            " this database does not know of it."
        )
    for hold in holds:
        click.echo(told_of_hold(hold))
    if (
        (lost or acts or holds)
        and not yes
        and sys.stdin.isatty()
        and not click.confirm("Has everything been cancelled that must not run, or not a second time?")
    ):
        raise TminusError("the launches are still paused")
    seen = len(lost) + len(acts)
    signature, expires, digest = None, None, None
    if key is not None:
        expires = expiry(lasts)
        stated = _resumption(holds, lost, approver=await signer(context, person), expires=expires)
        signature, digest = await sign_statement(stated, key), stated.digest()
    async with context.connect() as connection:
        count = await connection.fetchval(statement("resume"), note, person, seen, signature, expires, digest)
    gone = f", and {screen.plural(len(acts), 'lost act')}" if acts else ""
    click.echo(f"resumed; {screen.plural(count, 'lost start')} accepted{gone}")


def _resumption(
    holds: list[asyncpg.Record], lost: list[asyncpg.Record], *, approver: str, expires: datetime
) -> Resumption:
    """What was shown, as it is signed."""
    from tminus.domain.resumption import RememberedStart, Resumption

    return Resumption(
        holds=frozenset(hold["id"] for hold in holds),
        starts=frozenset(
            RememberedStart(nonce=row["nonce"], launch=row["launch_id"], site=row["site_id"], at=row["started_at"])
            for row in lost
        ),
        approver=approver,
        expires=expires,
    )


COMMANDS = (resume,)
