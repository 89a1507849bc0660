"""What an approver signs, and whether a signed authorization covers what is about to be run, here and now.

With `require_signature` the database is not trusted: not what to run, nor where, nor when. All of it is compared with one text
that the approver has signed (`Statement`), by the clock of this host. What this cannot see is whether it was run before: that
is in the intent log (domain/occurrence.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from tminus.domain.canonical import moment_text
from tminus.domain.digest import RowPart, combine, row_digest
from tminus.domain.endings import LaunchKind
from tminus.domain.rollout import Amount, wave_sizes
from tminus.domain.timing import next_occurrence

NAMESPACE = "tminus-authorization@v1"
"""Of the signatures: one that was made for anything else (a git commit, a file) authorizes nothing."""

_EARLY = timedelta(seconds=30)
"""By so much this host's clock may be behind the database's."""

_TEST_STARTS_WITHIN = timedelta(minutes=15)

_FARTHEST = timedelta(hours=14)
"""No clock on a wall is farther from UTC. A time zone is no part of what is signed, so a time on the clocks of the sites is
held against what it can be in any zone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What is signed. A field a line, in this order, in UTF-8, each line ended by one newline."""

    act: str = "launch"
    launch: UUID | None = None  # of an act on one launch: a retry has the id that is named here
    due: datetime | None = None  # of an act on a launch that is under way: which occurrence it is
    wave: int | None = None  # the one that may go
    since: datetime | None = None  # when the launch that may go on was paused
    script: str
    digest: str
    sites: int
    author: str
    editor: str
    approver: str
    expires: datetime | None

    def text(self) -> bytes:
        """Return the bytes, as tminus.statement_text has them with one newline more. ValueError: a field is no line."""
        expires = moment_text(self.expires) if self.expires else "never"
        lines = [
            "tminus authorization, version 1",
            f"act: {self.act}",
            *([f"launch: {self.launch}"] if self.launch else []),
            *([f"due: {moment_text(self.due)}"] if self.due else []),
            *([f"wave: {self.wave}"] if self.wave else []),
            *([f"since: {moment_text(self.since)}"] if self.since else []),
            f"script: {self.script}",
            f"digest: {self.digest}",
            f"sites: {self.sites}",
            f"author: {self.author}",
            f"editor: {self.editor}",
            f"approver: {self.approver}",
            f"expires: {expires}",
        ]
        if any("\n" in line or "\0" in line for line in lines):
            raise ValueError("a name in the authorization holds a line break")
        return "".join(line + "\n" for line in lines).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherAct:
    """What an approver has signed for a launch that is under way, as the database tells it."""

    act: str  # confirm or resume
    wave: int | None
    since: datetime | None
    approver: str
    expires: datetime
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """An approver's decision, as the database tells it."""

    digest: str
    row_digest: str
    sites: tuple[tuple[str, str], ...]  # site id, digest
    author: str
    editor: str
    approver: str
    expires: datetime | None
    signature: str | None

    def statement(self, *, script: str, act: str = "launch", launch: UUID | None = None) -> Statement:
        return Statement(
            act=act,
            launch=launch,
            script=script,
            digest=self.digest,
            sites=len(self.sites),
            author=self.author,
            editor=self.editor,
            approver=self.approver,
            expires=self.expires,
        )

    def contradicts_itself(self) -> bool:
        """Whether its parts do not make up the digest that is signed."""
        return combine(self.row_digest, self.sites) != self.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """What is to be run, and as what: from the values that will be used."""

    row: RowPart
    sites: tuple[str, ...] | None  # null: those that were authorized
    kind: LaunchKind
    launch: UUID | None  # null: it is about to be made, and nothing was signed for it alone
    due_at: datetime
    authorization: Authorization | None
    moved: bool = False  # a person has it start at another time than its own

    @property
    def act(self) -> str:
        """What has to be signed."""
        if self.kind is not LaunchKind.SCHEDULED:
            return str(self.kind)
        return "run_now" if self.moved else "launch"

    @property
    def at_its_time(self) -> bool:
        """Nobody asked for this launch by itself: its time has to be the one that was signed."""
        return self.act == "launch"

    def statement(self) -> Statement:
        """Return what has to be signed. What a person asks for by itself has a launch of its own, and is signed for it."""
        assert self.authorization is not None  # noqa: S101 - see why_not_covered
        launch = None if self.at_its_time else self.launch
        return self.authorization.statement(script=self.row.id, act=self.act, launch=launch)

    def statement_of(self, further: FurtherAct) -> Statement:
        """Return what has to be signed for an act on this launch: this host's own view of it, and what the act names."""
        assert self.authorization is not None  # noqa: S101 - see why_not_covered
        return replace(
            self.authorization.statement(script=self.row.id, act=further.act, launch=self.launch),
            due=self.due_at,
            wave=further.wave,
            since=further.since,
            approver=further.approver,
            expires=further.expires,
        )


def why_not_covered(occasion: Occasion, *, distinct: bool) -> str | None:
    """Say what the signed authorization, whose signature is verified elsewhere, does not cover; None if it covers all of it.

    `distinct`: the approver has to be somebody else than the author and the last editor.
    """
    authorization, row = occasion.authorization, occasion.row
    if authorization is None:
        return "nobody authorized it"
    if authorization.signature is None:
        return f"{authorization.approver} authorized it without a signature"
    if row_digest(row) != authorization.row_digest or authorization.contradicts_itself():
        return "the content is not what was signed"
    if occasion.sites is not None and occasion.sites != tuple(site for site, _ in authorization.sites):
        return "the sites are not those that were signed"
    if distinct and _is_own(authorization, authorization.approver):
        return f"{authorization.approver} signed what is their own"
    if occasion.at_its_time:
        return _why_not_its_time(row, occasion.due_at)
    if occasion.launch is None or authorization.expires is None:
        what = "what somebody had run now" if occasion.moved else f"a {occasion.kind}"
        return f"{what} needs a signature of its own, which expires"
    return None


def _why_not_its_time(row: RowPart, due_at: datetime) -> str | None:
    if row.local_time is not None:
        if not _may_be_local(row.local_time, due_at):
            return "its time is not the one that was signed in any time zone"
    elif row.cron is None:
        if due_at != row.launch_at:
            return "its time is not the one that was signed"
    elif not _is_occurrence(row.cron, row.timezone, due_at):
        return "its time is none of the cron rule that was signed"
    elif row.until is not None and due_at > row.until:
        return "its time is after the end of the cron rule that was signed"
    return None


def as_tested(row: RowPart) -> RowPart:
    """Return it as it is tested, as tminus.as_tested does: now or never, without all that is about sites, waves and times."""
    return replace(
        row,
        abort_if_offline=True,
        start_within=min(row.start_within, _TEST_STARTS_WITHIN),
        max_concurrency=None,
        wave_sizes=None,
        wave_order=None,
        wave_pause=None,
        wave_confirm=False,
        confirm_within=None,
        max_failures=None,
        max_failures_in_wave=None,
        max_offline=None,
        windows=(),
        local_time=None,
        stop_starting_at=None,
        missed_policy="skip",
        until=None,
        max_launches=None,
    )


def may_start(occasion: Occasion, confirmed: int) -> int | None:
    """Say how many of its sites may be started while its waves up to `confirmed` may go; None: nothing waits for a person.

    Raises ValueError where a size makes no sense. (A retry has one wave.)
    """
    row, authorization = occasion.row, occasion.authorization
    if not row.wave_confirm or authorization is None or occasion.kind is not LaunchKind.SCHEDULED:
        return None
    sizes = wave_sizes([Amount.parse(size) for size in row.wave_sizes or ()], len(authorization.sites))
    return sum(sizes[:confirmed])


def why_not_acted(occasion: Occasion, further: FurtherAct, now: datetime, *, distinct: bool) -> str | None:
    """Say why a further act does not count, besides its signature; None if it does."""
    authorization = occasion.authorization
    if authorization is not None and distinct and _is_own(authorization, further.approver):
        return f"{further.approver} signed what is their own"
    if now > further.expires:
        return f"it expired at {further.expires.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return None


def why_outlives(expires: datetime | None, now: datetime, remembered: timedelta | None) -> str | None:
    """Say that a signed act would count for longer than this host remembers what it spent (None: for ever), if it would.

    Forgotten, and not expired, it could be brought back and taken a second time.
    """
    if expires is None or remembered is None or expires - now <= remembered:
        return None
    day = f"{expires.astimezone(UTC):%Y-%m-%d}"
    return f"it expires at {day}, and this host remembers what is spent for {remembered.days} days (intents_days)"


def is_early(due_at: datetime, now: datetime) -> bool:
    return now < due_at - _EARLY


def why_not_now(occasion: Occasion, now: datetime, *, longest_launch: timedelta) -> str | None:
    """Say why nothing may be started at `now`, by this host's clock; None if it may.

    A site may have to wait for its turn; `longest_launch` after the last moment at which its launch may begin it is over.
    """
    authorization = occasion.authorization
    if is_early(occasion.due_at, now):
        return f"by this host's clock its time comes {occasion.due_at - now} later"
    if authorization is not None and authorization.expires is not None and now > authorization.expires:
        return f"the authorization expired at {authorization.expires.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    if occasion.row.stop_starting_at is not None and now >= occasion.row.stop_starting_at:
        return f"nothing may start after {occasion.row.stop_starting_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    latest = _latest_due(occasion)
    if now > latest + occasion.row.start_within + longest_launch:
        return f"by this host's clock its time passed {now - latest} ago"
    return None


def over_at(occasion: Occasion, *, longest_launch: timedelta) -> datetime | None:
    """Return the moment after which nothing of this occurrence can be started any more, whatever is signed; None: there is none."""
    ends: list[datetime | None] = []
    if not occasion.at_its_time:
        ends.append(occasion.authorization.expires if occasion.authorization is not None else None)
    if occasion.kind is LaunchKind.SCHEDULED:
        # Moved by a person, one without a rule is still the same occurrence: its own time counts as well.
        due = (
            occasion
            if occasion.at_its_time or occasion.row.launch_at is None
            else replace(occasion, due_at=occasion.row.launch_at)
        )
        ends.append(
            max(_latest_due(replace(due, moved=False)), occasion.due_at) + occasion.row.start_within + longest_launch
        )
    known = [end for end in ends if end is not None]
    return max(known) if len(known) == len(ends) else None


def _latest_due(occasion: Occasion) -> datetime:
    """Return when the last site is due: with a local time the launch itself is due with the first."""
    if occasion.row.local_time is None or not occasion.at_its_time:
        return occasion.due_at
    return occasion.row.local_time.replace(tzinfo=UTC) + _FARTHEST


def _may_be_local(local_time: datetime, moment: datetime) -> bool:
    return abs(moment - local_time.replace(tzinfo=UTC)) <= _FARTHEST


def _is_occurrence(cron: str, timezone: str | None, moment: datetime) -> bool:
    return next_occurrence(cron, timezone or "UTC", moment - timedelta(seconds=1)) == moment


def _is_own(authorization: Authorization, who: str) -> bool:
    """Whether a person wrote what was authorized. One tool writes Alice and another alice: see tminus.folded."""
    return who.strip().lower() in {name.strip().lower() for name in (authorization.author, authorization.editor)}
