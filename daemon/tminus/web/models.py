"""What requests carry. These declarations check what arrives, and the OpenAPI document is made from them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

# PostgreSQL stores no NUL.
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
Word = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,200}$")]
SiteId = Annotated[
    str,
    Field(pattern=r"^[^\x00-\x1f\x7f]{1,200}$", description="Id of a site.", examples=["site_1AbCdEfGhIjKlMnOpQrStUv"]),
]
Seconds = Annotated[float, Field(le=604800, allow_inf_nan=False)]

READ_ONLY = frozenset(
    {
        *("created_by", "summary", "status", "authorized_at", "cancelled_at", "t_minus", "started_at", "progress"),
        *("created_at", "updated_at", "updated_by", "authorized_by", "cancelled_by", "status_reason", "finished_at"),
        *(
            "launch_id",
            "launch_state",
            "unserved",
            "findings",
            "authorization_expires_at",
            "launch_reason",
            "wave",
            "waves",
            "paused_at",
            "paused_by",
        ),
    }
)
"""Keys of the answer that a client may send back, as it read them: they are not a client's, and are passed over."""


class Body(BaseModel):
    """Checked strictly: a string is no number, and a key that is not known is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    passed_over: ClassVar[frozenset[str]] = frozenset()
    """Keys that may be there, and mean nothing."""


class _ScriptBody(Body):
    passed_over: ClassVar[frozenset[str]] = READ_ONLY

    @model_validator(mode="after")
    def _names_its_sites(self) -> _ScriptBody:
        sites = getattr(self, "sites", None)
        if sites is not None and len(set(sites)) != len(sites):
            raise ValueError("sites: each site is named once")
        # Those of a query are there once it is resolved.
        if not sites and "sites" in self.to_be_named() and getattr(self, "site_query", None) is None:
            raise ValueError("sites: at least 1 is needed where there is no site_query")
        return self

    def to_be_named(self) -> set[str]:
        """Return which of its fields have to say something."""
        return self.model_fields_set


def _is_a_time(value: str) -> str:
    datetime.fromisoformat(value)
    return value


_Description = Annotated[Text, Field(max_length=2000, description="A human-readable name for the scheduled script.")]
_Script = Annotated[
    Text, Field(min_length=1, max_length=1048576, description="The full content of the MikroTik RouterOS script.")
]
_Sites = Annotated[
    list[SiteId],
    Field(
        max_length=100000,
        description="Site ids to target, at least one where there is no site_query.",
        json_schema_extra={"uniqueItems": True},
    ),
]
_Notify = Annotated[list[Word], Field(max_length=1000, description="User ids to tell.")]
_Backup = Annotated[bool, Field(description="Store a complete export before, or do not run.")]
_Abort = Annotated[bool, Field(description="A site that is offline at launch fails at once.")]
_LaunchAt = Annotated[AwareDatetime, Field(description="When, in ISO 8601 with an offset or Z; in the future.")]
_Cron = Annotated[Text, Field(max_length=200, description="Instead of launch_at: five cron fields, or an @-name.")]
_Zone = Annotated[Text, Field(max_length=100, description="Time zone of cron; UTC unless given.")]
_Concurrency = Annotated[int, Field(ge=1, le=100000, description="Sites at the same time.")]
_Range = Annotated[Text, Field(min_length=1, max_length=200, description="RouterOS versions, such as >=7.12 <8.")]
_Space = Annotated[int, Field(ge=1, le=10**15, description="Bytes that are free at least.")]
_Uptime = Annotated[
    float, Field(ge=1, le=315360000, allow_inf_nan=False, description="Seconds that a router has been up at least.")
]
_Load = Annotated[int, Field(ge=0, le=100, description="Percent that its CPU is loaded at most.")]
_Variables = Annotated[
    dict[
        Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")],
        bool | Annotated[int, Field(ge=-(10**18) + 1, le=10**18 - 1)] | Text,
    ],
    Field(description="Values for $(name) in the script; those of a site come before those of the scheduled script."),
]
_Tags = Annotated[list[Word], Field(min_length=1, max_length=100)]
_LocalTime = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?$",
        description="Instead of launch_at: on the clock of each site.",
        examples=["2030-11-25T02:00:00"],
    ),
    AfterValidator(_is_a_time),
]
_Amount = Annotated[
    str,
    Field(
        pattern=r"^(0|[1-9][0-9]{0,5}|(0|[1-9][0-9]?|100)%)$", description="A count of sites, or a percentage of them."
    ),
]
_WaveSizes = Annotated[
    list[_Amount],
    Field(
        min_length=1,
        max_length=100,
        description="Sites of each wave, counts or percentages; what is left is the last.",
        examples=[["1", "10", "25%"]],
    ),
]
_PostChecks = Annotated[
    list[Annotated[Text, Field(min_length=1, max_length=1000)]],
    Field(
        max_length=20,
        description="RouterOS expressions that have to be true on each site afterwards.",
        examples=[["[:len [/ip route find gateway=10.0.0.1]] > 0"]],
    ),
]
_Confirm = Annotated[
    float,
    Field(
        ge=60, le=2592000, allow_inf_nan=False, description="How long a launch waits for a person, in seconds; a day."
    ),
]


class SiteQuery(Body):
    """In place of sites: those that have all that is given, when it is resolved."""

    tags: _Tags | None = None
    any_tags: _Tags | None = None
    not_tags: _Tags | None = None
    version: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    model: Annotated[Text, Field(min_length=1, max_length=200)] | None = None


class _Wish(_ScriptBody):
    """What a client says of a scheduled script."""

    description: _Description = ""
    script: _Script = ""
    sites: _Sites = []
    test_site_id: SiteId | None = None
    make_backup: _Backup = True
    abort_if_offline: _Abort = False
    notify: _Notify = []
    launch_at: _LaunchAt | None = None
    cron: _Cron | None = None
    timezone: _Zone | None = None
    local_time: _LocalTime | None = None
    start_within: Annotated[Seconds, Field(ge=1, description="How late a start may be, in seconds.")] = 3600
    site_timeout: Annotated[Seconds, Field(ge=5, le=86400, description="How long one site may take, in seconds.")] = 600
    max_concurrency: _Concurrency | None = None
    expects_disconnect: Annotated[bool, Field(description="It ends its own session.")] = False
    detached: Annotated[bool, Field(description="It runs as a job of the router's.")] = False
    guard_version: _Range | None = None
    guard_free_space: _Space | None = None
    guard_uptime: _Uptime | None = None
    guard_cpu_load: _Load | None = None
    variables: _Variables = {}
    site_query: SiteQuery | None = None
    wave_sizes: _WaveSizes | None = None
    wave_order: _Tags | None = None
    wave_pause: (
        Annotated[Seconds, Field(ge=0, description="How long after a wave the next one begins, in seconds.")] | None
    ) = None
    wave_confirm: Annotated[bool, Field(description="A person lets each wave but the first go.")] = False
    confirm_within: _Confirm | None = None
    max_failures: _Amount | None = None
    max_failures_in_wave: _Amount | None = None
    max_offline: _Amount | None = None
    windows: Annotated[list[Word], Field(max_length=20, description="Windows, one of which has to be open.")] = []
    stop_starting_at: Annotated[AwareDatetime, Field(description="No site starts from then on.")] | None = None
    missed_policy: Annotated[
        Literal["skip", "run_latest"], Field(description="Whether the latest missed occurrence of cron is made up for.")
    ] = "skip"
    until: Annotated[AwareDatetime, Field(description="The end of cron.")] | None = None
    max_launches: Annotated[int, Field(ge=1, le=1000000, description="How often cron launches it.")] | None = None
    post_checks: _PostChecks = []


class NewScript(_Wish):
    """A scheduled script to be made."""

    id: Annotated[
        UUID | None, Field(description="Its id, if the client chooses it: the same again makes nothing new.")
    ] = None
    script: _Script

    def to_be_named(self) -> set[str]:
        return {"sites"}


class ScriptChange(_Wish):
    """What is to change in a scheduled script; what is left out stays as it is."""

    passed_over = READ_ONLY | {"id"}


class Authorization(Body):
    """What the approver has reviewed."""

    digest: Annotated[
        str, Field(pattern=r"^tminus1:[0-9a-f]{64}$", description="Of what was reviewed: the review has it.")
    ]
    reason: Annotated[Text, Field(max_length=1000, description="For whoever asks later.")] | None = None
    signature: (
        Annotated[
            Text, Field(max_length=10000, description="The approver's, over the statement, where daemons ask for one.")
        ]
        | None
    ) = None
    expires: Annotated[AwareDatetime, Field(description="Nothing is started after it.")] | None = None


class Withdrawal(Body):
    """Why an authorization is taken back."""

    reason: Annotated[Text, Field(min_length=1, max_length=1000, description="For whoever asks later.")]


class Pause(Body):
    """Why a launch is held."""

    note: Annotated[Text, Field(min_length=1, max_length=1000, description="For whoever asks later.")]


class Signed(Body):
    """A signature for an act, where daemons ask for one."""

    signature: (
        Annotated[Text, Field(max_length=10000, description="The approver's, over the statement of the act.")] | None
    ) = None
    expires: (
        Annotated[AwareDatetime, Field(description="When the signature ceases to count, as the statement has it.")]
        | None
    ) = None
    statement: (
        Annotated[Text, Field(max_length=10000, description="What was signed: refused where it is another one by now.")]
        | None
    ) = None


class SignedLaunch(Signed):
    """A signature for a launch that is to be made."""

    new_launch_id: (
        Annotated[UUID, Field(description="The id that the launch is to have, as the statement has it.")] | None
    ) = None


class Resumption(Signed):
    """That a launch goes on."""


class TestRun(SignedLaunch):
    """That it is tested."""


class StatementOf(Body):
    """Which act is to be signed for."""

    act: Literal["launch", "run_now", "test", "retry", "confirm", "resume"]
    expires: (
        Annotated[AwareDatetime, Field(description="When it ceases to count; a day from now, of launch never.")] | None
    ) = None
    new_launch_id: (
        Annotated[UUID, Field(description="Of run_now, test, retry: the id that the launch is to have; a new one.")]
        | None
    ) = None
    launch_id: Annotated[UUID | None, Field(description="Of retry: which launch; the latest, unless given.")] = None
    sites: Annotated[
        list[SiteId] | None,
        Field(max_length=100000, description="Of retry: those that are safe to repeat, unless given."),
    ] = None
    wave: Annotated[int, Field(ge=1, le=1000, description="Of confirm: which wave may go.")] | None = None

    @model_validator(mode="after")
    def _says_which_wave(self) -> StatementOf:
        if self.act == "confirm" and self.wave is None:
            raise ValueError("wave: say which wave may go")
        return self


class RunNow(SignedLaunch):
    """Why it does not wait for its time."""

    reason: Annotated[Text | None, Field(max_length=1000, description="For whoever asks later.")] = None


class Retry(SignedLaunch):
    """What to do again."""

    launch_id: Annotated[UUID | None, Field(description="Which launch; the latest, unless given.")] = None
    sites: Annotated[
        list[SiteId] | None, Field(max_length=100000, description="Those that are safe to repeat, unless given.")
    ] = None


class SiteChange(Body):
    """A router; what is left out stays as it is, or takes its default in a new site."""

    name: Word = ""
    address: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9:_][A-Za-z0-9._:%-]{0,252}$", description="IP address or host name.")
    ]
    port: Annotated[int, Field(ge=1, le=65535)] = 22
    username: Annotated[str, Field(max_length=64, pattern=r"^[^-+\s\x00-\x1f\x7f][^+\s\x00-\x1f\x7f]*$")] | None = None
    credential: (
        Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="Its name in the daemon's configuration.")]
        | None
    ) = None
    host_key: (
        Annotated[Text, Field(max_length=20000, description="Its public host key, as OpenSSH writes it.")] | None
    ) = None
    ssh_profile: Literal["modern", "legacy"] = "modern"
    jump_host: Annotated[str, Field(pattern=r"^[^-\s\x00-\x1f\x7f][^\s\x00-\x1f\x7f]{0,252}$")] | None = None
    runner: Word | None = None
    tags: Annotated[list[Word], Field(max_length=100)] = []
    timezone: Annotated[Text, Field(max_length=100)] = "UTC"
    variables: _Variables = {}
    enabled: bool = True
    sensitive_export: Annotated[
        bool, Field(description="Store its exports with secrets as well, where the daemon allows it.")
    ] = False
    return_address: (
        Annotated[
            str,
            Field(
                pattern=r"^[A-Za-z0-9:_][A-Za-z0-9._:%-]{0,252}$",
                description="Where it may answer once a script with expects_disconnect has moved it.",
            ),
        ]
        | None
    ) = None


class NewSite(SiteChange):
    """A router to be added."""

    id: SiteId


class Page(Body):
    """Which part of a list."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    limit: Annotated[int, Field(ge=1, le=500, description="Entries at most.")] = 100
    cursor: Annotated[str, Field(max_length=400, description="From the Link header of the page before.")] | None = None


class ScriptPage(Page):
    limit: Annotated[int, Field(ge=1, le=100, description="Entries at most.")] = 50
    status: Literal["unauthorized", "scheduled", "launched", "cancelled"] | None = None


class SiteRunPage(Page):
    outcome: Literal["pending", "running", "completed", "failed", "skipped", "unknown"] | None = None


class SitePage(Page):
    tag: Word | None = None


class EventPage(Page):
    script_id: UUID | None = None
    launch_id: UUID | None = None


class BackupQuery(Body):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    phase: Annotated[
        Literal["before", "after"], Field(description="The export from before the script, or from after it.")
    ] = "before"
