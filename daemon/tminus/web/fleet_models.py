"""What requests about freezes, windows, caps on tags, and contacts carry: see models.py."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, ConfigDict, Field, model_validator

from tminus.domain.news import NewsKind
from tminus.web.models import Body, Signed, Text, Word

_Note = Annotated[Text, Field(min_length=1, max_length=1000, description="For whoever asks later.")]


class NewFreeze(Body):
    """Stop all new starts for a time."""

    tag: Annotated[Word | None, Field(description="Only on sites with this tag; everywhere, unless given.")] = None
    until: Annotated[AwareDatetime, Field(description="When it ends by itself, within a year.")]
    reason: Annotated[Text, Field(min_length=1, max_length=1000, description="What everyone reads who waits.")]


class Thaw(Body):
    """Why a freeze ends before its time."""

    note: _Note


class Span(Body):
    """A time at which a window is open once."""

    begins: AwareDatetime
    ends: AwareDatetime


class WindowBody(Body):
    """The rules of a window; what is left out takes its default."""

    passed_over = frozenset({"name", "opens_at", "closes_at", "planned_at", "updated_at", "updated_by", "is_open"})

    timezone: Annotated[Text, Field(max_length=100)] = "UTC"
    weekly: Annotated[
        list[Annotated[Text, Field(max_length=200)]],
        Field(max_length=100, description="Days and times.", examples=[["mon-thu 22:00-04:00"]]),
    ] = Field(default_factory=list)
    spans: Annotated[list[Span], Field(max_length=1000)] = Field(default_factory=list)
    scope: Annotated[
        Literal["all", "tag", "named"],
        Field(description="For all sites, for those with the tag, or for the scheduled scripts that name it."),
    ] = "named"
    tag: Word | None = None

    @model_validator(mode="after")
    def _spans_go_forward(self) -> WindowBody:
        if any(span.begins >= span.ends for span in self.spans):
            raise ValueError("spans: each ends after it begins")
        return self


class CapBody(Body):
    """How many sites with a tag may run something at the same time."""

    passed_over = frozenset({"tag", "running", "sites", "set_at", "set_by"})

    max_running: Annotated[int, Field(ge=0, le=100000, description="0 stops new starts there.")]


class NewContact(Body):
    """How a person is told."""

    person: Annotated[Word, Field(description="As in notify and created_by.")]
    channel: Literal["mail", "webhook"]
    address: Annotated[
        Text,
        Field(
            min_length=1,
            max_length=254,
            description="A mail address, or the name of a webhook in the daemon's configuration.",
        ),
    ]
    news: Annotated[
        list[Annotated[NewsKind, Field(strict=False)]] | None, Field(description="Only this; everything, unless given.")
    ] = None
    digest_every: Annotated[
        float | None,
        Field(ge=60, le=604800, allow_inf_nan=False, description="One letter of all that came within so many seconds."),
    ] = None


class ContactQuery(Body):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    person: Word | None = None


class UpcomingQuery(Body):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    limit: Annotated[int, Field(ge=1, le=500, description="Entries at most.")] = 100


class Verdict(Body):
    """What a person found out about an unknown site run."""

    verdict: Annotated[
        Literal["completed", "failed/partial", "failed/none"], Field(description="How it ended, and what it did.")
    ]
    note: _Note
    stop_job: Annotated[
        bool,
        Field(
            description="Have the job stopped that still runs the script on the router, which takes the scope script:authorize as"
            " well; for failed/partial and failed/none, also with the verdict that was given before."
        ),
    ] = False


class WaveBody(Signed):
    """Which wave may go."""

    wave: Annotated[int, Field(ge=1, le=1000, description="Its number: the next one.")]
