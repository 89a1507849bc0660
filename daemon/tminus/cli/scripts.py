"""The acts of people on scheduled scripts: find their sites, look at them, cancel them; approvers' are in authorizations."""

from __future__ import annotations

import json
import sys

import click

from tminus.cli import authorizations, screen, status, submit, watch
from tminus.cli.common import Context, as_json_option, as_person, asynchronous, print_json
from tminus.cli.inputs import find_script
from tminus.cli.review import read_review
from tminus.errors import TminusError, UsageError


@click.command("resolve-sites")
@click.argument("script", metavar="ID")
@as_person
@as_json_option
@asynchronous
async def resolve_sites(context: Context, script: str, *, person: str | None, as_json: bool) -> None:
    """Find the sites that the site query of a scheduled script means now. Until it is authorized, as often as wanted."""
    from tminus.store.pool import statement

    async with context.connect() as connection:
        script_id = await find_script(connection, script)
        answer = json.loads(await connection.fetchval(statement("resolve_sites"), script_id, person))
        review = await read_review(connection, script_id)
    if as_json:
        print_json(answer)
        return
    for site in review.sites:
        click.echo(screen.visible(site.line()))
    click.echo(f"{screen.plural(len(review.sites), 'site')}; digest {review.digest}")


@click.command()
@click.argument("script", metavar="ID")
@click.argument("site", metavar="SITE")
@as_json_option
@asynchronous
async def render(context: Context, script: str, site: str, *, as_json: bool) -> None:
    """Show a scheduled script as a site is given it: with the site's values for the $(names) in it."""
    from tminus.routeros.post_checks import render as render_all
    from tminus.routeros.rendering import RenderingRefused
    from tminus.store.pool import statement

    async with context.connect() as connection:
        script_id = await find_script(connection, script)
        row = await connection.fetchrow(statement("render"), script_id, site)
    if row is None or row["variables"] is None:
        raise UsageError(f"there is no site {site!r}; 'tminus site list' shows them")
    variables = json.loads(row["variables"])
    try:
        found = render_all(row["script"].encode(), [check.encode() for check in row["post_checks"]], variables)
    except RenderingRefused as refused:
        raise TminusError(f"on {site} nothing would be run: {refused}") from None
    rendered, checks = found.script.decode(), [check.decode() for check in found.checks]
    if not row["is_target"]:
        click.echo(f"tminus: {site} is none of the sites of {script_id}", err=True)
    if as_json:
        shown = {
            "id": str(script_id),
            "site_id": site,
            "variables": variables,
            "script": rendered,
            "post_checks": checks,
        }
        print_json(shown)
    elif sys.stdout.isatty():
        screen.console().print(screen.text(rendered.rstrip("\n")), soft_wrap=True)
    else:
        click.echo(rendered, nl=not rendered.endswith("\n"))


@click.command()
@click.argument("script", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask on a terminal.")
@as_person
@as_json_option
@asynchronous
async def cancel(context: Context, script: str, *, yes: bool, person: str | None, as_json: bool) -> None:
    """Cancel a scheduled script. Sites where it was not started are skipped; where it runs, it ends by itself."""
    from tminus.store.pool import statement

    async with context.connect() as connection:
        review = await read_review(connection, await find_script(connection, script))
    if not yes and sys.stdin.isatty():
        called = screen.one_line(review.description, 60) or "without a description"
        question = f"Cancel {review.id} ({called}; {review.status}; {screen.plural(len(review.sites), 'site')})?"
        if not click.confirm(question, err=as_json):
            raise TminusError(f"scheduled script {review.id} was not cancelled")
    async with context.connect() as connection:
        answer = json.loads(await connection.fetchval(statement("cancel"), review.id, person))
    if as_json:
        print_json(answer)
        return
    click.echo(f"cancelled {answer['id']}")
    going_on = len(answer["progress"]["pending"])
    if going_on:
        click.echo(
            f"It was started on {screen.plural(going_on, 'site')} and ends there by itself: tminus watch {answer['id']}"
        )


COMMANDS = (submit.submit, cancel, render, resolve_sites, *authorizations.COMMANDS, *status.COMMANDS, *watch.COMMANDS)
