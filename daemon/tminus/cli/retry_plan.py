"""What an approver is shown before a retry is signed, and the digest of exactly that, computed here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import click

from tminus.cli import screen
from tminus.cli.review import print_facts
from tminus.domain.digest import SitePart, combine, row_digest, site_digest
from tminus.domain.endings import LaunchKind
from tminus.errors import StoreError, UsageError

if TYPE_CHECKING:
    import asyncpg

    from tminus.domain.authorization import Statement
    from tminus.store.launches import LaunchContent

_SITES_SHOWN = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPlan:
    content: LaunchContent
    sites: tuple[SitePart, ...]

    @property
    def digest(self) -> str:
        return combine(row_digest(self.content.row), [(site.id, site_digest(site)) for site in self.sites])

    def statement(self, launch: UUID, *, approver: str, expires: datetime) -> Statement:
        from tminus.domain.authorization import Statement

        authorized = self.content.authorization
        assert authorized is not None  # noqa: S101 - see read_retry
        return Statement(
            act=str(LaunchKind.RETRY),
            launch=launch,
            script=self.content.row.id,
            digest=self.digest,
            sites=len(self.sites),
            author=authorized.author,
            editor=authorized.editor,
            approver=approver,
            expires=expires,
        )


async def read_retry(connection: asyncpg.Connection, launch: UUID, sites: list[str] | None) -> RetryPlan:
    """Read what a retry of `launch` would run and where. UsageError: a site is not as it was authorized."""
    from tminus.store.launches import read_content
    from tminus.store.pool import statement
    from tminus.store.site_runs import read_site

    first = await connection.fetchval(statement("first_launch"), launch)
    row = await connection.fetchrow(statement("launch_content"), first)
    assert row is not None  # noqa: S101 - rows of launches are never deleted
    content = read_content(row)
    authorized = content.authorization
    if authorized is None:
        raise UsageError(f"nobody authorized launch {first}; there is nothing to retry")
    if row_digest(content.row) != authorized.row_digest:
        raise StoreError(
            f"launch {first} is not what was authorized; nothing was signed, and somebody should find out why"
        )
    parts = tuple(
        read_site(each).part_of(content.names, content.variables)
        for each in await connection.fetch(statement("sites_to_retry"), first, sites)
    )
    before = dict(authorized.sites)
    changed = [part.id for part in parts if before.get(part.id) != site_digest(part)]
    if changed:
        raise UsageError(
            f"{', '.join(changed[:5])} {'is' if len(changed) == 1 else 'are'} not as authorized any more (address, credential, key"
            " or a variable was changed), so nothing would be run there; name the other sites with --site, or submit a new script"
        )
    return RetryPlan(content=content, sites=parts)


def show_retry(plan: RetryPlan) -> None:
    """Print all that would be run, and where."""
    content = plan.content
    show_plan(
        ("retry of", f"launch {content.id}, due {screen.moment(content.due_at)}"),
        script=content.row.script,
        sites=plan.sites,
        digest=plan.digest,
    )


def show_plan(title: tuple[str, str], *, script: str, sites: tuple[SitePart, ...], digest: str) -> None:
    lines = [f"{site.id}  {site.address}{'' if site.port == 22 else f':{site.port}'}" for site in sites[:_SITES_SHOWN]]
    more = len(sites) - _SITES_SHOWN
    print_facts(
        title,
        ("sites", "\n".join([*lines, *([f"… and {more} more"] if more > 0 else [])])),
        ("digest", digest),
    )
    console = screen.console()
    screen.rule(console, "script")
    console.print(screen.text(script.rstrip("\n")), soft_wrap=True)
    screen.rule(console)
    if screen.hides_something(script):
        click.echo("The script has characters that are not seen: they are written as \\x1b or \\u202e above.", err=True)
