"""The acts of people on scheduled scripts: submit, authorize, cancel."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast
from uuid import UUID, uuid4

import click

from tminus.cli import screen, status, watch
from tminus.cli.common import Context, as_json_option, as_person, asynchronous, print_json
from tminus.cli.findings import look_at, refusal, show_seen, show_stored
from tminus.cli.inputs import (
    Duration,
    Uuid,
    WholeNumber,
    find_script,
    parse_local,
    parse_moment,
    read_script,
    read_site_ids,
)
from tminus.errors import StoreUnavailable, TminusError, UsageError

if TYPE_CHECKING:
    import asyncpg
    from rich.console import RenderableType

_MAX_DESCRIPTION = 2000  # bytes
_SITES_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _When:
    """The rule of time: exactly one of `at`, `after`, `cron` and `local` is set."""

    at: datetime | None = None
    after: timedelta | None = None
    cron: str | None = None
    timezone: str | None = None
    local: datetime | None = None  # without a zone: on the clock of each site


@dataclass(frozen=True, slots=True, kw_only=True)
class _Review:
    """What an approver is shown, and the digest of exactly that."""

    id: UUID
    digest: str
    description: str
    script: str
    status: str
    launch_at: datetime | None
    t_minus: str | None
    cron: str | None
    timezone: str | None
    sites: tuple[str, ...]  # each with its address
    test_site_id: str | None
    make_backup: bool
    abort_if_offline: bool
    start_within: timedelta
    site_timeout: timedelta
    max_concurrency: int | None
    expects_disconnect: bool
    detached: bool
    windows: tuple[str, ...]
    local_time: datetime | None
    stop_starting_at: datetime | None
    missed_policy: str
    until: datetime | None
    max_launches: int | None
    created_by: str
    updated_by: str
    summary: str | None
    findings: str | None  # in JSON; None until a daemon has looked
    distinct: bool  # the approver must be somebody else


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--site", "sites", multiple=True, metavar="SITE", help="A site; repeat it for more.")
@click.option("--sites-file", metavar="FILE", help="A file with one site id a line.")
@click.option("--tag", help="All enabled sites that have this tag now.")
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
@click.option(
    "--window", "windows", multiple=True, metavar="NAME", help="Start only in this window; repeat it for more."
)
@click.option("--stop-starting-at", metavar="TIME", help="No site starts from then on: 2030-11-25T06:00Z.")
@click.option("--run-latest", is_flag=True, help="With --cron: make up for the latest occurrence that was missed.")
@click.option("--until", metavar="TIME", help="With --cron: no launch after it.")
@click.option("--max-launches", type=WholeNumber(1, 1000000), help="With --cron: no more than so many.")
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
    windows: tuple[str, ...],
    stop_starting_at: str | None,
    run_latest: bool,
    until: str | None,
    max_launches: int | None,
    script_id: UUID | None,
    person: str | None,
    as_json: bool,
) -> None:
    """Submit a script to be run on sites at a time.

    FILE is the script, or '-' for stdin. Nothing is run until somebody else has authorized it.
    """
    if sum((bool(sites), sites_file is not None, tag is not None)) != 1:
        raise UsageError("say on which sites, in one way: --site (repeated), --sites-file or --tag")
    when = _rule_of_time(at, after, cron, local_time, timezone)
    stop = parse_moment(stop_starting_at, None, "--stop-starting-at") if stop_starting_at is not None else None
    if len(description.encode(errors="surrogateescape")) > _MAX_DESCRIPTION:
        raise UsageError(f"--description is longer than {_MAX_DESCRIPTION} bytes; say it in a line")
    if file == "-" and sites_file == "-":
        raise UsageError("stdin cannot be both the script and the list of sites")
    script = read_script(file)
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
                list(windows),
                when.local,
                stop,
                "run_latest" if run_latest else "skip",
                parse_moment(until, None, "--until") if until is not None else None,
                max_launches,
            )
            sent = True
            is_new = await _insert(connection, values)
            review = await _review(connection, new_id)
            shown = await _api_object(connection, new_id) if as_json else None
    except StoreUnavailable as error:
        if not sent:
            raise
        raise StoreUnavailable(
            f"{error}; it is not known whether it was submitted; try again with --id {new_id}"
        ) from error
    seen = look_at(script, site_timeout)
    if as_json:
        if not seen.valid:
            click.echo(f"tminus: {refusal(seen)}", err=True)
        print_json(shown)
        return
    click.echo(f"{'submitted' if is_new else 'was submitted already:'} {review.id}")
    _print_facts(
        ("launch", _launch_time(review)),
        ("sites", str(len(review.sites))),
        ("summary", review.summary or seen.summary),
        ("digest", review.digest),
    )
    show_seen(script, seen)
    if review.status == "unauthorized":
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


async def _review(connection: asyncpg.Connection, script_id: UUID) -> _Review:
    from tminus.store.pool import statement

    row = await connection.fetchrow(statement("review_script"), script_id)
    if row is None:
        raise UsageError(f"there is no scheduled script {script_id}")
    return _Review(
        distinct=row["approval"] == "distinct",
        **{name: row[name] for name in _REVIEWED},
        sites=tuple(row["sites"]),
        windows=tuple(row["windows"]),
    )


_REVIEWED = tuple(name for name in _Review.__dataclass_fields__ if name not in ("distinct", "sites", "windows"))


async def _api_object(connection: asyncpg.Connection, script_id: UUID) -> dict[str, object]:
    from tminus.store.pool import statement

    return cast("dict[str, object]", json.loads(await connection.fetchval(statement("api_object"), script_id)))


def _launch_time(review: _Review) -> str:
    if review.cron is not None:
        planned = f"; next {screen.moment(review.launch_at)}" if review.launch_at else ""
        ends = f" until {screen.moment(review.until)}" if review.until else ""
        ends += f", {screen.plural(review.max_launches, 'time')} at most" if review.max_launches else ""
        late = "; the latest that was missed is made up for" if review.missed_policy == "run_latest" else ""
        return f"by cron '{review.cron}' in {review.timezone}{ends}{planned}{late}"
    if review.local_time is not None:
        first = f"{screen.moment(review.launch_at)} ({review.t_minus})"
        return f"{review.local_time:%Y-%m-%d %H:%M:%S} on the clock of each site; first {first}"
    return f"{screen.moment(review.launch_at)} ({review.t_minus})"


def _print_facts(*pairs: tuple[str, RenderableType]) -> None:
    shown = screen.facts()
    for name, value in pairs:
        shown.add_row(name, screen.text(value) if isinstance(value, str) else value)
    screen.console().print(shown)


@click.command()
@click.argument("script", metavar="ID")
@click.option(
    "--digest", metavar="DIGEST", help="Of what you have reviewed. Without it, it is shown and you are asked."
)
@click.option("--yes", is_flag=True, help="Show it, but do not ask.")
@as_person
@as_json_option
@asynchronous
async def authorize(
    context: Context, script: str, *, digest: str | None, yes: bool, person: str | None, as_json: bool
) -> None:
    """Authorize a scheduled script.

    The authorization covers exactly this content on exactly these sites; an edit undoes it.
    """
    from tminus.store.pool import statement

    if digest is None and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "there is no terminal to show what would be authorized; give the --digest of what you have reviewed,"
            f" or run 'tminus authorize {script}' on a terminal"
        )
    async with context.connect() as connection:
        review = await _review(connection, await find_script(connection, script))
    if digest is None:
        _show_review(review)
        if not yes and not click.confirm("Authorize exactly this?", err=as_json):
            raise TminusError(f"scheduled script {review.id} was not authorized; nothing was changed")
    async with context.connect() as connection:
        answer = json.loads(
            await connection.fetchval(statement("authorize"), review.id, digest or review.digest, person)
        )
    if as_json:
        print_json(answer)
    else:
        click.echo(
            f"authorized {answer['id']} as {screen.visible(answer['authorized_by'])}; launch: {_launch_time(review)}"
        )


def _show_review(review: _Review) -> None:
    """Print all that the digest covers."""
    console = screen.console()
    author = (
        review.created_by
        if review.updated_by == review.created_by
        else f"{review.created_by}, edited by {review.updated_by}"
    )
    more = len(review.sites) - _SITES_SHOWN
    sites = "\n".join(review.sites[:_SITES_SHOWN]) + (
        f"\n… and {more} more: 'tminus status {review.id}' lists them" if more > 0 else ""
    )
    _print_facts(
        ("scheduled script", str(review.id)),
        ("description", review.description),
        ("submitted by", author),
        ("status", review.status),
        ("launch", _launch_time(review)),
        ("windows", ", ".join(review.windows) or "none of its own"),
        *((("no start after", screen.moment(review.stop_starting_at)),) if review.stop_starting_at else ()),
        ("start within", screen.seconds(review.start_within.total_seconds())),
        ("per site", screen.seconds(review.site_timeout.total_seconds())),
        ("at once", str(review.max_concurrency or "as many as the daemons can")),
        ("backup before", "yes" if review.make_backup else screen.text("no", "bold red")),
        ("offline sites", "fail at launch" if review.abort_if_offline else "are tried again"),
        ("session", _session(review)),
        ("test site", review.test_site_id or "none"),
        (screen.plural(len(review.sites), "site"), sites),
        ("summary", review.summary or "none yet"),
        ("digest", review.digest),
    )
    show_stored(review.findings, review.script, review.site_timeout, summary=review.summary)
    console.rule("script")
    console.print(screen.text(review.script.rstrip("\n")), soft_wrap=True)
    console.rule()
    if screen.hides_something(review.script):
        console.print(
            screen.text(
                "The script has characters that are not seen: they are written as \\x1b or \\u202e above.", "bold red"
            )
        )


def _session(review: _Review) -> str:
    kept = "a job of the router's" if review.detached else "stays open while it runs"
    return f"{kept}; the script is expected to end it, and to come back" if review.expects_disconnect else kept


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
        review = await _review(connection, await find_script(connection, script))
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


COMMANDS = (submit, authorize, cancel, *status.COMMANDS, *watch.COMMANDS)
