"""What the API answers: for the OpenAPI document, which a test holds against real answers. The database writes the JSON."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

Moment = Annotated[
    str, Field(pattern=r"^\d{4,6}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$", examples=["2025-10-30T10:00:00.000000Z"])
]
Count = Annotated[int, Field(ge=0)]


class _Shape(BaseModel):
    """Keys that are not named here may be added."""

    model_config = ConfigDict(extra="allow")


class Progress(_Shape):
    """Each site of the launch in one of three lists."""

    completed: list[str]
    failed: list[str]
    pending: list[str]


class ScheduledScript(_Shape):
    id: UUID
    created_by: str
    test_site_id: str | None
    make_backup: bool
    abort_if_offline: bool
    description: str
    summary: str | None
    script: str
    status: Literal["unauthorized", "scheduled", "launched", "cancelled"]
    authorized_at: Moment | None
    cancelled_at: Moment | None
    launch_at: Moment | None
    t_minus: str | None
    started_at: Moment | None
    sites: list[str]
    notify: list[str]
    progress: Progress
    created_at: Moment
    updated_at: Moment
    updated_by: str
    authorized_by: str | None
    authorization_expires_at: Moment | None
    cancelled_by: str | None
    status_reason: str | None
    finished_at: Moment | None
    cron: str | None
    timezone: str | None
    start_within: float
    site_timeout: float
    max_concurrency: int | None
    expects_disconnect: bool
    detached: bool
    guard_version: str | None
    guard_free_space: int | None
    guard_uptime: float | None
    guard_cpu_load: int | None
    variables: dict[str, str | int | bool]
    site_query: dict[str, Any] | None
    wave_sizes: list[str] | None
    wave_order: list[str] | None
    wave_pause: float | None
    wave_confirm: bool
    confirm_within: float | None
    max_failures: str | None
    max_failures_in_wave: str | None
    max_offline: str | None
    windows: list[str]
    local_time: str | None
    stop_starting_at: Moment | None
    missed_policy: Literal["skip", "run_latest"]
    until: Moment | None
    max_launches: int | None
    post_checks: list[str]
    launch_id: UUID | None
    launch_state: str | None
    unserved: list[str]
    findings: list[dict[str, Any]] | None


class ReviewedSite(_Shape):
    id: str
    name: str
    address: str
    port: int
    username: str | None
    jump_host: str | None
    host_key: str | None
    return_address: str | None
    enabled: bool
    variables: dict[str, str | int | bool]
    since_last: Literal["added", "changed", "same"] | None


class Review(_Shape):
    """What an authorization would cover, and the digest to send with it."""

    id: UUID
    digest: str
    status: Literal["unauthorized", "scheduled", "launched", "cancelled"]
    script: str
    created_by: str
    updated_by: str
    launch_at: Moment | None
    options: dict[str, Any]
    approval: Literal["distinct", "off"]
    signature_required_by: list[str]
    unserved: Annotated[dict[str, list[str]], Field(description="Why no living daemon could serve a site: the sites.")]
    same_key: Annotated[list[list[str]], Field(description="Sites that may be one router: their host key is one.")]
    requested: dict[str, Any] | None
    site_count: Count
    sites: list[ReviewedSite]
    last_authorized: dict[str, Any] | None


class Statement(_Shape):
    """What is signed for an act, in this namespace of ssh-keygen, and what is sent with the signature."""

    act: Literal["launch", "run_now", "test", "retry", "confirm", "resume"]
    approver: str
    expires: Moment | None
    new_launch_id: UUID | None
    launch_id: UUID | None
    sites: list[str] | None
    wave: int | None
    namespace: str
    statement: str


class Counts(_Shape):
    sites: Count
    completed: Count
    failed: Count
    skipped: Count
    unknown: Count
    running: Count
    pending: Count


class Launch(_Shape):
    id: UUID
    script_id: UUID
    kind: Literal["scheduled", "test", "rehearsal", "retry"]
    state: str
    reason: str | None
    due_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    authorized_by: str | None
    created_by: str
    digest: str | None
    counts: Counts


class SiteRun(_Shape):
    id: int
    launch_id: UUID
    site_id: str
    outcome: Literal["pending", "running", "completed", "failed", "skipped", "unknown"]
    state: Literal["pending", "running", "completed", "failed", "skipped", "unknown"]
    step: str | None
    reason: str | None
    effect: str | None
    message: str | None
    warnings: list[str]
    attempts: Count
    started_at: Moment | None
    executing_at: Moment | None
    finished_at: Moment | None
    resolved_at: Moment | None
    resolved_by: str | None
    resolved_effect: str | None
    resolution: str | None
    has_output: bool
    has_diff: bool


class Site(_Shape):
    id: str
    name: str
    address: str
    port: int
    username: str | None
    credential: str | None
    host_key: str | None
    ssh_profile: Literal["modern", "legacy"]
    jump_host: str | None
    runner: str | None
    tags: list[str]
    timezone: str
    variables: dict[str, str | int | bool]
    enabled: bool
    sensitive_export: bool
    return_address: str | None
    identity: str | None
    model: str | None
    serial: str | None
    version: str | None
    last_seen_at: Moment | None
    created_at: Moment
    updated_at: Moment


class Event(_Shape):
    id: int
    at: Moment
    kind: str
    script_id: UUID | None
    launch_id: UUID | None
    site_id: str | None
    principal: str
    session: str
    detail: dict[str, Any]


class Upcoming(_Shape):
    """A launch that is to come, authorized or not; `frozen` says what would hold it back."""

    script_id: UUID
    description: str
    launch_at: Moment | None
    t_minus: str | None
    cron: str | None
    timezone: str | None
    authorized: bool
    authorized_by: str | None
    created_by: str
    sites: Count
    frozen: str | None
    launches_left: int | None


class Freeze(_Shape):
    id: int
    tag: str | None
    until: Moment
    reason: str
    since: Moment
    frozen_by: str


class TimeSpan(_Shape):
    begins: Moment
    ends: Moment


class Window(_Shape):
    """`opens_at` and `closes_at` are of the opening that goes on or comes next; both null until a daemon has planned it."""

    name: str
    timezone: str
    weekly: list[str]
    spans: list[TimeSpan]
    scope: Literal["all", "tag", "named"]
    tag: str | None
    is_open: bool
    opens_at: Moment | None
    closes_at: Moment | None
    updated_at: Moment
    updated_by: str


class TagCap(_Shape):
    tag: str
    max_running: Count
    running: Count
    sites: Count
    set_at: Moment
    set_by: str


class Contact(_Shape):
    """`waiting`: letters that are to be delivered; `last_failure`: why the last one that failed did."""

    id: int
    person: str
    channel: Literal["mail", "webhook"]
    address: str
    news: list[str] | None
    digest_every: float | None
    enabled: bool
    waiting: Count
    last_failure: str | None


class Error(BaseModel):
    """Every answer that is no success. `fields` is there where fields of the request are at fault."""

    model_config = ConfigDict(extra="forbid")

    type: str
    code: str
    message: str
    doc_url: str
    fields: dict[str, str] = {}
