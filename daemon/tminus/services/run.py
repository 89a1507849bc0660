"""One attempt of a site run while it is under way: what is known of it, and the ways in which its preparation stops."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tminus.device import output as device
from tminus.device.connection import Connection
from tminus.domain.digest import SitePart
from tminus.domain.endings import Ending, Reason, Step
from tminus.domain.likeness import find_likeness
from tminus.routeros.commands import Nonce
from tminus.routeros.export import Export
from tminus.routeros.facts import Facts
from tminus.routeros.outcome import Close, ImportAnswer
from tminus.routeros.post_checks import Rendered
from tminus.routeros.remains import may_rename
from tminus.routeros.text import clean_line
from tminus.services.mandate import Mandate, Refusal
from tminus.services.whereabouts import Sought, at_address
from tminus.store.export_texts import Backup
from tminus.store.launches import LaunchContent
from tminus.store.site_runs import Claim, Site


class Ended(Exception):
    """The run ends here, without a start."""

    def __init__(self, ending: Ending) -> None:
        self.ending = ending


class StartedItself(Exception):
    """The router ran the script where it was asked to look at it only. It must not be started once more."""

    def __init__(self, ending: Ending) -> None:
        self.ending = ending


class Paused(Exception):
    """Nothing is started now: until a person resumes, or until this host can remember what it starts."""


class Spent(Exception):
    """This host started it here before: the run was left to whoever asks the router about that start."""


class TryLater(Exception):
    """Nothing was started, and it is tried again while the time of the run lasts."""

    def __init__(self, reason: Reason, message: str) -> None:
        self.reason = reason
        self.message = message


@dataclass(slots=True, kw_only=True)
class Run:
    """What is known of one attempt while it is under way."""

    claim: Claim
    content: LaunchContent
    claimed_at: float  # loop time
    mandate: Mandate | Refusal | None = None  # where signatures are required: what was signed of it
    connection: Connection | None = None
    facts: Facts | None = None
    identified_at: float = 0.0
    login_refused: bool = False
    serial: str | None = None  # what it named when it was checked
    answers_at: str | None = None  # not the site's address any more: the script has moved it
    stamped: bool = False  # our line is in the router's log
    rendered: Rendered | None = None  # the script and its post-checks for this site
    free_space: int | None = None  # bytes, where the router was asked
    leftovers: tuple[Nonce, ...] = ()  # whose files lie on the router
    before: Export | None = None
    with_secrets: bool = False  # its exports are taken with their secrets as well
    catches: bool = False  # the router knows :onerror, so an error of the script comes with a marker
    uploaded: bool = False  # there may be something of ours on the router
    may_appear: bool = False  # our script was sent there, and the router does not list it yet
    # From here on nothing may abort this run: its point of no return may be committed; and then, it is.
    past_no_return: bool = False
    # It has ended without a start, and that is being written: a site that refused a login is not asked again.
    ended: bool = False
    committed: bool = False
    warnings: list[str] = field(default_factory=list)
    verdict: Ending | None = None
    # Done once nothing more is asked of the router: its session is free for another site. Its script may still be listened to.
    hung_up: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    # Done once the ending is written.
    written: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    step_since: float = 0.0
    step: Step = Step.CONNECTING
    nonce: Nonce = field(init=False)

    def __post_init__(self) -> None:
        self.nonce = Nonce.of_run(self.claim.nonce, self.claim.launch_id)

    @property
    def site_part(self) -> SitePart:
        """What an authorization of this script covers of the site."""
        return self.claim.site.part_of(self.content.names, self.content.variables)

    @property
    def site(self) -> Site:
        """The site as it is to be reached now."""
        site = self.claim.site
        return site if self.answers_at is None else at_address(site, self.answers_at)

    @property
    def sought(self) -> Sought:
        """The router of a script that was started, to be found again."""
        assert self.facts is not None  # noqa: S101 - it was identified
        assert self.connection is not None  # noqa: S101
        renames = may_rename(self.script)
        return Sought(
            site=self.claim.site,
            host_key=self.connection.host_key,
            covered=self.site_part,
            nonce=self.nonce,
            serial=self.serial or self.claim.site.serial,
            identity=None if renames else self.facts.identity,
            may_have_moved=self.content.expects_disconnect,
        )

    @property
    def script(self) -> bytes:
        """What the router is given."""
        return self.content.script if self.rendered is None else self.rendered.script

    @property
    def post_checks(self) -> tuple[bytes, ...]:
        """What has to be true on this router afterwards."""
        return self.content.post_checks if self.rendered is None else self.rendered.checks

    @property
    def greeting(self) -> tuple[str, ...]:
        """What the router says to whoever logs in."""
        return () if self.facts is None else self.facts.greeting

    @property
    def abortable(self) -> bool:
        return not self.past_no_return and not self.ended

    @property
    def deadline(self) -> float:
        """Loop time at which the site's time is over."""
        return self.claimed_at + self.content.site_timeout.total_seconds()

    def may_leave_file(self) -> None:
        """Something of ours is about to lie on the router."""
        self.uploaded = True


def backup_of(phase: str, export: Export, *, like: Export | None = None) -> Backup:
    """Make an export one to be stored. `like` is one of this run that is stored already, and has much of it."""
    return Backup(
        phase=phase,
        sha256=export.sha256,
        text=export.text,
        header=export.header,
        raw_bytes=export.raw_bytes,
        like=None if like is None else find_likeness(export.text, like.text, like.sha256),
        sensitive=export.sensitive,
    )


def answer_of(result: device.ExecResult) -> ImportAnswer:
    """Return what the answer to the start command says, for it to be judged."""
    match result.ended:
        case device.Ended.CLOSED | device.Ended.OVERFLOW:
            close = Close.CLOSED
        case device.Ended.LOST:
            close = Close.LOST
        case device.Ended.TIMED_OUT:
            close = Close.TIMED_OUT
        case device.Ended.TOLD:
            close = Close.LEFT_OPEN
    return ImportAnswer(output=result.output, exit_status=result.exit_status, close=close)


def sentence(error: Exception) -> str:
    text = clean_line(str(error), cap=800)
    return text if text.endswith(".") else text + "."
