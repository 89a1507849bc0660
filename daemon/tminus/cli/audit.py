"""`tminus audit`: whether the trail of what people did is whole, and the trail itself for whoever keeps it elsewhere."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from tminus.cli import screen
from tminus.cli.common import Context, as_json_option, asynchronous, print_json
from tminus.errors import TminusError, UsageError

if TYPE_CHECKING:
    from tminus.store.audit import Head


@click.group()
def audit() -> None:
    """The audit trail: who did what, when and from where, in a chain that shows every change."""


@audit.command()
@click.option(
    "--head", "heads", multiple=True, metavar="SEAL:HASH", help="A seal that you kept elsewhere; repeat it for more."
)
@as_json_option
@asynchronous
async def verify(context: Context, *, heads: tuple[str, ...], as_json: bool) -> None:
    """Find any edit, deletion or reordering of what was sealed.

    Compares with the seals that the daemon of this host remembers in state_dir, where that can be read, and with those given.
    """
    from tminus.domain.audit import Verification
    from tminus.store.audit import seals
    from tminus.store.pool import statement

    settings = context.settings
    known = [*_remembered(context), *map(_parse_head, heads)]
    kept_since = datetime.now(UTC) - timedelta(days=settings.events_days) if settings.events_days else None
    verification = Verification(kept_since=kept_since, heads={head.seq: head.hash for head in known})
    broken: str | None = None
    async with (
        context.connect() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        async for seal in seals(connection):
            broken = verification.why_broken(seal)
            if broken is not None:
                break
        broken = broken or verification.why_too_short()
        beside = await connection.fetchrow(statement("unsealed_events"))
    assert beside is not None  # noqa: S101 - a select without FROM has one row
    if broken is None and beside["gone"]:
        broken = f"{screen.plural(beside['gone'], 'event')} that waited for a seal {'is' if beside['gone'] == 1 else 'are'} gone"
    if broken is None and beside["never"]:
        broken = (
            f"{screen.plural(beside['never'], 'event')} went past the chain: written with the triggers switched off"
        )
    if broken is not None:
        raise TminusError(f"the audit trail is broken: {broken}; find out who changed it, and compare with an export")
    if as_json:
        print_json(
            {
                "ok": True,
                "seal": verification.seq,
                "hash": verification.hash,
                "forgotten": verification.forgotten,
                "waiting": beside["waiting"],
                "compared_with": len(known),
            }
        )
        return
    click.echo(
        f"whole: {screen.plural(verification.seq, 'seal')}, the latest {verification.seq}:{verification.hash or '-'};"
        f" {verification.forgotten} forgotten after events_days, {beside['waiting']} not sealed yet,"
        f" compared with {screen.plural(len(known), 'seal')} kept outside of the database"
    )


@audit.command()
@click.option(
    "--after", default=0, type=click.IntRange(min=0), metavar="SEAL", help="Only what was sealed after this one."
)
@asynchronous
async def export(context: Context, *, after: int) -> None:
    """Print each sealed act as a line of JSON, with all that its hashes are made of."""
    from tminus.store.audit import seals

    async with (
        context.connect() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        async for seal in seals(connection, after=after):
            act = seal.act
            print_json(
                {
                    "seal": seal.seq,
                    "hash": seal.hash,
                    "event_hash": seal.event_hash,
                    "sealed_at": seal.sealed_at,
                    "id": seal.event_id,
                    **(
                        {"gone": True}
                        if act is None
                        else {
                            "at": act.at,
                            "kind": act.kind,
                            "principal": act.principal,
                            "session": act.session,
                            "source": act.source,
                            "script_id": act.script_id,
                            "launch_id": act.launch_id,
                            "site_id": act.site_id,
                            "detail": json.loads(act.detail),
                            "detail_text": act.detail,
                        }
                    ),
                }
            )


def _remembered(context: Context) -> list[Head]:
    from tminus.errors import ConfigError
    from tminus.store.audit import remembered_heads

    try:
        return remembered_heads(context.settings.state_dir)
    except (ConfigError, PermissionError) as error:
        click.echo(f"not compared with what this host remembers: {error}", err=True)
        return []


def _parse_head(text: str) -> Head:
    from tminus.store.audit import Head

    seq, _, value = text.partition(":")
    if not seq.isascii() or not seq.isdigit() or len(value) != 64:
        raise UsageError(f"--head {text!r} is not SEAL:HASH, as 'tminus audit verify' prints it")
    return Head(seq=int(seq), hash=value)


COMMANDS = (audit,)
