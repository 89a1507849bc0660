"""The options of `tminus submit`, in the groups in which its help shows them: each is a column of a scheduled script."""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict
from uuid import UUID

import click

from tminus.cli.inputs import Amount, Duration, Names, Uuid, WholeNumber


class Given(TypedDict):
    """What was given, by the names of the options below."""

    sites: tuple[str, ...]
    sites_file: str | None
    tag: str | None
    site_query: str | None
    at: str | None
    after: timedelta | None
    local_time: str | None
    cron: str | None
    timezone: str | None
    start_within: timedelta
    windows: tuple[str, ...]
    stop_starting_at: str | None
    run_latest: bool
    until: str | None
    max_launches: int | None
    wave_sizes: list[str] | None
    wave_order: list[str] | None
    wave_pause: timedelta | None
    wave_confirm: bool
    confirm_within: timedelta | None
    max_concurrency: int | None
    max_failures: str | None
    max_failures_in_wave: str | None
    max_offline: str | None
    guard_version: str | None
    guard_free_space: int | None
    guard_uptime: timedelta | None
    guard_cpu_load: int | None
    given_variables: tuple[str, ...]
    site_timeout: timedelta
    expects_disconnect: bool
    detached: bool
    post_checks: tuple[str, ...]
    no_backup: bool
    abort_if_offline: bool
    description: str
    summary: str
    notify: tuple[str, ...]
    test_site: str | None
    script_id: UUID | None


class Grouped(click.Command):
    """A command whose help shows its options under the headings of GROUPS; those of none come last."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        others = [each for each in self.get_params(ctx) if isinstance(each, click.Option) and each not in ALL]
        for heading, members in {**GROUPS, "Other": others}.items():
            with formatter.section(heading):
                formatter.write_dl([record for each in members if (record := each.get_help_record(ctx))])


GROUPS: dict[str, tuple[click.Option, ...]] = {
    "On which sites (one of these)": (
        click.Option(["--site", "sites"], multiple=True, metavar="SITE", help="A site; repeat it for more."),
        click.Option(["--sites-file"], metavar="FILE", help="A file with one site id a line."),
        click.Option(["--tag"], help="All enabled sites that have this tag now."),
        click.Option(
            ["--site-query"], metavar="JSON", help="Those it means when it is resolved, before it is authorized."
        ),
    ),
    "When (one of --at, --in, --local-time and --cron)": (
        click.Option(["--at"], metavar="TIME", help="When, in ISO 8601: 2030-11-25T02:00Z, or local with --timezone."),
        click.Option(
            ["--in", "after"], type=Duration(), metavar="DURATION", help="How long from now: 90s, 5m, 2h, 1d."
        ),
        click.Option(
            ["--local-time"], metavar="TIME", help="At this time on the clock of each site: 2030-11-25T02:00."
        ),
        click.Option(["--cron"], metavar="EXPR", help="Again and again: minute hour day month weekday, or @daily."),
        click.Option(["--timezone"], metavar="ZONE", help="Of --cron (UTC, unless given) or of local times."),
        click.Option(
            ["--start-within"], type=Duration(), default="1h", show_default=True, help="Later than this it is missed."
        ),
        click.Option(
            ["--window", "windows"],
            multiple=True,
            metavar="NAME",
            help="Start only in this window; repeat it for more.",
        ),
        click.Option(["--stop-starting-at"], metavar="TIME", help="No site starts from then on: 2030-11-25T06:00Z."),
    ),
    "With --cron": (
        click.Option(["--run-latest"], is_flag=True, help="Make up for the latest occurrence that was missed."),
        click.Option(["--until"], metavar="TIME", help="No launch after it."),
        click.Option(["--max-launches"], type=WholeNumber(1, 1000000), help="No more than so many."),
    ),
    "Where it goes first (docs/rollout.md)": (
        click.Option(
            ["--waves", "wave_sizes"], type=Names(Amount()), help="Sizes: 1,10,25%; what they leave is the last wave."
        ),
        click.Option(
            ["--wave-order"], type=Names(), metavar="TAG,...", help="Sites with an earlier tag first, the others last."
        ),
        click.Option(["--wave-pause"], type=Duration(), help="How long after a wave the next one begins."),
        click.Option(["--wave-confirm"], is_flag=True, help="A person lets each next wave go: 'tminus confirm-wave'."),
        click.Option(["--confirm-within"], type=Duration(), help="If nobody does in this time (24h), it is halted."),
        click.Option(["--max-concurrency"], type=WholeNumber(1, 100000), help="On how many sites at once."),
    ),
    "When it stops by itself": (
        click.Option(["--max-failures"], type=Amount(), help="Halt with more sites failed: a count, or 10% of all."),
        click.Option(["--max-failures-in-wave"], type=Amount(), help="The same of one wave."),
        click.Option(["--max-offline"], type=Amount(), help="The same for sites that are offline."),
    ),
    "What has to hold on a site (docs/targets.md)": (
        click.Option(["--guard-version"], metavar="RANGE", help="Only where RouterOS is in it: '>=7.12 <8'."),
        click.Option(
            ["--guard-free-space"], type=WholeNumber(1, 10**15), metavar="BYTES", help="Only where so much is free."
        ),
        click.Option(["--guard-uptime"], type=Duration(), help="Only where the router has been up for so long."),
        click.Option(
            ["--guard-cpu-load"], type=WholeNumber(0, 100), metavar="PERCENT", help="Only where its CPU is not busier."
        ),
    ),
    "How the script runs": (
        click.Option(
            ["--var", "given_variables"], multiple=True, metavar="NAME=VALUE", help="For $(NAME) in it; repeat it."
        ),
        click.Option(
            ["--site-timeout"],
            type=Duration(),
            default="10m",
            show_default=True,
            help="How long it may take on one site.",
        ),
        click.Option(
            ["--expects-disconnect"], is_flag=True, help="It ends its own session (reboot, upgrade, new address)."
        ),
        click.Option(
            ["--detached"], is_flag=True, help="Run it as a job of the router's, which a lost session does not stop."
        ),
        click.Option(
            ["--post-check", "post_checks"],
            multiple=True,
            metavar="EXPR",
            help="Has to be true on each site afterwards; repeat it.",
        ),
        click.Option(["--no-backup"], is_flag=True, help="Run without storing an export before."),
        click.Option(
            ["--abort-if-offline"], is_flag=True, help="A site that is offline at launch fails, and is not tried again."
        ),
    ),
    "For people": (
        click.Option(["--description"], default="", help="What it is for, in a line."),
        click.Option(["--summary"], default="", metavar="TEXT", help="What it does; else it is made from the script."),
        click.Option(["--notify"], multiple=True, metavar="USER", help="Who is told; repeat it for more."),
        click.Option(["--test-site"], metavar="SITE", help="The site for test launches."),
        click.Option(["--id", "script_id"], type=Uuid(), help="Its id: submitting the same again changes nothing."),
    ),
}

ALL: tuple[click.Parameter, ...] = tuple(each for members in GROUPS.values() for each in members)
