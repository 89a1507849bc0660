"""The settings that the run on one site depends on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """Times in seconds, sizes in bytes."""

    stamp_log: bool
    command_timeout: float
    export_timeout: float
    resolve_within: float
    export_cap: int
    output_cap: int
    # One lost SYN is not a verdict: a second try this long after the first failed.
    second_try_after: float = 2.0
    # A file may be listed a moment after its upload ended.
    upload_visible_within: float = 10.0
    # How long a started run that left no end in the log is watched, once the router is reached again.
    settle_for: float = 20.0
    # How long after its end a script that is expected to end its session has to do so.
    disconnect_within: float = 30.0
    # Sites on which this host lets unauthorized scripts be tested, whatever the database says.
    test_sites: frozenset[str] = frozenset()
    # Whether exports with secrets may be stored, of the sites that ask for it.
    allow_sensitive_exports: bool = False
