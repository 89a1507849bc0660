"""What a change of sites does to authorizations, said to the person who makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tminus.cli import screen

if TYPE_CHECKING:
    import asyncpg


def warn_of_outdated(outdated: list[asyncpg.Record]) -> None:
    """Say which authorizations no longer cover how their sites are reached: rows of outdated_authorizations."""
    for row in outdated:
        click.echo(
            f"warning: the authorization of scheduled script {row['id']} does not cover {screen.plural(row['sites'], 'site')} as"
            " changed: there it will end as site_changed, unless you cancel it, submit it again and have it authorized",
            err=True,
        )
