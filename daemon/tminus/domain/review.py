"""What an approver is shown before authorizing, and how it is put in words: on a terminal and on a page alike."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from tminus.domain import words
from tminus.domain.comparison import groups_of_changes, head_of, lines_of
from tminus.domain.digest import RowPart, SitePart
from tminus.domain.variables import Variables

BACKUP = "backup before"
"""The fact whose "no" deserves a warning."""
UNSERVED = "missed, as things are"
"""The fact that names sites that nothing would be started on."""
SAME_KEY = "perhaps one router"
"""The fact that names sites with one host key, where scripts could run at the same time on what is one router."""

_SITES_NAMED = 20
_ZONES_SHOWN = 8


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
        if self.part.sensitive_export:
            notes.append("exports with secrets")
        if self.part.return_address is not None:
            notes.append(f"may return at {self.part.return_address}")
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
    unserved: dict[str, tuple[str, ...]]  # why no living daemon could serve a site: the sites
    same_key: tuple[tuple[str, ...], ...]  # sites that may be one router under several names
    requested: str | None
    test: str | None  # of exactly this content, and how it ended
    last: LastAuthorized | None
    whole: str  # the object of tminus.review

    @property
    def script(self) -> str:
        return self.row.script


def launch_time(review: Review) -> str:
    if review.row.cron is not None:
        planned = f"; next {words.moment(review.launch_at)}" if review.launch_at else ""
        ends = f" until {words.moment(review.row.until)}" if review.row.until else ""
        ends += f", {words.plural(review.row.max_launches, 'time')} at most" if review.row.max_launches else ""
        late = "; the latest that was missed is made up for" if review.row.missed_policy == "run_latest" else ""
        return f"by cron '{review.row.cron}' in {review.row.timezone}{ends}{planned}{late}"
    if review.row.local_time is not None:
        first = f"{words.moment(review.launch_at)} ({review.t_minus})"
        return f"{review.row.local_time:%Y-%m-%d %H:%M:%S} on the clock of each site; first {first}"
    return f"{words.moment(review.launch_at)} ({review.t_minus})"


def facts(review: Review) -> list[tuple[str, str]]:
    """Say what it is, who wants it, and all that the digest covers of it besides script and sites: names and texts."""
    row = review.row
    author = (
        review.created_by
        if review.updated_by == review.created_by
        else f"{review.created_by}, edited by {review.updated_by}"
    )
    return [
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
        *([("no start after", words.moment(row.stop_starting_at))] if row.stop_starting_at else []),
        ("start within", words.seconds(row.start_within.total_seconds())),
        ("per site", words.seconds(row.site_timeout.total_seconds())),
        ("at once", str(row.max_concurrency or "as many as the daemons can")),
        ("rollout", _rollout(row)),
        (BACKUP, "yes" if row.make_backup else "no"),
        ("offline sites", "fail at launch" if row.abort_if_offline else "are tried again"),
        ("session", _session(row)),
        ("only where", _guards(row)),
        ("true afterwards", "\n".join(row.post_checks) or "(no post-checks)"),
        ("variables", "none" if review.variables == "{}" else review.variables),
        ("site query", review.site_query or "none: the sites are given"),
        ("test site", row.test_site_id or "none"),
        *([("test", review.test)] if review.test else []),
        *(
            [(UNSERVED, "\n".join(f"{why}: {_some(sites)}" for why, sites in review.unserved.items()))]
            if review.unserved
            else []
        ),
        *([(SAME_KEY, "\n".join(_some(sites) for sites in review.same_key))] if review.same_key else []),
    ]


def changes(review: Review) -> list[str]:
    """Say what differs from what was authorized last, but for the script: a sentence each. Nothing where nothing does."""
    last = review.last
    if last is None:
        return []
    changed = [site.id for site in review.sites if site.since_last == "changed"]
    added = [site.id for site in review.sites if site.since_last == "added"]
    return [
        *(
            f"{name} was {json.dumps(last.was.get(name), ensure_ascii=False)}"
            for name in last.changed
            if name != "script"
        ),
        *([f"sites added: {_some(added)}"] if added else []),
        *([f"sites removed: {_some(last.sites_removed)}"] if last.sites_removed else []),
        *([f"reached in another way: {_some(changed)}"] if changed else []),
    ]


def script_diff(review: Review) -> list[str]:
    """Return the lines of the difference from the script that was authorized last. Nothing where there is none."""
    last = review.last
    if last is None or last.script is None or "script" not in last.changed:
        return []
    return lines_between(last.script, review.script, "authorized")


def lines_between(before: str, now: str, called: str) -> list[str]:
    """Return the lines of a unified difference between two scripts, nothing where there is none; `called` names the earlier one.

    Takes seconds at most: too long for the daemon's loop.
    """
    a, b = before.splitlines(), now.splitlines()
    hunks = [line for group in groups_of_changes(a, b) for line in (head_of(group), *lines_of(group, a, b))]
    return [f"--- {called}", "+++ now", *hunks] if hunks else []


def _local_times(review: Review) -> str:
    times = Counter((site.local_time or "", site.zone) for site in review.sites)
    shown = [f"{at} {zone} ({words.plural(count, 'site')})" for (at, zone), count in times.most_common(_ZONES_SHOWN)]
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
            parts.append(f"{words.seconds(row.wave_pause.total_seconds())} between them")
    if row.confirm_within is not None:
        parts.append(f"halted after {words.seconds(row.confirm_within.total_seconds())} of waiting for a person")
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
        row.guard_uptime and f"it has been up for {words.seconds(row.guard_uptime.total_seconds())}",
        None if row.guard_cpu_load is None else f"its CPU load is {row.guard_cpu_load} % at most",
    )
    return "; ".join(part for part in asked if part) or "(no guards)"


def _session(row: RowPart) -> str:
    kept = "a job of the router's" if row.detached else "stays open while it runs"
    return f"{kept}; the script is expected to end it, and to come back" if row.expects_disconnect else kept


def _some(names: list[str] | tuple[str, ...]) -> str:
    more = len(names) - _SITES_NAMED
    return ", ".join(names[:_SITES_NAMED]) + (f" and {more} more" if more > 0 else "")


def differences(before: Review, now: Review) -> list[str]:
    """Say what differs between two looks at one scheduled script, but for the text of the script: a sentence each."""
    was, is_now = dict(facts(before)), dict(facts(now))
    # The countdown goes on, and a status is no content.
    passing = {"status", "requested", UNSERVED, SAME_KEY}
    said = [
        f"{name}: was {was.get(name, 'not there')}, is {is_now.get(name, 'not there')}"
        for name in dict.fromkeys([*is_now, *was])
        if name not in passing and name != "launch" and was.get(name) != is_now.get(name)
    ]
    if before.launch_at != now.launch_at:
        said.insert(0, f"launch: was {words.moment(before.launch_at)}, is {words.moment(now.launch_at)}")
    sites, sites_now = ({site.id: site.part for site in look.sites} for look in (before, now))
    for what, ids in (
        ("sites added", [one for one in sites_now if one not in sites]),
        ("sites removed", [one for one in sites if one not in sites_now]),
        (
            "reached in another way, or with other variables",
            [one for one in sites_now if sites.get(one, sites_now[one]) != sites_now[one]],
        ),
    ):
        if ids:
            said.append(f"{what}: {_some(ids)}")
    return said
