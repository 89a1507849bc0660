"""What an approver is shown before authorizing, and the digest of exactly that.

The digest is computed here, from what is shown: a database that shows one thing and names the digest of another is caught.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import unified_diff
from typing import TYPE_CHECKING, Any
from uuid import UUID

from tminus.cli import screen
from tminus.cli.findings import show_stored
from tminus.domain.digest import RowPart, SitePart, combine, row_digest, site_digest
from tminus.domain.variables import Variables, digest_field, names_in
from tminus.errors import StoreError, UsageError

if TYPE_CHECKING:
    import asyncpg
    from rich.console import RenderableType

_SITES_SHOWN = 20
_ZONES_SHOWN = 8
_DIFF_SHOWN = 200  # lines


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSite:
    part: SitePart
    variables: Variables  # those that the script names
    name: str
    zone: str
    local_time: str | None
    enabled: bool
    version: str | None
    last_seen: str | None
    since_last: str | None  # same, changed or added, where it was authorized before

    @property
    def id(self) -> str:
        return self.part.id

    def line(self) -> str:
        port = "" if self.part.port == 22 else f":{self.part.port}"
        seen = f"seen {self.last_seen[:16].replace('T', ' ')} UTC" if self.last_seen else "never seen"
        notes = [seen, *([self.version] if self.version else [])]
        if not self.enabled:
            notes.append("disabled")
        if self.part.ssh_profile != "modern":
            notes.append(f"{self.part.ssh_profile} SSH algorithms")
        if self.part.host_key is None:
            notes.append("no pinned key")
        if self.since_last in ("changed", "added"):
            notes.append(f"{self.since_last} since the last authorization")
        if self.variables:
            notes.append(" ".join(f"$({name})={json.dumps(self.variables[name])}" for name in sorted(self.variables)))
        return f"{self.id}  {self.part.address}{port}  {', '.join(notes)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LastAuthorized:
    by: str
    at: str
    script: str | None
    changed: tuple[str, ...]
    was: dict[str, object]
    sites_removed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    id: UUID
    digest: str
    row: RowPart
    sites: tuple[ShownSite, ...]
    description: str
    status: str
    variables: str  # JSON
    site_query: str | None  # JSON
    launch_at: datetime | None
    t_minus: str | None
    created_by: str
    updated_by: str
    summary: str | None
    findings: str | None  # in JSON; None until a daemon has looked
    distinct: bool  # the approver must be somebody else
    ttl: timedelta | None
    signature_required_by: tuple[str, ...]  # daemons
    requested: str | None
    test: str | None  # of exactly this content, and how it ended
    last: LastAuthorized | None
    whole: str  # the object of tminus.review

    @property
    def script(self) -> str:
        return self.row.script


async def read_review(connection: asyncpg.Connection, script_id: UUID) -> Review:
    """Read what would be authorized. UsageError: there is none. StoreError: the database contradicts itself."""
    from tminus.store.launches import row_part
    from tminus.store.pool import statement

    row = await connection.fetchrow(statement("review_script"), script_id)
    if row is None:
        raise UsageError(f"there is no scheduled script {script_id}")
    seen = json.loads(row["review"])
    part = row_part(row, row["id"])
    names = names_in(part.code)
    sites = tuple(_site(each, names) for each in seen["sites"])
    digest = combine(row_digest(part), [(site.id, site_digest(site.part)) for site in sites])
    if digest != seen["digest"]:
        raise StoreError(
            f"what the database shows of scheduled script {script_id} has the digest {digest}, and it says {seen['digest']};"
            " nothing was authorized, and somebody should find out why"
        )
    return Review(
        id=row["id"],
        digest=digest,
        row=part,
        sites=sites,
        **{name: row[name] for name in _BESIDE},
        distinct=seen["approval"] == "distinct",
        ttl=None if seen["authorization_ttl"] is None else timedelta(seconds=seen["authorization_ttl"]),
        signature_required_by=tuple(seen["signature_required_by"]),
        requested=None if seen["requested"] is None else f"by {seen['requested']['by']} at {seen['requested']['at']}",
        test=_test(seen["test"], required=seen["require_test"]),
        last=None if seen["last_authorized"] is None else _last(seen["last_authorized"]),
        whole=row["review"],
    )


_BESIDE = (
    *("description", "status", "variables", "site_query", "launch_at", "t_minus"),
    *("created_by", "updated_by", "summary", "findings"),
)


def _site(seen: dict[str, Any], names: tuple[str, ...]) -> ShownSite:
    values = {name: seen["variables"][name] for name in names if name in seen["variables"]}
    known = {name: seen[name] for name in SitePart.__dataclass_fields__.keys() - {"variables"}}
    return ShownSite(
        part=SitePart(**known, variables=digest_field(values)),
        variables=values,
        name=seen["name"],
        zone=seen["timezone"],
        local_time=seen["local_time"],
        enabled=seen["enabled"],
        version=seen["version"],
        last_seen=seen["last_seen_at"],
        since_last=seen["since_last"],
    )


def _test(seen: dict[str, Any] | None, *, required: bool) -> str | None:
    if seen is None:
        return "not tested as it is now, and it has to be" if required else None
    told = f"on {seen['site']} at {seen['at'][:16].replace('T', ' ')} UTC by {seen['by']}: {seen['outcome']}"
    if seen["outcome"] in ("pending", "running", "completed"):
        return told
    return f"{told} ({seen['message'] or seen['reason']})"


def _last(seen: dict[str, Any]) -> LastAuthorized:
    return LastAuthorized(
        by=seen["by"],
        at=seen["at"],
        script=seen["script"],
        changed=tuple(seen["changed"]),
        was=seen["was"],
        sites_removed=tuple(seen["sites_removed"]),
    )


def launch_time(review: Review) -> str:
    if review.row.cron is not None:
        planned = f"; next {screen.moment(review.launch_at)}" if review.launch_at else ""
        ends = f" until {screen.moment(review.row.until)}" if review.row.until else ""
        ends += f", {screen.plural(review.row.max_launches, 'time')} at most" if review.row.max_launches else ""
        late = "; the latest that was missed is made up for" if review.row.missed_policy == "run_latest" else ""
        return f"by cron '{review.row.cron}' in {review.row.timezone}{ends}{planned}{late}"
    if review.row.local_time is not None:
        first = f"{screen.moment(review.launch_at)} ({review.t_minus})"
        return f"{review.row.local_time:%Y-%m-%d %H:%M:%S} on the clock of each site; first {first}"
    return f"{screen.moment(review.launch_at)} ({review.t_minus})"


def print_facts(*pairs: tuple[str, RenderableType]) -> None:
    shown = screen.facts()
    for name, value in pairs:
        shown.add_row(name, screen.text(value) if isinstance(value, str) else value)
    screen.console().print(shown)


def show_review(review: Review) -> None:
    """Print all that the digest covers, and what helps to judge it."""
    console, row = screen.console(), review.row
    author = (
        review.created_by
        if review.updated_by == review.created_by
        else f"{review.created_by}, edited by {review.updated_by}"
    )
    print_facts(
        ("scheduled script", str(review.id)),
        ("description", review.description),
        ("submitted by", author),
        ("status", review.status),
        *([("requested", review.requested)] if review.requested else []),
        ("launch", launch_time(review)),
        *(
            [("at the sites", _local_times(review))]
            if any(s.zone != "UTC" and s.local_time for s in review.sites)
            else []
        ),
        ("windows", ", ".join(row.windows) or "none of its own"),
        *([("no start after", screen.moment(row.stop_starting_at))] if row.stop_starting_at else []),
        ("start within", screen.seconds(row.start_within.total_seconds())),
        ("per site", screen.seconds(row.site_timeout.total_seconds())),
        ("at once", str(row.max_concurrency or "as many as the daemons can")),
        ("rollout", _rollout(row)),
        ("backup before", "yes" if row.make_backup else screen.text("no", "bold red")),
        ("offline sites", "fail at launch" if row.abort_if_offline else "are tried again"),
        ("session", _session(row)),
        ("only where", _guards(row)),
        ("true afterwards", "\n".join(row.post_checks) or "(no post-checks)"),
        ("variables", "none" if review.variables == "{}" else review.variables),
        ("site query", review.site_query or "none: the sites are given"),
        ("test site", row.test_site_id or "none"),
        *([("test", review.test)] if review.test else []),
        (screen.plural(len(review.sites), "site"), _sites(review)),
        ("summary", review.summary or "none yet"),
        *(
            [("signature", f"asked for by {', '.join(review.signature_required_by)}")]
            if review.signature_required_by
            else []
        ),
        ("digest", review.digest),
    )
    show_stored(review.findings, review.script, row.site_timeout, row.post_checks, summary=review.summary)
    _show_changes(review)
    console.rule("script")
    console.print(screen.text(review.script.rstrip("\n")), soft_wrap=True)
    console.rule()
    _show_rendering(review)
    if screen.hides_something(review.row.code):
        console.print(
            screen.text(
                "The script has characters that are not seen: they are written as \\x1b or \\u202e above.", "bold red"
            )
        )


def _sites(review: Review) -> str:
    lines = [site.line() for site in review.sites[:_SITES_SHOWN]]
    more = len(review.sites) - _SITES_SHOWN
    if more > 0:
        never = sum(site.last_seen is None for site in review.sites)
        unpinned = sum(site.part.host_key is None for site in review.sites)
        disabled = sum(not site.enabled for site in review.sites)
        counted = [(never, "never seen"), (unpinned, "without a pinned key"), (disabled, "disabled")]
        said = "".join(f", {count} {what}" for count, what in counted if count)
        lines.append(
            f"… and {more} more: 'tminus review {review.id} --all' lists them (of all{said or ', each was seen'})"
        )
    return "\n".join(lines)


def _local_times(review: Review) -> str:
    times = Counter((site.local_time or "", site.zone) for site in review.sites)
    shown = [f"{at} {zone} ({screen.plural(count, 'site')})" for (at, zone), count in times.most_common(_ZONES_SHOWN)]
    more = len(times) - len(shown)
    return "\n".join([*shown, *([f"… and {more} more time zones"] if more > 0 else [])])


def _rollout(row: RowPart) -> str:
    """Say where it goes first and when it stops, in words."""
    parts = ["all sites in one wave"]
    if row.wave_sizes is not None:
        parts = [f"waves of {', '.join(row.wave_sizes)}, then the rest"]
        if row.wave_order is not None:
            parts.append(f"first the sites with the tag {', then '.join(row.wave_order)}")
        if row.wave_confirm:
            parts.append("a person lets each wave go")
        elif row.wave_pause:
            parts.append(f"{screen.seconds(row.wave_pause.total_seconds())} between them")
    if row.confirm_within is not None:
        parts.append(f"halted after {screen.seconds(row.confirm_within.total_seconds())} of waiting for a person")
    for amount, what in (
        (row.max_failures, "failed"),
        (row.max_failures_in_wave, "failed in a wave"),
        (row.max_offline, "offline"),
    ):
        if amount is not None:
            parts.append(f"halted at more than {amount} {what}")
    return "; ".join(parts)


def _guards(row: RowPart) -> str:
    asked = (
        row.guard_version and f"RouterOS is {row.guard_version}",
        row.guard_free_space and f"{row.guard_free_space} bytes are free",
        row.guard_uptime and f"it has been up for {screen.seconds(row.guard_uptime.total_seconds())}",
        None if row.guard_cpu_load is None else f"its CPU load is {row.guard_cpu_load} % at most",
    )
    return "; ".join(part for part in asked if part) or "(no guards)"


def _show_rendering(review: Review) -> None:
    """Print what the first site is given, and on which sites nothing would be run."""
    from tminus.routeros.post_checks import render
    from tminus.routeros.rendering import RenderingRefused

    if not any(site.variables for site in review.sites) and not names_in(review.row.code):
        return
    console, refused, shown = screen.console(), [], False
    for site in review.sites:
        try:
            rendered = render(
                review.script.encode(), [check.encode() for check in review.row.post_checks], dict(site.variables)
            )
        except RenderingRefused as error:
            refused.append(f"On {site.id} nothing would be run: {error}")
            continue
        if not shown:
            shown = True
            console.print(screen.text(f"As {site.id} is given it ('tminus render {review.id} SITE' shows others):"))
            console.print(screen.text(rendered.script.decode().rstrip("\n")), soft_wrap=True)
            for check in rendered.checks:
                console.print(screen.text(f"true afterwards: {check.decode()}"), soft_wrap=True)
            console.rule()
    for line in refused[:_SITES_SHOWN]:
        console.print(screen.text(line, "bold red"), soft_wrap=True)
    if len(refused) > _SITES_SHOWN:
        console.print(screen.text(f"… and on {len(refused) - _SITES_SHOWN} more", "bold red"))


def _session(row: RowPart) -> str:
    kept = "a job of the router's" if row.detached else "stays open while it runs"
    return f"{kept}; the script is expected to end it, and to come back" if row.expects_disconnect else kept


def _show_changes(review: Review) -> None:
    """Print what differs from what was authorized last."""
    last = review.last
    if last is None:
        return
    console = screen.console()
    console.rule(f"since {screen.one_line(last.by, 60)} authorized it at {last.at[:16].replace('T', ' ')} UTC")
    changed = [site.id for site in review.sites if site.since_last == "changed"]
    added = [site.id for site in review.sites if site.since_last == "added"]
    said = [
        *(
            f"{name} was {json.dumps(last.was.get(name), ensure_ascii=False)}"
            for name in last.changed
            if name != "script"
        ),
        *([f"sites added: {_some(added)}"] if added else []),
        *([f"sites removed: {_some(last.sites_removed)}"] if last.sites_removed else []),
        *([f"reached in another way: {_some(changed)}"] if changed else []),
    ]
    if not said and "script" not in last.changed:
        console.print("Nothing was changed.")
    for line in said:
        console.print(screen.text(line), soft_wrap=True)
    if "script" in last.changed and last.script is not None:
        diff = list(
            unified_diff(last.script.splitlines(), review.script.splitlines(), "authorized", "now", lineterm="")
        )
        shown = "\n".join(screen.visible(line) for line in diff[:_DIFF_SHOWN])
        console.print(screen.coloured_diff(shown), soft_wrap=True)
        if len(diff) > _DIFF_SHOWN:
            console.print(f"… and {len(diff) - _DIFF_SHOWN} lines more")


def _some(names: list[str] | tuple[str, ...]) -> str:
    more = len(names) - _SITES_SHOWN
    return ", ".join(names[:_SITES_SHOWN]) + (f" and {more} more" if more > 0 else "")
