"""`tminus submit`: a script becomes a scheduled script, which nobody has authorized yet."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Unpack, cast
from uuid import UUID, uuid4

import click

from tminus.cli import submit_options
from tminus.cli.common import Context, as_json_option, as_person, asynchronous, print_json
from tminus.cli.findings import look_at, refusal, show_seen
from tminus.cli.inputs import (
    parse_end,
    parse_local,
    parse_moment,
    parse_variables,
    read_script,
    read_site_ids,
)
from tminus.cli.review import launch_time, print_facts, read_review
from tminus.domain.review import SAME_KEY, UNSERVED, facts
from tminus.errors import StoreUnavailable, UsageError

if TYPE_CHECKING:
    import asyncpg

_MAX_DESCRIPTION = 2000  # bytes
_MAX_SUMMARY = 10000  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _When:
    """The rule of time: exactly one of `at`, `after`, `cron` and `local` is set; and what ends it."""

    at: datetime | None = None
    after: timedelta | None = None
    cron: str | None = None
    timezone: str | None = None
    local: datetime | None = None  # without a zone: on the clock of each site
    stop: datetime | None = None
    until: datetime | None = None


@click.command(cls=submit_options.Grouped, params=[*submit_options.ALL])
@click.argument("file", metavar="FILE")
@as_person
@as_json_option
@asynchronous
async def submit(
    context: Context, file: str, *, person: str | None, as_json: bool, **given: Unpack[submit_options.Given]
) -> None:
    """Submit a script to be run on sites at a time.

    FILE is the script, or '-' for stdin. Nothing is run until somebody else has authorized it.
    """
    sites_file, tag, site_query = given["sites_file"], given["tag"], given["site_query"]
    if sum((bool(given["sites"]), sites_file is not None, tag is not None, site_query is not None)) != 1:
        raise UsageError("say on which sites, in one way: --site (repeated), --sites-file, --tag or --site-query")
    when = _rule_of_time(given)
    if len(given["description"].encode(errors="surrogateescape")) > _MAX_DESCRIPTION:
        raise UsageError(f"--description is longer than {_MAX_DESCRIPTION} bytes; say it in a line")
    summary = given["summary"]
    if len(summary.encode(errors="surrogateescape")) > _MAX_SUMMARY:
        raise UsageError(f"--summary is longer than {_MAX_SUMMARY} bytes; leave it out to have one made")
    if file == "-" and sites_file == "-":
        raise UsageError("stdin cannot be both the script and the list of sites")
    script = read_script(file)
    variables = parse_variables(given["given_variables"])
    the_sites = read_site_ids(sites_file) if sites_file is not None else list(given["sites"])
    new_id = given["script_id"] or uuid4()
    sent = False
    try:
        async with context.connect() as connection:
            if tag is not None:
                the_sites = await _tagged(connection, tag)
            values = (
                new_id,
                person,
                given["description"],
                script,
                the_sites,
                given["test_site"],
                not given["no_backup"],
                given["abort_if_offline"],
                list(given["notify"]),
                when.at,
                when.after,
                when.cron,
                when.timezone,
                given["start_within"],
                given["site_timeout"],
                given["max_concurrency"],
                given["expects_disconnect"],
                given["detached"],
                given["guard_version"],
                given["guard_free_space"],
                given["guard_uptime"],
                given["guard_cpu_load"],
                json.dumps(variables),
                site_query,
                list(given["windows"]),
                when.local,
                when.stop,
                "run_latest" if given["run_latest"] else "skip",
                when.until,
                given["max_launches"],
                given["wave_sizes"],
                given["wave_order"],
                given["wave_pause"],
                given["wave_confirm"],
                given["confirm_within"],
                given["max_failures"],
                given["max_failures_in_wave"],
                given["max_offline"],
                summary if summary.strip(" \t\r\n") else None,
                list(given["post_checks"]),
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
    seen = look_at(script, given["site_timeout"], given["post_checks"])
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
        *((name, value) for name, value in facts(review) if name in (UNSERVED, SAME_KEY)),
    )
    show_seen(script, seen)
    if review.status == "unauthorized" and not review.sites:
        click.echo(f"Next: tminus resolve-sites {review.id}, and look at the sites that it finds.")
    elif review.status == "unauthorized":
        who = f"somebody other than {review.updated_by}" if review.distinct else "an approver"
        click.echo(f"Next, {who} runs: tminus authorize {review.id} --digest {review.digest}")


def _rule_of_time(given: submit_options.Given) -> _When:
    timezone = given["timezone"]
    # A local time beside the rule is one of the rule's zone.
    stop = parse_end(given["stop_starting_at"], timezone, "--stop-starting-at")
    until = parse_end(given["until"], timezone, "--until")
    match given["at"], given["after"], given["cron"], given["local_time"]:
        case str(at), None, None, None:
            return _When(at=parse_moment(at, timezone), stop=stop, until=until)
        case None, timedelta() as after, None, None:
            if timezone is not None:
                raise UsageError("--timezone goes with --cron or a local --at; --in needs none")
            return _When(after=after, stop=stop, until=until)
        case None, None, str(cron), None:
            return _When(cron=cron, timezone=timezone, stop=stop, until=until)
        case None, None, None, str(local):
            if timezone is not None:
                raise UsageError("--local-time follows the time zone of each site; leave out --timezone")
            return _When(local=parse_local(local), stop=stop, until=until)
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
