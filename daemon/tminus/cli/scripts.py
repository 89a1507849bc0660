"""The acts of people on scheduled scripts: submit and cancel; those of approvers are in authorizations."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast
from uuid import UUID, uuid4

import click

from tminus.cli import authorizations, screen, status, watch
from tminus.cli.common import Context, as_json_option, as_person, asynchronous, print_json
from tminus.cli.findings import look_at, refusal, show_seen
from tminus.cli.inputs import (
    Duration,
    Uuid,
    WholeNumber,
    find_script,
    parse_local,
    parse_moment,
    parse_variables,
    read_script,
    read_site_ids,
)
from tminus.cli.review import launch_time, print_facts, read_review
from tminus.errors import StoreUnavailable, TminusError, UsageError

if TYPE_CHECKING:
    import asyncpg

_MAX_DESCRIPTION = 2000  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _When:
    """The rule of time: exactly one of `at`, `after`, `cron` and `local` is set."""

    at: datetime | None = None
    after: timedelta | None = None
    cron: str | None = None
    timezone: str | None = None
    local: datetime | None = None  # without a zone: on the clock of each site


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--site", "sites", multiple=True, metavar="SITE", help="A site; repeat it for more.")
@click.option("--sites-file", metavar="FILE", help="A file with one site id a line.")
@click.option("--tag", help="All enabled sites that have this tag now.")
@click.option("--site-query", metavar="JSON", help="Those it means when it is resolved, before it is authorized.")
@click.option("--at", metavar="TIME", help="When, in ISO 8601: 2030-11-25T02:00Z, or local with --timezone.")
@click.option("--in", "after", type=Duration(), metavar="DURATION", help="How long from now: 90s, 5m, 2h, 1d.")
@click.option("--local-time", metavar="TIME", help="At this time on the clock of each site: 2030-11-25T02:00.")
@click.option("--cron", metavar="EXPR", help="Again and again: minute hour day month weekday, or @daily.")
@click.option("--timezone", metavar="ZONE", help="Of --cron (UTC, unless given) or of a local --at.")
@click.option("--description", default="", help="What it is for, in a line.")
@click.option("--no-backup", is_flag=True, help="Run without storing an export before.")
@click.option(
    "--abort-if-offline", is_flag=True, help="A site that is offline at launch fails, and is not tried again."
)
@click.option("--notify", multiple=True, metavar="USER", help="Who is told; repeat it for more.")
@click.option("--test-site", metavar="SITE", help="The site for test launches.")
@click.option("--start-within", type=Duration(), default="1h", show_default=True, help="Later than this it is missed.")
@click.option(
    "--site-timeout", type=Duration(), default="10m", show_default=True, help="How long it may take on one site."
)
@click.option("--max-concurrency", type=WholeNumber(1, 100000), help="On how many sites at once.")
@click.option("--expects-disconnect", is_flag=True, help="It ends its own session (reboot, upgrade, new address).")
@click.option("--detached", is_flag=True, help="Run it as a job of the router's, which a lost session does not stop.")
@click.option("--guard-version", metavar="RANGE", help="Only where RouterOS is in it: '>=7.12 <8'.")
@click.option("--guard-free-space", type=WholeNumber(1, 10**15), metavar="BYTES", help="Only where so much is free.")
@click.option("--guard-uptime", type=Duration(), help="Only where the router has been up for so long.")
@click.option("--guard-cpu-load", type=WholeNumber(0, 100), metavar="PERCENT", help="Only where its CPU is not busier.")
@click.option(
    "--var", "given_variables", multiple=True, metavar="NAME=VALUE", help="For $(NAME) in the script; repeat it."
)
@click.option(
    "--window", "windows", multiple=True, metavar="NAME", help="Start only in this window; repeat it for more."
)
@click.option("--stop-starting-at", metavar="TIME", help="No site starts from then on: 2030-11-25T06:00Z.")
@click.option("--run-latest", is_flag=True, help="With --cron: make up for the latest occurrence that was missed.")
@click.option("--until", metavar="TIME", help="With --cron: no launch after it.")
@click.option("--max-launches", type=WholeNumber(1, 1000000), help="With --cron: no more than so many.")
@click.option(
    "--post-check",
    "post_checks",
    multiple=True,
    metavar="EXPR",
    help="Has to be true on each site afterwards; repeat it.",
)
@click.option("--id", "script_id", type=Uuid(), help="Its id: submitting the same again changes nothing.")
@as_person
@as_json_option
@asynchronous
async def submit(
    context: Context,
    file: str,
    *,
    sites: tuple[str, ...],
    sites_file: str | None,
    tag: str | None,
    site_query: str | None,
    at: str | None,
    after: timedelta | None,
    local_time: str | None,
    cron: str | None,
    timezone: str | None,
    description: str,
    no_backup: bool,
    abort_if_offline: bool,
    notify: tuple[str, ...],
    test_site: str | None,
    start_within: timedelta,
    site_timeout: timedelta,
    max_concurrency: int | None,
    expects_disconnect: bool,
    detached: bool,
    guard_version: str | None,
    guard_free_space: int | None,
    guard_uptime: timedelta | None,
    guard_cpu_load: int | None,
    given_variables: tuple[str, ...],
    windows: tuple[str, ...],
    stop_starting_at: str | None,
    run_latest: bool,
    until: str | None,
    max_launches: int | None,
    post_checks: tuple[str, ...],
    script_id: UUID | None,
    person: str | None,
    as_json: bool,
) -> None:
    """Submit a script to be run on sites at a time.

    FILE is the script, or '-' for stdin. Nothing is run until somebody else has authorized it.
    """
    if sum((bool(sites), sites_file is not None, tag is not None, site_query is not None)) != 1:
        raise UsageError("say on which sites, in one way: --site (repeated), --sites-file, --tag or --site-query")
    when = _rule_of_time(at, after, cron, local_time, timezone)
    stop = parse_moment(stop_starting_at, None, "--stop-starting-at") if stop_starting_at is not None else None
    if len(description.encode(errors="surrogateescape")) > _MAX_DESCRIPTION:
        raise UsageError(f"--description is longer than {_MAX_DESCRIPTION} bytes; say it in a line")
    if file == "-" and sites_file == "-":
        raise UsageError("stdin cannot be both the script and the list of sites")
    script = read_script(file)
    variables = parse_variables(given_variables)
    the_sites = read_site_ids(sites_file) if sites_file is not None else list(sites)
    new_id = script_id or uuid4()
    sent = False
    try:
        async with context.connect() as connection:
            if tag is not None:
                the_sites = await _tagged(connection, tag)
            values = (
                new_id,
                person,
                description,
                script,
                the_sites,
                test_site,
                not no_backup,
                abort_if_offline,
                list(notify),
                when.at,
                when.after,
                when.cron,
                when.timezone,
                start_within,
                site_timeout,
                max_concurrency,
                expects_disconnect,
                detached,
                guard_version,
                guard_free_space,
                guard_uptime,
                guard_cpu_load,
                json.dumps(variables),
                site_query,
                list(windows),
                when.local,
                stop,
                "run_latest" if run_latest else "skip",
                parse_moment(until, None, "--until") if until is not None else None,
                max_launches,
                list(post_checks),
            )
            sent = True
            is_new = await _insert(connection, values)
            review = await read_review(connection, new_id)
            shown = await _api_object(connection, new_id) if as_json else None
    except StoreUnavailable as error:
        if not sent:
            raise
        raise StoreUnavailable(
            f"{error}; it is not known whether it was submitted; try again with --id {new_id}"
        ) from error
    seen = look_at(script, site_timeout, post_checks)
    if as_json:
        if not seen.valid:
            click.echo(f"tminus: {refusal(seen)}", err=True)
        print_json(shown)
        return
    click.echo(f"{'submitted' if is_new else 'was submitted already:'} {review.id}")
    print_facts(
        ("launch", launch_time(review)),
        ("sites", str(len(review.sites))),
        ("summary", review.summary or seen.summary),
        ("digest", review.digest),
    )
    show_seen(script, seen)
    if review.status == "unauthorized" and not review.sites:
        click.echo(f"Next: tminus resolve-sites {review.id}, and look at the sites that it finds.")
    elif review.status == "unauthorized":
        who = f"somebody other than {review.updated_by}" if review.distinct else "an approver"
        click.echo(f"Next, {who} runs: tminus authorize {review.id} --digest {review.digest}")


def _rule_of_time(
    at: str | None, after: timedelta | None, cron: str | None, local: str | None, timezone: str | None
) -> _When:
    match at, after, cron, local:
        case str(), None, None, None:
            return _When(at=parse_moment(at, timezone))
        case None, timedelta(), None, None:
            if timezone is not None:
                raise UsageError("--timezone goes with --cron or a local --at; --in needs none")
            return _When(after=after)
        case None, None, str(), None:
            return _When(cron=cron, timezone=timezone)
        case None, None, None, str():
            if timezone is not None:
                raise UsageError("--local-time follows the time zone of each site; leave out --timezone")
            return _When(local=parse_local(local))
        case _:
            raise UsageError("say when, in one way: --at TIME, --in DURATION, --cron EXPR or --local-time TIME")


async def _tagged(connection: asyncpg.Connection, tag: str) -> list[str]:
    from tminus.store.pool import statement

    found = [row["id"] for row in await connection.fetch(statement("tagged_sites"), tag)]
    if not found:
        raise UsageError(f"no enabled site has the tag {tag!r}; 'tminus site list' shows the tags")
    return found


async def _insert(connection: asyncpg.Connection, values: tuple[object, ...]) -> bool:
    """Insert, or find that the same was inserted before (False). UsageError if the id is another's."""
    from tminus.store.pool import statement

    if await connection.fetchval(statement("submit"), *values) is not None:
        return True
    if await connection.fetchval(statement("compare_submitted"), *values):
        return False
    raise UsageError(
        f"there is another scheduled script {values[0]} already, with other content; leave out --id, or take a new one"
    )


async def _api_object(connection: asyncpg.Connection, script_id: UUID) -> dict[str, object]:
    from tminus.store.pool import statement

    return cast("dict[str, object]", json.loads(await connection.fetchval(statement("api_object"), script_id)))


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
        print_json(
            {"id": str(script_id), "site_id": site, "variables": variables, "script": rendered, "post_checks": checks}
        )
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


COMMANDS = (submit, cancel, render, resolve_sites, *authorizations.COMMANDS, *status.COMMANDS, *watch.COMMANDS)
