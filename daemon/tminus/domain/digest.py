"""The digest that binds an authorization to its content, computed as migration 0005 does it in SQL.

Canonical form (any language can compute it)::

    netstring(x)  = decimal length of x in bytes of UTF-8, ":", x, ","
    field(n, v)   = nothing if v is None, else netstring(n) netstring(v)
    row part      = the fields of RowPart in their order; site part = the fields of SitePart in theirs
    digest        = "tminus1:" hex(sha256(netstring("tminus1") netstring(hex(sha256(row part)))
                    and for each site, in order: netstring(site id) netstring(hex(sha256(site part)))))

Booleans are "true"/"false" (expects_disconnect, detached, wave_confirm: nothing where false), lists are joined by commas
(windows, post_checks: their netstrings one after the other, nothing where there is none), ssh_profile is nothing where it
is modern, sensitive_export nothing where it is false, return_address nothing where there is none, durations whole microseconds in decimal,
moments 2025-10-30T10:00:00.000000Z, local_time the same without its Z.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from tminus.domain.canonical import moment_text, netstring


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPart:
    id: str
    script: str
    make_backup: bool
    abort_if_offline: bool
    test_site_id: str | None
    launch_at: datetime | None  # of no account where a cron rule or a local time decides
    cron: str | None
    timezone: str | None
    start_within: timedelta
    site_timeout: timedelta
    max_concurrency: int | None
    expects_disconnect: bool = False
    detached: bool = False
    wave_sizes: tuple[str, ...] | None = None
    wave_order: tuple[str, ...] | None = None
    wave_pause: timedelta | None = None
    wave_confirm: bool = False
    confirm_within: timedelta | None = None
    max_failures: str | None = None
    max_failures_in_wave: str | None = None
    max_offline: str | None = None
    guard_version: str | None = None
    guard_free_space: int | None = None
    guard_uptime: timedelta | None = None
    guard_cpu_load: int | None = None
    windows: tuple[str, ...] = ()
    local_time: datetime | None = None  # on the clock of each site, so without a zone; launch_at follows from it
    stop_starting_at: datetime | None = None
    missed_policy: str = "skip"
    until: datetime | None = None
    max_launches: int | None = None
    post_checks: tuple[str, ...] = ()

    @property
    def code(self) -> str:
        """All that may name variables: the script, and what is checked after it."""
        return "\n".join((self.script, *self.post_checks))


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePart:
    id: str
    jump_host: str | None
    address: str
    port: int
    username: str | None
    credential: str | None
    host_key: str | None
    ssh_profile: str = "modern"
    variables: str | None = None  # as domain.variables.digest_field writes them
    sensitive_export: bool = False
    return_address: str | None = None  # where it may answer once a script has moved it


def row_digest(row: RowPart) -> str:
    """Return 64 hexadecimal digits."""
    return _sha256(
        _field("id", row.id),
        _field("script", row.script),
        _field("make_backup", _boolean(row.make_backup)),
        _field("abort_if_offline", _boolean(row.abort_if_offline)),
        _field("test_site_id", row.test_site_id),
        _field("launch_at", _moment(row.launch_at) if row.cron is None and row.local_time is None else None),
        _field("cron", row.cron),
        _field("timezone", row.timezone),
        _field("start_within", _duration(row.start_within)),
        _field("site_timeout", _duration(row.site_timeout)),
        _field("max_concurrency", None if row.max_concurrency is None else str(row.max_concurrency)),
        _field("expects_disconnect", _only_true(row.expects_disconnect)),
        _field("detached", _only_true(row.detached)),
        _field("wave_sizes", _list(row.wave_sizes)),
        _field("wave_order", _list(row.wave_order)),
        _field("wave_pause", None if row.wave_pause is None else _duration(row.wave_pause)),
        _field("wave_confirm", _only_true(row.wave_confirm)),
        _field("confirm_within", None if row.confirm_within is None else _duration(row.confirm_within)),
        _field("max_failures", row.max_failures),
        _field("max_failures_in_wave", row.max_failures_in_wave),
        _field("max_offline", row.max_offline),
        _field("guard_version", row.guard_version),
        _field("guard_free_space", None if row.guard_free_space is None else str(row.guard_free_space)),
        _field("guard_uptime", None if row.guard_uptime is None else _duration(row.guard_uptime)),
        _field("guard_cpu_load", None if row.guard_cpu_load is None else str(row.guard_cpu_load)),
        _field("windows", _names(row.windows)),
        _field("local_time", None if row.local_time is None else row.local_time.strftime("%Y-%m-%dT%H:%M:%S.%f")),
        _field("stop_starting_at", _moment(row.stop_starting_at)),
        _field("missed_policy", None if row.missed_policy == "skip" else row.missed_policy),
        _field("until", _moment(row.until)),
        _field("max_launches", None if row.max_launches is None else str(row.max_launches)),
        _field("post_checks", _names(row.post_checks)),
    )


def site_digest(site: SitePart) -> str:
    """Return 64 hexadecimal digits."""
    return _sha256(
        _field("id", site.id),
        _field("jump_host", site.jump_host),
        _field("address", site.address),
        _field("port", str(site.port)),
        _field("username", site.username),
        _field("credential", site.credential),
        _field("host_key", site.host_key),
        _field("ssh_profile", None if site.ssh_profile == "modern" else site.ssh_profile),
        _field("variables", site.variables),
        _field("sensitive_export", _only_true(site.sensitive_export)),
        _field("return_address", site.return_address),
    )


def combine(row: str, sites: Iterable[tuple[str, str]]) -> str:
    """Return the whole digest from the row's and, in order, each site's id and digest."""
    parts = [netstring("tminus1"), netstring(row)]
    for site_id, digest in sites:
        parts += (netstring(site_id), netstring(digest))
    return "tminus1:" + _sha256(*parts)


def _sha256(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _field(name: str, value: str | None) -> bytes:
    return b"" if value is None else netstring(name) + netstring(value)


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _only_true(value: bool) -> str | None:
    """For what was added later: rows that do not use it keep the digest that they had."""
    return "true" if value else None


def _list(value: tuple[str, ...] | None) -> str | None:
    return None if value is None else ",".join(value)


def _names(value: tuple[str, ...]) -> str | None:
    return "".join(netstring(name).decode() for name in value) or None


def _duration(value: timedelta) -> str:
    return str(value // timedelta(microseconds=1))


def _moment(value: datetime | None) -> str | None:
    return None if value is None else moment_text(value)
